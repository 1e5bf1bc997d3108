"""Faults in handling incoming messages: acknowledgements, duplicates, malformed packets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from harness.model.affordance import Property
from harness.model.base import Value
from harness.model.bindings.mqtt import MqttBinding
from harness.model.profile import InvalidValuePolicy, Profile
from harness.simulate.faults import fault
from harness.simulate.faults.mqtt._rewriting import (
    binding,
    body_of,
    front,
    only,
    qos_of,
    speaks_mqtt,
    takes_commands,
    takes_plain_commands,
    topic_of,
    with_body,
)
from harness.simulate.firmware.payloads import (
    encode_mqtt,
    encode_mqtt_members,
)
from harness.simulate.firmware.values import nearest_legal
from harness.wire.mqtt.codec import (
    PacketType,
    encode_ack,
    encode_publish,
)
from harness.wire.mqtt.fields import string

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice

BUFFER = 128  # bytes of a packet
QUEUE = 4  # packets that wait to be sent
QUEUE_DRAINS = 0.05  # seconds until they are


def _receives(*qualities: int) -> Callable[[MqttBinding], bool]:
    """It subscribes with one of these QoS."""

    def received(mqtt: MqttBinding) -> bool:
        used = {bound.command_qos for bound in mqtt.properties.values() if bound.command}
        return not used.union(bound.command_qos for bound in mqtt.actions.values()).isdisjoint(qualities)

    return received


@fault(
    name="acknowledges-nothing",
    title="carries out QoS 1 commands without acknowledging them",
    breaks=("MQTT-DEV-044", "MQTT-DEV-047", "PROFILE-03"),
    applies=binding(_receives(1, 2)),
)
def acknowledges_nothing(device: SimulatedDevice) -> None:
    """Acknowledging was left to the application, and the application does not know."""
    front(device).deviate(acknowledges=False)


@fault(
    name="acknowledges-qos-0",
    title="sends a PUBACK for messages of QoS 0, too",
    breaks=("MQTT-DEV-044",),
    applies=binding(_receives(1, 2)),
)
def acknowledges_qos_0(device: SimulatedDevice) -> None:
    """It takes the first bytes of the payload for a packet identifier."""
    owed: list[bytes] = []

    def note(packet: bytes) -> list[bytes]:
        if qos_of(packet) == 0:
            identifier = body_of(packet)[2 + len(topic_of(packet)) :][:2].rjust(2, b"0")
            owed.append(encode_ack(PacketType.PUBACK, int.from_bytes(identifier, "big")))
        return [packet]

    def answer(packet: bytes) -> list[bytes]:
        answers, owed[:] = list(owed), []
        return [*answers, packet]

    front(device).incoming.append(only(PacketType.PUBLISH, note))
    front(device).outgoing.append(answer)


@fault(
    name="unreadable-not-acknowledged",
    title="does not acknowledge unreadable messages",
    breaks=("MQTT-DEV-047",),
    applies=binding(_receives(1, 2)),
)
def unreadable_not_acknowledged(device: SimulatedDevice) -> None:
    """The parser leaves by its error path, past the acknowledgement."""
    unread: set[bytes] = set()

    def note(packet: bytes) -> list[bytes]:
        body, end = body_of(packet), 2 + len(topic_of(packet))
        if qos_of(packet) and body[end + 2 :].startswith(b"{") and not body.rstrip().endswith(b"}"):
            unread.add(body[end : end + 2])
        return [packet]

    def forget(packet: bytes) -> list[bytes]:
        return [] if body_of(packet) in unread else [packet]

    front(device).incoming.append(only(PacketType.PUBLISH, note))
    front(device).outgoing.append(only(PacketType.PUBACK, forget))


@fault(
    name="pubrel-not-answered",
    title="does not complete the handshake of QoS 2",
    breaks=("MQTT-DEV-045",),
    applies=binding(_receives(2)),
)
def pubrel_not_answered(device: SimulatedDevice) -> None:
    """The last of the four packets was forgotten."""
    front(device).outgoing.append(only(PacketType.PUBCOMP, lambda packet: []))


@fault(
    name="qos-2-executed-at-publish",
    title="executes a QoS 2 message each time it is delivered",
    breaks=("MQTT-DEV-046",),
    seen_as="F-MQTT-23",
    applies=binding(_receives(2)),
)
def qos_2_executed_at_publish(device: SimulatedDevice) -> None:
    """The command is taken out of PUBLISH at once; at PUBREL there is nothing left to do."""

    def at_once(packet: bytes) -> list[bytes]:
        if qos_of(packet) != 2:
            return [packet]
        body, end = body_of(packet), 2 + len(topic_of(packet))
        executed = encode_publish(topic_of(packet), body[end + 2 :])
        nothing = string("nothing") + body[end : end + 2]
        return [executed, *with_body(packet, nothing)]

    front(device).incoming.append(only(PacketType.PUBLISH, at_once))


@fault(
    name="acknowledgements-overflow",
    title="loses acknowledgements when many messages come at once",
    breaks=("PROFILE-03",),
    applies=binding(_receives(1, 2)),
)
def acknowledgements_overflow(device: SimulatedDevice) -> None:
    """Its queue for outgoing packets has four places."""
    sent_at: list[float] = []

    def overflow(packet: bytes) -> list[bytes]:
        now = asyncio.get_running_loop().time()
        sent_at[:] = [time for time in sent_at if now - time < QUEUE_DRAINS]
        if len(sent_at) >= QUEUE:
            return []
        sent_at.append(now)
        return [packet]

    front(device).outgoing.append(only(PacketType.PUBACK, overflow))


@fault(
    name="executes-duplicates",
    title="carries out a redelivered command again",
    breaks=("PROFILE-04",),
    applies=binding(_receives(1, 2)),
)
def executes_duplicates(device: SimulatedDevice) -> None:
    """The flag DUP and the packet identifier are not looked at."""
    front(device).deviate(executes_duplicates=True)


@fault(
    name="lenient-decoder",
    title="accepts malformed packets",
    breaks=("MQTT-DEV-012", "MQTT-DEV-013", "MQTT-DEV-014"),
    seen_as="F-MQTT-41",
    applies=speaks_mqtt,
)
def lenient_decoder(device: SimulatedDevice) -> None:
    """Flags that it does not know are ignored, QoS 3 is some QoS, and a topic ends at its first NUL."""

    def mended(packet: bytes) -> list[bytes]:
        if packet[0] >> 4 != PacketType.PUBLISH:
            prescribed = 0b0010 if packet[0] >> 4 == PacketType.PUBREL else 0
            return with_body(packet, body_of(packet), flags=prescribed)
        body, topic = body_of(packet), topic_of(packet)
        readable = topic.split(b"\0")[0].decode("utf-8", "ignore")
        quality = min(qos_of(packet), 1) << 1
        flags = packet[0] & 0b1001 | (quality if qos_of(packet) == 3 else packet[0] & 0b0110)
        return with_body(packet, string(readable) + body[2 + len(topic) :], flags=flags)

    front(device).incoming.append(mended)


@fault(
    name="one-packet-per-segment",
    title="reads only one packet from each TCP segment",
    breaks=("MQTT-DEV-015",),
    seen_as="F-MQTT-18",
    applies=binding(takes_commands),
)
def one_packet_per_segment(device: SimulatedDevice) -> None:
    """What stands behind the first one in the same read is thrown away."""
    reading: list[bytes] = []

    def first_alone(packet: bytes) -> list[bytes]:
        if reading:
            return []
        reading.append(packet)
        asyncio.get_running_loop().call_soon(reading.clear)
        return [packet]

    front(device).incoming.append(first_alone)


@fault(
    name="small-buffer",
    title="drops every packet that is longer than its buffer of 128 bytes",
    breaks=("MQTT-DEV-016",),
    seen_as="F-MQTT-15",
    applies=binding(lambda mqtt: takes_commands(mqtt) and mqtt.maximum_payload >= BUFFER),
)
def small_buffer(device: SimulatedDevice) -> None:
    """The client library's default was never changed; there is no error."""
    front(device).incoming.append(lambda packet: [packet] if len(packet) <= BUFFER else [])


@fault(
    name="large-message-crashes",
    title="crashes on a message larger than its buffer",
    breaks=("MQTT-DEV-017",),
    seen_as="F-MQTT-16",
    applies=binding(takes_commands),
)
def large_message_crashes(device: SimulatedDevice) -> None:
    """After five seconds it is back; a retained message waits for it."""
    front(device).deviate(large_crash=5.0)


@fault(
    name="cuts-off-payload",
    title="carries out a truncated payload that is longer than its buffer",
    breaks=("PROFILE-08",),
    seen_as="F-MQTT-15",
    # A JSON object that is cut off is no JSON any more, and nothing comes of it.
    applies=binding(takes_plain_commands),
)
def cuts_off_payload(device: SimulatedDevice) -> None:
    """The rest is thrown away, and what is left is not known to be a part."""
    mqtt = device.profile.bindings.mqtt
    assert mqtt is not None
    limit = mqtt.maximum_payload

    def cut(packet: bytes) -> list[bytes]:
        body = body_of(packet)
        end = 2 + len(topic_of(packet)) + (2 if qos_of(packet) else 0)
        return with_body(packet, body[: end + limit])

    front(device).incoming.append(only(PacketType.PUBLISH, cut))


def _zero_of(schema: Property) -> Value:
    """What memory that was set to zero means for a property."""
    if schema.enum:
        return schema.enum[0]
    return {"boolean": False, "string": ""}.get(schema.type, 0)


def _has_a_legal_zero(profile: Profile) -> bool:
    """Whether there is a setting that zero, or what becomes of it, is legal for; others refuse it."""
    mqtt = profile.bindings.mqtt
    clamps = profile.behaviour.invalid_value is InvalidValuePolicy.CLAMP
    for name, bound in mqtt.properties.items() if mqtt else ():
        schema = profile.properties[name]
        zero = _zero_of(schema)
        if bound.command and schema.accepts(nearest_legal(schema, zero) if clamps else zero):
            return True
    return False


@fault(
    name="empty-payload-is-zero",
    title="reads an empty payload as the number 0",
    breaks=("PROFILE-08",),
    applies=_has_a_legal_zero,
)
def empty_payload_is_zero(device: SimulatedDevice) -> None:
    """atoi("") is 0, and memory that was set to zero means the first of a list."""
    mqtt = device.profile.bindings.mqtt
    assert mqtt is not None
    zeros: dict[bytes, bytes] = {}
    members: dict[bytes, dict[str, tuple[Value, Mapping[str, Value] | None]]] = {}
    for name, bound in mqtt.properties.items():
        schema = device.profile.properties[name]
        if bound.command is None:
            continue
        zero = _zero_of(schema)
        topic = bound.command.encode()
        if bound.command_member is None:
            zeros[topic] = encode_mqtt(zero, bound.words)
        else:
            members.setdefault(topic, {})[bound.command_member] = (zero, bound.words)
    zeros |= {topic: encode_mqtt_members(group) for topic, group in members.items()}

    def filled(packet: bytes) -> list[bytes]:
        body, topic = body_of(packet), topic_of(packet)
        is_empty = len(body) == 2 + len(topic) + (2 if qos_of(packet) else 0)
        return with_body(packet, body + zeros.get(topic, b"")) if is_empty else [packet]

    front(device).incoming.append(only(PacketType.PUBLISH, filled))
