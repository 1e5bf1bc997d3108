"""Legal commands are accepted, executed and reported."""

from __future__ import annotations

from harness.checks.bench import Bench, StimulusError
from harness.checks.case import Case, Evidence, failed, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.observations import Report, Transport
from harness.checks.payloads import json_text
from harness.checks.support.behaviour.arrange import (
    StateArranger,
    precondition,
)
from harness.checks.support.behaviour.boundary_values import (
    limits,
    resting,
    simplicity,
)
from harness.checks.support.behaviour.commands import (
    ROUNDING,
    SETTLE,
    Command,
    command_and_wait,
    commands,
    described,
    ended_at,
    mismatch,
    requested,
    require_reader,
    settled_at,
)
from harness.checks.support.behaviour.forecast import related
from harness.checks.support.behaviour.hypothesis_values import (
    legal_values,
    search,
)
from harness.checks.support.behaviour.transports import (
    command_transports,
    name_of,
    transport_of,
    writable_subjects,
)
from harness.checks.support.mqtt.sessions import is_loss
from harness.model.base import Value
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, Level
from harness.model.schema import same_value
from harness.model.verdict import Outcome, Subject
from harness.wire import coap


def command_failure(case: Case, name: str, command: Command) -> Outcome | None:
    """What the device did wrong with a legal command; None if nothing."""
    text, evidence = f"{name} = {json_text(command.value)}", [command.sent.event]
    if command.transport is Transport.COAP:
        if command.answer is None:
            return failed(f"the command {text} was never answered", evidence)
        if command.answer.value.code >> 5 != 2:
            code = coap.code_text(command.answer.value.code)
            return failed(
                f"{text} is legal, but the command was answered {code}", evidence, command.answer.event
            )
    schema, settle = case.profile.properties[name], case.profile.settle(name)
    confirming = [r for r in command.reports if r.problem is None and schema.agrees(r.value, command.value)]
    if not confirming:
        others = command.reports[-1:]
        instead = f"; it reported {described(others[0])}" if others else ""
        return failed(f"{text} was not reported within {settle:g} s{instead}", evidence, others)
    first = confirming[0]
    late = _lateness(case, name, command, first)
    if late is not None:
        return failed(f"{text} was not reported within {settle:g} s, but after {late:.3g} s", evidence, first)
    return _relapse(case, name, command, first)


def _lateness(case: Case, name: str, command: Command, first: Report) -> float | None:
    """Seconds until the first correct report if that is too late; None if it is in time."""
    accepted = command.answer.time if command.answer is not None else command.time
    late = first.time - accepted
    if late <= case.profile.settle(name):
        return None
    if not first.asked:
        return late
    # A read shows when it was requested. It is late only if the old state was read after the deadline.
    deadline = accepted + case.profile.settle(name)
    old = [r for r in command.reports if deadline < r.time < first.time]
    return late if mismatch(case, name, [command.value], old) else None


def _relapse(case: Case, name: str, command: Command, first: Report) -> Outcome | None:
    """A failure if the device left the commanded state after it had reported it.

    Until the settle time is over, it may be on the way, as lamps that fade are: the last report then counts.
    """
    deadline = settled_at(case, name, command) + ROUNDING
    later = [report for report in command.reports if report.event.line > first.event.line]
    on_time = [report for report in later if report.time <= deadline]
    after = later[len(on_time) :]
    if ended_at(case, command) >= deadline - 2 * ROUNDING:
        after = [*on_time[-1:], *after]
    wrong = mismatch(case, name, [command.value], after)
    if wrong is None:
        return None
    return failed(
        f"{name} = {json_text(command.value)} was reported, but then {described(wrong)}",
        command.sent.event,
        first,
        wrong,
    )


def was_read(case: Case, name: str, command: Command) -> bool:
    """Whether the device had a reason to report after a command: over CoAP only if it was read."""
    binding = case.profile.bindings.coap
    if command.transport is Transport.MQTT or binding is None:
        return True
    path = binding.properties[name].path
    asked = requested(case, path, coap.Code.GET)
    return any(command.sent.line < request.line < command.end for request in asked)


def _had_value(case: Case, name: str, command: Command) -> bool:
    """Whether the device had the commanded value already, and so did not report it."""
    if command.reports:
        return False
    before = case.last_report(name, command.sent.line, command.transport)
    return before is not None and case.profile.properties[name].agrees(before.value, command.value)


def judge_legal_commands(case: Case, subject: Subject) -> Outcome:
    """Pass if each legal command was executed and reported; a failure names the simplest that was not."""
    name = name_of(subject)
    transport = transport_of(command_transports(case.profile, name), subject)
    sent = commands(case, name, transport)
    schema = case.profile.properties[name]
    failures: list[tuple[Command, Outcome]] = []
    legal: list[Command] = []
    for command in sent:
        if command.problem is not None or not schema.accepts(command.value):
            continue
        if not command.reports and not was_read(case, name, command):
            continue  # the state was not read: nothing to judge
        if not command.refused and _had_value(case, name, command):
            continue  # a device need not repeat a value that it has
        legal.append(command)
        outcome = command_failure(case, name, command)
        if outcome is not None:
            failures.append((command, outcome))
    if failures:
        return min(failures, key=lambda failure: simplicity(failure[0].value))[1]
    if not legal:
        return inconclusive(f"no command for {name} reached the device and was followed by a report or read")
    evidence: list[Evidence] = []
    for command in legal:
        evidence += [command.sent.event, *command.reports[:1]]
    values = sorted({json_text(command.value) for command in legal})
    return passed(f"{len(values)} values of {name} were executed and reported back", evidence)


async def try_legal(
    bench: Bench, arranger: StateArranger, name: str, value: Value, transport: Transport
) -> bool:
    """Command a legal value that differs from the present one. True if the device did not report it in time.

    A value that no reachable state allows is skipped and returns False.
    """
    try:
        await arranger.make_room_for(name, value)
        if same_value(arranger.state.get(name), value):
            await _move_away(bench, arranger, name, value, transport)
    except StimulusError as reason:
        bench.note(f"{name} = {json_text(value)} is skipped: {reason}")
        return False
    executed = await command_and_wait(bench, name, value, transport)
    await arranger.look(related(bench.profile, [name]))
    return not executed


async def _move_away(
    bench: Bench, arranger: StateArranger, name: str, value: Value, transport: Transport
) -> None:
    """Set a property to another value first, so that commanding ``value`` changes it."""
    for other in resting(bench.profile.properties[name]):
        if not same_value(other, value):
            await arranger.make_room_for(name, other)
            await command_and_wait(bench, name, other, transport)
            await arranger.look(related(bench.profile, [name]))
            await arranger.make_room_for(name, value)
            return


@requirement(
    "DEV-01",
    area=Area.BEHAVIOUR,
    standard="W3C WoT TD 1.1 and the profile",
    clause="server-data-schema; profile: properties, behaviour.settle",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that the device reports the commanded state within the settle time after a legal "
    "command, "
    "and stays in it",
    stimulus="Write the limits of the property, their neighbours, a middle value and random ones; then "
    "search "
    "for the simplest value that fails",
    expect="The command is accepted; the value is reported within the settle time and the declared "
    "tolerance, and no other value after it",
    ics="DEV.ACTUATOR",
    usual_cause="The state is published by a poll that does not see the command, or not at all; or a limit "
    "is "
    "compared with < instead of <=.",
)
class LegalCommands(Check):
    """Values drawn by hypothesis, shrunk to the simplest that fails."""

    def subjects(self, profile: Profile) -> list[Subject]:
        return writable_subjects(profile)

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        name = name_of(subject)
        require_reader(bench, name)
        transport = transport_of(command_transports(bench.profile, name), subject)
        schema = bench.profile.properties[name]
        async with precondition(bench, transport) as arranger:

            async def try_value(value: Value) -> bool:
                return await try_legal(bench, arranger, name, value, transport)

            begun = bench.mark()
            await search(
                limits(schema),
                lambda: legal_values(schema),
                try_value,
                bench.random.getrandbits(32),
                may_simplify=lambda: not any(is_loss(event) for event in bench.trace[begun:]),
            )
            await bench.watch_silence(
                bench.profile.settle(name), imposed_by=SETTLE, what=f"{name} to stay as commanded"
            )

    def judge(self, case: Case) -> Outcome:
        return judge_legal_commands(case, case.subject)
