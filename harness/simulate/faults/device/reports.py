"""Faults in the reports of the device, on any transport."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.model.affordance import Property
from harness.model.base import Value
from harness.model.profile import Profile
from harness.simulate.faults import fault
from harness.simulate.faults.device._deviating import (
    Mask,
    any_property,
    distort,
    measured,
    number,
    writable,
    writable_number,
)
from harness.simulate.firmware.core import (
    Change,
    Origin,
)
from harness.simulate.firmware.values import (
    canonical,
    nearest_legal,
    step_of,
)
from harness.wire import mqtt
from harness.wire.mqtt.encode import encode_publish

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice

STALE_AFTER = 0.3  # seconds
OFFSET = 10.0  # watts reported without a load
PROTOCOL_LEVEL = 4  # MQTT 3.1.1


@fault(
    name="no-feedback",
    title="executes commands without reporting them",
    breaks=("DEV-01",),
    seen_as="F-DEV-03",
    applies=any_property(writable),
)
def no_feedback(device: SimulatedDevice) -> None:
    """It keeps reporting the state from before the command."""
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
    breaks=("DEV-01",),
    seen_as="F-DEV-02",
    applies=any_property(writable),
)
def stale_report(device: SimulatedDevice) -> None:
    """A poll that began before the command ends after it; user interfaces flip back."""
    core = device.core
    told = {name: core.read(name) for name in core.profile.properties}
    stale: dict[str, Value] = {}
    earlier_report, earlier_distort = core.deviations.report, core.deviations.distort

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

    core.deviate(
        report=report,
        distort=lambda name, value: stale.get(name, earlier_distort(name, value)),
    )


@fault(
    name="local-change-unreported",
    title="does not report changes made at its controls",
    breaks=("DEV-08", "SERIAL-01", "SERIAL-05"),
    seen_as="F-DEV-26",
    applies=lambda profile: any(
        effect.property_ for control in profile.controls.values() for effect in control.effects
    ),
)
def local_change_unreported(device: SimulatedDevice) -> None:
    """The network sees the old state."""
    Mask(device.core, (Origin.LOCAL,), None)


@fault(
    name="sensor-change-unreported",
    title="reports measurements once at power-on and never again",
    breaks=("DEV-11", "SERIAL-03"),
    applies=any_property(measured),
)
def sensor_change_unreported(device: SimulatedDevice) -> None:
    """Measured values never change."""
    Mask(device.core, (Origin.SENSOR,), None)


@fault(
    name="wrong-scale",
    title="reports measured quantities as a tenth of their value",
    breaks=("DEV-11",),
    seen_as="F-DEV-04",
    applies=any_property(measured),
)
def wrong_scale(device: SimulatedDevice) -> None:
    """A decimal point in the wrong place; each single value looks plausible."""
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
    """It reports register values (0 to 254) shifted above the declared range."""

    def stretched(schema: Property, value: Value) -> Value:
        low, high = schema.minimum or 0, schema.maximum or 0
        return canonical(schema, (value - low) * 2.54 + high + float(step_of(schema) or 1))

    distort(device.core, writable_number, stretched)


@fault(
    name="negative-wraps",
    title="reports negative values as large positive ones",
    breaks=("DEV-09", "DEV-11"),
    seen_as="F-DEV-05",
    applies=any_property(lambda schema: number(schema) and (schema.minimum or 0) < 0),
)
def negative_wraps(device: SimulatedDevice) -> None:
    """A signed register is read as unsigned."""

    def unsigned(schema: Property, value: Value) -> Value:
        step = float(step_of(schema) or 1)
        span = max(-(schema.minimum or -math.inf), schema.maximum or math.inf) / step
        register = 2**16 if span < 2**15 else 2**32
        return value if value >= 0 else canonical(schema, value + register * step)

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
    title="reports power although nothing runs",
    breaks=("PROFILE-61",),
    seen_as="F-DEV-25",
    applies=any_property(lambda schema: measured(schema) and schema.unit == "W"),
)
def power_when_off(device: SimulatedDevice) -> None:
    """The offset of its meter is not subtracted."""

    def offset(schema: Property, value: Value) -> Value:
        rests = isinstance(value, int | float) and value < OFFSET
        return canonical(schema, nearest_legal(schema, OFFSET)) if rests else value

    distort(device.core, lambda schema: measured(schema) and schema.unit == "W", offset)


@fault(
    name="event-lost",
    title="does not send its events",
    breaks=("DEV-26", "PROFILE-65"),
    applies=lambda profile: bool(profile.events),
)
def event_lost(device: SimulatedDevice) -> None:
    """A key is pressed, and no message follows."""
    device.core.deviate(event_copies=0)


@fault(
    name="event-doubled",
    title="sends each event twice",
    breaks=("DEV-26",),
    seen_as="F-DEV-19",
    applies=lambda profile: bool(profile.events),
)
def event_doubled(device: SimulatedDevice) -> None:
    """A bouncing contact."""
    device.core.deviate(event_copies=2)


def _has_fractions(profile: Profile) -> bool:
    """Whether a number with a fraction travels as JSON over MQTT."""
    mqtt = profile.bindings.mqtt
    return mqtt is not None and any(
        profile.properties[name].type == "number" and bound.values is None
        for name, bound in mqtt.properties.items()
    )


@fault(
    name="decimal-comma",
    title="writes numbers with the decimal comma of its locale",
    breaks=("DEV-10",),
    applies=_has_fractions,
)
def decimal_comma(device: SimulatedDevice) -> None:
    """The payload is not JSON."""

    def localised(raw: bytes) -> list[bytes]:
        packet = mqtt.decode(raw, PROTOCOL_LEVEL)
        if not isinstance(packet, mqtt.Publish):
            return [raw]
        payload = re.sub(rb"(?<=\d)\.(?=\d)", b",", packet.payload)
        return [
            encode_publish(
                packet.topic,
                payload,
                packet.qos,
                packet_id=packet.packet_id,
                dup=packet.dup,
                retain=packet.retain,
            )
        ]

    if device.mqtt is not None:
        device.mqtt.outgoing.append(localised)
