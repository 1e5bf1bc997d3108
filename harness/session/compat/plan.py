"""Plans the checks of several devices: which apply to a group, and on which subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.checks.support.compat.catalogue import (
    GroupCheck,
    group_checks,
)
from harness.checks.support.compat.device_group import DeviceGroup
from harness.checks.support.compat.interactions import Interaction, interactions_between
from harness.model.profile import Profile
from harness.model.scene import Scene
from harness.session.run.planned import (
    Planned,
    in_order,
)


class PlannedGroupCheck(Planned[GroupCheck]):
    """One check of several devices on one subject."""

    __slots__ = ()


def plan_group(group: DeviceGroup, select: Sequence[str] = ()) -> tuple[PlannedGroupCheck, ...]:
    """Every check that the group has a subject for, passive ones last.

    ``select`` holds patterns (``COMPAT-1*``, ``COMPAT-16[plug]``); empty matches all.
    """
    planned = [
        PlannedGroupCheck(check, subject, check.missing(group, subject))
        for check in group_checks()
        for subject in check.subjects(group)
    ]
    return in_order(planned, select)


def group_of_pair(profiles: Mapping[str, Profile], needs_met: Mapping[str, frozenset[str]]) -> DeviceGroup:
    """Two devices (or more) and their interactions in both directions."""
    return DeviceGroup(dict(profiles), dict(needs_met), _all_interactions(profiles))


def group_of_scene(
    scene: Scene, profiles: Mapping[str, Profile], needs_met: Mapping[str, frozenset[str]]
) -> DeviceGroup:
    """The cast of a scene."""
    return DeviceGroup(dict(profiles), dict(needs_met), _all_interactions(profiles), scene)


def _all_interactions(profiles: Mapping[str, Profile]) -> tuple[Interaction, ...]:
    return tuple(
        interaction
        for needer, needing in profiles.items()
        for offerer, offering in profiles.items()
        if needer != offerer
        for interaction in interactions_between(needer, needing, offerer, offering)
    )
