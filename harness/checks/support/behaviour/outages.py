"""Settings before and after a lost connection or a power cut."""

from __future__ import annotations

from collections.abc import Callable

from harness.checks.bench import Bench, StimulusError
from harness.checks.case import Case, Evidence, failed, inconclusive, passed
from harness.checks.observations import Transport
from harness.checks.payloads import json_text
from harness.checks.support.behaviour.arrange import StateArranger
from harness.checks.support.behaviour.commands import command_and_wait, described
from harness.checks.support.behaviour.forecast import State, obstacles
from harness.checks.support.behaviour.planner import Move, MoveKind
from harness.checks.support.behaviour.transports import (
    command_transports,
    open_readers,
    open_writers,
    reporting_transports,
)
from harness.checks.support.behaviour.trial_values import other_value
from harness.checks.support.mqtt.sessions import is_loss
from harness.model.base import Value
from harness.model.profile import Profile
from harness.model.verdict import Outcome
from harness.trace.events import Act

Expected = Callable[[str, Value], Value]
"""Maps the name of a property and its value before to the expected value after."""


def settings(profile: Profile) -> list[str]:
    """The properties that can be commanded and are reported."""
    return [
        name
        for name, schema in profile.properties.items()
        if schema.writable
        and not schema.write_only
        and command_transports(profile, name)
        and reporting_transports(profile, name)
    ]


async def vary_settings(bench: Bench, arranger: StateArranger, *, leave_defaults: bool = False) -> None:
    """Change every setting, as far as rules allow.

    With ``leave_defaults``, settings that differ from their default stay, and none is set to its default.
    """
    for name in settings(bench.profile):
        schema = bench.profile.properties[name]
        not_these = [schema.default] if leave_defaults and schema.default is not None else []
        if not_these and name in arranger.state and not schema.agrees(arranger.state[name], schema.default):
            continue
        try:
            value = await other_value(bench, arranger, name, *not_these)
            for transport in open_writers(bench, name)[:1]:
                await command_and_wait(bench, name, value, transport)
                break
            else:
                await arranger.act(Move(MoveKind.WRITE, name, value))  # over the serial line, if at all
        except StimulusError as reason:
            bench.note(f"{name} is not changed: {reason}")
            continue
        await arranger.look()


async def lose_connection(bench: Bench) -> None:
    """Cut the device's MQTT connection, and wait until it is gone. Raises StimulusError."""
    if not bench.tap.connected:
        raise StimulusError("the device has no MQTT connection to cut")
    since = bench.mark()
    bench.tap.drop()
    await bench.wait_for(
        is_loss, within=bench.profile.behaviour.settle, since=since, what="the connection to end"
    )


async def await_settings(bench: Bench, since: int) -> None:
    """Wait until the device is back and has reported its settings. Raises StimulusError."""
    if not await bench.ready():
        raise StimulusError("the device did not come back")
    for name in settings(bench.profile):
        for transport in open_readers(bench, name):
            if transport is Transport.COAP:
                await bench.read(name, transport=transport.value)
                continue
            await bench.wait_for_report(
                name,
                lambda _: True,
                transport=transport.value,
                within=bench.profile.settle(name),
                since=since,
            )


def compare(case: Case, before: int, after: int, expected: Expected, loss: str) -> Outcome:
    """Compare the settings reported after line ``after`` with those before line ``before``."""
    evidence: list[Evidence] = []
    outlook: State = {}
    for name in settings(case.profile):
        known = case.last_report(name, before)
        if known is not None:
            outlook[name] = expected(name, known.value)
    # Later commands of the harness, which restore the state, do not count.
    acts = case.stimuli(Act.WRITE, Act.INVOKE, Act.LOCAL)
    end = next((act.line for act in acts if act.line > after), case.window[-1].line)
    for name, value in outlook.items():
        seen = next((r for r in case.reports(name) if after < r.event.line < end and r.problem is None), None)
        known = case.last_report(name, before)
        if seen is None or known is None or obstacles(case.profile, outlook, name, value):
            continue  # not reported, or a rule decides
        if case.profile.properties[name].self_changing:
            continue
        if not case.profile.properties[name].agrees(seen.value, value):
            return failed(
                f"{name} was {json_text(known.value)} before {loss}; afterwards the device reported "
                f"{described(seen)}, expected {json_text(value)}",
                known,
                seen,
            )
        evidence += [known, seen]
    if not evidence:
        return inconclusive(f"the device reported no setting after {loss}")
    return passed(f"{len(evidence) // 2} settings have the expected values after {loss}", evidence)


async def cut_power(bench: Bench) -> None:
    """Cut the power and restore it, without waiting for the device."""
    await bench.power.kill()
    await bench.power.start()
