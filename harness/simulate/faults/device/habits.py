"""Habits of the device itself: it conforms, but not in the way in which simulated devices usually do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from harness.model.affordance import Property
from harness.model.base import Value
from harness.model.profile import Profile
from harness.model.schema import same_value
from harness.simulate.faults import habit
from harness.simulate.faults.device._deviating import any_property, execute, writable_number
from harness.simulate.firmware.core import Change, Origin
from harness.simulate.firmware.deviations import Memory
from harness.simulate.firmware.values import canonical, nearest_legal
from harness.wire.mqtt.codec import PacketType

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice

STEPS = 4  # reports on the way to a new value
FADE = 0.6  # of the settle time


@habit(
    name="habit-fades",
    title="moves settings to a commanded value in steps, and reports each",
    applies=any_property(writable_number),
)
def fades(device: SimulatedDevice) -> None:
    """Lamps fade, shutters move: the new value is reached within the settle time."""
    _Fade(device).install()


class _Fade:
    """Shows values between the old and the new one while a setting moves."""

    def __init__(self, device: SimulatedDevice) -> None:
        self._core = device.core
        self._shown: dict[str, Value] = {}  # settings that move, with the value on the way
        self._last = {name: self._core.read(name) for name in self._core.profile.properties}
        self._turns: dict[str, int] = {}
        self._report = self._core.deviations.report
        self._distort = self._core.deviations.distort

    def install(self) -> None:
        execute(self._core, writable_number, self._begin)
        boots = self._core.deviations.boots
        self._core.deviate(boots=lambda memory: self._forget(boots(memory)))
        self._core.deviate(
            report=self._on_change,
            distort=lambda name, value: self._shown.get(name, self._distort(name, value)),
        )

    def _forget(self, memory: Memory) -> Memory:
        """A power cut ends all moves, at the commanded value."""
        self._shown.clear()
        self._last.update(memory)
        return memory

    def _begin(self, name: str, schema: Property, value: Value) -> Value:
        """A new command ends a move; the next one starts from the value on the way."""
        self._shown.pop(name, None)
        return value

    def _on_change(self, change: Change, origin: Origin, tell: Callable[[Change], None]) -> None:
        start, self._last[change.name] = self._last[change.name], change.value
        self._turns[change.name] = self._turns.get(change.name, 0) + 1
        self._shown.pop(change.name, None)
        schema = self._core.profile.properties[change.name]
        moves = origin is Origin.COMMAND and change.changed and writable_number(schema) and not schema.enum
        if moves and change.name not in _ruled(self._core.profile):
            self._last[change.name] = start
            self._move(change, start, 1, self._turns[change.name], tell)
        else:
            self._report(change, origin, tell)

    def _move(
        self, change: Change, start: Value, step: int, turn: int, tell: Callable[[Change], None]
    ) -> None:
        name, schema = change.name, self._core.profile.properties[change.name]
        if self._turns[name] != turn or not self._core.powered:
            self._shown.pop(name, None)
            return
        if step > STEPS:
            self._shown.pop(name, None)
            self._last[name] = change.value
            tell(change)
            return
        value = start + (change.value - start) * step / (STEPS + 1)
        self._shown[name] = canonical(schema, nearest_legal(schema, value))
        if not same_value(self._shown[name], self._last[name]) and not same_value(
            self._shown[name], change.value
        ):
            tell(Change(name, self._shown[name]))
        self._last[name] = self._shown[name]
        pause = FADE * self._core.profile.settle(name) / STEPS
        asyncio.get_running_loop().call_later(pause, self._move, change, start, step + 1, turn, tell)


def _ruled(profile: Profile) -> frozenset[str]:
    """The properties of rules: what follows from a value must not be reported before the value itself."""
    conditions = (
        condition
        for rule in profile.behaviour.rules
        for condition in (*rule.when, *rule.while_, *rule.then, *rule.refuse)
    )
    return frozenset(name for condition in conditions for name in condition.names)


def _unread(profile: Profile) -> list[str]:
    """Statuses that may change by themselves: nothing else in the profile is about them."""
    measured = {each.integral_of for each in profile.properties.values()}
    return [
        name
        for name, schema in profile.properties.items()
        if schema.read_only and not schema.counter and name not in _ruled(profile) and name not in measured
    ]


@habit(
    name="habit-measures",
    title="reports measurements that change by themselves all the time",
    applies=lambda profile: any(profile.properties[name].tolerance for name in _unread(profile)),
)
def measures(device: SimulatedDevice) -> None:
    """A sensor is never quite still: values move within half of their tolerance, every two seconds."""
    core = device.core
    names = [name for name in _unread(core.profile) if core.profile.properties[name].tolerance]
    earlier = core.deviations.distort
    ticks = 0

    def noisy(name: str, value: Value) -> Value:
        value, schema = earlier(name, value), core.profile.properties[name]
        if name not in names or not ticks % 2:
            return value
        moved = canonical(schema, nearest_legal(schema, value + schema.tolerance / 2))
        return moved if schema.agrees(moved, value) else value

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        for name in names:
            core.tell(Change(name, core.read(name)))
        asyncio.get_running_loop().call_later(NOISE, tick)

    core.deviate(distort=noisy)
    asyncio.get_running_loop().call_later(NOISE, tick)


NOISE = 2.0  # seconds between two reports of a sensor that is never still


def _never_waits_for_pubcomp(profile: Profile) -> bool:
    binding = profile.bindings.mqtt
    if binding is None or binding.sleep is not None:
        return False
    levels = {bound.qos for bound in binding.properties.values()}
    return 2 not in levels | {bound.qos for bound in binding.events.values()}


@habit(
    name="habit-closes-on-stray-pubcomp",
    title="closes its MQTT connection on a PUBCOMP that it does not wait for",
    applies=_never_waits_for_pubcomp,
)
def closes_on_stray_pubcomp(device: SimulatedDevice) -> None:
    """A client may take that for a protocol violation (MQTT 3.1.1, 4.8); it connects again."""
    client = device.mqtt
    if client is None:
        return

    def received(packet: bytes) -> Sequence[bytes]:
        if packet[0] >> 4 != PacketType.PUBCOMP:
            return [packet]
        client.close_connection("a stray PUBCOMP came")
        return []

    client.incoming.append(received)
