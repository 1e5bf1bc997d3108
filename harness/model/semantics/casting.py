"""Whether a device can play a role of a scene, and if not, what it lacks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.model.base import Value
from harness.model.capability import CapabilityTransport
from harness.model.profile import Effect, Profile
from harness.model.scene import Scene, SceneAction, commanded, split_term
from harness.model.schema import DataSchema, DataType, same_value
from harness.model.semantics.mapping import (
    Sending,
    UntranslatableError,
    as_list,
    needed,
)
from harness.model.semantics.translator import (
    ProfileTranslator,
    UnofferedError,
    term_of,
)
from harness.model.vocabulary import TermKind


def lacking(scene: Scene, role: str, profile: Profile) -> tuple[str, ...]:
    """What the device lacks for the role, as text; empty if it can play the role."""
    return tuple(dict.fromkeys(_lacking(scene, role, profile)))


def _lacking(scene: Scene, role: str, profile: Profile) -> Iterator[str]:
    words = ProfileTranslator(profile)
    reported = {split_term(name)[1] for name in _reported_terms(scene) if split_term(name)[0] == role}
    for path in scene.roles[role].offers:
        found, term = words.find(path), term_of(path)
        is_command = term is not None and term.kind is TermKind.COMMAND
        if found is None and not (is_command and path not in reported):
            yield f"it does not offer {path}"
        elif found is not None and path in reported and not found.transports:
            yield f"it offers {path}, but over no transport"
    for path in scene.roles[role].commands:
        if not any(need.commands and need.term.path == term_path(path) for need in needed(profile)):
            yield f"it has no need to command {path}"
    for name, value in commanded(scene):
        own, path = split_term(name)
        if own == role:
            yield from _not_commanded(words, path, value)
    for action in (*scene.start, *(action for step in scene.steps for action in step.actions)):
        own, path = split_term(action.term)
        if own == role:
            yield from _not_done(words, action, path)


def _reported_terms(scene: Scene) -> Iterator[str]:
    """The terms that a device of the scene must report by itself."""
    conditions = [condition for step in scene.steps for condition in step.then]
    conditions += [condition for rule in (*scene.automations, *scene.rules) for condition in rule.when]
    conditions += [condition for rule in scene.rules for condition in (*rule.while_, *rule.then)]
    for condition in conditions:
        yield from condition.names
        if condition.event is not None:
            yield condition.event
    for step in scene.steps:
        yield from step.agree
    for wire in scene.wiring:
        yield wire.through


def _not_commanded(words: ProfileTranslator, path: str, value: Value) -> Iterator[str]:
    try:
        order = words.order(path, value, present=False)
    except (UnofferedError, UntranslatableError) as problem:
        yield f"it cannot accept {path}{_value_text(value)}: {problem}"
        return
    if not order.transports & set(CapabilityTransport):
        yield f"it cannot accept {path}: no transport carries {order.name}"


def _not_done(words: ProfileTranslator, action: SceneAction, path: str) -> Iterator[str]:
    found = words.find(path)
    if action.command is not None:
        if not any(True for _ in ways_to_command(words.profile, path, action.to)):
            yield f"no control makes it command {path}{_value_text(action.to)}"
    elif action.invoke is not None:
        yield from _not_commanded(words, path, action.given)
    elif found is None:
        return  # already reported
    elif action.happen is not None:
        if control_for_event(words, path, action.data) is None:
            yield f"none of its controls triggers {path}{_value_text(action.data)}"
    else:
        try:
            words.own_value(path, action.to)
        except UntranslatableError as problem:
            yield f"it does not have {path}{_value_text(action.to)}: {problem}"


def control_for_event(words: ProfileTranslator, path: str, data: Value) -> str | None:
    """The control of the device that triggers an event of the vocabulary, or None."""
    found = words.find(path)
    if found is None:
        return None
    for name, control in words.profile.controls.items():
        for effect in control.effects:
            if effect.event == found.affordance and _tells(words, effect, path, data):
                return name
    return None


def control_that_sets(profile: Profile, name: str, value: Value, present: Value) -> str | None:
    """The control that changes a property from ``present`` to ``value``, or None."""
    for control, declared in profile.controls.items():
        for effect in declared.effects:
            if effect.property_ != name:
                continue
            toggled = effect.toggle and isinstance(present, bool) and (not present) is value
            if toggled or (not effect.toggle and same_value(effect.value, value)):
                return control
    return None


@dataclass(frozen=True, slots=True)
class CommandWay:
    """How to trigger a command of a controller: a control, or a property that is set to ``value``."""

    control: str | None = None
    property_: str | None = None
    value: Value = None


def ways_to_command(profile: Profile, path: str, value: Value) -> Iterator[CommandWay]:
    """The ways for a person to make a controller command ``value`` for ``path``."""
    for need in needed(profile):
        if not need.commands or need.term.path != term_path(path):
            continue
        for sending in need.sendings:
            cause = sending.cause
            if cause.event is not None:
                for name, control in profile.controls.items():
                    for effect in control.effects:
                        if effect.event == cause.event and _sends(sending, effect.data, value):
                            yield CommandWay(control=name)
            elif cause.property_ is not None:
                for own in values_of(profile.properties[cause.property_]):
                    if _sends(sending, own, value):
                        yield CommandWay(property_=cause.property_, value=own)


def values_of(schema: DataSchema) -> tuple[Value, ...]:
    """The values of a schema that has a finite list of them."""
    if schema.type is DataType.BOOLEAN:
        return (False, True)
    return schema.enum or ()


def term_path(path: str) -> str:
    """A path without its label."""
    term = term_of(path)
    return term.path if term is not None else path


def _sends(sending: Sending, own: Value, value: Value) -> bool:
    cause = sending.cause
    if cause.data is not None and not any(same_value(own, one) for one in as_list(cause.data)):
        return False
    if cause.sends is not None:
        return value is None or same_value(cause.sends, value)
    try:
        return value is None or same_value(sending.translation.to_common(own), value)
    except UntranslatableError:
        return False


def _tells(words: ProfileTranslator, effect: Effect, path: str, data: Value) -> bool:
    found = words.find(path)
    assert found is not None
    if found.offer.data is not None and not any(
        same_value(effect.data, one) for one in as_list(found.offer.data)
    ):
        return False
    meant = [
        reported.value
        for reported in words.terms_reported_by(found.affordance, effect.data)
        if reported.path == path
    ]
    return any(data is None or same_value(value, data) for value in meant)


def _value_text(value: Value) -> str:
    return "" if value is None else f" = {value}"
