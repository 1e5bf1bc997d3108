"""Which checks of several devices apply to a home, and on what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from harness.checks.compat.catalogue import TogetherCheck, together_checks
from harness.checks.compat.home import Home
from harness.model.verdict import Subject


@dataclass(frozen=True, slots=True)
class PlannedTogether:
    """One check on one subject; ``not_applicable`` says why it will not be run, if so."""

    check: TogetherCheck
    subject: Subject
    not_applicable: str | None = None

    @property
    def id(self) -> str:
        """``CHECK`` or ``CHECK[subject]``."""
        label = self.subject.label
        name = self.check.requirement.id
        return f"{name}[{label}]" if label else name


def plan_together(home: Home, select: Sequence[str] = ()) -> tuple[PlannedTogether, ...]:
    """Every check that the home has a subject for, passive ones last.

    ``select`` holds patterns (``COMPAT-1*``, ``COMPAT-16[plug]``); empty means all.
    """
    planned = [
        PlannedTogether(check, subject, check.missing(home, subject))
        for check in together_checks()
        for subject in check.subjects(home)
    ]
    chosen = [item for item in planned if _selected(item, select)]
    return tuple(sorted(chosen, key=lambda item: item.check.passive))


def _selected(item: PlannedTogether, select: Sequence[str]) -> bool:
    requirement = item.check.requirement
    return not select or any(
        # Brackets in ids are plain text here, not character classes.
        fnmatchcase(item.id, pattern.replace("[", "[[]"))
        or fnmatchcase(requirement.id, pattern)
        or pattern.lower() == requirement.area
        for pattern in select
    )
