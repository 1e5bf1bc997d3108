"""Series of commands: over the whole range, the same one twice, and bursts."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from harness.checks.behaviour.commands_accepted import try_legal
from harness.checks.bench import Bench, StimulusError
from harness.checks.case import Case, Evidence, failed, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.observations import Transport
from harness.checks.payloads import json_text
from harness.checks.support.behaviour.arrange import (
    precondition,
)
from harness.checks.support.behaviour.boundary_values import (
    NUMERIC,
    grid,
    resting,
    step_of,
)
from harness.checks.support.behaviour.commands import (
    ROUNDING,
    SETTLE,
    command_and_wait,
    commands,
    confirmed_at,
    described,
    is_reported,
    mismatch,
    require_reader,
)
from harness.checks.support.behaviour.forecast import (
    State,
    obstacles,
    related,
)
from harness.checks.support.behaviour.transports import (
    command_transports,
    name_of,
    transport_of,
    writable_subjects,
)
from harness.checks.support.behaviour.trial_values import other_value
from harness.model.affordance import Property
from harness.model.base import Value
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, Level
from harness.model.schema import same_value
from harness.model.verdict import Outcome, Subject, Verdict

SAMPLES = 12  # values of a grid
FED_BACK = 4  # of these samples are sent again as they were reported
BURST = 10  # commands


@requirement(
    "DEV-24",
    area=Area.BEHAVIOUR,
    standard="good practice (profile)",
    clause="Homie v5 Formats; profile: properties.*.multipleOf",
    level=Level.SHOULD,
    basis=Basis.PRACTICE,
    purpose="ensure that the device keeps a setting when its reported value is sent back as a command",
    stimulus="Write values over the whole range of the property; send some reported values back as "
    "commands, twice",
    expect="Each report is within half a step of the command; a value that is sent back is reported "
    "unchanged",
    ics="DEV.RANGE",
    usual_cause="The value is stored with fewer bits than it is reported with, and truncated instead of "
    "rounded: a controller that synchronises both sides makes it drift down.",
    phase=Phase.BOUNDARY,
)
class StableOnGrid(Check):
    """Samples from the minimum to the maximum."""

    def subjects(self, profile: Profile) -> list[Subject]:
        return writable_subjects(profile, lambda schema: schema.type in NUMERIC and not schema.enum)

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        name = name_of(subject)
        require_reader(bench, name)
        transport = transport_of(command_transports(bench.profile, name), subject)
        samples = grid(bench.profile.properties[name], SAMPLES)
        fed_back = samples[:: max(1, len(samples) // FED_BACK)]
        async with precondition(bench, transport) as arranger:
            for value in samples:
                if await try_legal(bench, arranger, name, value, transport):
                    break
                for _ in range(2 if value in fed_back else 0):
                    await command_and_wait(bench, name, arranger.state[name], transport)
                    await arranger.look([name])

    def judge(self, case: Case) -> Outcome:
        name = name_of(case.subject)
        transport = transport_of(command_transports(case.profile, name), case.subject)
        schema = case.profile.properties[name]
        sent = commands(case, name, transport)
        evidence: list[Evidence] = []
        for command in sent:
            if not command.reports:
                continue
            # The last report before the next command is the result of this one.
            last = command.reports[-1]
            evidence += [command.sent.event, last]
            if last.problem is not None or not _within_half_a_step(schema, last.value, command.value):
                return failed(
                    f"{json_text(command.value)} was commanded, but {described(last)} was reported",
                    command.sent.event,
                    last,
                )
        if len(evidence) < 4:
            return inconclusive(f"fewer than two commands for {name} were followed by a report")
        return passed(f"{len(evidence) // 2} commands over the range were reported as commanded", evidence)


def _within_half_a_step(schema: Property, reported: Value, commanded: Value) -> bool:
    step = step_of(schema)
    allowed = max(schema.tolerance, float(step) / 2 if step is not None else 0.0)
    if isinstance(reported, bool) or not isinstance(reported, int | float):
        return False
    return abs(reported - commanded) < allowed or schema.agrees(reported, commanded)


@requirement(
    "DEV-06",
    area=Area.BEHAVIOUR,
    standard="RFC 7252 and good practice (profile)",
    clause="5.1 (PUT is idempotent); MQTT 4.3 (at least once)",
    level=Level.SHOULD,
    basis=Basis.DERIVED,
    purpose="ensure that the device stays in the commanded state when it receives the same command twice",
    stimulus="Write a value, and the same value again as soon as it is reported",
    expect="The state stays as commanded; no toggling back",
    ics="DEV.ACTUATOR",
    usual_cause="The command handler toggles instead of setting the state: two remote controls, or one "
    "redelivered message, cancel each other out.",
)
class Repeatable(Check):
    """The same command twice."""

    def subjects(self, profile: Profile) -> list[Subject]:
        return writable_subjects(profile)

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        name = name_of(subject)
        require_reader(bench, name)
        transport = transport_of(command_transports(bench.profile, name), subject)
        async with precondition(bench, transport) as arranger:
            value = await other_value(bench, arranger, name)
            await command_and_wait(bench, name, value, transport)
            since = bench.mark()
            await bench.write(name, value, transport=transport.value)
            # Any report shows the result of the second command; a device may also stay silent.
            await bench.wait_for_report(
                name,
                lambda _: True,
                transport=transport.value,
                within=bench.profile.settle(name),
                since=since,
                imposed_by=SETTLE,
            )

    def judge(self, case: Case) -> Outcome:
        name = name_of(case.subject)
        sent = commands(case, name, transport_of(command_transports(case.profile, name), case.subject))
        pair = next(
            (
                (one, two)
                for one, two in pairwise(sent)
                if one.problem is None and same_value(one.value, two.value)
            ),
            None,
        )
        if pair is None:
            return inconclusive(f"the two commands for {name} did not reach the device one after the other")
        one, two = pair
        first = confirmed_at(case, name, one)
        if first == len(one.reports):
            return inconclusive(
                "the state after the first command was not reported, so the second proves nothing", one.sent
            )
        wrong = mismatch(case, name, [one.value], [*one.reports[first:], *two.reports])
        if wrong is not None:
            return failed(
                f"{name} = {json_text(one.value)} was commanded twice, then {described(wrong)} was reported",
                one.sent,
                two.sent,
                wrong,
            )
        return passed(
            f"{name} = {json_text(one.value)} did not change when it was commanded again",
            one.sent,
            one.reports[first],
            two.sent,
            two.reports,
        )


@requirement(
    "DEV-07",
    area=Area.BEHAVIOUR,
    standard="good practice (profile)",
    clause="MQTT [MQTT-4.6.0-6] (order of messages)",
    level=Level.SHOULD,
    basis=Basis.PRACTICE,
    purpose="ensure that the device ends a burst of commands in the state of the last one",
    stimulus=f"Send {BURST} commands that alternate between two values without waiting for reports, with "
    "commands for a second property between them where there is one",
    expect="The last report of each property is the last command",
    ics="DEV.ACTUATOR",
    usual_cause="A queue for a single command, which drops commands while the actuator moves.",
    phase=Phase.PRESSURE,
)
class LastOfBurst(Check):
    """Commands for two properties, interleaved on one transport."""

    def subjects(self, profile: Profile) -> list[Subject]:
        return writable_subjects(profile)

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        name = name_of(subject)
        require_reader(bench, name)
        transport = transport_of(command_transports(bench.profile, name), subject)
        async with precondition(bench, transport) as arranger:
            last = await other_value(bench, arranger, name)
            first = _second_value(bench.profile, arranger.state, name, last)
            second = second_property(bench.profile, name, transport)
            others = resting(bench.profile.properties[second])[:2] if second else []
            since = bench.mark()
            await _burst(
                bench, transport, {name: (first, last)} | ({second: tuple(others)} if second else {})
            )
            await is_reported(bench, name, last, transport, since)
            if second:
                await is_reported(bench, second, others[1], transport, since)
            settle = max(bench.profile.settle(each) for each in (name, second or name))
            await bench.watch_silence(settle, imposed_by=SETTLE, what="the device to settle after the burst")
            for each in (name, second) if second else (name,):
                await bench.read(each, transport=transport.value)

    def judge(self, case: Case) -> Outcome:
        name = name_of(case.subject)
        transport = transport_of(command_transports(case.profile, name), case.subject)
        outcome = _judge_burst(case, name, transport)
        second = second_property(case.profile, name, transport)
        if second is None or outcome.verdict is not Verdict.PASS:
            return outcome
        other = _judge_burst(case, second, transport)
        return other if other.verdict is not Verdict.PASS else outcome


def _judge_burst(case: Case, name: str, transport: Transport) -> Outcome:
    sent = commands(case, name, transport)
    burst = sent[:BURST]
    if len(burst) < BURST:
        return inconclusive(f"only {len(burst)} of {BURST} commands for {name} reached the device")
    if burst[-1].time - burst[0].time > case.profile.settle(name):
        return inconclusive("the commands were forwarded too slowly to be a burst", burst[0].sent)
    begin, end = burst[0].sent.line, sent[BURST].sent.line if len(sent) > BURST else case.window[-1].line
    reports = [r for r in case.reports(name, transport) if begin < r.event.line < end]
    ended = case.trace[end - 1].time
    if ended - burst[-1].time < case.profile.settle(name) - ROUNDING:
        return inconclusive(
            f"the device was not given {case.profile.settle(name):g} s to settle", burst[-1].sent
        )
    last = burst[-1].value
    evidence = [burst[0].sent.event, burst[-1].sent.event]
    if not reports:
        return failed(f"none of {BURST} commands for {name} was reported", evidence)
    if mismatch(case, name, [last], reports[-1:]):
        return failed(
            f"after {BURST} commands, the last of them {name} = {json_text(last)}, "
            f"the device reports {described(reports[-1])}",
            evidence,
            reports[-1],
        )
    return passed(f"the last of {BURST} commands, {json_text(last)}, is the state", evidence, reports[-1])


def second_property(profile: Profile, name: str, transport: Transport) -> str | None:
    """A second property for the burst, which no rule connects with the first; None if there is none."""
    own = related(profile, [name])
    for other, schema in profile.properties.items():
        if schema.writable and not schema.write_only and transport in command_transports(profile, other):
            apart = not own & related(profile, [other])
            if apart and not obstacles_anywhere(profile, other) and len(resting(schema)) > 1:
                return other
    return None


def obstacles_anywhere(profile: Profile, name: str) -> bool:
    """Whether any rule sets or restricts a property."""
    return any(
        condition.property_ == name
        for rule in profile.behaviour.rules
        for condition in (*rule.then, *rule.refuse)
    )


def _second_value(profile: Profile, state: State, name: str, last: Value) -> Value:
    """A legal value besides ``last`` that is possible in the same state. Raises StimulusError."""
    for value in resting(profile.properties[name]):
        if not same_value(value, last) and not obstacles(profile, state, name, value):
            return value
    raise StimulusError(f"{name} has no two values that are legal at the same time")


async def _burst(bench: Bench, transport: Transport, pairs: dict[str, tuple[Value, ...]]) -> None:
    """Alternate between two values as fast as allowed: over CoAP one by one (RFC 7252, 4.7), else at once."""
    turns = [(name, values[turn % 2]) for turn in range(BURST) for name, values in pairs.items()]
    if transport is Transport.COAP:
        for name, value in turns:
            await bench.write(name, value, transport=transport.value)
        return
    await asyncio.gather(*(bench.write(name, value, transport=transport.value) for name, value in turns))
