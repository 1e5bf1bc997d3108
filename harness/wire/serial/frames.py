"""Binary frames as a profile describes them: encoding, and finding them in a stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.model.bindings.serial import (
    FrameField,
    FrameProtocol,
)
from harness.wire.serial.checksums import (
    WIDTHS,
    checksum,
)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. ``raw``: its bytes, if it was decoded."""

    command: int
    payload: bytes = b""
    version: int | None = None
    sequence: int | None = None
    raw: bytes = b""

    def __str__(self) -> str:
        payload = self.payload.hex(" ") or "empty"
        return f"frame {self.command:#04x}, payload {payload}"


class FrameCodec:
    """Encodes and decodes the frames of one protocol; larger payloads than its ``maximum`` are no frames."""

    def __init__(self, protocol: FrameProtocol) -> None:
        self.header = bytes.fromhex(protocol.header)
        self._protocol = protocol
        self._sizes = {
            FrameField.HEADER: len(self.header),
            FrameField.VERSION: 1,
            FrameField.SEQUENCE: 1,
            FrameField.COMMAND: 1,
            FrameField.LENGTH: protocol.length.bytes,
            FrameField.CHECKSUM: WIDTHS[protocol.checksum.kind] if protocol.checksum else 0,
        }
        self._order = protocol.length.order.literal
        has_length = FrameField.LENGTH in protocol.order
        until = protocol.order.index(FrameField.LENGTH) + 1 if has_length else len(protocol.order)
        # The fields up to and including the length have a fixed size.
        self.head = sum(self._sizes[field] for field in protocol.order[:until])
        self._fixed = sum(self._sizes.get(field, 0) for field in protocol.order)
        self._counted = sum(
            self._sizes.get(field, 0) for field in protocol.length.counts if field in protocol.order
        )
        self._has_length = has_length
        self._most = protocol.maximum if FrameField.PAYLOAD in protocol.order else 0

    def encode(self, frame: Frame) -> bytes:
        """The bytes of a frame."""
        protocol, parts = self._protocol, dict[FrameField, bytes]()
        parts[FrameField.HEADER] = self.header
        parts[FrameField.VERSION] = bytes([frame.version or 0])
        parts[FrameField.SEQUENCE] = bytes([frame.sequence or 0])
        parts[FrameField.COMMAND] = bytes([frame.command])
        parts[FrameField.PAYLOAD] = frame.payload
        length = self._counted + (len(frame.payload) if self._most else 0)
        parts[FrameField.LENGTH] = length.to_bytes(protocol.length.bytes, self._order)
        parts[FrameField.CHECKSUM] = b""
        parts[FrameField.CHECKSUM] = self._checksum(parts)
        return b"".join(parts[field] for field in protocol.order)

    def size(self, data: bytes) -> int | None:
        """Size in bytes of the frame at the start of ``data``; None if not yet known, 0 if it is no frame."""
        known = data[: len(self.header)]
        if not self.header.startswith(known):
            return 0
        if not self._has_length:
            return self._fixed
        if len(data) < self.head:
            return None
        width = self._protocol.length.bytes
        counted = int.from_bytes(data[self.head - width : self.head], self._order)
        payload = counted - self._counted
        return self._fixed + payload if 0 <= payload <= self._most else 0

    def decode(self, raw: bytes) -> Frame | None:
        """The frame in ``raw``; None if it is no frame or its checksum is wrong."""
        if self.size(raw) != len(raw):
            return None
        payload, offset = len(raw) - self._fixed, 0
        parts: dict[FrameField, bytes] = {}
        for field in self._protocol.order:
            size = payload if field is FrameField.PAYLOAD else self._sizes[field]
            parts[field] = raw[offset : offset + size]
            offset += size
        if self._protocol.checksum and parts[FrameField.CHECKSUM] != self._checksum(parts):
            return None
        version, sequence = parts.get(FrameField.VERSION), parts.get(FrameField.SEQUENCE)
        return Frame(
            command=parts.get(FrameField.COMMAND, b"\0")[0],
            payload=parts.get(FrameField.PAYLOAD, b""),
            version=version[0] if version else None,
            sequence=sequence[0] if sequence else None,
            raw=raw,
        )

    def _checksum(self, parts: dict[FrameField, bytes]) -> bytes:
        how, order = self._protocol.checksum, self._protocol.order
        if how is None:
            return b""
        before = order[: order.index(FrameField.CHECKSUM)]
        covered = before if how.covers is None else [field for field in order if field in how.covers]
        return checksum(how, b"".join(parts[field] for field in covered))


class FrameFinder:
    """Finds frames in a stream; the bytes between them are returned as they are.

    After a wrong checksum, the search continues at the second byte, so that a good frame that begins inside
    the damaged one is found.
    """

    def __init__(self, codec: FrameCodec) -> None:
        self._codec = codec
        self._buffer = bytearray()
        self.damaged = 0  # frames with a wrong checksum, or cut short

    def feed(self, data: bytes) -> Iterator[Frame | bytes]:
        """The frames that these bytes complete, and the bytes between them, in order."""
        self._buffer += data
        skipped = bytearray()
        while self._buffer:
            start = self._start()
            skipped += self._buffer[:start]
            del self._buffer[:start]
            size = self._codec.size(bytes(self._buffer[: self._codec.head])) if self._buffer else None
            if size is None or (size > len(self._buffer)):
                break
            frame = self._codec.decode(bytes(self._buffer[:size])) if size else None
            if frame is None:
                self.damaged += size > 0
                skipped += self._buffer[:1]
                del self._buffer[:1]
                continue
            if skipped:
                yield bytes(skipped)
                skipped.clear()
            del self._buffer[:size]
            yield frame
        if skipped:
            yield bytes(skipped)

    @property
    def unfinished(self) -> bool:
        """Whether a frame is incomplete."""
        return bool(self._buffer)

    def give_up(self) -> Iterator[Frame | bytes]:
        """Give up an incomplete frame: its first byte is skipped, and the rest is read again."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        if rest:
            self.damaged += 1
            yield rest[:1]
            yield from self.feed(rest[1:])

    def _start(self) -> int:
        """Where the next header begins, or may begin at the end of the buffer."""
        header = self._codec.header
        found = self._buffer.find(header)
        if found >= 0:
            return found
        for length in range(min(len(header) - 1, len(self._buffer)), 0, -1):
            if self._buffer.endswith(header[:length]):
                return len(self._buffer) - length
        return len(self._buffer)
