"""Habits of the mDNS responder: it conforms, but not in the way in which simulated devices usually do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.simulate.faults import habit
from harness.simulate.faults.mdns._rewriting import offers_services, responder

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice

LATER = 2.5  # seconds


@habit(
    name="habit-host-before-services",
    title="announces its host name first and its services later",
    applies=offers_services,
)
def host_before_services(device: SimulatedDevice) -> None:
    """Host and services are registered one after the other (RFC 6762, 8.3)."""
    responder(device).deviate(services_later=LATER)
