"""Faults of the serial line: noise, floods, loose cables, wrong speed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from harness.model.bindings.serial import CrashKind
from harness.model.profile import Profile
from harness.simulate.faults import fault

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice
    from harness.simulate.serial.console import Console

FLOOD_PAUSE = 0.05  # seconds between two bursts of a flood
FLOOD_LINES = 50  # of each burst
PLUGGED = 5.0  # seconds until a loose cable fails
UNPLUGGED = 1.0  # seconds until the port is back
CRASH_PAUSE = 30.0  # seconds from a start to the next crash
NOISE = 12  # bytes at most before each piece


def has_line(profile: Profile) -> bool:
    """Profiles with a serial line."""
    return profile.bindings.serial is not None


def has_line_and_network(profile: Profile) -> bool:
    """… and a network: without one, a mute board looks like none."""
    bindings = profile.bindings
    return has_line(profile) and (bindings.mqtt is not None or bindings.coap is not None)


def has_text(profile: Profile) -> bool:
    """Profiles whose serial line carries text."""
    return profile.bindings.serial is not None and profile.bindings.serial.modbus is None


def has_checksum(profile: Profile) -> bool:
    """Profiles whose frames or messages have a checksum."""
    serial = profile.bindings.serial
    frames = serial.frames if serial is not None else None
    return serial is not None and (
        serial.modbus is not None or (frames is not None and frames.checksum is not None)
    )


def _while_powered(console: Console, act: Callable[[], None], pause: float) -> None:
    """Call ``act`` every ``pause`` seconds while the firmware is running."""
    timer: asyncio.TimerHandle | None = None

    def due() -> None:
        nonlocal timer
        timer = asyncio.get_running_loop().call_later(pause, due)
        act()

    def powered(on: bool) -> None:
        nonlocal timer
        if timer is not None:
            timer.cancel()
            timer = None
        if on:
            timer = asyncio.get_running_loop().call_later(pause, due)

    console.on_power.append(powered)


@fault(name="console-noise", breaks=(), title="has noise on its serial line", applies=has_line)
def console_noise(device: SimulatedDevice) -> None:
    """The ground is not connected. The noise holds no line ends, and no sent byte is lost."""
    console = device.console
    if console is None:
        return
    # Neither line ends nor the first bytes of the shipped frames.
    noise = bytes(set(range(256)) - {0x0A, 0x0D, 0x55, 0xAA, 0x01})

    def noisy(data: bytes) -> Iterable[bytes]:
        yield bytes(device.random.choices(noise, k=device.random.randrange(NOISE))) + _line_end(device)
        yield data

    console.deviate(wire=noisy)


def _line_end(device: SimulatedDevice) -> bytes:
    """Ends the noise on a text console, so that it does not become part of a line."""
    serial = device.profile.bindings.serial
    return b"\r\n" if serial is not None and serial.text is not None else b""


@fault(name="console-half-lines", breaks=(), title="sends its serial bytes one by one", applies=has_line)
def console_half_lines(device: SimulatedDevice) -> None:
    """A UART without a buffer."""
    if device.console is not None:
        device.console.deviate(wire=lambda data: [data[at : at + 1] for at in range(len(data))])


@fault(
    name="console-line-feeds", breaks=(), title="ends the lines of its console with LF CR", applies=has_text
)
def console_line_feeds(device: SimulatedDevice) -> None:
    """The two characters in the wrong order."""
    if device.console is not None:
        device.console.deviate(ending=b"\n\r")


@fault(
    name="console-floods",
    breaks=(),
    title="prints a thousand lines a second on its console",
    applies=has_text,
)
def console_floods(device: SimulatedDevice) -> None:
    """The trace of the scheduler was left on."""
    console = device.console
    if console is None:
        return

    def burst() -> None:
        for number in range(FLOOD_LINES):
            console.log(f"sched: tick {number} task idle, nothing to do, {number % 7} waiting")

    _while_powered(console, burst, FLOOD_PAUSE)


@fault(
    name="cable-vanishes",
    breaks=(),
    title="its serial port vanishes and returns, again and again",
    applies=has_line,
)
def cable_vanishes(device: SimulatedDevice) -> None:
    """A loose plug: the USB port is enumerated again each time."""
    console = device.console
    if console is None:
        return

    def pull() -> None:
        console.terminal.unplug()
        asyncio.get_running_loop().call_later(UNPLUGGED, console.plug_in_again)

    _while_powered(console, pull, PLUGGED)


@fault(
    name="console-mute",
    breaks=("SERIAL-14",),
    title="sends nothing on its serial line",
    applies=has_line_and_network,
)
def console_mute(device: SimulatedDevice) -> None:
    """TX is not connected."""
    if device.console is not None:
        device.console.deviate(mute=True)


@fault(
    name="console-wrong-checksum",
    breaks=("SERIAL-14",),
    title="sends frames with a wrong checksum on its serial line",
    applies=has_checksum,
)
def console_wrong_checksum(device: SimulatedDevice) -> None:
    """The checksum is computed before the last byte is known."""
    if device.console is not None:
        device.console.deviate(message=lambda raw: raw[:-1] + bytes([raw[-1] ^ 0xFF]))


@fault(
    name="console-wrong-baud",
    breaks=("SERIAL-14",),
    title="its serial line runs at another speed",
    applies=has_line,
)
def console_wrong_baud(device: SimulatedDevice) -> None:
    """The crystal differs from the one in the firmware's configuration: three quarters of the speed."""
    if device.console is not None:
        device.console.deviate(wire=lambda data: [misread(data, 0.75)])


def misread(data: bytes, speed: float) -> bytes:
    """The bytes that a UART reads when they are sent ``speed`` times as fast as it expects."""
    line = [bit for byte in data for bit in (0, *(byte >> n & 1 for n in range(8)), 1)] + [1] * 20
    read, at = [], 0.0
    while at < len(line) - 10:
        if line[int(at)]:  # idle, or a stop bit
            at += speed / 8
            continue
        bits = [line[min(int(at + speed * (n + 1.5)), len(line) - 1)] for n in range(8)]
        read.append(sum(bit << n for n, bit in enumerate(bits)))
        at += speed * 9.5
    return bytes(read)


@fault(
    name="crashes", breaks=(), title="crashes half a minute after each start, and prints it", applies=has_text
)
def crashes(device: SimulatedDevice) -> None:
    """A task runs out of stack when the last connection is opened."""
    console = device.console
    if console is not None:
        _while_powered(console, lambda: device.crash(CrashKind.PANIC), CRASH_PAUSE)
