"""Relay boards on a serial port: those that take binary frames, and those that take lines of text."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import serial

from harness.links.actuators import (
    OPERATING,
    POWER,
    ActuatorCommand,
    ActuatorError,
    Task,
)

PRESS = 0.2
"""Seconds for which a key is held: longer than any firmware debounces, shorter than a long press."""

POWER_CHANNEL = ""
"""The name of the channel that switches the power."""

WRITE_LIMIT = 2.0
"""Timeout for writing to the port, in seconds."""

HEADER = 0xA0
MOST_CHANNELS = 16

CLOSING = (ActuatorCommand.POWER_ON, ActuatorCommand.ATTACH)


@dataclass(frozen=True, slots=True)
class Channel:
    """One relay. An inverted one is closed to switch off: the load is on its normally closed contact."""

    number: int
    inverted: bool = False


def channels_of(words: str) -> Mapping[str, Channel]:
    """Read ``1`` (the power), or ``key=1,other=!2``; ``!`` marks an inverted one. Raises ActuatorError."""
    found: dict[str, Channel] = {}
    for part in words.split(","):
        match = re.fullmatch(r"(?:([\w-]+)=)?(!?)(\d+)", part.strip())
        if match is None or not 1 <= int(match[3]) <= MOST_CHANNELS:
            raise ActuatorError(
                f"{part.strip()!r} is no relay: write a number from 1 to {MOST_CHANNELS}, with the key that "
                "it presses before it (start=2), and ! before the number of an inverted relay (!1)"
            )
        if (match[1] or POWER_CHANNEL) in found:
            raise ActuatorError(f"{part.strip()!r}: {match[1] or 'the power'} has a relay already")
        found[match[1] or POWER_CHANNEL] = Channel(int(match[3]), bool(match[2]))
    return found


def frame(channel: int, closed: bool) -> bytes:
    """A frame for boards of the LCUS kind: header, channel, state, and their sum."""
    head = bytes((HEADER, channel, int(closed)))
    return head + bytes((sum(head) & 0xFF,))


class RelayBoard:
    """A board that takes frames (``A0 01 01 A2`` closes the first relay). It does not answer."""

    def __init__(self, line: RelayLine, channels: Mapping[str, Channel]) -> None:
        self._line = line
        self._channels = channels

    @property
    def can(self) -> Collection[ActuatorCommand]:
        """Power if a relay switches it; keys and plugs if relays have their names."""
        power = POWER if POWER_CHANNEL in self._channels else frozenset()
        named = OPERATING - {ActuatorCommand.SENSE} if any(self._channels) else frozenset()
        return power | named

    async def perform(self, task: Task) -> str:
        """Close or open the relay; for a key, close it and open it again. Raises ActuatorError."""
        channel = self._channels.get(task.name or POWER_CHANNEL)
        if channel is None or task.command not in self.can:
            known = ", ".join(name or "the power" for name in self._channels)
            raise ActuatorError(f"no relay to {task}; there are relays for {known}")
        if task.command is ActuatorCommand.PRESS:
            first = await self._set(channel, True)
            try:
                await asyncio.sleep(PRESS)  # how long a finger presses
            finally:
                second = await self._set(channel, False)
            return f"{self._line.port}: {first}, {second}"
        return f"{self._line.port}: {await self._set(channel, task.command in CLOSING)}"

    async def close(self) -> None:
        """Release the port; the relays stay as they are."""
        await self._line.leave()

    async def _set(self, channel: Channel, on: bool) -> str:
        raw = frame(channel.number, on is not channel.inverted)
        await self._line.send(raw)
        return raw.hex(" ").upper()


class LineRelay:
    """A board that takes lines of text (``relay on 0``); ``{action}`` and ``{name}`` are filled in."""

    def __init__(self, line: RelayLine, template: str) -> None:
        try:
            template.format(action="", name="", value="")
        except (KeyError, IndexError, ValueError):
            raise ActuatorError(
                f"the line {template!r} for the relay board may hold {{action}}, {{name}} and {{value}} only"
            ) from None
        self._line = line
        self._template = template

    @property
    def can(self) -> Collection[ActuatorCommand]:
        """The commands that its template can distinguish."""
        if "{action}" not in self._template:
            return frozenset()
        return POWER | OPERATING if "{name}" in self._template else POWER

    async def perform(self, task: Task) -> str:
        """Send the line. Raises ActuatorError."""
        text = self._template.format(action=task.command.value, name=task.name or "", value=task.value or "")
        await self._line.send(text.encode() + b"\r\n")
        return f"{self._line.port}: {text}"

    async def close(self) -> None:
        """Release the port; the relays stay as they are."""
        await self._line.leave()


class RelayLine:
    """The serial port of a board: opened when first needed, and kept open, because some boards reset with it.

    All users of one board share its port; the last one closes it.
    """

    def __init__(self, port: str, baud_rate: int = 9600) -> None:
        self.port = port
        self.users = 1
        self._baud_rate = baud_rate
        self._turn = asyncio.Lock()
        self._serial: serial.SerialBase | None = None

    async def send(self, raw: bytes) -> None:
        """Send bytes, and return when the system has accepted them. Raises ActuatorError."""
        try:
            async with self._turn:
                if self._serial is None:
                    # Connecting to a URL would block the loop inside pyserial.
                    is_url = "://" in self.port
                    self._serial = await asyncio.to_thread(self._open) if is_url else self._open()
                assert self._serial is not None
                # A few bytes into the buffer of an idle port do not block.
                self._serial.write(raw)
        except (serial.SerialException, OSError, ValueError) as problem:
            await self.close()
            raise ActuatorError(f"cannot write to the relay board at {self.port}: {problem}") from problem

    def _open(self) -> serial.SerialBase:
        return serial.serial_for_url(
            self.port, baudrate=self._baud_rate, timeout=0, write_timeout=WRITE_LIMIT
        )

    async def leave(self) -> None:
        """Remove one user; the last one closes the port."""
        self.users -= 1
        if self.users <= 0:
            await self.close()

    async def close(self) -> None:
        """Close the port."""
        if self._serial is not None:
            port, self._serial = self._serial, None
            port.close()


_lines: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, RelayLine]] = WeakKeyDictionary()


def line_at(port: str) -> RelayLine:
    """The shared line to the board at a port."""
    lines = _lines.setdefault(asyncio.get_running_loop(), {})
    if port in lines and lines[port].users > 0:
        lines[port].users += 1
    else:
        lines[port] = RelayLine(port)
    return lines[port]
