"""Behaviour rules, one by one: names, possible values, and effects that can be observed."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.consistency.affordances import NUMBERS
from harness.model.consistency.mistake import CheckedProfile, Mistake, unknown_name, wrong_value
from harness.model.problems import Path
from harness.model.rule import Condition, Rule, RuleKind

_RULES: Path = ("behaviour", "rules")


def mistakes(subject: CheckedProfile) -> Iterator[Mistake]:
    """Mistakes in rules, and in the conditions of controls."""
    seen: dict[str, int] = {}
    for index, rule in enumerate(subject.profile.behaviour.rules):
        path = (*_RULES, index)
        if rule.id in seen:
            yield Mistake((*path, "id"), f"rules[{seen[rule.id]}] has this id already", rule.id)
        seen.setdefault(rule.id, index)
        for condition, where in _conditions(rule, path):
            yield from of_condition(subject, condition, where)
        yield from _of_then(subject, rule, path)
        yield from _of_refusal(subject, rule, path)
    for name, control in subject.profile.controls.items():
        for index, condition in enumerate(control.unless):
            unless: Path = ("controls", name, "unless", index)
            yield from of_condition(subject, condition, unless)
            if condition.is_happening:
                yield Mistake(unless, "can use properties only; events and actions have no duration")


def _conditions(rule: Rule, path: Path) -> Iterator[tuple[Condition, Path]]:
    parts = (("when", rule.when), ("while", rule.while_), ("then", rule.then), ("refuse", rule.refuse))
    for key, conditions in parts:
        for index, condition in enumerate(conditions):
            yield condition, (*path, key, index)


def of_condition(subject: CheckedProfile, condition: Condition, path: Path) -> Iterator[Mistake]:
    """Mistakes in one condition, wherever it stands."""
    profile, names = subject.profile, subject.names
    mistake = None
    if condition.event is not None:
        mistake = unknown_name((*path, "event"), "event", condition.event, names.events)
        event = profile.events.get(condition.event)
        data = event.data if event is not None else None
        known = event is not None
    elif condition.action is not None:
        mistake = unknown_name((*path, "action"), "action", condition.action, names.actions)
        action = profile.actions.get(condition.action)
        data = action.input if action is not None else None
        known = action is not None
    else:
        yield from _of_property_test(subject, condition, path)
        return
    if mistake is not None:
        yield mistake
    if known and condition.data is not None:
        if data is None:
            yield Mistake((*path, "data"), "has no data to compare with")
        else:
            yield from wrong_value((*path, "data"), condition.data, data)


def _of_property_test(subject: CheckedProfile, condition: Condition, path: Path) -> Iterator[Mistake]:
    name = condition.property_ or ""
    if mistake := unknown_name((*path, "property"), "property", name, subject.names.properties):
        yield mistake
    for key, bound in (("above", condition.above), ("below", condition.below)):
        if isinstance(bound, str):
            yield from _of_reference(subject, bound, (*path, key))
    schema = subject.profile.properties.get(name)
    if schema is None:
        return
    if condition.equals is not None:
        yield from wrong_value((*path, "equals"), condition.equals, schema)
    for index, value in enumerate(condition.one_of or ()):
        yield from wrong_value((*path, "one_of", index), value, schema)
    for key, bound, limit in (
        ("above", condition.above, schema.maximum),
        ("below", condition.below, schema.minimum),
    ):
        if bound is None:
            continue
        if schema.type not in NUMBERS:
            yield Mistake((*path, key), f"compares numbers, and {name} is of type {schema.type}")
        elif isinstance(bound, str) or limit is None:
            continue
        elif bound >= limit if key == "above" else bound <= limit:
            end = "maximum" if key == "above" else "minimum"
            yield Mistake((*path, key), f"can never be true: the {end} of {name} is {limit:g}", f"{bound:g}")


def _of_reference(subject: CheckedProfile, name: str, path: Path) -> Iterator[Mistake]:
    if mistake := unknown_name(path, "property", name, subject.names.properties):
        yield mistake
    schema = subject.profile.properties.get(name)
    if schema is not None and schema.type not in NUMBERS:
        yield Mistake(
            path, "compares numbers", f"{name} of type {schema.type}", "a number or a numeric property"
        )


def _of_then(subject: CheckedProfile, rule: Rule, path: Path) -> Iterator[Mistake]:
    for index, condition in enumerate(rule.then):
        where = (*path, "then", index)
        if condition.action is not None:
            yield Mistake((*where, "action"), "an action is invoked from outside; it cannot be an outcome")
        if subject.whole and condition.property_ is not None:
            yield from _unseen(subject, condition.property_, (*where, "property"))


def _of_refusal(subject: CheckedProfile, rule: Rule, path: Path) -> Iterator[Mistake]:
    if rule.kind is not RuleKind.REFUSAL:
        return
    targets = [subject.profile.properties.get(condition.property_ or "") for condition in rule.refuse]
    if all(target is not None and not target.writable for target in targets):
        yield Mistake((*path, "refuse"), "refuses nothing: no property here is writable")
    for index, condition in enumerate(rule.refuse):
        if subject.whole and condition.property_ is not None:
            yield from _unseen(subject, condition.property_, (*path, "refuse", index, "property"))
    state = {
        name: schema.default
        for name, schema in subject.profile.properties.items()
        if schema.default is not None
    }
    if all(condition.holds(state) for condition in (*rule.while_, *rule.refuse)):
        yield Mistake((*path, "refuse"), "refuses the default values of its properties")


def _unseen(subject: CheckedProfile, name: str, path: Path) -> Iterator[Mistake]:
    mqtt, coap = subject.profile.bindings.mqtt, subject.profile.bindings.coap
    shown = (set(mqtt.properties) if mqtt else set()) | (set(coap.properties) if coap else set())
    if name in subject.profile.properties and name not in shown:
        message = "no transport reports it, so the rule cannot be checked"
        yield Mistake(path, message, name, ", ".join(sorted(shown)) or "a property with a binding")
