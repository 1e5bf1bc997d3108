"""Scenes: each step is followed by what the scene says, and its rules hold all the time."""

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
    Watch,
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
SLACK = 1.02  # what is missing is waited for a little longer than allowed, so that it is missing for certain
AT_FIRST = 10.0  # seconds for how things stand at first
_DEEDS = (Act.LOCAL, Act.WRITE, Act.INVOKE)


def scene_of(home: DeviceGroup) -> Scene:
    """The scene of a home that has one."""
    assert home.scene is not None, "planned without a scene"
    return home.scene


@group_requirement(
    STEP,
    standard="the scene",
    clause="scene: steps",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that what a step of the scene is to bring about comes about in time, and lasts",
    stimulus="Do what the step says to the devices; watch what they tell",
    expect="Everything under `then` is told within `within`, not before `not_before`, and stays for `holds`",
    usual_cause="One device of the chain does not tell, does not obey, or is too slow; the step says which.",
    needs_all=False,  # a device may have lost its power in the step before
)
class StepFollows(GroupCheck):
    """One step after another: where one fails, those after it are not played."""

    def subjects(self, home: DeviceGroup) -> Iterable[Subject]:
        return [Subject(step.id) for step in home.scene.steps] if home.scene is not None else ()

    def max_extension(self, home: DeviceGroup, subject: Subject) -> float:
        step = scene_of(home).step(name_of(subject))
        return 2 * step.within + step.holds

    async def stimulate(self, stage: GroupBench, subject: Subject) -> None:
        scene = scene_of(stage.home)
        step = scene.step(name_of(subject))
        _require_previous(stage, scene, step)
        if step is scene.steps[0]:
            await _bring_about(stage, scene)
        since = stage.mark() if step.deeds else chain_begin(stage.trace, scene, step)
        if step.at_once:
            await asyncio.gather(*(do(stage, deed) for deed in step.deeds))
        else:
            for deed in step.deeds:
                await do(stage, deed)
        await _observe(stage, step, Watch(stage, step, since))

    def judge(self, case: GroupCase) -> Outcome:
        scene = scene_of(case.home)
        step = scene.step(name_of(case.subject))
        deeds = _deeds_of(case, step)
        if step.deeds and not deeds:
            return inconclusive("nothing was done that could set it off")
        start, since = _beginning(case, scene, step, deeds)
        found = played(case, step, since, start)
        base = [event.line for event in deeds[:4]] or [case.window[0].line]
        watched = case.window[-1].time + ROUNDING
        if found.reached is None:
            if watched < start + step.within:
                return inconclusive(f"it was not watched for {step.within:g} s", base)
            text = f"step {step.id}: {found.progress.missing()} after {step.within:g} s"
            return failed(text, base, found.progress.evidence())
        if found.was_so and not step.kept:
            return inconclusive(
                "it was so before anything was done; `start` has to bring about otherwise", base
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
            return inconclusive(f"it was not watched for the {step.holds:g} s that it has to last", base)
        return passed(f"{step.purpose}: so after {took:.3f} s", base, found.lines)


async def _observe(stage: GroupBench, step: Step, watch: Watch) -> None:
    """Wait until what the step wants has come, and for as long as it has to last."""
    why, deadline = f"scene: steps, {step.id}", stage.now + step.within * SLACK + ROUNDING
    while True:
        if not watch.progress.reached:
            limit, what = deadline - stage.now, "what the step is to bring about"
            if await stage.wait_for(watch.reached_by, within=limit, imposed_by=why, what=what) is None:
                return
        # What goes again before the deadline may come once more.
        if not step.holds:
            return
        limit, what = step.holds * SLACK, "what the step brought about to last"
        lost = await stage.wait_for(watch.lost_by, within=limit, imposed_by=why, what=what)
        if lost is None or stage.now >= deadline:
            return


def _deeds_of(case: GroupCase, step: Step) -> list[Event]:
    """What the harness did in the window for the step itself, after what brought about how it begins."""
    acts = [
        event
        for event in case.window
        if isinstance(event.body, Stimulus) and event.body.act in _DEEDS and event.device is not None
    ]
    return acts[-len(step.deeds) :] if step.deeds else []


def _beginning(case: GroupCase, scene: Scene, step: Step, deeds: list[Event]) -> tuple[float, int]:
    """When the times of a step begin, and the line after which events count for it."""
    if deeds:
        return deeds[-1].time, deeds[0].line - 1
    at = scene.steps.index(step)
    _, end = window_of_step(case.trace, scene.steps[at - 1])
    return (end or case.window[0]).time, chain_begin(case.trace, scene, step)


async def _bring_about(stage: GroupBench, scene: Scene) -> None:
    """How things stand at first. Raises CannotStimulateError."""
    for at, deed in enumerate(scene.start):
        if deed.set is None:
            await do(stage, deed)
            continue
        condition = Condition(property_=deed.set, equals=deed.to)
        watch = Watch(stage, Step(id=f"start-{at}", purpose="at first", then=(condition,)), stage.mark())
        if watch.progress.reached:
            continue  # what is so already is not commanded: not every device takes that well
        await do(stage, deed)
        await stage.wait_for(
            watch.reached_by, within=AT_FIRST, since=watch.seen, what=f"{condition} at first"
        )
        if not watch.progress.reached:
            raise StimulusError(f"the scene does not begin: {watch.progress.missing()}")


def _require_previous(stage: GroupBench, scene: Scene, step: Step) -> None:
    """Raise CannotStimulateError where the step before this one did not come about."""
    at = scene.steps.index(step)
    if not at:
        return
    previous = scene.steps[at - 1]
    for event in reversed(stage.trace):
        body = event.body
        if isinstance(body, Judged) and (body.check, body.subject) == (STEP, previous.id):
            if body.verdict == Verdict.PASS:
                return
            break
    raise StimulusError(f"the step {previous.id} before it did not come about")
