"""Signs of life: make a device report something without changing its state."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from harness.checks.bench import Bench, StimulusError
from harness.checks.case import Case
from harness.checks.observations import Report, Transport
from harness.checks.support.behaviour.boundary_values import limits
from harness.checks.support.behaviour.commands import command_and_wait
from harness.checks.support.behaviour.forecast import obstacles
from harness.checks.support.behaviour.transports import (
    open_readers,
    open_writers,
)
from harness.model.base import Value
from harness.model.requirement import BenchFeature
from harness.model.schema import same_value

_TRIES = 3  # properties that are tried in turn


async def prompt_report(bench: Bench) -> bool:
    """Make the device report on its transports; returns whether it did.

    Over MQTT its present state is sent as a command, which the device confirms. A device without commands
    is operated by hand, or a sensor is stimulated.
    """
    shown = False
    state: dict[str, Value] = {}
    for name in bench.profile.properties:
        for transport in open_readers(bench, name):
            try:
                state[name] = await bench.read(name, transport=transport.value)
                shown |= transport is Transport.COAP
                break
            except StimulusError:
                continue
    over_mqtt = [name for name in state if Transport.MQTT in open_writers(bench, name)]
    free = [name for name in over_mqtt if not obstacles(bench.profile, state, name, state[name])]
    for name in (free or over_mqtt)[:_TRIES]:
        if await command_and_wait(bench, name, state[name], Transport.MQTT):
            return True
    return shown or await _operate_or_sense(bench, state)


async def _operate_or_sense(bench: Bench, state: dict[str, Value]) -> bool:
    """Operate a control or stimulate a sensor; returns whether the device reported something."""
    if not bench.offers(BenchFeature.LOCAL):
        return False
    limit = max(bench.profile.behaviour.report_local, bench.profile.behaviour.settle)
    for control, declared in list(bench.profile.controls.items())[:_TRIES]:
        names = [effect.event or effect.property_ or "" for effect in declared.effects]
        since = bench.mark()
        await bench.local.operate(control)
        for name in names:
            for transport in open_readers(bench, name)[:1]:
                if await bench.wait_for_report(
                    name, lambda _: True, transport=transport.value, within=limit, since=since
                ):
                    return True
    for name, value in _sensed(bench, state):
        since = bench.mark()
        await bench.local.sense(name, value)
        for transport in open_readers(bench, name)[:1]:
            if await bench.wait_for_report(
                name, lambda _: True, transport=transport.value, within=limit, since=since
            ):
                return True
    return False


def _sensed(bench: Bench, state: dict[str, Value]) -> Iterator[tuple[str, Value]]:
    """Sensors, each with a value other than the present one."""
    for name, schema in bench.profile.properties.items():
        if schema.writable or not open_readers(bench, name):
            continue
        other = next((value for value in limits(schema) if not same_value(value, state.get(name))), None)
        if other is not None:
            yield name, other


def first_report_after(
    case: Case, line: int, transport: Transport | None = None, names: Collection[str | None] = ()
) -> Report | None:
    """The device's first own report after a line of the trace.

    ``transport`` None: over any; ``names`` empty: of any affordance.
    """
    for report in case.all_reports:
        is_own = report.event.line > line and not report.is_stored
        if is_own and transport in (None, report.transport) and (not names or report.name in names):
            return report
    return None
