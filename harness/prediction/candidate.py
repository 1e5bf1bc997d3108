"""A need with a capability that may meet it, and the keys of both in their profiles."""

from __future__ import annotations

from dataclasses import dataclass

from harness.model.capability import CapabilityTransport
from harness.model.problems import Path
from harness.model.semantics.mapping import (
    Needed,
    Offered,
)
from harness.prediction.device import Device


@dataclass(frozen=True, slots=True)
class Candidate:
    """A need, and a capability that may meet it."""

    needer: Device
    needed: Needed
    offerer: Device
    offered: Offered

    @property
    def commands(self) -> bool:
        """Whether the needer sends commands, and does not receive reports."""
        return self.needed.commands

    @property
    def need(self) -> Path:
        """The key of the need."""
        return ("needs", self.needed.name)

    @property
    def capability(self) -> Path:
        """The key of the capability."""
        return tuple(self.offered.key.split("."))

    @property
    def affordance(self) -> Path:
        """The key of the offered affordance, or of the availability topic."""
        offer = self.offered.offer
        for section, name in (
            ("properties", offer.property_),
            ("actions", offer.action),
            ("events", offer.event),
        ):
            if name is not None:
                return (section, name)
        return ("bindings", "mqtt", "availability")

    def binding(self, transport: CapabilityTransport) -> Path:
        """The key of the binding of the offered affordance."""
        if self.offered.offer.availability:
            return self.affordance
        return ("bindings", transport.value, *self.affordance)


def common_transports(candidate: Candidate) -> tuple[CapabilityTransport, ...]:
    """The transports that both devices use, in the order in which they are tried."""
    return tuple(
        each
        for each in CapabilityTransport
        if each in candidate.needed.transports and each in candidate.offered.transports
    )
