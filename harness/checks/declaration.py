"""What a check declares about itself: read by the planner, the catalogue and the documentation alike.

This is the one place for it. To let checks declare something new, add a field to :class:`Declaration`, and
a parameter of the same name to the decorator.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.model.requirement import BenchFeature, Requirement


class Phase(StrEnum):
    """A part of a run. Phases go from the harmless to the harmful, in the order in which they stand here."""

    WATCH = "watch"  # nothing is done to the device that ordinary use would not do
    ORDINARY = "ordinary"  # commands and requests as in everyday use
    BOUNDARY = "boundary"  # legal extremes: first and last values, long and many legal messages
    REFUSAL = "refusal"  # well-formed requests that the device has to refuse
    OUTAGE = "outage"  # restarts, and a network, broker or peer that goes away
    PRESSURE = "pressure"  # more than everyday use asks for: series, floods, many clients
    MALFORMED = "malformed"  # packets and payloads that break a rule
    RESET = "reset"  # the device loses its settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """All that is known of a check without running it.

    ``needs``: what the bench has to offer. ``phase``: when in a run it comes. ``runs_when_absent``: it is
    carried out even on a device that was never seen to be there, because it may show why. ``needs_all``: of a
    check of several devices, whether each of them has to be there when it begins.
    """

    requirement: Requirement
    phase: Phase
    needs: frozenset[BenchFeature] = frozenset()
    runs_when_absent: bool = False
    needs_all: bool = True


class Declared:
    """Base of every check. ``requirement`` and ``needs`` are shortcuts into the declaration."""

    declaration: Declaration
    requirement: Requirement
    needs: frozenset[BenchFeature]

    @classmethod
    def declare(cls, declaration: Declaration) -> None:
        """Attach the declaration to this class of checks."""
        cls.declaration = declaration
        cls.requirement = declaration.requirement
        cls.needs = declaration.needs
