"""Which return codes (3.1.1) and reason codes (5.0: 2.4) each packet type may carry."""

from __future__ import annotations

from harness.wire.mqtt.fields import (
    MQTT_5,
    FieldReader,
    PacketType,
)

_PUBLISHED = bytes.fromhex("00 10 80 83 87 90 91 97 99")
_RELEASED = bytes.fromhex("00 92")

_CODES_5 = {
    PacketType.CONNACK: bytes.fromhex("00 80 81 82 83 84 85 86 87 88 89 8a 8c 90 95 97 99 9a 9b 9c 9d 9f"),
    PacketType.PUBACK: _PUBLISHED,
    PacketType.PUBREC: _PUBLISHED,
    PacketType.PUBREL: _RELEASED,
    PacketType.PUBCOMP: _RELEASED,
    PacketType.SUBACK: bytes.fromhex("00 01 02 80 83 87 8f 91 97 9e a1 a2"),
    PacketType.UNSUBACK: bytes.fromhex("00 11 80 83 87 8f 91"),
    PacketType.DISCONNECT: bytes.fromhex(
        "00 04 80 81 82 83 87 89 8b 8d 8e 8f 90 93 94 95 96 97 98 99 9a 9b 9c 9d 9e 9f a0 a1 a2"
    ),
    PacketType.AUTH: bytes.fromhex("00 18 19"),
}

_CODES_3 = {PacketType.CONNACK: bytes(range(6)), PacketType.SUBACK: bytes.fromhex("00 01 02 80")}

_CLAUSES_3 = {PacketType.CONNACK: "3.2.2.3", PacketType.SUBACK: "MQTT-3.9.3-2"}

_CLAUSES_5 = {
    PacketType.CONNACK: "MQTT-3.2.2-8",
    PacketType.PUBACK: "MQTT-3.4.2-1",
    PacketType.PUBREC: "MQTT-3.5.2-1",
    PacketType.PUBREL: "MQTT-3.6.2-1",
    PacketType.PUBCOMP: "MQTT-3.7.2-1",
    PacketType.SUBACK: "MQTT-3.9.3-2",
    PacketType.UNSUBACK: "MQTT-3.11.3-2",
    PacketType.DISCONNECT: "MQTT-3.14.2-1",
    PacketType.AUTH: "MQTT-3.15.2-1",
}


def note_unknown_code(reader: FieldReader, type: PacketType, code: int) -> None:
    """Note a problem when ``code`` is not one that the standard gives to this packet type."""
    known, clauses = (_CODES_5, _CLAUSES_5) if reader.level == MQTT_5 else (_CODES_3, _CLAUSES_3)
    if code not in known[type]:
        reader.problem(clauses[type], f"0x{code:02x} is no code of a {type.name}")
