"""The properties of MQTT 5.0 packets (5.0: 2.2.2)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum, auto
from typing import NamedTuple

from harness.wire.mqtt.fields import (
    FieldReader,
    PacketType,
    UnreadableField,
)
from harness.wire.mqtt.topics import topic_problems


class PropertyId(IntEnum):
    """Property identifiers (5.0: table 2-4)."""

    PAYLOAD_FORMAT_INDICATOR = 0x01
    MESSAGE_EXPIRY_INTERVAL = 0x02
    CONTENT_TYPE = 0x03
    RESPONSE_TOPIC = 0x08
    CORRELATION_DATA = 0x09
    SUBSCRIPTION_IDENTIFIER = 0x0B
    SESSION_EXPIRY_INTERVAL = 0x11
    ASSIGNED_CLIENT_IDENTIFIER = 0x12
    SERVER_KEEP_ALIVE = 0x13
    AUTHENTICATION_METHOD = 0x15
    AUTHENTICATION_DATA = 0x16
    REQUEST_PROBLEM_INFORMATION = 0x17
    WILL_DELAY_INTERVAL = 0x18
    REQUEST_RESPONSE_INFORMATION = 0x19
    RESPONSE_INFORMATION = 0x1A
    SERVER_REFERENCE = 0x1C
    REASON_STRING = 0x1F
    RECEIVE_MAXIMUM = 0x21
    TOPIC_ALIAS_MAXIMUM = 0x22
    TOPIC_ALIAS = 0x23
    MAXIMUM_QOS = 0x24
    RETAIN_AVAILABLE = 0x25
    USER_PROPERTY = 0x26
    MAXIMUM_PACKET_SIZE = 0x27
    WILDCARD_SUBSCRIPTION_AVAILABLE = 0x28
    SUBSCRIPTION_IDENTIFIER_AVAILABLE = 0x29
    SHARED_SUBSCRIPTION_AVAILABLE = 0x2A


PropertyValue = int | bytes | str | tuple[str, str]


@dataclass(frozen=True, slots=True)
class Property:
    """One property; the value is an int, str, bytes or, for a user property, a pair of strings."""

    id: PropertyId
    value: PropertyValue


class _Kind(Enum):
    FLAG = auto()  # one byte, 0 or 1
    TWO = auto()
    FOUR = auto()
    VARIABLE = auto()
    STRING = auto()
    BINARY = auto()
    PAIR = auto()


class _Rule(NamedTuple):
    kind: _Kind
    places: frozenset[PacketType | None]
    not_zero: bool = False


WILL = None
"""Stands for the will of a CONNECT, which has properties of its own, where a packet type is expected."""

_CONNECT, _CONNACK, _PUBLISH = PacketType.CONNECT, PacketType.CONNACK, PacketType.PUBLISH
_SUBSCRIBE, _DISCONNECT, _AUTH = PacketType.SUBSCRIBE, PacketType.DISCONNECT, PacketType.AUTH
_ACKS = (PacketType.PUBACK, PacketType.PUBREC, PacketType.PUBREL, PacketType.PUBCOMP)
_EXPLAINED = (_CONNACK, *_ACKS, PacketType.SUBACK, PacketType.UNSUBACK, _DISCONNECT, _AUTH)
_ALL = (_CONNECT, _PUBLISH, WILL, _SUBSCRIBE, PacketType.UNSUBSCRIBE, *_EXPLAINED)


def _rule(kind: _Kind, *places: PacketType | None, not_zero: bool = False) -> _Rule:
    return _Rule(kind, frozenset(places), not_zero)


_RULES = {
    PropertyId.PAYLOAD_FORMAT_INDICATOR: _rule(_Kind.FLAG, _PUBLISH, WILL),
    PropertyId.MESSAGE_EXPIRY_INTERVAL: _rule(_Kind.FOUR, _PUBLISH, WILL),
    PropertyId.CONTENT_TYPE: _rule(_Kind.STRING, _PUBLISH, WILL),
    PropertyId.RESPONSE_TOPIC: _rule(_Kind.STRING, _PUBLISH, WILL),
    PropertyId.CORRELATION_DATA: _rule(_Kind.BINARY, _PUBLISH, WILL),
    PropertyId.SUBSCRIPTION_IDENTIFIER: _rule(_Kind.VARIABLE, _PUBLISH, _SUBSCRIBE, not_zero=True),
    PropertyId.SESSION_EXPIRY_INTERVAL: _rule(_Kind.FOUR, _CONNECT, _CONNACK, _DISCONNECT),
    PropertyId.ASSIGNED_CLIENT_IDENTIFIER: _rule(_Kind.STRING, _CONNACK),
    PropertyId.SERVER_KEEP_ALIVE: _rule(_Kind.TWO, _CONNACK),
    PropertyId.AUTHENTICATION_METHOD: _rule(_Kind.STRING, _CONNECT, _CONNACK, _AUTH),
    PropertyId.AUTHENTICATION_DATA: _rule(_Kind.BINARY, _CONNECT, _CONNACK, _AUTH),
    PropertyId.REQUEST_PROBLEM_INFORMATION: _rule(_Kind.FLAG, _CONNECT),
    PropertyId.WILL_DELAY_INTERVAL: _rule(_Kind.FOUR, WILL),
    PropertyId.REQUEST_RESPONSE_INFORMATION: _rule(_Kind.FLAG, _CONNECT),
    PropertyId.RESPONSE_INFORMATION: _rule(_Kind.STRING, _CONNACK),
    PropertyId.SERVER_REFERENCE: _rule(_Kind.STRING, _CONNACK, _DISCONNECT),
    PropertyId.REASON_STRING: _rule(_Kind.STRING, *_EXPLAINED),
    PropertyId.RECEIVE_MAXIMUM: _rule(_Kind.TWO, _CONNECT, _CONNACK, not_zero=True),
    PropertyId.TOPIC_ALIAS_MAXIMUM: _rule(_Kind.TWO, _CONNECT, _CONNACK),
    PropertyId.TOPIC_ALIAS: _rule(_Kind.TWO, _PUBLISH, not_zero=True),
    PropertyId.MAXIMUM_QOS: _rule(_Kind.FLAG, _CONNACK),
    PropertyId.RETAIN_AVAILABLE: _rule(_Kind.FLAG, _CONNACK),
    PropertyId.USER_PROPERTY: _rule(_Kind.PAIR, *_ALL),
    PropertyId.MAXIMUM_PACKET_SIZE: _rule(_Kind.FOUR, _CONNECT, _CONNACK, not_zero=True),
    PropertyId.WILDCARD_SUBSCRIPTION_AVAILABLE: _rule(_Kind.FLAG, _CONNACK),
    PropertyId.SUBSCRIPTION_IDENTIFIER_AVAILABLE: _rule(_Kind.FLAG, _CONNACK),
    PropertyId.SHARED_SUBSCRIPTION_AVAILABLE: _rule(_Kind.FLAG, _CONNACK),
}


def read_properties(reader: FieldReader, place: PacketType | None) -> tuple[Property, ...]:
    """Read the property length and the properties of a packet (or of the will).

    An unknown identifier makes the rest of the packet unreadable (UnreadableField), for nobody can tell
    where its value ends.
    """
    size = reader.variable_integer("property length")
    inner = FieldReader(reader.take(size, "properties"), reader.level, reader.problems)
    properties: list[Property] = []
    while inner.left:
        properties.append(_read_property(inner, place))
    _note_repeated(inner, properties, place)
    ids = {property.id for property in properties}
    if PropertyId.AUTHENTICATION_DATA in ids and PropertyId.AUTHENTICATION_METHOD not in ids:
        inner.problem("3.1.2.11.10", "authentication data without an authentication method")
    return tuple(properties)


def _read_property(reader: FieldReader, place: PacketType | None) -> Property:
    number = reader.variable_integer("property identifier")
    try:
        id = PropertyId(number)
    except ValueError:
        reader.problem("2.2.2.2", f"unknown property identifier 0x{number:02x}")
        raise UnreadableField("property") from None
    rule, name = _RULES[id], id.name.lower().replace("_", " ")
    if place not in rule.places:
        where = "a will" if place is WILL else f"a {place.name}"
        reader.problem("2.2.2.2", f"{name} is no property of {where}")
    value = _read_value(reader, rule.kind, name)
    if rule.not_zero and value == 0:
        reader.problem("2.2.2.2", f"{name} is 0")
    if rule.kind is _Kind.FLAG and value not in (0, 1):
        reader.problem("2.2.2.2", f"{name} is {value!r}, neither 0 nor 1")
    if id is PropertyId.RESPONSE_TOPIC and isinstance(value, str) and topic_problems(value, reader.level):
        reader.problem("MQTT-3.3.2-14", f"response topic {value!r} is no topic name")
    return Property(id, value)


def _read_value(reader: FieldReader, kind: _Kind, name: str) -> PropertyValue:
    match kind:
        case _Kind.FLAG:
            return reader.integer(1, name)
        case _Kind.TWO:
            return reader.integer(2, name)
        case _Kind.FOUR:
            return reader.integer(4, name)
        case _Kind.VARIABLE:
            return reader.variable_integer(name)
        case _Kind.STRING:
            return reader.string(name)
        case _Kind.BINARY:
            return reader.binary(name)
        case _Kind.PAIR:
            return reader.string(f"name of {name}"), reader.string(f"value of {name}")


def _note_repeated(reader: FieldReader, properties: list[Property], place: PacketType | None) -> None:
    may_repeat = {PropertyId.USER_PROPERTY}
    if place is PacketType.PUBLISH:
        may_repeat.add(PropertyId.SUBSCRIPTION_IDENTIFIER)
    ids = [property.id for property in properties]
    for id in sorted(set(ids) - may_repeat):
        if ids.count(id) > 1:
            name = id.name.lower().replace("_", " ")
            reader.problem("2.2.2.2", f"{name} comes {ids.count(id)} times")
