"""What happens at the device itself: keys pressed, sensors stimulated, and what the network hears of it."""

from __future__ import annotations

import contextlib
import json

from harness.checks.behaviour.arranging import Arranger, arranged
from harness.checks.behaviour.commands import described, had_time
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

PRESSES = 3
REPORT_LOCAL = "profile: behaviour.report_local"


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


def _moved_by(control: Control) -> list[Effect]:
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
        moving = [name for name, control in profile.controls.items() if _moved_by(control)]
        return each(moving, lambda name: _readers(profile, name))

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        name = name_of(subject)
        transport = transport_of(_readers(bench.profile, name), subject)
        if transport is Transport.COAP:
            await bench.watch()
        async with arranged(bench, transport) as arranger:
            await unlock(arranger, bench.profile, name)
            before, since = dict(arranger.state), bench.mark()
            await bench.local.operate(name)
            for effect in _moved_by(bench.profile.controls[name]):
                await _await_effect(bench, effect, before, transport, since)

    def judge(self, case: Case) -> Outcome:
        name = name_of(case.subject)
        transport = transport_of(_readers(case.profile, name), case.subject)
        operated = _operated(case, name)
        if operated is None:
            return inconclusive(f"{name} was not operated")
        evidence: list[Evidence] = [operated]
        for effect in _moved_by(case.profile.controls[name]):
            moved = effect.property_ or ""
            if transport not in readers_of(case.profile, moved):
                continue
            before = case.known(moved, operated.line)
            if before is None:
                return inconclusive(f"the state of {moved} before {name} was operated is not known", operated)
            expected = _result(case.profile, effect, {moved: before.value})
            if same_value(expected, before.value):
                return inconclusive(f"{moved} was {json_text(expected)} already", before, operated)
            outcome = _told_in_time(case, moved, expected, transport, operated)
            if isinstance(outcome, Outcome):
                return outcome
            evidence.append(outcome)
        return passed(f"what {name} did was reported over {transport}", evidence)


def _readers(profile: Profile, control: str) -> list[Transport]:
    """The transports that tell something of what a control moves."""
    moved = [effect.property_ or "" for effect in _moved_by(profile.controls[control])]
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


def _operated(case: Case, control: str) -> Seen[Stimulus, Stimulus] | None:
    return next((act for act in case.acts(Act.LOCAL) if act.what.name == control), None)


def _told_in_time(
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
    late = told.time - cause.time
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
        names = [name for name, schema in profile.properties.items() if _is_measured(schema)]
        return each(names, lambda name: readers_of(profile, name))

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        name = name_of(subject)
        transport = transport_of(readers_of(bench.profile, name), subject)
        schema = bench.profile.properties[name]
        if transport is Transport.COAP:
            await bench.watch()
        async with arranged(bench, transport) as arranger:
            await _free_sensor(arranger, bench.profile, name)
            for value in _points(bench.profile, name, arranger.state):
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
            outcome = _told_in_time(case, name, value, transport, act)
            if isinstance(outcome, Outcome):
                return outcome
            evidence += [act, outcome]
        if len(evidence) < 4:
            return inconclusive(f"the sensor of {name} was shown fewer than two values", seen)
        return passed(f"{len(evidence) // 2} measured values of {name} were reported as they are", evidence)


async def _free_sensor(arranger: Arranger, profile: Profile, name: str) -> None:
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
        lambda state: len(_points(profile, name, state)) > 1, names, f"{name} follows its sensor"
    )


def _is_measured(schema: Property) -> bool:
    return schema.read_only and schema.type in NUMERIC and not schema.enum and not schema.counter


def _points(profile: Profile, name: str, state: State) -> list[Value]:
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


def _telling(profile: Profile) -> list[str]:
    return [
        name for name, control in profile.controls.items() if any(effect.event for effect in control.effects)
    ]


def _event_readers(profile: Profile, control: str) -> list[Transport]:
    events = [effect.event for effect in profile.controls[control].effects if effect.event]
    return [t for t in Transport if any(t in readers_of(profile, name) for name in events)]


@requirement(
    "PROFILE-65",
    area=Area.BEHAVIOUR,
    standard="profile",
    clause="controls.*.effects, events; behaviour.report_local",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that operating a control tells its event, with its data, on every transport",
    stimulus="Operate the control once",
    expect="The event is told within behaviour.report_local, with the declared data",
    ics="DEV.LOCAL_UI & DEV.EVENTS",
    needs=(Need.LOCAL,),
    usual_cause="The table that maps keys to events was not carried over to a new model, or an event is sent "
    "before the radio is up and lost.",
)
class ControlTellsEvent(Check):
    """Every key of a remote control, for example."""

    def subjects(self, profile: Profile) -> list[Subject]:
        return each(_telling(profile), lambda name: _event_readers(profile, name))

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        name = name_of(subject)
        transport = transport_of(_event_readers(bench.profile, name), subject)
        if transport is Transport.COAP:
            await bench.watch()
        async with arranged(bench, transport) as arranger:
            await unlock(arranger, bench.profile, name)
            since = bench.mark()
            await bench.local.operate(name)
            for effect in bench.profile.controls[name].effects:
                if effect.event and transport in readers_of(bench.profile, effect.event):
                    await _await_event(bench, effect.event, effect.data, transport, since)

    def judge(self, case: Case) -> Outcome:
        name = name_of(case.subject)
        transport = transport_of(_event_readers(case.profile, name), case.subject)
        operated, limit = _operated(case, name), case.profile.behaviour.report_local
        if operated is None:
            return inconclusive(f"{name} was not operated")
        evidence: list[Evidence] = [operated]
        for effect in case.profile.controls[name].effects:
            if not effect.event or transport not in readers_of(case.profile, effect.event):
                continue
            after = [r for r in case.reports(effect.event, transport) if r.event.line > operated.line]
            told = [r for r in after if effect.data is None or same_value(r.value, effect.data)]
            text = effect.event + (f" {json_text(effect.data)}" if effect.data is not None else "")
            if not told:
                instead = f", but {described(after[0])}" if after else ""
                return failed(f"{name} did not tell {text} within {limit:g} s{instead}", operated, after[:1])
            late = told[0].time - operated.time
            if late > limit:
                return failed(f"{name} told {text} after {late:.3g} s, not {limit:g} s", operated, told[0])
            evidence.append(told[0])
        return passed(f"{name} told its event over {transport}", evidence)


async def _await_event(bench: Bench, event: str, data: Value, transport: Transport, since: int) -> None:
    await bench.reported(
        event,
        lambda told: data is None or same_value(told, data),
        transport=transport.value,
        within=bench.profile.behaviour.report_local,
        since=since,
    )


@requirement(
    "DEV-26",
    area=Area.BEHAVIOUR,
    standard="good practice (profile)",
    clause="Homie v5 (non-retained properties); profile: events",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that one physical event gives exactly one message, and that it is not retained",
    stimulus=f"Operate a control that tells the event, {PRESSES} times, each time after the last message",
    expect=f"Exactly {PRESSES} messages of the event, over MQTT without the RETAIN flag",
    ics="DEV.EVENTS",
    needs=(Need.LOCAL,),
    usual_cause="A contact that bounces and is not filtered, or events published by the routine that "
    "publishes state, with its RETAIN flag: who connects later switches a lamp by a press of last week.",
)
class OneMessageForEachEvent(Check):
    """Presses are counted."""

    def subjects(self, profile: Profile) -> list[Subject]:
        told = [event for event in profile.events if _control_of(profile, event)]
        return each(told, lambda event: readers_of(profile, event))

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        event = name_of(subject)
        transport = transport_of(readers_of(bench.profile, event), subject)
        if transport is Transport.COAP:
            await bench.watch()
        control = _control_of(bench.profile, event)
        if control is None:
            raise CannotStimulateError(f"no control tells {event}")
        async with arranged(bench, transport) as arranger:
            for _ in range(PRESSES):
                await unlock(arranger, bench.profile, control)
                since = bench.mark()
                await bench.local.operate(control)
                await _await_event(bench, event, None, transport, since)
                await arranger.look()
            await bench.quiet(
                bench.profile.behaviour.report_local,
                imposed_by=REPORT_LOCAL,
                what=f"no further message about {event}",
            )

    def judge(self, case: Case) -> Outcome:
        event = name_of(case.subject)
        transport = transport_of(readers_of(case.profile, event), case.subject)
        presses = [
            act
            for act in case.acts(Act.LOCAL)
            if act.what.name in case.profile.controls
            and any(effect.event == event for effect in case.profile.controls[act.what.name].effects)
        ]
        if len(presses) < PRESSES or not had_time(
            case, presses[-1].time, case.profile.behaviour.report_local
        ):
            return inconclusive(f"{event} was not brought about {PRESSES} times", presses)
        told = [r for r in case.reports(event, transport) if r.event.line > presses[0].line]
        if len(told) != len(presses):
            return failed(f"{event} was told {len(told)} times for {len(presses)} presses", presses, told)
        retained = [r for r in told if r.retained]
        if retained:
            return failed(f"{event} was published with RETAIN: it is told again to everybody", retained)
        return passed(f"{event} was told once for each of {len(presses)} presses", presses, told)


def _control_of(profile: Profile, event: str) -> str | None:
    """A control that tells the event."""
    for name, control in profile.controls.items():
        if any(effect.event == event for effect in control.effects):
            return name
    return None
