"""Judging: from a profile and a trace to verdicts, without any I/O.

The run and ``harness judge`` both use this, which is why they cannot come to different verdicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.checks.case import Case
from harness.checks.catalogue import Check
from harness.checks.observations import Readings
from harness.model.loading.profiles import profile_from_json
from harness.model.profile import Profile
from harness.model.requirement import Level
from harness.model.verdict import Outcome, Result, Subject, Verdict
from harness.session.result import Judgement, RunResult
from harness.session.run.plan import (
    PlannedCheck,
    plan,
)
from harness.trace.events import CheckEnded, CheckStarted, Event, Judged, RunEnded, RunStarted
from harness.trace.lines import TraceError
from harness.trace.trace import Trace, backwards, bodies


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
    if planned.not_applicable is not None:
        return judgement(profile, check, subject, Outcome(Verdict.NOT_APPLICABLE, planned.not_applicable))
    window = window_of(trace, check.requirement.id, subject)
    if window is None and check.passive:
        outcome = _ask(check, Case(profile, subject, trace, trace, readings))
    elif window is None:
        outcome = Outcome(Verdict.INCONCLUSIVE, "it was not run before the run ended")
    elif window.end is None:
        outcome = Outcome(Verdict.INCONCLUSIVE, "the run ended in the middle of it")
    elif window.end.problem is not None:
        outcome = Outcome(verdict_of_end(window.end), window.end.problem)
    else:
        outcome = _ask(check, Case(profile, subject, trace, window.events, readings))
    return judgement(profile, check, subject, outcome)


def verdict_of_end(end: CheckEnded) -> Verdict:
    """The verdict where the stimulus could not be carried out."""
    if end.beyond_bench:
        return Verdict.NOT_APPLICABLE
    return Verdict.ERROR if end.harness_fault else Verdict.INCONCLUSIVE


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


def window_of(trace: Sequence[Event], check_id: str, subject: Subject) -> Window | None:
    """The last window of a check in a trace; None when it was never started."""
    name = (check_id, subject.name, subject.transport)
    begin = next((event for event, body in backwards(trace, CheckStarted) if _named(body) == name), None)
    if begin is None:
        return None
    for event, body in bodies(trace, CheckEnded):
        if event.line > begin.line and _named(body) == name:
            return Window(trace[begin.line - 1 : event.line], body)
    return Window(trace[begin.line - 1 :], None)


def _named(body: CheckStarted | CheckEnded) -> tuple[str, str | None, str | None]:
    return body.check, body.subject, body.transport


def result_of_trace(trace: Sequence[Event], path: Path) -> RunResult:
    """The result of a recorded run, judged again. Raises TraceError when the trace has no beginning.

    The checks are those that the run took up, in its order.
    """
    trace = Trace(trace)
    begin = trace[0].body if trace else None
    if not isinstance(begin, RunStarted):
        raise TraceError(f"{path}: does not begin with the start of a run")
    profile = profile_from_json(begin.profile)
    # Each check is judged on what the run had seen when it judged it, or else on everything.
    taken = {
        _name(event.body): event.line for event in trace if isinstance(event.body, CheckStarted | Judged)
    }
    everything = plan(profile, frozenset(begin.needs_met))
    planned = {(item.check.requirement.id, item.subject): item for item in everything}
    unknown = [check for check, subject in taken if (check, subject) not in planned]
    if unknown:
        raise TraceError(f"{path}: was recorded with checks that this version does not have: {unknown[0]}")
    ended = trace[-1].body

    readings = Readings(profile, trace)

    def begun(line: int) -> bool:
        return isinstance(trace[line - 1].body, CheckStarted)

    return RunResult(
        profile=profile,
        profile_path=begin.profile_path,
        dut=begin.dut,
        seed=begin.seed,
        tool_version=begin.tool_version,
        started=begin.wall_time,
        judgements=tuple(
            judge(profile, trace if begun(line) else trace[: line - 1], planned[key], readings)
            for key, line in taken.items()
        ),
        events=trace,
        ended=ended.reason if isinstance(ended, RunEnded) else "the trace breaks off: the run was killed",
    )


def _name(body: CheckStarted | Judged) -> tuple[str, Subject]:
    return body.check, Subject(body.subject, body.transport)


def _ask(check: Check, case: Case) -> Outcome:
    try:
        return check.judge(case)
    except (
        Exception
    ) as problem:  # a judge that fails is the harness's own fault, and must not look like the DUT's
        where = f"{type(problem).__name__}: {problem}"
        return Outcome(Verdict.ERROR, f"the check itself failed, please report it: {where}")
