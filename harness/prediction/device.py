"""A device for comparisons: its profile, what it offers and needs, and the line of each key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path as FilePath

from harness.model.capability import SecurityLevel
from harness.model.loading.inheritance import read_with_parents
from harness.model.loading.profiles import load_profile
from harness.model.loading.yaml_tree import Node
from harness.model.problems import Path, dotted
from harness.model.profile import Profile
from harness.model.semantics.mapping import (
    Needed,
    Offered,
    needed,
    offered,
    security_level,
)
from harness.prediction.findings import (
    Finding,
    FindingKind,
    KeyPlace,
    Severity,
)


@dataclass(frozen=True)
class Device:
    """A profile, and the tree of its file, if it has one.

    ``called`` is a name that distinguishes it from another version of the same device.
    """

    profile: Profile
    tree: Node | None = None
    called: str = ""

    @property
    def name(self) -> str:
        """The name used in findings."""
        return self.called or self.profile.profile

    @cached_property
    def offers(self) -> Mapping[str, tuple[Offered, ...]]:
        """What the device offers, by cluster of the vocabulary."""
        found: dict[str, list[Offered]] = {}
        for each in offered(self.profile):
            found.setdefault(each.term.cluster, []).append(each)
        return {cluster: tuple(offers) for cluster, offers in found.items()}

    @cached_property
    def needs(self) -> tuple[Needed, ...]:
        """What the device needs from others."""
        return needed(self.profile)

    @cached_property
    def security(self) -> SecurityLevel:
        """How its traffic is protected."""
        return security_level(self.profile)

    @cached_property
    def reports_every(self) -> float | None:
        """Longest time between two reports of an unchanged state over MQTT, in seconds; None: no limit."""
        mqtt = self.profile.bindings.mqtt
        sleeps = mqtt.sleep.wakes_every if mqtt is not None and mqtt.sleep is not None else None
        periods = [period for period in (self.profile.behaviour.heartbeat, sleeps) if period is not None]
        return min(periods, default=None)

    def place(self, path: Path) -> KeyPlace:
        """The place of a key; for a missing key, the line of the mapping that would contain it."""
        if self.tree is None:
            return KeyPlace(self.profile.profile, dotted(path))
        place = self.tree.nearest(path).place
        return KeyPlace(self.profile.profile, dotted(path), place.file, place.line)


def read_device(file: FilePath, *, unit: str | None = None) -> Device:
    """Read a device from its profile; ``unit`` replaces its identifier. Raises ProfileError."""
    return Device(load_profile(file, unit=unit), read_with_parents(file)[0])


@dataclass(frozen=True, slots=True)
class Conflict:
    """A finding that is not yet tied to devices: ``left`` and ``right`` are keys of the two profiles."""

    kind: FindingKind
    severity: Severity
    what: str
    left: Path | None
    right: Path | None
    proposal: str

    def between(self, left: Device, right: Device, *, term: str = "", need: str = "") -> Finding:
        """The finding about two devices."""
        return Finding(
            self.kind,
            self.severity,
            self.what,
            None if self.left is None else left.place(self.left),
            None if self.right is None else right.place(self.right),
            self.proposal,
            term,
            need,
        )
