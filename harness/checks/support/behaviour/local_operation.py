"""Operates controls and sensors of the device, and predicts their effects."""

from __future__ import annotations

import contextlib

from harness.checks.bench import StimulusError
from harness.checks.case import Case, Decoded, failed
from harness.checks.observations import Report, Transport
from harness.checks.payloads import json_text
from harness.checks.support.behaviour.arrange import StateArranger
from harness.checks.support.behaviour.boundary_values import NUMERIC, grid, limits
from harness.checks.support.behaviour.commands import described
from harness.checks.support.behaviour.forecast import (
    SOON,
    State,
    all_hold,
    obstacles,
    pending,
    same_state,
    settled,
)
from harness.checks.support.behaviour.planner import effect_value
from harness.checks.support.behaviour.transports import reporting_transports
from harness.model.affordance import Property
from harness.model.base import Value
from harness.model.profile import Control, Effect, Profile
from harness.model.schema import same_value
from harness.model.verdict import Outcome
from harness.trace.events import Act, Stimulus


async def unlock(arranger: StateArranger, profile: Profile, name: str) -> None:
    """Reach a state in which operating a control has its declared, lasting effect.

    Raises StimulusError.
    """
    control = profile.controls[name]

    def works(state: State) -> bool:
        if control.unless and all_hold(control.unless, state):
            return False
        return not any(
            effect.property_ is not None
            and (
                effect.property_ not in state
                or same_value(_result(profile, effect, state), state[effect.property_])
                or obstacles(profile, state, effect.property_, _result(profile, effect, state))
            )
            for effect in control.effects
        )

    names = {effect.property_ for effect in control.effects if effect.property_ is not None}
    for condition in control.unless:
        names |= condition.names
    await arranger.bring_about(works, names, f"{name} must have an effect")


def _result(profile: Profile, effect: Effect, state: State) -> Value:
    name = effect.property_ or ""
    return effect_value(profile.properties[name], effect, state)


def moved_by(control: Control) -> list[Effect]:
    """The effects of a control on properties."""
    return [effect for effect in control.effects if effect.property_ is not None]


def readers_of_control(profile: Profile, control: str) -> list[Transport]:
    """The transports that report a property that a control changes."""
    moved = [effect.property_ or "" for effect in moved_by(profile.controls[control])]
    return [t for t in Transport if any(t in reporting_transports(profile, name) for name in moved)]


def operated(case: Case, control: str) -> Decoded[Stimulus, Stimulus] | None:
    """The first operation of a control in the window; None if there was none."""
    return next((act for act in case.stimuli(Act.LOCAL) if act.value.name == control), None)


def reported_in_time(
    case: Case, name: str, expected: Value, transport: Transport, cause: Decoded[Stimulus, Stimulus]
) -> Report | Outcome:
    """The report of the expected value, or a failure if it is missing or late."""
    limit, schema = case.profile.behaviour.report_local, case.profile.properties[name]
    after = [r for r in case.reports(name, transport) if r.event.line > cause.line]
    seen = next((r for r in after if r.problem is None and schema.agrees(r.value, expected)), None)
    text = f"{name} = {json_text(expected)}"
    if seen is None:
        instead = f"; the device reported {described(after[0])}" if after else ""
        return failed(
            f"{text} was not reported over {transport} within {limit:g} s{instead}", cause, after[:1]
        )
    late = seen.time - case.completed_at(cause)  # an operator may have acted only at the end
    # A read does not show since when the value was available.
    if late > limit and not seen.asked:
        return failed(
            f"{text} was reported over {transport} after {late:.3g} s; allowed are {limit:g} s", cause, seen
        )
    return seen


async def free_sensor(arranger: StateArranger, profile: Profile, name: str) -> None:
    """Reach a state in which no rule reacts to the sensor, over its whole range if possible."""
    names = {name}
    for rule in profile.behaviour.rules:
        conditions = (*rule.when, *rule.while_)
        if any(name in condition.names for condition in conditions):
            names |= {other for condition in conditions for other in condition.names}
    ends = (limits(profile.properties[name])[0], limits(profile.properties[name])[-1])
    with contextlib.suppress(StimulusError):
        await arranger.bring_about(
            lambda state: all(_is_quiet(profile, {**state, name: end}) for end in ends),
            names,
            f"no rule may react to {name}",
        )
        return
    await arranger.bring_about(
        lambda state: len(points(profile, name, state)) > 1, names, f"{name} must follow its sensor"
    )


def is_measured(schema: Property) -> bool:
    """Whether the property is a numeric measurement."""
    return schema.read_only and schema.type in NUMERIC and not schema.enum and not schema.counter


def points(profile: Profile, name: str, state: State) -> list[Value]:
    """Sensor values from the whole range to which no rule reacts."""
    schema = profile.properties[name]
    quiet = [
        value
        for value in grid(schema, 21)
        if not same_value(value, state.get(name)) and _is_quiet(profile, {**state, name: value})
    ]
    chosen = [*quiet[:1], *quiet[len(quiet) // 2 :][:1], *quiet[-1:]]
    zero = [value for value in (0,) if schema.accepts(value) and _is_quiet(profile, {**state, name: value})]
    return [*dict.fromkeys([*chosen, *zero])]


def _is_quiet(profile: Profile, state: State) -> bool:
    acting = any(rule.for_ <= SOON for rule in pending(profile, state))
    return not acting and same_state(settled(profile, state), state)
