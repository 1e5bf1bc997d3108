"""Faults in how the device opens its MQTT connections: what its CONNECT says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.simulate.faults import fault
from harness.simulate.faults.mqtt._rewriting import (
    binding,
    body_of,
    front,
    only,
    speaks_mqtt,
    with_body,
)
from harness.wire.mqtt.codec import (
    PacketType,
    encode_publish,
)

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice

LONG_KEEP_ALIVE = 65535  # seconds

WILL_RETAIN, USER_NAME, CLEAN_SESSION = 0x20, 0x80, 0x02  # connect flags (MQTT 3.1.1, 3.1.2.3)


@fault(
    name="old-protocol-name",
    title="connects with the protocol before MQTT 3.1.1",
    breaks=("MQTT-DEV-003",),
    seen_as="F-MQTT-42",
    applies=speaks_mqtt,
)
def old_protocol_name(device: SimulatedDevice) -> None:
    """A client library of 2010: MQIsdp, level 3."""

    def age(packet: bytes) -> list[bytes]:
        body = body_of(packet)
        rest = body[2 + int.from_bytes(body[:2], "big") + 1 :]
        return with_body(packet, b"\0\6MQIsdp\3" + rest)

    front(device).outgoing.append(only(PacketType.CONNECT, age))


@fault(
    name="speaks-before-connect",
    title="publishes before CONNECT",
    breaks=("MQTT-DEV-001",),
    seen_as="F-MQTT-38",
    applies=speaks_mqtt,
)
def speaks_before_connect(device: SimulatedDevice) -> None:
    """A reporting task does not check whether the client has sent its CONNECT."""
    binding = device.profile.bindings.mqtt
    assert binding is not None
    early = encode_publish(f"{binding.base}/hello", b"1")
    front(device).outgoing.append(only(PacketType.CONNECT, lambda packet: [early, packet]))


@fault(
    name="will-flags-left-over",
    title="sets last-will flags without a will",
    breaks=("MQTT-DEV-005", "DEV-17"),
    seen_as="F-MQTT-39",
    applies=binding(lambda mqtt: mqtt.availability),
)
def will_flags_left_over(device: SimulatedDevice) -> None:
    """The will was switched off in the settings; its retain flag stayed on."""
    mqtt = front(device)
    mqtt.deviate(will=False)
    mqtt.outgoing.append(only(PacketType.CONNECT, lambda packet: _with_flags(packet, WILL_RETAIN, 0)))


@fault(
    name="login-flag-without-name",
    title="sends a user name whose flag is not set",
    breaks=("MQTT-DEV-006",),
    seen_as="F-MQTT-39",
    applies=binding(lambda mqtt: mqtt.login),
)
def login_flag_without_name(device: SimulatedDevice) -> None:
    """The flags byte counts the password only."""
    front(device).outgoing.append(only(PacketType.CONNECT, lambda packet: _with_flags(packet, 0, USER_NAME)))


def _with_flags(connect: bytes, set_: int, clear: int) -> list[bytes]:
    """The CONNECT with other connect flags, its fields as they are."""
    body = bytearray(body_of(connect))
    at = 2 + int.from_bytes(body[:2], "big") + 1  # behind protocol name and level
    body[at] = (body[at] | set_) & ~clear
    return with_body(connect, bytes(body))


@fault(
    name="client-id-with-nul",
    title="its client identifier ends with a NUL byte",
    breaks=("MQTT-DEV-008", "MQTT-DEV-011"),
    applies=binding(lambda mqtt: mqtt.client_id),
)
def client_id_with_nul(device: SimulatedDevice) -> None:
    """The length of the buffer, not of the text."""
    binding = device.profile.bindings.mqtt
    assert binding is not None
    front(device).deviate(client_id=f"{binding.client_id}\0")


@fault(
    name="nameless-keeps-session",
    title="asks for a persistent session without a client identifier",
    breaks=("MQTT-DEV-010",),
    seen_as="F-MQTT-42",
    applies=binding(lambda mqtt: not mqtt.client_id),
)
def nameless_keeps_session(device: SimulatedDevice) -> None:
    """The broker cannot know whose session it is."""
    front(device).outgoing.append(
        only(PacketType.CONNECT, lambda packet: _with_flags(packet, 0, CLEAN_SESSION))
    )


@fault(
    name="will-missing",
    title="connects without a last will",
    breaks=("PROFILE-01", "DEV-17"),
    seen_as="F-MQTT-07",
    applies=binding(lambda mqtt: mqtt.availability),
)
def will_missing(device: SimulatedDevice) -> None:
    """Others never learn that it is offline."""
    front(device).deviate(will=False)


@fault(
    name="keep-alive-default",
    title="announces a keep-alive so long that its loss is noticed late",
    breaks=("PROFILE-01",),
    seen_as="F-MQTT-07",
    applies=binding(lambda mqtt: 0 < mqtt.keep_alive < LONG_KEEP_ALIVE),
)
def keep_alive_default(device: SimulatedDevice) -> None:
    """The longest that the field can hold, to save traffic."""
    front(device).deviate(keep_alive=LONG_KEEP_ALIVE)


@fault(
    name="client-id-shared",
    title="has the same client identifier as every other unit",
    breaks=("PROFILE-01",),
    seen_as="F-MQTT-08",
    applies=binding(lambda mqtt: mqtt.client_id),
)
def client_id_shared(device: SimulatedDevice) -> None:
    """The example's name was never changed: two units throw each other off the broker."""
    front(device).deviate(client_id="ESP_Client")


@fault(
    name="will-not-retained",
    title="its last will is not retained though the profile says so",
    breaks=("PROFILE-01", "DEV-17"),
    applies=binding(lambda mqtt: mqtt.availability and mqtt.availability.retain),
)
def will_not_retained(device: SimulatedDevice) -> None:
    """Later subscribers see the device online."""
    front(device).deviate(will_retain=False)
