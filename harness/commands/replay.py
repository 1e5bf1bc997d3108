"""``harness compat OLD NEW --replaces --observe``: the scenes of the old device, played with the new one."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from harness.links.clock.loop import run as run_loop
from harness.model.loading.profiles import load_profile
from harness.model.loading.scenes import load_scene
from harness.model.problems import ProfileError
from harness.model.profile import Profile
from harness.model.scene import Scene
from harness.model.verdict import ExitStatus
from harness.report.run.write import write_report
from harness.session.compat.group_session import GroupMember
from harness.session.compat.replacement import (
    Replay,
    parts_of,
    replay,
)
from harness.session.target import Target, UsageError


def run(arguments: argparse.Namespace) -> int:
    """Replay all scenes that the old device can play; returns 1 if one no longer works."""
    old, new = (_member(Path(name)) for name in (arguments.first, arguments.second))
    folder = Path(arguments.scenes) if arguments.scenes else Path(arguments.first).parent / "scenes"
    parts = list(
        parts_of(old.profile, new.profile, _scenes(folder), _available(Path(arguments.first).parent))
    )
    if not parts:
        print(f"observed: nothing; {old.profile.profile} fits no role in the scenes of {folder}")
        return ExitStatus.OK
    replays = [run_loop(replay(part, old, new), virtual=True) for part in parts]
    for each in replays:
        print("\n".join(_result_lines(each, old.profile, new.profile)))
    if arguments.report:
        _write(Path(arguments.report), replays)
    return ExitStatus.FAILED if any(each.losses for each in replays) else ExitStatus.OK


def _result_lines(each: Replay, old: Profile, new: Profile) -> Sequence[str]:
    part = each.part
    cast = ", ".join(f"{role}={profile.profile}" for role, (profile, _) in part.others.items())
    what = f"observed: scene {part.scene.scene} with {part.role}={new.profile} ({cast})"
    if not each.was_good:
        return [f"{what}: skipped, it fails with {old.profile} as well"]
    if not each.losses:
        return [f"{what}: works as with {old.profile}"]
    return [f"{what}: LOST, it worked with {old.profile}", *(f"  {text}" for text in each.losses)]


def _write(folder: Path, replays: Sequence[Replay]) -> None:
    runs = {f"{each.part.name}-old": each.before for each in replays}
    runs |= {f"{each.part.name}-new": each.after for each in replays if each.after is not None}
    write_report(folder / "scenes", list(runs.values()), lanes=list(runs))


def _member(path: Path) -> GroupMember:
    profile = load_profile(path)
    return GroupMember(profile.profile, profile, str(path), Target(simulate=True))


def _scenes(folder: Path) -> list[tuple[Scene, Path]]:
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise UsageError(f"there are no scenes in {folder}; name their folder with --scenes DIR")
    return [(load_scene(path), path) for path in paths]


def _available(folder: Path) -> list[tuple[Profile, Path]]:
    """The profiles in the folder of the old device, for the other roles; other files are skipped."""
    found = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            found.append((load_profile(path), path))
        except ProfileError:
            continue
    return found
