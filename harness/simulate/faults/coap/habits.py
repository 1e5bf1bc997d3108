"""Habits of the CoAP server: it conforms, but not in the way in which simulated devices usually do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.model.profile import Profile
from harness.simulate.faults import habit
from harness.simulate.faults.coap._rewriting import front

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice

SLOW_ACK_TIMEOUT = 4.0  # seconds


def leaves_transmission_open(profile: Profile) -> bool:
    """A device whose profile declares no transmission parameters, so that they are measured."""
    return profile.bindings.coap is not None and profile.bindings.coap.transmission is None


@habit(
    name="habit-slow-ack-timeout",
    title="waits 4 s before it repeats a confirmable message",
    applies=leaves_transmission_open,
)
def slow_ack_timeout(device: SimulatedDevice) -> None:
    """A network with long delays (RFC 7252, 4.8.1)."""
    front(device).deviate(ack_timeout=SLOW_ACK_TIMEOUT)
