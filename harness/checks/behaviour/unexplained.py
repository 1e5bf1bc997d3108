"""Changes that nobody asked for: settings that fall back, side effects, old values reported once more."""

from __future__ import annotations

import json
from collections.abc import Iterator

from harness.checks.bench import Bench, StimulusError
from harness.checks.case import Case, Decoded, Evidence, failed, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.observations import Report, Transport
from harness.checks.payloads import json_text
from harness.checks.support.behaviour.arrange import StateArranger, precondition
from harness.checks.support.behaviour.boundary_values import resting
from harness.checks.support.behaviour.commands import (
    ROUNDING,
    SETTLE,
    Command,
    commands,
    confirmed_at,
    described,
    is_reported,
    settled_at,
)
from harness.checks.support.behaviour.explanations import (
    KEPT,
    independent_settings,
    is_left_alone,
    rule_explains,
)
from harness.checks.support.behaviour.local_operation import free_sensor, points
from harness.checks.support.behaviour.outages import settings, vary_settings
from harness.checks.support.behaviour.transports import (
    command_transports,
    name_of,
    open_writers,
    reporting_transports,
    was_offered,
)
from harness.checks.support.behaviour.trial_values import other_value
from harness.model.base import Value
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.schema import DataType
from harness.model.verdict import Outcome, Subject, Verdict
from harness.trace.events import Act, Stimulus

CHANGES = 4  # of a sensor
PROMPT = 0.2  # seconds: what comes that soon, each time, is an effect and no coincidence


@requirement(
    "PROFILE-66",
    area=Area.BEHAVIOUR,
    standard="profile",
    clause="properties.*.self_changing; behaviour.rules",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the device keeps its settings until something declared changes them",
    stimulus=f"Change all settings, then watch for {KEPT:g} s without any command",
    expect="No setting changes, except by a rule or where the profile declares it as self_changing",
    ics="DEV.ACTUATOR",
    usual_cause="The device confirms the command at once, but its next poll of the actuator finds the old "
    "value; or two tasks write the same setting.",
)
class SettingsStay(Check):
    """All settings at once, one watch."""

    def subjects(self, profile: Profile) -> list[Subject]:
        return [Subject()] if any(is_left_alone(profile, name) for name in settings(profile)) else []

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        if bench.offers(BenchFeature.COAP):
            await bench.watch()
        async with precondition(bench) as arranger:
            await vary_settings(bench, arranger)
            await bench.watch_silence(
                KEPT, imposed_by="PROFILE-66: the time for a poll", what="the settings to stay"
            )
            await arranger.look(settings(bench.profile))

    def judge(self, case: Case) -> Outcome:
        evidence: list[Evidence] = []
        for name in settings(case.profile):
            if not is_left_alone(case.profile, name):
                continue
            for transport in command_transports(case.profile, name):
                if not was_offered(case, transport):
                    continue
                outcome = _judge_stay(case, name, transport)
                if outcome is not None and outcome.verdict is Verdict.FAIL:
                    return outcome
                evidence += outcome.events if outcome is not None else ()
        if not evidence:
            return inconclusive("no setting was commanded, confirmed and watched long enough")
        return passed(f"the settings did not change by themselves for {KEPT:g} s", evidence)


def _judge_stay(case: Case, name: str, transport: Transport) -> Outcome | None:
    """Whether a setting stayed after the first confirmed command; None if it was not watched long enough."""
    sent = [c for c in commands(case, name, transport) if c.problem is None]
    command = next((c for c in sent if confirmed_at(case, name, c) < len(c.reports)), None)
    if command is None:
        return None
    confirmation = command.reports[confirmed_at(case, name, command)]
    begin = settled_at(case, name, command)
    end = _next_act_on(case, name, command)
    schema = case.profile.properties[name]
    for report in case.reports(name, transport):
        if report.time <= begin or report.event.line >= end or report.problem is not None:
            continue
        if schema.agrees(report.value, command.value):
            continue
        if rule_explains(case, name, command.sent.line, report) or _other_act_explains(case, name, report):
            return None
        return failed(
            f"{name} = {json_text(command.value)} was commanded and reported; "
            f"{report.time - command.time:.3g} s later the device reported {described(report)}, and nothing "
            "explains that",
            command.sent,
            confirmation,
            report,
        )
    watched = (case.trace[end - 1].time if end <= case.window[-1].line else case.window[-1].time) - begin
    if watched + ROUNDING < KEPT - case.profile.settle(name):
        return None
    return passed(f"{name} stayed", command.sent, confirmation)


def _next_act_on(case: Case, name: str, command: Command) -> int:
    """The line of the next act that may change the property; one past the window if none."""
    for act in case.stimuli():
        concerns = act.value.act is not Act.WRITE or act.value.name == name
        if act.line > command.sent.line and concerns:
            return act.line
    return case.window[-1].line + 1


def _other_act_explains(case: Case, name: str, report: Report) -> bool:
    """Whether a command to another property came so shortly before that it may be the cause."""
    return any(
        act.line < report.event.line
        and report.time - act.time
        <= max(case.profile.settle(name), case.profile.settle(act.value.name or ""))
        for act in case.stimuli(Act.WRITE)
        if act.value.name != name
    )


@requirement(
    "PROFILE-67",
    area=Area.BEHAVIOUR,
    standard="profile",
    clause="properties.*.also_changes; behaviour.rules",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the device changes no other setting by a command, unless the profile declares it",
    stimulus="Change the other settings, then command this one; if another one changes, do it once more",
    expect="The other settings keep their values, except by a rule or where also_changes names them",
    ics="DEV.ACTUATOR",
    usual_cause="One function of the firmware applies several settings, and fills in constants for those "
    "that it was not given.",
)
class NoSideEffects(Check):
    """One subject per setting that has independent ones beside it."""

    def subjects(self, profile: Profile) -> list[Subject]:
        return [Subject(name) for name in settings(profile) if independent_settings(profile, name)]

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        name = name_of(subject)
        others = independent_settings(bench.profile, name)
        writers = open_writers(bench, name)
        if not writers:
            raise StimulusError(f"this bench has no transport to command {name}")
        if bench.offers(BenchFeature.COAP):
            await bench.watch()
        async with precondition(bench, writers[0]) as arranger:
            quiet = noisy = 0
            while quiet < 2 and noisy < 2:
                await _vary(bench, arranger, others)
                before = dict(arranger.state)
                await _command_alone(bench, arranger, name, writers[0])
                schemas = bench.profile.properties
                same = all(
                    schemas[each].agrees(arranger.state.get(each), before.get(each)) for each in others
                )
                quiet, noisy = quiet + same, noisy + (not same)

    def judge(self, case: Case) -> Outcome:
        name = name_of(case.subject)
        trials = [
            command
            for transport in command_transports(case.profile, name)
            if was_offered(case, transport)
            for command in commands(case, name, transport)
            if command.problem is None and confirmed_at(case, name, command) < len(command.reports)
        ]
        if not trials:
            return inconclusive(f"no command for {name} was executed")
        changes = {
            other: list(_changes(case, other, trials)) for other in independent_settings(case.profile, name)
        }
        for other, found in changes.items():
            if len(found) > 1:
                text = f"each of {len(found)} commands for {name} also changed {other}, which is not declared"
                return failed(f"{text}: {described(found[0][1])}", *found)
        for other, found in changes.items():
            if found:
                return inconclusive(f"{other} changed once after a command for {name}, but not again", *found)
        return passed(f"a command for {name} changed no other setting", [command.sent for command in trials])


async def _vary(bench: Bench, arranger: StateArranger, names: list[str]) -> None:
    """Put settings to other values, away from the limits, as far as rules allow."""
    for name in names:
        writers = open_writers(bench, name)
        if not writers:
            continue
        try:
            value = await other_value(bench, arranger, name)
        except StimulusError as reason:
            bench.note(f"{name} is not changed: {reason}")
            continue
        since = bench.mark()
        await bench.write(name, value, transport=writers[0].value)
        await is_reported(bench, name, value, writers[0], since)
        await arranger.look([name])


async def _command_alone(bench: Bench, arranger: StateArranger, name: str, transport: Transport) -> None:
    value = await other_value(bench, arranger, name)
    since = bench.mark()
    await bench.write(name, value, transport=transport.value)
    await is_reported(bench, name, value, transport, since)
    settle = bench.profile.settle(name)
    await bench.watch_silence(settle, imposed_by=SETTLE, what="other settings to stay unchanged")
    await arranger.look()


def _changes(case: Case, other: str, trials: list[Command]) -> Iterator[tuple[Evidence, Report]]:
    """The commands after which another setting changed, each with the report of that."""
    schema = case.profile.properties[other]
    for command in trials:
        own = _last_act_on(case, other, command.sent.line)
        before = case.last_report(other, command.sent.line, command.transport)
        if before is None:
            continue
        earlier = case.last_report(other, own.line, command.transport) if own is not None else None
        for report in case.reports(other, command.transport):
            if not command.sent.line < report.event.line < command.end or report.problem is not None:
                continue
            at_once = report.time - command.time <= PROMPT
            falls_back = earlier is not None and schema.agrees(report.value, earlier.value) and not at_once
            on_its_way = own is not None and report.time - own.time <= case.profile.settle(other)
            arrives = own is not None and schema.agrees(report.value, json.loads(own.value.value or "null"))
            if schema.agrees(report.value, before.value) or falls_back or (on_its_way and arrives):
                continue
            if not rule_explains(case, other, command.sent.line, report):
                yield command.sent, report
                break


def _last_act_on(case: Case, name: str, line: int) -> Decoded[Stimulus, Stimulus] | None:
    found = [act for act in case.stimuli(Act.WRITE) if act.value.name == name and act.line < line]
    return found[-1] if found else None


@requirement(
    "PROFILE-68",
    area=Area.BEHAVIOUR,
    standard="good practice (profile)",
    clause="profile: properties.*.readOnly; behaviour.report_local",
    level=Level.SHOULD,
    basis=Basis.PRACTICE,
    purpose="ensure that the device does not report the old value of a sensor when it changes",
    stimulus=f"Let the sensor change {CHANGES} times, each time after the last report",
    expect="The first report after each change has the new value",
    ics="DEV.SENSOR & MQTT.CLIENT",
    needs=(BenchFeature.LOCAL, BenchFeature.BROKER),
    usual_cause="The message goes out before the new measurement has been stored: automations that react to "
    "each message run twice, once with the wrong value.",
)
class NewValueFirst(Check):
    """Fails only if the old value precedes every change: single reports may come from a timer."""

    def subjects(self, profile: Profile) -> list[Subject]:
        return [Subject(name) for name in profile.properties if _is_sensed(profile, name)]

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        name = name_of(subject)
        schema = bench.profile.properties[name]
        async with precondition(bench, Transport.MQTT) as arranger:
            if schema.type in (DataType.INTEGER, DataType.NUMBER) and not schema.enum:
                await free_sensor(arranger, bench.profile, name)
                values = points(bench.profile, name, arranger.state)
            else:
                values = resting(schema)
            for turn in range(CHANGES):
                present = arranger.state.get(name)
                other = [value for value in values if not schema.agrees(value, present)]
                if not other:
                    raise StimulusError(f"{name} has no second value that the sensor can be shown")
                value = other[turn % len(other)]
                since = bench.mark()
                arranger.remember(name)
                await bench.local.sense(name, value)
                await bench.wait_for_report(
                    name,
                    lambda seen, value=value: schema.agrees(seen, value),  # type: ignore[misc]
                    transport=Transport.MQTT.value,
                    within=bench.profile.behaviour.report_local,
                    since=since,
                )
                arranger.state[name] = value

    def judge(self, case: Case) -> Outcome:
        name = name_of(case.subject)
        changes = list(_sensor_changes(case, name))[:CHANGES]
        if len(changes) < CHANGES:
            return inconclusive(f"{name} changed and was reported only {len(changes)} of {CHANGES} times")
        old = [early for _, early, _ in changes if early is not None]
        if len(old) == len(changes):
            return failed(
                f"before each of {len(changes)} changes of {name} the device reported the old value again",
                old,
                [new for _, _, new in changes],
            )
        return passed(f"{name} was reported with its new value first", [new for _, _, new in changes])


def _is_sensed(profile: Profile, name: str) -> bool:
    """Whether a sensor, and no rule, decides the value, and MQTT reports it."""
    schema = profile.properties[name]
    ruled = any(condition.property_ == name for rule in profile.behaviour.rules for condition in rule.then)
    simple = schema.type in (DataType.INTEGER, DataType.NUMBER, DataType.BOOLEAN) or bool(schema.enum)
    fits = schema.read_only and simple and not schema.counter and not schema.self_changing and not ruled
    return fits and Transport.MQTT in reporting_transports(profile, name)


def _sensor_changes(case: Case, name: str) -> Iterator[tuple[Evidence, Report | None, Report]]:
    """Each change of a sensor: the act, an old value just before the new one if any, and the new one."""
    schema = case.profile.properties[name]
    for act in case.stimuli(Act.LOCAL):
        if act.value.name != name or act.value.value in (None, "null"):
            continue
        value = json.loads(act.value.value or "null")
        before = case.last_report(name, act.line, Transport.MQTT)
        after = [r for r in case.reports(name, Transport.MQTT) if r.event.line > act.line]
        new = next((r for r in after if r.problem is None and schema.agrees(r.value, value)), None)
        if before is None or new is None or schema.agrees(before.value, value):
            continue
        early = [
            r
            for r in after
            if r.event.line < new.event.line
            and new.time - r.time <= PROMPT
            and r.problem is None
            and _same(before.value, r.value)
        ]
        yield act, early[0] if early else None, new


def _same(one: Value, other: Value) -> bool:
    return json_text(one) == json_text(other)
