"""The bench file: the devices that one run checks in parallel, and how each is reached."""

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

# Ways to reach a device; each is also an option of `harness check`.
REACHED_BY = ("listen", "mqtt", "coap", "mdns", "serial", "labgrid")

_PATHS = ("profile", "ca", "labgrid")

FileName = Annotated[str, Field(min_length=1)]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class BenchBoard(ProfilePart):
    """One device: its profile, and how it is reached. The keys are named like the command line options."""

    profile: Annotated[FileName, Field(description="path of its profile, from the folder of this file")]
    unit: Annotated[str | None, Field(min_length=1, description="what {unit} stands for in the profile")] = (
        None
    )
    simulate: Annotated[bool, Field(description="whether the device is simulated from the profile")] = False
    faults: Annotated[tuple[str, ...], Field(description="faults of a simulated device")] = ()
    listen: Annotated[
        str | None,
        Field(
            pattern=r"^.+:[0-9]{1,5}$",
            description="HOST:PORT at which the harness is the device's MQTT broker",
        ),
    ] = None
    mqtt: Annotated[
        str | None, Field(pattern=r"^mqtts?://.+", description="URL of the MQTT broker that the device uses")
    ] = None
    ca: Annotated[FileName | None, Field(description="path of certificates to trust for mqtts://")] = None
    coap: Annotated[
        str | None, Field(pattern=r"^coap://.+", description="the device's CoAP address, coap://HOST[:PORT]")
    ] = None
    mdns: Annotated[
        str | None, Field(min_length=1, description="the device's DNS-SD instance or host name")
    ] = None
    serial: Annotated[
        str | None,
        Field(
            min_length=1,
            description="the serial port of the board: a path, socket://HOST:PORT, rfc2217://HOST:PORT; "
            f"for a simulated device {SIMULATED_PORT}",
        ),
    ] = None
    interface: Annotated[
        str | None,
        Field(min_length=1, description="address of the harness on the device's network, for multicast"),
    ] = None

    power: Annotated[
        str | None, Field(min_length=1, description="how its power is switched, as for the option --power")
    ] = None
    hands: Annotated[
        str | None, Field(min_length=1, description="how it is operated, as for the option --hands")
    ] = None

    labgrid: Annotated[
        FileName | None, Field(description="path of the labgrid environment file that contains the device")
    ] = None
    target: Annotated[str | None, Field(min_length=1, description="target of that file")] = None

    @property
    def reached_by(self) -> list[str]:
        """The keys that define how a real device is reached."""
        return [key for key in REACHED_BY if getattr(self, key) is not None]


class BenchFile(ProfilePart):
    """A bench file."""

    boards: Annotated[
        dict[str, BenchBoard], Field(min_length=1, description="the devices, by names of your choice")
    ]


def load_boards(file: FilePath, *, faults: Collection[str]) -> BenchFile:
    """The devices in the YAML file, paths relative to the working directory. ``faults``: all known faults.

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
    """A problem with that key of a device in the file."""
    tree, _ = read_tree(file, "bench file")
    path: Path = ("boards", board, key)
    return problem_at(tree.nearest(path), path, message)


def _checked(tree: Node) -> tuple[BenchFile | None, list[ProfileProblem]]:
    """The valid part of the file: devices that break the schema are reported and left out."""
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
    """Mistakes that a schema cannot find: path, message, found value, allowed values."""
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
    """A report folder has the name of its device, and some file systems ignore case."""
    seen: dict[str, str] = {}
    for name in bench.boards:
        if not _NAME.fullmatch(name):
            yield (
                ("boards", name),
                "cannot be used as a folder name",
                name,
                "letters, digits, dots, dashes, underscores",
            )
        if (other := seen.setdefault(name.lower(), name)) != name:
            yield ("boards", name), "differs from another device only in capital letters", other, None


def _unreachable(path: Path, board: BenchBoard) -> Iterator[_Found]:
    if board.simulate:
        for key in board.reached_by:
            given = getattr(board, key)
            if (key, given) != ("serial", SIMULATED_PORT):
                yield (*path, key), "is for a real device, but this one is simulated", given, None
        for key in ("power", "hands"):
            if getattr(board, key) is not None:
                yield (
                    (*path, key),
                    "is for a real device; a simulated one is controlled by the harness",
                    None,
                    None,
                )
    else:
        if board.serial == SIMULATED_PORT:
            yield (*path, "serial"), "is for a simulated device", board.serial, "a port such as /dev/ttyUSB0"
        if not board.reached_by:
            yield (
                path,
                "does not declare how the device is reached",
                None,
                f"simulate, {', '.join(REACHED_BY)}",
            )
        if board.faults:
            yield (*path, "faults"), "are for simulated devices; add simulate: true", None, None
    if board.listen is not None and board.mqtt is not None:
        yield (
            (*path, "mqtt"),
            "and listen: the device connects either to the harness or to that broker",
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
            allowed = ", ".join(near) or "the names that `harness simulate --list-faults` lists"
            yield (*path, "faults", index), "there is no such fault", name, allowed


def _shared(bench: BenchFile) -> Iterator[_Found]:
    """Two devices cannot have the same address or port."""
    for key in ("listen", "coap", "mdns", "serial"):
        first: dict[str, str] = {}
        for name, board in bench.boards.items():
            given = getattr(board, key)
            if given not in (None, SIMULATED_PORT) and first.setdefault(given, name) != name:
                yield ("boards", name, key), f"is already used by the device {first[given]}", given, None
    places: dict[tuple[str, str | None], str] = {}
    for name, board in bench.boards.items():
        place = (board.labgrid or "", board.target)
        if board.labgrid is not None and (other := places.setdefault(place, name)) != name:
            yield (
                ("boards", name, "labgrid"),
                f"is already used by the device {other}; choose another target",
                board.target,
                None,
            )


def _placed(board: BenchBoard, folder: FilePath) -> BenchBoard:
    """The device with paths relative to the working directory, not to the folder of the file."""
    changes = {key: str(folder / given) for key in _PATHS if (given := getattr(board, key)) is not None}
    return board.model_copy(update=changes)
