"""Faults that show most beside other devices: names that are not one's own, and ears for everybody."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.simulate.faults import fault
from harness.simulate.faults.mdns._rewriting import (
    announces,
    responder,
)
from harness.simulate.faults.mqtt._rewriting import (
    binding,
    body_of,
    front,
    only,
    takes_commands,
    with_body,
)
from harness.wire.mqtt.codec import PacketType

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice


@fault(
    name="factory-host-name",
    title="answers to the host name of the board, and does not ask whether another one has it",
    breaks=("MDNS-01",),
    applies=announces,
)
def factory_host_name(device: SimulatedDevice) -> None:
    """Whose page opens at device.local is a matter of luck."""
    responder(device).deviate(
        host="device", probes=0, gives_way=False, watches_for_conflicts=False, defends=False
    )


@fault(
    name="obeys-neighbours",
    title="takes commands on the topics of every unit of its kind",
    breaks=("PROFILE-07",),
    applies=binding(takes_commands),
)
def obeys_neighbours(device: SimulatedDevice) -> None:
    """A wildcard stands where the identifier of the unit belongs."""
    mqtt = device.profile.bindings.mqtt
    assert mqtt is not None, "the fault does not apply to this device"
    own = mqtt.base.split("/")
    commands = [bound.command for bound in mqtt.properties.values() if bound.command is not None]
    topics = [*commands, *(action.command for action in mqtt.actions.values())]
    filters = dict.fromkeys("/".join(["+"] * len(own) + topic.split("/")[len(own) :]) for topic in topics)
    front(device).deviate(filters=tuple(filters))

    def adopted(packet: bytes) -> list[bytes]:
        body = body_of(packet)
        size = int.from_bytes(body[:2], "big")
        parts = body[2 : 2 + size].split(b"/")  # bytes: what is no UTF-8 is adopted as well
        topic = b"/".join([*map(str.encode, own), *parts[len(own) :]])
        return with_body(packet, len(topic).to_bytes(2, "big") + topic + body[2 + size :])

    front(device).incoming.append(only(PacketType.PUBLISH, adopted))


@fault(
    name="dies-with-neighbours",
    title="takes the last will of any device for a command to go down",
    breaks=("PROFILE-07",),
    applies=binding(lambda mqtt: takes_commands(mqtt) and mqtt.availability is not None),
)
def dies_with_neighbours(device: SimulatedDevice) -> None:
    """It listens to everybody's availability, and does not look whose it is."""
    mqtt = device.profile.bindings.mqtt
    assert mqtt is not None and mqtt.availability is not None, "the fault does not apply to this device"
    own = mqtt.availability.topic.encode()
    front(device).deviate(filters=("#",))

    def listened(packet: bytes) -> Sequence[bytes]:
        body = body_of(packet)
        size = int.from_bytes(body[:2], "big")
        if body[2 : 2 + size] != own and body.endswith((b"offline", b"false")):
            asyncio.get_running_loop().call_soon(lambda: asyncio.ensure_future(device.kill()))
        return [packet]

    front(device).incoming.append(only(PacketType.PUBLISH, listened))
