"""The MQTT control packets as immutable data (3.1.1 and 5.0, chapter 3)."""

from __future__ import annotations

from dataclasses import dataclass

from harness.wire.mqtt.fields import PacketType
from harness.wire.mqtt.properties import (
    Property,
    PropertyId,
    PropertyValue,
)
from harness.wire.problem import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """What all control packets have in common.

    ``flags`` is the low nibble of the first byte; ``problems`` are the violations of the encoding rules;
    ``raw`` the packet as it came. ``properties`` stays empty below protocol level 5.
    """

    type: PacketType
    flags: int
    raw: bytes
    problems: tuple[Problem, ...] = ()
    properties: tuple[Property, ...] = ()

    def property(self, id: PropertyId) -> PropertyValue | None:
        """The value of the first property with this identifier, or None."""
        return next((found.value for found in self.properties if found.id is id), None)


@dataclass(frozen=True, slots=True)
class Will:
    """The message that the broker publishes when it loses the client. Level 5 adds ``properties``."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: tuple[Property, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect(Packet):
    """CONNECT. ``clean_session`` is Clean Start in 5.0; ``keep_alive`` is in seconds, 0 turns it off."""

    protocol_name: str
    level: int
    connect_flags: int
    clean_session: bool
    keep_alive: int
    client_id: str
    will: Will | None
    username: str | None
    password: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connack(Packet):
    """CONNACK. ``code`` is the return code (3.1.1) or reason code (5.0); 0 is accepted."""

    code: int
    session_present: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish(Packet):
    """PUBLISH. ``packet_id`` is None for QoS 0."""

    topic: str
    payload: bytes
    qos: int
    dup: bool
    retain: bool
    packet_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack(Packet):
    """PUBACK, PUBREC, PUBREL or PUBCOMP: ``type`` says which. ``code`` is 0 below level 5."""

    packet_id: int
    code: int = 0


@dataclass(frozen=True, slots=True)
class TopicFilter:
    """One subscription that a SUBSCRIBE asks for; all but filter and QoS are of 5.0."""

    filter: str
    qos: int
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribe(Packet):
    """SUBSCRIBE."""

    packet_id: int
    filters: tuple[TopicFilter, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suback(Packet):
    """SUBACK: one code for each filter, the QoS granted or a failure (0x80 and above)."""

    packet_id: int
    codes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsubscribe(Packet):
    """UNSUBSCRIBE."""

    packet_id: int
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsuback(Packet):
    """UNSUBACK: one code for each filter in 5.0, none in 3.1.1."""

    packet_id: int
    codes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pingreq(Packet):
    """PINGREQ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pingresp(Packet):
    """PINGRESP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnect(Packet):
    """DISCONNECT. ``code`` is 0 below level 5."""

    code: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth(Packet):
    """AUTH, of 5.0 only."""

    code: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecodable(Packet):
    """Bytes that cannot be read to the end as a control packet; ``problems`` tells why, never empty.

    ``type`` and ``flags`` are what the first byte claims.
    """
