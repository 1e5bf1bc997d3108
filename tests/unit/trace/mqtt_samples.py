"""Valid control packets of both protocol levels, made by hand, as seeds for the tests of the decoder."""

from __future__ import annotations

from harness.wire.mqtt.codec import (
    PacketType,
    encode_ack,
    encode_connack,
    encode_packet,
    encode_pingresp,
    encode_publish,
    encode_suback,
    encode_unsuback,
)
from harness.wire.mqtt.fields import string


def connect(
    *,
    name: str = "MQTT",
    level: int = 4,
    flags: int = 0x02,
    keep_alive: int = 60,
    properties: bytes = b"\0",
    payload: bytes = b"\0\x04plug",
) -> bytes:
    """A CONNECT; ``payload`` begins with the client identifier."""
    head = string(name) + bytes([level, flags]) + keep_alive.to_bytes(2, "big")
    return encode_packet(PacketType.CONNECT, 0, head + (properties if level == 5 else b"") + payload)


def subscribe(*filters: tuple[str | bytes, int], packet_id: int = 1, properties: bytes = b"") -> bytes:
    """A SUBSCRIBE with pairs of filter and options byte."""
    body = b"".join(string(filter) + bytes([options]) for filter, options in filters)
    return encode_packet(PacketType.SUBSCRIBE, 2, packet_id.to_bytes(2, "big") + properties + body)


def unsubscribe(*filters: str, packet_id: int = 1, properties: bytes = b"") -> bytes:
    """An UNSUBSCRIBE."""
    body = b"".join(string(filter) for filter in filters)
    return encode_packet(PacketType.UNSUBSCRIBE, 2, packet_id.to_bytes(2, "big") + properties + body)


WILL = string("home/plug/status") + string("offline")

LEVEL_4 = (
    connect(),
    connect(flags=0xEE, payload=string("plug") + WILL + string("user") + string("secret")),
    encode_connack(0, True),
    encode_connack(5),
    encode_publish("home/plug/relay", b"true"),
    encode_publish("home/plug/relay", b"", 1, packet_id=7, dup=True, retain=True),
    encode_publish("ä/雪", b"\xff\0", 2, packet_id=65535),
    *(encode_ack(type, 7) for type in (PacketType.PUBACK, PacketType.PUBREC, PacketType.PUBREL)),
    encode_ack(PacketType.PUBCOMP, 7),
    subscribe(("home/+/set", 1), ("#", 2)),
    encode_suback(1, [1, 0x80]),
    unsubscribe("home/+/set", "a"),
    encode_unsuback(1),
    encode_packet(PacketType.PINGREQ, 0, b""),
    encode_pingresp(),
    encode_packet(PacketType.DISCONNECT, 0, b""),
)

_USER = b"\x26" + string("key") + string("value")

LEVEL_5 = (
    connect(level=5, flags=0, payload=b"\0\0"),
    connect(level=5, properties=b"\x08\x11\0\0\0\x0a\x21\0\x14", payload=string("plug")),
    connect(level=5, flags=0x46, payload=string("p") + b"\x05\x18\0\0\0\x05" + WILL + string("token")),
    encode_connack(0x87, level=5),
    encode_packet(PacketType.CONNACK, 0, b"\1\0\x05\x13\0\x1e\x24\1"),
    encode_publish("home/plug/relay", b"true", 1, packet_id=7, level=5),
    encode_packet(PacketType.PUBLISH, 0, b"\0\0" + bytes([3 + len(_USER)]) + b"\x23\0\1" + _USER + b"on"),
    encode_packet(PacketType.PUBACK, 0, b"\0\7\x10"),
    encode_packet(PacketType.PUBREL, 2, b"\0\7\x92\x05\x1f" + string("no")),
    subscribe(("$share/g/home/+", 0x29), properties=b"\x02\x0b\x05"),
    encode_suback(1, [2, 0x87], level=5),
    unsubscribe("home/+/set", properties=b"\0"),
    encode_unsuback(1, [0, 0x11], level=5),
    encode_packet(PacketType.DISCONNECT, 0, b""),
    encode_packet(PacketType.DISCONNECT, 0, b"\x04"),
    encode_packet(PacketType.DISCONNECT, 0, b"\x8b\x00"),
    encode_packet(PacketType.AUTH, 0, b"\x18\x06\x15" + string("SCR")),
)

SAMPLES = tuple((raw, 4) for raw in LEVEL_4) + tuple((raw, 5) for raw in LEVEL_5)
