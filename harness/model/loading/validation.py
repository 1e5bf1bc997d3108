"""Turns errors of the validation library into problems that the author of a file can fix."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from harness.model.loading.json_schema import (
    allowed_text,
    known_keys,
    legal_number,
    schemas_at,
)
from harness.model.loading.yaml_tree import Node
from harness.model.problems import Path, ProfileProblem, dotted
from harness.model.profile import Profile
from harness.registry import near_names


@dataclass(frozen=True, slots=True)
class Explanation:
    """A problem, and the path of the smallest part of the profile that it makes invalid.

    ``stand_in`` is a placeholder with which the rest can be checked; if None, the part is left out.
    """

    problem: ProfileProblem
    spoils: Path
    stand_in: int | None = None


def explain(error: ValidationError, tree: Node, model: type[BaseModel] = Profile) -> list[Explanation]:
    """One explanation for each mistake, with its place in ``tree``, which should match ``model``."""
    found: dict[tuple[str, str], Explanation] = {}
    for details in error.errors(include_url=False):
        explanation = _explained(details, tree, model)
        # The alternatives of a union each report the same value; one is enough.
        found.setdefault((explanation.problem.key, explanation.problem.message), explanation)
    return list(found.values())


def _explained(details: ErrorDetails, tree: Node, model: type[BaseModel]) -> Explanation:
    location: Path = details["loc"]
    kind = details["type"]
    node = tree.nearest(location)
    stand_in = None
    if kind == "missing":
        path = (*node.path, location[-1])
        return Explanation(problem_at(node, path, "is missing", allowed=_allowed(path, model)), node.path)
    if kind == "extra_forbidden":
        name = str(node.path[-1])
        problem = problem_at(node, node.path, "unknown key", found=name, allowed=_near_keys(node.path, model))
    elif kind == "value_error":
        problem = problem_at(node, node.path, str(details["ctx"]["error"]))
    else:
        message = "has no value" if node.content is None else "is not allowed"
        found = _shown(node.plain, node.path, model)
        problem = problem_at(node, node.path, message, found=found, allowed=_allowed(node.path, model))
        stand_in = next(filter(None, map(legal_number, schemas_at(node.path))), None)
    return Explanation(problem, node.path, stand_in)


def problem_at(
    node: Node, path: Path, message: str, *, found: str | None = None, allowed: str | None = None
) -> ProfileProblem:
    """The problem at the place of ``node`` with the key ``path``."""
    return ProfileProblem(node.place.file, node.place.line, dotted(path), message, found, allowed)


def _allowed(path: Path, model: type[BaseModel]) -> str:
    return " or ".join(dict.fromkeys(allowed_text(schema) for schema in schemas_at(path, model)))


def _near_keys(path: Path, model: type[BaseModel]) -> str:
    keys = known_keys(path[:-1], model)
    near = near_names(str(path[-1]), keys)
    return ", ".join(near or sorted(keys)) or "no keys"


def _shown(value: Any, path: Path, model: type[BaseModel]) -> str:
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, int | float) and not isinstance(value, bool):
        wants_text = any(schema.get("type") == "string" for schema in schemas_at(path, model))
        text += " (a number; put it in quotes to make it text)" if wants_text else ""
    return text if len(text) <= 80 else text[:77] + "…"
