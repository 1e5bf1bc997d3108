"""What the profile's rules make of a state: used to plan stimuli, never to judge.

The forecast is rough: it knows no time but "at once" and "after a while", and nothing of what sensors will
see. Whoever acts on it waits for what the device really reports.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.checks.behaviour.values import beside
from harness.model.base import Value
from harness.model.profile import Profile
from harness.model.rule import Condition, Rule, RuleKind
from harness.model.schema import DataType, same_value

State = dict[str, Value]

SOON = 60.0
"""Seconds: a rule that acts within this time is likely to act while a check is still at work."""

_ROUNDS = 20


def all_hold(conditions: Iterable[Condition], state: State) -> bool:
    """Whether every condition on a property is true in the state; unknown counts as false."""
    return all(condition.holds(state) for condition in lasting(conditions))


def lasting(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    """The conditions on properties; events and actions happen, and are left out."""
    return tuple(condition for condition in conditions if not condition.is_happening)


def settled(profile: Profile, state: State, without: Rule | None = None) -> State:
    """What the rules that act at once make of a state, as if the rule ``without`` did not exist."""
    state = dict(state)
    for _ in range(_ROUNDS):
        before = dict(state)
        for rule in profile.behaviour.rules:
            if rule is not without and _acts_at_once(rule, state):
                enforce(profile, rule, state)
        if state == before:
            break
    return state


def enforce(profile: Profile, rule: Rule, state: State) -> None:
    """Change ``state`` so that what the rule demands is true."""
    for condition in lasting(rule.then):
        if condition.holds(state) is False:
            state[condition.property_ or ""] = value_making(profile, condition, state)


def value_making(profile: Profile, condition: Condition, state: State) -> Value:
    """A legal value of the condition's property with which it is true; the present one if there is none."""
    name = condition.property_ or ""
    for value in values_near(profile, condition, state):
        if condition.holds({**state, name: value}):
            return value
    return state.get(name)


def values_near(profile: Profile, condition: Condition, state: State) -> list[Value]:
    """Values of the condition's property that decide whether it is true."""
    schema = profile.properties[condition.property_ or ""]
    found: list[Value] = [condition.equals] if condition.equals is not None else []
    found += condition.one_of or ()
    for bound in (condition.above, condition.below):
        limit = state.get(bound) if isinstance(bound, str) else bound
        if isinstance(limit, int | float) and schema.type in (DataType.INTEGER, DataType.NUMBER):
            found += beside(schema, limit)
    return [value for value in found if schema.accepts(value)]


def obstacles(profile: Profile, state: State, name: str, value: Value) -> list[Rule]:
    """The rules because of which a command of ``value`` would be refused, or would not stay, in a state."""
    outlook = {**state, name: value}
    found = []
    for rule in profile.behaviour.rules:
        if rule.kind is RuleKind.REFUSAL:
            concerned = any(name in condition.names for condition in rule.refuse)
            hinders = concerned and all_hold(rule.while_, state) and all_hold(rule.refuse, outlook)
        else:
            concerned = any(condition.property_ == name for condition in rule.then)
            acts = all_hold(rule.when or rule.while_, outlook) and not _waits_for_happening(rule)
            hinders = concerned and acts and rule.for_ <= SOON and not all_hold(rule.then, outlook)
        if hinders:
            found.append(rule)
    return found


def pending(profile: Profile, state: State) -> list[Rule]:
    """Rules with a ``for`` whose time runs in a state, and that will change something in the end."""
    return [
        rule
        for rule in profile.behaviour.rules
        if rule.kind is RuleKind.RESPONSE
        and rule.for_ > 0
        and not _waits_for_happening(rule)
        and all_hold(rule.when, state)
        and not all_hold(rule.then, state)
    ]


def related(profile: Profile, names: Iterable[str]) -> frozenset[str]:
    """The properties by which those of ``names`` can be moved, directly or through rules."""
    found = set(names)
    while True:
        grown = set(found)
        for rule in profile.behaviour.rules:
            results: Sequence[Condition] = (*rule.then, *rule.refuse)
            if any(condition.property_ in grown for condition in results):
                for condition in lasting((*rule.when, *rule.while_)):
                    grown |= condition.names
        if grown == found:
            return frozenset(found)
        found = grown


def same_state(first: State, second: State) -> bool:
    """Whether two states agree in every property."""
    return first.keys() == second.keys() and all(same_value(first[name], second[name]) for name in first)


def _acts_at_once(rule: Rule, state: State) -> bool:
    if rule.kind is RuleKind.REFUSAL or rule.for_ > 0 or _waits_for_happening(rule):
        return False
    return all_hold(rule.when or rule.while_, state)


def _waits_for_happening(rule: Rule) -> bool:
    return any(condition.is_happening for condition in rule.when)
