"""Local operation: pressed keys and stimulated sensors are reported to the network."""

from __future__ import annotations

import json

from harness.checks.bench import Bench
from harness.checks.case import Case, Evidence, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.observations import Transport
from harness.checks.payloads import json_text
from harness.checks.support.behaviour.arrange import (
    precondition,
)
from harness.checks.support.behaviour.forecast import (
    State,
)
from harness.checks.support.behaviour.local_operation import (
    _result,
    free_sensor,
    is_measured,
    moved_by,
    operated,
    points,
    readers_of_control,
    reported_in_time,
    unlock,
)
from harness.checks.support.behaviour.transports import (
    name_of,
    reporting_transports,
    subjects_for,
    transport_of,
)
from harness.model.profile import Effect, Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.schema import same_value
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act


@requirement(
    "DEV-08",
    area=Area.BEHAVIOUR,
    standard="W3C WoT TD 1.1 and the profile",
    clause="observeproperty; profile: controls, behaviour.report_local",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that the device reports a change made at its controls on every transport",
    stimulus="Operate each control of the device",
    expect="The new state is reported within behaviour.report_local: over MQTT, and over CoAP when observed "
    "or read",
    ics="DEV.LOCAL_UI",
    needs=(BenchFeature.LOCAL,),
    usual_cause="The handler of network commands publishes the state; the handler of the button only "
    "switches "
    "the relay.",
)
class LocalChange(Check):
    """Controls that change properties."""

    def subjects(self, profile: Profile) -> list[Subject]:
        moving = [name for name, control in profile.controls.items() if moved_by(control)]
        return subjects_for(moving, lambda name: readers_of_control(profile, name))

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        name = name_of(subject)
        transport = transport_of(readers_of_control(bench.profile, name), subject)
        if transport is Transport.COAP:
            await bench.watch()
        async with precondition(bench, transport) as arranger:
            await unlock(arranger, bench.profile, name)
            before, since = dict(arranger.state), bench.mark()
            await bench.local.operate(name)
            for effect in moved_by(bench.profile.controls[name]):
                await _await_effect(bench, effect, before, transport, since)

    def judge(self, case: Case) -> Outcome:
        name = name_of(case.subject)
        transport = transport_of(readers_of_control(case.profile, name), case.subject)
        act = operated(case, name)
        if act is None:
            return inconclusive(f"{name} was not operated")
        evidence: list[Evidence] = [act]
        for effect in moved_by(case.profile.controls[name]):
            moved = effect.property_ or ""
            if transport not in reporting_transports(case.profile, moved):
                continue
            before = case.last_report(moved, act.line)
            if before is None:
                return inconclusive(f"the state of {moved} before {name} was operated is unknown", act)
            expected = _result(case.profile, effect, {moved: before.value})
            if same_value(expected, before.value):
                return inconclusive(f"{moved} was already {json_text(expected)}", before, act)
            outcome = reported_in_time(case, moved, expected, transport, act)
            if isinstance(outcome, Outcome):
                return outcome
            evidence.append(outcome)
        return passed(f"the effect of {name} was reported over {transport}", evidence)


async def _await_effect(
    bench: Bench, effect: Effect, before: State, transport: Transport, since: int
) -> None:
    name = effect.property_ or ""
    if transport not in reporting_transports(bench.profile, name):
        return
    expected = _result(bench.profile, effect, before)
    schema = bench.profile.properties[name]
    await bench.wait_for_report(
        name,
        lambda value: schema.agrees(value, expected),
        transport=transport.value,
        within=bench.profile.behaviour.report_local,
        since=since,
    )


@requirement(
    "DEV-11",
    area=Area.BEHAVIOUR,
    standard="good practice (profile)",
    clause="profile: properties.*.unit, tolerance; behaviour.report_local",
    level=Level.MUST,
    basis=Basis.PRACTICE,
    purpose="ensure that the device reports measurements in the declared unit and within the declared "
    "tolerance",
    stimulus="Show the sensor several known values, including zero and a negative one where possible",
    expect="Each is reported within behaviour.report_local, within the tolerance",
    ics="DEV.SENSOR",
    needs=(BenchFeature.LOCAL,),
    usual_cause="A factor of ten or a thousand between register and unit, a negative value read as "
    "unsigned, or "
    "a measurement taken only at power-on.",
)
class Measurements(Check):
    """Several points, because a single one does not reveal an error of scale."""

    def subjects(self, profile: Profile) -> list[Subject]:
        names = [name for name, schema in profile.properties.items() if is_measured(schema)]
        return subjects_for(names, lambda name: reporting_transports(profile, name))

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        name = name_of(subject)
        transport = transport_of(reporting_transports(bench.profile, name), subject)
        schema = bench.profile.properties[name]
        if transport is Transport.COAP:
            await bench.watch()
        async with precondition(bench, transport) as arranger:
            await free_sensor(arranger, bench.profile, name)
            for value in points(bench.profile, name, arranger.state):
                since = bench.mark()
                arranger.remember(name)
                await bench.local.sense(name, value)
                await bench.wait_for_report(
                    name,
                    lambda seen, value=value: schema.agrees(seen, value),  # type: ignore[misc]
                    transport=transport.value,
                    within=bench.profile.behaviour.report_local,
                    since=since,
                )

    def judge(self, case: Case) -> Outcome:
        name = name_of(case.subject)
        transport = transport_of(reporting_transports(case.profile, name), case.subject)
        seen = [
            act for act in case.stimuli(Act.LOCAL) if act.value.name == name and act.value.value != "null"
        ]
        evidence: list[Evidence] = []
        schema = case.profile.properties[name]
        for act in seen:
            value, before = json.loads(act.value.value or "null"), case.last_report(name, act.line, transport)
            if before is not None and schema.agrees(before.value, value):
                continue  # no change to report
            outcome = reported_in_time(case, name, value, transport, act)
            if isinstance(outcome, Outcome):
                return outcome
            evidence += [act, outcome]
        if len(evidence) < 4:
            return inconclusive(f"the sensor of {name} was shown fewer than two values", seen)
        return passed(f"{len(evidence) // 2} measured values of {name} were reported correctly", evidence)
