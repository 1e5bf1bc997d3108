"""Faults in how the device opens its MQTT connections: what its CONNECT says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.simulate.faults import fault
from harness.simulate.faults.rewriting import (
    body_of,
    front,
    only,
    speaks_mqtt,
    with_body,
)
from harness.trace.mqtt import PacketType

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice


@fault(
    name="old-protocol-name",
    title="connects with the protocol of before MQTT 3.1.1",
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
