"""Known-answer suppression: answers that the querier already has are not sent (RFC 6762, 7.1)."""

from __future__ import annotations

from harness.checks.bench import Bench, StimulusError
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
from harness.checks.support.mdns.names import names_of
from harness.checks.support.mdns.queries import (
    ANSWER,
    answer_to,
    ask,
    known_answer_query,
    settled_names,
    wait_for_spacing,
)
from harness.checks.support.mdns.records_seen import (
    Packet,
    distinct,
    foreign_queries,
    may_be_announcement,
    queries,
    readable,
    sent_records,
)
from harness.model.requirement import Area, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.wire.mdns.codec import (
    Question,
    RecordType,
)

_DELAYED = 0.12 + 0.08  # seconds: the longest random delay of an answer, and its transmission


@requirement(
    "MDNS-20",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="7.1",
    level=Level.MUST,
    purpose="ensure that the device does not send known answers, unless they expire soon",
    stimulus="Browse with the answer listed as known: at its full TTL, at just over half, at less than half",
    expect="No answer, no answer, an answer",
    ics="DNSSD.SERVICE",
    needs=(BenchFeature.MDNS,),
    usual_cause="The answer section of queries is ignored, so that every device answers every browser on a "
    "busy link; or its TTL is ignored, and caches expire.",
    phase=Phase.WATCH,
)
class KnownAnswers(Check):
    """Three queries with different remaining lifetimes of the known answer."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        question = Question((await settled_names(bench)).services[0].type, RecordType.PTR)
        if not await ask(bench, question):
            raise StimulusError(f"browsing for {readable(question.name)} finds nothing")
        known = [
            found.record for found in distinct(sent_records(seen_by(bench), question.name, RecordType.PTR))
        ]
        ttl = max(record.ttl for record in known)
        await wait_for_spacing(bench, [question])
        for left, text in ((ttl, "the full TTL"), (ttl // 2 + 1, "more than half of the TTL")):
            bench.mdns.send(
                known_answer_query(question, known, ttl=left), f"the answer is known for {text}, {left} s"
            )
            await bench.watch_silence(
                _DELAYED, imposed_by="RFC 6762 6", what="an answer may be delayed by up to 120 ms"
            )
        left = ttl * 4 // 9  # less than half: a browser that is about to refresh
        for _ in range(2):
            await wait_for_spacing(bench, [question])
            begin = bench.mark()
            bench.mdns.send(
                known_answer_query(question, known, ttl=left),
                f"the answer is known for {left} s only",
            )
            if await answer_to(bench, [question], since=begin):
                return

    def judge(self, case: Case) -> Outcome:
        run = run_so_far(case)
        owner = names_of(run).services[0].type
        if foreign_queries(case, owner):
            return inconclusive("another host browsed at the same time, so answers may have been for it")
        asked = [seen for seen in queries(case, owner, RecordType.PTR) if seen.value.answers]
        if len(asked) < 3:
            return inconclusive("the queries were not sent")
        ttl = _left(asked[0])
        silenced = [seen for seen in asked if _left(seen) * 2 >= ttl]
        for seen, following in zip(silenced, asked[1:], strict=False):
            answers = [
                found
                for found in sent_records(case, owner, RecordType.PTR, after=seen.line, before=following.line)
                if not may_be_announcement(run, found.packet)
            ]
            if answers:
                return failed(
                    f"sent again although it was listed as known for {_left(seen)} s of {ttl} s",
                    seen,
                    answers[0].packet,
                )
        expiring = asked[len(silenced) :]
        answers = sent_records(case, owner, RecordType.PTR, after=expiring[0].line)
        if not answers:
            return failed(
                f"not sent within {ANSWER:g} s, although it was listed with only {_left(expiring[0])} s left "
                f"of {ttl} s",
                expiring,
            )
        return passed("known answers are not sent unless they expire soon", asked, answers[0].packet)


def _left(query: Packet) -> int:
    return query.value.answers[0].ttl
