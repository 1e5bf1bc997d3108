"""Faults by which a device does what nobody asked it to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.model.affordance import Property
from harness.model.base import Value
from harness.model.profile import Profile
from harness.model.schema import same_value
from harness.simulate.faults import fault
from harness.simulate.faults.device._deviating import any_property, execute, writable
from harness.simulate.firmware.core import Change, Origin
from harness.simulate.firmware.values import another, canonical, is_measured

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice

FALLS_BACK_AFTER = 3.0  # seconds


def _told(profile: Profile, name: str) -> bool:
    mqtt, coap = profile.bindings.mqtt, profile.bindings.coap
    return any(binding is not None and name in binding.properties for binding in (mqtt, coap))


@fault(
    name="setting-falls-back",
    title="confirms a setting, and falls back to the old value some seconds later",
    breaks=("PROFILE-66",),
    applies=any_property(writable),
)
def setting_falls_back(device: SimulatedDevice) -> None:
    """Its own next poll finds the old value."""
    core = device.core

    def later(name: str, schema: Property, value: Value) -> Value:
        before = core.truth(name)
        if not same_value(before, value):
            asyncio.get_running_loop().call_later(FALLS_BACK_AFTER, back, name, value, before)
        return value

    def back(name: str, value: Value, before: Value) -> None:
        if core.powered and same_value(core.truth(name), value):
            core.change_by_itself(name, before)

    execute(core, writable, later)


def _independent_settings(profile: Profile) -> list[str]:
    """Settings that are reported and that no rule is about."""
    rules = profile.behaviour.rules
    ruled = {
        name
        for rule in rules
        for condition in (*rule.when, *rule.while_, *rule.then, *rule.refuse)
        for name in condition.names
    }
    return [
        name
        for name, schema in profile.properties.items()
        if schema.writable and not schema.write_only and name not in ruled and _told(profile, name)
    ]


@fault(
    name="command-changes-another",
    title="sets another setting back with each command to the first one",
    breaks=("PROFILE-67",),
    applies=lambda profile: len(_independent_settings(profile)) > 1,
)
def command_changes_another(device: SimulatedDevice) -> None:
    """Setting the colour temperature also sets the brightness to its maximum."""
    first, second, *_ = _independent_settings(device.profile)
    schema = device.profile.properties[second]
    value = schema.maximum if schema.maximum is not None else another(schema, None)
    fixed = canonical(schema, value)
    device.core.deviate(side_effects=lambda name: {second: fixed} if name == first else {})


def _sensed(schema: Property) -> bool:
    return is_measured(schema)


@fault(
    name="old-value-first",
    title="reports the old value of a sensor once more before the new one",
    breaks=("PROFILE-68",),
    applies=lambda profile: profile.bindings.mqtt is not None and any_property(_sensed)(profile),
)
def old_value_first(device: SimulatedDevice) -> None:
    """The message goes out before the measurement is taken over."""
    core = device.core
    known = {name: core.read(name) for name in core.profile.properties}
    shown: dict[str, Value] = {}
    report, distort = core.deviations.report, core.deviations.distort

    def twice(change: Change, origin: Origin, tell: Callable[[Change], None]) -> None:
        old, known[change.name] = known[change.name], change.value
        if origin is Origin.SENSOR and change.changed:
            shown[change.name] = old
            tell(Change(change.name, old))
            del shown[change.name]
        report(change, origin, tell)

    core.deviate(report=twice, distort=lambda name, value: shown.get(name, distort(name, value)))


def _switches(profile: Profile) -> list[str]:
    mqtt = profile.bindings.mqtt
    told = mqtt.properties if mqtt is not None and mqtt.sleep is None else {}
    return [
        name
        for name in _independent_settings(profile)
        if name in told and not any(e.property_ == name for c in profile.controls.values() for e in c.effects)
    ]


@fault(
    name="key-does-more-offline",
    title="changes a setting by a key that has nothing to do with it, while the broker is away",
    breaks=("PROFILE-69",),
    applies=lambda profile: bool(profile.controls) and bool(_switches(profile)),
)
def key_does_more_offline(device: SimulatedDevice) -> None:
    """Without a broker, every key falls back to a default function."""
    core, mqtt = device.core, device.mqtt
    if mqtt is None:
        return
    name = _switches(device.profile)[0]
    heard = core.deviations.hears_controls

    def hears() -> bool:
        if not mqtt.ready and core.powered:
            core.change_by_itself(name, another(device.profile.properties[name], core.truth(name)))
        return heard()

    core.deviate(hears_controls=hears)
