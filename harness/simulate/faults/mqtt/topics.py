"""Faults in what the device publishes and subscribes to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.simulate.faults import fault
from harness.simulate.faults.mqtt._rewriting import (
    binding,
    body_of,
    front,
    only,
    publishes,
    speaks_mqtt,
    takes_commands,
    topic_of,
    with_body,
)
from harness.wire.mqtt.codec import (
    PacketType,
    encode_publish,
)

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice


@fault(
    name="subscribes-to-everything",
    title="subscribes to every topic of the broker",
    breaks=("PROFILE-07",),
    seen_as="F-MQTT-35",
    applies=binding(takes_commands),
)
def subscribes_to_everything(device: SimulatedDevice) -> None:
    """It reads every message in the house, and wakes up for each."""
    front(device).deviate(filters=("#",))


@fault(
    name="shared-log-topic",
    title="publishes a log to a topic that all devices share",
    breaks=("PROFILE-07",),
    applies=speaks_mqtt,
)
def shared_log_topic(device: SimulatedDevice) -> None:
    """A line of log follows the first message on each of its topics."""
    told: set[bytes] = set()

    def logged(packet: bytes) -> list[bytes]:
        topic = topic_of(packet)
        if topic in told:
            return [packet]
        told.add(topic)
        return [packet, encode_publish("debug/log", b"published " + topic)]

    front(device).outgoing.append(only(PacketType.PUBLISH, logged))


@fault(
    name="publishes-with-qos-0",
    title="publishes everything with QoS 0",
    breaks=("MQTT-DEV-050",),
    seen_as="F-MQTT-19",
    applies=publishes(1, 2),
)
def publishes_with_qos_0(device: SimulatedDevice) -> None:
    """The client library supports nothing else."""
    front(device).deviate(qos=0)


@fault(
    name="subscribes-with-qos-0",
    title="subscribes to its commands with QoS 0",
    breaks=("MQTT-DEV-050",),
    seen_as="F-MQTT-19",
    applies=binding(
        lambda mqtt: any(bound.command_qos and bound.command for bound in mqtt.properties.values())
    ),
)
def subscribes_with_qos_0(device: SimulatedDevice) -> None:
    """The QoS of the settings is used for publishing alone."""

    def lowered(packet: bytes) -> list[bytes]:
        body = bytearray(body_of(packet))
        at = 2
        while at < len(body):
            at += 2 + int.from_bytes(body[at : at + 2], "big")
            body[at] = 0
            at += 1
        return with_body(packet, bytes(body))

    front(device).outgoing.append(only(PacketType.SUBSCRIBE, lowered))
