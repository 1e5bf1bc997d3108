"""What sits at the other end of a serial line in the tests, and a link to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

from harness.links.serial.link import SerialLink
from harness.links.serial.pseudo_terminal import PseudoTerminal
from harness.model.profile import Profile
from harness.trace.events import Direction, SerialAnswer, SerialData, SerialPort
from harness.trace.recorder import Recorder

TEXT = {
    "text": {
        "prompt": "> ",
        "errors": ["ERR {reason}"],
        "commands": {
            "read_state": {"send": "get {property}", "answer": "{property}={value}"},
            "write_property": {"send": "set {property} {value}", "answer": "OK"},
            "memory": {"send": "heap", "answer": "heap {value}"},
            "firmware_version": {"send": "version", "answer": "{any}fw {value}"},
            "reboot": {"send": "reboot"},
        },
        "properties": {"power": {"values": {"on": True, "off": False}}, "level": {}, "name": {}},
    },
    "answer_within": 1,
}


def profile_with(serial: dict[str, Any]) -> Profile:
    """A device with a serial line, and nothing on the network that matters."""
    return Profile.model_validate(
        {
            "profile": "board",
            "title": "Board on the desk",
            "category": "board",
            "firmware": "1.2.3",
            "properties": {
                "power": {"type": "boolean"},
                "level": {"type": "integer", "minimum": -40, "maximum": 100, "default": 7},
                "name": {"type": "string"},
            },
            "controls": {"button": {"effects": [{"property": "power", "toggle": True}]}},
            "bindings": {
                "coap": {"properties": {"power": {"path": "/power"}}},
                "serial": serial,
            },
        }
    )


class Typist:
    """A board behind a pseudo-terminal: ``answer`` gets each line that is typed and says what is sent."""

    def __init__(self, answer: Callable[[str], Iterable[bytes]] = lambda line: ()) -> None:
        self.typed: list[str] = []
        self._answer = answer
        self._buffer = b""
        self.terminal = PseudoTerminal(self._received)
        self.terminal.open()

    @property
    def device(self) -> Path:
        """The terminal itself, which its name is a link to."""
        return Path(self.terminal.name).readlink()

    def say(self, data: bytes) -> None:
        self.terminal.write(data)

    def _received(self, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\r\n")
        for line in lines:
            if line:
                self.typed.append(line.decode())
                for part in self._answer(line.decode()):
                    self.say(part)


@contextlib.asynccontextmanager
async def linked(
    board: Typist, serial: dict[str, Any] = TEXT, trace: Path | None = None
) -> AsyncIterator[tuple[SerialLink, Recorder]]:
    """A link to the board, closed at the end."""
    recorder = Recorder(asyncio.get_running_loop().time, trace)
    link = SerialLink(recorder, board.terminal.name, profile_with(serial))
    await link.start()
    try:
        yield link, recorder
    finally:
        await link.close()
        board.terminal.close()
        recorder.close()


def heard(recorder: Recorder) -> bytes:
    """Every byte that came from the board."""
    return b"".join(
        event.body.raw
        for event in recorder.events
        if isinstance(event.body, SerialData) and event.body.direction is Direction.FROM_DUT
    )


def lines_of(recorder: Recorder) -> list[str]:
    """The lines that came from the board."""
    return [
        event.body.line
        for event in recorder.events
        if isinstance(event.body, SerialData)
        and event.body.direction is Direction.FROM_DUT
        and event.body.line is not None
    ]


def answers(recorder: Recorder) -> list[SerialAnswer]:
    return [event.body for event in recorder.events if isinstance(event.body, SerialAnswer)]


def changes(recorder: Recorder) -> list[str]:
    return [event.body.change.value for event in recorder.events if isinstance(event.body, SerialPort)]
