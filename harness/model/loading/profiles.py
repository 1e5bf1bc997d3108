"""Reading profiles: from YAML with all mistakes at once, and from and to the JSON of traces."""

from __future__ import annotations

import json
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from harness.model.base import Value
from harness.model.consistency import CheckedProfile, KnownNames, mistakes
from harness.model.loading.inheritance import is_newer, newer_format, read_with_parents
from harness.model.loading.validation import (
    explain,
    problem_at,
)
from harness.model.loading.yaml_tree import (
    Node,
    SourcePlace,
)
from harness.model.problems import Path, ProfileError, ProfileProblem
from harness.model.profile import Profile

__all__ = ["ProfileError", "ProfileProblem", "load_profile", "profile_from_json", "profile_to_json"]

_PLACEHOLDER = "{unit}"

# Placeholders for required top-level keys while the rest of a broken profile is checked.
_STAND_INS: dict[str, Value] = {"profile": "x", "title": "x", "category": "x", "bindings": {}}


def load_profile(path: FilePath, *, unit: str | None = None) -> Profile:
    """The profile in the YAML file ``path``; ``unit`` replaces the unit identifier in the file.

    Raises :class:`ProfileError` with every mistake, sorted by file and line.
    """
    tree, problems = read_with_parents(path)
    assert isinstance(tree.content, dict)
    if unit is not None:
        place = tree.content["unit"].place if "unit" in tree.content else tree.place
        tree.content["unit"] = Node(unit, place, ("unit",))
    profile, found = _checked(tree)
    problems += found
    if profile is None or problems:
        raise ProfileError(tuple(sorted(problems, key=lambda problem: (str(problem.file), problem.line))))
    return profile


def profile_to_json(profile: Profile) -> str:
    """The whole profile, defaults included, as JSON on one line; equal profiles give equal text."""
    data = profile.model_dump(mode="json", by_alias=True, exclude_none=True)
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def profile_from_json(text: str) -> Profile:
    """The profile that :func:`profile_to_json` wrote. Raises :class:`ProfileError`."""
    file = FilePath("<profile>")
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ProfileError((ProfileProblem(file, 0, "", f"not JSON: {error}"),)) from None
    if isinstance(data, dict) and is_newer(data.get("format")):
        raise ProfileError((newer_format(file, 0, data["format"]),))
    if isinstance(data, dict) and isinstance(data.get("capabilities"), list):
        # Traces of earlier releases have only labels there, and no verdict depends on them.
        del data["capabilities"]
    try:
        return _validated(data)
    except ValidationError as error:
        tree = _tree_of(data, SourcePlace(file, 0), ())
        raise ProfileError(tuple(found.problem for found in explain(error, tree))) from None


def _checked(tree: Node) -> tuple[Profile | None, list[ProfileProblem]]:
    """The profile that a tree describes, if valid, and the problems in it.

    Parts that break the schema are reported and left out, and the rest is checked for consistency, so that
    the author sees everything at once.
    """
    problems: list[ProfileProblem] = []
    names = _names(tree)
    rest, stand_ins = tree, False
    replaced: set[Path] = set()
    while True:
        try:
            profile = _validated({**_STAND_INS, **_plain(rest)} if stand_ins else _plain(rest))
            break
        except ValidationError as error:
            explained = explain(error, rest)
        if not stand_ins and rest is tree:
            problems += [explanation.problem for explanation in explained]
        # What a placeholder does not fix is left out in the next round, so the loop ends.
        changes = {
            found.spoils: None if found.spoils in replaced else found.stand_in
            for found in explained
            if found.spoils
        }
        replaced |= changes.keys()
        if stand_ins and not changes:
            return None, problems
        rest, stand_ins = rest.replaced(changes), True
    for mistake in mistakes(CheckedProfile(profile, names, whole=rest is tree)):
        node = rest.nearest(mistake.path)
        path = (*node.path, *mistake.path[len(node.path) :])
        problems.append(problem_at(node, path, mistake.message, found=mistake.found, allowed=mistake.allowed))
    return profile, problems


def _names(tree: Node) -> KnownNames:
    def keys(section: str) -> frozenset[str]:
        node = tree.child(section)
        return frozenset(node.content) if node is not None and isinstance(node.content, dict) else frozenset()

    return KnownNames(keys("properties"), keys("actions"), keys("events"))


def _plain(tree: Node) -> dict[str, Value]:
    """The values of the tree with ``{unit}`` replaced."""
    named = tree.child("unit")
    unit = named.content if named is not None else Profile.model_fields["unit"].default
    data: dict[str, Value] = tree.plain
    return data if not isinstance(unit, str) else _with_unit(data, unit)


def _with_unit(value: Value, unit: str) -> Any:
    """``value`` with ``{unit}`` replaced in every text of it, keys excepted."""
    if isinstance(value, str):
        return value.replace(_PLACEHOLDER, unit)
    if isinstance(value, list):
        return [_with_unit(item, unit) for item in value]
    if isinstance(value, dict):
        return {key: _with_unit(item, unit) for key, item in value.items()}
    return value


def _validated(data: Value) -> Profile:
    # Through JSON, because pydantic in strict mode accepts lists for tuples only there.
    return Profile.model_validate_json(json.dumps(data), strict=True, by_alias=True, by_name=False)


def _tree_of(value: Value, place: SourcePlace, path: Path) -> Node:
    if isinstance(value, dict):
        members = {key: _tree_of(item, place, (*path, key)) for key, item in value.items()}
        return Node(members, place, path)
    if isinstance(value, list):
        return Node([_tree_of(item, place, (*path, i)) for i, item in enumerate(value)], place, path)
    return Node(value, place, path)
