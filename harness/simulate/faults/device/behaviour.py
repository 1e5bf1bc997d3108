"""Faults in the execution of commands and rules, on any transport."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from harness.model.affordance import Property
from harness.model.base import Value
from harness.model.profile import Profile
from harness.model.rule import RuleKind
from harness.model.schema import same_value
from harness.simulate.faults import fault
from harness.simulate.faults.device._deviating import (
    any_property,
    any_rule,
    execute,
    switch,
    writable,
    writable_number,
)
from harness.simulate.firmware.core import RESET_PREFIX
from harness.simulate.firmware.deviations import LOST
from harness.simulate.firmware.values import (
    canonical,
    nearest_legal,
    step_of,
)

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice

BURST = 0.15  # seconds in which a device with a queue of one takes a single command


# Commands


@fault(
    name="range-unchecked",
    title="stores and reports setpoints outside its range",
    breaks=("DEV-03", "DEV-09"),
    seen_as="F-DEV-11",
    applies=any_property(writable_number),
)
def range_unchecked(device: SimulatedDevice) -> None:
    """Neither limits nor enumerations are checked."""
    device.core.deviate(checks_range=False)


@fault(
    name="clamps-in-secret",
    title="limits a setpoint, but reports what was commanded",
    breaks=("DEV-03", "DEV-09"),
    seen_as="F-DEV-12",
    applies=any_property(writable_number),
)
def clamps_in_secret(device: SimulatedDevice) -> None:
    """The actuator is safe, but the report is wrong."""
    device.core.deviate(clamps=True, hides_clamping=True)


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
    """The nearest limit is set."""
    device.core.deviate(clamps=True)


@fault(
    name="read-only-written",
    title="lets the network write read-only properties",
    breaks=("DEV-05",),
    applies=any_property(lambda schema: schema.read_only),
)
def read_only_written(device: SimulatedDevice) -> None:
    """Over MQTT it treats a message on its own state topic as a command."""
    device.core.deviate(guards_read_only=False)
    if device.mqtt is not None:
        device.mqtt.deviate(obeys_own_state=True)


@fault(
    name="burst-loses-commands",
    title="executes only the first of several quick commands",
    breaks=("DEV-07",),
    seen_as="F-DEV-16",
    applies=any_property(writable),
)
def burst_loses_commands(device: SimulatedDevice) -> None:
    """Its queue holds a single command."""
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
    title="a command for the present state toggles it",
    breaks=("DEV-06",),
    applies=any_property(switch),
)
def repeated_command_toggles(device: SimulatedDevice) -> None:
    """On, then on again, switches off."""

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
    """50 percent set, 49 reported; sent back, it drifts down. 100 levels where a byte holds all values."""

    def round_down(name: str, schema: Property, value: Value) -> Value:
        low, high = schema.minimum or 0.0, schema.maximum or 0.0
        step = float(step_of(schema) or 0)
        if same_value(value, low) or same_value(value, high) or high == low:
            return value
        levels = 255 if not step or 255 % round((high - low) / step) else 100
        kept = low + int((value - low) / (high - low) * levels) / levels * (high - low)
        # Half a step lower before rounding to the nearest is rounding down.
        return canonical(schema, nearest_legal(schema, max(low, kept - 0.49 * step)))

    execute(device.core, writable_number, round_down)


def _has_visible_actions(profile: Profile) -> bool:
    """Whether an action has a visible effect: it resets a counter by its name, or triggers a rule."""
    started = {
        condition.action
        for rule in profile.behaviour.rules
        for condition in rule.when
        if any(then.action is None for then in rule.then)
    }
    resets = {f"{RESET_PREFIX}{name}" for name, schema in profile.properties.items() if schema.counter}
    return not (started | resets).isdisjoint(profile.actions)


@fault(
    name="action-ignored",
    title="accepts actions and does nothing",
    breaks=("PROFILE-62",),
    applies=_has_visible_actions,
)
def action_ignored(device: SimulatedDevice) -> None:
    """The answer is success, but nothing is done."""
    device.core.deviate(performs_actions=False)


def _reads_mqtt_commands(profile: Profile) -> bool:
    mqtt = profile.bindings.mqtt
    return mqtt is not None and any(bound.command for bound in mqtt.properties.values())


def _shares_command_topic(profile: Profile) -> bool:
    mqtt = profile.bindings.mqtt
    members = [bound for bound in mqtt.properties.values() if bound.command_member] if mqtt else []
    return len(members) > len({bound.command for bound in members})


@fault(
    name="malformed-crashes",
    title="crashes on a malformed command payload",
    breaks=("DEV-04", "SEC-10"),
    seen_as="F-MQTT-16",
    applies=_reads_mqtt_commands,
)
def malformed_crashes(device: SimulatedDevice) -> None:
    """It restarts after some seconds."""
    if device.mqtt is not None:
        device.mqtt.deviate(crash=5.0)


@fault(
    name="partial-command-resets-rest",
    title="resets missing members of a command object to their defaults",
    breaks=("DEV-28",),
    seen_as="F-DEV-32",
    applies=_shares_command_topic,
)
def partial_command_resets_rest(device: SimulatedDevice) -> None:
    """The object replaces the state instead of updating it."""
    if device.mqtt is not None:
        device.mqtt.deviate(replaces_missing=True)


@fault(
    name="unknown-member-refused",
    title="refuses a command object with an unknown member",
    breaks=("DEV-28",),
    seen_as="F-DEV-33",
    applies=lambda profile: (
        profile.bindings.mqtt is not None
        and any(bound.command_member for bound in profile.bindings.mqtt.properties.values())
    ),
)
def unknown_member_refused(device: SimulatedDevice) -> None:
    """Newer controllers cannot command it."""
    if device.mqtt is not None:
        device.mqtt.deviate(strict_members=True)


# Rules


def _ignore(device: SimulatedDevice, kind: RuleKind) -> None:
    earlier = device.core.deviations.ignores
    device.core.deviate(ignores=lambda rule: rule.kind is kind or earlier(rule))


@fault(
    name="responses-missing",
    title="does not react as its response rules say",
    breaks=("PROFILE-61",),
    applies=any_rule(RuleKind.RESPONSE),
)
def responses_missing(device: SimulatedDevice) -> None:
    """Protections do not trip, alarms do not sound."""
    _ignore(device, RuleKind.RESPONSE)


@fault(
    name="invariants-broken",
    title="allows states that its invariant rules exclude",
    breaks=("PROFILE-61",),
    applies=any_rule(RuleKind.INVARIANT),
)
def invariants_broken(device: SimulatedDevice) -> None:
    """What must stop keeps running."""
    _ignore(device, RuleKind.INVARIANT)


@fault(
    name="refusals-missing",
    title="executes commands that its rules forbid at the time",
    breaks=("PROFILE-61",),
    applies=any_rule(RuleKind.REFUSAL),
)
def refusals_missing(device: SimulatedDevice) -> None:
    """Locks have no effect."""
    _ignore(device, RuleKind.REFUSAL)
