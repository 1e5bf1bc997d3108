"""The progress of a scene's step, from the reports of the devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.checks.observations import ReportReader
from harness.checks.support.compat.bench import GroupBench
from harness.checks.support.compat.catalogue import GroupCase
from harness.checks.support.compat.device_group import DeviceGroup
from harness.checks.support.compat.home_state import (
    ConditionEvaluator,
    Interpreter,
    StateReport,
    availability_in,
    happened,
    state_reports,
)
from harness.model.base import Value
from harness.model.scene import Scene, Step
from harness.trace.events import CheckEnded, CheckStarted, Event

STEP = "COMPAT-30"
"""Id of the check that runs a step; its windows mark the steps in a trace."""


class StepProgress:
    """Follows reports, and knows whether the conditions of a step are met."""

    def __init__(self, group: DeviceGroup, step: Step) -> None:
        self._evaluator = ConditionEvaluator(group.profiles)
        self._step = step
        self._state: dict[str, Value] = {}
        self._lines: dict[str, int] = {}
        self._happened: dict[int, int] = {}

    def take(self, report: StateReport, *, counts: bool) -> None:
        """Process a report. Events matter only if they count; states are kept."""
        if not report.is_event:
            self._state[report.name] = report.value
            self._lines[report.name] = report.line
            return
        for at, condition in enumerate(self._step.then):
            if counts and condition.is_happening and at not in self._happened and happened(condition, report):
                self._happened[at] = report.line

    @property
    def reached(self) -> bool:
        """Whether all conditions are met."""
        return not self._missing_events() and not self._missing_states()

    @property
    def stays(self) -> bool:
        """Whether all conditions on states are met."""
        return not self._missing_states()

    def missing(self) -> str:
        """The conditions that are not met, as text."""
        return "; ".join([*self._missing_events(), *self._missing_states()])

    def evidence(self) -> tuple[int, ...]:
        """The trace lines that meet the conditions."""
        names = [condition.property_ for condition in self._step.then if condition.property_ is not None]
        lines = [self._lines[name] for name in (*names, *self._step.agree) if name in self._lines]
        return tuple(sorted({*lines, *self._happened.values()}))

    def _missing_events(self) -> list[str]:
        return [
            f"{condition} did not happen"
            for at, condition in enumerate(self._step.then)
            if condition.is_happening and at not in self._happened
        ]

    def _missing_states(self) -> list[str]:
        found = [
            f"expected that {condition}, but it is {self._shown(condition.property_ or '')}"
            for condition in self._step.then
            if not condition.is_happening and not self._evaluator.holds(condition, self._state)
        ]
        first = self._step.agree[:1]
        for name in first:
            for other in self._step.agree[1:]:
                if not self._evaluator.same(name, other, self._state):
                    found.append(f"{name} is {self._shown(name)}, and {other} is {self._shown(other)}")
        return found

    def _shown(self, name: str) -> str:
        return shown(self._state[name]) if name in self._state else "unknown"


def shown(value: Value) -> str:
    """A value as text."""
    return str(value).lower() if isinstance(value, bool) else str(value)


class ConditionWatch:
    """The progress of a step during a run."""

    def __init__(self, group_bench: GroupBench, step: Step, since: int) -> None:
        self.progress = StepProgress(group_bench.group, step)
        self._group = group_bench.group
        self._since = since
        self._readers = {
            role: ReportReader(profile, role) for role, profile in group_bench.group.profiles.items()
        }
        self._interpreters = {
            role: Interpreter(role, profile) for role, profile in group_bench.group.profiles.items()
        }
        for event in group_bench.trace:
            self._take(event)
        self.seen = group_bench.mark()

    def reached_by(self, event: Event) -> bool:
        """Whether all conditions are met after one more event."""
        self._take(event)
        return self.progress.reached

    def lost_by(self, event: Event) -> bool:
        """Whether a lasting condition is no longer met after one more event."""
        self._take(event)
        return not self.progress.stays

    def _take(self, event: Event) -> None:
        role = event.device
        if role is None:
            return
        interpreter, counts = self._interpreters[role], event.line > self._since
        for report in self._readers[role].read(event):
            for state in interpreter.translate(report):
                self.progress.take(state, counts=counts)
        there = availability_in(self._group.profiles[role], event)
        if there is not None:
            self.progress.take(interpreter.availability(event, there), counts=counts)


@dataclass(frozen=True, slots=True)
class Played:
    """The result of a step: when all conditions were met, by which lines, and what ended that too early.

    ``was_so``: the conditions were met before any action, and ever since.
    """

    progress: StepProgress
    reached: float | None
    lines: tuple[int, ...] = ()
    lost: StateReport | None = None
    was_so: bool = False


def played(case: GroupCase, step: Step, since: int, start: float) -> Played:
    """The result of a step. Events count after line ``since``, times from ``start``.

    A condition that is lost again before the deadline counts from the last time that it was met.
    """
    progress = StepProgress(case.group, step)
    report = state_reports(case)
    for each in report:
        if each.line <= since:
            progress.take(each, counts=False)
    was_so = progress.reached
    reached = start if was_so else None
    lines = progress.evidence() if was_so else ()
    for each in report:
        if each.line <= since:
            continue
        progress.take(each, counts=True)
        was_so = was_so and progress.reached
        if progress.reached and reached is None:
            reached, lines = each.time, progress.evidence()
        elif reached is not None and not progress.stays:
            if each.time > start + step.within:
                return Played(progress, reached, lines, each if step.holds else None, was_so)
            reached, lines = None, ()
    return Played(progress, reached, lines, None, was_so)


def window_of_step(trace: Sequence[Event], step: Step) -> tuple[Event | None, Event | None]:
    """The first and the last event of a step in a trace; None if missing."""
    begin = end = None
    for event in trace:
        body = event.body
        if not isinstance(body, CheckStarted | CheckEnded) or (body.check, body.subject) != (STEP, step.id):
            continue
        if isinstance(body, CheckStarted):
            begin, end = event, None
        else:
            end = event
    return begin, end


def chain_begin(trace: Sequence[Event], scene: Scene, step: Step) -> int:
    """The line from which events count for a step: the beginning of the actions that it follows."""
    steps = scene.steps[: scene.steps.index(step) + 1]
    for each in reversed(steps):
        if each.actions:
            begin, _ = window_of_step(trace, each)
            return begin.line if begin is not None else 0
    return 0
