"""Judges the devices of a group: from the trace alone, during the run or later."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.checks.observations import Readings
from harness.checks.support.compat.catalogue import GroupCase
from harness.checks.support.compat.device_group import DeviceGroup
from harness.model.loading.profiles import profile_from_json
from harness.model.loading.scenes import scene_from_json
from harness.model.verdict import Outcome, Result
from harness.session.compat.plan import (
    PlannedGroupCheck,
    group_of_pair,
    group_of_scene,
    plan_group,
)
from harness.session.result import Judgement, RunResult, Tested
from harness.session.run.judging import end_of, judge_again, outcome_of
from harness.trace.events import Event, RunStarted, TogetherStarted
from harness.trace.lines import TraceError
from harness.trace.trace import Trace


class GroupJudge:
    """Judges the checks of one run, whose trace may still grow."""

    def __init__(self, group: DeviceGroup, trace: Sequence[Event]) -> None:
        self._group = group
        self._trace = trace
        self._readings = {role: Readings(profile, trace, role) for role, profile in group.profiles.items()}

    def judge(self, planned: PlannedGroupCheck, seen: Sequence[Event] | None = None) -> Judgement:
        """The verdict of one planned check, from the present trace, or from the part that was ``seen``."""
        trace = self._trace if seen is None else seen

        def asked(window: Sequence[Event]) -> Outcome:
            return planned.check.judge(GroupCase(self._group, planned.subject, trace, window, self._readings))

        requirement = planned.check.requirement
        outcome = outcome_of(planned, trace, asked)
        return Judgement(requirement, Result(requirement.id, planned.subject, outcome))


def group_of_trace(trace: Sequence[Event], path: Path) -> DeviceGroup:
    """The devices of a trace. Raises TraceError for the trace of a single device."""
    begin = trace[0].body if trace else None
    if not isinstance(begin, TogetherStarted):
        raise TraceError(f"{path}: this is not a trace of several devices")
    started = {
        event.device: event.body
        for event in trace[: len(begin.roles) + 1]
        if isinstance(event.body, RunStarted) and event.device is not None
    }
    if set(started) != set(begin.roles):
        raise TraceError(f"{path}: the profiles of its devices are missing")
    profiles = {role: profile_from_json(started[role].profile) for role in begin.roles}
    met = {role: frozenset(started[role].needs_met) for role in begin.roles}
    if begin.plan:
        return group_of_scene(scene_from_json(begin.plan), profiles, met)
    return group_of_pair(profiles, met)


def result_of_group_trace(trace: Sequence[Event], path: Path) -> RunResult:
    """The result of a recorded run of several devices, judged again. Raises TraceError."""
    trace = Trace(trace)
    group = group_of_trace(trace, path)
    begin = trace[0].body
    assert isinstance(begin, TogetherStarted)
    return RunResult(
        profile=next(iter(group.profiles.values())),
        profile_path=begin.plan_path,
        dut=dut_text(trace),
        seed=begin.seed,
        tool_version=begin.tool_version,
        started=begin.wall_time,
        judgements=judge_again(trace, path, plan_group(group), GroupJudge(group, trace).judge),
        events=trace,
        ended=end_of(trace),
        tested=tested_of(group, begin),
    )


def dut_text(trace: Sequence[Event]) -> str:
    """How the devices of a trace were reached, for people."""
    reached = [f"{event.device}: {event.body.dut}" for event in trace if isinstance(event.body, RunStarted)]
    return "; ".join(reached)


def tested_of(group: DeviceGroup, begin: TogetherStarted) -> Tested:
    """What a report is about: a pair, or a scene with its cast."""
    cast = ", ".join(f"{role}: {profile.title}" for role, profile in group.profiles.items())
    versions = ", ".join(f"{role} {profile.version}" for role, profile in group.profiles.items())
    if group.scene is not None:
        return Tested(group.scene.scene, f"{group.scene.title} ({cast})", versions)
    return Tested("+".join(group.roles), " and ".join(p.title for p in group.profiles.values()), versions)
