"""From profiles to homes: what is expected between devices, told from their profiles or by a scene."""

from __future__ import annotations

from collections.abc import Mapping

from harness.checks.compat.bonds import Bond, bonds_between
from harness.checks.compat.home import Home
from harness.model.profile import Profile
from harness.model.scene import Scene


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
