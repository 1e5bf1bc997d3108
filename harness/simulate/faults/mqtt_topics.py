"""Faults in what the device publishes and subscribes to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.simulate.faults import fault
from harness.simulate.faults.rewriting import binding, front, only, speaks_mqtt, takes_commands, topic_of
from harness.trace.mqtt import PacketType, encode_publish

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
    """It reads what is none of its business, and wakes with every message in the house."""
    front(device).bend(filters=("#",))


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
