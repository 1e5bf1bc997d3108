"""Faults that burden other devices: one that hangs, and one that floods the network."""

from __future__ import annotations

from collections.abc import Sequence

from harness.model.profile import Profile
from harness.simulate.device import SimulatedDevice
from harness.simulate.faults import fault

LIVELY = 40  # packets that a device takes before it hangs
FLOOD = 0.02  # seconds between two reports of all states


class _Hang:
    """Counts packets to the device; after LIVELY of them nothing gets in or out, not even by its controls."""

    def __init__(self) -> None:
        self._left = LIVELY

    @property
    def begun(self) -> bool:
        return self._left <= 0

    def take(self, packet: bytes) -> Sequence[bytes]:
        self._left -= 1
        return self.send(packet)

    def send(self, packet: bytes) -> Sequence[bytes]:
        return [] if self.begun else [packet]


@fault(
    name="hangs",
    breaks=(),
    title="hangs after a while: its connections stay open, but it sends nothing any more",
)
def hangs(device: SimulatedDevice) -> None:
    """The firmware is deadlocked, while its network stack keeps running."""
    hang = _Hang()
    for front in (device.mqtt, device.coap, device.mdns):
        if front is not None:
            front.incoming.append(hang.take)
            front.outgoing.append(hang.send)
    device.core.deviate(hears_controls=lambda: not hang.begun)


def _stays_connected(profile: Profile) -> bool:
    mqtt = profile.bindings.mqtt
    return mqtt is not None and mqtt.sleep is None


@fault(
    name="floods",
    breaks=(),
    title="reports all its states fifty times in a second",
    applies=_stays_connected,
)
def floods(device: SimulatedDevice) -> None:
    """A timer was set in milliseconds instead of seconds."""
    if device.mqtt is not None:
        device.mqtt.deviate(heartbeat=FLOOD)
