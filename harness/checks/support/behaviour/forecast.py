"""Predicts how the profile's rules change a state. Used to plan stimuli, never to judge.

The prediction is rough: it knows only "at once" and "later", and no future sensor values. Callers wait for
what the device really reports.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.checks.support.behaviour.boundary_values import beside
from harness.model.base import Value
from harness.model.profile import Profile
from harness.model.rule import Condition, Rule, RuleKind
from harness.model.schema import DataType, same_value

State = dict[str, Value]

SOON = 60.0
"""Seconds: a rule that acts within this time is likely to act while a check is running."""

_ROUNDS = 20


def all_hold(conditions: Iterable[Condition], state: State) -> bool:
    """Whether all conditions on properties are true in the state; unknown counts as false."""
    return all(condition.holds(state) for condition in lasting(conditions))


def lasting(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    """The conditions on properties, without events and actions."""
    return tuple(condition for condition in conditions if not condition.is_happening)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A rule reduced to its conditions on properties, for fast evaluation on many states."""

    rule: Rule
    causes: tuple[Condition, ...]  # of ``when`` or ``while``
    results: tuple[Condition, ...]
    concerned: frozenset[str]  # the properties that the rule sets or protects
    needs_happening: bool

    # Loops instead of all(): these two run for every rule and every state of a plan.
    def applies(self, state: State) -> bool:
        for condition in self.causes:  # noqa: SIM110
            if not condition.holds(state):
                return False
        return True

    def is_kept(self, state: State) -> bool:
        for condition in self.results:  # noqa: SIM110
            if not condition.holds(state):
                return False
        return True


def _prepared(rule: Rule) -> _Prepared:
    refuses = rule.kind is RuleKind.REFUSAL
    results = lasting(rule.refuse if refuses else rule.then)
    names = [condition.names if refuses else {condition.property_ or ""} for condition in results]
    return _Prepared(
        rule,
        lasting(rule.when or rule.while_),
        results,
        frozenset(name for group in names for name in group),
        any(condition.is_happening for condition in rule.when),
    )


class Forecast:
    """The rules of one profile, applied to states."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        rules = [_prepared(rule) for rule in profile.behaviour.rules]
        self._refusing = [rule for rule in rules if rule.rule.kind is RuleKind.REFUSAL]
        self._acting = [
            rule for rule in rules if rule.rule.kind is not RuleKind.REFUSAL and not rule.needs_happening
        ]
        self._near: dict[tuple[str, float], list[Value]] = {}

    def settled(self, state: State, without: Rule | None = None) -> State:
        """The state after all rules without delay have acted, ignoring the rule ``without``."""
        state = dict(state)
        for _ in range(_ROUNDS):
            moved = False
            for rule in self._acting:
                if rule.rule.for_ or rule.rule is without or not rule.applies(state) or rule.is_kept(state):
                    continue
                moved |= self.enforce(rule.rule, state)
            if not moved:
                break
        return state

    def enforce(self, rule: Rule, state: State) -> bool:
        """Change ``state`` so that the rule is met; return whether anything changed."""
        moved = False
        for condition in lasting(rule.then):
            if condition.holds(state) is False:
                name = condition.property_ or ""
                value = self._value_making(condition, state)
                moved |= not same_value(value, state.get(name))
                state[name] = value
        return moved

    def obstacles(self, state: State, name: str, value: Value) -> list[Rule]:
        """The rules that would refuse or undo a command of ``value``."""
        outlook = {**state, name: value}
        refusing = [
            rule.rule
            for rule in self._refusing
            if name in rule.concerned and rule.applies(state) and rule.is_kept(outlook)
        ]
        return refusing + [
            rule.rule
            for rule in self._acting
            if name in rule.concerned
            and rule.rule.for_ <= SOON
            and rule.applies(outlook)
            and not rule.is_kept(outlook)
        ]

    def pending(self, state: State) -> list[Rule]:
        """Rules with a ``for`` whose time is running, and that will change the state."""
        return [
            rule.rule
            for rule in self._acting
            if rule.rule.for_ > 0 and rule.applies(state) and not rule.is_kept(state)
        ]

    def values_near(self, condition: Condition, state: State) -> list[Value]:
        """Legal values of the condition's property that decide whether it is true."""
        name = condition.property_ or ""
        schema = self.profile.properties[name]
        found: list[Value] = [condition.equals] if condition.equals is not None else []
        found += condition.one_of or ()
        found = [value for value in found if schema.accepts(value)]
        for bound in (condition.above, condition.below):
            limit = state.get(bound) if isinstance(bound, str) else bound
            if isinstance(limit, int | float) and schema.type in (DataType.INTEGER, DataType.NUMBER):
                if (name, limit) not in self._near:
                    self._near[name, limit] = beside(schema, limit)
                found += self._near[name, limit]
        return found

    def _value_making(self, condition: Condition, state: State) -> Value:
        """A legal value that makes the condition true; the present one if there is none."""
        name = condition.property_ or ""
        for value in self.values_near(condition, state):
            if condition.holds({**state, name: value}):
                return value
        return state.get(name)


def settled(profile: Profile, state: State) -> State:
    """See :meth:`Forecast.settled`."""
    return Forecast(profile).settled(state)


def obstacles(profile: Profile, state: State, name: str, value: Value) -> list[Rule]:
    """See :meth:`Forecast.obstacles`."""
    return Forecast(profile).obstacles(state, name, value)


def pending(profile: Profile, state: State) -> list[Rule]:
    """See :meth:`Forecast.pending`."""
    return Forecast(profile).pending(state)


def values_near(profile: Profile, condition: Condition, state: State) -> list[Value]:
    """See :meth:`Forecast.values_near`."""
    return Forecast(profile).values_near(condition, state)


def related(profile: Profile, names: Iterable[str]) -> frozenset[str]:
    """The properties that influence those in ``names``, directly or through rules."""
    found = set(names)
    while True:
        grown = set(found)
        for rule in profile.behaviour.rules:
            results: Sequence[Condition] = (*rule.then, *rule.refuse)
            if any(condition.property_ in grown for condition in results):
                for condition in lasting((*rule.when, *rule.while_)):
                    grown |= condition.names
        for name, schema in profile.properties.items():
            if grown & {*schema.also_changes}:
                grown.add(name)
        if grown == found:
            return frozenset(found)
        found = grown


def same_state(first: State, second: State) -> bool:
    """Whether two states are equal in every property."""
    return first.keys() == second.keys() and all(same_value(first[name], second[name]) for name in first)
