"""A text console: commands and answers are lines of text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

from harness.links.serial.protocol import (
    CommandAnswer,
    Cutter,
    Piece,
)
from harness.model.base import Value
from harness.model.bindings.serial import (
    TELLING,
    LineSettings,
    SerialCommand,
    TextConsole,
)
from harness.model.profile import Profile
from harness.model.schema import DataSchema
from harness.wire.serial.lines import (
    LineSplitter,
    Quality,
)
from harness.wire.serial.values import (
    UnfitError,
    from_text,
    to_text,
)

NUMBERS = (SerialCommand.MEMORY, SerialCommand.READ_CLOCK)
"""Commands whose answer is a number without a property."""


class TextSerialProtocol:
    """Implements :class:`harness.links.serial.protocol.SerialProtocol`."""

    unfinished = False
    gap = 0.0

    def __init__(self, console: TextConsole, line: LineSettings, profile: Profile) -> None:
        self._console = console
        self._line = line
        self._profile = profile
        self._splitter = LineSplitter()
        self._cutter = Cutter()
        self._quality = Quality()

    def greeting(self) -> tuple[bytes, str]:
        """The cancel sequence and an empty line, to clear the board's input."""
        return bytes.fromhex(self._console.cancel or "") + self._console.line_ending.raw, ""

    def split(self, data: bytes) -> Iterator[Piece]:
        """Lines, and the rest."""
        self._quality.feed(data)
        begin = self._cutter.position
        lines = ((begin + end, Piece(b"", line=text)) for end, text in self._splitter.feed(data))
        yield from self._cutter.cut(data, lines)

    def stalled(self) -> Iterable[Piece]:
        """None: an incomplete line stays incomplete."""
        return ()

    def exchange(self, command: SerialCommand, name: str | None, value: Value) -> TextExchange:
        """A command as a line."""
        bound = self._console.properties.get(name or "")
        schema = self._profile.properties.get(name or "")
        values = bound.values if bound is not None else None
        arguments = {"property": (bound.name if bound is not None else None) or name or ""}
        if command is SerialCommand.PRESS_BUTTON:
            arguments = {"control": self._console.controls.get(name or "", name or "")}
        if value is not None:
            arguments["value"] = to_text(schema, value, values)
        return TextExchange(self._console, command, arguments, schema, values)

    def complaint(self) -> str | None:
        """Bytes that are not text."""
        if not self._quality.is_bad:
            return None
        return (
            f"{self._quality.share:.0%} of the bytes are not text: {self._line.baud_rate} bits/s, or parity "
            f"{self._line.parity}, is probably not what the board uses (bindings.serial.line)"
        )


class TextExchange:
    """Implements :class:`harness.links.serial.protocol.CommandExchange`."""

    def __init__(
        self,
        console: TextConsole,
        command: SerialCommand,
        arguments: dict[str, str],
        schema: DataSchema | None,
        values: dict[str, Value] | None,
    ) -> None:
        declared = console.commands[command]
        self.text = filled(declared.send, arguments)
        self.raw = self.text.encode() + console.line_ending.raw
        self.awaits = declared.answer is not None
        self._answer = declared.answer
        self._command = command
        self._console = console
        # In answers that report, {value} is the reported value; otherwise it repeats the command's.
        tells = command in TELLING
        self._arguments = tuple(sorted((k, v) for k, v in arguments.items() if not tells or k != "value"))
        self._schema = schema
        self._values = values
        self._last: str | None = None

    def offer(self, piece: Piece) -> CommandAnswer | None:
        """The answer or the refusal, if this line is one."""
        if piece.line is None or self._answer is None:
            return None
        line = piece.line.strip()
        prompt = (self._console.prompt or "").strip()
        if prompt and line.startswith(prompt):
            line = line.removeprefix(prompt).strip()
        if not line or (self._console.echo and line == self.text.strip()):
            return None
        match = expression(self._answer, self._arguments).fullmatch(line)
        if match is not None:
            return self._value_of(match)
        for error in self._console.errors:
            refused = expression(error, self._arguments).fullmatch(line)
            if refused is not None:
                return CommandAnswer(
                    problem=f"the board refused: {refused.groupdict().get('reason') or line}"
                )
        self._last = line
        return None

    def quiet(self) -> CommandAnswer | None:
        """None: one line is the whole answer."""
        return None

    @property
    def instead(self) -> str | None:
        """The last line that was not an answer."""
        return f"the last line was {self._last!r}" if self._last else None

    def _value_of(self, match: re.Match[str]) -> CommandAnswer:
        if self._command not in TELLING:
            return CommandAnswer()
        text = match.groupdict().get("value")
        if text is None:
            return CommandAnswer(problem="the answer has no value; its template in the profile lacks {value}")
        if self._command in NUMBERS:
            try:
                return CommandAnswer(float(text) if "." in text else int(text, 0))
            except ValueError:
                return CommandAnswer(problem=f"the board reported {text!r}, which is not a number")
        try:
            return CommandAnswer(from_text(self._schema, text, self._values))
        except UnfitError as problem:
            return CommandAnswer(problem=f"the board reported {problem}")


def filled(template: str, arguments: dict[str, str]) -> str:
    """A template with its arguments filled in. Raises UnfitError if one is missing."""

    def place(match: re.Match[str]) -> str:
        if match[1] not in arguments:
            raise UnfitError(f"{template!r} needs {{{match[1]}}}, which is missing")
        return arguments[match[1]]

    return _PLACE.sub(place, template)


_PLACE = re.compile(r"\{(\w+)\}")
_FREE = {"value": r"(?P<value>.*?)", "reason": r"(?P<reason>.*?)", "any": r".*?"}


@cache
def expression(template: str, arguments: tuple[tuple[str, str], ...]) -> re.Pattern[str]:
    """The regular expression of a template."""
    known = dict(arguments)
    parts, used = [], set[str]()
    for index, part in enumerate(_PLACE.split(template.strip())):
        if index % 2 == 0:
            parts.append(re.escape(part))
        elif part in known:
            parts.append(re.escape(known[part]))
        elif part in _FREE and part not in used:
            parts.append(_FREE[part])
            used.add(part) if part != "any" else None
        else:
            parts.append(r".*?")
    return re.compile("".join(parts))
