"""A simulated board with a text console."""

from __future__ import annotations

import json
import re

from harness.model.base import Value
from harness.model.bindings.serial import (
    SerialCommand,
    TextConsole,
)
from harness.model.profile import Profile
from harness.model.schema import DataType, same_value
from harness.simulate.firmware.core import Change
from harness.simulate.serial.board import (
    CommandRefused,
    SimulatedBoard,
)
from harness.simulate.serial.protocol import Sender

_PLACE = re.compile(r"\{(\w+)\}")
LONGEST_LINE = 512  # bytes of an input line; the rest is discarded


class TextLanguage:
    """Implements :class:`harness.simulate.serial.protocol.Language`."""

    prints_text = True

    def __init__(self, text: TextConsole, profile: Profile, board: SimulatedBoard, console: Sender) -> None:
        self._text = text
        self._profile = profile
        self._board = board
        self._console = console
        self._typed = bytearray()
        self._cancel = bytes.fromhex(text.cancel or "")
        dropped = b"|" + re.escape(self._cancel) if self._cancel else b""
        self._ends = re.compile(rb"\r\n?|\n" + dropped)
        self._commands = [(_expression(each.send), command) for command, each in text.commands.items()]
        self._properties = {bound.name or name: name for name, bound in text.properties.items()}
        self._controls = {label: name for name, label in text.controls.items()}

    def received(self, data: bytes) -> None:
        """Characters were typed."""
        self._typed += data
        while (match := self._ends.search(self._typed)) is not None:
            line, end = bytes(self._typed[: match.start()]), bytes(match[0])
            del self._typed[: match.end()]
            if end != self._cancel:
                self._entered(line.decode("utf-8", "replace"))
        del self._typed[LONGEST_LINE:]

    def changed(self, change: Change) -> None:
        """Nothing: the log shows changes."""

    def restarted(self) -> None:
        """Drop incomplete input."""
        self._typed.clear()

    def _entered(self, line: str) -> None:
        ending = self._console.deviations.ending
        if self._text.echo:
            self._console.send(line.encode() + ending)
        if line.strip():
            answer = self._answer(line.strip())
            if answer is not None:
                self._console.send_message(answer.encode() + ending)
        if self._text.prompt:
            self._console.send(self._text.prompt.encode())

    def _answer(self, line: str) -> str | None:
        for expression, command in self._commands:
            match = expression.fullmatch(line)
            if match is not None:
                return self._carried_out(command, match.groupdict())
        return self._refused(f"unknown command {line.split()[0]}")

    def _carried_out(self, command: SerialCommand, given: dict[str, str]) -> str | None:
        name, value = None, None
        if "property" in given:
            name = self._properties.get(given["property"])
            if name is None:
                return self._refused(f"no property {given['property']}")
        if "control" in given:
            name = self._controls.get(given["control"])
            if name is None:
                return self._refused(f"no control {given['control']}")
        if "value" in given:
            try:
                value = self._parsed(name, given["value"])
            except (ValueError, RecursionError):  # brackets may be nested without end
                return self._refused(f"bad value {given['value']}")
        result = self._board.do(command, name, value)
        if isinstance(result, CommandRefused):
            return self._refused(result.text)
        answer = self._text.commands[command].answer
        if answer is None:
            return None
        filling = given | {"value": self._shown(name, result), "any": "", "reason": ""}
        return _PLACE.sub(lambda match: filling.get(match[1], ""), answer)

    def _refused(self, reason: str) -> str:
        templates = self._text.errors or ("error: {reason}",)
        return _PLACE.sub(lambda match: {"reason": reason}.get(match[1], ""), templates[0])

    def _parsed(self, name: str | None, text: str) -> Value:
        bound = self._text.properties.get(name or "")
        if bound is not None and bound.values is not None:
            if text not in bound.values:
                raise ValueError(text)
            return bound.values[text]
        schema = self._profile.properties.get(name or "")
        if schema is not None and schema.type is DataType.STRING:
            return text
        return json.loads(text)

    def _shown(self, name: str | None, value: Value) -> str:
        bound = self._text.properties.get(name or "")
        if bound is not None and bound.values is not None:
            for text, meant in bound.values.items():
                if same_value(meant, value):
                    return text
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _expression(template: str) -> re.Pattern[str]:
    """The regular expression of a command; its arguments are groups."""
    parts, used = [], set[str]()
    for index, part in enumerate(_PLACE.split(template.strip())):
        if index % 2 == 0:
            parts.append(re.escape(part))
        else:
            parts.append(
                r".+" if part in used else rf"(?P<{part}>.+)" if part == "value" else rf"(?P<{part}>\S+)"
            )
            used.add(part)
    return re.compile("".join(parts))
