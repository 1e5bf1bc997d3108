"""Turns what the validation library says about a profile into problems that its author can act on."""

from __future__ import annotations

import json
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from harness.model.json_schema import allowed_text, known_keys, schemas_at
from harness.model.problems import Problem, dotted
from harness.model.yaml_tree import Node

Path = tuple[str | int, ...]


def explain(error: ValidationError, tree: Node) -> list[Problem]:
    """One problem for each mistake, with its place in ``tree``."""
    problems: dict[tuple[str, str], Problem] = {}
    for details in error.errors(include_url=False):
        problem = _problem(details, tree)
        # The alternatives of a union each report the same value; one is enough.
        problems.setdefault((problem.key, problem.message), problem)
    return list(problems.values())


def _problem(details: ErrorDetails, tree: Node) -> Problem:
    location: Path = details["loc"]
    kind = details["type"]
    if kind == "missing":
        node, _ = tree.nearest(location[:-1])
        return _at(node, location, "is missing", allowed=_allowed(location))
    node, path = tree.nearest(location)
    if kind == "extra_forbidden":
        return _at(node, path, "unknown key", found=str(path[-1]), allowed=_near_keys(path))
    if kind == "value_error":
        return _at(node, path, str(details["ctx"]["error"]))
    message = "is not allowed"
    if node.content is None:
        message = "has no value"
    return _at(node, path, message, found=_shown(node.plain, path), allowed=_allowed(path))


def _at(
    node: Node, path: Path, message: str, *, found: str | None = None, allowed: str | None = None
) -> Problem:
    return Problem(node.place.file, node.place.line, dotted(path), message, found, allowed)


def _allowed(path: Path) -> str:
    return " or ".join(dict.fromkeys(allowed_text(schema) for schema in schemas_at(path)))


def _near_keys(path: Path) -> str:
    keys = known_keys(path[:-1])
    near = get_close_matches(str(path[-1]), keys, n=3, cutoff=0.5)
    return ", ".join(near or sorted(keys)) or "no keys at all"


def _shown(value: Any, path: Path) -> str:
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, int | float) and not isinstance(value, bool):
        wants_text = any(schema.get("type") == "string" for schema in schemas_at(path))
        text += " (a number; put it in quotes to make it text)" if wants_text else ""
    return text if len(text) <= 80 else text[:77] + "…"
