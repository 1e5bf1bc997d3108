"""The topics of a profile: what is reported there, and how."""

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

# Late subscribers publish below this topic to mark the end of the retained messages.
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
    """The MQTT binding of a profile; the ICS items of the checks require one."""
    assert profile.bindings.mqtt is not None, "the check was planned for a profile without MQTT"
    return profile.bindings.mqtt


def readings(profile: Profile) -> Iterator[Reading]:
    """Every topic that the device publishes to; a shared topic is listed once per property."""
    binding = binding_of(profile)
    availability = binding.availability
    if availability is not None:
        texts: dict[str, Value] = {availability.online: True, availability.offline: False}
        yield Reading(availability.topic, availability.qos, availability.retain, values=texts)
    for name, bound in binding.properties.items():
        if not profile.properties[name].write_only:
            yield Reading(bound.state, bound.qos, bound.retain, False, bound.member, bound.words)
    for event in binding.events.values():
        yield Reading(event.topic, event.qos, event.retain, True, event.member, event.values)


def commands(profile: Profile) -> dict[str, int]:
    """Every topic that the device must subscribe to, with the declared QoS."""
    binding = binding_of(profile)
    wanted: dict[str, int] = {}
    for bound in binding.properties.values():
        if bound.command is not None:
            wanted[bound.command] = max(wanted.get(bound.command, 0), bound.command_qos)
    for action in binding.actions.values():
        wanted[action.command] = max(wanted.get(action.command, 0), action.command_qos)
    return wanted


async def subscribe_late(bench: Bench) -> None:
    """Let a new client subscribe to everything that the device publishes, to see what is retained."""
    binding = binding_of(bench.profile)
    await bench.mqtt.late_subscriber(f"{binding.base}/#")
    availability = binding.availability
    if availability is not None and not availability.topic.startswith(f"{binding.base}/"):
        await bench.mqtt.late_subscriber(availability.topic)


def retained(case: Case) -> dict[str, Decoded[mqtt.Publish, MqttPacket]]:
    """The retained messages by topic, as received by the late subscribers of the window."""
    late = {seen.value.connection for seen in late_subscribers(case)}
    return {
        seen.value.topic: seen
        for seen in case.mqtt(mqtt.Publish, point=Point.CLIENT)
        if seen.body.connection in late and seen.value.retain
    }


def late_subscribers(case: Case) -> list[Decoded[Connection, Connection]]:
    """The late subscribers of the window that received all retained messages."""
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
