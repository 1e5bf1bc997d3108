"""Frames on a serial line: known ones are read, any come back, and a stream goes on after anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.links.serial.frames import FrameSerialProtocol
from harness.model.bindings.serial import (
    ARGUMENTS,
    ByteOrder,
    ChecksumKind,
    FrameChecksum,
    FrameProtocol,
    SerialCommand,
)
from harness.model.loading.profiles import load_profile
from harness.wire.serial.checksums import (
    WIDTHS,
    checksum,
    value_of,
)
from harness.wire.serial.frames import (
    Frame,
    FrameCodec,
    FrameFinder,
)

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


# What a device sends is anything at all

ROOT = Path(__file__).parents[3]
SHIPPED = {
    path.stem: profile
    for path in sorted([*ROOT.glob("profiles/*.yaml"), *ROOT.glob("fixtures/profiles/*.yaml")])
    if "frames:" in path.read_text()
    for profile in [load_profile(path)]
}
OPTIONAL = ["version", "sequence", "command"]


@st.composite
def layouts(draw: st.DrawFn) -> FrameProtocol:
    """Protocols whose parts stand in any order that a profile may give them."""
    before = draw(st.permutations([*draw(st.sets(st.sampled_from(OPTIONAL[:2]))), "command"]))
    length, payload = draw(st.sampled_from([([], []), (["length"], []), (["length"], ["payload"])]))
    where = draw(st.integers(0, len(before)))
    body = [*before[:where], *length, *before[where:]]
    checksum = draw(st.sampled_from([None, *ChecksumKind]))
    covered = ["header", *body, *payload]
    return FrameProtocol.model_validate(
        {
            "header": draw(st.sampled_from(["55 AA", "AA", "00", "FE FE FE"])),
            "order": [*covered, *(["checksum"] if checksum else [])],
            "version": {} if "version" in body else None,
            "length": {
                "bytes": draw(st.sampled_from([1, 2])),
                "counts": [*draw(st.sets(st.sampled_from(covered))), "payload"],
            },
            "checksum": {
                "kind": checksum,
                "covers": draw(st.none() | st.lists(st.sampled_from(covered), unique=True)),
            }
            if checksum
            else None,
            "maximum": draw(st.integers(1, 300)),
        }
    )


any_protocol = st.one_of(
    protocols,
    st.sampled_from([each.bindings.serial.frames for each in SHIPPED.values() if each.bindings.serial]),
    layouts(),
)


@st.composite
def anything(draw: st.DrawFn, codec: FrameCodec) -> bytes:
    """Bytes, among them such as frames begin and are made of."""
    pieces = st.one_of(
        st.binary(max_size=12), st.just(codec.header), st.binary(max_size=1).map(codec.header.__add__)
    )
    return b"".join(draw(st.lists(pieces, max_size=8)))


def test_some_profile_that_is_shipped_has_frames() -> None:
    assert "smart-plug" in SHIPPED


@given(st.data())
def test_whatever_is_taken_for_a_frame_is_one_or_none(data: st.DataObject) -> None:
    """Cut short, without its header, of another length than it says, or all in order: nothing raises."""
    codec = FrameCodec(data.draw(any_protocol))
    raw = data.draw(anything(codec))
    read = codec.decode(raw)
    if read is not None:
        assert codec.encode(read) == raw


@given(st.data())
def test_a_frame_of_any_layout_comes_back_and_no_part_of_it_is_one(data: st.DataObject) -> None:
    protocol = data.draw(any_protocol)
    codec = FrameCodec(protocol)
    payload = st.binary(max_size=8) if "payload" in protocol.order else st.just(b"")
    raw = codec.encode(Frame(data.draw(bytes_), data.draw(payload)[: protocol.maximum]))
    assert codec.encode(codec.decode(raw) or Frame(0)) == raw
    assert [codec.decode(raw[:end]) for end in range(len(raw))] == [None] * len(raw)


@given(st.data())
def test_a_stream_of_any_layout_loses_nothing(data: st.DataObject) -> None:
    codec = FrameCodec(data.draw(any_protocol))
    finder, sent, passed = FrameFinder(codec), b"", b""
    for _ in range(data.draw(st.integers(1, 4))):
        part = data.draw(anything(codec))
        sent += part
        passed += b"".join(item.raw if isinstance(item, Frame) else item for item in finder.feed(part))
    while finder.unfinished:
        passed += b"".join(item.raw if isinstance(item, Frame) else item for item in finder.give_up())
    assert passed == sent


@given(st.data())
def test_no_frame_that_comes_upsets_the_one_who_asked(data: st.DataObject) -> None:
    """The link's side: any frame is the answer, is none, or is one that says what is wrong with it."""
    profile = data.draw(st.sampled_from(list(SHIPPED.values())))
    binding = profile.bindings.serial
    assert binding is not None and binding.frames is not None
    frames_, codec = binding.frames, FrameCodec(binding.frames)
    command = data.draw(st.sampled_from([each for each in SerialCommand if binding.knows(each, "relay")]))
    name = "relay" if "property" in ARGUMENTS.get(command, ()) else None
    talk = FrameSerialProtocol(frames_, binding.line, profile)
    exchange = talk.exchange(command, name, True if name else None)
    answer = frames_.commands[command].answer
    tags = st.sampled_from([b"", *(bytes.fromhex(bound.tag) for bound in frames_.properties.values())])
    for _ in range(data.draw(st.integers(1, 3))):
        payload = data.draw(tags) + data.draw(st.binary(max_size=20))
        number = data.draw(st.just(answer.command if answer else 0) | bytes_)
        version = data.draw(st.just(3) | bytes_)
        stream = data.draw(anything(codec)) + codec.encode(Frame(number, payload, version))
        for piece in [*talk.split(stream), *talk.stalled()]:
            told = exchange.offer(piece)
            assert told is None or isinstance(told.value, bool | int | float | str | None)
    talk.complaint()
