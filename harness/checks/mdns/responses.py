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
from harness.checks.declaration import Phase
from harness.checks.support.mdns.names import (
    Names,
    names_of,
)
from harness.checks.support.mdns.queries import (
    ask,
    settled_names,
)
from harness.checks.support.mdns.records_seen import (
    ADDRESSES,
    Packet,
    RecordSeen,
    Section,
    distinct,
    link_of,
    multicasts,
    queries,
    readable,
    sent_records,
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

_STRANGER = "harness-neighbour.local."  # a host name of the harness, for which no device may answer
_PSEUDO = (RecordType.NSEC, RecordType.OPT)  # types that describe other records


def _of_each_kind(names: Names, of_host: RecordType) -> list[Question]:
    """A question about the host name, and one for each type of record that a service has."""
    questions = [Question(names.host, of_host)]
    for service in names.services[:1]:
        questions += [
            Question(service.name, RecordType.TXT),
            Question(service.name, RecordType.SRV),
            Question(service.type, RecordType.PTR),
        ]
    return questions


def _question_text(question: Question) -> str:
    return f"{readable(question.name)} {type_name(question.type)}"


@requirement(
    "MDNS-15",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="6",
    level=Level.MUST,
    purpose="ensure that the device multicasts its own records only, in responses without questions",
    stimulus="Multicast queries for ANY, TXT, SRV and PTR records of the device, and for a host of ours",
    expect="Each is answered in the answer section of a response without questions, from port 5353 to the "
    "multicast group; no answer for our host",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS,),
    usual_cause="The code of a unicast DNS server: it repeats the question in its response, answers from "
    "another port, does not know ANY, or answers for every name like a captive portal.",
    phase=Phase.WATCH,
)
class AnswersToEverybody(Check):
    """Queries one by one; each must be answered as multicast DNS prescribes."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        names = await settled_names(bench)
        stranger = record(_STRANGER, mdns.Address(bench.mdns.address), ttl=120, cache_flush=True)
        bench.mdns.send(mdns.encode_response([stranger]), "our own host is announced")
        bench.mdns.send(mdns.encode_query([Question(_STRANGER, RecordType.A)]))
        for question in _of_each_kind(names, RecordType.ANY):
            begin = bench.mark()
            await ask(bench, question, multicast=True)
            answers = sent_records(seen_by(bench, begin), question.name, question.type)
            if answers and not _in_answer_section(answers):
                # The record may just have been sent with an answer to another host, and need not be repeated.
                await ask(bench, question, multicast=True)
        goodbye = record(_STRANGER, mdns.Address(bench.mdns.address), ttl=0, cache_flush=True)
        bench.mdns.send(mdns.encode_response([goodbye]), "our own host says goodbye")

    def judge(self, case: Case) -> Outcome:
        names = names_of(run_so_far(case))
        strange = queries(case, _STRANGER, RecordType.A)
        if foreign := sent_records(case, _STRANGER):
            return failed("the device answered for another host's name", strange, foreign[0].packet)
        for packet in multicasts(case):
            if packet.value.questions:
                return failed("a multicast response contains a question", packet)
            if not packet.body.source.endswith(":5353"):
                return failed(f"a response came from {packet.body.source}, not from port 5353", packet)
        evidence = []
        own = _of_each_kind(names, RecordType.ANY)
        for question, following in zip_longest(own, own[1:]):
            asked = queries(case, question.name, question.type)
            if not asked:
                return inconclusive(f"{_question_text(question)} was not queried")
            # Later records belong to the answer to another question.
            later = queries(case, following.name, following.type)[:1] if following else []
            end = later[0].line if later else None
            answers = sent_records(case, question.name, question.type, after=asked[0].line, before=end)
            if not answers:
                return failed(f"no answer to {_question_text(question)} after {len(asked)} queries", asked)
            everybody = [answer for answer in answers if not answer.unicast]
            if not everybody:
                return failed(
                    f"{_question_text(question)} was answered by unicast, which was not requested",
                    asked,
                    answers[0].packet,
                )
            answer = _in_answer_section(everybody)
            if answer is None:
                return failed(
                    f"{_question_text(question)} was sent outside the answer section only",
                    asked,
                    everybody[0].packet,
                )
            evidence += [asked[0], answer.packet]
        return passed("every query was answered as prescribed, and none for another host's name", evidence)


def _in_answer_section(answers: list[RecordSeen]) -> RecordSeen | None:
    return first(answers, lambda found: found.section is Section.ANSWER)


@requirement(
    "MDNS-19",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="6.3",
    level=Level.MUST,
    purpose="ensure that the device answers every question of a query with several questions",
    stimulus="One query for A, TXT, SRV and PTR records of the device, with a question for a foreign name "
    "among them",
    expect="All records of the device are sent, in one response or several",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS,),
    usual_cause="The parser reads the first question only, or stops at the first that is not its own.",
    phase=Phase.WATCH,
)
class EveryQuestion(Check):
    """One packet with many questions."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        own = _several(await settled_names(bench))
        if not await ask(bench, *own, foreign=[Question(_STRANGER, RecordType.A)]):
            await ask(bench, own[-1])  # a single question, to see whether the device answers at all

    def judge(self, case: Case) -> Outcome:
        own = _several(names_of(run_so_far(case)))
        asked = queries(case, own[-1].name, own[-1].type)
        together = [seen for seen in asked if len(seen.value.questions) > 1]
        alone = first(asked, lambda seen: len(seen.value.questions) == 1)
        if not together:
            return inconclusive("the questions were not sent together")
        # Judge each repetition alone: answers to several do not show that one was answered.
        ends = [*(seen.line for seen in asked[1 : len(together)]), alone.line if alone else None]
        for query, end in zip(together, ends, strict=True):
            answers = {
                each: sent_records(case, each.name, each.type, after=query.line, before=end) for each in own
            }
            missing = [each for each, found in answers.items() if not found]
            seen = [found[0].packet for found in answers.values() if found]
            if not missing:
                return passed(f"all {len(own)} questions of one query were answered", query, seen)
        if alone:
            seen += [
                found.packet for found in sent_records(case, own[-1].name, own[-1].type, after=alone.line)[:1]
            ]
        if not seen:
            return inconclusive("the device answers nothing, not even a single question", asked)
        text = " and ".join(_question_text(each) for each in missing)
        return failed(f"{text} was not answered in a query with several questions", together, seen)


def _several(names: Names) -> list[Question]:
    """Questions for one query."""
    own = _of_each_kind(names, RecordType.A)
    return own if len(own) > 1 else [*own, Question(names.host, RecordType.ANY)]


@requirement(
    "MDNS-16",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="6, 6.1",
    level=Level.MUST,
    purpose="ensure that the device denies a type of record that its own name does not have",
    stimulus="Query the AAAA record of the host name or, if it has one, HINFO",
    expect="An NSEC record in the restricted form: own name, and a bitmap of the existing types",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS,),
    usual_cause="An IPv4-only device ignores queries for its IPv6 address; phones and "
    "computers then wait five seconds before they use the IPv4 address that they already have.",
    phase=Phase.WATCH,
)
class NegativeAnswer(Check):
    """Queries a type that the host name does not have."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        host = (await settled_names(bench)).host
        await ask(bench, Question(host, RecordType.A))
        await ask(bench, Question(host, RecordType.AAAA))
        if sent_records(seen_by(bench), host, RecordType.AAAA):
            await ask(bench, Question(host, RecordType.HINFO))

    def judge(self, case: Case) -> Outcome:
        run = run_so_far(case)
        host = names_of(run).host
        missing = RecordType.HINFO if sent_records(run, host, RecordType.AAAA) else RecordType.AAAA
        if exists := sent_records(run, host, missing):
            return passed(
                f"the host name has even {missing.name}, so there is nothing to deny", exists[0].packet
            )
        control = sent_records(case, host, RecordType.A)
        asked = queries(case, host, missing)
        if not control or not asked:
            return inconclusive("the device did not answer for its address either")
        denials = sent_records(case, host, RecordType.NSEC, after=asked[0].line)
        if not denials:
            return failed(
                f"no answer to {len(asked)} queries for {readable(host)} {missing.name}, which does not "
                "exist",
                control[0].packet,
                asked,
            )
        exist = {found.record.type for found in sent_records(run, host) if found.record.type not in _PSEUDO}
        return _judge_denial(denials[0], missing, exist, asked[0])


def _judge_denial(denial: RecordSeen, missing: RecordType, exist: set[int], asked: Packet) -> Outcome:
    data = denial.record.data
    if not isinstance(data, mdns.Nsec):
        return failed("the NSEC record cannot be read", asked, denial.packet)
    if not mdns.same_name(data.next_name, denial.record.name):
        return failed(f"the next name of the NSEC is {data.next_name}, not its own", asked, denial.packet)
    if missing in data.types:
        return failed(f"the NSEC says that {missing.name} exists, but none was sent", asked, denial.packet)
    if denied := exist - set(data.types):
        text = ", ".join(map(type_name, sorted(denied)))
        return failed(f"the NSEC denies {text}, which the device itself sends", asked, denial.packet)
    if RecordType.NSEC in data.types:
        return warned("the NSEC lists itself, although no such record exists", asked, denial.packet)
    return passed(f"an NSEC record says that there is no {missing.name}", asked, denial.packet)


@requirement(
    "MDNS-17",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="6.2",
    level=Level.MUST,
    purpose="ensure that the device announces the addresses that are valid on the link, and no others",
    stimulus="Query the address of the host name",
    expect="They include the source address of the answer; none is unspecified, loopback, multicast, left "
    "over from before DHCP, or of another link",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS,),
    usual_cause="The record is filled once at start-up, before DHCP has an address or for the wrong one of "
    "two interfaces, and is never updated.",
    phase=Phase.WATCH,
)
class OwnAddresses(Check):
    """Compares the announced addresses with the source address of the packets."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await ask(bench, Question((await settled_names(bench)).host, RecordType.A))

    def judge(self, case: Case) -> Outcome:
        host = names_of(run_so_far(case)).host
        answers = [
            found for type in ADDRESSES for found in sent_records(case, host, type, after=case.window[0].line)
        ]
        if not answers:
            return inconclusive(f"the device sent no address of {readable(host)}")
        # A program may send unicast answers from another address of its machine, but not multicasts.
        spoke = {seen.body.source.rpartition(":")[0] for seen in multicasts(run_so_far(case))}
        own = spoke or {answers[0].packet.body.source.rpartition(":")[0]}
        texts = {}
        network = _network(case, own)
        for found in answers:
            data = found.record.data
            if not isinstance(data, mdns.Address):
                return failed("an address record cannot be read", found.packet)
            if problem := _unfit(data.text, own, network):
                return failed(f"{readable(host)} is announced with {data.text}, {problem}", found.packet)
            texts[data.text] = found.packet
        if not own & set(texts):
            here, there = ", ".join(sorted(own)), ", ".join(texts)
            return failed(f"the device sends from {here}, but announces {there}", list(texts.values()))
        return passed(
            f"{readable(host)} is announced with {', '.join(texts)}, as its packets", list(texts.values())
        )


def _network(case: Case, own: set[str]) -> ipaddress.IPv4Network | None:
    """The IPv4 network of the link; None if the trace does not show it."""
    if all(address.startswith("127.") for address in own):
        return ipaddress.IPv4Network("127.0.0.0/8")
    link = link_of(case)
    return link.network if link else None


def _unfit(text: str, own: set[str], network: ipaddress.IPv4Network | None) -> str | None:
    """Why a host on the link cannot have that address; None if it can."""
    address = ipaddress.ip_address(text)
    if text in own:
        return None
    if address.is_unspecified:
        return "which is not an address"
    if address.is_loopback and not any(ipaddress.ip_address(other).is_loopback for other in own):
        return "which other hosts cannot reach"
    if address.is_multicast:
        return "which is a multicast address"
    if address.version == 4 and address.is_link_local:
        return "an address from before DHCP, while it sends from another one"
    if network is not None and address.version == 4 and address not in network:
        return f"which is not on the link, {network}"
    return None


@requirement(
    "MDNS-29",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="16",
    level=Level.MUST,
    purpose="ensure that the device ignores the case of letters in names",
    stimulus="Query the host name and an instance name with upper and lower case swapped",
    expect="The same records as for the usual case",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS,),
    usual_cause="Names are compared byte by byte.",
    phase=Phase.WATCH,
)
class AnyCase(Check):
    """The same questions twice, with upper and lower case swapped."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        for question in _named(await settled_names(bench)):
            await ask(bench, question)
            await ask(bench, replace(question, name=question.name.swapcase()))

    def judge(self, case: Case) -> Outcome:
        evidence = []
        for question in _named(names_of(run_so_far(case))):
            swapped = question.name.swapcase()
            asked = queries(case, swapped, question.type, exactly=True)
            if not asked:
                return inconclusive(f"{swapped} was not queried")
            usual = sent_records(case, question.name, question.type, before=asked[0].line)
            if not usual:
                return inconclusive(f"the device does not answer for {readable(question.name)} either")
            answers = sent_records(case, question.name, question.type, after=asked[0].line)
            if not answers:
                return failed(
                    f"{readable(question.name)} is answered, but {readable(swapped)} is not",
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
        return passed("names with swapped case got the same answers", evidence)


def _named(names: Names) -> list[Question]:
    services = [Question(service.name, RecordType.SRV) for service in names.services[:1]]
    return [Question(names.host, RecordType.A), *services]


def _contains(found: list[RecordSeen], wanted: RecordSeen) -> bool:
    return any(wanted.record.same_data(other.record) for other in found)
