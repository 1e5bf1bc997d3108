"""When the device answers: neither too early nor too late nor too often (RFC 6762, 6)."""

from __future__ import annotations

from dataclasses import dataclass

from harness.checks.bench import Bench
from harness.checks.case import (
    Case,
    failed,
    inconclusive,
    passed,
    run_so_far,
    seen_by,
)
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.support.mdns.names import (
    Names,
    names_of,
)
from harness.checks.support.mdns.queries import (
    ATTEMPTS,
    SPACING,
    answer_to,
    ask,
    settled_names,
    wait_for_spacing,
)
from harness.checks.support.mdns.records_seen import (
    Packet,
    RecordSeen,
    foreign_queries,
    may_be_announcement,
    multicasts,
    queries,
    readable,
    records_of,
    sent_records,
)
from harness.model.requirement import Area, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.wire.mdns.codec import (
    Question,
    RecordType,
    encode_query,
    type_name,
)

_EARLIEST, _LATEST = 0.020, 0.120  # seconds of random delay if other hosts may answer as well
_TICK = 0.003  # seconds by which a coarse timer may be early
_WAY = 0.180  # seconds for the transmission of query and answer on a slow link
_AT_ONCE = 0.010 + 0.090  # seconds for an answer that needs no delay, and its transmission on a quiet link

_JITTER = 0.1  # seconds by which two packets may move closer on the way
_BURST = (0.15, 0.15, 0.2)  # seconds between the queries of a burst


@requirement(
    "MDNS-18",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="6, 6.3",
    level=Level.SHOULD,
    purpose="ensure that the device delays answers that other hosts may also give, and no others",
    stimulus="Query PTR and unique records of the device; all queries of the run count",
    expect="PTR is answered after 20 to 120 ms, unique records at once; transmission time is allowed for",
    ics="DNSSD.SERVICE",
    needs=(BenchFeature.MDNS,),
    usual_cause="All answers are sent at once, so that a hundred devices answer a browser in the same "
    "millisecond; or all are delayed, and every name takes a tenth of a second longer.",
    phase=Phase.WATCH,
)
class Delays(Check):
    """The time from query to answer, for a shared and for a unique record."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        names = await settled_names(bench)
        # Queries of other checks count as well: the network may be slow at times, a slow device always is.
        for _ in range(ATTEMPTS):
            unique = _quickest(seen_by(bench), _unique(names))
            if unique and unique.seconds <= _AT_ONCE:
                break
            await ask(bench, Question(names.host, RecordType.A), multicast=True)
        if not _quickest(seen_by(bench), _shared(names)):
            await ask(bench, *_shared(names), multicast=True)

    def judge(self, case: Case) -> Outcome:
        run = run_so_far(case)
        names = names_of(run)
        shared, unique = _quickest(run, _shared(names)), _quickest(run, _unique(names))
        if shared is None or unique is None:
            return inconclusive("the device did not answer")
        if shared.seconds < _EARLIEST - _TICK:
            return failed(
                f"PTR was sent {shared} after the query, without the required delay", shared.packets
            )
        if shared.seconds > _LATEST + _WAY:
            return failed(f"PTR was sent {shared} after the query, too late", shared.packets)
        if unique.seconds > _AT_ONCE:
            return failed(f"a unique record was sent {unique} after the query, too late", unique.packets)
        return passed(
            f"PTR was sent after {shared}, a unique record after {unique}",
            shared.packets,
            unique.packets,
        )


@dataclass(frozen=True, slots=True)
class _Delay:
    """The time from a query to its answer."""

    query: Packet
    answer: Packet

    @property
    def seconds(self) -> float:
        return self.answer.time - self.query.time

    @property
    def packets(self) -> tuple[Packet, Packet]:
        return self.query, self.answer

    def __str__(self) -> str:
        return f"{1000 * self.seconds:.0f} ms"


def _shared(names: Names) -> list[Question]:
    return [Question(names.services[0].type, RecordType.PTR)]


def _unique(names: Names) -> list[Question]:
    """Questions that only this device can answer."""
    host = [Question(names.host, type) for type in (RecordType.A, RecordType.ANY)]
    instance = names.services[0].name
    return [*host, *(Question(instance, type) for type in (RecordType.SRV, RecordType.TXT))]


def _quickest(run: Case, questions: list[Question]) -> _Delay | None:
    """The quickest answer to any of the questions in the run: slower ones may be due to the network."""
    delays = [delay for question in questions for delay in _delays(run, question)]
    return min(delays, key=lambda each: each.seconds, default=None)


def _delays(run: Case, question: Question) -> list[_Delay]:
    """The delays of the answers to queries with that question.

    Queries that could not be answered at once, or whose answers may be for another host, are left out.
    """
    found = sent_records(run, question.name, question.type)
    strangers = [seen.time for seen in foreign_queries(run, question.name)]
    delays: list[_Delay] = []
    for query in queries(run, question.name, question.type):
        if len(query.value.questions) > 1 or query.value.questions[0].unicast_response or query.value.answers:
            continue
        before = [each for each in found if each.line < query.line]
        after = [each for each in found if each.line > query.line]
        busy = [*(each.time for each in before), *strangers]
        if not after or may_be_announcement(run, after[0].packet):
            continue
        if not any(query.time - SPACING < time <= after[0].time for time in busy):
            delays.append(_Delay(query, after[0].packet))
    return delays


@requirement(
    "MDNS-23",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="6",
    level=Level.MUST,
    purpose="ensure that the device multicasts a record at most once a second",
    stimulus="Several identical queries for a shared and a unique record within a second",
    expect="Each record is multicast once; again, if at all, a second later",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS,),
    usual_cause="Every query is answered without checking when the record was last sent: a few busy "
    "browsers then congest a Wi-Fi network.",
    phase=Phase.BOUNDARY,
)
class OncePerSecond(Check):
    """A burst of queries, like those of several phones that wake up together."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        questions = _burst(await settled_names(bench))
        await wait_for_spacing(bench, questions)
        begin = bench.mark()
        for pause in _BURST:
            for question in questions:
                bench.mdns.send(encode_query([question]))
            await bench.watch_silence(
                pause,
                imposed_by="RFC 6762 6",
                what="a further answer within the second, which would be wrong",
            )
        await answer_to(bench, questions, since=begin)
        # Unicast answers are always allowed: this one shows that the device is still listening.
        await ask(bench, questions[0])

    def judge(self, case: Case) -> Outcome:
        names = names_of(run_so_far(case))
        asked = {question: queries(case, question.name, question.type) for question in _burst(names)}
        if any(len(seen) < len(_BURST) for seen in asked.values()):
            return inconclusive("the burst was not sent")
        multicast = [found for packet in multicasts(case) for found in records_of(packet) if found.record.ttl]
        if repeated := _too_soon(multicast):
            before, after = repeated
            return failed(
                f"{readable(after.record.name)} {type_name(after.record.type)} was multicast again after "
                f"{after.time - before.time:.3f} s",
                before.packet,
                after.packet,
            )
        evidence = []
        for question, seen in asked.items():
            answers = sent_records(case, question.name, question.type, after=seen[0].line)
            again = [each for each in seen if answers and each.line > answers[0].line]
            if not answers or not again:
                return inconclusive(f"{readable(question.name)} was not queried again after the answer")
            evidence += [seen[0], answers[0].packet, again[0]]
        return passed("every record was multicast at most once a second despite repeated queries", evidence)


def _burst(names: Names) -> list[Question]:
    services = [Question(service.type, RecordType.PTR) for service in names.services[:1]]
    return [Question(names.host, RecordType.A), *services]


def _too_soon(multicast: list[RecordSeen]) -> tuple[RecordSeen, RecordSeen] | None:
    """Two multicasts of one record less than a second apart."""
    last: list[RecordSeen] = []
    for found in multicast:
        before = next((each for each in last if each.record.same_data(found.record)), None)
        if before is not None:
            if before.packet is not found.packet and found.time - before.time < SPACING - _JITTER:
                return before, found
            last.remove(before)
        last.append(found)
    return None
