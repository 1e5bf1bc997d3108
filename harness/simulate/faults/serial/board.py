"""Faults of the main board: controllers that disagree, memory, clock, and starts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from harness.model.base import Value
from harness.model.bindings.serial import CrashKind, SerialCommand
from harness.model.profile import Profile
from harness.model.schema import same_value
from harness.simulate.faults import fault
from harness.simulate.faults.device._deviating import (
    Mask,
    any_property,
    number,
    writable,
)
from harness.simulate.firmware.core import (
    Change,
    Origin,
)
from harness.simulate.firmware.deviations import Memory
from harness.simulate.firmware.values import (
    canonical,
    nearest_legal,
)

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice

LEAKED = 4096  # bytes lost at each reading of the memory
BUILD_TIME = 1_700_000_000.0  # seconds since 1970


def tells(command: SerialCommand) -> Callable[[Profile], bool]:
    """Profiles whose board has that command."""
    return lambda profile: profile.bindings.serial is not None and command in profile.bindings.serial.commands


def has_both_sides(profile: Profile) -> bool:
    """Profiles with settings that both the network and the board show."""
    return tells(SerialCommand.READ_STATE)(profile) and any_property(writable)(profile)


def tells_ready_and_boots(profile: Profile) -> bool:
    """Profiles whose board prints that it starts and that it is ready."""
    serial = profile.bindings.serial
    return serial is not None and bool(serial.patterns.boot) and bool(serial.patterns.ready)


@fault(
    name="command-stops-at-module",
    title="the network module confirms commands that never reach the main board",
    breaks=("SERIAL-02", "SERIAL-04"),
    applies=has_both_sides,
)
def command_stops_at_module(device: SimulatedDevice) -> None:
    """The board keeps its state; changes at the board itself take effect."""
    shown: dict[str, Value] = {}
    core = device.core
    last = {name: core.read(name) for name in core.profile.properties}
    earlier = core.deviations.report

    def report(change: Change, origin: Origin, tell: Callable[[Change], None]) -> None:
        if origin is Origin.COMMAND:
            shown.setdefault(change.name, last[change.name])
        else:
            shown.pop(change.name, None)
        last[change.name] = change.value
        earlier(change, origin, tell)

    core.deviate(report=report)
    device.board.deviate(truth=lambda name, value: shown.get(name, value))


@fault(
    name="refused-at-module-only",
    title="the network module refuses a command that the main board has already carried out",
    breaks=("SERIAL-06",),
    applies=has_both_sides,
)
def refused_at_module_only(device: SimulatedDevice) -> None:
    """The frame is passed on before the value is checked."""
    shown: dict[str, Value] = {}
    device.core.on_change(lambda change: shown.pop(change.name, None) and None)

    def note(name: str, value: Value) -> None:
        schema = device.profile.properties.get(name)
        if schema is None or schema.type not in ("number", "integer"):
            return
        obeyed = nearest_legal(schema, value)
        if schema.accepts(obeyed):
            shown[name] = canonical(schema, obeyed)

    device.core.deviate(refuses=note)
    device.board.deviate(truth=lambda name, value: shown.get(name, value))


@fault(
    name="write-torn-by-power-cut",
    title="a setting that was changed shortly before a power cut is half old and half new",
    breaks=("SERIAL-07",),
    applies=lambda profile: has_both_sides(profile) and any_property(_has_third)(profile),
)
def write_torn_by_power_cut(device: SimulatedDevice) -> None:
    """The record is overwritten in place and has no checksum."""
    core = device.core
    last = {name: core.read(name) for name in core.profile.properties}
    former: dict[str, Value] = {}
    earlier_report, earlier_boots = core.deviations.report, core.deviations.boots

    def report(change: Change, origin: Origin, tell: Callable[[Change], None]) -> None:
        if not same_value(last[change.name], change.value):
            former[change.name] = last[change.name]
        last[change.name] = change.value
        earlier_report(change, origin, tell)

    def tear(memory: Memory) -> Memory:
        torn = {name: _third(device.profile, name, old, memory[name]) for name, old in former.items()}
        former.clear()
        return {**earlier_boots(memory), **torn}

    core.deviate(report=report, boots=tear)


def _has_third(schema: object) -> bool:
    from harness.model.affordance import Property

    if not isinstance(schema, Property) or not schema.writable:
        return False
    return bool(schema.enum and len(schema.enum) > 2) or (
        number(schema) and None not in (schema.minimum, schema.maximum)
    )


def _third(profile: Profile, name: str, old: Value, new: Value) -> Value:
    """A legal third value; the new one if there is none, or if the property is not a setting."""
    schema = profile.properties[name]
    if not _has_third(schema):
        return new
    candidates = list(schema.enum or (schema.minimum, schema.maximum, schema.default))
    others = [value for value in candidates if value is not None and not same_value(value, old)]
    third = next((value for value in others if not same_value(value, new)), new)
    return canonical(schema, third)


@fault(
    name="boots-slowly",
    title="joins the network long after the declared boot time",
    breaks=("SERIAL-09",),
    applies=tells(SerialCommand.REBOOT),
)
def boots_slowly(device: SimulatedDevice) -> None:
    """It waits for a time server before it connects."""
    device.before_joining.append(partial(asyncio.sleep, 1.5 * device.profile.behaviour.boot))


@fault(
    name="crashes-when-asked",
    title="panics when it is asked for its version",
    breaks=("SERIAL-11", "SERIAL-12", "SERIAL-26"),
    applies=tells(SerialCommand.FIRMWARE_VERSION),
)
def crashes_when_asked(device: SimulatedDevice) -> None:
    """A text without a terminator is copied into a buffer that is too short."""

    def obeys(command: SerialCommand) -> bool:
        if command is SerialCommand.FIRMWARE_VERSION:
            device.crash(CrashKind.PANIC)
            return False
        return True

    device.board.deviate(obeys=obeys)


@fault(
    name="starts-twice",
    title="starts a second time by itself as soon as it is ready",
    breaks=("SERIAL-10", "SERIAL-12"),
    applies=tells_ready_and_boots,
)
def starts_twice(device: SimulatedDevice) -> None:
    """The firmware does not reset the watchdog of the boot loader, which fires once."""
    console = device.console
    bites, is_bitten = False, False

    def started(on: bool) -> None:
        nonlocal bites, is_bitten
        if on:
            is_bitten, bites = bites, False

    def bite() -> None:
        nonlocal bites
        bites = not is_bitten
        if bites:
            device.restart()

    if console is not None:
        console.on_power.append(started)
        console.on_ready.append(bite)


@fault(
    name="offline-changes-untold",
    title="does not report changes at the board that were made while the network was gone",
    breaks=("SERIAL-25",),
    applies=tells(SerialCommand.NETWORK_OFF),
)
def offline_changes_untold(device: SimulatedDevice) -> None:
    """Reports that cannot be sent are discarded, and the copy in the network module stays."""
    Mask(device.core, (Origin.LOCAL,), None, when=lambda: not device.board.networked)


@fault(
    name="keys-wait-for-network",
    title="ignores its keys while its network is gone",
    breaks=("SERIAL-24",),
    applies=tells(SerialCommand.NETWORK_OFF),
)
def keys_wait_for_network(device: SimulatedDevice) -> None:
    """The main loop is blocked in the call that connects."""
    earlier = device.core.deviations.hears_controls
    device.core.deviate(hears_controls=lambda: device.board.networked and earlier())


@fault(
    name="board-version-differs",
    title="the main board runs another firmware than the network module reports",
    breaks=("SERIAL-26",),
    applies=tells(SerialCommand.FIRMWARE_VERSION),
)
def board_version_differs(device: SimulatedDevice) -> None:
    """The update reached only one of the two."""
    device.board.deviate(firmware="0.9.0")


@fault(
    name="memory-leaks",
    title="loses free memory with every command",
    breaks=("SERIAL-27",),
    applies=tells(SerialCommand.MEMORY),
)
def memory_leaks(device: SimulatedDevice) -> None:
    """A buffer is allocated each time and never freed."""
    rounds = 0

    def leak(free: int) -> int:
        nonlocal rounds
        rounds += 1
        return max(free - rounds * LEAKED, 0)

    device.board.deviate(memory=leak)


@fault(
    name="clock-of-the-build",
    title="starts its clock at the build time of the firmware and never sets it",
    breaks=("SERIAL-28",),
    applies=lambda profile: (
        tells(SerialCommand.READ_CLOCK)(profile) and tells(SerialCommand.SET_CLOCK)(profile)
    ),
)
def clock_of_the_build(device: SimulatedDevice) -> None:
    """Meant to be better than 1970."""
    device.board.deviate(clock_at_start=BUILD_TIME, sets_clock=False)
