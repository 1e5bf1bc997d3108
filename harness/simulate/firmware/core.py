"""The state of a simulated device, independent of transports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from harness.model.affordance import PowerUp
from harness.model.base import Value
from harness.model.profile import Effect, InvalidValuePolicy, Profile
from harness.model.schema import DataSchema, same_value
from harness.simulate.firmware.deviations import (
    LOST,
    CoreDeviations,
)
from harness.simulate.firmware.meter import (
    EnergyMeter,
    meter_of,
)
from harness.simulate.firmware.outcomes import (
    Accepted,
    Change,
    DeviceEvent,
    Origin,
    Reason,
    Refused,
)
from harness.simulate.firmware.rules import (
    Kind,
    Occurrence,
    RuleEngine,
)
from harness.simulate.firmware.self_changing import SelfChanges
from harness.simulate.firmware.values import (
    another,
    canonical,
    default_value,
    has_type,
    is_measured,
    nearest_legal,
)

__all__ = ["Accepted", "Change", "Core", "CoreDeviations", "DeviceEvent", "Origin", "Reason", "Refused"]

_NO_POWER = "the device has no power"

RESET_PREFIX = "reset_"
"""An action of this name and a counter's sets that counter to zero."""


class Core:
    """All properties of one device, and the only interface to change them.

    Commands, controls and rules work between :meth:`power_on` and :meth:`power_off`, on the running loop.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.deviations = CoreDeviations()
        self.meter: EnergyMeter | None = meter_of(profile)
        self.powered = False
        self._after_reset: dict[str, Value] | None = None  # the state after a pending factory reset
        self._cut = False  # the power was cut at least once
        self._rules = RuleEngine(profile, happen=self._happened, wake=self._woken)
        self._rules.ignored = lambda rule: self.deviations.ignores(rule)
        # The values kept while there is no power.
        self._kept: dict[str, Value] = {
            name: canonical(schema, default_value(schema)) for name, schema in profile.properties.items()
        }
        self._rules.wanted.update(self._kept)
        self._rules.actual.update(self._kept)
        self._change_listeners: list[Callable[[Change], None]] = []
        self._event_listeners: list[Callable[[DeviceEvent], None]] = []
        self._hidden: dict[str, Value] = {}  # reported in place of the clamped value
        self._events: list[DeviceEvent] = []  # caused by rules, not yet sent
        self._meter_timer: asyncio.TimerHandle | None = None
        changing = [name for name, each in profile.properties.items() if each.self_changing]
        self._self_changes = SelfChanges(changing, self._change_to_another)

    def deviate(self, **deviations: Any) -> None:
        """Deviate from the standard or the profile in the given ways."""
        self.deviations = replace(self.deviations, **deviations)

    def on_change(self, listener: Callable[[Change], None]) -> None:
        """Call ``listener`` with every change of a property, and every confirmation."""
        self._change_listeners.append(listener)

    def on_event(self, listener: Callable[[DeviceEvent], None]) -> None:
        """Call ``listener`` with every event."""
        self._event_listeners.append(listener)

    # Power

    def power_on(self) -> None:
        """Switch the power on: properties follow ``power_up``, rules are active."""
        if self.powered:
            return
        if self._cut:
            self._kept = self.deviations.boots(self._kept)
        for name, schema in self.profile.properties.items():
            if schema.power_up is PowerUp.DEFAULT:
                self._kept[name] = canonical(schema, default_value(schema))
        if self.meter is not None:
            self.meter.set(self._kept[self.meter.name])
        self.powered = True
        self._rules.start(self._kept)
        self._events.clear()
        self._advance_meter()
        self._run_meter()
        self._self_changes.start()

    def power_off(self) -> None:
        """Switch the power off: timers stop, and nothing changes any more."""
        if not self.powered:
            return
        if self.meter is not None:
            self._advance_meter()
            self.meter.pause()
        self._kept = dict(self._rules.wanted)
        if self._after_reset is not None:
            self._kept, self._after_reset = self._after_reset, None
        self._rules.stop()
        if self._meter_timer is not None:
            self._meter_timer.cancel()
            self._meter_timer = None
        self._self_changes.stop()
        self._hidden.clear()
        self._cut = True
        self.powered = False

    def factory_reset(self) -> None:
        """Reset all settings and counters; measurements stay.

        This takes effect at the next power-on.
        """
        present = self._rules.actual if self.powered else self._kept
        new = {
            name: present[name] if is_measured(schema) else canonical(schema, default_value(schema))
            for name, schema in self.profile.properties.items()
        }
        if self.powered:
            self._after_reset = self.deviations.forgets(dict(self._rules.wanted), new)
        else:
            self._kept = self.deviations.forgets(self._kept, new)

    # Interface

    def read(self, name: str) -> Value:
        """The value that the device reports for a property. Raises KeyError."""
        if name in self._hidden:
            return self._hidden[name]
        return self.deviations.distort(name, self._rules.actual[name])

    def truth(self, name: str) -> Value:
        """The true value of a property, whatever the device reports. Raises KeyError."""
        return self._rules.actual[name]

    def command(self, name: str, value: Value) -> Accepted | Refused:
        """Execute a command from the network to set property ``name`` to ``value``."""
        refusal = self._refusal(name, value)
        if refusal is not None:
            self.deviations.refuses(name, value)
            return refusal
        schema = self.profile.properties[name]
        legal = canonical(schema, nearest_legal(schema, value) if self.deviations.checks_range else value)
        rule = self._rules.objection(name, legal)
        if rule is not None:
            return Refused(Reason.RULE, f"{name}: {rule.purpose}")
        executed = self.deviations.executes(name, legal)
        if executed is LOST:
            return Accepted(self.read(name))
        before = self._reported()
        self._hidden.pop(name, None)
        if self.deviations.hides_clamping and not same_value(legal, value):
            self._hidden[name] = value
        self._rules.wanted[name] = executed
        self._rules.wanted.update(self._side_effects(name))
        self._settle(before, Origin.COMMAND, confirm=name)
        return Accepted(self.read(name))

    def _side_effects(self, name: str) -> dict[str, Value]:
        """What else a command to a property sets: by the profile, properties return to their defaults."""
        declared = {
            other: canonical(self.profile.properties[other], default_value(self.profile.properties[other]))
            for other in self.profile.properties[name].also_changes
        }
        return {**declared, **self.deviations.side_effects(name)}

    def invoke(self, action: str, input: Value = None) -> Accepted | Refused:
        """Invoke an action from the network."""
        declared = self.profile.actions.get(action)
        if not self.powered:
            return Refused(Reason.RULE, _NO_POWER)
        if declared is None:
            return Refused(Reason.UNKNOWN, f"there is no action {action}")
        if declared.input is not None:
            refusal = _misfit(action, declared.input, input)
            if refusal is not None:
                return refusal
        if self.deviations.performs_actions:
            before = self._reported()
            counter = self._perform(action)
            self._settle(before, Origin.COMMAND, [Occurrence(Kind.ACTION, action, input)], confirm=counter)
        return Accepted(default_value(declared.output) if declared.output is not None else None)

    def set_locally(self, name: str, value: Value) -> Accepted | Refused:
        """Set property ``name`` to ``value`` at the device, or on its console."""
        refusal = self._refusal(name, value)
        if refusal is not None:
            return refusal
        schema = self.profile.properties[name]
        legal = canonical(schema, nearest_legal(schema, value))
        rule = self._rules.objection(name, legal)
        if rule is not None:
            return Refused(Reason.RULE, f"{name}: {rule.purpose}")
        before = self._reported()
        self._hidden.pop(name, None)
        self._rules.wanted[name] = legal
        self._settle(before, Origin.LOCAL)
        return Accepted(self.read(name))

    def operate(self, control: str) -> None:
        """Operate a control of the device. Raises KeyError.

        A control whose ``unless`` is true, such as a key of a locked panel, does nothing.
        """
        declared = self.profile.controls[control]
        locked = declared.unless and all(condition.holds(self._rules.actual) for condition in declared.unless)
        if locked or not self.deviations.hears_controls():
            return
        before = self._reported()
        for effect in declared.effects:
            if effect.property_ is not None:
                self._move(effect.property_, effect)
        if not self.powered:
            return
        events = [
            DeviceEvent(effect.event, self._event_data(effect)) for effect in declared.effects if effect.event
        ]
        for event in events:
            self._send_event(event)
        self._settle(
            before, Origin.LOCAL, [Occurrence(Kind.EVENT, event.name, event.data) for event in events]
        )

    def sense(self, name: str, value: Value) -> None:
        """Let the sensor of the read-only property ``name`` measure ``value``.

        A value that the sensor cannot represent becomes the nearest one that it can. Raises KeyError for an
        unknown property, ValueError for a writable one or a value of another type.
        """
        schema = self.profile.properties[name]
        if schema.writable:
            raise ValueError(f"{name} is not a sensor: it is set by commands")
        seen = canonical(schema, nearest_legal(schema, value)) if has_type(schema, value) else value
        problems = schema.violations(seen)
        if problems:
            raise ValueError(f"{name} cannot measure this: {problems[0]}")
        if not self.powered:
            self._kept[name] = seen
            return
        before = self._reported()
        if self.meter is not None and name == self.meter.name:
            self._advance_meter()
            self.meter.set(seen)
        self._rules.wanted[name] = seen
        self._settle(before, Origin.SENSOR)

    # Effects

    def _refusal(self, name: str, value: Value) -> Refused | None:
        if not self.powered:
            return Refused(Reason.RULE, _NO_POWER)
        schema = self.profile.properties.get(name)
        if schema is None:
            return Refused(Reason.UNKNOWN, f"there is no property {name}")
        if schema.read_only and self.deviations.guards_read_only:
            return Refused(Reason.READ_ONLY, f"{name} is read-only")
        refusal = _misfit(name, schema, value)
        if refusal is None or refusal.reason is Reason.WRONG_TYPE:
            return refusal
        if not self.deviations.checks_range:
            return None
        clamps = self.deviations.clamps
        if clamps is None:
            clamps = self.profile.behaviour.invalid_value is InvalidValuePolicy.CLAMP
        return None if clamps and schema.accepts(nearest_legal(schema, value)) else refusal

    def _perform(self, action: str) -> str | None:
        """Carry out an action that resets a counter by its name; returns that counter."""
        name = action.removeprefix(RESET_PREFIX)
        schema = self.profile.properties.get(name)
        if name == action or schema is None or not schema.counter:
            return None
        self._rules.wanted[name] = canonical(schema, nearest_legal(schema, 0))
        if self.meter is not None and name == self.meter.name:
            self._advance_meter()
            self.meter.set(0)
        return name

    def _move(self, name: str, effect: Effect) -> None:
        schema = self.profile.properties[name]
        if not self.powered and schema.writable:
            return  # without power a button does nothing, but a door still opens
        present = self._rules.actual[name] if self.powered else self._kept[name]
        value = _toggled(schema, present) if effect.toggle else effect.value
        (self._rules.wanted if self.powered else self._kept)[name] = canonical(schema, value)

    def _event_data(self, effect: Effect) -> Value:
        event = self.profile.events.get(effect.event or "")
        if effect.data is None and event is not None and event.data is not None:
            return default_value(event.data)
        return effect.data

    def _settle(
        self,
        before: dict[str, Value],
        origin: Origin,
        occurrences: Iterable[Occurrence] = (),
        *,
        confirm: str | None = None,
    ) -> None:
        """Let rules and meter act on the changes, then report the result to the listeners."""
        self._advance_meter()
        self._rules.settle(occurrences)
        self._run_meter()
        changes = [
            Change(name, value)
            for name, value in self._reported().items()
            if not same_value(value, before[name])
        ]
        if confirm is not None and all(change.name != confirm for change in changes):
            changes.insert(0, Change(confirm, self.read(confirm), changed=False))
        for change in changes:
            self.deviations.report(change, origin, self.tell)
        events, self._events = self._events, []
        for event in events:
            self._send_event(event)

    def _reported(self) -> dict[str, Value]:
        return {name: self.read(name) for name in self.profile.properties}

    def tell(self, change: Change) -> None:
        """Report a change to the listeners, unless there is no power."""
        if self.powered:
            for listener in self._change_listeners:
                listener(change)

    def _send_event(self, event: DeviceEvent) -> None:
        for _ in range(self.deviations.event_copies):
            for listener in self._event_listeners:
                listener(event)

    # Called by the rules

    def _happened(self, occurrence: Occurrence) -> None:
        if occurrence.kind is Kind.EVENT:
            self._events.append(DeviceEvent(occurrence.name, occurrence.data))
        else:
            self._perform(occurrence.name)

    def _woken(self, act: Callable[[], None]) -> None:
        before = self._reported()
        act()
        self._settle(before, Origin.DEVICE)

    def change_by_itself(self, name: str, value: Value) -> None:
        """Set a property without a command, as a countdown does."""
        if self.powered:
            before = self._reported()
            self._rules.wanted[name] = canonical(self.profile.properties[name], value)
            self._settle(before, Origin.DEVICE)

    def _change_to_another(self, name: str) -> None:
        self.change_by_itself(name, another(self.profile.properties[name], self._rules.actual[name]))

    # The meter

    def _advance_meter(self) -> None:
        """Update the counter, at the power drawn since the last call."""
        meter = self.meter
        if meter is not None and self.powered:
            meter.advance(asyncio.get_running_loop().time())
            schema = self.profile.properties[meter.name]
            self._rules.wanted[meter.name] = canonical(schema, nearest_legal(schema, meter.reading))

    def _run_meter(self) -> None:
        """Continue counting at the present power; wake up when the register changes."""
        meter = self.meter
        if meter is None:
            return
        loop = asyncio.get_running_loop()
        meter.load(self._rules.actual[meter.source])
        if self._meter_timer is not None:
            self._meter_timer.cancel()
        pause = meter.next_update()
        self._meter_timer = loop.call_later(pause, self._meter_moved) if pause is not None else None

    def _meter_moved(self) -> None:
        self._settle(self._reported(), Origin.DEVICE)


def _misfit(name: str, schema: DataSchema, value: Value) -> Refused | None:
    if not has_type(schema, value):
        return Refused(Reason.WRONG_TYPE, f"{name}: {schema.violations(value)[0]}")
    problems = schema.violations(value)
    return Refused(Reason.OUT_OF_RANGE, f"{name}: {problems[0]}") if problems else None


def _toggled(schema: DataSchema, value: Value) -> Value:
    """The other value of a boolean, the next one of an enumeration."""
    if isinstance(value, bool):
        return not value
    members = list(schema.enum or (value,))
    return members[(members.index(value) + 1) % len(members)] if value in members else members[0]
