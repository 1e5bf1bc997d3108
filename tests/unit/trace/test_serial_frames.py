"""Frames on a serial line: known ones are read, any come back, and a stream goes on after anything."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.model.serial import ByteOrder, ChecksumKind, FrameChecksum, FrameProtocol
from harness.trace.checksums import WIDTHS, checksum, value_of
from harness.trace.serial_frames import Frame, FrameCodec, FrameFinder

TUYA = FrameProtocol.model_validate(
    {
        "header": "55 AA",
        "order": ["header", "version", "command", "length", "payload", "checksum"],
        "version": {"sent": 0, "received": 3},
        "length": {"bytes": 2, "order": "big", "counts": ["payload"]},
        "checksum": {"kind": "sum"},
        "maximum": 256,
    }
)

# Length behind the header, counting all but the header, and a checksum that leaves the header out.
MIDEA = FrameProtocol.model_validate(
    {
        "header": "AA",
        "order": ["header", "length", "sequence", "command", "payload", "checksum"],
        "length": {"bytes": 1, "counts": ["length", "sequence", "command", "payload", "checksum"]},
        "checksum": {"kind": "negative-sum", "covers": ["length", "sequence", "command", "payload"]},
        "maximum": 200,
    }
)

MODBUS_LIKE = FrameProtocol.model_validate(
    {
        "header": "F5 F5 01",
        "order": ["header", "command", "length", "payload", "checksum"],
        "length": {"bytes": 2, "order": "little", "counts": ["payload", "checksum"]},
        "checksum": {"kind": "crc-16-modbus", "order": "little"},
        "maximum": 300,
    }
)

PROTOCOLS = {"sum": TUYA, "negative sum": MIDEA, "crc": MODBUS_LIKE}

protocols = st.sampled_from(list(PROTOCOLS.values()))
bytes_ = st.integers(0, 255)


@st.composite
def frames(draw: st.DrawFn, protocol: FrameProtocol) -> Frame:
    return Frame(
        command=draw(bytes_),
        payload=draw(st.binary(max_size=40)),
        version=draw(bytes_) if "version" in protocol.order else None,
        sequence=draw(bytes_) if "sequence" in protocol.order else None,
    )


def found(protocol: FrameProtocol, *parts: bytes) -> list[Frame | bytes]:
    finder = FrameFinder(FrameCodec(protocol))
    return [item for part in parts for item in finder.feed(part)]


def without_raw(frame: Frame) -> tuple[object, ...]:
    return frame.command, frame.payload, frame.version, frame.sequence


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ("55 AA 00 00 00 00 FF", Frame(0x00, b"", 0)),  # heartbeat of the module
        ("55 AA 03 00 00 01 00 03", Frame(0x00, b"\0", 3)),  # the controller's answer: it has just started
        ("55 AA 00 01 00 00 00", Frame(0x01, b"", 0)),  # what are you?
        ("55 AA 00 06 00 05 01 01 00 01 01 0E", Frame(0x06, bytes.fromhex("0101000101"), 0)),  # switch on
    ],
)
def test_known_frames_of_a_widespread_protocol(text: str, frame: Frame) -> None:
    raw = bytes.fromhex(text)
    assert FrameCodec(TUYA).encode(frame) == raw
    (read,) = found(TUYA, raw)
    assert isinstance(read, Frame)
    assert without_raw(read) == without_raw(frame)
    assert read.raw == raw


@pytest.mark.parametrize(
    ("kind", "value"),
    [  # the check values that every table of checksums has, for the digits 1 to 9
        (ChecksumKind.SUM, 0xDD),
        (ChecksumKind.NEGATIVE_SUM, 0x23),
        (ChecksumKind.XOR, 0x31),
        (ChecksumKind.CRC_8, 0xF4),
        (ChecksumKind.CRC_8_MAXIM, 0xA1),
        (ChecksumKind.CRC_16_MODBUS, 0x4B37),
        (ChecksumKind.CRC_16_CCITT, 0x29B1),
        (ChecksumKind.CRC_16_XMODEM, 0x31C3),
        (ChecksumKind.CRC_32, 0xCBF43926),
    ],
)
def test_checksums_have_their_published_check_values(kind: ChecksumKind, value: int) -> None:
    assert value_of(kind, b"123456789") == value
    big = checksum(FrameChecksum(kind=kind), b"123456789")
    little = checksum(FrameChecksum(kind=kind, order=ByteOrder.LITTLE), b"123456789")
    assert big == value.to_bytes(WIDTHS[kind], "big") == little[::-1]


@given(st.data())
def test_a_frame_comes_back_whatever_is_in_it(data: st.DataObject) -> None:
    protocol = data.draw(protocols)
    frame = data.draw(frames(protocol))
    (read,) = found(protocol, FrameCodec(protocol).encode(frame))
    assert isinstance(read, Frame)
    assert without_raw(read) == without_raw(frame)


@given(st.data())
def test_frames_may_be_cut_anywhere(data: st.DataObject) -> None:
    protocol = data.draw(protocols)
    several = data.draw(st.lists(frames(protocol), min_size=1, max_size=5))
    stream = b"".join(FrameCodec(protocol).encode(frame) for frame in several)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=8)))
    parts = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    read = found(protocol, *parts)
    assert [without_raw(item) for item in read if isinstance(item, Frame)] == [
        without_raw(frame) for frame in several
    ]
    assert not any(isinstance(item, bytes) for item in read)


@given(st.data())
def test_no_byte_is_lost_and_frames_are_found_after_garbage(data: st.DataObject) -> None:
    protocol = data.draw(protocols)
    codec = FrameCodec(protocol)
    garbage = data.draw(st.lists(st.binary(max_size=30), min_size=1, max_size=4))
    assume(all(codec.header[:1] not in part for part in garbage))
    several = [data.draw(frames(protocol)) for _ in garbage]
    stream = b"".join(part + codec.encode(frame) for part, frame in zip(garbage, several, strict=True))
    read = found(protocol, stream)
    assert [without_raw(item) for item in read if isinstance(item, Frame)] == [
        without_raw(frame) for frame in several
    ]
    assert b"".join(item.raw if isinstance(item, Frame) else item for item in read) == stream


@given(st.data())
def test_a_stream_goes_on_after_any_bytes_at_all(data: st.DataObject) -> None:
    """What looks like the begin of a frame may swallow one or two; with pauses, the stream is found again."""
    protocol = data.draw(protocols)
    codec = FrameCodec(protocol)
    finder = FrameFinder(codec)
    garbage = data.draw(st.binary(max_size=60))
    passed = b""
    for item in finder.feed(garbage):
        passed += item.raw if isinstance(item, Frame) else item
    while finder.unfinished:
        for item in finder.give_up():
            passed += item.raw if isinstance(item, Frame) else item
    assert passed == garbage
    frame = data.draw(frames(protocol))
    (read,) = finder.feed(codec.encode(frame))
    assert isinstance(read, Frame)
    assert without_raw(read) == without_raw(frame)


@given(st.data())
def test_a_damaged_byte_is_noticed(data: st.DataObject) -> None:
    protocol = data.draw(protocols)
    codec = FrameCodec(protocol)
    raw = bytearray(codec.encode(data.draw(frames(protocol))))
    index = data.draw(st.integers(len(codec.header), len(raw) - 1))
    raw[index] ^= data.draw(st.integers(1, 255))
    assert codec.decode(bytes(raw)) is None or codec.size(bytes(raw[: codec.head])) != len(raw)
