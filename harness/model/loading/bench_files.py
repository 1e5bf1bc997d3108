"""The bench file: the boards that one run checks side by side, and how each of them is reached."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path as FilePath
from typing import Annotated

from pydantic import Field, ValidationError

from harness.model.base import ProfilePart
from harness.model.loading.validation import (
    explain,
    problem_at,
)
from harness.model.loading.yaml_tree import (
    Node,
    read_tree,
)
from harness.model.problems import Path, ProfileError, ProfileProblem
from harness.options import SIMULATED_PORT
from harness.registry import near_names

# What a board is reached by; each is an option of `harness check` as well.
REACHED_BY = ("listen", "mqtt", "coap", "mdns", "serial", "labgrid")

_PATHS = ("profile", "ca", "labgrid")

FileName = Annotated[str, Field(min_length=1)]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class BenchBoard(ProfilePart):
    """One board: its profile, and how it is reached. The keys are those of the command line's options."""

    profile: Annotated[FileName, Field(description="path of its profile, from the folder of this file")]
    unit: Annotated[str | None, Field(min_length=1, description="what {unit} stands for in the profile")] = (
        None
    )
    simulate: Annotated[bool, Field(description="a simulated board, built from the profile")] = False
    faults: Annotated[tuple[str, ...], Field(description="faults that a simulated board is given")] = ()
    listen: Annotated[
        str | None,
        Field(
            pattern=r"^.+:[0-9]{1,5}$",
            description="HOST:PORT where the board finds the harness as its MQTT broker",
        ),
    ] = None
    mqtt: Annotated[
        str | None, Field(pattern=r"^mqtts?://.+", description="URL of the MQTT broker that the board is on")
    ] = None
    ca: Annotated[FileName | None, Field(description="path of certificates to trust for mqtts://")] = None
    coap: Annotated[
        str | None, Field(pattern=r"^coap://.+", description="the board's CoAP address, coap://HOST[:PORT]")
    ] = None
    mdns: Annotated[
        str | None, Field(min_length=1, description="the board's DNS-SD instance or host name")
    ] = None
    serial: Annotated[
        str | None,
        Field(
            min_length=1,
            description="the board's serial port: a path, socket://HOST:PORT, rfc2217://HOST:PORT; "
            f"of a simulated one {SIMULATED_PORT}",
        ),
    ] = None
    interface: Annotated[
        str | None, Field(min_length=1, description="our address on the board's network, for multicast")
    ] = None

    power: Annotated[
        str | None, Field(min_length=1, description="who switches its power, as for the option --power")
    ] = None
    hands: Annotated[
        str | None, Field(min_length=1, description="who operates it, as for the option --hands")
    ] = None

    labgrid: Annotated[
        FileName | None, Field(description="path of an environment file of labgrid that the board is in")
    ] = None
    target: Annotated[str | None, Field(min_length=1, description="which target of that file it is")] = None

    @property
    def reached_by(self) -> list[str]:
        """The keys that say how a real board is reached."""
        return [key for key in REACHED_BY if getattr(self, key) is not None]


class BenchFile(ProfilePart):
    """A bench file."""

    boards: Annotated[
        dict[str, BenchBoard], Field(min_length=1, description="the boards, each by a name of its own")
    ]


def load_boards(file: FilePath, *, faults: Collection[str]) -> BenchFile:
    """The boards in the YAML file; paths in them become relative to where we are. ``faults``: all there are.

    Raises :class:`ProfileError` with every mistake, sorted by line. The profiles are not read.
    """
    tree, problems = read_tree(file, "bench file")
    bench, found = _checked(tree)
    problems += found
    for path, message, given, allowed in _mistakes(bench, file.parent, faults):
        node = tree.nearest(path)
        problems.append(problem_at(node, path, message, found=given, allowed=allowed))
    if problems:
        raise ProfileError(tuple(sorted(problems, key=lambda problem: problem.line)))
    assert bench is not None
    return bench.model_copy(
        update={"boards": {name: _placed(board, file.parent) for name, board in bench.boards.items()}}
    )


def problem_of(file: FilePath, board: str, key: str, message: str) -> ProfileProblem:
    """A problem with what a board of that file says under that key."""
    tree, _ = read_tree(file, "bench file")
    path: Path = ("boards", board, key)
    return problem_at(tree.nearest(path), path, message)


def _checked(tree: Node) -> tuple[BenchFile | None, list[ProfileProblem]]:
    """The file as far as it is one: boards that break the schema are reported, and left out of the rest."""
    problems: list[ProfileProblem] = []
    rest = tree
    while True:
        try:
            return BenchFile.model_validate(rest.plain), problems
        except ValidationError as error:
            explained = explain(error, rest, BenchFile)
        if rest is tree:
            problems = [found.problem for found in explained]
        spoilt = {found.spoils[:2] for found in explained if len(found.spoils) > 1}
        if not spoilt:
            return None, problems
        rest = rest.replaced(dict.fromkeys(spoilt))


_Found = tuple[Path, str, str | None, str | None]


def _mistakes(bench: BenchFile | None, folder: FilePath, faults: Collection[str]) -> Iterator[_Found]:
    """What a schema cannot see: path, message, what was found, what is allowed."""
    if bench is None:
        return
    yield from _names_of_folders(bench)
    for name, board in bench.boards.items():
        path: Path = ("boards", name)
        yield from _unreachable(path, board)
        yield from _unknown_faults(path, board, faults)
        yield from _of_labgrid(path, board)
        for key in _PATHS:
            given = getattr(board, key)
            if given is not None and not (folder / given).is_file():
                yield (*path, key), "there is no such file", str(folder / given), None
    yield from _shared(bench)


def _names_of_folders(bench: BenchFile) -> Iterator[_Found]:
    """A board's report has a folder of its name, and not every system tells capitals from small letters."""
    seen: dict[str, str] = {}
    for name in bench.boards:
        if not _NAME.fullmatch(name):
            yield (
                ("boards", name),
                "is no name for a folder",
                name,
                "letters, digits, dots, dashes, underscores",
            )
        if (other := seen.setdefault(name.lower(), name)) != name:
            yield ("boards", name), "differs in capital letters only from another board", other, None


def _unreachable(path: Path, board: BenchBoard) -> Iterator[_Found]:
    if board.simulate:
        for key in board.reached_by:
            given = getattr(board, key)
            if (key, given) != ("serial", SIMULATED_PORT):
                yield (*path, key), "is for a real board, and this one is simulated", given, None
        for key in ("power", "hands"):
            if getattr(board, key) is not None:
                yield (
                    (*path, key),
                    "is for a real board: a simulated one is switched and operated anyway",
                    None,
                    None,
                )
    else:
        if board.serial == SIMULATED_PORT:
            yield (*path, "serial"), "is for a simulated board", board.serial, "a port such as /dev/ttyUSB0"
        if not board.reached_by:
            yield path, "does not say how the board is reached", None, f"simulate, {', '.join(REACHED_BY)}"
        if board.faults:
            yield (*path, "faults"), "are for simulated boards; add simulate: true", None, None
    if board.listen is not None and board.mqtt is not None:
        yield (
            (*path, "mqtt"),
            "and listen: the board connects either to the harness or to that broker",
            None,
            None,
        )
    if board.listen is not None and int(board.listen.rpartition(":")[2]) > 65535:
        yield (*path, "listen"), "is not allowed", board.listen, "a port up to 65535"


def _of_labgrid(path: Path, board: BenchBoard) -> Iterator[_Found]:
    if board.target is not None and board.labgrid is None:
        yield (*path, "target"), "names a target of labgrid; add labgrid", board.target, None


def _unknown_faults(path: Path, board: BenchBoard, faults: Collection[str]) -> Iterator[_Found]:
    for index, name in enumerate(board.faults):
        if name not in faults:
            near = near_names(name, faults)
            allowed = ", ".join(near) or "the names that `harness simulate --list-faults` tells"
            yield (*path, "faults", index), "there is no such fault", name, allowed


def _shared(bench: BenchFile) -> Iterator[_Found]:
    """Two boards cannot be at the same place."""
    for key in ("listen", "coap", "mdns", "serial"):
        first: dict[str, str] = {}
        for name, board in bench.boards.items():
            given = getattr(board, key)
            if given not in (None, SIMULATED_PORT) and first.setdefault(given, name) != name:
                yield ("boards", name, key), f"is that of the board {first[given]}, too", given, None
    places: dict[tuple[str, str | None], str] = {}
    for name, board in bench.boards.items():
        place = (board.labgrid or "", board.target)
        if board.labgrid is not None and (other := places.setdefault(place, name)) != name:
            yield (
                ("boards", name, "labgrid"),
                f"is that of the board {other}, too; name another target",
                board.target,
                None,
            )


def _placed(board: BenchBoard, folder: FilePath) -> BenchBoard:
    """The board with paths from where we are, not from the folder of the file."""
    changes = {key: str(folder / given) for key in _PATHS if (given := getattr(board, key)) is not None}
    return board.model_copy(update=changes)
