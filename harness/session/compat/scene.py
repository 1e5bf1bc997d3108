"""Plays a scene with a cast of devices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.model.loading.scenes import scene_to_json
from harness.model.profile import Profile
from harness.model.requirement import BenchFeature
from harness.model.scene import Scene
from harness.model.semantics.casting import lacking
from harness.session.compat.automations import (
    AutomationSet,
    InteractionAutomation,
    SceneAutomation,
)
from harness.session.compat.group_run import GroupRun
from harness.session.compat.group_session import (
    GroupMember,
    GroupSession,
    Purpose,
    facts_of,
)
from harness.session.compat.plan import group_of_scene, plan_group
from harness.session.result import Judgement, RunResult
from harness.session.target import UsageError

OF_SCENES = ("COMPAT-1[0-4]", "COMPAT-3*")
"""The checks of a scene: its steps and rules, and the coexistence of its devices."""


async def play_scene(
    scene: Scene,
    cast: Sequence[GroupMember],
    *,
    path: str = "",
    seed: int = 1,
    trace: Path | None = None,
    select: Sequence[str] = OF_SCENES,
    on_started: Callable[[str], None] = lambda check: None,
    on_result: Callable[[Judgement], None] = lambda judgement: None,
) -> RunResult:
    """Start the cast on one bus, play the scene step by step, and judge.

    ``path`` is that of the scene's file, for reports. Raises UsageError if the cast cannot play the scene,
    and the links' errors if the devices cannot be started.
    """
    require_cast(scene, {member.role: member.profile for member in cast})
    in_order = sorted(cast, key=lambda member: list(scene.roles).index(member.role))
    session = GroupSession(in_order, Purpose("scene", scene_to_json(scene), path), seed=seed, trace=trace)
    profiles, met = facts_of(in_order)
    _require_power(scene, met)
    group = group_of_scene(scene, profiles, met)
    run = GroupRun(group, session, AutomationSet(SceneAutomation(group), InteractionAutomation(group)))
    await run.open()
    try:
        for planned in plan_group(group, select):
            on_started(planned.id)
            on_result(await run.run(planned))
    except BaseException:
        await run.close("interrupted")
        raise
    await run.close()
    return run.result()


def require_cast(scene: Scene, cast: Mapping[str, Profile]) -> None:
    """Raise UsageError, listing everything that is missing, if a cast cannot play a scene."""
    problems = [f"no device plays {role}" for role in scene.roles if role not in cast]
    for role, profile in cast.items():
        if role in scene.roles:
            found = lacking(scene, role, profile)
            problems += [f"{profile.profile} cannot play {role}: {text}" for text in found]
        else:
            problems.append(f"{role} is not one of its roles: {', '.join(scene.roles)}")
    if problems:
        raise UsageError("\n".join(f"scene {scene.scene}: {problem}" for problem in problems))


def playable(scene: Scene, profile: Profile) -> tuple[str, ...]:
    """The roles of a scene that a device can play."""
    return tuple(role for role in scene.roles if not lacking(scene, role, profile))


def _require_power(scene: Scene, met: Mapping[str, frozenset[BenchFeature]]) -> None:
    for wire in scene.wiring:
        if BenchFeature.POWER not in met[wire.feeds]:
            text = f"{wire.feeds} is powered through {wire.through}, and nothing here can switch that power"
            raise UsageError(f"scene {scene.scene}: {text}; simulate it, or say how to switch it (power:…)")
