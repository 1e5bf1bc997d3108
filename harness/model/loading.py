"""Reading profiles: from YAML with every mistake named at once, and from and to the JSON of traces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.model.base import Value
from harness.model.explain import explain
from harness.model.inheritance import read_with_parents
from harness.model.problems import Problem, ProfileError
from harness.model.profile import Profile
from harness.model.yaml_tree import Node, Place

__all__ = ["Problem", "ProfileError", "load_profile", "profile_from_json", "profile_to_json"]

_PLACEHOLDER = "{unit}"


def load_profile(path: Path, *, unit: str | None = None) -> Profile:
    """The profile in the YAML file ``path``; ``unit`` replaces the identifier of the unit that it names.

    Raises :class:`ProfileError` with every mistake that can be told apart from the consequences of others.
    """
    tree, problems = read_with_parents(path)
    assert isinstance(tree.content, dict)
    if unit is not None:
        place = tree.content["unit"].place if "unit" in tree.content else tree.place
        tree.content["unit"] = Node(unit, place)
    named = tree.content.get("unit")
    identifier = named.content if named is not None else Profile.model_fields["unit"].default
    data = with_unit(tree.plain, identifier) if isinstance(identifier, str) else tree.plain
    try:
        profile = _validated(data)
    except ValidationError as error:
        problems += explain(error, tree)
    if problems:
        raise ProfileError(tuple(sorted(problems, key=lambda problem: (str(problem.file), problem.line))))
    return profile


def profile_to_json(profile: Profile) -> str:
    """The whole profile, defaults included, as JSON on one line; equal profiles give equal text."""
    data = profile.model_dump(mode="json", by_alias=True, exclude_none=True)
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def profile_from_json(text: str) -> Profile:
    """The profile that :func:`profile_to_json` wrote. Raises :class:`ProfileError`."""
    file = Path("<profile>")
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ProfileError((Problem(file, 0, "", f"not JSON: {error}"),)) from None
    try:
        return _validated(data)
    except ValidationError as error:
        raise ProfileError(tuple(explain(error, _tree_of(data, Place(file, 0))))) from None


def with_unit(value: Value, unit: str) -> Any:
    """``value`` with ``{unit}`` replaced in every text of it, keys excepted."""
    if isinstance(value, str):
        return value.replace(_PLACEHOLDER, unit)
    if isinstance(value, list):
        return [with_unit(item, unit) for item in value]
    if isinstance(value, dict):
        return {key: with_unit(item, unit) for key, item in value.items()}
    return value


def _validated(data: Value) -> Profile:
    # By way of JSON, because pydantic is strict there without refusing lists for tuples.
    return Profile.model_validate_json(json.dumps(data), strict=True, by_alias=True, by_name=False)


def _tree_of(value: Value, place: Place) -> Node:
    if isinstance(value, dict):
        return Node({key: _tree_of(item, place) for key, item in value.items()}, place)
    if isinstance(value, list):
        return Node([_tree_of(item, place) for item in value], place)
    return Node(value, place)
