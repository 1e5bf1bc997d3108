"""Triggers reports of a device that others react to: controls, sensors, settings, rules, power."""

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

MOST = 6  # maximum number of values per affordance


@dataclass(frozen=True, slots=True)
class TriggerCause:
    """One way to trigger a report at the source of an interaction: the affordance ``name`` reports ``value``.

    It is triggered by operating ``control``, or by the rule ``rule`` of the device.
    """

    name: str
    value: Value
    control: str | None = None
    rule: str | None = None


def causes_of(interaction: Interaction) -> tuple[TriggerCause, ...]:
    """The causes at the source to which the target reacts."""
    return tuple(cause for cause in _causes(interaction) if interaction.effects_of(cause.name, cause.value))


def _causes(interaction: Interaction) -> Iterator[TriggerCause]:
    profile = interaction.source_profile
    for name in sorted(interaction.source_names):
        if name == AVAILABILITY:
            yield from (TriggerCause(name, False), TriggerCause(name, True))
        elif name in profile.events:
            yield from _of_event(profile, name)
        else:
            for value in _values(profile, name, interaction):
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


def _values(profile: Profile, name: str, interaction: Interaction) -> list[Value]:
    """Values of a property that trigger a reaction: both limits, and values between."""
    schema = profile.properties[name]
    found = limits(schema)
    if schema.type in (DataType.INTEGER, DataType.NUMBER) and schema.enum is None and len(found) > 4:
        found = [found[0], found[-1], found[len(found) // 2], found[1]]
    wanted = [value for value in found if interaction.effects_of(name, value)]
    return wanted[:MOST]


def is_never_triggered(interaction: Interaction) -> bool:
    """Whether no report of the source can ever cause a reaction."""
    profile = interaction.source_profile
    if interaction.problem is not None or not interaction.links:
        return True
    return all(
        name in profile.properties
        and not any(interaction.effects_of(name, value) for value in limits(profile.properties[name]))
        for name in interaction.source_names
    )


async def trigger_report(
    group_bench: GroupBench, role: str, cause: TriggerCause, arranger: StateArranger
) -> None:
    """Trigger the report, without waiting for a reaction. Raises StimulusError."""
    bench = group_bench.bench(role)
    if cause.name == AVAILABILITY:
        if not bench.offers(BenchFeature.POWER):
            raise BenchLimitationError(f"this bench cannot switch the power of {role}")
        await (bench.power.start() if cause.value else bench.power.kill())
        return
    if cause.control is not None:
        if not bench.offers(BenchFeature.LOCAL):
            raise BenchLimitationError(f"this bench cannot operate {role} by hand")
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


async def prepare_source(arranger: StateArranger, cause: TriggerCause) -> bool:
    """Give the source another value than the coming one; returns whether that was necessary.

    Raises StimulusError.
    """
    name = cause.name
    if cause.control is not None or cause.rule is not None or name == AVAILABILITY:
        return False
    if name in arranger.state and not same_value(arranger.state[name], cause.value):
        return False
    await arranger.bring_about(
        lambda state: name in state and not same_value(state[name], cause.value),
        [name],
        f"{name} is not {cause.value}",
    )
    return True


async def prepare_target(
    group_bench: GroupBench, interaction: Interaction, effect: InteractionEffect, target: StateArranger
) -> None:
    """Give the target another value than the expected one, and make the expected one possible."""
    if effect.kind is AffordanceKind.ACTION:
        await _prepare_results(group_bench, interaction, effect.name, target)
    if effect.kind is not AffordanceKind.PROPERTY or effect.value is None:
        return
    name, bench = effect.name, group_bench.bench(interaction.target)
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
            group_bench.note(f"{interaction.target} keeps its state: {reason}")


async def _prepare_results(
    group_bench: GroupBench, interaction: Interaction, action: str, target: StateArranger
) -> None:
    """Prepare the state so that an action has an effect, if it changes a state at all."""
    profile = interaction.target_profile
    if not results_of(profile, action):
        return
    try:
        await target.bring_about(
            lambda state: has_something_to_change(profile, action, state),
            names_around(profile, action),
            f"{action} has something to change",
        )
    except StimulusError as reason:
        group_bench.note(f"{interaction.target} keeps its state: {reason}")


def another_value(profile: Profile, name: str, value: Value) -> Value:
    """A legal value of a property other than ``value``; None if there is none. Raises KeyError."""
    schema = profile.properties[name]
    for other in limits(schema):
        if not schema.agrees(other, value) and not is_one_of(other, [value]):
            return other
    return None


__all__ = [
    "StimulusError",
    "TriggerCause",
    "another_value",
    "causes_of",
    "prepare_source",
    "prepare_target",
    "trigger_report",
]
