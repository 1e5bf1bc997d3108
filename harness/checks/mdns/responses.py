"""What the device answers to a query, and with which records (RFC 6762, 6 and 16)."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from itertools import zip_longest

from harness.checks.bench import Bench
from harness.checks.case import (
    Case,
    failed,
    first,
    inconclusive,
    passed,
    run_so_far,
    seen_by,
    warned,
)
from harness.checks.catalogue import Check, requirement
from harness.checks.support.mdns.names import (
    Names,
    names_of,
)
from harness.checks.support.mdns.queries import (
    ask,
    present,
)
from harness.checks.support.mdns.records_seen import (
    ADDRESSES,
    Packet,
    RecordSeen,
    Section,
    distinct,
    multicasts,
    queries,
    readable,
    told,
)
from harness.model.requirement import Area, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.wire import mdns
from harness.wire.mdns.codec import (
    Question,
    RecordType,
    record,
    type_name,
)

_STRANGER = "harness-neighbour.local."  # a host of ours, whose address only we may tell
_PSEUDO = (RecordType.NSEC, RecordType.OPT)  # said about records, not records that a name has


def _of_each_kind(names: Names, of_host: RecordType) -> list[Question]:
    """A question about the host name, and one for each kind of record that a service has."""
    questions = [Question(names.host, of_host)]
    for service in names.services[:1]:
        questions += [
            Question(service.name, RecordType.TXT),
            Question(service.name, RecordType.SRV),
            Question(service.type, RecordType.PTR),
        ]
    return questions


def _said(question: Question) -> str:
    return f"{readable(question.name)} {type_name(question.type)}"


@requirement(
    "MDNS-15",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="6",
    level=Level.MUST,
    purpose="ensure that the IUT answers queries with its own records only, to everybody, without questions",
    stimulus="Multicast queries for ANY, TXT, SRV and PTR records of the DUT, and for a host of ours",
    expect="Each is answered in the answer section of a response without questions, from port 5353 to the "
    "multicast group; the DUT is silent about our host",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS,),
    usual_cause="Code of a unicast DNS server: it repeats the question in its response, answers from a port "
    "of its own, knows no ANY, or answers for every name as a captive portal does.",
)
class AnswersToEverybody(Check):
    """Queries one by one; each is answered the way that multicast DNS prescribes."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        names = await present(bench)
        stranger = record(_STRANGER, mdns.Address(bench.mdns.address), ttl=120, cache_flush=True)
        bench.mdns.send(mdns.encode_response([stranger]), "our own host is announced")
        bench.mdns.send(mdns.encode_query([Question(_STRANGER, RecordType.A)]))
        for question in _of_each_kind(names, RecordType.ANY):
            begin = bench.mark()
            await ask(bench, question, multicast=True)
            answers = told(seen_by(bench, begin), question.name, question.type)
            if answers and not _in_answer_section(answers):
                # It may have gone out just then with the answer to somebody else, and need not come again.
                await ask(bench, question, multicast=True)
        goodbye = record(_STRANGER, mdns.Address(bench.mdns.address), ttl=0, cache_flush=True)
        bench.mdns.send(mdns.encode_response([goodbye]), "our own host says goodbye")

    def judge(self, case: Case) -> Outcome:
        names = names_of(run_so_far(case))
        strange = queries(case, _STRANGER, RecordType.A)
        if foreign := told(case, _STRANGER):
            return failed("the device answers for a host that is not the device", strange, foreign[0].packet)
        for packet in multicasts(case):
            if packet.value.questions:
                return failed("a multicast response holds a question", packet)
            if not packet.body.source.endswith(":5353"):
                return failed(f"a response came from {packet.body.source}, not from port 5353", packet)
        evidence = []
        own = _of_each_kind(names, RecordType.ANY)
        for question, following in zip_longest(own, own[1:]):
            asked = queries(case, question.name, question.type)
            if not asked:
                return inconclusive(f"{_said(question)} was not asked for")
            # What is told later on goes along with the answer to another question.
            later = queries(case, following.name, following.type)[:1] if following else []
            end = later[0].line if later else None
            answers = told(case, question.name, question.type, after=asked[0].line, before=end)
            if not answers:
                return failed(f"no answer to {_said(question)}, asked for {len(asked)} times", asked)
            everybody = [answer for answer in answers if not answer.unicast]
            if not everybody:
                return failed(
                    f"{_said(question)} was answered to us alone, which we had not asked for",
                    asked,
                    answers[0].packet,
                )
            answer = _in_answer_section(everybody)
            if answer is None:
                return failed(
                    f"{_said(question)} was told outside the answer section only", asked, everybody[0].packet
                )
            evidence += [asked[0], answer.packet]
        return passed("every query was answered as prescribed, and none for a name of others", evidence)


def _in_answer_section(answers: list[RecordSeen]) -> RecordSeen | None:
    return first(answers, lambda found: found.section is Section.ANSWER)


@requirement(
    "MDNS-19",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="6.3",
    level=Level.MUST,
    purpose="ensure that the IUT answers every question of a query that holds several",
    stimulus="One query for A, TXT, SRV and PTR records of the DUT, and between them one for a foreign name",
    expect="All records that are the DUT's are told, in one response or several",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS,),
    usual_cause="The parser looks at the first question only, or gives up at the first that is not its own.",
)
class EveryQuestion(Check):
    """One packet with many questions."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        own = _several(await present(bench))
        if not await ask(bench, *own, foreign=[Question(_STRANGER, RecordType.A)]):
            await ask(bench, own[-1])  # alone, to see whether the device answers at all

    def judge(self, case: Case) -> Outcome:
        own = _several(names_of(run_so_far(case)))
        asked = queries(case, own[-1].name, own[-1].type)
        together = [seen for seen in asked if len(seen.value.questions) > 1]
        alone = first(asked, lambda seen: len(seen.value.questions) == 1)
        if not together:
            return inconclusive("the questions were not asked together")
        # Each repetition by itself: the answers to several would not show that one was answered.
        ends = [*(seen.line for seen in asked[1 : len(together)]), alone.line if alone else None]
        for query, end in zip(together, ends, strict=True):
            answers = {each: told(case, each.name, each.type, after=query.line, before=end) for each in own}
            missing = [each for each, found in answers.items() if not found]
            seen = [found[0].packet for found in answers.values() if found]
            if not missing:
                return passed(f"all {len(own)} questions of one query were answered", query, seen)
        if alone:
            seen += [found.packet for found in told(case, own[-1].name, own[-1].type, after=alone.line)[:1]]
        if not seen:
            return inconclusive("the device answers nothing, not even a question alone", asked)
        text = " and ".join(_said(each) for each in missing)
        return failed(f"asked for together with other records, {text} went unanswered", together, seen)


def _several(names: Names) -> list[Question]:
    """Questions that belong together."""
    own = _of_each_kind(names, RecordType.A)
    return own if len(own) > 1 else [*own, Question(names.host, RecordType.ANY)]


@requirement(
    "MDNS-16",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="6, 6.1",
    level=Level.MUST,
    purpose="ensure that the IUT says so when a name of its own lacks the type of record that is asked for",
    stimulus="Ask for the AAAA record of the host name, or where it has one, for HINFO",
    expect="An NSEC record in the restricted form: own name, and a bitmap of the types that exist",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS,),
    usual_cause="An IPv4-only device stays silent when it is asked for its IPv6 address; phones and "
    "computers then wait five seconds before they use the IPv4 address that they already have.",
)
class NegativeAnswer(Check):
    """A type that the host name does not have."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        host = (await present(bench)).host
        await ask(bench, Question(host, RecordType.A))
        await ask(bench, Question(host, RecordType.AAAA))
        if told(seen_by(bench), host, RecordType.AAAA):
            await ask(bench, Question(host, RecordType.HINFO))

    def judge(self, case: Case) -> Outcome:
        run = run_so_far(case)
        host = names_of(run).host
        missing = RecordType.HINFO if told(run, host, RecordType.AAAA) else RecordType.AAAA
        if exists := told(run, host, missing):
            return passed(f"the host name has even {missing.name}: nothing to deny", exists[0].packet)
        control = told(case, host, RecordType.A)
        asked = queries(case, host, missing)
        if not control or not asked:
            return inconclusive("the device did not even tell its address")
        denials = told(case, host, RecordType.NSEC, after=asked[0].line)
        if not denials:
            return failed(
                f"asked {len(asked)} times for {readable(host)} {missing.name}, which does not exist, the "
                "device was silent",
                control[0].packet,
                asked,
            )
        exist = {found.record.type for found in told(run, host) if found.record.type not in _PSEUDO}
        return _judge_denial(denials[0], missing, exist, asked[0])


def _judge_denial(denial: RecordSeen, missing: RecordType, exist: set[int], asked: Packet) -> Outcome:
    data = denial.record.data
    if not isinstance(data, mdns.Nsec):
        return failed("the NSEC record cannot be read", asked, denial.packet)
    if not mdns.same_name(data.next_name, denial.record.name):
        return failed(f"the next name of the NSEC is {data.next_name}, not its own", asked, denial.packet)
    if missing in data.types:
        return failed(f"the NSEC says that {missing.name} exists, but none was told", asked, denial.packet)
    if denied := exist - set(data.types):
        text = ", ".join(map(type_name, sorted(denied)))
        return failed(f"the NSEC denies {text}, which the device itself tells", asked, denial.packet)
    if RecordType.NSEC in data.types:
        return warned("the NSEC lists itself, although no such record really exists", asked, denial.packet)
    return passed(f"an NSEC record tells that there is no {missing.name}", asked, denial.packet)


@requirement(
    "MDNS-17",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="6.2",
    level=Level.MUST,
    purpose="ensure that the IUT tells the addresses that are valid on the link, and no other",
    stimulus="Ask for the address of the host name",
    expect="The address that the answer itself comes from is among them; none is unspecified, of the "
    "loopback interface, multicast, or left over from before DHCP",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS,),
    usual_cause="The record is filled once at start-up, before DHCP has an address or for the wrong one of "
    "two interfaces, and never again.",
)
class OwnAddresses(Check):
    """The addresses told, against the one that the packets come from."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await ask(bench, Question((await present(bench)).host, RecordType.A))

    def judge(self, case: Case) -> Outcome:
        host = names_of(run_so_far(case)).host
        answers = [found for type in ADDRESSES for found in told(case, host, type, after=case.window[0].line)]
        if not answers:
            return inconclusive(f"the device told no address of {readable(host)}")
        # A program may answer us alone from another of the addresses of this machine, but not everybody.
        spoke = {seen.body.source.rpartition(":")[0] for seen in multicasts(run_so_far(case))}
        own = spoke or {answers[0].packet.body.source.rpartition(":")[0]}
        texts = {}
        for found in answers:
            data = found.record.data
            if not isinstance(data, mdns.Address):
                return failed("an address record cannot be read", found.packet)
            if problem := _unfit(data.text, own):
                return failed(f"{readable(host)} is said to have {data.text}, {problem}", found.packet)
            texts[data.text] = found.packet
        if not own & set(texts):
            here, there = ", ".join(sorted(own)), ", ".join(texts)
            return failed(f"the device is at {here}, but tells {there}", list(texts.values()))
        return passed(f"{readable(host)} is at {', '.join(texts)}, as its packets", list(texts.values()))


def _unfit(text: str, own: set[str]) -> str | None:
    """Why a host on the link cannot have that address; None if it can."""
    address = ipaddress.ip_address(text)
    if text in own:
        return None
    if address.is_unspecified:
        return "which is no address at all"
    if address.is_loopback and not any(ipaddress.ip_address(other).is_loopback for other in own):
        return "which other hosts cannot reach"
    if address.is_multicast:
        return "which is a multicast address"
    if address.version == 4 and address.is_link_local:
        return "an address of before DHCP, while it speaks from another one"
    return None


@requirement(
    "MDNS-29",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="16",
    level=Level.MUST,
    purpose="ensure that the IUT knows its names in capital and in small letters",
    stimulus="Ask for the host name and an instance name in the other case",
    expect="The same records as in the usual case",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS,),
    usual_cause="Names are compared byte by byte.",
)
class AnyCase(Check):
    """The same questions twice, in different letters."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        for question in _named(await present(bench)):
            await ask(bench, question)
            await ask(bench, replace(question, name=question.name.swapcase()))

    def judge(self, case: Case) -> Outcome:
        evidence = []
        for question in _named(names_of(run_so_far(case))):
            swapped = question.name.swapcase()
            asked = queries(case, swapped, question.type, exactly=True)
            if not asked:
                return inconclusive(f"{swapped} was not asked for")
            usual = told(case, question.name, question.type, before=asked[0].line)
            if not usual:
                return inconclusive(f"the device does not even answer for {readable(question.name)}")
            answers = told(case, question.name, question.type, after=asked[0].line)
            if not answers:
                return failed(
                    f"{readable(question.name)} is answered, {readable(swapped)} is not",
                    usual[0].packet,
                    asked,
                )
            if [each for each in distinct(answers) if not _contains(usual, each)]:
                return failed(
                    f"{readable(swapped)} has other records than {readable(question.name)}",
                    usual[0].packet,
                    asked[0],
                    answers[0].packet,
                )
            evidence += [usual[0].packet, asked[0], answers[0].packet]
        return passed("names in the other case were answered alike", evidence)


def _named(names: Names) -> list[Question]:
    services = [Question(service.name, RecordType.SRV) for service in names.services[:1]]
    return [Question(names.host, RecordType.A), *services]


def _contains(found: list[RecordSeen], wanted: RecordSeen) -> bool:
    return any(wanted.record.same_data(other.record) for other in found)
