"""Episodes: the parts of a run between one deliberate act of the harness and the next.

The rules of the device are judged in episodes. Within one, every change comes from that act or from the
device, so the order in which the device reports its properties does not matter.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.checks.case import Case
from harness.checks.observations import Report, Transport
from harness.checks.support.behaviour.forecast import (
    State,
    all_hold,
)
from harness.checks.support.behaviour.planner import effect_value
from harness.checks.support.behaviour.transports import (
    reporting_transports,
    was_offered,
)
from harness.model.profile import Profile
from harness.model.rule import Condition, Rule
from harness.model.schema import same_value
from harness.trace.events import Act, Event, Stimulus

ACTS = (Act.WRITE, Act.INVOKE, Act.LOCAL)


@dataclass(frozen=True)
class ReportedChange:
    """One report of a property, and the reported state including it."""

    report: Report
    state: State


@dataclass(frozen=True)
class Episode:
    """An act, the reported state before it, the reports until the next act, and the time of that act.

    ``candidate`` is the state before, updated with what the act itself sets.
    """

    act: Event
    before: State
    candidate: State
    changes: tuple[ReportedChange, ...]
    events: tuple[Report, ...]
    end: float

    def start_of(self, conditions: Sequence[Condition]) -> Report | Event | None:
        """What shows that the conditions became true in the episode; None if they did not."""
        occurrences = [condition for condition in conditions if condition.is_happening]
        if occurrences:
            shown = [self.occurrence(condition) for condition in occurrences]
            return shown[0] if all(shown) and all_hold(conditions, self.before) else None
        if all_hold(conditions, self.before):
            return None
        for change in self.changes:
            if all_hold(conditions, change.state):
                return change.report
        # A rule may act before everything is reported; then a confirmation of the act is enough.
        return self._confirmation() if all_hold(conditions, self.candidate) else None

    def end_of(self, conditions: Sequence[Condition], start: float) -> float | None:
        """When, after ``start``, the reported state no longer met the conditions; None if never."""
        for change in self.changes:
            if change.report.time > start and not all_hold(conditions, change.state):
                return change.report.time
        return None

    def state_at(self, shown: Report | Event) -> State:
        """The state at a report, or after the act itself."""
        for change in self.changes:
            if change.report is shown:
                return change.state
        return self.candidate

    def shown(
        self, condition: Condition, until: float, begun: State, start: Report | Event
    ) -> Report | Event | None:
        """The report or event that shows that a condition became or stayed true up to the time ``until``.

        ``begun`` is the state when the cause began, shown by ``start``. A condition that was true before and
        false then must become true again; for others the order of reports does not matter.
        """
        if condition.is_happening:
            found = self.occurrence(condition)
            return found if found is not None and found.time <= until else None
        has_ended = condition.holds(self.before) and not condition.holds(begun)
        line = line_of(start) if has_ended else self.act.line
        for change in self.changes:
            in_time = change.report.event.line > line and change.report.time <= until
            if in_time and condition.holds(change.state):
                return change.report
        return self.act if not self.changes and condition.holds(self.before) else None

    def occurrence(self, condition: Condition) -> Report | Event | None:
        """The report of an event, or the act that invoked an action; None if there is none."""
        if condition.action is not None:
            body = self.act.body
            invoked = isinstance(body, Stimulus) and body.act is Act.INVOKE and body.name == condition.action
            return self.act if invoked else None
        for report in self.events:
            fits = condition.data is None or same_value(report.value, condition.data)
            if fits and report.name == condition.event and report.problem is None:
                return report
        return None

    def _confirmation(self) -> Report | None:
        """The report that confirms what the act set."""
        for name, value in self.candidate.items():
            if same_value(value, self.before.get(name)):
                continue
            for change in self.changes:
                if change.report.name == name and same_value(change.report.value, value):
                    return change.report
        return None


def line_of(shown: Report | Event) -> int:
    """Its line in the trace."""
    return shown.event.line if isinstance(shown, Report) else shown.line


def episodes(case: Case, rule: Rule) -> list[Episode]:
    """The episodes of the window, with the reports of the properties and events of a rule."""
    names, events = names_of(rule)
    transport = common_transport(case, names, events)
    reports = [r for r in case.all_reports if transport is None or r.transport == transport]
    acts = [
        event
        for event in case.window
        if isinstance(event.body, Stimulus) and event.body.act in ACTS and event.body.name is not None
    ]
    found = []
    for index, act in enumerate(acts):
        following = acts[index + 1] if index + 1 < len(acts) else None
        during = [
            r
            for r in reports
            if r.event.line > act.line and (following is None or r.event.line < following.line)
        ]
        before = _state_before(case, case.profile.properties, act.line, transport)
        found.append(
            Episode(
                act,
                before,
                _candidate(case.profile, before, act.body),
                tuple(changes_from(before, [r for r in during if r.name in names])),
                tuple(r for r in during if r.name in events),
                following.time if following else case.window[-1].time,
            )
        )
    return found


def changes_from(state: State, reports: Iterable[Report]) -> list[ReportedChange]:
    """The sequence of states that result from reports."""
    found = []
    for report in reports:
        if report.problem is None:
            state = {**state, report.name: report.value}
            found.append(ReportedChange(report, state))
    return found


def names_of(rule: Rule) -> tuple[frozenset[str], frozenset[str]]:
    """The properties and the events that a rule names."""
    conditions = (*rule.when, *rule.while_, *rule.then, *rule.refuse)
    names = frozenset(name for condition in conditions for name in condition.names)
    return names, frozenset(condition.event for condition in conditions if condition.event)


def common_transport(case: Case, names: Iterable[str], events: Iterable[str]) -> Transport | None:
    """A transport that reports all of them, to keep one order of events; None if there is none."""
    wanted = [*names, *events]
    for transport in Transport:
        reports_all = all(transport in reporting_transports(case.profile, name) for name in wanted)
        if was_offered(case, transport) and reports_all:
            return transport
    return None


def _state_before(case: Case, names: Iterable[str], line: int, transport: Transport | None) -> State:
    found: State = {}
    wanted = set(names)
    for report in reversed(case.history):
        if not wanted:
            break
        fits = transport is None or report.transport == transport
        if report.event.line < line and fits and report.name in wanted and report.problem is None:
            found[report.name] = report.value
            wanted.discard(report.name)
    return found


def _candidate(profile: Profile, before: State, body: object) -> State:
    assert isinstance(body, Stimulus)
    name = body.name or ""
    if name in profile.properties and body.value is not None and body.act is not Act.INVOKE:
        return {**before, name: json.loads(body.value)}
    changed = dict(before)
    if body.act is Act.LOCAL and name in profile.controls:
        for effect in profile.controls[name].effects:
            if effect.property_ is not None and effect.property_ in before:
                changed[effect.property_] = effect_value(profile.properties[effect.property_], effect, before)
    return changed
