"""Which checks of several devices apply to a home, and on what."""

from __future__ import annotations

from collections.abc import Sequence

from harness.checks.compat.catalogue import TogetherCheck, together_checks
from harness.checks.compat.home import Home
from harness.session.planned import Planned, in_order


class PlannedTogether(Planned[TogetherCheck]):
    """One check of several devices on one subject."""

    __slots__ = ()


def plan_together(home: Home, select: Sequence[str] = ()) -> tuple[PlannedTogether, ...]:
    """Every check that the home has a subject for, passive ones last.

    ``select`` holds patterns (``COMPAT-1*``, ``COMPAT-16[plug]``); empty means all.
    """
    planned = [
        PlannedTogether(check, subject, check.missing(home, subject))
        for check in together_checks()
        for subject in check.subjects(home)
    ]
    return in_order(planned, select)
