"""Whether the network reports the state that the board shows: keys, commands, sensors."""

from __future__ import annotations

from contextlib import suppress

from harness.checks.bench import Bench, StimulusError
from harness.checks.case import Case, Decoded, Evidence, failed, first, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.observations import Transport
from harness.checks.payloads import json_text
from harness.checks.support.behaviour.arrange import (
    StateArranger,
    precondition,
)
from harness.checks.support.behaviour.commands import ROUNDING
from harness.checks.support.behaviour.local_operation import (
    free_sensor,
    is_measured,
    moved_by,
    points,
    readers_of_control,
    reported_in_time,
    unlock,
)
from harness.checks.support.behaviour.transports import (
    command_transports,
    name_of,
    reporting_transports,
    subjects_for,
    transport_of,
    writable_subjects,
)
from harness.checks.support.behaviour.trial_values import other_value
from harness.checks.support.serial.board import (
    ConsoleAnswer,
    answers,
    ask,
    binding_of,
    board_shows,
    good,
    require_transport,
    until_reported,
    value_of,
)
from harness.model.base import Value
from harness.model.bindings.serial import SerialCommand
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.schema import same_value
from harness.model.verdict import Outcome, Subject, Verdict
from harness.trace.events import Act, Stimulus

PRESSES = 2  # at most: the first one may undo a change that was never reported


@requirement(
    "SERIAL-01",
    area=Area.SERIAL,
    standard="W3C WoT TD 1.1 and the profile",
    clause="observeproperty; profile: controls, behaviour.report_local",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that the device reports on the network, within its deadline, what a key did at the board",
    stimulus="Press each key by the console, and ask the board for the effect; press it once more if the "
    "network had reported that state before",
    expect="The network reports the state that the board shows, within behaviour.report_local",
    ics="SERIAL.PRESS & SERIAL.READ",
    needs=(BenchFeature.SERIAL,),
    usual_cause="State is published by the handler of network commands; the routine that reads the keys sets "
    "only the relay.",
)
class KeyAtTheBoard(Check):
    """The board shows the effect; only the report of it is judged."""

    def subjects(self, profile: Profile) -> list[Subject]:
        binding = profile.bindings.serial
        keys = [
            name
            for name in profile.controls
            if binding is not None and binding.can_press(name) and _seen_on_board(profile, name)
        ]
        return subjects_for(keys, lambda name: readers_of_control(profile, name))

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        control = name_of(subject)
        transport = transport_of(readers_of_control(bench.profile, control), subject)
        require_transport(bench, transport)
        if transport is Transport.COAP:
            await bench.watch()
        async with precondition(bench, transport) as arranger:
            await _believe_board(bench, arranger, control)
            await unlock(arranger, bench.profile, control)
            for _ in range(PRESSES):
                if await _press(bench, control, transport):
                    break

    def judge(self, case: Case) -> Outcome:
        control = name_of(case.subject)
        transport = transport_of(readers_of_control(case.profile, control), case.subject)
        undecided = inconclusive(f"{control} was not pressed over the serial line")
        for number, act in enumerate(_judged_presses(case, control)):
            outcome = self._judge_press(case, control, transport, act)
            if outcome.verdict is not Verdict.INCONCLUSIVE:
                return outcome
            undecided = undecided if number else outcome
        return undecided

    def _judge_press(
        self, case: Case, control: str, transport: Transport, act: Decoded[Stimulus, Stimulus]
    ) -> Outcome:
        evidence: list[Evidence] = [act]
        for name in _seen_on_board(case.profile, control):
            if transport not in reporting_transports(case.profile, name):
                continue
            answered = good(answers(case, SerialCommand.READ_STATE, name))
            before = [each for each in answered if each.line < act.line]
            after = [each for each in answered if each.line > act.line]
            if not before or not after:
                return inconclusive(
                    f"the board did not report {name} before and after {control} was pressed", act
                )
            if same_value(before[-1].value, after[0].value):
                return inconclusive(f"{control} did not change {name}: the board shows {after[0].text}", act)
            known = case.last_report(name, act.line, transport)
            if known is not None and case.profile.properties[name].agrees(known.value, after[0].value):
                text = f"{name} = {after[0].text} was reported over {transport} before {control} was pressed"
                return inconclusive(text, known, act)
            outcome = reported_in_time(case, name, after[0].value, transport, act)
            if isinstance(outcome, Outcome):
                return outcome
            evidence += [after[0].event, outcome]
        return passed(f"the effect of {control} at the board was reported over {transport}", evidence)


def _seen_on_board(profile: Profile, control: str) -> list[str]:
    """The properties that a control changes and that the board reports."""
    binding = binding_of(profile)
    moved = [effect.property_ or "" for effect in moved_by(profile.controls[control])]
    return [name for name in moved if binding.can_read(name)]


async def _believe_board(bench: Bench, arranger: StateArranger, control: str) -> None:
    """Take the state from the board: a key acts on that, even if the network reports something else."""
    declared, binding = bench.profile.controls[control], binding_of(bench.profile)
    names = {effect.property_ for effect in moved_by(declared)}
    names |= {name for condition in declared.unless for name in condition.names}
    for name in sorted(name for name in names if name and binding.can_read(name)):
        arranger.state[name] = await ask(bench, SerialCommand.READ_STATE, name)


async def _press(bench: Bench, control: str, transport: Transport) -> bool:
    """Press once, and wait for the report; returns whether it led to a state that was not reported before."""
    moved, told_before = _seen_on_board(bench.profile, control), False
    network: dict[str, Value] = {}
    for name in moved:
        await ask(bench, SerialCommand.READ_STATE, name)
        if transport in reporting_transports(bench.profile, name):
            with suppress(StimulusError):
                network[name] = await bench.read(name, transport=transport.value)
    since = bench.mark()
    await ask(bench, SerialCommand.PRESS_BUTTON, control)
    for name in moved:
        value = await ask(bench, SerialCommand.READ_STATE, name)
        if name in network:
            told_before = told_before or bench.profile.properties[name].agrees(value, network[name])
        await until_reported(bench, name, value, transport, since)
    return not told_before


def _judged_presses(case: Case, control: str) -> list[Decoded[Stimulus, Stimulus]]:
    """The first presses after the board was asked; later ones restore the state."""
    asked = answers(case, SerialCommand.READ_STATE)
    start = asked[0].line if asked else 0
    presses = [act for act in case.stimuli(Act.LOCAL) if act.value.name == control and act.line > start]
    return presses[:PRESSES]


@requirement(
    "SERIAL-02",
    area=Area.SERIAL,
    standard="profile",
    clause="bindings.serial; behaviour.settle",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the device carries out a network command at the board, and does not just confirm it",
    stimulus="Command another value than the board shows over the network, and ask the board by the console",
    expect="The board shows the commanded value within the settle time",
    ics="SERIAL.READ & DEV.ACTUATOR",
    needs=(BenchFeature.SERIAL,),
    usual_cause="The network module answers from its own copy of the state; the frame to the main controller "
    "was lost or refused, which nothing checks.",
)
class CommandAtTheBoard(Check):
    """Each writable property, over each transport that commands it."""

    def subjects(self, profile: Profile) -> list[Subject]:
        binding = profile.bindings.serial
        return [
            subject
            for subject in writable_subjects(profile)
            if binding is not None and binding.can_read(name_of(subject))
        ]

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        name = name_of(subject)
        transport = transport_of(command_transports(bench.profile, name), subject)
        schema = bench.profile.properties[name]
        async with precondition(bench, transport) as arranger:
            value = await _value_unlike_board(bench, arranger, name)
            await ask(bench, SerialCommand.READ_STATE, name)
            await bench.write(name, value, transport=transport.value)
            await board_shows(
                bench, name, lambda shown: schema.agrees(shown, value), within=bench.profile.settle(name)
            )

    def judge(self, case: Case) -> Outcome:
        name = name_of(case.subject)
        command = _judged_write(case, name)
        if command is None:
            return inconclusive(f"{name} was not commanded")
        value, limit = value_of(command), case.profile.settle(name)
        answered = good(answers(case, SerialCommand.READ_STATE, name))
        before = [each for each in answered if each.line < command.line]
        schema = case.profile.properties[name]
        if not before or schema.agrees(before[-1].value, value):
            return inconclusive(
                f"the board showed {json_text(value)} before the command, or did not report {name}", command
            )
        # The state is restored at the end, by another command.
        after = [
            each
            for each in answered
            if each.line > command.line and not _is_undone(case, name, command, each)
        ]
        shown = first(after, lambda each: schema.agrees(each.value, value))
        if shown is not None:
            return passed(f"the board shows {name} = {json_text(value)}, as commanded", command, shown.event)
        if after and after[-1].event.time - command.time >= limit - ROUNDING:
            last = after[-1]
            return failed(
                f"{name} = {json_text(value)} was commanded; {limit:g} s later the board shows {last.text}",
                command,
                last.event,
            )
        return inconclusive(f"the board was not asked for {name} after the settle time", command)


async def _value_unlike_board(bench: Bench, arranger: StateArranger, name: str) -> Value:
    """A value for a command that makes a difference at the board: another one than the board has.

    If board and network disagree, it differs from the network's value as well, if possible.
    """
    shown = await ask(bench, SerialCommand.READ_STATE, name)
    try:
        return await other_value(bench, arranger, name, shown)
    except StimulusError:
        arranger.state[name] = shown
        return await other_value(bench, arranger, name)


def _judged_write(case: Case, name: str) -> Decoded[Stimulus, Stimulus] | None:
    """The first command after the board first reported the property."""
    asked = answers(case, SerialCommand.READ_STATE, name)
    start = asked[0].line if asked else 0
    return first(case.stimuli(Act.WRITE), lambda seen: seen.value.name == name and seen.line > start)


def _is_undone(case: Case, name: str, command: Decoded[Stimulus, Stimulus], answer: ConsoleAnswer) -> bool:
    """Whether the property was commanded again before that answer."""
    return any(
        seen.value.name == name and command.line < seen.line < answer.line
        for seen in case.stimuli(Act.WRITE, Act.LOCAL)
    )


@requirement(
    "SERIAL-03",
    area=Area.SERIAL,
    standard="good practice (profile)",
    clause="profile: properties.*.unit, tolerance; behaviour.report_local",
    level=Level.MUST,
    basis=Basis.PRACTICE,
    purpose="ensure that the device reports the same sensor values at the board and on the network",
    stimulus="Simulate several sensor values by the console; ask the board, and watch the network",
    expect="Board and network report each value within tolerance, the network within behaviour.report_local",
    ics="SERIAL.SENSE & SERIAL.READ & DEV.SENSOR",
    needs=(BenchFeature.SERIAL,),
    usual_cause="The main controller and the network module disagree on the scale of a measurement, or "
    "on its "
    "sign.",
)
class SensorOnBothSides(Check):
    """Each sensor that the console can simulate."""

    def subjects(self, profile: Profile) -> list[Subject]:
        return subjects_for(_sensors(profile), lambda name: reporting_transports(profile, name))

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        name = name_of(subject)
        transport = transport_of(reporting_transports(bench.profile, name), subject)
        if transport is Transport.COAP:
            await bench.watch()
        async with precondition(bench, transport) as arranger:
            await free_sensor(arranger, bench.profile, name)
            for value in points(bench.profile, name, arranger.state):
                since = bench.mark()
                arranger.remember(name)
                await ask(bench, SerialCommand.INJECT_SENSOR, name, value)
                await ask(bench, SerialCommand.READ_STATE, name)
                await until_reported(bench, name, value, transport, since)

    def judge(self, case: Case) -> Outcome:
        name = name_of(case.subject)
        transport = transport_of(reporting_transports(case.profile, name), case.subject)
        schema = case.profile.properties[name]
        acts = [
            act
            for act in case.stimuli(Act.LOCAL)
            if act.value.name == name and act.value.transport == "serial"
        ]
        answered = answers(case, SerialCommand.READ_STATE, name)
        evidence: list[Evidence] = []
        for act in acts:
            value = value_of(act)
            shown = first(answered, lambda each, act=act: each.line > act.line)  # type: ignore[misc]
            following = first(acts, lambda other, act=act: other.line > act.line)  # type: ignore[misc]
            if shown is None or (following is not None and following.line < shown.line):
                continue  # for another purpose, such as to restore the state
            if shown.problem is not None:
                return inconclusive(f"the board did not report {name}: {shown.problem}", act, shown.event)
            if not schema.agrees(shown.value, value):
                return failed(
                    f"the sensor was at {json_text(value)}, but the board shows {shown.text}",
                    act,
                    shown.event,
                )
            before = case.last_report(name, act.line, transport)
            if before is not None and schema.agrees(before.value, value):
                continue  # nothing new to report
            outcome = reported_in_time(case, name, value, transport, act)
            if isinstance(outcome, Outcome):
                return outcome
            evidence += [act, shown.event, outcome]
        if len(evidence) < 6:
            return inconclusive(f"the sensor of {name} had fewer than two simulated values", acts)
        return passed(f"board and network reported the same {len(evidence) // 3} values of {name}", evidence)


def _sensors(profile: Profile) -> list[str]:
    binding = binding_of(profile)
    return [
        name
        for name, schema in profile.properties.items()
        if is_measured(schema) and binding.can_inject(name) and binding.can_read(name)
    ]
