"""Watches a device's life from outside and says which rules of its profile were broken.

Written from the meaning of the rules alone: it looks at what the states were when, not at how they came
about.
"""

import asyncio
from dataclasses import dataclass, field

from harness.model.base import Value
from harness.model.rule import Condition, Rule, RuleKind
from harness.model.schema import same_value
from harness.simulate.firmware.core import (
    Accepted,
    Core,
    DeviceEvent,
)

SLACK = 1e-6  # seconds, for the rounding of times


@dataclass(frozen=True)
class Moment:
    """From ``time`` to the next moment the state was this."""

    time: float
    state: dict[str, Value]


@dataclass
class Monitor:
    core: Core
    moments: list[Moment] = field(default_factory=list)
    happened: list[tuple[float, Condition | DeviceEvent]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.core.on_change(lambda change: self.look())
        self.core.on_event(lambda event: self.happened.append((self.now(), event)))

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def look(self) -> None:
        state = {name: self.core.truth(name) for name in self.core.profile.properties}
        if not self.moments or self.moments[-1].state != state:
            self.moments.append(Moment(self.now(), state))

    def command(self, name: str, value: Value) -> None:
        before = {each: self.core.truth(each) for each in self.core.profile.properties}
        answer = self.core.command(name, value)
        self.look()
        if not isinstance(answer, Accepted):
            return
        for rule in self.core.profile.behaviour.rules:
            concerned = any(name == condition.property_ for condition in rule.refuse)
            if concerned and _all(rule.while_, before) and _all(rule.refuse, {**before, name: value}):
                self.broken.append(f"{rule.id}: {name} = {value!r} was accepted")

    def invoke(self, action: str) -> None:
        self.happened.append((self.now(), Condition(action=action)))
        self.core.invoke(action)
        self.look()

    def judge(self) -> list[str]:
        """What was broken until now."""
        self.moments.append(Moment(self.now(), self.moments[-1].state))
        for rule in self.core.profile.behaviour.rules:
            if rule.kind is RuleKind.INVARIANT:
                self._judge_invariant(rule)
            elif rule.kind is RuleKind.RESPONSE:
                for begun in self._onsets(rule):
                    self._judge_response(rule, begun)
        return self.broken

    def _judge_invariant(self, rule: Rule) -> None:
        since = None
        for moment, end in self._spans():
            if not _all(rule.while_, moment.state):
                since = None
                continue
            since = moment.time if since is None else since
            due = max(moment.time, since + rule.within)
            if end > due + SLACK and not _all(rule.then, moment.state):
                self.broken.append(f"{rule.id}: at {due:.3f}, {rule.within} s after {since:.3f}")

    def _onsets(self, rule: Rule) -> list[float]:
        """Times at which ``when`` came true and had been true for ``for`` seconds."""
        lasting = [condition for condition in rule.when if not condition.is_happening]
        happenings = [condition for condition in rule.when if condition.is_happening]
        if happenings:
            return [
                time
                for time, thing in self.happened
                if any(_is(condition, thing) for condition in happenings) and _all(lasting, self._at(time))
            ]
        found, since = [], None
        for moment, end in self._spans():
            if not _all(lasting, moment.state):
                since = None
            elif since is None:
                since = moment.time
            if since is not None and moment.time <= since + rule.for_ < end:
                found.append(since + rule.for_)
        return found

    def _judge_response(self, rule: Rule, begun: float) -> None:
        due = begun + rule.within
        if due > self.now():
            return
        for condition in rule.then:
            if condition.is_happening:
                times = [time for time, thing in self.happened if _is(condition, thing)]
                if not any(begun - SLACK <= time <= due + SLACK for time in times):
                    self.broken.append(f"{rule.id}: no {condition} between {begun:.3f} and {due:.3f}")
        lasting = [condition for condition in rule.then if not condition.is_happening]
        kept = [
            max(moment.time, begun)
            for moment, end in self._spans()
            if end >= begun - SLACK and moment.time <= due + SLACK and _all(lasting, moment.state)
        ]
        if lasting and not kept:
            self.broken.append(f"{rule.id}: not between {begun:.3f} and {due:.3f}")
        elif lasting and rule.holds:
            self._judge_hold(rule, lasting, kept[0])

    def _judge_hold(self, rule: Rule, lasting: list[Condition], since: float) -> None:
        for moment, end in self._spans():
            inside = end > since + SLACK and moment.time < since + rule.holds - SLACK and end > moment.time
            if inside and not _all(lasting, moment.state):
                self.broken.append(f"{rule.id}: held from {since:.3f}, broken at {moment.time:.3f}")
                return

    def _at(self, time: float) -> dict[str, Value]:
        return [moment.state for moment in self.moments if moment.time <= time + SLACK][-1]

    def _spans(self) -> list[tuple[Moment, float]]:
        ends = [moment.time for moment in self.moments[1:]]
        return list(zip(self.moments, ends, strict=False))


def _is(condition: Condition, thing: Condition | DeviceEvent) -> bool:
    if isinstance(thing, Condition):
        return condition.action is not None and condition.action == thing.action
    fits = condition.data is None or same_value(condition.data, thing.data)
    return condition.event == thing.name and fits


def _all(conditions: list[Condition] | tuple[Condition, ...], state: dict[str, Value]) -> bool:
    return all(condition.holds(state) for condition in conditions)
