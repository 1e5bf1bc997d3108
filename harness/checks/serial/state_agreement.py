"""The whole state on both sides: after commands, after settings at the board, and after what was refused."""

from __future__ import annotations

from collections.abc import Iterable

from harness.checks.bench import Bench, StimulusError
from harness.checks.case import Case, Evidence, failed, first, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.observations import Report, Transport
from harness.checks.support.behaviour.arrange import precondition
from harness.checks.support.behaviour.boundary_values import outside
from harness.checks.support.behaviour.commands import described
from harness.checks.support.behaviour.local_operation import reported_in_time
from harness.checks.support.behaviour.outages import vary_settings
from harness.checks.support.behaviour.transports import (
    command_transports,
    name_of,
    open_readers,
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
    good,
    require_network,
    until_reported,
    value_of,
)
from harness.model.affordance import Property
from harness.model.base import Value
from harness.model.bindings.serial import SerialCommand
from harness.model.profile import InvalidValuePolicy, Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.schema import same_value
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act

MOST_OUTSIDE = 6  # illegal values to try


def _on_both_sides(profile: Profile) -> list[str]:
    """The properties that both the board and the network report."""
    binding = binding_of(profile)
    return [
        name for name in profile.properties if binding.can_read(name) and reporting_transports(profile, name)
    ]


@requirement(
    "SERIAL-04",
    area=Area.SERIAL,
    standard="profile",
    clause="properties; bindings.serial",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the device reports the same values on the network and at the board, for all "
    "properties",
    stimulus="Change all settings over the network; then ask board and network for every property",
    expect="Both report the same, within the tolerance",
    ics="SERIAL.READ",
    needs=(BenchFeature.SERIAL,),
    usual_cause="The network module keeps a copy of the state that is updated by commands only, and wrong "
    "after anything else.",
)
class SameOnBothSides(Check):
    """Once with the state as it is, once with the settings changed."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return (Subject(),) if _on_both_sides(profile) else ()

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        require_network(bench)
        async with precondition(bench) as arranger:
            await _ask_both(bench)
            await vary_settings(bench, arranger)
            await _ask_both(bench)

    def judge(self, case: Case) -> Outcome:
        evidence: list[Evidence] = []
        compared: dict[str, int] = {}
        for name in _on_both_sides(case.profile):
            for answer in good(answers(case, SerialCommand.READ_STATE, name)):
                around = _reports_around(case, name, answer)
                if not around:
                    continue
                if not _lies_between(case.profile.properties[name], answer.value, around):
                    return failed(
                        f"the board shows {name} = {answer.text}; the network reported "
                        f"{described(around[0])}",
                        around,
                        answer.event,
                    )
                compared[name] = compared.get(name, 0) + 1
                evidence += [around[0], answer.event]
        if not compared:
            return inconclusive("no property was reported by both the board and the network")
        twice = sum(count > 1 for count in compared.values())
        return passed(f"{len(compared)} properties agree, {twice} of them in two states", evidence)


async def _ask_both(bench: Bench) -> None:
    for name in _on_both_sides(bench.profile):
        for transport in open_readers(bench, name)[:1]:
            try:
                await bench.read(name, transport=transport.value)
            except StimulusError as reason:
                bench.note(str(reason))
        await ask(bench, SerialCommand.READ_STATE, name)


def _reports_around(case: Case, name: str, answer: ConsoleAnswer) -> list[Report]:
    """The last report before the board was asked, and the next one before any other stimulus."""
    reports = [r for r in case.history if r.name == name and r.problem is None]
    before = [r for r in reports if r.event.line < answer.line]
    if not before:
        return []
    # Over the same transport only: another one may lag behind.
    latest = before[-1]
    acts = case.stimuli()
    end = next((act.line for act in acts if act.line > answer.line), case.window[-1].line)
    after = [r for r in reports if answer.line < r.event.line < end and r.transport == latest.transport]
    return [latest, *after[:1]]


def _lies_between(schema: Property, value: Value, around: list[Report]) -> bool:
    """Whether a value agrees with a report, or is a number between the two."""
    if any(schema.agrees(report.value, value) for report in around):
        return True
    numbers = [report.value for report in around if isinstance(report.value, int | float)]
    if len(numbers) < 2 or isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return min(numbers) - schema.tolerance <= value <= max(numbers) + schema.tolerance


@requirement(
    "SERIAL-05",
    area=Area.SERIAL,
    standard="W3C WoT TD 1.1 and the profile",
    clause="observeproperty; profile: behaviour.report_local",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that the device reports a setting changed at the board on the network within its "
    "deadline",
    stimulus="Set each writable property at the board, as its control panel does",
    expect="The network reports the new value within behaviour.report_local",
    ics="SERIAL.WRITE",
    needs=(BenchFeature.SERIAL,),
    usual_cause="Only the main switch of the panel triggers a report; mode, fan and target are sent with the "
    "next heartbeat, or never.",
)
class SettingAtTheBoard(Check):
    """Every writable property that the console can set."""

    def subjects(self, profile: Profile) -> list[Subject]:
        binding = binding_of(profile)
        names = [
            name
            for name, schema in profile.properties.items()
            if schema.writable and not schema.write_only and binding.can_write(name)
        ]
        return subjects_for(names, lambda name: reporting_transports(profile, name))

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        name = name_of(subject)
        transport = transport_of(reporting_transports(bench.profile, name), subject)
        if transport is Transport.COAP:
            await bench.watch()
        async with precondition(bench, transport) as arranger:
            value = await other_value(bench, arranger, name)
            since = bench.mark()
            await ask(bench, SerialCommand.WRITE_PROPERTY, name, value)
            await until_reported(bench, name, value, transport, since)

    def judge(self, case: Case) -> Outcome:
        name = name_of(case.subject)
        transport = transport_of(reporting_transports(case.profile, name), case.subject)
        act = first(
            case.stimuli(Act.LOCAL), lambda seen: seen.value.name == name and seen.value.transport == "serial"
        )
        if act is None:
            return inconclusive(f"{name} was not set at the board")
        taken = first(answers(case, SerialCommand.WRITE_PROPERTY, name), lambda each: each.line > act.line)
        if taken is None or taken.problem is not None:
            return inconclusive(
                f"the board did not accept the new {name}", act, *([taken.event] if taken else [])
            )
        before = case.last_report(name, act.line, transport)
        if before is not None and same_value(before.value, value_of(act)):
            return inconclusive(f"{name} was {act.value.value} before", act)
        outcome = reported_in_time(case, name, value_of(act), transport, act)
        if isinstance(outcome, Outcome):
            return outcome
        return passed(f"{name}, set at the board, was reported over {transport}", act, outcome)


@requirement(
    "SERIAL-06",
    area=Area.SERIAL,
    standard="profile",
    clause="properties; behaviour.invalid_value",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the device does not change its state at the board when it refuses a command",
    stimulus="Command illegal values over the network, and ask the board after each",
    expect="The board shows the same as before; where the profile says clamp, also a legal limit",
    ics="SERIAL.READ & DEV.ACTUATOR",
    needs=(BenchFeature.SERIAL,),
    usual_cause="The network module refuses, but has passed the frame on to the main controller before it "
    "checked the value.",
    phase=Phase.REFUSAL,
)
class RefusedAtTheBoard(Check):
    """Each writable property whose type has values that are not allowed."""

    def subjects(self, profile: Profile) -> list[Subject]:
        binding = binding_of(profile)
        return [
            subject
            for subject in writable_subjects(profile, lambda schema: bool(outside(schema)))
            if binding.can_read(name_of(subject))
        ]

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        name = name_of(subject)
        transport = transport_of(command_transports(bench.profile, name), subject)
        schema = bench.profile.properties[name]
        async with precondition(bench, transport) as arranger:
            for value in outside(schema)[:MOST_OUTSIDE]:
                await ask(bench, SerialCommand.READ_STATE, name)
                await bench.write(name, value, transport=transport.value, legal=False)
                if transport is Transport.MQTT:
                    # MQTT has no refusals: a wrong reaction may take up to the settle time.
                    await bench.watch_silence(
                        bench.profile.settle(name),
                        imposed_by="profile: behaviour.settle",
                        what=f"{name} to stay as it is",
                    )
                await ask(bench, SerialCommand.READ_STATE, name)
                await arranger.look([name])

    def judge(self, case: Case) -> Outcome:
        name = name_of(case.subject)
        schema = case.profile.properties[name]
        clamps = case.profile.behaviour.invalid_value is InvalidValuePolicy.CLAMP
        answered = good(answers(case, SerialCommand.READ_STATE, name))
        evidence: list[Evidence] = []
        for act in case.stimuli(Act.WRITE):
            if act.value.name != name or act.value.legal is not False:
                continue
            before = [each for each in answered if each.line < act.line]
            after = first(answered, lambda each, act=act: each.line > act.line)  # type: ignore[misc]
            if not before or after is None:
                continue
            is_limit = clamps and any(
                same_value(after.value, end) for end in (schema.minimum, schema.maximum)
            )
            if not schema.agrees(after.value, before[-1].value) and not is_limit:
                return failed(
                    f"{name} = {act.value.value} is not allowed, but the board changed from "
                    f"{before[-1].text} to {after.text}",
                    before[-1].event,
                    act,
                    after.event,
                )
            evidence += [act, after.event]
        if not evidence:
            return inconclusive(f"no illegal value was commanded between two readings of {name} at the board")
        return passed(f"{len(evidence) // 2} illegal values did not change {name} at the board", evidence)
