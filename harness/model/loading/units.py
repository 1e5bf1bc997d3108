"""Many units of one kind of device: profiles that share everything except the unit identifier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from harness.model.base import Value
from harness.model.loading.profiles import (
    load_profile,
    profile_to_json,
)
from harness.model.profile import Profile

_Part = TypeVar("_Part", bound=BaseModel)


def numbered_units(first: str, number: int) -> list[str]:
    """Identifiers of ``number`` units in addition to the unit ``first``."""
    return [f"{first}{index:04x}" for index in range(1, number + 1)]


def load_units(path: Path, units: Sequence[str]) -> list[Profile]:
    """The profile in the YAML file ``path``, once for each unit.

    The file is read and validated only once. Raises :class:`ProfileError` like ``load_profile``, also for
    an invalid identifier.
    """
    if not units:
        return []
    longest = max(units, key=len)
    known = profile_to_json(load_profile(path, unit=longest))
    for unit in units:
        if not unit.isalnum():
            load_profile(path, unit=unit)  # checks the identifier; letters and digits are valid everywhere
    # The stand-in marks the places of {unit}: it occurs nowhere else and cannot overlap itself.
    stand_in = next(
        name for name in (f"z{number:0{len(longest) - 1}d}" for number in count()) if name not in known
    )
    template = load_profile(path, unit=stand_in)
    return [_of_unit(template, stand_in, unit) for unit in units]


def _of_unit(template: _Part, stand_in: str, unit: str) -> _Part:
    """A copy that shares with the template every part in which the stand-in does not occur."""
    changes = dict(_changes(template.__dict__, stand_in, unit))
    return template.model_copy(update=changes) if changes else template


def _changes(members: Mapping[str, Value], stand_in: str, unit: str) -> Iterator[tuple[str, Value]]:
    for name, value in members.items():
        replaced = _replaced(value, stand_in, unit)
        if replaced is not value:
            yield name, replaced


def _replaced(value: Value, stand_in: str, unit: str) -> Value:
    """``value`` with the stand-in replaced in every text of it, keys excepted; itself where there is none."""
    if isinstance(value, str):
        return value.replace(stand_in, unit) if stand_in in value else value
    if isinstance(value, BaseModel):
        return _of_unit(value, stand_in, unit)
    if isinstance(value, dict):
        changes = dict(_changes(value, stand_in, unit))
        return {**value, **changes} if changes else value
    if isinstance(value, list | tuple):
        items = [_replaced(item, stand_in, unit) for item in value]
        same = all(new is old for new, old in zip(items, value, strict=True))
        return value if same else type(value)(items)
    return value
