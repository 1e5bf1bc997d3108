"""Pairs of rules that cannot both be kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from harness.model.base import Value
from harness.model.consistency.mistake import CheckedProfile, Mistake
from harness.model.problems import Path
from harness.model.rule import Condition, Rule, RuleKind


def mistakes(subject: CheckedProfile) -> Iterator[Mistake]:
    """Rules that contradict another rule, or themselves."""
    rules = [
        (index, rule)
        for index, rule in enumerate(subject.profile.behaviour.rules)
        if rule.kind is not RuleKind.REFUSAL
    ]
    for index, rule in rules:
        if rule.kind is RuleKind.INVARIANT and _apart(rule.while_, rule.then):
            yield Mistake(_then(index), "`then` cannot be true while `while` is")
        if _apart(rule.then, rule.then):
            yield Mistake(_then(index), "its conditions cannot be true together")
    for (_, first), (index, second) in combinations(rules, 2):
        if _apart(first.then, second.then) and _meet(first, second) and not _takes_turns(first, second):
            message = f"contradicts the rule {first.id}, and both can apply at once"
            yield Mistake(_then(index), message, None, "conditions that cannot be true at the same time")


def _then(index: int) -> Path:
    return ("behaviour", "rules", index, "then")


def _meet(first: Rule, second: Rule) -> bool:
    """Whether both rules can apply at the same moment."""
    if RuleKind.INVARIANT in (first.kind, second.kind):
        return not _apart(_state(first), _state(second))
    # A response applies once, when something becomes true: two of them need the same trigger to meet.
    causes = [
        {str(condition) for condition in rule.when if condition.is_happening} for rule in (first, second)
    ]
    if any(causes):
        return causes[0] == causes[1] and not _apart(_state(first), _state(second))
    return first.for_ == second.for_ and set(map(str, first.when)) == set(map(str, second.when))


def _state(rule: Rule) -> tuple[Condition, ...]:
    return tuple(condition for condition in (*rule.when, *rule.while_) if not condition.is_happening)


def _takes_turns(first: Rule, second: Rule) -> bool:
    """Whether one holds for a while and the other allows for that time, as with a restart delay."""
    return any(
        holder.holds > 0 and other.within >= holder.within + holder.holds
        for holder, other in ((first, second), (second, first))
    )


def _apart(some: Sequence[Condition], others: Sequence[Condition]) -> bool:
    """Whether the conditions cannot all be true at once. Each property is looked at by itself."""
    return any(
        _exclude(condition, other)
        for condition in some
        for other in others
        if condition.property_ is not None and condition.property_ == other.property_
    )


def _exclude(one: Condition, other: Condition) -> bool:
    for chosen, tested in ((one, other), (other, one)):
        values = _choices(chosen)
        if values is not None:
            return all(tested.holds({tested.property_ or "": value}) is False for value in values)
    return _crossed(one.above, other.below) or _crossed(other.above, one.below)


def _choices(condition: Condition) -> tuple[Value, ...] | None:
    return (condition.equals,) if condition.equals is not None else condition.one_of


def _crossed(low: float | str | None, high: float | str | None) -> bool:
    """Whether no value is above ``low`` and below ``high``."""
    if low is None or high is None:
        return False
    if isinstance(low, str) or isinstance(high, str):
        return low == high
    return low >= high
