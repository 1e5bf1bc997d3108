"""Reads a target from an environment file of labgrid, without starting labgrid."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from harness.links.labgrid.place import LabgridTarget
from harness.model.loading.yaml_tree import (
    Node,
    read_tree,
)
from harness.model.problems import ProfileError, ProfileProblem
from harness.session.target import UsageError

USUAL_TARGET = "main"


def target_in(environment: Path, name: str) -> LabgridTarget:
    """The target with that name. Raises UsageError if there is none, or labgrid is not installed.

    Its drivers say what it has: ``SerialDriver`` for a serial port, and one that switches power. The
    resources of a place on another machine are known to its exporter only.
    """
    if importlib.util.find_spec("labgrid") is None:
        raise UsageError("labgrid is not installed; pip install 'appliance-harness[lab]'")
    try:
        tree, _ = read_tree(environment, "labgrid environment")
        targets = tree.child("targets")
        target = targets.child(name) if targets is not None else None
        if target is None:
            named = targets.content if targets is not None and isinstance(targets.content, dict) else {}
            found = ProfileProblem(
                environment,
                (targets or tree).place.line,
                "targets",
                "has no target with this name",
                name,
                ", ".join(named) or "none at all",
            )
            raise ProfileError((found,))
    except ProfileError as problem:
        raise UsageError(str(problem)) from None
    drivers = set(_classes(target.child("drivers")))
    return LabgridTarget(
        environment,
        name,
        serial="SerialDriver" in drivers,
        power=any(driver.endswith("PowerDriver") for driver in drivers),
    )


def _classes(drivers: Node | None) -> Iterator[str]:
    """The classes of the drivers, given as a mapping, or as a list in one of several forms."""
    if drivers is None:
        return
    for item in drivers.content if isinstance(drivers.content, list) else [drivers]:
        if not isinstance(item.content, dict):
            yield str(item.content)
        elif named := item.child("cls"):
            yield str(named.content)
        else:
            yield from item.content
