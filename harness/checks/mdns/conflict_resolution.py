"""Conflicts after the device has announced its names (RFC 6762, 6.6 and 9)."""

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
    disputed_names,
    is_among,
    names_of,
    own_names,
)
from harness.checks.support.mdns.queries import (
    announced_names,
    ask,
    settled_names,
)
from harness.checks.support.mdns.records_seen import (
    UNIQUE_TYPES,
    Packet,
    distinct,
    queries,
    readable,
    sent_records,
    target_of,
)
from harness.checks.support.mdns.rival import (
    Rival,
    assertions,
    claims,
    dispute,
    new_names,
    probes,
    rival_of,
)
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act, Direction
from harness.wire.mdns.codec import (
    Question,
    RecordType,
    encode_query,
    encode_response,
)

_IDENTICAL = "another host tells the very same records"  # part of traces: must not change
_PROBES_WITHIN = 0.25  # seconds: the random delay before the first probe (RFC 6762, 8.1)
_WAY = 0.1
_GIVEN_UP = 5.0  # seconds to probe, lose, and announce other names, with a margin


async def contradict(bench: Bench, rival: Rival) -> None:
    """Claim the names of the device with other records, and again whenever it probes."""
    since = bench.mark()
    bench.mdns.send(rival.assertion(), "another host claims the names")
    await dispute(bench, rival, since=since, within=_GIVEN_UP, imposed_by="RFC 6762 8.1 and 9")


@requirement(
    "MDNS-11",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="9, 6.6",
    level=Level.MUST,
    purpose="ensure that the device probes again after a conflict, and gives up its names if it loses",
    stimulus="Send records identical to the device's; then different ones of the same names, and claim them "
    "again when the device probes",
    expect="No reaction to the identical records; probes after the different ones, then other names "
    "(recommended) and no more use of the lost ones",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS,),
    usual_cause="Conflicts are detected at the start only; when two networks are joined later, two devices "
    "share a name. Or the device takes its own packets for those of a rival.",
    phase=Phase.RESET,
)
class LaterConflict(Check):
    """A harmless neighbour first, then one that claims the same names."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        names = await announced_names(bench)
        for name in names.unique:
            await ask(bench, Question(name, RecordType.A if name == names.host else RecordType.SRV))
        same = [
            found.record
            for name in names.unique
            for found in distinct(sent_records(seen_by(bench), name))
            if found.record.type in UNIQUE_TYPES
        ]
        bench.mdns.send(encode_response(same), _IDENTICAL)
        await bench.watch_silence(
            _PROBES_WITHIN + _WAY,
            imposed_by="RFC 6762 8.1",
            what="the device to probe again, if it wrongly sees a conflict",
        )
        await contradict(bench, rival_of(bench, names_of(seen_by(bench))))

    def judge(self, case: Case) -> Outcome:
        identical = first(case.stimuli(Act.RAW), lambda act: act.value.name == _IDENTICAL)
        asserted = assertions(case)[1:]  # the first one is the identical one
        if identical is None or not asserted:
            return inconclusive("no conflicting records were sent")
        conflict = asserted[0]
        disputed = [record.name for record in conflict.value.answers]
        reactions = [
            seen
            for seen in case.mdns()
            if identical.line < seen.line < conflict.line and seen.value.authorities
        ]
        if reactions:
            return failed("identical records were treated as a conflict", identical, reactions[0])
        return _judge_conflict(case, disputed, conflict)


def _judge_conflict(case: Case, disputed: list[str], conflict: Packet) -> Outcome:
    others = new_names(case, disputed, after=conflict.line)
    for name in disputed:
        asked = probes(case, name, after=conflict.line)
        if not asked and not others:
            return failed(
                f"another host claimed {readable(name)}, but the device did not probe for it again", conflict
            )
        if not asked:
            return warned(
                f"the device gave up {readable(name)} without probing for it again",
                conflict,
                others[0].packet,
            )
        denial = next((seen for seen in assertions(case) if seen.line > asked[0].line), None)
        if denial is None:
            return inconclusive("the device's probe was not answered", asked)
        # Its other records of that name, such as TXT, are not in conflict (section 9 goes by name and type).
        lost = {record.type for record in conflict.value.answers if is_among(record.name, [name])}
        kept = [
            found
            for found in claims(case, name, after=denial.line)
            if found.record.type in lost and found.packet.time > denial.time + _WAY
        ]
        if kept:
            return failed(
                f"{readable(name)} belongs to another host now, but the device still uses it",
                conflict,
                asked[0],
                denial,
                kept[0].packet,
            )
    first_probe = probes(case, disputed[0], after=conflict.line)[0]
    if not others:
        return warned("the device gave up its names, but did not take others", conflict, first_probe)
    return passed(
        f"the device probed again, lost, and is {readable(others[0].record.name)} now",
        conflict,
        first_probe,
        others[0].packet,
    )


@requirement(
    "PROFILE-41",
    area=Area.MDNS,
    standard="profile",
    clause="bindings.mdns",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the device is found only under its new names after a conflict",
    stimulus="After a name conflict, browse, and query the new and the old names",
    expect="The new names lead to the device; the old ones are not answered",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS,),
    usual_cause="The new name is announced, but queries are still compared with the old one, or one "
    "record keeps it.",
    phase=Phase.RESET,
)
class FoundAfterConflict(Check):
    """Looks for the device like an app that knows its old name."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        names = await settled_names(bench)
        if not _lost(seen_by(bench)):
            await contradict(bench, rival_of(bench, names))
            names = names_of(seen_by(bench))
        lost = _lost(seen_by(bench))
        if lost:
            questions = [Question(name, RecordType.ANY, unicast_response=True) for name in lost]
            bench.mdns.send(encode_query(questions), "a query for the old names")
        for question in _own_questions(names):
            await ask(bench, question)

    def judge(self, case: Case) -> Outcome:
        run = run_so_far(case)
        names, lost = names_of(run), _lost(run)
        if not lost:
            if not assertions(run):
                return inconclusive("there was no conflict")
            return failed("the device kept its names despite the conflict", assertions(run)[-1])
        asked = first(case.mdns(Direction.TO_DUT), lambda seen: _asks(seen, lost))
        if asked is None:
            return inconclusive("the old names were not queried")
        evidence = [asked]
        for question in _own_questions(names):
            answers = sent_records(case, question.name, question.type, after=asked.line)
            if not answers:
                tried = queries(case, question.name, question.type)
                return failed(
                    f"{readable(question.name)} is a new name, but queries are not answered", asked, tried
                )
            evidence.append(answers[0].packet)
        for name in lost:
            if still := claims(case, name, after=asked.line):
                return failed(f"the device still answers for {readable(name)}", asked, still[0].packet)
        for found in sent_records(case, type=RecordType.PTR, after=asked.line):
            if is_among(target_of(found), lost):
                return failed(f"browsing still finds {readable(target_of(found))}", asked, found.packet)
        return passed("the device is found under its new names only", evidence)


def _own_questions(names: Names) -> list[Question]:
    questions = [Question(names.host, RecordType.A)]
    for service in names.services[:1]:
        questions += [Question(service.type, RecordType.PTR), Question(service.name, RecordType.SRV)]
    return questions


def _lost(run: Case) -> list[str]:
    """The names of the device that the harness disputed and that the device gave up."""
    names, own = names_of(run), own_names(run)
    return [
        name
        for name in dict.fromkeys(disputed_names(run))
        if name.lower() in own and not is_among(name, names.unique)
    ]


def _asks(seen: Packet, names: list[str]) -> bool:
    return not seen.value.response and all(
        is_among(question.name, names) for question in seen.value.questions
    )
