"""Building blocks of MQTT faults: packet filters and conditions on profiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from harness.model.bindings.mqtt import MqttBinding
from harness.model.profile import Profile
from harness.simulate.mqtt.deviations import PacketFilter
from harness.wire.mqtt.codec import (
    PacketType,
    encode_packet,
)

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice
    from harness.simulate.mqtt.client import SimulatedMqttClient


def speaks_mqtt(profile: Profile) -> bool:
    """A device with an MQTT side."""
    return profile.bindings.mqtt is not None


def binding(condition: Callable[[MqttBinding], object]) -> Callable[[Profile], bool]:
    """A device with an MQTT side of this kind."""
    return lambda profile: profile.bindings.mqtt is not None and bool(condition(profile.bindings.mqtt))


def takes_commands(mqtt: MqttBinding) -> bool:
    """It subscribes to something."""
    return bool(mqtt.actions) or any(bound.command for bound in mqtt.properties.values())


def takes_plain_commands(mqtt: MqttBinding) -> bool:
    """It subscribes to something, and every command is a value by itself, not a member of an object."""
    commanded = [bound for bound in mqtt.properties.values() if bound.command]
    return bool(commanded) and not any(bound.command_member for bound in commanded)


def publishes(*qualities: int) -> Callable[[Profile], bool]:
    """A device that publishes something with one of these QoS."""

    def told(mqtt: MqttBinding) -> bool:
        states = {bound.qos for bound in mqtt.properties.values()}
        return not states.union(bound.qos for bound in mqtt.events.values()).isdisjoint(qualities)

    return binding(told)


def front(device: SimulatedDevice) -> SimulatedMqttClient:
    """The MQTT side of a device that has one."""
    assert device.mqtt is not None, "the fault does not apply to this device"
    return device.mqtt


def body_of(packet: bytes) -> bytes:
    """What follows the fixed header."""
    at = 1
    while packet[at] & 0x80:
        at += 1
    return packet[at + 1 :]


def only(kind: PacketType, change: Callable[[bytes], Sequence[bytes]]) -> PacketFilter:
    """A filter that changes packets of one type and passes all others on."""
    return lambda packet: change(packet) if packet[0] >> 4 == kind else [packet]


def with_body(packet: bytes, body: bytes, *, flags: int | None = None) -> list[bytes]:
    """The packet with another body, and other flags where they are given."""
    return [encode_packet(PacketType(packet[0] >> 4), packet[0] & 0x0F if flags is None else flags, body)]


def qos_of(publish: bytes) -> int:
    """The QoS of a PUBLISH."""
    return publish[0] >> 1 & 3


def topic_of(publish: bytes) -> bytes:
    """The topic name of a PUBLISH."""
    body = body_of(publish)
    return body[2 : 2 + int.from_bytes(body[:2], "big")]
