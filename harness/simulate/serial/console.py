"""The serial line of a simulated board, on a pseudo-terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from harness.links.serial.pseudo_terminal import PseudoTerminal
from harness.model.bindings.serial import CrashKind, SerialBinding
from harness.model.profile import Profile
from harness.simulate.firmware.core import (
    Change,
    Core,
    DeviceEvent,
)
from harness.simulate.serial.board import SimulatedBoard
from harness.simulate.serial.boot_log import (
    boot_lines,
    crash_lines,
    ready_lines,
)
from harness.simulate.serial.deviations import ConsoleDeviations
from harness.simulate.serial.protocol import Language


class Console:
    """One board's serial line. It exists while the cable is plugged in, with or without power."""

    def __init__(self, profile: Profile, core: Core, board: SimulatedBoard) -> None:
        assert profile.bindings.serial is not None
        self.deviations = ConsoleDeviations()
        self.binding: SerialBinding = profile.bindings.serial
        self.listens = False  # the firmware is running and reads its line
        self.on_power: list[Callable[[bool], None]] = []  # for faults with a timer of their own
        self.on_ready: list[Callable[[], None]] = []
        self._core = core
        self._terminal: PseudoTerminal | None = None
        self._language = _language(profile, core, board, self)
        core.on_change(self._note_change)
        core.on_event(self._note_event)

    def deviate(self, **deviations: Any) -> None:
        """Deviate from the standard or the profile in the given ways."""
        self.deviations = replace(self.deviations, **deviations)

    @property
    def name(self) -> str:
        """The path of the port."""
        assert self._terminal is not None, "open() first"
        return self._terminal.name

    @property
    def terminal(self) -> PseudoTerminal:
        """The pseudo-terminal, for faults that pull its cable."""
        assert self._terminal is not None, "open() first"
        return self._terminal

    def open(self) -> None:
        """Plug the cable in."""
        if self._terminal is None:
            self._terminal = PseudoTerminal(self._received)
        self._terminal.open()

    def plug_in_again(self) -> None:
        """Plug a pulled cable in again, unless the port was closed meanwhile."""
        if self._terminal is not None:
            self._terminal.open()

    def close(self) -> None:
        """Remove the port for good."""
        if self._terminal is not None:
            self._terminal.close()
            self._terminal = None

    def powered_up(self) -> None:
        """The firmware starts."""
        self._language.restarted()
        self.listens = True
        for line in boot_lines(self.binding):
            self.print(line)
        for call in self.on_power:
            call(True)

    def ready(self) -> None:
        """The start is complete."""
        for line in ready_lines(self.binding):
            self.print(line)
        for call in self.on_ready:
            call()

    def powered_down(self) -> None:
        """The firmware stops."""
        self.listens = False
        for call in self.on_power:
            call(False)

    def crash(self, kind: CrashKind) -> None:
        """Print the lines of a crash."""
        for line in crash_lines(self.binding, kind):
            self.print(line)

    def print(self, line: str) -> None:
        """Print a line of text, if the protocol allows text."""
        if self._language.prints_text:
            self.send(line.encode() + self.deviations.ending)

    def log(self, what: str) -> None:
        """Print a line of the log."""
        if self.deviations.logs and self.listens:
            self.print(f"[{asyncio.get_running_loop().time():.3f}] {what}")

    def send_message(self, raw: bytes) -> None:
        """Send an answer, a frame or a message."""
        self.send(self.deviations.message(raw))

    def send(self, data: bytes) -> None:
        """Send bytes."""
        if self.deviations.mute or self._terminal is None:
            return
        for piece in self.deviations.wire(data):
            self._terminal.write(piece)

    def _received(self, data: bytes) -> None:
        if self.listens and not self.deviations.mute:
            self._language.received(self.deviations.incoming(data))

    def _note_change(self, change: Change) -> None:
        if self.listens:
            if change.changed:
                self.log(f"{change.name} is now {change.value!r}")
            self._language.changed(change)

    def _note_event(self, event: DeviceEvent) -> None:
        self.log(f"event {event.name}")


def _language(profile: Profile, core: Core, board: SimulatedBoard, console: Console) -> Language:
    """The protocol that the profile declares."""
    from harness.simulate.serial.frames import FrameLanguage
    from harness.simulate.serial.modbus import ModbusLanguage
    from harness.simulate.serial.text import TextLanguage

    binding = console.binding
    if binding.text is not None:
        return TextLanguage(binding.text, profile, board, console)
    if binding.frames is not None:
        return FrameLanguage(binding.frames, profile, core, board, console)
    assert binding.modbus is not None, "validated: one of the three"
    return ModbusLanguage(binding.modbus, profile, board, console)
