"""Encodes the MQTT packets that the harness sends itself, without a client library."""

from __future__ import annotations

from collections.abc import Sequence

from harness.wire.mqtt.fields import (
    MQTT_5,
    PacketType,
    string,
    variable_integer,
)


def encode_packet(type: PacketType, flags: int, body: bytes) -> bytes:
    """Prepend the fixed header to ``body``. Nothing is checked, so malformed packets are possible."""
    return bytes([type << 4 | flags]) + variable_integer(len(body)) + body


def encode_publish(
    topic: str | bytes,
    payload: bytes,
    qos: int = 0,
    *,
    packet_id: int | None = None,
    dup: bool = False,
    retain: bool = False,
    level: int = 4,
) -> bytes:
    """A PUBLISH. A topic given as bytes goes out as it is, well-formed or not.

    Raises ValueError when ``qos`` and ``packet_id`` do not go together.
    """
    if not 0 <= qos <= 3 or (qos > 0) != (packet_id is not None):
        raise ValueError(f"QoS {qos} with packet identifier {packet_id}")
    body = string(topic)
    if packet_id is not None:
        body += packet_id.to_bytes(2, "big")
    return encode_packet(
        PacketType.PUBLISH, dup << 3 | qos << 1 | retain, body + _no_properties(level) + payload
    )


def encode_connack(code: int, session_present: bool = False, *, level: int = 4) -> bytes:
    """A CONNACK with this return code (3.1.1) or reason code (5.0)."""
    return encode_packet(PacketType.CONNACK, 0, bytes([session_present, code]) + _no_properties(level))


def encode_ack(type: PacketType, packet_id: int) -> bytes:
    """A PUBACK, PUBREC, PUBREL or PUBCOMP of success; both protocol levels share the form."""
    flags = 0b0010 if type is PacketType.PUBREL else 0
    return encode_packet(type, flags, packet_id.to_bytes(2, "big"))


def encode_suback(packet_id: int, codes: Sequence[int], *, level: int = 4) -> bytes:
    """A SUBACK with one code for each filter."""
    body = packet_id.to_bytes(2, "big") + _no_properties(level) + bytes(codes)
    return encode_packet(PacketType.SUBACK, 0, body)


def encode_unsuback(packet_id: int, codes: Sequence[int] = (), *, level: int = 4) -> bytes:
    """An UNSUBACK; only level 5 has codes."""
    body = packet_id.to_bytes(2, "big")
    if level == MQTT_5:
        body += _no_properties(level) + bytes(codes)
    return encode_packet(PacketType.UNSUBACK, 0, body)


def encode_pingresp() -> bytes:
    """A PINGRESP."""
    return encode_packet(PacketType.PINGRESP, 0, b"")


def _no_properties(level: int) -> bytes:
    return b"\0" if level == MQTT_5 else b""
