"""What followed from what: the run between one deliberate act of the harness and the next.

The device's rules are judged in such episodes. Within one, whatever changes is the doing of that act and of
the device, so that it does not matter in which order the device tells its properties.
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
    """One report of a property, and the state as told up to it."""

    report: Report
    state: State


@dataclass(frozen=True)
class Episode:
    """An act, the state that was told before it, what was told until the next act, and the time of that.

    ``candidate`` is the state before with what the act itself sets.
    """

    act: Event
    before: State
    candidate: State
    told: tuple[ReportedChange, ...]
    events: tuple[Report, ...]
    end: float

    def start_of(self, conditions: Sequence[Condition]) -> Report | Event | None:
        """What shows that the conditions became true in the episode; None where they did not."""
        happenings = [condition for condition in conditions if condition.is_happening]
        if happenings:
            shown = [self.happening(condition) for condition in happenings]
            return shown[0] if all(shown) and all_hold(conditions, self.before) else None
        if all_hold(conditions, self.before):
            return None
        for told in self.told:
            if all_hold(conditions, told.state):
                return told.report
        # A rule may act before all is told; then it is enough that the device took the act.
        return self._confirmation() if all_hold(conditions, self.candidate) else None

    def end_of(self, conditions: Sequence[Condition], start: float) -> float | None:
        """When, after ``start``, the told state no longer had the conditions true."""
        for told in self.told:
            if told.report.time > start and not all_hold(conditions, told.state):
                return told.report.time
        return None

    def state_at(self, shown: Report | Event) -> State:
        """The state when something was told, or after the act itself."""
        for told in self.told:
            if told.report is shown:
                return told.state
        return self.candidate

    def shown(
        self, condition: Condition, until: float, begun: State, start: Report | Event
    ) -> Report | Event | None:
        """What shows that a condition came true, or stayed so, in the episode up to ``until``.

        ``begun`` is the state when what leads to it began, told by ``start``. A condition that was true
        before and not then has to come true again; for others it does not matter what was told first.
        """
        if condition.is_happening:
            found = self.happening(condition)
            return found if found is not None and found.time <= until else None
        has_ended = condition.holds(self.before) and not condition.holds(begun)
        line = line_of(start) if has_ended else self.act.line
        for told in self.told:
            in_time = told.report.event.line > line and told.report.time <= until
            if in_time and condition.holds(told.state):
                return told.report
        return self.act if not self.told and condition.holds(self.before) else None

    def happening(self, condition: Condition) -> Report | Event | None:
        """What shows that an event was told or an action invoked."""
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
        """The report of what the act set."""
        for name, value in self.candidate.items():
            if same_value(value, self.before.get(name)):
                continue
            for told in self.told:
                if told.report.name == name and same_value(told.report.value, value):
                    return told.report
        return None


def line_of(shown: Report | Event) -> int:
    """Where in the trace it stands."""
    return shown.event.line if isinstance(shown, Report) else shown.line


def episodes(case: Case, rule: Rule) -> list[Episode]:
    """The episodes of the window, with what was told of the properties and events of a rule."""
    names, events = names_of(rule)
    transport = teller_of(case, names, events)
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
                tuple(told_of(before, [r for r in during if r.name in names])),
                tuple(r for r in during if r.name in events),
                following.time if following else case.window[-1].time,
            )
        )
    return found


def told_of(state: State, reports: Iterable[Report]) -> list[ReportedChange]:
    """The states that follow from reports, one after the other."""
    found = []
    for report in reports:
        if report.problem is None:
            state = {**state, report.name: report.value}
            found.append(ReportedChange(report, state))
    return found


def names_of(rule: Rule) -> tuple[frozenset[str], frozenset[str]]:
    """The properties and the events that a rule is about."""
    conditions = (*rule.when, *rule.while_, *rule.then, *rule.refuse)
    names = frozenset(name for condition in conditions for name in condition.names)
    return names, frozenset(condition.event for condition in conditions if condition.event)


def teller_of(case: Case, names: Iterable[str], events: Iterable[str]) -> Transport | None:
    """A transport that tells all of them, so that nothing is mixed up; None where there is none."""
    wanted = [*names, *events]
    for transport in Transport:
        tells_all = all(transport in reporting_transports(case.profile, name) for name in wanted)
        if was_offered(case, transport) and tells_all:
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
