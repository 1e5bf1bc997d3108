"""Scenes: each step has its expected effects."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from harness.checks.bench import StimulusError
from harness.checks.case import failed, inconclusive, passed
from harness.checks.support.behaviour.transports import name_of
from harness.checks.support.compat.bench import GroupBench
from harness.checks.support.compat.catalogue import (
    GroupCase,
    GroupCheck,
    group_requirement,
)
from harness.checks.support.compat.device_group import DeviceGroup
from harness.checks.support.compat.scene_actions import do
from harness.checks.support.compat.step_progress import (
    STEP,
    ConditionWatch,
    chain_begin,
    played,
    shown,
    window_of_step,
)
from harness.model.requirement import Basis, Level
from harness.model.rule import Condition
from harness.model.scene import Scene, Step
from harness.model.verdict import Outcome, Subject, Verdict
from harness.trace.events import Act, Event, Judged, Stimulus

ROUNDING = 2e-6  # times in traces are rounded
SLACK = 1.02  # wait a little longer than allowed before something counts as missing
AT_FIRST = 10.0  # seconds to reach the initial state
_ACTIONS = (Act.LOCAL, Act.WRITE, Act.INVOKE)


def scene_of(group: DeviceGroup) -> Scene:
    """The scene of a home that has one."""
    assert group.scene is not None, "planned without a scene"
    return group.scene


@group_requirement(
    STEP,
    standard="the scene",
    clause="scene: steps",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that each step of the scene has its effects in time, and that they last",
    stimulus="Perform the actions of the step; watch the reports of the devices",
    expect="Everything under `then` is reported within `within`, not before `not_before`, and lasts `holds`",
    usual_cause="One device of the chain does not report or react, or is too slow; the message says which.",
    needs_all=False,  # a device may have lost power in the previous step
)
class StepFollows(GroupCheck):
    """Runs one step after the other; after a failed step the rest is not run."""

    def subjects(self, group: DeviceGroup) -> Iterable[Subject]:
        return [Subject(step.id) for step in group.scene.steps] if group.scene is not None else ()

    def max_extension(self, group: DeviceGroup, subject: Subject) -> float:
        step = scene_of(group).step(name_of(subject))
        return 2 * step.within + step.holds

    async def stimulate(self, group_bench: GroupBench, subject: Subject) -> None:
        scene = scene_of(group_bench.group)
        step = scene.step(name_of(subject))
        _require_previous(group_bench, scene, step)
        if step is scene.steps[0]:
            await _bring_about(group_bench, scene)
        since = group_bench.mark() if step.actions else chain_begin(group_bench.trace, scene, step)
        if step.at_once:
            await asyncio.gather(*(do(group_bench, action) for action in step.actions))
        else:
            for action in step.actions:
                await do(group_bench, action)
        await _observe(group_bench, step, ConditionWatch(group_bench, step, since))

    def judge(self, case: GroupCase) -> Outcome:
        scene = scene_of(case.group)
        step = scene.step(name_of(case.subject))
        actions = _actions_of(case, step)
        if step.actions and not actions:
            return inconclusive("no action of the step was performed")
        start, since = _beginning(case, scene, step, actions)
        found = played(case, step, since, start)
        base = [event.line for event in actions[:4]] or [case.window[0].line]
        watched = case.window[-1].time + ROUNDING
        if found.reached is None:
            if watched < start + step.within:
                return inconclusive(f"it was not observed for {step.within:g} s", base)
            text = f"step {step.id}: {found.progress.missing()} after {step.within:g} s"
            return failed(text, base, found.progress.evidence())
        if found.was_so and not step.kept:
            return inconclusive(
                "the effects were present before any action; `start` has to set another state", base
            )
        took = max(0.0, found.reached - start)
        if took > step.within + ROUNDING:
            return failed(
                f"step {step.id}: it took {took:.3f} s, {step.within:g} s are allowed", base, found.lines
            )
        if took < step.not_before - ROUNDING:
            text = f"step {step.id}: it came after {took:.3f} s, and not before {step.not_before:g} s"
            return failed(text, base, found.lines)
        if found.lost is not None and found.lost.time < found.reached + step.holds - ROUNDING:
            lost = found.lost
            text = f"step {step.id}: it did not last, {lost.name} became {shown(lost.value)}"
            return failed(f"{text} after {lost.time - found.reached:.3f} s", base, found.lines, lost.line)
        if step.holds and watched < found.reached + step.holds:
            return inconclusive(f"it was not observed for the {step.holds:g} s that it has to last", base)
        return passed(f"{step.purpose}: done after {took:.3f} s", base, found.lines)


async def _observe(group_bench: GroupBench, step: Step, watch: ConditionWatch) -> None:
    """Wait for the effects of the step, and for as long as they have to last."""
    why, deadline = f"scene: steps, {step.id}", group_bench.now + step.within * SLACK + ROUNDING
    while True:
        if not watch.progress.reached:
            limit, what = deadline - group_bench.now, "the effects of the step"
            if await group_bench.wait_for(watch.reached_by, within=limit, imposed_by=why, what=what) is None:
                return
        # An effect that is lost before the deadline may come again.
        if not step.holds:
            return
        limit, what = step.holds * SLACK, "the effects of the step to last"
        lost = await group_bench.wait_for(watch.lost_by, within=limit, imposed_by=why, what=what)
        if lost is None or group_bench.now >= deadline:
            return


def _actions_of(case: GroupCase, step: Step) -> list[Event]:
    """The actions of the step itself in the window, without those that set the initial state."""
    acts = [
        event
        for event in case.window
        if isinstance(event.body, Stimulus) and event.body.act in _ACTIONS and event.device is not None
    ]
    return acts[-len(step.actions) :] if step.actions else []


def _beginning(case: GroupCase, scene: Scene, step: Step, actions: list[Event]) -> tuple[float, int]:
    """The start time of a step, and the line after which events count for it."""
    if actions:
        return actions[-1].time, actions[0].line - 1
    at = scene.steps.index(step)
    _, end = window_of_step(case.trace, scene.steps[at - 1])
    return (end or case.window[0]).time, chain_begin(case.trace, scene, step)


async def _bring_about(group_bench: GroupBench, scene: Scene) -> None:
    """Set the initial state of the scene. Raises StimulusError."""
    for at, action in enumerate(scene.start):
        if action.set is None:
            await do(group_bench, action)
            continue
        condition = Condition(property_=action.set, equals=action.to)
        watch = ConditionWatch(
            group_bench,
            Step(id=f"start-{at}", purpose="initial state", then=(condition,)),
            group_bench.mark(),
        )
        if watch.progress.reached:
            continue  # do not repeat a state that is already set
        await do(group_bench, action)
        await group_bench.wait_for(
            watch.reached_by, within=AT_FIRST, since=watch.seen, what=f"the initial state {condition}"
        )
        if not watch.progress.reached:
            raise StimulusError(f"the initial state of the scene was not reached: {watch.progress.missing()}")


def _require_previous(group_bench: GroupBench, scene: Scene, step: Step) -> None:
    """Raise StimulusError if the previous step did not pass."""
    at = scene.steps.index(step)
    if not at:
        return
    previous = scene.steps[at - 1]
    for event in reversed(group_bench.trace):
        body = event.body
        if isinstance(body, Judged) and (body.check, body.subject) == (STEP, previous.id):
            if body.verdict == Verdict.PASS:
                return
            break
    raise StimulusError(f"the previous step {previous.id} did not pass")
