"""The interface of a serial protocol of a simulated board."""

from __future__ import annotations

from typing import Protocol

from harness.simulate.firmware.core import Change
from harness.simulate.serial.deviations import ConsoleDeviations


class Sender(Protocol):
    """The console, as a protocol uses it."""

    deviations: ConsoleDeviations

    def send(self, data: bytes) -> None:
        """Send bytes over the line."""

    def send_message(self, raw: bytes) -> None:
        """Send an answer, a frame or a message, with the deviations of the console."""


class Language(Protocol):
    """One kind of serial protocol, on the board's side."""

    def received(self, data: bytes) -> None:
        """Bytes were received."""

    def changed(self, change: Change) -> None:
        """A property changed."""

    def restarted(self) -> None:
        """The firmware restarted: drop incomplete input."""

    @property
    def prints_text(self) -> bool:
        """Whether the protocol allows lines of text."""
