"""Performs the actions of a scene on any device: by hand, by its sensors, or over the network."""

from __future__ import annotations

from harness.checks.bench import Bench, BenchLimitationError, StimulusError
from harness.checks.support.behaviour.arrange import StateArranger
from harness.checks.support.behaviour.local_operation import unlock
from harness.checks.support.behaviour.transports import open_writers
from harness.checks.support.compat.bench import GroupBench
from harness.model.base import Value
from harness.model.requirement import BenchFeature
from harness.model.scene import SceneAction, split_term
from harness.model.semantics.casting import (
    control_for_event,
    control_that_sets,
    ways_to_command,
)
from harness.model.semantics.mapping import UntranslatableError
from harness.model.semantics.translator import (
    ProfileTranslator,
    UnofferedError,
)


async def do(group_bench: GroupBench, action: SceneAction) -> None:
    """Perform an action without waiting for its effect. Raises StimulusError."""
    role, path = split_term(action.term)
    bench = group_bench.bench(role)
    translator = ProfileTranslator(bench.profile)
    try:
        if action.happen is not None:
            await _operate(bench, role, control_for_event(translator, path, action.data), action)
        elif action.command is not None:
            await _command(bench, role, path, action)
        elif action.invoke is not None:
            await _order(bench, translator, path, action.given, action)
        else:
            await _set(bench, role, translator, path, action)
    except (UnofferedError, UntranslatableError) as problem:
        raise StimulusError(f"{action}: {problem}") from problem


async def _set(
    bench: Bench, role: str, translator: ProfileTranslator, path: str, action: SceneAction
) -> None:
    found = translator.find(path)
    if found is None or not found.offer.property_ or found.offer.member is not None:
        await _order(bench, translator, path, action.to, action)
        return
    name, value = found.affordance, translator.own_value(path, action.to)
    schema = bench.profile.properties[name]
    arranger = StateArranger(bench)
    await arranger.look([name])
    present = arranger.state.get(name)
    control = control_that_sets(bench.profile, name, value, present)
    if control is not None and bench.offers(BenchFeature.LOCAL):
        if not schema.agrees(value, present) or present is None:
            await _operate(bench, role, control, action)
    elif schema.writable:
        await _order(bench, translator, path, action.to, action)
    elif bench.offers(BenchFeature.LOCAL):
        await bench.local.sense(name, value)
    else:
        raise BenchLimitationError(f"{action}: this bench cannot stimulate the sensors of {role}")


async def _command(bench: Bench, role: str, path: str, action: SceneAction) -> None:
    """Operate a controller so that it commands something."""
    for way in ways_to_command(bench.profile, path, action.to):
        if way.control is not None:
            await _operate(bench, role, way.control, action)
            return
        name = way.property_ or ""
        arranger = StateArranger(bench)
        await arranger.look([name])
        control = control_that_sets(bench.profile, name, way.value, arranger.state.get(name))
        if control is not None:
            await _operate(bench, role, control, action)
        elif bench.profile.properties[name].writable:
            transports = open_writers(bench, name)
            if not transports:
                raise BenchLimitationError(f"{action}: this bench has no transport to command {role}.{name}")
            await bench.write(name, way.value, transport=transports[0].value)
        elif bench.offers(BenchFeature.LOCAL):
            await bench.local.sense(name, way.value)
        else:
            raise BenchLimitationError(f"{action}: this bench cannot stimulate the sensors of {role}")
        return
    raise StimulusError(f"{action}: no control or sensor of {role} makes it send that command")


async def _operate(bench: Bench, role: str, control: str | None, action: SceneAction) -> None:
    if control is None:
        raise StimulusError(f"{action}: no control of {role} does that")
    if not bench.offers(BenchFeature.LOCAL):
        raise BenchLimitationError(f"{action}: this bench cannot operate {role} by hand")
    if bench.profile.controls[control].unless:
        arranger = StateArranger(bench)
        await arranger.look()
        await unlock(arranger, bench.profile, control)
    await bench.local.operate(control)


async def _order(
    bench: Bench, translator: ProfileTranslator, path: str, value: Value, action: SceneAction
) -> None:
    order = translator.order(path, value)
    transports = open_writers(bench, order.name)
    if not transports:
        raise BenchLimitationError(f"{action}: this bench has no transport to command {order.name}")
    if order.is_action:
        await bench.invoke(order.name, order.value, transport=transports[0].value)
    else:
        await bench.write(order.name, order.value, transport=transports[0].value)
