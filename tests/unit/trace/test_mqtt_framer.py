from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from mqtt_samples import LEVEL_4

from harness.wire.mqtt.codec import (
    Framer,
    Undecodable,
    decode,
    encode_publish,
)

packets = st.lists(
    st.one_of(
        st.sampled_from(LEVEL_4),
        st.integers(0, 20_000).map(lambda size: encode_publish("a", bytes(size))),
    ),
    max_size=6,
)


def segments(stream: bytes, cuts: list[int]) -> list[bytes]:
    bounds = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[start:end] for start, end in pairwise(bounds)]


@given(packets, st.lists(st.integers(0, 100_000), max_size=12))
def test_packets_come_whole_whatever_the_segments(sent: list[bytes], cuts: list[int]) -> None:
    framer = Framer()
    received = [packet for part in segments(b"".join(sent), cuts) for packet in framer.feed(part)]
    assert received == sent
    assert framer.pending == b""
    assert not framer.broken


def test_byte_by_byte_each_packet_comes_with_its_last_byte() -> None:
    framer = Framer()
    for packet in LEVEL_4:
        assert [framer.feed(packet[at : at + 1]) for at in range(len(packet) - 1)] == [[]] * (len(packet) - 1)
        assert framer.pending == packet[:-1]
        assert framer.feed(packet[-1:]) == [packet]


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=8))
def test_no_byte_is_lost_or_made_up(stream: bytes, cuts: list[int]) -> None:
    framer = Framer()
    chunks = [chunk for part in segments(stream, cuts) for chunk in framer.feed(part)]
    assert b"".join(chunks) + framer.pending == stream
    assert all(chunks)


@given(st.sampled_from(LEVEL_4), st.binary(min_size=0, max_size=20), st.lists(st.integers(0, 60), max_size=5))
def test_a_malformed_length_ends_the_framing(before: bytes, after: bytes, cuts: list[int]) -> None:
    stream = before + b"\x30\xff\xff\xff\xff" + after
    framer = Framer()
    chunks = [chunk for part in segments(stream, cuts) for chunk in framer.feed(part)]
    assert framer.broken
    assert framer.pending == b""
    assert chunks[0] == before
    assert isinstance(decode(chunks[1]), Undecodable)
    assert b"".join(chunks) == stream
