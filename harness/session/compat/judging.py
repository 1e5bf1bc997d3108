"""Judging devices that were together: from the trace alone, in the run and ever after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.checks.observations import Readings
from harness.checks.support.compat.catalogue import GroupCase
from harness.checks.support.compat.device_group import DeviceGroup
from harness.model.loading.profiles import profile_from_json
from harness.model.loading.scenes import scene_from_json
from harness.model.verdict import Outcome, Result, Subject, Verdict
from harness.session.compat.plan import (
    PlannedGroupCheck,
    group_of_pair,
    group_of_scene,
    plan_group,
)
from harness.session.result import Judgement, RunResult, Tested
from harness.session.run.judging import (
    verdict_of_end,
    window_of,
)
from harness.trace.events import CheckStarted, Event, Judged, RunEnded, RunStarted, TogetherStarted
from harness.trace.lines import TraceError
from harness.trace.trace import Trace


class GroupJudge:
    """Judges the checks of one run, whose trace may still grow."""

    def __init__(self, home: DeviceGroup, trace: Sequence[Event]) -> None:
        self._home = home
        self._trace = trace
        self._readings = {role: Readings(profile, trace, role) for role, profile in home.profiles.items()}

    def judge(self, planned: PlannedGroupCheck, until: int | None = None) -> Judgement:
        """The verdict of one planned check, from the trace as it is, or as it was at line ``until``."""
        trace = self._trace if until is None else self._trace[:until]
        requirement = planned.check.requirement
        return Judgement(requirement, Result(requirement.id, planned.subject, self._outcome(planned, trace)))

    def _outcome(self, planned: PlannedGroupCheck, trace: Sequence[Event]) -> Outcome:
        if planned.not_applicable is not None:
            return Outcome(Verdict.NOT_APPLICABLE, planned.not_applicable)
        window = window_of(trace, planned.check.requirement.id, planned.subject)
        if window is None and planned.check.passive:
            return self._ask(planned, trace, trace)
        if window is None:
            return Outcome(Verdict.INCONCLUSIVE, "it was not run before the run ended")
        if window.end is None:
            return Outcome(Verdict.INCONCLUSIVE, "the run ended in the middle of it")
        if window.end.problem is not None:
            return Outcome(verdict_of_end(window.end), window.end.problem)
        return self._ask(planned, trace, window.events)

    def _ask(self, planned: PlannedGroupCheck, trace: Sequence[Event], window: Sequence[Event]) -> Outcome:
        case = GroupCase(self._home, planned.subject, trace, window, self._readings)
        try:
            return planned.check.judge(case)
        except Exception as problem:  # the harness's own fault, which must not look like the devices'
            where = f"{type(problem).__name__}: {problem}"
            return Outcome(Verdict.ERROR, f"the check itself failed, please report it: {where}")


def group_of_trace(trace: Sequence[Event], path: Path) -> DeviceGroup:
    """The home that a trace is about. Raises TraceError where it does not tell."""
    begin = trace[0].body if trace else None
    if not isinstance(begin, TogetherStarted):
        raise TraceError(f"{path}: is not the trace of several devices")
    started = {
        event.device: event.body
        for event in trace[: len(begin.roles) + 1]
        if isinstance(event.body, RunStarted) and event.device is not None
    }
    if set(started) != set(begin.roles):
        raise TraceError(f"{path}: does not tell what its devices are")
    profiles = {role: profile_from_json(started[role].profile) for role in begin.roles}
    met = {role: frozenset(started[role].needs_met) for role in begin.roles}
    if begin.plan:
        return group_of_scene(scene_from_json(begin.plan), profiles, met)
    return group_of_pair(profiles, met)


def result_of_group_trace(trace: Sequence[Event], path: Path) -> RunResult:
    """The result of a recorded run of several devices, judged again. Raises TraceError."""
    trace = Trace(trace)
    home = group_of_trace(trace, path)
    begin = trace[0].body
    assert isinstance(begin, TogetherStarted)
    planned = {(item.check.requirement.id, item.subject): item for item in plan_group(home)}
    taken = {
        (body.check, Subject(body.subject, body.transport)): event.line
        for event in trace
        if isinstance(body := event.body, CheckStarted | Judged)
    }
    unknown = [check for check, subject in taken if (check, subject) not in planned]
    if unknown:
        raise TraceError(f"{path}: was recorded with checks that this version does not have: {unknown[0]}")
    judge = GroupJudge(home, trace)

    def end(line: int) -> int | None:
        return None if isinstance(trace[line - 1].body, CheckStarted) else line - 1

    ended = trace[-1].body
    return RunResult(
        profile=next(iter(home.profiles.values())),
        profile_path=begin.plan_path,
        dut=dut_text(trace),
        seed=begin.seed,
        tool_version=begin.tool_version,
        started=begin.wall_time,
        judgements=tuple(judge.judge(planned[key], end(line)) for key, line in taken.items()),
        events=trace,
        ended=ended.reason if isinstance(ended, RunEnded) else "the trace breaks off: the run was killed",
        tested=tested_of(home, begin),
    )


def dut_text(trace: Sequence[Event]) -> str:
    """How the devices of a trace were reached, for people."""
    told = [f"{event.device}: {event.body.dut}" for event in trace if isinstance(event.body, RunStarted)]
    return "; ".join(told)


def tested_of(home: DeviceGroup, begin: TogetherStarted) -> Tested:
    """What a report is about: a pair, or a scene with its cast."""
    cast = ", ".join(f"{role}: {profile.title}" for role, profile in home.profiles.items())
    versions = ", ".join(f"{role} {profile.version}" for role, profile in home.profiles.items())
    if home.scene is not None:
        return Tested(home.scene.scene, f"{home.scene.title} ({cast})", versions)
    return Tested("+".join(home.roles), " and ".join(p.title for p in home.profiles.values()), versions)
