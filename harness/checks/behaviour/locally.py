"""What happens at the device itself: keys pressed, sensors stimulated, and what the network hears of it."""

from __future__ import annotations

import contextlib
import json

from harness.checks.behaviour.arranging import Arranger, arranged
from harness.checks.behaviour.commands import described
from harness.checks.behaviour.forecast import SOON, State, all_hold, obstacles, pending, same_state, settled
from harness.checks.behaviour.planning import effect_value
from harness.checks.behaviour.reach import each, name_of, readers_of, transport_of
from harness.checks.behaviour.values import NUMERIC, grid, limits
from harness.checks.bench import Bench, CannotStimulateError
from harness.checks.case import Case, Evidence, Seen, failed, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.observations import Report, Transport
from harness.checks.payloads import json_text
from harness.model.affordance import Property
from harness.model.base import Value
from harness.model.profile import Control, Effect, Profile
from harness.model.requirement import Area, Basis, Level, Need
from harness.model.schema import same_value
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act, Stimulus


async def unlock(arranger: Arranger, profile: Profile, name: str) -> None:
    """Bring about that operating a control does what it says, and that it lasts.

    Raises CannotStimulateError.
    """
    control = profile.controls[name]

    def works(state: State) -> bool:
        if control.unless and all_hold(control.unless, state):
            return False
        return not any(
            effect.property_ is not None
            and (
                effect.property_ not in state
                or same_value(_result(profile, effect, state), state[effect.property_])
                or obstacles(profile, state, effect.property_, _result(profile, effect, state))
            )
            for effect in control.effects
        )

    names = {effect.property_ for effect in control.effects if effect.property_ is not None}
    for condition in control.unless:
        names |= condition.names
    await arranger.bring_about(works, names, f"operating {name} has its effect")


def _result(profile: Profile, effect: Effect, state: State) -> Value:
    name = effect.property_ or ""
    return effect_value(profile.properties[name], effect, state)


def moved_by(control: Control) -> list[Effect]:
    """Its effects on properties."""
    return [effect for effect in control.effects if effect.property_ is not None]


@requirement(
    "DEV-08",
    area=Area.BEHAVIOUR,
    standard="W3C WoT TD 1.1 and the profile",
    clause="observeproperty; profile: controls, behaviour.report_local",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that a change that is made at the device itself is reported on every transport",
    stimulus="Operate each control of the device",
    expect="The new state is reported within behaviour.report_local, by MQTT, and to who observes or reads",
    ics="DEV.LOCAL_UI",
    needs=(Need.LOCAL,),
    usual_cause="State is published by the handler of network commands; the handler of the button knows only "
    "the relay.",
)
class LocalChange(Check):
    """Controls that change properties."""

    def subjects(self, profile: Profile) -> list[Subject]:
        moving = [name for name, control in profile.controls.items() if moved_by(control)]
        return each(moving, lambda name: readers_of_control(profile, name))

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        name = name_of(subject)
        transport = transport_of(readers_of_control(bench.profile, name), subject)
        if transport is Transport.COAP:
            await bench.watch()
        async with arranged(bench, transport) as arranger:
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
            if transport not in readers_of(case.profile, moved):
                continue
            before = case.known(moved, act.line)
            if before is None:
                return inconclusive(f"the state of {moved} before {name} was operated is not known", act)
            expected = _result(case.profile, effect, {moved: before.value})
            if same_value(expected, before.value):
                return inconclusive(f"{moved} was {json_text(expected)} already", before, act)
            outcome = told_in_time(case, moved, expected, transport, act)
            if isinstance(outcome, Outcome):
                return outcome
            evidence.append(outcome)
        return passed(f"what {name} did was reported over {transport}", evidence)


def readers_of_control(profile: Profile, control: str) -> list[Transport]:
    """The transports that tell something of what a control moves."""
    moved = [effect.property_ or "" for effect in moved_by(profile.controls[control])]
    return [t for t in Transport if any(t in readers_of(profile, name) for name in moved)]


async def _await_effect(
    bench: Bench, effect: Effect, before: State, transport: Transport, since: int
) -> None:
    name = effect.property_ or ""
    if transport not in readers_of(bench.profile, name):
        return
    expected = _result(bench.profile, effect, before)
    schema = bench.profile.properties[name]
    await bench.reported(
        name,
        lambda value: schema.agrees(value, expected),
        transport=transport.value,
        within=bench.profile.behaviour.report_local,
        since=since,
    )


def operated(case: Case, control: str) -> Seen[Stimulus, Stimulus] | None:
    """When a control was operated first in the window; None if it was not."""
    return next((act for act in case.acts(Act.LOCAL) if act.what.name == control), None)


def told_in_time(
    case: Case, name: str, expected: Value, transport: Transport, cause: Seen[Stimulus, Stimulus]
) -> Report | Outcome:
    """The report of the expected value, or why it is missing or late."""
    limit, schema = case.profile.behaviour.report_local, case.profile.properties[name]
    after = [r for r in case.reports(name, transport) if r.event.line > cause.line]
    told = next((r for r in after if r.problem is None and schema.agrees(r.value, expected)), None)
    text = f"{name} = {json_text(expected)}"
    if told is None:
        instead = f"; it told {described(after[0])}" if after else ""
        return failed(
            f"{text} was not reported over {transport} within {limit:g} s{instead}", cause, after[:1]
        )
    late = told.time - case.over(cause)  # done by hand, it may have happened at the end only
    # What is read tells nothing of when it could have been read.
    if late > limit and not told.asked:
        return failed(
            f"{text} was reported over {transport} after {late:.3g} s, not {limit:g} s", cause, told
        )
    return told


@requirement(
    "DEV-11",
    area=Area.BEHAVIOUR,
    standard="good practice (profile)",
    clause="profile: properties.*.unit, tolerance; behaviour.report_local",
    level=Level.MUST,
    basis=Basis.PRACTICE,
    purpose="ensure that what is measured is reported in the declared unit and within the declared tolerance",
    stimulus="Let the sensor see several known values, a negative one and zero among them where it can",
    expect="Each is reported within behaviour.report_local, within the tolerance",
    ics="DEV.SENSOR",
    needs=(Need.LOCAL,),
    usual_cause="A factor of ten or a thousand between register and unit, a negative value read as unsigned, "
    "or a measurement that is taken once at power-on.",
)
class Measurements(Check):
    """Several points, because one does not show an error of scale."""

    def subjects(self, profile: Profile) -> list[Subject]:
        names = [name for name, schema in profile.properties.items() if is_measured(schema)]
        return each(names, lambda name: readers_of(profile, name))

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        name = name_of(subject)
        transport = transport_of(readers_of(bench.profile, name), subject)
        schema = bench.profile.properties[name]
        if transport is Transport.COAP:
            await bench.watch()
        async with arranged(bench, transport) as arranger:
            await free_sensor(arranger, bench.profile, name)
            for value in points(bench.profile, name, arranger.state):
                since = bench.mark()
                arranger.remember(name)
                await bench.local.sense(name, value)
                await bench.reported(
                    name,
                    lambda told, value=value: schema.agrees(told, value),  # type: ignore[misc]
                    transport=transport.value,
                    within=bench.profile.behaviour.report_local,
                    since=since,
                )

    def judge(self, case: Case) -> Outcome:
        name = name_of(case.subject)
        transport = transport_of(readers_of(case.profile, name), case.subject)
        seen = [act for act in case.acts(Act.LOCAL) if act.what.name == name and act.what.value != "null"]
        evidence: list[Evidence] = []
        schema = case.profile.properties[name]
        for act in seen:
            value, before = json.loads(act.what.value or "null"), case.known(name, act.line, transport)
            if before is not None and schema.agrees(before.value, value):
                continue  # nothing new to tell
            outcome = told_in_time(case, name, value, transport, act)
            if isinstance(outcome, Outcome):
                return outcome
            evidence += [act, outcome]
        if len(evidence) < 4:
            return inconclusive(f"the sensor of {name} was shown fewer than two values", seen)
        return passed(f"{len(evidence) // 2} measured values of {name} were reported as they are", evidence)


async def free_sensor(arranger: Arranger, profile: Profile, name: str) -> None:
    """Bring about that no rule minds what the sensor sees, over its whole range if that can be."""
    names = {name}
    for rule in profile.behaviour.rules:
        conditions = (*rule.when, *rule.while_)
        if any(name in condition.names for condition in conditions):
            names |= {other for condition in conditions for other in condition.names}
    ends = (limits(profile.properties[name])[0], limits(profile.properties[name])[-1])
    with contextlib.suppress(CannotStimulateError):
        await arranger.bring_about(
            lambda state: all(_is_quiet(profile, {**state, name: end}) for end in ends),
            names,
            "no rule minds",
        )
        return
    await arranger.bring_about(
        lambda state: len(points(profile, name, state)) > 1, names, f"{name} follows its sensor"
    )


def is_measured(schema: Property) -> bool:
    """Whether it is what a sensor of numbers sees."""
    return schema.read_only and schema.type in NUMERIC and not schema.enum and not schema.counter


def points(profile: Profile, name: str, state: State) -> list[Value]:
    """Values that the sensor can be shown without any rule acting on them, from the whole range."""
    schema = profile.properties[name]
    quiet = [
        value
        for value in grid(schema, 21)
        if not same_value(value, state.get(name)) and _is_quiet(profile, {**state, name: value})
    ]
    chosen = [*quiet[:1], *quiet[len(quiet) // 2 :][:1], *quiet[-1:]]
    zero = [value for value in (0,) if schema.accepts(value) and _is_quiet(profile, {**state, name: value})]
    return [*dict.fromkeys([*chosen, *zero])]


def _is_quiet(profile: Profile, state: State) -> bool:
    acting = any(rule.for_ <= SOON for rule in pending(profile, state))
    return not acting and same_state(settled(profile, state), state)
