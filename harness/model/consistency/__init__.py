"""Checks that a schema cannot make: whether the parts of a profile fit together."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.consistency import (
    affordances,
    capabilities,
    coap,
    conflicts,
    device,
    mdns,
    mqtt,
    needs,
    ratings,
    rules,
    serial,
)
from harness.model.consistency.mistake import CheckedProfile, KnownNames, Mistake

__all__ = ["CheckedProfile", "KnownNames", "Mistake", "mistakes"]

_PARTS = (affordances, device, mqtt, coap, mdns, rules, conflicts, capabilities, needs, ratings, serial)


def mistakes(subject: CheckedProfile) -> Iterator[Mistake]:
    """All contradictions in the profile, and all violations of the transports' standards."""
    for part in _PARTS:
        yield from part.mistakes(subject)
