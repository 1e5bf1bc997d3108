"""Faults in availability and in retained messages."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from harness.model.bindings.mqtt import MqttBinding
from harness.model.profile import Profile, RetainedCommandPolicy
from harness.simulate.faults import fault
from harness.simulate.faults.mqtt._rewriting import (
    binding,
    body_of,
    front,
    only,
    takes_commands,
    topic_of,
    with_body,
)
from harness.wire.mqtt.codec import (
    PacketType,
    encode_publish,
)
from harness.wire.mqtt.fields import string

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice

RETAIN = 0x01  # in the first byte of PUBLISH


def _awake(mqtt: MqttBinding) -> bool:
    """It is connected all the time."""
    return mqtt.sleep is None


def _retains_states(mqtt: MqttBinding) -> bool:
    """The broker is to keep its states."""
    return any(bound.retain for bound in mqtt.properties.values())


def _tells_by_hand(profile: Profile) -> bool:
    """It tells over MQTT, without retaining it, that somebody operated it."""
    mqtt = profile.bindings.mqtt
    told = {effect.event for control in profile.controls.values() for effect in control.effects}
    return mqtt is not None and any(name in told and not bound.retain for name, bound in mqtt.events.items())


def _leaves_in_order(profile: Profile) -> bool:
    """It promises to say goodbye when it is stopped."""
    return binding(_awake)(profile) and "MQTT.GRACEFUL_STOP" in profile.ics


@fault(
    name="stop-untold",
    title="does not report itself offline on an orderly stop",
    breaks=("DEV-19",),
    applies=lambda profile: _leaves_in_order(profile) and binding(lambda mqtt: mqtt.availability)(profile),
)
def stop_untold(device: SimulatedDevice) -> None:
    """It relies on the will, which DISCONNECT discards."""
    front(device).deviate(says_offline=False)


@fault(
    name="talks-after-disconnect",
    title="publishes once more after its DISCONNECT",
    breaks=("MQTT-DEV-051",),
    applies=_leaves_in_order,
)
def talks_after_disconnect(device: SimulatedDevice) -> None:
    """The task that reports is stopped after the client."""
    mqtt = device.profile.bindings.mqtt
    assert mqtt is not None
    last = encode_publish(f"{mqtt.base}/uptime", b"86400")
    front(device).outgoing.append(only(PacketType.DISCONNECT, lambda packet: [packet, last]))


@fault(
    name="obeys-retained-commands",
    title="carries out retained commands",
    breaks=("DEV-20",),
    seen_as="F-MQTT-27",
    applies=lambda profile: (
        binding(takes_commands)(profile)
        and profile.behaviour.retained_command is RetainedCommandPolicy.IGNORE
    ),
)
def obeys_retained_commands(device: SimulatedDevice) -> None:
    """The retain flag is ignored: old commands switch the load after each network outage."""
    front(device).deviate(obeys_retained=True)


@fault(
    name="states-not-retained",
    title="publishes its states without the retain flag",
    breaks=("PROFILE-02", "DEV-16"),
    seen_as="F-MQTT-28",
    applies=binding(_retains_states),
)
def states_not_retained(device: SimulatedDevice) -> None:
    """Later subscribers know nothing until something changes."""
    front(device).deviate(state_retain=False)


@fault(
    name="changes-not-retained",
    title="publishes with the retain flag only when it connects",
    breaks=("PROFILE-02",),
    seen_as="F-MQTT-28",
    applies=binding(lambda mqtt: takes_commands(mqtt) and _retains_states(mqtt)),
)
def changes_not_retained(device: SimulatedDevice) -> None:
    """Two calls of the same function, one with the flag, one without: new subscribers see an old state."""
    told: set[bytes] = set()

    def begin(connect: bytes) -> list[bytes]:
        told.clear()
        return [connect]

    def once(publish: bytes) -> list[bytes]:
        topic = topic_of(publish)
        if topic in told:
            return [bytes([publish[0] & ~RETAIN]) + publish[1:]]
        told.add(topic)
        return [publish]

    front(device).outgoing += [only(PacketType.CONNECT, begin), only(PacketType.PUBLISH, once)]


@fault(
    name="events-retained",
    title="retains events as well",
    breaks=("PROFILE-02", "DEV-26"),
    seen_as="F-HOMIE-06",
    applies=_tells_by_hand,
)
def events_retained(device: SimulatedDevice) -> None:
    """One publish function for everything: every new subscriber gets yesterday's key press."""
    front(device).deviate(event_retain=True)


@fault(
    name="client-id-changes",
    title="uses a new client identifier on each connection",
    breaks=("DEV-18", "PROFILE-01"),
    applies=binding(lambda mqtt: mqtt.availability and mqtt.client_id),
)
def client_id_changes(device: SimulatedDevice) -> None:
    """A suffix against clashes: the broker cannot know that the old connection is over."""
    suffix = count(1)

    def renamed(connect: bytes) -> list[bytes]:
        body = body_of(connect)
        at = 2 + int.from_bytes(body[:2], "big") + 4  # behind protocol name, level, flags and keep-alive
        end = at + 2 + int.from_bytes(body[at : at + 2], "big")
        name = body[at + 2 : end].decode() + f"-{next(suffix)}"
        return with_body(connect, body[:at] + string(name) + body[end:])

    front(device).outgoing.append(only(PacketType.CONNECT, renamed))
