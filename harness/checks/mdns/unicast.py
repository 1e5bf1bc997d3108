"""Unicast answers: on request, and to plain DNS clients (RFC 6762, 5.4 and 6.7)."""

from __future__ import annotations

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
    ANSWER,
    ATTEMPTS,
    answer_to,
    ask,
    settled_names,
)
from harness.checks.support.mdns.records_seen import (
    Packet,
    queries,
    readable,
    responses,
    sent_records,
)
from harness.model.requirement import Area, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.wire import mdns
from harness.wire.mdns.codec import (
    Question,
    RecordType,
    encode_query,
    same_name,
)

_LEGACY_ID = 0x1234
_LEGACY_TTL = 10  # seconds at most (RFC 6762, 6.7)


@requirement(
    "MDNS-24",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="5.4",
    level=Level.SHOULD,
    purpose="ensure that the device answers by unicast on request if it multicast the record recently",
    stimulus="Let the address be multicast, then query it with the unicast-response bit",
    expect="A unicast answer to our port 5353",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS,),
    usual_cause="The top bit of the question's class is masked out and ignored.",
    phase=Phase.WATCH,
)
class UnicastOnRequest(Check):
    """The unicast-response bit, soon after a multicast of the same record."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        question = Question((await settled_names(bench)).host, RecordType.A)
        if not _fresh(seen_by(bench), question.name, bench.now):
            await ask(bench, question, multicast=True)
        await ask(bench, question)

    def judge(self, case: Case) -> Outcome:
        run = run_so_far(case)
        host = names_of(run).host
        asked = [
            seen for seen in queries(case, host, RecordType.A) if seen.value.questions[0].unicast_response
        ]
        if not asked:
            return inconclusive("no query for a unicast answer was sent")
        before = _fresh(run, host, asked[0].time, asked[0].line)
        answers = sent_records(case, host, RecordType.A, after=asked[0].line)
        if before is None or not answers:
            return inconclusive(f"the device does not answer for the address of {readable(host)}")
        answer = first(answers, lambda found: found.unicast)
        if answer is None:
            return failed(
                f"the address was multicast {asked[0].time - before.time:.1f} s ago and queried by unicast, "
                "but was multicast again",
                before,
                asked[0],
                answers[0].packet,
            )
        return passed("the address was sent by unicast, as requested", before, asked[0], answer.packet)


def _fresh(run: Case, host: str, now: float, before: int | None = None) -> Packet | None:
    """The last multicast of the address, if it was within a quarter of its TTL."""
    found = [each for each in sent_records(run, host, RecordType.A, before=before) if not each.unicast]
    return found[-1].packet if found and now - found[-1].time < found[-1].record.ttl / 4 else None


@requirement(
    "MDNS-25",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="6.7, 18.1, 18.14",
    level=Level.MUST,
    purpose="ensure that the device answers plain DNS clients in a form that they understand",
    stimulus="A query with an ID from a port other than 5353",
    expect="A unicast answer to that port with the same ID and question, without cache-flush bits and with "
    "uncompressed SRV targets; TTLs of ten seconds at most (recommended)",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS,),
    usual_cause="Plain DNS clients get the same answer as all others: ID 0, no question, cache-flush bits; "
    "they drop it as an answer to somebody else.",
    phase=Phase.WATCH,
)
class PlainDnsClients(Check):
    """Queries like nslookup and small resolvers."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        question = _legacy_question(await settled_names(bench))
        for attempt in range(ATTEMPTS):
            begin = bench.mark()
            query = encode_query([question], id=_LEGACY_ID + attempt)
            bench.mdns.send_legacy(query, "a query of a plain DNS client")
            if await answer_to(bench, [question], since=begin):
                break
        await ask(bench, question)

    def judge(self, case: Case) -> Outcome:
        question = _legacy_question(names_of(run_so_far(case)))
        asked = [seen for seen in queries(case, question.name, question.type) if seen.value.id]
        ports = {seen.body.source for seen in asked}
        usual = sent_records(case, question.name, question.type)
        if not asked:
            return inconclusive("no query was sent from another port")
        answers = [seen for seen in responses(case) if seen.body.destination in ports]
        if not answers:
            if not usual:
                return inconclusive("the device answers no queries")
            return failed(
                f"no answer to the port of a plain DNS client within {ANSWER:g} s", asked, usual[0].packet
            )
        answer = answers[0]
        query = next(seen for seen in asked if seen.body.source == answer.body.destination)
        if problem := _not_for_plain_dns(query, answer, question):
            return failed(f"the answer to a plain DNS client {problem}", query, answer)
        slow = first(answer.value.records, lambda record: record.ttl > _LEGACY_TTL)
        if slow:
            return warned(
                f"the answer to a plain DNS client has a TTL of {slow.ttl} s, more than {_LEGACY_TTL}",
                query,
                answer,
            )
        return passed("a plain DNS client got an answer that it understands", query, answer)


def _legacy_question(names: Names) -> Question:
    """The SRV record, which has special rules here; without services the address."""
    if names.services:
        return Question(names.services[0].name, RecordType.SRV)
    return Question(names.host, RecordType.A)


def _not_for_plain_dns(query: Packet, answer: Packet, question: Question) -> str | None:
    """Why a plain DNS client would drop or misread that answer; None if it would not."""
    message = answer.value
    if message.id != query.value.id:
        return f"has the ID {message.id}, not {query.value.id}"
    if not any(
        same_name(each.name, question.name) and each.type == question.type for each in message.questions
    ):
        return "does not repeat the question"
    if not any(same_name(each.name, question.name) for each in message.answers):
        return "does not have the record in its answer section"
    for record in message.records:
        if record.cache_flush:
            return f"sets the cache-flush bit of {readable(record.name)}"
        if isinstance(record.data, mdns.Srv) and record.data.compressed:
            return f"compresses the target in the SRV record of {readable(record.name)}"
    return None
