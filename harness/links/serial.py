"""The serial line to a board: opened, recorded, and commanded in the words of the profile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.links.errors import LinkError
from harness.model.base import Value
from harness.model.serial import SerialBinding, SerialCommand
from harness.trace.events import Event
from harness.trace.recorder import Recorder


class SerialError(LinkError):
    """The port cannot be opened or used; the message says what, where, and what to do."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the board answered; ``problem`` says why there is no good answer."""

    event: Event
    value: Value = None
    problem: str | None = None


class SerialLink:
    """One serial line.

    ``url`` is anything that pyserial opens: a device path, ``socket://host:port``, ``rfc2217://host:port``.
    Every byte is recorded as SerialData, what happens to the port as SerialPort.
    """

    def __init__(self, recorder: Recorder, url: str, binding: SerialBinding) -> None:
        self.url = url
        self._recorder = recorder
        self._binding = binding

    @property
    def present(self) -> bool:
        """Whether the port is there now; one that vanished is opened again when it returns."""
        raise NotImplementedError

    async def start(self) -> None:
        """Open the port. Raises SerialError."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close the port; nothing is recorded any more."""
        raise NotImplementedError

    async def command(
        self,
        command: SerialCommand,
        name: str | None = None,
        value: Value = None,
        *,
        within: float | None = None,
    ) -> Reply:
        """Tell the board something and take its answer; one command at a time, others wait their turn.

        Raises SerialError when the profile declares no such command or the port is away.
        """
        raise NotImplementedError

    async def line(
        self, wanted: Callable[[str], bool], *, within: float, since: int | None = None
    ) -> Event | None:
        """Wait for a line of the board that is accepted by ``wanted``; None when none came in time."""
        raise NotImplementedError
