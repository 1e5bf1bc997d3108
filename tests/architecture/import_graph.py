"""Which module of the package imports which other one, read from the source text."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PACKAGE = "harness"


@dataclass(frozen=True)
class Arrow:
    """One import, of a module by a module. ``is_for_types``: done by type checkers alone."""

    source: str
    target: str
    is_for_types: bool

    def __str__(self) -> str:
        return f"{self.source} imports {self.target}"


def modules(root: Path = ROOT) -> dict[str, Path]:
    """All modules of the package by their dotted names."""
    found = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def arrows(known: Mapping[str, Path]) -> list[Arrow]:
    """Every import of one of these modules by another, inside functions and for type checkers, too."""
    found: dict[tuple[str, str], Arrow] = {}
    for name, path in known.items():
        for node, is_for_types in _imports(ast.parse(path.read_text(encoding="utf-8")), False):
            for target in _targets(node, known):
                earlier = found.get((name, target))
                if target != name and (earlier is None or earlier.is_for_types):
                    found[name, target] = Arrow(name, target, is_for_types)
    return list(found.values())


def _imports(tree: ast.AST, is_for_types: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, is_for_types
        for_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        yield from _imports(node, is_for_types or for_types)


def _targets(node: ast.Import | ast.ImportFrom, known: Mapping[str, Path]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in known)
    elif node.module in known:
        assert node.level == 0, "imports are absolute"
        for alias in node.names:
            member = f"{node.module}.{alias.name}"
            yield member if member in known else node.module


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """The groups of nodes that lead to each other, each sorted."""
    reached = {node: _reachable(node, graph) for node in graph}
    groups = {
        tuple(sorted(other for other in reached[node] if node in reached.get(other, ())))
        for node in graph
        if node in reached[node]
    }
    return [list(group) for group in sorted(groups)]


def _reachable(start: str, graph: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(graph.get(start, ()))
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += graph.get(node, ())
    return found
