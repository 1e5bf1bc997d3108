"""YAML with source positions: every value knows its file and line.

The plain YAML 1.2 rules apply: ``on``, ``off``, ``yes`` and ``no`` are text. Keys are always text, as
written, because ``1: true`` in a profile maps the payload ``1``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from pathlib import Path as FilePath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.nodes import Node as YamlNode
from ruamel.yaml.reader import ReaderError

from harness.model.base import Value
from harness.model.problems import Path, ProfileError, ProfileProblem, dotted

# Aliases can expand a small file into an enormous tree; no real profile comes near this limit.
_MOST_NODES = 100_000

_PLAIN_TYPES = ("null", "bool", "int", "float")


@dataclass(frozen=True, slots=True)
class SourcePlace:
    """A line of a file, counted from 1."""

    file: FilePath
    line: int


@dataclass(frozen=True, slots=True)
class Node:
    """A value, its place, and its path of keys. ``content`` is a dict or list of nodes, or a scalar.

    The place of a mapping member is that of its key; a list item has its own.
    """

    content: Content
    place: SourcePlace
    path: Path = ()

    @property
    def plain(self) -> Value:
        """The value without places."""
        if isinstance(self.content, dict):
            return {key: node.plain for key, node in self.content.items()}
        if isinstance(self.content, list):
            return [node.plain for node in self.content]
        return self.content

    def child(self, part: str | int) -> Node | None:
        """The member or item at that key or index, or None."""
        if isinstance(self.content, dict):
            return self.content.get(str(part))
        if isinstance(self.content, list) and isinstance(part, int) and 0 <= part < len(self.content):
            return self.content[part]
        return None

    def nearest(self, path: Path) -> Node:
        """The node at ``path``, or its nearest ancestor that exists."""
        node = self
        for part in path:
            child = node.child(part)
            if child is None:
                break
            node = child
        return node

    def replaced(self, changes: Mapping[Path, Content | None]) -> Node:
        """A copy with new content at the paths in ``changes``; None removes the node."""
        if self.path in changes:
            return Node(changes[self.path], self.place, self.path)
        content = self.content
        if isinstance(content, dict):
            content = {key: node.replaced(changes) for key, node in content.items() if node.stays(changes)}
        elif isinstance(content, list):
            content = [node.replaced(changes) for node in content if node.stays(changes)]
        return Node(content, self.place, self.path)

    def stays(self, changes: Mapping[Path, Content | None]) -> bool:
        """Whether these changes leave a node here."""
        return changes.get(self.path, ()) is not None


Content = dict[str, Node] | list[Node] | str | int | float | bool | None


def read_tree(file: FilePath, kind: str = "profile") -> tuple[Node, list[ProfileProblem]]:
    """The tree of a YAML file, and mistakes that do not prevent reading it, such as duplicate keys.

    ``kind`` names the expected kind of file.
    Raises :class:`ProfileError` where there is no tree: no such file, not UTF-8, not YAML, not a mapping.
    """
    tree, problems = _parsed(file, _read_text(file), kind)
    return tree, list(problems)


@lru_cache(maxsize=128)
def _parsed(file: FilePath, text: str, kind: str) -> tuple[Node, tuple[ProfileProblem, ...]]:
    """What :func:`read_tree` returns. The result is cached, because parsing takes most of the time.

    Nodes of the tree are never changed; make a copy instead.
    """
    yaml = YAML(typ="safe", pure=True)
    try:
        document: YamlNode | None = yaml.compose(text)
    except YAMLError as error:
        raise ProfileError((_syntax_problem(file, text, error),)) from None
    if document is None:
        raise _failure(file, 0, "the file is empty", allowed=f"a mapping with the keys of a {kind}")
    reader = _Reader(file, yaml.constructor)
    tree = reader.node(document, (), SourcePlace(file, document.start_mark.line + 1))
    if not isinstance(tree.content, dict):
        found = "a list" if isinstance(tree.content, list) else "a single value"
        raise _failure(
            file, tree.place.line, f"a {kind} must be a mapping, this is {found}", allowed="key: value"
        )
    return tree, tuple(reader.problems)


def _failure(file: FilePath, line: int, message: str, **more: str) -> ProfileError:
    return ProfileError((ProfileProblem(file, line, "", message, **more),))


def _read_text(file: FilePath) -> str:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise _failure(file, 0, "there is no such file") from None
    except OSError as error:
        raise _failure(file, 0, f"cannot be read: {error.strerror or error}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        found = f"the byte 0x{data[error.start]:02x}"
        raise _failure(file, line, "the file is not UTF-8", found=found, allowed="text in UTF-8") from None


def _syntax_problem(file: FilePath, text: str, error: YAMLError) -> ProfileProblem:
    if isinstance(error, ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return ProfileProblem(
            file,
            line,
            "",
            f"not YAML: the control character 0x{error.character:02x} is not allowed in a file",
        )
    line, message = 0, "cannot be read as YAML"
    if isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        message = " ".join(str(part) for part in (error.context, error.problem) if part)
    lines = text.splitlines()
    if 0 < line <= len(lines) and lines[line - 1].lstrip(" ").startswith("\t"):
        message = "indented with a tab; YAML allows only spaces"
    return ProfileProblem(file, line, "", f"not YAML: {message}")


class _Reader:
    """Converts the parser's nodes and collects mistakes on the way."""

    def __init__(self, file: FilePath, constructor: Any) -> None:
        self.file = file
        self.problems: list[ProfileProblem] = []
        self._count = 0
        self._open: set[int] = set()
        self._constructor = constructor

    def node(self, source: YamlNode, path: Path, place: SourcePlace) -> Node:
        self._count += 1
        if self._count > _MOST_NODES:
            raise _failure(
                self.file, place.line, f"expands to more than {_MOST_NODES} values through aliases"
            )
        if isinstance(source, ScalarNode):
            return Node(self._scalar(source, path, place), place, path)
        if id(source) in self._open:
            raise _failure(self.file, place.line, "an alias that contains itself")
        self._open.add(id(source))
        try:
            if isinstance(source, MappingNode):
                return Node(dict(self._members(source, path)), place, path)
            assert isinstance(source, SequenceNode)
            return Node(
                [
                    self.node(item, (*path, index), self._place(item))
                    for index, item in enumerate(source.value)
                ],
                place,
                path,
            )
        finally:
            self._open.discard(id(source))

    def _place(self, source: YamlNode) -> SourcePlace:
        return SourcePlace(self.file, source.start_mark.line + 1)

    def _members(self, source: MappingNode, path: Path) -> Iterator[tuple[str, Node]]:
        first_lines: dict[str, int] = {}
        for key, value in source.value:
            place = self._place(key)
            if not isinstance(key, ScalarNode):
                self._problem(place, path, "a key must be plain text", "a list or a mapping as a key")
                continue
            name = str(key.value)
            if name in first_lines:
                self._problem(place, (*path, name), f"duplicate key, first used in line {first_lines[name]}")
                continue
            first_lines[name] = place.line
            yield name, self.node(value, (*path, name), place)

    def _scalar(self, source: ScalarNode, path: Path, place: SourcePlace) -> str | int | float | bool | None:
        kind = str(source.tag).removeprefix("tag:yaml.org,2002:")
        if kind not in _PLAIN_TYPES:
            # A date, for instance, stays text: payloads are JSON, which has no dates.
            return str(source.value)
        try:
            value = getattr(self._constructor, f"construct_yaml_{kind}")(source)
        except (YAMLError, ValueError, KeyError):
            self._problem(place, path, f"cannot be read as {kind}", str(source.value))
            return None
        if isinstance(value, float) and not isfinite(value):
            self._problem(
                place, path, "is not a number that JSON can hold", str(source.value), "a finite number"
            )
            return None
        return value  # type: ignore[no-any-return]

    def _problem(
        self,
        place: SourcePlace,
        path: Path,
        message: str,
        found: str | None = None,
        allowed: str | None = None,
    ) -> None:
        self.problems.append(ProfileProblem(self.file, place.line, dotted(path), message, found, allowed))
