"""The settings of a board, and how they are changed: over the network, or over the serial line."""

from __future__ import annotations

from harness.checks.bench import Bench
from harness.checks.support.behaviour.arrange import StateArranger
from harness.checks.support.behaviour.boundary_values import resting
from harness.checks.support.behaviour.outages import (
    settings,
    vary_settings,
)
from harness.checks.support.behaviour.transports import command_transports
from harness.checks.support.serial.board import (
    ask,
    binding_of,
)
from harness.model.affordance import Property
from harness.model.base import Value
from harness.model.bindings.serial import SerialCommand
from harness.model.profile import Profile
from harness.model.schema import same_value


def shown_settings(profile: Profile) -> list[str]:
    """The properties that can be set and that the board shows."""
    binding, on_network = binding_of(profile), settings(profile)
    on_line = _on_line_alone(profile)
    return [name for name in profile.properties if binding.can_read(name) and name in {*on_network, *on_line}]


async def change_settings(bench: Bench, arranger: StateArranger) -> None:
    """Change every setting, where possible not to its default, so that a loss shows. Raises StimulusError."""
    await vary_settings(bench, arranger)
    for name in _on_line_alone(bench.profile):
        schema = bench.profile.properties[name]
        present = await ask(bench, SerialCommand.READ_STATE, name)
        others = [value for value in resting(schema) if not same_value(value, present)]
        others.sort(key=lambda value, schema=schema: is_default(schema, value))  # type: ignore[misc]
        if others:
            await ask(bench, SerialCommand.WRITE_PROPERTY, name, others[0])


async def leave_defaults(bench: Bench, arranger: StateArranger) -> None:
    """Change every setting that has its default, so that a reset shows.

    Other settings stay as they are. Raises StimulusError.
    """
    await vary_settings(bench, arranger, leave_defaults=True)
    for name in _on_line_alone(bench.profile):
        schema = bench.profile.properties[name]
        if not is_default(schema, await ask(bench, SerialCommand.READ_STATE, name)):
            continue
        others = [value for value in resting(schema) if not is_default(schema, value)]
        if others:
            await ask(bench, SerialCommand.WRITE_PROPERTY, name, others[0])


def is_default(schema: Property, value: Value) -> bool:
    """Whether a value is the default that the profile declares."""
    return schema.default is not None and schema.agrees(value, schema.default)


def _on_line_alone(profile: Profile) -> list[str]:
    """The settings that only the console can set, such as all those of a board without a network."""
    binding = binding_of(profile)
    return [
        name
        for name, schema in profile.properties.items()
        if schema.writable
        and not command_transports(profile, name)
        and binding.can_write(name)
        and binding.can_read(name)
    ]
