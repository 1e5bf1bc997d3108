"""Reads the boards of a bench file, with their profiles and targets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.model.loading.bench_files import (
    BenchBoard,
    load_boards,
    problem_of,
)
from harness.model.loading.profiles import load_profile
from harness.model.problems import ProfileError, ProfileProblem
from harness.model.profile import Profile
from harness.session.setup.targets import DeviceConnection, labgrid_target_of, target_of
from harness.session.target import Target, UsageError, helper_in
from harness.simulate.faults import all_faults


@dataclass(frozen=True, slots=True)
class Placed:
    """A board of the bench with its profile, and how it is reached."""

    name: str
    profile: Profile
    path: Path
    target: Target


def boards_of(file: Path, *, broker: str) -> list[Placed]:
    """The boards that the bench file names. ``broker``: the one for simulated boards and the tap.

    Raises UsageError with every mistake in the file and in the profiles that it names.
    """
    try:
        bench = load_boards(file, faults=[fault.name for fault in all_faults()])
    except ProfileError as problem:
        raise UsageError(str(problem)) from None
    problems: list[ProfileProblem] = []
    placed = []
    for name, board in bench.boards.items():
        path = Path(board.profile)
        try:
            profile = load_profile(path, unit=board.unit)
        except ProfileError as problem:
            problems += problem.problems
            continue
        problems += [problem_of(file, name, key, message) for key, message in _mistakes(board, profile)]
        if not problems:
            placed.append(
                Placed(
                    name,
                    profile,
                    path,
                    target_of(DeviceConnection.of(board), broker=broker, faults=board.faults),
                )
            )
    if problems:
        # Boards of one kind share a profile, and its mistakes.
        raise UsageError("\n".join(dict.fromkeys(str(problem) for problem in problems)))
    return placed


def _mistakes(board: BenchBoard, profile: Profile) -> Iterator[tuple[str, str]]:
    """What does not fit the board's profile, or names no actuator: key and message."""
    bindings = profile.bindings
    spoken = {
        "listen": ("mqtt", bindings.mqtt),
        "mqtt": ("mqtt", bindings.mqtt),
        "coap": ("coap", bindings.coap),
        "serial": ("serial", bindings.serial),
    }
    for key, (name, binding) in spoken.items():
        if getattr(board, key) is not None and binding is None:
            yield key, f"its profile has no bindings for {name}"
    for key in ("power", "hands"):
        try:
            helper_in(getattr(board, key), key)
        except UsageError as problem:
            yield key, str(problem)
    try:
        labgrid = labgrid_target_of(DeviceConnection.of(board))
    except UsageError as problem:
        yield "labgrid", str(problem)
        return
    if board.reached_by == ["labgrid"] and not (labgrid and labgrid.serial and bindings.serial):
        yield (
            "labgrid",
            "provides no serial line that fits the profile, and nothing else reaches the board",
        )
