"""Planned checks, and their selection by patterns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Generic, Protocol, TypeVar

from harness.checks.declaration import Declaration, Phase
from harness.model.requirement import Requirement
from harness.model.verdict import Subject


class AnyCheck(Protocol):
    """A check, of one device or of several."""

    declaration: Declaration
    requirement: Requirement

    @property
    def passive(self) -> bool:
        """Whether it only watches."""


C = TypeVar("C", bound=AnyCheck, covariant=True)
P = TypeVar("P", bound="Planned[AnyCheck]")


@dataclass(frozen=True, slots=True)
class Planned(Generic[C]):
    """One check on one subject. ``not_applicable`` says why it will not be run, if so."""

    check: C
    subject: Subject
    not_applicable: str | None = None

    @property
    def id(self) -> str:
        """``CHECK`` or ``CHECK[subject]``."""
        return self.subject.of(self.check.requirement.id)


def in_order(planned: Iterable[P], select: Sequence[str]) -> tuple[P, ...]:
    """The checks that ``select`` matches, by phase, from the harmless to the harmful; passive ones last.

    Within a phase they keep their order. ``select`` holds patterns (``MQTT-*``, ``DEV-01[relay]``, an area
    such as ``coap``); empty matches all.
    """
    chosen = [item for item in planned if _is_selected(item, select)]
    return tuple(sorted(chosen, key=_place))


def _place(item: Planned[AnyCheck]) -> tuple[bool, int]:
    """Passive checks judge the whole run, so they come last, whatever their phase."""
    return item.check.passive, list(Phase).index(item.check.declaration.phase)


def _is_selected(item: Planned[AnyCheck], select: Sequence[str]) -> bool:
    requirement = item.check.requirement
    return not select or any(
        # In ids, brackets are plain text, not character classes.
        fnmatchcase(item.id, pattern.replace("[", "[[]"))
        or fnmatchcase(requirement.id, pattern)
        or pattern.lower() == requirement.area
        for pattern in select
    )
