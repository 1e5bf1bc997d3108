"""Faults of the device itself, seen on whatever transport it has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.model.affordance import PowerUp, Property
from harness.model.base import Value
from harness.model.profile import Profile
from harness.model.rule import RuleKind
from harness.model.schema import same_value
from harness.simulate.core import Change, Origin
from harness.simulate.core_habits import LOST, Memory
from harness.simulate.faults import fault
from harness.simulate.faults.bending import (
    Mask,
    any_property,
    any_rule,
    distort,
    energy,
    execute,
    measured,
    number,
    switch,
    writable,
    writable_number,
)
from harness.simulate.values import canonical, default_value, nearest_legal, step_of

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice

BURST = 0.15  # seconds in which a device with a queue of one takes a single command
STALE_AFTER = 0.3
COUNTER_LOSS = 25  # steps of the counter


# Commands


@fault(
    name="range-unchecked",
    title="stores and reports setpoints outside its range",
    breaks=("DEV-03", "DEV-09"),
    seen_as="F-DEV-11",
    applies=any_property(writable_number),
)
def range_unchecked(device: SimulatedDevice) -> None:
    """No limit is checked, nor any list of values."""
    device.core.bend(checks_range=False)


@fault(
    name="clamps-in-secret",
    title="limits a setpoint, but reports what was commanded",
    breaks=("DEV-03", "DEV-09"),
    seen_as="F-DEV-12",
    applies=any_property(writable_number),
)
def clamps_in_secret(device: SimulatedDevice) -> None:
    """The actuator is safe, the report is not true."""
    device.core.bend(clamps=True, hides_clamping=True)


@fault(
    name="clamps-undeclared",
    title="limits a setpoint that it should refuse",
    breaks=("DEV-03",),
    seen_as="F-DEV-12",
    applies=lambda profile: (
        any_property(writable_number)(profile) and profile.behaviour.invalid_value == "refuse"
    ),
)
def clamps_undeclared(device: SimulatedDevice) -> None:
    """The nearest limit becomes the state."""
    device.core.bend(clamps=True)


@fault(
    name="read-only-written",
    title="lets the network write what it should only measure",
    breaks=("DEV-05",),
    applies=any_property(lambda schema: schema.read_only),
)
def read_only_written(device: SimulatedDevice) -> None:
    """Over MQTT it takes a message on its own state topic for a command."""
    device.core.bend(guards_read_only=False)
    if device.mqtt is not None:
        device.mqtt.bend(obeys_own_state=True)


@fault(
    name="burst-loses-commands",
    title="executes only the first of several quick commands",
    breaks=("DEV-07",),
    seen_as="F-DEV-16",
    applies=any_property(writable),
)
def burst_loses_commands(device: SimulatedDevice) -> None:
    """A queue for one command, and it is full."""
    taken_at = float("-inf")

    def take(name: str, schema: Property, value: Value) -> Value:
        nonlocal taken_at
        now = asyncio.get_running_loop().time()
        if now - taken_at < BURST:
            return LOST
        taken_at = now
        return value

    execute(device.core, writable, take)


@fault(
    name="repeated-command-toggles",
    title="a command for the state that it has already switches it over",
    breaks=("DEV-06",),
    applies=any_property(switch),
)
def repeated_command_toggles(device: SimulatedDevice) -> None:
    """On, on: off."""

    def toggle(name: str, schema: Property, value: Value) -> Value:
        return not value if same_value(value, device.core.truth(name)) else value

    execute(device.core, switch, toggle)


@fault(
    name="rounding-drift",
    title="keeps a setpoint in eight bits, rounded down",
    breaks=("DEV-24", "DEV-01"),
    seen_as="F-DEV-14",
    applies=any_property(writable_number),
)
def rounding_drift(device: SimulatedDevice) -> None:
    """50 percent set, 49 reported; fed back it walks down."""

    def round_down(name: str, schema: Property, value: Value) -> Value:
        low, high = schema.minimum or 0.0, schema.maximum or 0.0
        step = float(step_of(schema) or 0)
        if same_value(value, low) or same_value(value, high) or high == low:
            return value
        kept = low + int((value - low) / (high - low) * 255) / 255 * (high - low)
        # Half a step lower before rounding to the nearest is rounding down.
        return canonical(schema, nearest_legal(schema, max(low, kept - 0.49 * step)))

    execute(device.core, writable_number, round_down)


@fault(
    name="action-ignored",
    title="accepts actions and does nothing",
    breaks=("DEV-01",),
    applies=lambda profile: bool(profile.actions),
)
def action_ignored(device: SimulatedDevice) -> None:
    """The answer is friendly, the effect missing."""
    device.core.bend(performs_actions=False)


def _reads_mqtt_commands(profile: Profile) -> bool:
    mqtt = profile.bindings.mqtt
    return mqtt is not None and any(bound.command for bound in mqtt.properties.values())


def _shares_command_topic(profile: Profile) -> bool:
    mqtt = profile.bindings.mqtt
    members = [bound for bound in mqtt.properties.values() if bound.command_member] if mqtt else []
    return len(members) > len({bound.command for bound in members})


@fault(
    name="malformed-crashes",
    title="crashes on a command payload that it cannot read",
    breaks=("DEV-04",),
    seen_as="F-MQTT-16",
    applies=_reads_mqtt_commands,
)
def malformed_crashes(device: SimulatedDevice) -> None:
    """It comes back after some seconds."""
    if device.mqtt is not None:
        device.mqtt.bend(crash=5.0)


@fault(
    name="partial-command-resets-rest",
    title="members that a command object leaves out go back to their defaults",
    breaks=("DEV-28", "DEV-24"),
    seen_as="F-DEV-32",
    applies=_shares_command_topic,
)
def partial_command_resets_rest(device: SimulatedDevice) -> None:
    """The object replaces the state in place of changing it."""
    if device.mqtt is not None:
        device.mqtt.bend(replaces_missing=True)


@fault(
    name="unknown-member-refused",
    title="a member that it does not know spoils the whole command",
    breaks=("DEV-28",),
    seen_as="F-DEV-33",
    applies=lambda profile: (
        profile.bindings.mqtt is not None
        and any(bound.command_member for bound in profile.bindings.mqtt.properties.values())
    ),
)
def unknown_member_refused(device: SimulatedDevice) -> None:
    """A newer controller cannot talk to it."""
    if device.mqtt is not None:
        device.mqtt.bend(strict_members=True)


# Reports


@fault(
    name="no-feedback",
    title="executes commands without a word",
    breaks=("DEV-01",),
    seen_as="F-DEV-03",
    applies=any_property(writable),
)
def no_feedback(device: SimulatedDevice) -> None:
    """What is reported stays what it was before the command."""
    Mask(device.core, (Origin.COMMAND,), None)


@fault(
    name="late-report",
    title="reports a commanded state long after the declared time",
    breaks=("DEV-01",),
    applies=any_property(writable),
)
def late_report(device: SimulatedDevice) -> None:
    """Three times the settle time, and half a second."""
    longest = max(device.profile.settle(name) for name in device.profile.properties)
    Mask(device.core, (Origin.COMMAND,), 3 * longest + 0.5)


@fault(
    name="stale-report",
    title="the old state is reported once more after the new one",
    breaks=("DEV-01", "DEV-24"),
    seen_as="F-DEV-02",
    applies=any_property(writable),
)
def stale_report(device: SimulatedDevice) -> None:
    """A poll that began before the command ends after it; switches in user interfaces flip back."""
    core = device.core
    told = {name: core.read(name) for name in core.profile.properties}
    stale: dict[str, Value] = {}
    earlier_report, earlier_distort = core.habits.report, core.habits.distort

    def report(change: Change, origin: Origin, tell: Callable[[Change], None]) -> None:
        old = told[change.name]
        told[change.name] = change.value
        stale.pop(change.name, None)
        earlier_report(change, origin, tell)
        if origin is Origin.COMMAND and change.changed:
            asyncio.get_running_loop().call_later(STALE_AFTER, tell_again, change.name, old)

    def tell_again(name: str, old: Value) -> None:
        if not core.powered:
            return
        stale[name] = old
        core.tell(Change(name, old))

    core.bend(
        report=report,
        distort=lambda name, value: stale.get(name, earlier_distort(name, value)),
    )


@fault(
    name="local-change-unreported",
    title="what is switched at the device itself is not reported",
    breaks=("DEV-08",),
    seen_as="F-DEV-26",
    applies=lambda profile: any(
        effect.property_ for control in profile.controls.values() for effect in control.effects
    ),
)
def local_change_unreported(device: SimulatedDevice) -> None:
    """The network keeps the old state."""
    Mask(device.core, (Origin.LOCAL,), None)


@fault(
    name="sensor-change-unreported",
    title="what its sensors see is reported once at power-on and never again",
    breaks=("DEV-08", "DEV-11"),
    applies=any_property(measured),
)
def sensor_change_unreported(device: SimulatedDevice) -> None:
    """The measured quantities stand still."""
    Mask(device.core, (Origin.SENSOR,), None)


@fault(
    name="wrong-scale",
    title="reports measured quantities as a tenth of what they are",
    breaks=("DEV-11",),
    seen_as="F-DEV-04",
    applies=any_property(measured),
)
def wrong_scale(device: SimulatedDevice) -> None:
    """A decimal point in the wrong place; every value by itself looks right."""
    distort(
        device.core,
        measured,
        lambda schema, value: canonical(schema, nearest_legal(schema, value / 10)),
    )


@fault(
    name="reports-outside-range",
    title="reports a setting on a scale of its own, beyond its declared range",
    breaks=("DEV-09", "DEV-01"),
    seen_as="F-DEV-13",
    applies=any_property(writable_number),
)
def reports_outside_range(device: SimulatedDevice) -> None:
    """The description says 100, the register 254."""

    def stretched(schema: Property, value: Value) -> Value:
        return canonical(schema, value * 2.54 + (schema.maximum or 0))

    distort(device.core, writable_number, stretched)


@fault(
    name="negative-wraps",
    title="reports negative values as large positive ones",
    breaks=("DEV-09", "DEV-11"),
    seen_as="F-DEV-05",
    applies=any_property(lambda schema: number(schema) and (schema.minimum or 0) < 0),
)
def negative_wraps(device: SimulatedDevice) -> None:
    """Sixteen bits, read without their sign."""

    def unsigned(schema: Property, value: Value) -> Value:
        return value if value >= 0 else canonical(schema, value + 65536 * float(step_of(schema) or 1))

    distort(device.core, number, unsigned)


@fault(
    name="spelling-changes",
    title="reports switches and modes in another spelling than declared",
    breaks=("DEV-09",),
    seen_as="F-DEV-22",
    applies=any_property(lambda schema: schema.type == "boolean" or bool(schema.enum)),
)
def spelling_changes(device: SimulatedDevice) -> None:
    """True becomes "on", cool becomes COOL."""

    def respelled(schema: Property, value: Value) -> Value:
        if isinstance(value, bool):
            return "on" if value else "off"
        return value.swapcase() if isinstance(value, str) else value

    distort(device.core, lambda schema: schema.type == "boolean" or bool(schema.enum), respelled)


@fault(
    name="power-when-off",
    title="reports some power though nothing runs",
    breaks=("DEV-11", "DEV-12"),
    seen_as="F-DEV-25",
    applies=any_property(lambda schema: measured(schema) and schema.unit == "W"),
)
def power_when_off(device: SimulatedDevice) -> None:
    """The offset of its meter is not taken off."""

    def offset(schema: Property, value: Value) -> Value:
        return canonical(schema, nearest_legal(schema, 10.0)) if value == 0 else value

    distort(device.core, lambda schema: measured(schema) and schema.unit == "W", offset)


@fault(
    name="event-lost",
    title="does not tell its events",
    breaks=("DEV-26",),
    applies=lambda profile: bool(profile.events),
)
def event_lost(device: SimulatedDevice) -> None:
    """A key is pressed and nothing happens."""
    device.core.bend(event_copies=0)


@fault(
    name="event-doubled",
    title="tells each event twice",
    breaks=("DEV-26",),
    seen_as="F-DEV-19",
    applies=lambda profile: bool(profile.events),
)
def event_doubled(device: SimulatedDevice) -> None:
    """A contact that bounces."""
    device.core.bend(event_copies=2)


# Counters, and loss of power


@fault(
    name="counter-decreases",
    title="the energy counter falls with every command",
    breaks=("DEV-13",),
    applies=lambda profile: any_property(energy)(profile) and any_property(writable)(profile),
)
def counter_decreases(device: SimulatedDevice) -> None:
    """Each switching restores an older reading."""
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
    title="counters come back as something else after a loss of power",
    breaks=("DEV-13",),
    seen_as="F-DEV-09",
    applies=any_property(lambda schema: schema.counter),
)
def counter_lost_at_power_cut(device: SimulatedDevice) -> None:
    """A torn write to its memory is read back."""

    def tear(memory: Memory) -> Memory:
        counters = {
            name: canonical(schema, nearest_legal(schema, memory[name] / 2))
            for name, schema in device.profile.properties.items()
            if schema.counter
        }
        return {**memory, **counters}

    earlier = device.core.habits.boots
    device.core.bend(boots=lambda memory: tear(earlier(memory)))


@fault(
    name="settings-lost-at-power-cut",
    title="settings are not what the profile says after a loss of power",
    breaks=("DEV-14",),
    seen_as="F-DEV-20",
    applies=any_property(lambda schema: schema.writable and schema.power_up is PowerUp.PREVIOUS),
)
def settings_lost_at_power_cut(device: SimulatedDevice) -> None:
    """It starts as it came out of the box; a switch that was so already, the other way round."""

    def forget(name: str, schema: Property, value: Value) -> Value:
        if schema.read_only:
            return value
        fresh = canonical(schema, default_value(schema))
        return not fresh if isinstance(fresh, bool) and fresh is value else fresh

    def reset(memory: Memory) -> Memory:
        properties = device.profile.properties
        return {name: forget(name, properties[name], value) for name, value in memory.items()}

    earlier = device.core.habits.boots
    device.core.bend(boots=lambda memory: reset(earlier(memory)))


@fault(
    name="no-local-control-offline",
    title="its buttons are dead while there is no broker",
    breaks=("DEV-15",),
    seen_as="F-DEV-27",
    applies=lambda profile: (
        profile.bindings.mqtt is not None and profile.bindings.mqtt.sleep is None and bool(profile.controls)
    ),
)
def no_local_control_offline(device: SimulatedDevice) -> None:
    """The loop that should read the buttons waits for a connection."""
    mqtt = device.mqtt
    if mqtt is not None:
        device.core.bend(hears_controls=lambda: mqtt.ready)


# Rules


def _ignore(device: SimulatedDevice, kind: RuleKind) -> None:
    earlier = device.core.habits.ignores
    device.core.bend(ignores=lambda rule: rule.kind is kind or earlier(rule))


@fault(
    name="responses-missing",
    title="does not do by itself what its rules say must follow",
    breaks=("RULE-RESPONSE",),
    applies=any_rule(RuleKind.RESPONSE),
)
def responses_missing(device: SimulatedDevice) -> None:
    """No protection trips, no alarm goes off."""
    _ignore(device, RuleKind.RESPONSE)


@fault(
    name="invariants-broken",
    title="lets states stand together that its rules exclude",
    breaks=("RULE-INVARIANT",),
    applies=any_rule(RuleKind.INVARIANT),
)
def invariants_broken(device: SimulatedDevice) -> None:
    """What should stop goes on."""
    _ignore(device, RuleKind.INVARIANT)


@fault(
    name="refusals-missing",
    title="obeys commands that its rules forbid at the time",
    breaks=("RULE-REFUSAL",),
    applies=any_rule(RuleKind.REFUSAL),
)
def refusals_missing(device: SimulatedDevice) -> None:
    """Nothing is locked."""
    _ignore(device, RuleKind.REFUSAL)
