"""Faults in the packets that the device sends: flags, strings, identifiers, topics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.simulate.faults import fault
from harness.simulate.faults.rewriting import (
    binding,
    body_of,
    front,
    only,
    takes_commands,
    with_body,
)
from harness.trace.mqtt import PacketType

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice


@fault(
    name="subscribe-flags-zero",
    title="sends SUBSCRIBE with the flags 0000",
    breaks=("MQTT-DEV-004",),
    seen_as="F-MQTT-39",
    applies=binding(takes_commands),
)
def subscribe_flags_zero(device: SimulatedDevice) -> None:
    """The table of fixed headers was read for PUBLISH only."""
    front(device).outgoing.append(
        only(PacketType.SUBSCRIBE, lambda packet: with_body(packet, body_of(packet), flags=0))
    )
