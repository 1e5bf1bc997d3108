"""What the consistency checks work on, and what they find."""

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
    """Something that does not fit, at ``path`` in the profile."""

    path: Path
    message: str
    found: str | None = None
    allowed: str | None = None


@dataclass(frozen=True, slots=True)
class KnownNames:
    """The names of all affordances, of those too that are left out of the profile as malformed."""

    properties: frozenset[str]
    actions: frozenset[str]
    events: frozenset[str]

    @property
    def all(self) -> frozenset[str]:
        """Every affordance."""
        return self.properties | self.actions | self.events


@dataclass(frozen=True, slots=True)
class CheckedProfile:
    """The profile to look at. ``whole`` is False where malformed parts were left out of it."""

    profile: Profile
    names: KnownNames
    whole: bool = True


def unknown_name(path: Path, kind: str, name: str, names: Collection[str]) -> Mistake | None:
    """The mistake of naming an affordance that there is not, or None."""
    if name in names:
        return None
    near = near_names(name, names) or sorted(names)
    return Mistake(path, f"names no {kind} of this profile", name, ", ".join(near) or f"it has no {kind}")


def wrong_value(path: Path, value: Value, schema: DataSchema) -> list[Mistake]:
    """A mistake for each way in which ``value`` breaks ``schema``."""
    try:
        return [Mistake(path, f"breaks the schema: {text}") for text in schema.violations(value)]
    except re.error:
        return []  # the pattern is no regular expression, which is a mistake of its own


def shown(value: Value) -> str:
    """A value as the profile's author writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
