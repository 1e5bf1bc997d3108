"""Faults that affect neighbours: foreign names, and subscriptions to topics of others."""

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
    title="uses the default host name of the board without probing for conflicts",
    breaks=("MDNS-01",),
    applies=announces,
)
def factory_host_name(device: SimulatedDevice) -> None:
    """Which device answers at device.local is random."""
    responder(device).deviate(
        host="device", probes=0, gives_way=False, watches_for_conflicts=False, defends=False
    )


@fault(
    name="obeys-neighbours",
    title="executes commands on the topics of every unit of its kind",
    breaks=("PROFILE-07",),
    applies=binding(takes_commands),
)
def obeys_neighbours(device: SimulatedDevice) -> None:
    """It subscribes with a wildcard instead of its unit identifier."""
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
        parts = body[2 : 2 + size].split(b"/")  # bytes: also for topics that are not UTF-8
        topic = b"/".join([*map(str.encode, own), *parts[len(own) :]])
        return with_body(packet, len(topic).to_bytes(2, "big") + topic + body[2 + size :])

    front(device).incoming.append(only(PacketType.PUBLISH, adopted))


@fault(
    name="dies-with-neighbours",
    title="shuts down at the last will of any device",
    breaks=("PROFILE-07",),
    applies=binding(lambda mqtt: takes_commands(mqtt) and mqtt.availability is not None),
)
def dies_with_neighbours(device: SimulatedDevice) -> None:
    """It subscribes to all availability topics and does not check whose they are."""
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
