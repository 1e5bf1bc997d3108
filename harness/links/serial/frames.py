"""Binary frames: commands and answers are frames, text between frames is the log."""

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
    FrameField,
    FrameMessage,
    FrameProperty,
    FrameProtocol,
    LineSettings,
    SerialCommand,
)
from harness.model.profile import Profile
from harness.model.schema import DataSchema
from harness.wire.serial.frames import (
    Frame,
    FrameCodec,
    FrameFinder,
)
from harness.wire.serial.lines import LineSplitter
from harness.wire.serial.values import (
    UnfitError,
    from_bytes,
    from_number,
    to_bytes,
    to_number,
)

PLAIN_WIDTH = 4  # bytes of a number without a property: memory, clock
WIDEST = 8  # bytes of such a number in an answer
TEXTS = (SerialCommand.FIRMWARE_VERSION, SerialCommand.CREDENTIALS)
ENOUGH = 64  # bytes outside of frames after which the line settings are suspect


class FrameSerialProtocol:
    """Implements :class:`harness.links.serial.protocol.SerialProtocol`."""

    gap = 0.0

    def __init__(self, protocol: FrameProtocol, line: LineSettings, profile: Profile) -> None:
        self._protocol = protocol
        self._line = line
        self._profile = profile
        self._codec = FrameCodec(protocol)
        self._finder = FrameFinder(self._codec)
        self._splitter = LineSplitter()
        self._cutter = Cutter()
        self._sequence = 0
        self._frames = self._stray = 0  # received: frames, and bytes that are neither frames nor text
        self._ended = 0  # bytes of the stream that are in pieces

    def greeting(self) -> None:
        """Frames need no greeting."""

    @property
    def unfinished(self) -> bool:
        """Whether a frame has begun."""
        return self._finder.unfinished

    def split(self, data: bytes) -> Iterator[Piece]:
        """Frames, lines between them, and the rest."""
        yield from self._cutter.cut(data, self._complete(self._finder.feed(data)))

    def stalled(self) -> Iterator[Piece]:
        """Bytes of a frame that was not completed."""
        yield from self._cutter.cut(b"", self._complete(self._finder.give_up()))

    def exchange(self, command: SerialCommand, name: str | None, value: Value) -> FrameExchange:
        """A command as a frame."""
        self._sequence = (self._sequence + 1) % 256
        schema = self._profile.properties.get(name or "")
        return FrameExchange(self._protocol, self._codec, command, name, value, schema, self._sequence)

    def complaint(self) -> str | None:
        """Wrong checksums, or bytes that are neither frames nor text."""
        if self._finder.damaged > 2 and self._finder.damaged > self._frames:
            return f"{self._finder.damaged} frames had a wrong checksum, {self._frames} a good one"
        if self._frames or self._stray < ENOUGH:
            return None
        return (
            f"{self._stray} bytes without a frame: {self._line.baud_rate} bits/s, or parity "
            f"{self._line.parity}, is probably not what the board uses (bindings.serial.line)"
        )

    def _complete(self, found: Iterable[Frame | bytes]) -> Iterator[tuple[int, Piece]]:
        for item in found:
            if isinstance(item, Frame):
                self._frames += 1
                self._ended += len(item.raw)
                yield self._ended, Piece(b"", what=str(item), content=item)
                continue
            self._stray += not item.isascii() and len(item)
            for end, text in self._splitter.feed(item):
                yield self._ended + end, Piece(b"", line=text)
            self._ended += len(item)


class FrameExchange:
    """Implements :class:`harness.links.serial.protocol.CommandExchange`."""

    def __init__(
        self,
        protocol: FrameProtocol,
        codec: FrameCodec,
        command: SerialCommand,
        name: str | None,
        value: Value,
        schema: DataSchema | None,
        sequence: int,
    ) -> None:
        declared = protocol.commands[command]
        self._command = command
        self._schema = schema
        self._bound = protocol.properties.get(name or "")
        self._answer = declared.answer
        self._expected = protocol.version.received if protocol.version else None
        self._sequence = sequence if FrameField.SEQUENCE in protocol.order else None
        arguments = self._arguments(protocol, name)
        if value is not None:
            arguments["value"] = self._written(value)
        frame = Frame(
            declared.send.command,
            payload_of(declared.send, arguments),
            protocol.version.sent if protocol.version else None,
            sequence,
        )
        self.raw, self.text, self.awaits = codec.encode(frame), str(frame), self._answer is not None
        if command in TELLING:
            arguments.pop("value", None)
        self._known = tuple(sorted(arguments.items()))
        # A read command without a property is answered for each of them, in frames of their own. All of them
        # must be here before the next command, or an old frame would count as its answer.
        asks_for_all = command is SerialCommand.READ_STATE and "{tag}" not in declared.send.payload
        self._missing = {bytes.fromhex(each.tag) for each in protocol.properties.values() if asks_for_all}
        self._found: CommandAnswer | None = None
        self.instead: str | None = None

    def offer(self, piece: Piece) -> CommandAnswer | None:
        """The answer, if this frame completes it."""
        frame = piece.content
        if self._answer is None or not isinstance(frame, Frame) or frame.command != self._answer.command:
            return None
        if self._expected is not None and frame.version != self._expected:
            self.instead = f"a frame of version {frame.version} came, not of {self._expected}"
            return None
        if frame.sequence != self._sequence:
            self.instead = f"a frame with sequence number {frame.sequence} came, not with {self._sequence}"
            return None
        self._found = self._understood(self._answer, frame) or self._found
        self._missing = {tag for tag in self._missing if tag not in frame.payload}
        return None if self._missing else self._found

    def quiet(self) -> CommandAnswer | None:
        """The answer so far: properties that the board does not report are not waited for."""
        return self._found

    def _understood(self, answer: FrameMessage, frame: Frame) -> CommandAnswer | None:
        width = self._bound.bytes if self._bound is not None else None
        match = payload_expression(answer.payload, self._known, width).fullmatch(frame.payload)
        if match is None:
            self.instead = f"{frame} came, which does not match the answer in the profile"
            return None
        if self._command not in TELLING:
            return CommandAnswer()
        raw = match.groupdict().get("value")
        if raw is None:
            return CommandAnswer(problem="the answer has no value; its template in the profile lacks {value}")
        try:
            return CommandAnswer(self._read(raw))
        except (UnfitError, UnicodeDecodeError) as problem:
            return CommandAnswer(problem=f"the board reported {problem}")

    @staticmethod
    def _arguments(protocol: FrameProtocol, name: str | None) -> dict[str, bytes]:
        arguments: dict[str, bytes] = {}
        bound = protocol.properties.get(name or "")
        if bound is not None:
            arguments["tag"] = bytes.fromhex(bound.tag)
        if name in protocol.controls:
            arguments["control"] = bytes.fromhex(protocol.controls[name])
        return arguments

    def _written(self, value: Value) -> bytes:
        bound = self._bound
        if bound is None:
            return int(value).to_bytes(PLAIN_WIDTH, "big")
        if bound.bytes is None:
            return str(value).encode()
        return to_bytes(to_number(bound, self._schema, value), bound.bytes, bound.order, signed=bound.signed)

    def _read(self, raw: bytes) -> Value:
        bound: FrameProperty | None = self._bound
        if bound is not None and bound.bytes is not None:
            return from_number(bound, self._schema, from_bytes(bound, raw))
        if bound is not None or self._command in TEXTS:
            return raw.decode()
        if not 1 <= len(raw) <= WIDEST:
            raise UnfitError(f"{len(raw)} bytes, which are not a number")
        return int.from_bytes(raw, "big")


_TOKEN = re.compile(r"\{(\w+)\}|([0-9A-Fa-f]{2})|(\s+)|(.)")
_MISSING = "the payload {!r} needs {{{}}}, which is missing"


def payload_of(message: FrameMessage, arguments: dict[str, bytes]) -> bytes:
    """The payload with its arguments filled in. Raises UnfitError if one is missing."""
    parts = []
    for argument, digits, _, _ in _TOKEN.findall(message.payload):
        if argument and argument not in arguments:
            raise UnfitError(_MISSING.format(message.payload, argument))
        parts.append(arguments[argument] if argument else bytes.fromhex(digits))
    return b"".join(parts)


@cache
def payload_expression(
    template: str, known: tuple[tuple[str, bytes], ...], width: int | None
) -> re.Pattern[bytes]:
    """The regular expression of a template; ``width``: bytes of the value, None for any number."""
    arguments = dict(known)
    parts, has_value = [], False
    for argument, digits, _, _ in _TOKEN.findall(template):
        if argument in arguments:
            parts.append(re.escape(arguments[argument]))
        elif argument == "value" and not has_value:
            has_value = True
            parts.append(b"(?P<value>.{%d})" % width if width else b"(?P<value>.*?)")
        elif argument:
            parts.append(b".*?")
        else:
            parts.append(re.escape(bytes.fromhex(digits)))
    return re.compile(b"".join(parts), re.DOTALL)
