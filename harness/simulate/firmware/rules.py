"""The rule engine of the firmware: keeps the behaviour rules of a profile.

Every property has two values. The *wanted* value was commanded, set by a rule, or measured; the *actual*
value results from it after holds and invariants. A hold has priority over an invariant, which waits until
the hold ends. When a hold ends, the actual value becomes the wanted one. When the ``while`` of an invariant
ends, a measured quantity returns to the value of its sensor; a setting or a status keeps the value that
the invariant set.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from harness.model.base import Value
from harness.model.profile import Profile
from harness.model.rule import Condition, Rule, RuleKind
from harness.model.schema import same_value
from harness.simulate.firmware.values import (
    canonical,
    default_value,
    is_measured,
    satisfying,
)

# Rules of a sane profile settle in a few rounds; each round lets every rule act once.
ROUNDS = 50


class RuleConflict(RuntimeError):
    """Rules of the profile trigger each other without end; the text names them."""


class Kind(StrEnum):
    """The kinds of occurrences."""

    EVENT = "event"
    ACTION = "action"


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An event or an invoked action; ``data`` is the data of the event or the input of the action."""

    kind: Kind
    name: str
    data: Value = None

    def matches(self, condition: Condition) -> bool:
        """Whether it satisfies the condition."""
        name = condition.event if self.kind is Kind.EVENT else condition.action
        return name == self.name and (condition.data is None or same_value(condition.data, self.data))


@dataclass(slots=True)
class _Response:
    """The progress of a ``when … then`` rule."""

    rule: Rule
    lasting: bool = False  # the property conditions of ``when`` are all true
    due: asyncio.TimerHandle | None = None  # runs while ``for`` has not passed
    hold_begins: bool = False  # it fired; the hold starts as soon as ``then`` is true
    hold_ends: asyncio.TimerHandle | None = None  # runs while it holds

    @property
    def happenings(self) -> tuple[Condition, ...]:
        return tuple(condition for condition in self.rule.when if condition.is_happening)

    def cancel(self) -> None:
        for timer in (self.due, self.hold_ends):
            if timer is not None:
                timer.cancel()
        self.due = self.hold_ends = None
        self.lasting = self.hold_begins = False


@dataclass(slots=True)
class _State:
    wanted: dict[str, Value] = field(default_factory=dict)
    actual: dict[str, Value] = field(default_factory=dict)


class RuleEngine:
    """Runs the rules of one profile.

    ``happen`` is called with events and actions that rules cause. ``wake`` is called with a function when a
    timer of a rule ends; it must call that function and then :meth:`settle`. Timers run on the loop that runs
    when :meth:`start` is called.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        happen: Callable[[Occurrence], None],
        wake: Callable[[Callable[[], None]], None],
    ) -> None:
        self.profile = profile
        # Rules that a faulty device does not keep.
        self.ignored: Callable[[Rule], bool] = lambda rule: False
        self._happen = happen
        self._wake = wake
        self._state = _State()
        self._responses = [
            _Response(rule) for rule in profile.behaviour.rules if rule.kind is RuleKind.RESPONSE
        ]
        self._queue: deque[Occurrence] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def wanted(self) -> dict[str, Value]:
        """The value of each property without holds and invariants; call :meth:`settle` after a change."""
        return self._state.wanted

    @property
    def actual(self) -> dict[str, Value]:
        """The actual value of each property. Read only."""
        return self._state.actual

    def start(self, wanted: dict[str, Value]) -> None:
        """Start with these values; timers of rules whose ``when`` is already true start as well."""
        self.stop()
        self._loop = asyncio.get_running_loop()
        self._state = _State(dict(wanted), dict(wanted))
        self.settle()

    def stop(self) -> None:
        """Stop all timers; values do not change."""
        for response in self._responses:
            response.cancel()
        self._queue.clear()
        self._loop = None

    def settle(self, occurrences: Iterable[Occurrence] = ()) -> None:
        """Let the rules act on changed wanted values and on occurrences, until nothing changes any more.

        Raises :class:`RuleConflict` if the rules trigger each other without end.
        """
        self._queue.extend(occurrences)
        acted: list[str] = []
        for _ in range(ROUNDS):
            self._state = self._consequences(self._state)
            fired = self._fire(self._queue.popleft() if self._queue else None)
            if not fired and not self._queue:
                return
            acted += fired
        raise RuleConflict(f"the rules {', '.join(sorted(set(acted)))} trigger each other without end")

    def objection(self, name: str, value: Value) -> Rule | None:
        """The rule that forbids commanding property ``name`` to be ``value`` now, or None."""
        candidate = {**self.actual, name: value}
        for rule in self._rules(RuleKind.REFUSAL):
            concerned = any(name in condition.names for condition in rule.refuse)
            if concerned and _all(rule.while_, self.actual) and _all(rule.refuse, candidate):
                return rule
        for rule in self._rules(RuleKind.INVARIANT):
            concerned = any(name == condition.property_ for condition in rule.then)
            if concerned and _all(rule.while_, candidate) and not _all(rule.then, candidate):
                return rule
        return None

    def _rules(self, kind: RuleKind) -> list[Rule]:
        return [rule for rule in self.profile.behaviour.rules if rule.kind is kind and not self.ignored(rule)]

    # Holds and invariants

    def _consequences(self, state: _State) -> _State:
        wanted, actual = dict(state.wanted), dict(state.wanted)
        invariants = self._rules(RuleKind.INVARIANT)
        holding = [response.rule for response in self._responses if response.hold_ends is not None]
        moved: list[str] = []
        for _ in range(ROUNDS):
            moved = []
            for rule in holding:
                if not _all(_lasting(rule.then), actual):
                    moved.append(rule.id)
                    self._keep(rule, state.actual, actual)
            for rule in invariants:
                if _all(rule.while_, actual) and self._force(rule, holding, wanted, actual):
                    moved.append(rule.id)
            if not moved:
                return _State(wanted, actual)
        raise RuleConflict(f"the rules {', '.join(sorted(set(moved)))} contradict each other")

    def _force(
        self, rule: Rule, holding: list[Rule], wanted: dict[str, Value], actual: dict[str, Value]
    ) -> bool:
        """Make ``then`` of an invariant true where no hold prevents it; returns whether anything changed."""
        moved = False
        for condition in rule.then:
            if condition.holds(actual):
                continue
            name = condition.property_ or ""
            forced = {**actual, name: self._satisfying(condition, actual)}
            if same_value(forced[name], actual[name]) or not all(
                _all(_lasting(held.then), forced) for held in holding
            ):
                continue
            moved = True
            actual[name] = forced[name]
            if not is_measured(self.profile.properties[name]):
                wanted[name] = forced[name]
        return moved

    def _keep(self, rule: Rule, before: dict[str, Value], actual: dict[str, Value]) -> None:
        for condition in _lasting(rule.then):
            if condition.holds(actual):
                continue
            name = condition.property_ or ""
            kept = {**actual, name: before[name]}
            actual[name] = before[name] if condition.holds(kept) else self._satisfying(condition, actual)

    def _satisfying(self, condition: Condition, state: dict[str, Value]) -> Value:
        schema = self.profile.properties[condition.property_ or ""]
        return canonical(schema, satisfying(condition, schema, state))

    # Responses

    def _fire(self, occurrence: Occurrence | None) -> list[str]:
        """Run all response rules that are due; returns their ids."""
        fired = []
        for response in self._responses:
            if self.ignored(response.rule):
                continue
            self._begin_hold(response)
            if self._begins(response, occurrence):
                self._act(response)
                fired.append(response.rule.id)
        return fired

    def _begins(self, response: _Response, occurrence: Occurrence | None) -> bool:
        rule = response.rule
        was, response.lasting = response.lasting, _all(_lasting(rule.when), self.actual)
        if not response.lasting:
            if response.due is not None:
                response.due.cancel()
                response.due = None
            return False
        begun = not was
        if response.happenings:
            begun = occurrence is not None and all(map(occurrence.matches, response.happenings))
        if not begun or not rule.for_:
            return begun
        if response.due is None:
            response.due = self._later(rule.for_, lambda: self._overdue(response))
        return False

    def _overdue(self, response: _Response) -> None:
        response.due = None
        self._act(response)

    def _act(self, response: _Response) -> None:
        for condition in response.rule.then:
            if condition.is_happening:
                occurrence = self._occurrence(condition)
                self._queue.append(occurrence)
                self._happen(occurrence)
            else:
                self._want(condition)
        response.hold_begins = response.rule.holds > 0
        self._begin_hold(response)

    def _want(self, condition: Condition) -> None:
        name = condition.property_ or ""
        outlook = {**self.actual, name: self.wanted[name]}
        if not condition.holds(outlook):
            self.wanted[name] = self._satisfying(condition, outlook)

    def _occurrence(self, condition: Condition) -> Occurrence:
        if condition.event is None:
            return Occurrence(Kind.ACTION, condition.action or "", condition.data)
        data, event = condition.data, self.profile.events.get(condition.event)
        if data is None and event is not None and event.data is not None:
            data = default_value(event.data)
        return Occurrence(Kind.EVENT, condition.event, data)

    def _begin_hold(self, response: _Response) -> None:
        if not response.hold_begins or not _all(_lasting(response.rule.then), self.actual):
            return
        response.hold_begins = False
        if response.hold_ends is not None:
            response.hold_ends.cancel()
        response.hold_ends = self._later(response.rule.holds, lambda: self._release(response))

    def _release(self, response: _Response) -> None:
        response.hold_ends = None

    def _later(self, delay: float, act: Callable[[], None]) -> asyncio.TimerHandle:
        if self._loop is None:
            raise RuntimeError("the rules are not running: start them first")
        return self._loop.call_later(delay, self._wake, act)


def _all(conditions: Sequence[Condition], state: dict[str, Value]) -> bool:
    return all(condition.holds(state) for condition in conditions)


def _lasting(conditions: Sequence[Condition]) -> tuple[Condition, ...]:
    return tuple(condition for condition in conditions if not condition.is_happening)
