"""Input and results of the consistency checks."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from harness.model.base import Value
from harness.model.problems import Path
from harness.model.profile import Profile
from harness.model.schema import DataSchema
from harness.registry import near_names


@dataclass(frozen=True, slots=True)
class Mistake:
    """An inconsistency at ``path`` in the profile."""

    path: Path
    message: str
    found: str | None = None
    allowed: str | None = None


@dataclass(frozen=True, slots=True)
class KnownNames:
    """The names of all affordances, including malformed ones that were left out of the profile."""

    properties: frozenset[str]
    actions: frozenset[str]
    events: frozenset[str]

    @property
    def all(self) -> frozenset[str]:
        """Every affordance."""
        return self.properties | self.actions | self.events


@dataclass(frozen=True, slots=True)
class CheckedProfile:
    """The profile to check. ``whole`` is False where malformed parts were left out of it."""

    profile: Profile
    names: KnownNames
    whole: bool = True


def unknown_name(path: Path, kind: str, name: str, names: Collection[str]) -> Mistake | None:
    """The mistake if there is no affordance of that name, else None."""
    if name in names:
        return None
    near = near_names(name, names) or sorted(names)
    return Mistake(
        path,
        f"there is no such {kind} in this profile",
        name,
        ", ".join(near) or f"the profile has no {kind}",
    )


def wrong_value(path: Path, value: Value, schema: DataSchema) -> list[Mistake]:
    """A mistake for each way in which ``value`` breaks ``schema``."""
    try:
        return [Mistake(path, f"breaks the schema: {text}") for text in schema.violations(value)]
    except re.error:
        return []  # the invalid pattern is reported elsewhere


def shown(value: Value) -> str:
    """A value as it is written in a profile."""
    return str(value).lower() if isinstance(value, bool) else str(value)
