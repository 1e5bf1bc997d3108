"""Faults in the packets that the device sends: flags, strings, identifiers, topics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.simulate.faults import fault
from harness.simulate.faults.mqtt._rewriting import (
    binding,
    body_of,
    front,
    only,
    publishes,
    qos_of,
    speaks_mqtt,
    takes_commands,
    topic_of,
    with_body,
)
from harness.wire.mqtt.codec import PacketType
from harness.wire.mqtt.fields import string

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice
    from harness.simulate.mqtt.client import SimulatedMqttClient

DUP = 0b1000  # flag of PUBLISH
keeps_session = binding(lambda mqtt: not mqtt.clean_session)


@fault(
    name="subscribe-flags-zero",
    title="sends SUBSCRIBE with the flags 0000",
    breaks=("MQTT-DEV-004",),
    seen_as="F-MQTT-39",
    applies=binding(takes_commands),
)
def subscribe_flags_zero(device: SimulatedDevice) -> None:
    """The table of fixed headers was read for PUBLISH only."""
    front(device).outgoing.append(
        only(PacketType.SUBSCRIBE, lambda packet: with_body(packet, body_of(packet), flags=0))
    )


@fault(
    name="topic-in-latin-1",
    title="publishes to a topic with an umlaut that is not UTF-8",
    breaks=("MQTT-DEV-011",),
    seen_as="F-MQTT-29",
    applies=speaks_mqtt,
)
def topic_in_latin_1(device: SimulatedDevice) -> None:
    """The user-defined name is copied byte by byte."""
    _rename(front(device), "K\u00fcche".encode("latin-1"))


def _rename(mqtt: SimulatedMqttClient, name: bytes) -> None:
    """Puts a name of the user's between base and rest in every topic that is published."""

    def named(packet: bytes) -> list[bytes]:
        body, topic = body_of(packet), topic_of(packet)
        base, _, rest = topic.partition(b"/")
        renamed = base + b"/" + name + b"/" + rest
        return with_body(packet, len(renamed).to_bytes(2, "big") + renamed + body[2 + len(topic) :])

    mqtt.outgoing.append(only(PacketType.PUBLISH, named))


@fault(
    name="wildcard-inside-level",
    title="subscribes with a wildcard glued to a name",
    breaks=("MQTT-DEV-035",),
    seen_as="F-MQTT-35",
    applies=binding(takes_commands),
)
def wildcard_inside_level(device: SimulatedDevice) -> None:
    """The slash before the wildcard is missing."""
    binding = device.profile.bindings.mqtt
    assert binding is not None
    glued = string(f"{binding.base}#") + b"\1"
    front(device).outgoing.append(
        only(PacketType.SUBSCRIBE, lambda packet: with_body(packet, body_of(packet)[:2] + glued))
    )


@fault(
    name="dup-on-first",
    title="sets DUP on the first transmission",
    breaks=("MQTT-DEV-042",),
    seen_as="F-MQTT-21",
    applies=publishes(1, 2),
)
def dup_on_first(device: SimulatedDevice) -> None:
    """The flag is set with every QoS that could need it."""
    front(device).outgoing.append(
        only(
            PacketType.PUBLISH,
            lambda packet: [bytes([packet[0] | DUP]) + packet[1:] if qos_of(packet) else packet],
        )
    )


@fault(
    name="wildcard-in-topic",
    title="publishes to a topic with # and + in it",
    breaks=("MQTT-DEV-043",),
    seen_as="F-MQTT-29",
    applies=speaks_mqtt,
)
def wildcard_in_topic(device: SimulatedDevice) -> None:
    """The user-defined name is not escaped."""
    _rename(front(device), b"Lamp #1+")


@fault(
    name="empty-topic",
    title="publishes to an empty topic",
    breaks=("MQTT-DEV-043",),
    seen_as="F-MQTT-17",
    applies=speaks_mqtt,
)
def empty_topic(device: SimulatedDevice) -> None:
    """The buffer for the topic could not be allocated."""

    def emptied(packet: bytes) -> list[bytes]:
        return with_body(packet, b"\0\0" + body_of(packet)[2 + len(topic_of(packet)) :])

    front(device).outgoing.append(only(PacketType.PUBLISH, emptied))


@fault(
    name="identifier-with-qos-0",
    title="writes a packet identifier with QoS 0 as well",
    breaks=("MQTT-DEV-041", "DEV-10"),
    applies=publishes(0),
)
def identifier_with_qos_0(device: SimulatedDevice) -> None:
    """The payload of others begins two bytes too early."""

    def identified(packet: bytes) -> list[bytes]:
        body, end = body_of(packet), 2 + len(topic_of(packet))
        return with_body(packet, body[:end] + b"\0\7" + body[end:]) if qos_of(packet) == 0 else [packet]

    front(device).outgoing.append(only(PacketType.PUBLISH, identified))


@fault(
    name="one-packet-identifier",
    title="gives every message the same packet identifier",
    breaks=("MQTT-DEV-040",),
    applies=publishes(1),
)
def one_packet_identifier(device: SimulatedDevice) -> None:
    """A constant in the code; the acknowledgements are taken in the order in which they come."""
    under_way: list[bytes] = []
    only_one = b"\0\1"

    def send(packet: bytes) -> list[bytes]:
        body, end = body_of(packet), 2 + len(topic_of(packet))
        if qos_of(packet) != 1:
            return [packet]
        under_way.append(body[end : end + 2])
        return with_body(packet, body[:end] + only_one + body[end + 2 :])

    def take(packet: bytes) -> list[bytes]:
        return with_body(packet, under_way.pop(0)) if under_way else [packet]

    mqtt = front(device)
    mqtt.outgoing.append(only(PacketType.PUBLISH, send))
    mqtt.incoming.append(only(PacketType.PUBACK, take))


@fault(
    name="redelivery-without-dup",
    title="resends unacknowledged messages as if they were new",
    breaks=("MQTT-DEV-036",),
    seen_as="F-MQTT-20",
    applies=lambda profile: keeps_session(profile) and publishes(1, 2)(profile),
)
def redelivery_without_dup(device: SimulatedDevice) -> None:
    """Receivers cannot distinguish a repetition from a second event."""
    front(device).outgoing.append(
        only(PacketType.PUBLISH, lambda packet: [bytes([packet[0] & ~DUP]) + packet[1:]])
    )


@fault(
    name="outbox-lost",
    title="drops unacknowledged messages when the connection is lost",
    breaks=("MQTT-DEV-036",),
    seen_as="F-MQTT-37",
    applies=lambda profile: keeps_session(profile) and publishes(1, 2)(profile),
)
def outbox_lost(device: SimulatedDevice) -> None:
    """The queue of outgoing messages is emptied with the connection."""
    front(device).outgoing.append(
        only(PacketType.PUBLISH, lambda packet: [] if packet[0] & DUP else [packet])
    )
