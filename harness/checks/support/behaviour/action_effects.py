"""The effects of actions, including counter resets."""

from __future__ import annotations

from harness.checks.support.behaviour.forecast import State, all_hold, lasting
from harness.checks.support.behaviour.planner import started_by_action
from harness.model.profile import Profile
from harness.model.rule import Condition

RESET = "reset_"  # an action of this name and a counter's sets the counter to zero, by convention


def results_of(profile: Profile, action: str, state: State | None = None) -> list[Condition]:
    """The conditions that an action makes true, by the rules or, for counter resets, by its name.

    With a ``state``, only the rules that apply in that state count: a toggle switches on or off.
    """
    found = [
        condition
        for rule in profile.behaviour.rules
        if started_by_action(rule, action) and not rule.for_ and (state is None or all_hold(rule.when, state))
        for condition in rule.then
        if condition.action is None
    ]
    counter = action.removeprefix(RESET)
    is_counter = counter in profile.properties and profile.properties[counter].counter
    if not found and counter != action and is_counter:
        found.append(Condition(property_=counter, equals=0))
    return found


def resets(profile: Profile, action: str, name: str) -> bool:
    """Whether an action may reset a property."""
    return any(condition.property_ == name for condition in results_of(profile, action))


def has_something_to_change(profile: Profile, action: str, state: State) -> bool:
    """Whether an action has a visible effect when it is invoked in a state."""
    results = results_of(profile, action, state)
    return bool(results) and not any(condition.holds(state) for condition in lasting(results))


def names_around(profile: Profile, action: str) -> set[str]:
    """The properties that decide what an action does, and those that it changes."""
    rules = [rule for rule in profile.behaviour.rules if started_by_action(rule, action)]
    deciding = {name for rule in rules for condition in lasting(rule.when) for name in condition.names}
    return deciding | {condition.property_ or "" for condition in lasting(results_of(profile, action))}
