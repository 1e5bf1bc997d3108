"""Faults of counters, and of memory over losses of power or network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.model.affordance import PowerUp, Property
from harness.model.base import Value
from harness.simulate.faults import fault
from harness.simulate.faults.device._deviating import (
    any_property,
    distort,
    energy,
    execute,
    writable,
)
from harness.simulate.firmware.deviations import Memory
from harness.simulate.firmware.values import (
    canonical,
    default_value,
    nearest_legal,
    step_of,
)

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice

COUNTER_LOSS = 25  # steps of the counter


@fault(
    name="counter-decreases",
    title="lowers the energy counter with every command",
    breaks=("DEV-13",),
    applies=lambda profile: any_property(energy)(profile) and any_property(writable)(profile),
)
def counter_decreases(device: SimulatedDevice) -> None:
    """Each command restores an older reading."""
    losses = 0

    def lose(name: str, schema: Property, value: Value) -> Value:
        nonlocal losses
        losses += 1
        return value

    def lower(schema: Property, value: Value) -> Value:
        lost = losses * COUNTER_LOSS * float(step_of(schema) or 0.001)
        return canonical(schema, nearest_legal(schema, value - lost))

    execute(device.core, writable, lose)
    distort(device.core, energy, lower)


@fault(
    name="counter-lost-at-power-cut",
    title="has other counter values after a power loss",
    breaks=("DEV-13",),
    seen_as="F-DEV-09",
    applies=any_property(lambda schema: schema.counter),
)
def counter_lost_at_power_cut(device: SimulatedDevice) -> None:
    """It reads back an incomplete write to its memory."""

    def tear(memory: Memory) -> Memory:
        counters = {
            name: canonical(schema, nearest_legal(schema, memory[name] / 2))
            for name, schema in device.profile.properties.items()
            if schema.counter
        }
        return {**memory, **counters}

    earlier = device.core.deviations.boots
    device.core.deviate(boots=lambda memory: tear(earlier(memory)))


@fault(
    name="settings-lost-at-power-cut",
    title="does not restore its settings after a power loss as declared",
    breaks=("DEV-14", "SERIAL-08"),
    seen_as="F-DEV-20",
    applies=any_property(lambda schema: schema.writable and schema.power_up is PowerUp.PREVIOUS),
)
def settings_lost_at_power_cut(device: SimulatedDevice) -> None:
    """It starts with factory defaults; a switch that had its default is inverted."""

    def forget(name: str, schema: Property, value: Value) -> Value:
        if schema.read_only:
            return value
        fresh = canonical(schema, default_value(schema))
        return not fresh if isinstance(fresh, bool) and fresh is value else fresh

    def reset(memory: Memory) -> Memory:
        properties = device.profile.properties
        return {name: forget(name, properties[name], value) for name, value in memory.items()}

    earlier = device.core.deviations.boots
    device.core.deviate(boots=lambda memory: reset(earlier(memory)))


@fault(
    name="no-local-control-offline",
    title="ignores its buttons while there is no broker",
    breaks=("DEV-15",),
    seen_as="F-DEV-27",
    applies=lambda profile: (
        profile.bindings.mqtt is not None and profile.bindings.mqtt.sleep is None and bool(profile.controls)
    ),
)
def no_local_control_offline(device: SimulatedDevice) -> None:
    """The loop that reads the buttons waits for a connection."""
    mqtt = device.mqtt
    if mqtt is not None:
        device.core.deviate(hears_controls=lambda: mqtt.ready)


@fault(
    name="settings-lost-at-reconnect",
    title="falls back to its defaults when it loses the broker",
    breaks=("PROFILE-63",),
    applies=lambda profile: profile.bindings.mqtt is not None and any_property(writable)(profile),
)
def settings_lost_at_reconnect(device: SimulatedDevice) -> None:
    """A watchdog restarts the firmware instead of reconnecting."""
    if device.mqtt is not None:
        device.mqtt.deviate(keeps_settings=False)
