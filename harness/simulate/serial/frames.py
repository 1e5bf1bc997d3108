"""A simulated board with a protocol of binary frames."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from harness.model.base import Value
from harness.model.bindings.serial import (
    FrameMessage,
    FrameProperty,
    FrameProtocol,
    SerialCommand,
)
from harness.model.profile import Profile
from harness.model.schema import DataType, same_value
from harness.simulate.firmware.core import (
    Change,
    Core,
)
from harness.simulate.serial.board import (
    CommandRefused,
    SimulatedBoard,
)
from harness.simulate.serial.protocol import Sender
from harness.wire.serial.frames import (
    Frame,
    FrameCodec,
    FrameFinder,
)

WIDEST = 8  # bytes of a number
_TOKEN = re.compile(r"\{(\w+)\}|([0-9A-Fa-f]{2})")


class FrameLanguage:
    """Implements :class:`harness.simulate.serial.protocol.Language`."""

    prints_text = True

    def __init__(
        self, frames: FrameProtocol, profile: Profile, core: Core, board: SimulatedBoard, console: Sender
    ) -> None:
        self._frames = frames
        self._profile = profile
        self._core = core
        self._board = board
        self._console = console
        self._codec = FrameCodec(frames)
        self._finder = FrameFinder(self._codec)
        self._sequence = 0

    def received(self, data: bytes) -> None:
        """Frames, possibly with noise between them."""
        for item in self._finder.feed(data):
            if isinstance(item, Frame):
                self._sequence = item.sequence or 0
                self._carry_out(item)

    def changed(self, change: Change) -> None:
        """Report a change without being asked."""
        bound = self._frames.properties.get(change.name)
        if self._frames.reports is not None and bound is not None and change.changed:
            self._send(self._frames.reports, bound, self._written(change.name, bound, change.value))

    def restarted(self) -> None:
        """Drop an incomplete frame."""
        self._finder = FrameFinder(self._codec)

    def _carry_out(self, frame: Frame) -> None:
        for command, declared in self._frames.commands.items():
            if declared.send.command != frame.command:
                continue
            # A read command without a property asks for all of them.
            cases = list(self._cases(command, declared.send, frame.payload))
            for name, value in cases:
                answer = self._board.do(command, name, value)
                if declared.answer is not None and not isinstance(answer, CommandRefused):
                    self._answer(declared.answer, name, answer)
            if cases:
                return

    def _cases(
        self, command: SerialCommand, message: FrameMessage, payload: bytes
    ) -> Iterator[tuple[str | None, Value]]:
        tokens = {name for name, _ in _TOKEN.findall(message.payload)}
        if "control" in tokens:
            for name, code in self._frames.controls.items():
                if payload == _payload(message, {"control": bytes.fromhex(code)}):
                    yield name, None
        elif "tag" in tokens or command is SerialCommand.READ_STATE:
            for name, bound in self._frames.properties.items():
                head = _payload(message, {"tag": bytes.fromhex(bound.tag), "value": b""})
                rest = payload[len(head) :]
                if payload.startswith(head) and ("value" in tokens or not rest):
                    yield name, self._read(name, bound, rest) if "value" in tokens else None
        elif "value" in tokens:
            rest = payload[len(_payload(message, {"value": b""})) :]
            if 1 <= len(rest) <= WIDEST:
                yield None, int.from_bytes(rest, "big")
        elif payload == _payload(message, {}):
            yield None, None

    def _answer(self, message: FrameMessage, name: str | None, value: Value) -> None:
        bound = self._frames.properties.get(name or "")
        if bound is not None:
            self._send(message, bound, self._written(name or "", bound, value))
        elif isinstance(value, str):
            self._send(message, None, value.encode())
        else:
            self._send(message, None, int(value or 0).to_bytes(4, "big"), name)

    def _send(
        self, message: FrameMessage, bound: FrameProperty | None, value: bytes, control: str | None = None
    ) -> None:
        arguments = {"value": value}
        if bound is not None:
            arguments["tag"] = bytes.fromhex(bound.tag)
        if control in self._frames.controls:
            arguments["control"] = bytes.fromhex(self._frames.controls[control])
        version = self._frames.version.received if self._frames.version else None
        frame = Frame(message.command, _payload(message, arguments), version, self._sequence)
        self._console.send_message(self._codec.encode(frame))

    def _written(self, name: str, bound: FrameProperty, value: Value) -> bytes:
        if bound.bytes is None:
            return str(value).encode()
        # A value that a fault let through may not fit: it is truncated, as in a microcontroller.
        number = _number(bound, value) % (1 << 8 * bound.bytes)
        return number.to_bytes(bound.bytes, bound.order.literal)

    def _read(self, name: str, bound: FrameProperty, raw: bytes) -> Value:
        if bound.bytes is None:
            return raw.decode("utf-8", "replace")
        number = int.from_bytes(raw[: bound.bytes], bound.order.literal, signed=bound.signed)
        if bound.values is not None:
            return bound.values.get(number, number)
        schema = self._profile.properties[name]
        if schema.type is DataType.BOOLEAN:
            return bool(number)
        scaled = Decimal(number) * Decimal(str(bound.scale))
        return int(scaled) if schema.type is DataType.INTEGER else float(scaled)


def _number(bound: FrameProperty, value: Value) -> int:
    if bound.values is not None:
        return next(number for number, meant in bound.values.items() if same_value(meant, value))
    return int(value) if isinstance(value, bool) else round(Decimal(str(value)) / Decimal(str(bound.scale)))


def _payload(message: FrameMessage, arguments: dict[str, bytes]) -> bytes:
    return b"".join(
        arguments.get(name, b"") if name else bytes.fromhex(digits)
        for name, digits in _TOKEN.findall(message.payload)
    )
