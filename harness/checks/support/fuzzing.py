"""Malformed input drawn from a seed: the same seed gives the same bytes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from harness.wire import (
    coap,
    mdns,
    mqtt,
)
from harness.wire.mdns.codec import (
    Question,
    RecordType,
)
from harness.wire.mqtt.encode import encode_publish

JUNK = (b"", b"\x00", b"null", b"[]", b"{}", b"-", b"1e999", b"\xff" * 8, b"%s%n%x", b"A" * 300, b'"' * 40)
MOST_JUNK = 64  # random bytes in one packet


def mutated(raw: bytes, dice: random.Random) -> bytes:
    """A copy with a few bytes changed, removed, doubled or inserted."""
    data = bytearray(raw)
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(data) + 1)
        match dice.randrange(5):
            case 0 if data:
                data[at % len(data)] ^= 1 << dice.randrange(8)
            case 1 if data:
                data[at % len(data)] = dice.choice((0x00, 0x7F, 0x80, 0xFF))
            case 2:
                del data[at:]
            case 3:
                data[at:at] = dice.randbytes(dice.randint(1, 8))
            case _:
                data += data[at:]
    return bytes(data)


def junk(dice: random.Random) -> bytes:
    """Random bytes, or one of the fixed samples."""
    return dice.choice(JUNK) if dice.random() < 0.4 else dice.randbytes(dice.randint(1, MOST_JUNK))


def payloads(legal: Sequence[bytes], count: int, dice: random.Random) -> list[bytes]:
    """Command payloads: mutated legal ones, and junk."""
    return [
        mutated(dice.choice(legal), dice) if legal and dice.random() < 0.6 else junk(dice)
        for _ in range(count)
    ]


def odd_packets(topic: str, next_id: Callable[[], int], count: int, dice: random.Random) -> list[bytes]:
    """MQTT packets that a client must ignore."""
    packets = []
    for _ in range(count):
        kind = dice.choice((mqtt.PacketType.PUBACK, mqtt.PacketType.PUBCOMP))
        packets.append(
            dice.choice(
                (
                    mqtt.encode_ack(kind, next_id()),
                    mqtt.encode_pingresp(),
                    encode_publish(f"{topic}/{dice.randbytes(3).hex()}", junk(dice)),
                )
            )
        )
    return packets


def broken_packet(topic: str, dice: random.Random) -> bytes:
    """An MQTT packet that a client must treat as a violation.

    Its Remaining Length is correct, so that the next packet is read correctly.
    """
    body = dice.choice(
        (
            b"\xff\xff" + topic.encode(),  # a topic longer than the packet
            b"\x00\x00" + junk(dice),  # no topic at all
            b"\x00\x04\xc3\x28a\x00" + junk(dice),  # not UTF-8
            dice.randbytes(dice.randint(0, MOST_JUNK)),
        )
    )
    head = dice.choice((0x30, 0x36, 0x3E, 0x00, 0xF0, 0x10, 0x82, dice.randrange(256)))
    return bytes([head, *_remaining_length(len(body))]) + body


def _remaining_length(length: int) -> bytes:
    found = bytearray()
    while True:
        length, low = divmod(length, 128)
        found.append(low | (0x80 if length else 0))
        if not length:
            return bytes(found)


def coap_datagrams(paths: Sequence[str], count: int, dice: random.Random) -> list[bytes]:
    """Mutated GET requests, crafted headers and junk; no request that could change the state."""
    found: list[bytes] = []
    while len(found) < count:
        path = dice.choice(paths)
        request = coap.request(coap.Code.GET, path, mid=dice.randrange(65536), token=dice.randbytes(4))
        raw = dice.choice(
            (
                mutated(coap.encode(request), dice),
                junk(dice),
                bytes([0x40 | dice.randint(9, 15), 1, 0, dice.randrange(256)]) + dice.randbytes(6),
                coap.encode(request) + b"\xff",
                coap.encode(request)[:4] + b"\xf1" + dice.randbytes(4),
                coap.encode(request) + b"\x0e\xff\xff" + dice.randbytes(4),
            )
        )
        if not _may_act(raw):
            found.append(raw)
    return found


def _may_act(raw: bytes) -> bool:
    """Whether a server may treat it as a request that changes the state."""
    return len(raw) > 1 and 2 <= raw[1] < 32


def mdns_packets(names: Sequence[str], count: int, dice: random.Random) -> list[bytes]:
    """Mutated queries, self-referencing names, counts without records, and junk.

    None of them claims a name, because a device might have to yield to that.
    """
    found: list[bytes] = []
    while len(found) < count:
        question = Question(dice.choice(names), dice.choice((RecordType.PTR, RecordType.SRV, RecordType.ANY)))
        query = mdns.encode_query([question])
        raw = dice.choice(
            (
                mutated(query, dice),
                junk(dice),
                query[:12] + b"\xc0\x0c\x00\xff\x00\x01",  # a name that points to itself
                query[:4] + b"\xff\xff" * 4 + query[12:],  # more records than there are bytes
                query[:12] + b"\x3f" * 40,
                query[: dice.randint(1, len(query))],
            )
        )
        if not _may_claim(raw):
            found.append(raw)
    return found


def _may_claim(raw: bytes) -> bool:
    """Whether it carries records that a responder may have to accept."""
    message = mdns.decode(raw)
    return bool(message.records)
