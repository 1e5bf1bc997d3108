"""Making something happen at a device that others are to follow: keys, sensors, settings, rules, power."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.checks.bench import BenchLimitationError, StimulusError
from harness.checks.support.behaviour.action_effects import (
    has_something_to_change,
    names_around,
    results_of,
)
from harness.checks.support.behaviour.arrange import StateArranger
from harness.checks.support.behaviour.boundary_values import (
    is_one_of,
    limits,
)
from harness.checks.support.behaviour.local_operation import unlock
from harness.checks.support.behaviour.planner import (
    Move,
    MoveKind,
)
from harness.checks.support.behaviour.rule_triggers import stimulate_rule
from harness.checks.support.behaviour.transports import open_writers
from harness.checks.support.compat.bench import GroupBench
from harness.checks.support.compat.interactions import (
    AVAILABILITY,
    Interaction,
    InteractionEffect,
)
from harness.model.base import Value
from harness.model.profile import Profile
from harness.model.requirement import BenchFeature
from harness.model.schema import DataType, same_value
from harness.prediction.findings import AffordanceKind

MOST = 6  # values of one affordance that are tried


@dataclass(frozen=True, slots=True)
class TriggerCause:
    """One thing to make happen at the source of a bond: the affordance ``name`` tells ``value``.

    ``control`` is operated for it, or else the rule ``rule`` of the device set off.
    """

    name: str
    value: Value
    control: str | None = None
    rule: str | None = None


def causes_of(bond: Interaction) -> tuple[TriggerCause, ...]:
    """What can be made to happen at the source, as far as something is to follow."""
    return tuple(cause for cause in _causes(bond) if bond.effects_of(cause.name, cause.value))


def _causes(bond: Interaction) -> Iterator[TriggerCause]:
    profile = bond.source_profile
    for name in sorted(bond.source_names):
        if name == AVAILABILITY:
            yield from (TriggerCause(name, False), TriggerCause(name, True))
        elif name in profile.events:
            yield from _of_event(profile, name)
        else:
            for value in _values(profile, name, bond):
                yield TriggerCause(name, value)


def _of_event(profile: Profile, name: str) -> Iterator[TriggerCause]:
    by_hand = [
        TriggerCause(name, effect.data, control=control)
        for control, declared in profile.controls.items()
        for effect in declared.effects
        if effect.event == name
    ]
    yield from by_hand
    for rule in profile.behaviour.rules:
        for condition in rule.then:
            if condition.event == name and not any(
                same_value(condition.data, each.value) for each in by_hand
            ):
                yield TriggerCause(name, condition.data, rule=rule.id)


def _values(profile: Profile, name: str, bond: Interaction) -> list[Value]:
    """Values of a property that are worth trying: those that set something off, both ends, and between."""
    schema = profile.properties[name]
    found = limits(schema)
    if schema.type in (DataType.INTEGER, DataType.NUMBER) and schema.enum is None and len(found) > 4:
        found = [found[0], found[-1], found[len(found) // 2], found[1]]
    wanted = [value for value in found if bond.effects_of(name, value)]
    return wanted[:MOST]


def is_never_set_off(bond: Interaction) -> bool:
    """Whether nothing that the source can ever tell makes the target do anything."""
    profile = bond.source_profile
    if bond.problem is not None or not bond.links:
        return True
    return all(
        name in profile.properties
        and not any(bond.effects_of(name, value) for value in limits(profile.properties[name]))
        for name in bond.source_names
    )


async def set_off(stage: GroupBench, role: str, cause: TriggerCause, arranger: StateArranger) -> None:
    """Make it happen, and wait for nothing else. Raises CannotStimulateError."""
    bench = stage.bench(role)
    if cause.name == AVAILABILITY:
        if not bench.offers(BenchFeature.POWER):
            raise BenchLimitationError(f"nothing here can stop and start {role}")
        await (bench.power.start() if cause.value else bench.power.kill())
        return
    if cause.control is not None:
        if not bench.offers(BenchFeature.LOCAL):
            raise BenchLimitationError(f"nothing here can operate {role} by hand")
        await unlock(arranger, bench.profile, cause.control)
        await bench.local.operate(cause.control)
        return
    if cause.rule is not None:
        await stimulate_rule(bench, bench.profile.rule(cause.rule))
        return
    name = cause.name
    await arranger.bring_about(
        lambda state: name in state and same_value(state[name], cause.value),
        [name],
        f"{name} of {role} is {cause.value}",
    )


async def set_aside(arranger: StateArranger, cause: TriggerCause) -> bool:
    """Bring about that the source is something else than it is going to be; whether that took anything.

    Raises CannotStimulateError.
    """
    name = cause.name
    if cause.control is not None or cause.rule is not None or name == AVAILABILITY:
        return False
    if name in arranger.state and not same_value(arranger.state[name], cause.value):
        return False
    await arranger.bring_about(
        lambda state: name in state and not same_value(state[name], cause.value),
        [name],
        f"{name} is something else than {cause.value}",
    )
    return True


async def put_aside(
    stage: GroupBench, bond: Interaction, effect: InteractionEffect, target: StateArranger
) -> None:
    """Bring about that the target is something else, and that it may become what is to follow."""
    if effect.kind is AffordanceKind.ACTION:
        await _put_results_aside(stage, bond, effect.name, target)
    if effect.kind is not AffordanceKind.PROPERTY or effect.value is None:
        return
    name, bench = effect.name, stage.bench(bond.target)
    schema = bench.profile.properties[name]
    present = target.state.get(name)
    if present is not None and schema.agrees(present, effect.value):
        other: Value = another_value(bench.profile, name, effect.value)
        if other is not None and open_writers(bench, name):
            await target.make_room_for(name, other)
            await target.perform(Move(MoveKind.WRITE, name, other))
    if schema.accepts(effect.value):
        try:
            await target.make_room_for(name, effect.value)
        except StimulusError as reason:
            stage.note(f"{bond.target} is left as it is: {reason}")


async def _put_results_aside(
    stage: GroupBench, bond: Interaction, action: str, target: StateArranger
) -> None:
    """Bring about that an action has something to change, where it changes a state at all."""
    profile = bond.target_profile
    if not results_of(profile, action):
        return
    try:
        await target.bring_about(
            lambda state: has_something_to_change(profile, action, state),
            names_around(profile, action),
            f"{action} has something to change",
        )
    except StimulusError as reason:
        stage.note(f"{bond.target} is left as it is: {reason}")


def another_value(profile: Profile, name: str, value: Value) -> Value:
    """A legal value of a property that is not ``value``; None where there is none. Raises KeyError."""
    schema = profile.properties[name]
    for other in limits(schema):
        if not schema.agrees(other, value) and not is_one_of(other, [value]):
            return other
    return None


__all__ = ["StimulusError", "TriggerCause", "another_value", "causes_of", "put_aside", "set_aside", "set_off"]
