"""``harness scene``: a scene of a home, played by a cast of devices."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness.commands.together import Listener, reach_of, run_together
from harness.model.loading.scenes import load_scene
from harness.model.scene import Scene
from harness.model.verdict import ExitStatus
from harness.session.compat.group_session import facts_of
from harness.session.compat.plan import group_of_scene, plan_group
from harness.session.compat.scene import (
    OF_SCENES,
    play_scene,
    require_cast,
)
from harness.session.compat.setup import members_of
from harness.session.result import Judgement
from harness.session.target import UsageError


def run(arguments: argparse.Namespace) -> int:
    """Play a scene; without a cast, describe it. Returns the exit status."""
    path = Path(arguments.scene)
    scene = load_scene(path)
    if not arguments.cast:
        print("\n".join(_description(scene)))
        return ExitStatus.OK
    cast = [_cast(text) for text in arguments.cast]
    doubled = [role for at, (role, _) in enumerate(cast) if role in [each for each, _ in cast[:at]]]
    if doubled:
        raise UsageError(f"--cast {doubled[0]}=…: the role is given twice; cast only one device for it")
    if not arguments.simulate and not arguments.dut:
        arguments.simulate = True
    members = members_of(cast, reach_of(arguments))
    require_cast(scene, {member.role: member.profile for member in members})

    def play(trace: Path | None, started: Listener, judged: Callable[[Judgement], None]) -> Any:
        return play_scene(
            scene,
            members,
            path=str(path),
            seed=arguments.seed,
            trace=trace,
            select=arguments.select or OF_SCENES,
            on_started=started,
            on_result=judged,
        )

    group = group_of_scene(scene, *facts_of(members))
    total = len(plan_group(group, arguments.select or OF_SCENES))
    return run_together(arguments, members, scene.scene, total, play)


def _cast(text: str) -> tuple[str, Path]:
    role, sign, path = text.partition("=")
    if not sign or not path:
        raise UsageError(f"--cast {text}: expected ROLE=PROFILE, such as light=profiles/light.yaml")
    return role, Path(path)


def _description(scene: Scene) -> Iterator[str]:
    yield f"{scene.scene}: {scene.title}"
    if scene.description:
        yield textwrap.fill(
            " ".join(scene.description.split()), 100, initial_indent="  ", subsequent_indent="  "
        )
    yield "roles, to be cast with --cast ROLE=PROFILE:"
    for role, wanted in scene.roles.items():
        title = f" ({wanted.title})" if wanted.title else ""
        offers = [f"offers {', '.join(wanted.offers)}"] if wanted.offers else []
        commands = [f"commands {', '.join(wanted.commands)}"] if wanted.commands else []
        yield f"  {role}{title}: {'; '.join([*offers, *commands])}"
    for kind, entries in (("the hub", scene.automations), ("rules", scene.rules)):
        if entries:
            yield f"{kind}:"
        for rule in entries:
            yield f"  {rule.id}: {rule.purpose}"
    yield "steps:"
    for step in scene.steps:
        yield f"  {step.id}: {step.purpose}"
        for action in step.actions:
            yield f"    {action}"
