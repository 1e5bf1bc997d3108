"""Which checks of several devices apply to a home, and on what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.checks.support.compat.catalogue import (
    TogetherCheck,
    together_checks,
)
from harness.checks.support.compat.device_group import Home
from harness.checks.support.compat.interactions import Bond, bonds_between
from harness.model.profile import Profile
from harness.model.scene import Scene
from harness.session.run.planned import (
    Planned,
    in_order,
)


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


def home_of_pair(profiles: Mapping[str, Profile], needs_met: Mapping[str, frozenset[str]]) -> Home:
    """Two devices (or more) and all that binds them, in both directions."""
    return Home(dict(profiles), dict(needs_met), _all_bonds(profiles))


def home_of_scene(
    scene: Scene, profiles: Mapping[str, Profile], needs_met: Mapping[str, frozenset[str]]
) -> Home:
    """The cast of a scene."""
    return Home(dict(profiles), dict(needs_met), _all_bonds(profiles), scene)


def _all_bonds(profiles: Mapping[str, Profile]) -> tuple[Bond, ...]:
    return tuple(
        bond
        for needer, needing in profiles.items()
        for offerer, offering in profiles.items()
        if needer != offerer
        for bond in bonds_between(needer, needing, offerer, offering)
    )
