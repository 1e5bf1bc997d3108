"""From profiles to homes: what is expected between devices, told from their profiles or by a scene."""

from __future__ import annotations

from collections.abc import Mapping

from harness.checks.compat.home import Bond, Home, bonds_of
from harness.compat.prediction import Link
from harness.model.profile import Profile
from harness.model.scene import Scene


def links_between(offerer: Profile, needer: Profile) -> tuple[Link, ...]:
    """The bindings that a prediction finds for what one device needs of another."""
    return ()


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
        for bond in bonds_of(needer, offerer, links_between(offering, needing))
    )
