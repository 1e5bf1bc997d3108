"""The topics of a profile: what is told there, and how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.checks.bench import Bench
from harness.checks.case import Case, Decoded
from harness.checks.payloads import Undecoded, decode_mqtt
from harness.model.base import Value
from harness.model.bindings.mqtt import MqttBinding
from harness.model.profile import Profile
from harness.trace.events import Connection, ConnectionChange, MqttPacket, Point
from harness.wire import mqtt

# Our late subscribers end what they ask for with a message of their own below this topic.
FENCE = "harness/fence/"


@dataclass(frozen=True, slots=True)
class Reading:
    """A topic that the device publishes to: a state, an event, or its availability."""

    topic: str
    qos: int
    retain: bool
    is_event: bool = False
    member: str | None = None
    values: Mapping[str, Value] | None = None

    def understands(self, payload: bytes) -> bool:
        """Whether the payload can be read as the profile says."""
        value = decode_mqtt(payload, self.member, self.values)
        return not isinstance(value, Undecoded) or value.absent


def binding_of(profile: Profile) -> MqttBinding:
    """The MQTT binding of a profile that has one, as the ICS items of its checks say."""
    assert profile.bindings.mqtt is not None, "planned without MQTT"
    return profile.bindings.mqtt


def readings(profile: Profile) -> Iterator[Reading]:
    """Every topic that the device publishes to; one that several properties share comes once for each."""
    binding = binding_of(profile)
    there = binding.availability
    if there is not None:
        texts: dict[str, Value] = {there.online: True, there.offline: False}
        yield Reading(there.topic, there.qos, there.retain, values=texts)
    for name, bound in binding.properties.items():
        if not profile.properties[name].write_only:
            yield Reading(bound.state, bound.qos, bound.retain, False, bound.member, bound.values)
    for event in binding.events.values():
        yield Reading(event.topic, event.qos, event.retain, True, event.member, event.values)


def commands(profile: Profile) -> dict[str, int]:
    """Every topic that the device has to be subscribed to, with the QoS that the profile declares."""
    binding = binding_of(profile)
    wanted: dict[str, int] = {}
    for bound in binding.properties.values():
        if bound.command is not None:
            wanted[bound.command] = max(wanted.get(bound.command, 0), bound.command_qos)
    for action in binding.actions.values():
        wanted[action.command] = max(wanted.get(action.command, 0), action.command_qos)
    return wanted


async def subscribe_late(bench: Bench) -> None:
    """Let a new client subscribe to all that the device publishes, to see what the broker keeps of it."""
    binding = binding_of(bench.profile)
    await bench.mqtt.late_subscriber(f"{binding.base}/#")
    there = binding.availability
    if there is not None and not there.topic.startswith(f"{binding.base}/"):
        await bench.mqtt.late_subscriber(there.topic)


def retained(case: Case) -> dict[str, Decoded[mqtt.Publish, MqttPacket]]:
    """What the broker had kept, by topic, as the clients of the window saw it that subscribed late."""
    late = {seen.value.connection for seen in late_subscribers(case)}
    return {
        seen.value.topic: seen
        for seen in case.mqtt(mqtt.Publish, point=Point.CLIENT)
        if seen.body.connection in late and seen.value.retain
    }


def late_subscribers(case: Case) -> list[Decoded[Connection, Connection]]:
    """The clients of the window that subscribed late, and got all that the broker had kept."""
    complete = {
        seen.body.connection
        for seen in case.mqtt(mqtt.Publish, point=Point.CLIENT)
        if seen.value.topic.startswith(FENCE)
    }
    return [
        seen
        for seen in case.connections(Point.CLIENT)
        if seen.value.change is ConnectionChange.OPENED and seen.value.connection in complete
    ]
