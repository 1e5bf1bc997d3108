"""Observes a replacement: the scenes of the old device are played again with the new one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.model.profile import Profile
from harness.model.scene import Scene
from harness.model.semantics.casting import lacking
from harness.model.verdict import Verdict
from harness.session.compat.group_session import GroupMember
from harness.session.compat.scene import (
    play_scene,
    playable,
)
from harness.session.result import RunResult
from harness.session.target import Target


@dataclass(frozen=True, slots=True)
class Part:
    """A role of a scene that the old device plays, and the devices in the other roles."""

    scene: Scene
    path: Path
    role: str
    others: Mapping[str, tuple[Profile, Path]]

    @property
    def name(self) -> str:
        """The name in reports."""
        return f"{self.scene.scene}-{self.role}"


@dataclass(frozen=True, slots=True)
class Replay:
    """The results of a part, played with the old device and with the new one.

    ``lacks`` says why the new one cannot play it at all, if so.
    """

    part: Part
    before: RunResult
    after: RunResult | None
    lacks: tuple[str, ...] = ()

    @property
    def was_good(self) -> bool:
        """Whether the scene worked with the old device; otherwise there is nothing to lose."""
        return not failures(self.before)

    @property
    def losses(self) -> tuple[str, ...]:
        """What works with the old device and not with the new one."""
        if not self.was_good:
            return ()
        return self.lacks if self.after is None else failures(self.after)


def failures(run: RunResult) -> tuple[str, ...]:
    """What failed; if nothing did, what could not be decided."""
    found = [each.result for each in run.judgements if each.result.outcome.verdict is Verdict.FAIL]
    found = found or [
        each.result
        for each in run.judgements
        if each.result.outcome.verdict in (Verdict.INCONCLUSIVE, Verdict.ERROR)
    ]
    return tuple(f"{each.id}: {each.outcome.message}" for each in found)


def parts_of(
    old: Profile,
    new: Profile,
    scenes: Sequence[tuple[Scene, Path]],
    available: Sequence[tuple[Profile, Path]],
) -> Iterator[Part]:
    """The parts that the old device can play, with other ``available`` devices in the other roles.

    Neither of the two plays beside itself. A scene for which a device is missing is left out.
    """
    others_of = [device for device in available if device[0].profile not in (old.profile, new.profile)]
    for scene, path in scenes:
        for role in playable(scene, old):
            others = _cast(scene, role, others_of)
            if others is not None:
                yield Part(scene, path, role, others)


async def replay(
    part: Part, old: GroupMember, new: GroupMember, *, seed: int = 1, traces: Path | None = None
) -> Replay:
    """Play a part with the old device, and with the new one. Raises the links' errors."""
    before = await _play(part, old, seed, traces, "old")
    lacks = lacking(part.scene, part.role, new.profile)
    if lacks or failures(before):
        return Replay(
            part, before, None, tuple(f"{new.profile.profile} cannot play it: {text}" for text in lacks)
        )
    return Replay(part, before, await _play(part, new, seed, traces, "new"))


async def _play(part: Part, member: GroupMember, seed: int, traces: Path | None, which: str) -> RunResult:
    cast = [GroupMember(part.role, member.profile, member.path, member.target)]
    for role, (profile, path) in part.others.items():
        cast.append(GroupMember(role, profile, str(path), Target(simulate=True)))
    trace = traces / f"{part.name}-{which}.jsonl" if traces is not None else None
    return await play_scene(part.scene, cast, path=str(part.path), seed=seed, trace=trace)


def _cast(
    scene: Scene, role: str, available: Sequence[tuple[Profile, Path]]
) -> dict[str, tuple[Profile, Path]] | None:
    """A different device for each other role; None if there are not enough."""
    found: dict[str, tuple[Profile, Path]] = {}
    for other in scene.roles:
        if other == role:
            continue
        taken = {profile.profile for profile, _ in found.values()}
        fit = next(
            (
                (profile, path)
                for profile, path in available
                if profile.profile not in taken and not lacking(scene, other, profile)
            ),
            None,
        )
        if fit is None:
            return None
        found[other] = fit
    return found
