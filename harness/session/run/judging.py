"""Judging: from a trace to verdicts, without any I/O; the same code for one device and for several.

The run and ``harness judge`` both use this, so they cannot come to different verdicts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from harness.checks.case import Case
from harness.checks.catalogue import Check
from harness.checks.declaration import Phase
from harness.checks.observations import Readings
from harness.model.loading.profiles import profile_from_json
from harness.model.profile import Profile
from harness.model.requirement import Basis, Level
from harness.model.verdict import Outcome, Result, Subject, Verdict
from harness.session.bench.recording import lateness
from harness.session.result import Judgement, RunResult
from harness.session.run.lateness import extended
from harness.session.run.plan import PlannedCheck, plan
from harness.session.run.planned import Planned
from harness.trace.events import (
    Act,
    CheckEnded,
    CheckStarted,
    DeviceLost,
    Event,
    Judged,
    RunEnded,
    RunStarted,
    Stimulus,
)
from harness.trace.lines import TraceError
from harness.trace.trace import Trace, backwards, bodies

P = TypeVar("P", bound=Planned[Any])


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a trace that belongs to one run of one check."""

    events: Sequence[Event]
    end: CheckEnded | None  # None: the run ended in the middle of it


def judge(
    profile: Profile,
    trace: Sequence[Event],
    planned: PlannedCheck,
    readings: Readings | None = None,
) -> Judgement:
    """The verdict of one planned check, from the trace as it is; ``readings`` are those of that trace."""
    check, subject = planned.check, planned.subject

    def asked(window: Sequence[Event]) -> Outcome:
        outcome = check.judge(Case(profile, subject, trace, window, readings))
        late = lateness(window)
        if late == 0.0 or outcome.verdict not in _VIOLATIONS:
            return outcome
        lenient = check.judge(Case(extended(profile, late), subject, trace, window, readings))
        if lenient.verdict in _VIOLATIONS:
            return outcome
        return replace(outcome, verdict=Verdict.INCONCLUSIVE, message=f"{outcome.message}; {LATE} {late:g} s")

    outcome = outcome_of(planned, trace, asked)
    judged = judgement(profile, check, subject, outcome)
    if (lost := _loss_after(trace, check.requirement.id, subject)) and outcome.verdict in _SURPASSED:
        return _not_survived(judged, check.declaration.phase, trace, lost)
    return judged


def outcome_of(
    planned: Planned[Any], trace: Sequence[Event], asked: Callable[[Sequence[Event]], Outcome]
) -> Outcome:
    """The outcome of a planned check; ``asked`` asks the check itself, about the events of a window."""
    if planned.not_applicable is not None:
        return Outcome(Verdict.NOT_APPLICABLE, planned.not_applicable)
    window = window_of(trace, planned.check.requirement.id, planned.subject)
    if window is None and not planned.check.passive:
        return Outcome(Verdict.INCONCLUSIVE, "the run ended before this check")
    if window is not None and window.end is None:
        return Outcome(Verdict.INCONCLUSIVE, "the run ended during this check")
    if window is not None and window.end is not None and window.end.problem is not None:
        return Outcome(_verdict_of_problem(window.end), window.end.problem)
    try:
        return asked(trace if window is None else window.events)
    except Exception as problem:  # the harness's own fault, which must not look like the device's
        where = f"{type(problem).__name__}: {problem}"
        return Outcome(Verdict.ERROR, f"the check itself failed, please report it: {where}")


def judgement(profile: Profile, check: Check, subject: Subject, outcome: Outcome) -> Judgement:
    """Grade an outcome: a broken SHOULD warns, unless the profile promises to keep it."""
    requirement = check.requirement
    promised = profile.promises_to_keep(requirement.id)
    if promised and (requirement.level is not Level.MUST or outcome.verdict is Verdict.WARN):
        requirement = replace(
            requirement, level=Level.MUST, clause=f"{requirement.clause}; profile: promises"
        )
    if promised and outcome.verdict is Verdict.WARN:
        outcome = replace(outcome, verdict=Verdict.FAIL)
    if requirement.level is not Level.MUST and outcome.verdict is Verdict.FAIL:
        outcome = replace(outcome, verdict=Verdict.WARN)
    return Judgement(requirement, Result(requirement.id, subject, outcome))


_VIOLATIONS = (Verdict.FAIL, Verdict.WARN)

LATE = "but that is less than the harness itself was late:"
"""What the message says of a deadline that was missed by less than the lateness of the loop."""

_SURPASSED = (Verdict.PASS, Verdict.WARN, Verdict.INCONCLUSIVE)
"""Verdicts that do not stand where the device has not survived the check."""

_ROBUSTNESS = (Phase.BOUNDARY, Phase.REFUSAL, Phase.MALFORMED)
"""Phases whose requirements say what a device has to do with what is sent: to die is against their clause."""

_OUTAGES = (Act.DROP_LINK, Act.RESTART_BROKER, Act.REFUSE, Act.KILL, Act.STOP, Act.REBOOT, Act.NETWORK_OFF)
"""After these acts, not coming back is no matter of what was sent."""


def _loss_after(trace: Sequence[Event], check_id: str, subject: Subject) -> Event | None:
    """The event that the device did not come back after the last run of a check, if so."""
    name = (check_id, subject)
    lost = next((event for event, body in backwards(trace, DeviceLost) if _name(body) == name), None)
    begin = next((event for event, body in backwards(trace, CheckStarted) if _name(body) == name), None)
    return lost if lost is not None and begin is not None and begin.line < lost.line else None


def _not_survived(judged: Judgement, phase: Phase, trace: Sequence[Event], lost: Event) -> Judgement:
    """The verdict on a device that did not come back by itself, by the clause of the check or as practice."""
    requirement, outcome = judged.requirement, judged.result.outcome
    window = window_of(trace, judged.result.check, judged.result.subject)
    acts = bodies(window.events, Stimulus) if window is not None else []
    was_cut = any(act.act in _OUTAGES for _, act in acts)
    if requirement.level is not Level.MUST or phase not in _ROBUSTNESS or was_cut:
        requirement = replace(
            requirement,
            standard="good practice",
            clause="a device survives its use, and comes back by itself",
            level=Level.MUST,
            basis=Basis.PRACTICE,
        )
    body = lost.body
    assert isinstance(body, DeviceLost)
    message = f"the device did not survive this check: waited {body.seconds:g} s for {body.waited_for}"
    if outcome.verdict is Verdict.INCONCLUSIVE:
        message = f"{message} ({outcome.message})"
    last = [event.line for event, _ in acts[-1:]]
    failure = Outcome(Verdict.FAIL, message, (*last, lost.line))
    return Judgement(requirement, Result(judged.result.check, judged.result.subject, failure))


def window_of(trace: Sequence[Event], check_id: str, subject: Subject) -> Window | None:
    """The last window of a check in a trace; None when it was never started."""
    name = (check_id, subject)
    begin = next((event for event, body in backwards(trace, CheckStarted) if _name(body) == name), None)
    if begin is None:
        return None
    for event, body in bodies(trace, CheckEnded):
        if event.line > begin.line and _name(body) == name:
            return Window(trace[begin.line - 1 : event.line], body)
    return Window(trace[begin.line - 1 :], None)


def judge_again(
    trace: Trace, path: Path, everything: Iterable[P], judge: Callable[[P, Sequence[Event]], Judgement]
) -> tuple[Judgement, ...]:
    """The verdicts of the checks that a recorded run took up, in its order. Raises TraceError.

    ``everything``: all checks that the run may have planned. ``judge`` gets a planned check and what the run
    had seen when it judged it; of a check that the run did not come to judge, everything.
    """
    taken = {
        _name(event.body): event.line for event in trace if isinstance(event.body, CheckStarted | Judged)
    }
    planned = {(item.check.requirement.id, item.subject): item for item in everything}
    unknown = [check for check, subject in taken if (check, subject) not in planned]
    if unknown:
        raise TraceError(f"{path}: was recorded with checks that this version does not have: {unknown[0]}")

    def seen(line: int) -> Sequence[Event]:
        return trace if isinstance(trace[line - 1].body, CheckStarted) else trace[: line - 1]

    return tuple(judge(planned[name], seen(line)) for name, line in taken.items())


def end_of(trace: Sequence[Event]) -> str:
    """How a recorded run ended: ``complete``, or why it ended early."""
    last = trace[-1].body
    return last.reason if isinstance(last, RunEnded) else "the trace breaks off: the run was killed"


def result_of_trace(trace: Sequence[Event], path: Path) -> RunResult:
    """The result of a recorded run, judged again. Raises TraceError when the trace has no beginning.

    The checks are those that the run took up, in its order.
    """
    trace = Trace(trace)
    begin = trace[0].body if trace else None
    if not isinstance(begin, RunStarted):
        raise TraceError(f"{path}: does not begin with the start of a run")
    profile = profile_from_json(begin.profile)
    readings = Readings(profile, trace)

    def judged(planned: PlannedCheck, seen: Sequence[Event]) -> Judgement:
        return judge(profile, seen, planned, readings)

    return RunResult(
        profile=profile,
        profile_path=begin.profile_path,
        dut=begin.dut,
        seed=begin.seed,
        tool_version=begin.tool_version,
        started=begin.wall_time,
        judgements=judge_again(trace, path, plan(profile, frozenset(begin.needs_met)), judged),
        events=trace,
        ended=end_of(trace),
    )


def _verdict_of_problem(end: CheckEnded) -> Verdict:
    """The verdict where the stimulus could not be carried out."""
    if end.beyond_bench:
        return Verdict.NOT_APPLICABLE
    return Verdict.ERROR if end.harness_fault else Verdict.INCONCLUSIVE


def _name(body: CheckStarted | CheckEnded | DeviceLost | Judged) -> tuple[str, Subject]:
    return body.check, Subject(body.subject, body.transport)
