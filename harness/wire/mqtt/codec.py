"""Reading MQTT 3.1.1 and 5.0 control packets from raw bytes.

:func:`decode` never raises: whatever it is given, it returns a packet, with every violation of the
encoding rules among its ``problems``. What cannot be read to the end is :class:`Undecodable`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import TypedDict

from harness.wire.mqtt.encode import (
    encode_ack,
    encode_connack,
    encode_packet,
    encode_pingresp,
    encode_publish,
    encode_suback,
    encode_unsuback,
)
from harness.wire.mqtt.fields import (
    MQTT_5,
    FieldReader,
    PacketType,
    UnreadableField,
)
from harness.wire.mqtt.packets import (
    Ack,
    Auth,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Publish,
    Suback,
    Subscribe,
    TopicFilter,
    Undecodable,
    Unsuback,
    Unsubscribe,
    Will,
)
from harness.wire.mqtt.properties import (
    WILL,
    Property,
    PropertyId,
    read_properties,
)
from harness.wire.mqtt.reason_codes import note_unknown_code
from harness.wire.mqtt.topics import (
    filter_problems,
    topic_matches,
    topic_problems,
)
from harness.wire.problem import Problem

__all__ = [
    "MQTT_5",
    "Ack",
    "Auth",
    "Connack",
    "Connect",
    "Disconnect",
    "Framer",
    "Packet",
    "PacketType",
    "Pingreq",
    "Pingresp",
    "Problem",
    "Property",
    "PropertyId",
    "Publish",
    "Suback",
    "Subscribe",
    "TopicFilter",
    "Undecodable",
    "Unsuback",
    "Unsubscribe",
    "Will",
    "decode",
    "encode_ack",
    "encode_connack",
    "encode_packet",
    "encode_pingresp",
    "encode_publish",
    "encode_suback",
    "encode_unsuback",
    "filter_problems",
    "topic_matches",
    "topic_problems",
]


class Framer:
    """Cuts a TCP byte stream into control packets, however TCP cut it into segments.

    A Remaining Length of more than four bytes ends all framing: ``broken`` becomes true and the rest of
    the stream is handed out as it comes, first the chunk that begins with the malformed packet (it
    decodes to Undecodable). Joined, the packets and ``pending`` are always the bytes fed.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.broken = False

    @property
    def pending(self) -> bytes:
        """The bytes of a packet that is not complete yet."""
        return bytes(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Take received bytes; return the packets that they complete, in order."""
        if self.broken:
            return [data] if data else []
        self._buffer += data
        packets, at = [], 0
        while (end := self._packet_end(at)) is not None:
            packets.append(bytes(self._buffer[at:end]))
            at = end
        del self._buffer[:at]
        return packets

    def _packet_end(self, at: int) -> int | None:
        """Where the packet that begins ``at`` ends; None while that is not known or not there."""
        length = 0
        for index, byte in enumerate(self._buffer[at + 1 : at + 5]):
            length |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                end = at + 2 + index + length
                return end if end <= len(self._buffer) else None
        if len(self._buffer) >= at + 5:
            self.broken = True
            return len(self._buffer)
        return None


class _Header(TypedDict):
    type: PacketType
    flags: int
    raw: bytes


def decode(raw: bytes, level: int = 4) -> Packet:
    """Read one control packet, sent over a connection of this protocol ``level`` (4: 3.1.1, 5: 5.0).

    A CONNECT is read by the level that it names itself. Never raises.
    """
    # The tap, the trace and every judge read the same packets; large ones are not worth keeping.
    return _decode_small(raw, level) if len(raw) <= SMALL else _decode(raw, level)


SMALL = 512  # bytes


@lru_cache(maxsize=16384)
def _decode_small(raw: bytes, level: int) -> Packet:
    return _decode(raw, level)


def _decode(raw: bytes, level: int) -> Packet:
    if not raw:
        problem = Problem("2.1.4" if level == MQTT_5 else "2.2.3", "no bytes at all")
        return Undecodable(type=PacketType.RESERVED, flags=0, raw=raw, problems=(problem,))
    header: _Header = {"type": PacketType(raw[0] >> 4), "flags": raw[0] & 0x0F, "raw": raw}
    outer = FieldReader(raw[1:], level)
    packet: Packet
    try:
        body = outer.take(outer.variable_integer("remaining length"), "the body")
        if outer.left:
            text = f"{outer.left} bytes behind the end that the remaining length gives"
            outer.problem("2.2.3", text, clause_5="2.1.4")
        reader = FieldReader(body, level, outer.problems)
        _note_reserved_flags(reader, header)
        packet = _READERS[header["type"]](reader, header)
        if reader.left:
            reader.problem("2.2.3", f"{reader.left} bytes behind the last field", clause_5="2.1.4")
    except UnreadableField:
        packet = Undecodable(**header)
    return replace(packet, problems=tuple(outer.problems)) if outer.problems else packet


_FIXED_FLAGS = {PacketType.PUBREL: 0b0010, PacketType.SUBSCRIBE: 0b0010, PacketType.UNSUBSCRIBE: 0b0010}


def _note_reserved_flags(reader: FieldReader, header: _Header) -> None:
    wanted = _FIXED_FLAGS.get(header["type"], 0)
    if header["type"] is not PacketType.PUBLISH and header["flags"] != wanted:
        text = f"reserved flags are {header['flags']:04b} where {wanted:04b} is prescribed"
        reader.problem("MQTT-2.2.2-1", text, clause_5="MQTT-2.1.3-1")


def _properties(reader: FieldReader, place: PacketType | None) -> tuple[Property, ...]:
    return read_properties(reader, place) if reader.level == MQTT_5 else ()


def _read_connect(reader: FieldReader, header: _Header) -> Connect:
    name = reader.string("protocol name")
    level = reader.integer(1, "protocol level")
    reader.level = level if level == MQTT_5 else 4
    if name != "MQTT":
        reader.problem("MQTT-3.1.2-1", f"protocol name is {name!r}, not 'MQTT'")
    if level not in (4, 5):
        reader.problem("MQTT-3.1.2-2", f"protocol level is {level}, neither 4 (3.1.1) nor 5 (5.0)")
    flags = reader.integer(1, "connect flags")
    _note_connect_flags(reader, flags)
    keep_alive = reader.integer(2, "keep alive")
    properties = _properties(reader, PacketType.CONNECT)
    client_id = reader.string("client identifier")
    clean = bool(flags & 0x02)
    if not client_id and not clean and reader.level != MQTT_5:
        reader.problem("MQTT-3.1.3-7", "empty client identifier without Clean Session")
    will = _read_will(reader, flags) if flags & 0x04 else None
    return Connect(
        **header,
        properties=properties,
        protocol_name=name,
        level=level,
        connect_flags=flags,
        clean_session=clean,
        keep_alive=keep_alive,
        client_id=client_id,
        will=will,
        username=reader.string("user name") if flags & 0x80 else None,
        password=reader.binary("password") if flags & 0x40 else None,
    )


def _note_connect_flags(reader: FieldReader, flags: int) -> None:
    if flags & 0x01:
        reader.problem("MQTT-3.1.2-3", "the reserved connect flag is set")
    if not flags & 0x04 and flags & 0x18:
        reader.problem("MQTT-3.1.2-13", "a will QoS without a will", clause_5="MQTT-3.1.2-11")
    if not flags & 0x04 and flags & 0x20:
        reader.problem("MQTT-3.1.2-15", "will retain without a will", clause_5="MQTT-3.1.2-13")
    if flags & 0x18 == 0x18:
        reader.problem("MQTT-3.1.2-14", "the will QoS is 3", clause_5="MQTT-3.1.2-12")
    if flags & 0xC0 == 0x40 and reader.level != MQTT_5:
        reader.problem("MQTT-3.1.2-22", "a password without a user name")


def _read_will(reader: FieldReader, flags: int) -> Will:
    properties = _properties(reader, WILL)
    topic = reader.string("will topic")
    reader.problems += topic_problems(topic, reader.level)
    payload = reader.binary("will message")
    _note_payload_format(reader, properties, payload)
    return Will(topic, payload, flags >> 3 & 3, bool(flags & 0x20), properties)


def _note_payload_format(reader: FieldReader, properties: tuple[Property, ...], payload: bytes) -> None:
    if Property(PropertyId.PAYLOAD_FORMAT_INDICATOR, 1) in properties:
        try:
            payload.decode("utf-8")
        except UnicodeDecodeError:
            reader.problem("3.3.2.3.2", "the payload is declared to be UTF-8 text, and is not")


def _read_connack(reader: FieldReader, header: _Header) -> Connack:
    acknowledge = reader.integer(1, "connect acknowledge flags")
    code = reader.integer(1, "return code")
    if acknowledge & 0xFE:
        text = f"reserved connect acknowledge flags are set: {acknowledge:08b}"
        reader.problem("3.2.2.1", text, clause_5="MQTT-3.2.2-1")
    if acknowledge & 0x01 and code:
        text = f"session present with return code {code}"
        reader.problem("MQTT-3.2.2-4", text, clause_5="MQTT-3.2.2-6")
    note_unknown_code(reader, PacketType.CONNACK, code)
    properties = _properties(reader, PacketType.CONNACK)
    return Connack(**header, properties=properties, code=code, session_present=bool(acknowledge & 1))


def _read_publish(reader: FieldReader, header: _Header) -> Publish:
    flags = header["flags"]
    qos, dup = flags >> 1 & 3, bool(flags & 0x08)
    if qos == 3:
        reader.problem("MQTT-3.3.1-4", "QoS is 3")
    if dup and qos == 0:
        reader.problem("MQTT-3.3.1-2", "DUP is set with QoS 0")
    topic = reader.string("topic name")
    packet_id = reader.packet_id() if qos else None
    properties = _properties(reader, PacketType.PUBLISH)
    aliased = any(property.id is PropertyId.TOPIC_ALIAS for property in properties)
    if topic or not aliased:
        reader.problems += topic_problems(topic, reader.level)
        if "#" in topic or "+" in topic:
            reader.problem("MQTT-3.3.2-2", f"the topic name {topic!r} of a PUBLISH contains a wildcard")
    payload = reader.rest()
    _note_payload_format(reader, properties, payload)
    return Publish(
        **header,
        properties=properties,
        topic=topic,
        payload=payload,
        qos=qos,
        dup=dup,
        retain=bool(flags & 0x01),
        packet_id=packet_id,
    )


def _read_code(reader: FieldReader, type: PacketType) -> tuple[int, tuple[Property, ...]]:
    """The reason code and properties that level 5 lets a packet leave out."""
    if reader.level != MQTT_5 or not reader.left:
        return 0, ()
    code = reader.integer(1, "reason code")
    note_unknown_code(reader, type, code)
    return code, _properties(reader, type) if reader.left else ()


def _read_ack(reader: FieldReader, header: _Header) -> Ack:
    packet_id = reader.packet_id()
    code, properties = _read_code(reader, header["type"])
    return Ack(**header, properties=properties, packet_id=packet_id, code=code)


def _read_subscribe(reader: FieldReader, header: _Header) -> Subscribe:
    packet_id = reader.packet_id()
    properties = _properties(reader, PacketType.SUBSCRIBE)
    filters = []
    while reader.left:
        filters.append(_read_topic_filter(reader))
    if not filters:
        reader.problem("MQTT-3.8.3-3", "SUBSCRIBE without a topic filter", clause_5="MQTT-3.8.3-2")
    return Subscribe(**header, properties=properties, packet_id=packet_id, filters=tuple(filters))


def _read_topic_filter(reader: FieldReader) -> TopicFilter:
    filter = _read_filter(reader)
    options = reader.integer(1, "subscription options")
    qos = options & 0x03
    reserved = 0xC0 if reader.level == MQTT_5 else 0xFC
    if options & reserved:
        text = f"reserved bits of the subscription options are set: {options:08b}"
        reader.problem("MQTT-3.8.3-4", text, clause_5="MQTT-3.8.3-5")
    if qos == 3:
        reader.problem("MQTT-3.8.3-4", f"QoS 3 asked for {filter!r}", clause_5="3.8.3.1")
    if reader.level != MQTT_5:
        return TopicFilter(filter, qos)
    if options & 0x30 == 0x30:
        reader.problem("3.8.3.1", f"retain handling is 3 for {filter!r}")
    if options & 0x04 and filter.startswith("$share/"):
        reader.problem("MQTT-3.8.3-4", f"No Local on the shared subscription {filter!r}")
    return TopicFilter(filter, qos, bool(options & 0x04), bool(options & 0x08), options >> 4 & 3)


def _read_filter(reader: FieldReader) -> str:
    filter = reader.string("topic filter")
    reader.problems += filter_problems(filter, reader.level)
    return filter


def _read_codes(reader: FieldReader, type: PacketType) -> tuple[int, ...]:
    codes = tuple(reader.rest())
    for code in codes:
        note_unknown_code(reader, type, code)
    if not codes:
        reader.problem("3.9.3" if type is PacketType.SUBACK else "3.11.3", "no code for any topic filter")
    return codes


def _read_suback(reader: FieldReader, header: _Header) -> Suback:
    packet_id = reader.packet_id()
    properties = _properties(reader, PacketType.SUBACK)
    codes = _read_codes(reader, PacketType.SUBACK)
    return Suback(**header, properties=properties, packet_id=packet_id, codes=codes)


def _read_unsubscribe(reader: FieldReader, header: _Header) -> Unsubscribe:
    packet_id = reader.packet_id()
    properties = _properties(reader, PacketType.UNSUBSCRIBE)
    filters = []
    while reader.left:
        filters.append(_read_filter(reader))
    if not filters:
        reader.problem("MQTT-3.10.3-2", "UNSUBSCRIBE without a topic filter")
    return Unsubscribe(**header, properties=properties, packet_id=packet_id, filters=tuple(filters))


def _read_unsuback(reader: FieldReader, header: _Header) -> Unsuback:
    packet_id = reader.packet_id()
    properties = _properties(reader, PacketType.UNSUBACK)
    codes = _read_codes(reader, PacketType.UNSUBACK) if reader.level == MQTT_5 else ()
    return Unsuback(**header, properties=properties, packet_id=packet_id, codes=codes)


def _read_disconnect(reader: FieldReader, header: _Header) -> Disconnect:
    code, properties = _read_code(reader, PacketType.DISCONNECT)
    return Disconnect(**header, properties=properties, code=code)


def _read_auth(reader: FieldReader, header: _Header) -> Auth:
    if reader.level != MQTT_5:
        reader.problem("2.2.1", "packet type 15 is reserved")
        raise UnreadableField("packet type")
    code, properties = _read_code(reader, PacketType.AUTH)
    return Auth(**header, properties=properties, code=code)


def _read_reserved(reader: FieldReader, header: _Header) -> Packet:
    reader.problem("2.2.1", "packet type 0 is reserved", clause_5="2.1.2")
    raise UnreadableField("packet type")


_READERS: dict[PacketType, Callable[[FieldReader, _Header], Packet]] = {
    PacketType.RESERVED: _read_reserved,
    PacketType.CONNECT: _read_connect,
    PacketType.CONNACK: _read_connack,
    PacketType.PUBLISH: _read_publish,
    PacketType.PUBACK: _read_ack,
    PacketType.PUBREC: _read_ack,
    PacketType.PUBREL: _read_ack,
    PacketType.PUBCOMP: _read_ack,
    PacketType.SUBSCRIBE: _read_subscribe,
    PacketType.SUBACK: _read_suback,
    PacketType.UNSUBSCRIBE: _read_unsubscribe,
    PacketType.UNSUBACK: _read_unsuback,
    PacketType.PINGREQ: lambda reader, header: Pingreq(**header),
    PacketType.PINGRESP: lambda reader, header: Pingresp(**header),
    PacketType.DISCONNECT: _read_disconnect,
    PacketType.AUTH: _read_auth,
}
