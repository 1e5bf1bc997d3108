"""Profiles that extend others: the child is merged into its parent, and every value keeps its source line."""

from __future__ import annotations

from pathlib import Path

from harness.model.base import Value
from harness.model.loading.yaml_tree import (
    Node,
    read_tree,
)
from harness.model.problems import ProfileError, ProfileProblem
from harness.model.profile import FORMAT

EXTENDS = "extends"


def read_with_parents(file: Path) -> tuple[Node, list[ProfileProblem]]:
    """The tree of a profile merged into the one that it ``extends``, and so on up to the last parent.

    Mappings are merged member by member, everything else is replaced, and a member of the child that is
    null removes the parent's. Raises :class:`ProfileError` where a file cannot be read at all or a profile
    extends itself.
    """
    return _read(file, ())


def _read(file: Path, children: tuple[Path, ...]) -> tuple[Node, list[ProfileProblem]]:
    tree, problems = read_tree(file)
    assert isinstance(tree.content, dict)
    number = tree.child("format")
    if number is not None and is_newer(number.content):
        raise ProfileError((newer_format(file, number.place.line, number.content),))
    own = {key: node for key, node in tree.content.items() if key != EXTENDS}
    reference = tree.content.get(EXTENDS)
    if reference is None:
        return Node(own, tree.place, tree.path), problems
    parent = _parent(file, reference)
    chain = (*children, file)
    if parent.resolve() in {member.resolve() for member in chain}:
        circle = " extends ".join(str(member) for member in (*chain, parent))
        raise ProfileError(
            (ProfileProblem(file, reference.place.line, EXTENDS, f"goes in a circle: {circle}"),)
        )
    if not parent.exists():
        message = "there is no such file; the path is taken from the folder of this profile"
        raise ProfileError((ProfileProblem(file, reference.place.line, EXTENDS, message, found=str(parent)),))
    base, base_problems = _read(parent, chain)
    return merged(base, Node(own, tree.place, tree.path)), [*problems, *base_problems]


def is_newer(number: Value) -> bool:
    """Whether the value of ``format`` is a format that this version does not know."""
    return isinstance(number, int) and number > FORMAT


def newer_format(file: Path, line: int, number: Value) -> ProfileProblem:
    """The only problem reported for a profile in a newer format: it cannot be checked any further."""
    message = "this version of the harness does not know this format; update the harness"
    return ProfileProblem(file, line, "format", message, found=str(number), allowed=f"1 to {FORMAT}")


def _parent(file: Path, reference: Node) -> Path:
    if not isinstance(reference.content, str) or not reference.content:
        raise ProfileError(
            (
                ProfileProblem(
                    file,
                    reference.place.line,
                    EXTENDS,
                    "does not name a file",
                    found=str(reference.plain),
                    allowed="the path of another profile, such as smart-plug.yaml",
                ),
            )
        )
    return file.parent / reference.content


def merged(base: Node, over: Node) -> Node:
    """``over`` laid over ``base``."""
    if not isinstance(base.content, dict) or not isinstance(over.content, dict):
        return over
    members = dict(base.content)
    for key, node in over.content.items():
        if node.content is None:
            members.pop(key, None)
        elif key in members:
            members[key] = merged(members[key], node)
        else:
            members[key] = node
    return Node(members, over.place, over.path)
