"""Faults of the console: its output, its input, and what stops it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from harness.model.bindings.serial import CrashKind
from harness.model.bindings.serial_log import tells_ready
from harness.model.profile import Profile
from harness.simulate.faults import fault
from harness.wire.serial.frames import FrameCodec

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice

BUFFER = 128  # bytes of the input buffer


def has_text(profile: Profile) -> bool:
    """Profiles with a text console."""
    return profile.bindings.serial is not None and profile.bindings.serial.text is not None


def has_line(profile: Profile) -> bool:
    """Profiles with a serial line."""
    return profile.bindings.serial is not None


def prints(profile: Profile) -> bool:
    """Profiles whose serial line carries text."""
    return profile.bindings.serial is not None and profile.bindings.serial.modbus is None


@fault(
    name="never-says-ready",
    title="does not print on its console that it is ready",
    breaks=("SERIAL-10",),
    applies=lambda profile: (
        profile.bindings.serial is not None and bool(profile.bindings.serial.patterns.ready)
    ),
)
def never_says_ready(device: SimulatedDevice) -> None:
    """A test bench would wait for it."""
    console = device.console
    if console is None:
        return
    binding = console.binding

    def without(data: bytes) -> Iterable[bytes]:
        return () if tells_ready(binding, data.decode("utf-8", "replace")) else (data,)

    console.deviate(wire=without)


@fault(
    name="prints-passphrase",
    title="prints the passphrase of its network on the console when it starts",
    breaks=("SERIAL-13", "SERIAL-22"),
    applies=lambda profile: prints(profile) and bool(profile.security.secrets),
)
def prints_passphrase(device: SimulatedDevice) -> None:
    """The log level of development; a factory reset does not change it."""
    console, secrets = device.console, device.profile.security.secrets
    if console is not None:
        console.on_power.append(
            lambda on: console.print(f"wifi: connecting with {secrets[0]}") if on else None
        )


@fault(
    name="log-in-answers",
    title="prints its log into the middle of its answers",
    breaks=("SERIAL-14",),
    applies=has_text,
)
def log_in_answers(device: SimulatedDevice) -> None:
    """Two tasks write to one port without a lock."""
    console = device.console
    if console is None:
        return

    def torn(answer: bytes) -> bytes:
        middle = len(answer.rstrip()) // 2
        return answer[:middle] + b"wifi: beacon lost" + console.deviations.ending + answer[middle:]

    console.deviate(message=torn)


@fault(
    name="console-believes-checksums",
    title="accepts frames with wrong checksums",
    breaks=("SERIAL-29",),
    applies=lambda profile: (
        profile.bindings.serial is not None
        and profile.bindings.serial.frames is not None
        and profile.bindings.serial.frames.checksum is not None
    ),
)
def console_believes_checksums(device: SimulatedDevice) -> None:
    """A wrong checksum is only logged."""
    console = device.console
    if console is None or console.binding.frames is None:
        return
    codec = FrameCodec(console.binding.frames)

    def mended(data: bytes) -> bytes:
        done = b""
        while data:
            size = codec.size(data) or 1
            done, data = done + _mended(codec, data[:size]), data[size:]
        return done

    console.deviate(incoming=mended)


def _mended(codec: FrameCodec, raw: bytes) -> bytes:
    """The frame with its last byte corrected, if that makes it valid."""
    candidates = (raw[:-1] + bytes([last]) for last in range(256))
    return next((each for each in candidates if codec.decode(each) is not None), raw)


def _crashing(device: SimulatedDevice, wrong: Callable[[bytes], bool], kind: CrashKind) -> None:
    """Make the firmware crash at input for which ``wrong`` is true."""
    console = device.console
    if console is None:
        return

    def taken(data: bytes) -> bytes:
        if wrong(data):
            device.crash(kind)
            return b""
        return data

    console.deviate(incoming=taken)


@fault(
    name="console-formats-input",
    title="uses its input as a format, and crashes at %n",
    breaks=("SERIAL-15",),
    applies=has_text,
)
def console_formats_input(device: SimulatedDevice) -> None:
    """printf(line) instead of printf("%s", line)."""
    _crashing(device, lambda data: b"%n" in data, CrashKind.PANIC)


@fault(
    name="console-overflows",
    title="crashes at a line longer than its buffer",
    breaks=("SERIAL-17",),
    applies=has_text,
)
def console_overflows(device: SimulatedDevice) -> None:
    """Input is written past the end of the buffer."""
    length = 0

    def too_long(data: bytes) -> bool:
        nonlocal length
        length = (
            len(data) - max(data.rfind(b"\n"), data.rfind(b"\r")) - 1 if b"\n" in data else length + len(data)
        )
        longest = max(map(len, data.splitlines()), default=0)
        return max(length, longest) > BUFFER

    _crashing(device, too_long, CrashKind.PANIC)


@fault(
    name="noise-stops-console",
    title="stops reading its console after a zero byte",
    breaks=("SERIAL-16",),
    applies=has_text,
)
def noise_stops_console(device: SimulatedDevice) -> None:
    """A break on the line is an error flag that is never cleared."""
    console = device.console
    if console is None:
        return

    def taken(data: bytes) -> bytes:
        if b"\0" in data:
            console.deviate(mute=True)
        return data

    console.deviate(incoming=taken)
