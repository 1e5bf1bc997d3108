"""Events: each is sent once, with its data, and is not retained."""

from __future__ import annotations

from harness.checks.bench import Bench, StimulusError
from harness.checks.case import Case, Evidence, failed, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.observations import Transport
from harness.checks.payloads import json_text
from harness.checks.support.behaviour.arrange import precondition
from harness.checks.support.behaviour.boundary_values import is_one_of
from harness.checks.support.behaviour.commands import (
    described,
    had_time,
)
from harness.checks.support.behaviour.local_operation import (
    operated,
    unlock,
)
from harness.checks.support.behaviour.transports import (
    name_of,
    reporting_transports,
    subjects_for,
    transport_of,
)
from harness.model.base import Value
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.schema import same_value
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act

PRESSES = 3
REPORT_LOCAL = "profile: behaviour.report_local"


def _controls_with_events(profile: Profile) -> list[str]:
    return [
        name for name, control in profile.controls.items() if any(effect.event for effect in control.effects)
    ]


def _event_readers(profile: Profile, control: str) -> list[Transport]:
    events = [effect.event for effect in profile.controls[control].effects if effect.event]
    return [t for t in Transport if any(t in reporting_transports(profile, name) for name in events)]


@requirement(
    "PROFILE-65",
    area=Area.BEHAVIOUR,
    standard="profile",
    clause="controls.*.effects, events; behaviour.report_local",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the device sends the event of a control, with its data, on every transport",
    stimulus="Operate the control once",
    expect="The event arrives within behaviour.report_local, with the declared data",
    ics="DEV.LOCAL_UI & DEV.EVENTS",
    needs=(BenchFeature.LOCAL,),
    usual_cause="The table that maps keys to events was not updated for a new model; or an event is sent "
    "before "
    "the radio is up, and is lost.",
)
class ControlSendsEvent(Check):
    """Every key of a remote control, for example."""

    def subjects(self, profile: Profile) -> list[Subject]:
        return subjects_for(_controls_with_events(profile), lambda name: _event_readers(profile, name))

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        name = name_of(subject)
        transport = transport_of(_event_readers(bench.profile, name), subject)
        if transport is Transport.COAP:
            await bench.watch()
        async with precondition(bench, transport) as arranger:
            await unlock(arranger, bench.profile, name)
            since = bench.mark()
            await bench.local.operate(name)
            for effect in bench.profile.controls[name].effects:
                if effect.event and transport in reporting_transports(bench.profile, effect.event):
                    await _await_event(bench, effect.event, effect.data, transport, since)

    def judge(self, case: Case) -> Outcome:
        name = name_of(case.subject)
        transport = transport_of(_event_readers(case.profile, name), case.subject)
        act, limit = operated(case, name), case.profile.behaviour.report_local
        if act is None:
            return inconclusive(f"{name} was not operated")
        evidence: list[Evidence] = [act]
        for effect in case.profile.controls[name].effects:
            if not effect.event or transport not in reporting_transports(case.profile, effect.event):
                continue
            after = [r for r in case.reports(effect.event, transport) if r.event.line > act.line]
            sent = [r for r in after if effect.data is None or same_value(r.value, effect.data)]
            text = effect.event + (f" {json_text(effect.data)}" if effect.data is not None else "")
            if not sent:
                instead = f", but {described(after[0])}" if after else ""
                return failed(
                    f"after {name} the device did not send {text} within {limit:g} s{instead}", act, after[:1]
                )
            late = sent[0].time - act.time
            if late > limit:
                return failed(
                    f"after {name} the device sent {text} after {late:.3g} s; allowed are {limit:g} s",
                    act,
                    sent[0],
                )
            evidence.append(sent[0])
        return passed(f"the device sent the event of {name} over {transport}", evidence)


async def _await_event(bench: Bench, event: str, data: Value, transport: Transport, since: int) -> None:
    await bench.wait_for_report(
        event,
        lambda sent: data is None or same_value(sent, data),
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
    purpose="ensure that the device sends exactly one message for one physical event, and does not retain it",
    stimulus=f"Operate a control that causes the event {PRESSES} times, each time after the last message",
    expect=f"Exactly {PRESSES} messages of the event, over MQTT without the RETAIN flag",
    ics="DEV.EVENTS",
    needs=(BenchFeature.LOCAL,),
    usual_cause="A bouncing contact without a filter; or events published with the RETAIN flag, like "
    "states: a "
    "client that connects later switches a lamp because of an old key press.",
)
class OneMessageForEachEvent(Check):
    """Counts messages per key press."""

    def subjects(self, profile: Profile) -> list[Subject]:
        sent = [event for event in profile.events if _control_of(profile, event)]
        return subjects_for(sent, lambda event: reporting_transports(profile, event))

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        event = name_of(subject)
        transport = transport_of(reporting_transports(bench.profile, event), subject)
        if transport is Transport.COAP:
            await bench.watch()
        control = _control_of(bench.profile, event)
        if control is None:
            raise StimulusError(f"no control causes {event}")
        async with precondition(bench, transport) as arranger:
            for _ in range(PRESSES):
                await unlock(arranger, bench.profile, control)
                since = bench.mark()
                await bench.local.operate(control)
                await _await_event(bench, event, None, transport, since)
                await arranger.look()
            await bench.watch_silence(
                bench.profile.behaviour.report_local,
                imposed_by=REPORT_LOCAL,
                what=f"no further message about {event}",
            )

    def judge(self, case: Case) -> Outcome:
        event = name_of(case.subject)
        transport = transport_of(reporting_transports(case.profile, event), case.subject)
        presses = [
            act
            for act in case.stimuli(Act.LOCAL)
            if act.value.name in case.profile.controls
            and any(effect.event == event for effect in case.profile.controls[act.value.name].effects)
        ]
        if len(presses) < PRESSES or not had_time(
            case, presses[-1].time, case.profile.behaviour.report_local
        ):
            return inconclusive(f"{event} was not caused {PRESSES} times", presses)
        others = _data_from_rules(case.profile, event)
        sent = [
            r
            for r in case.reports(event, transport)
            if r.event.line > presses[0].line and not is_one_of(r.value, others)
        ]
        if len(sent) != len(presses):
            return failed(f"{event} was sent {len(sent)} times for {len(presses)} presses", presses, sent)
        retained = [r for r in sent if r.retained]
        if retained:
            return failed(
                f"{event} was published with RETAIN: every later subscriber receives it again", retained
            )
        return passed(f"{event} was sent once for each of {len(presses)} presses", presses, sent)


def _data_from_rules(profile: Profile, event: str) -> list[Value]:
    """Event data that only rules cause, never a control: a lock that locks itself was not pressed."""
    pressed = [
        effect.data
        for control in profile.controls.values()
        for effect in control.effects
        if effect.event == event
    ]
    ruled = [then.data for rule in profile.behaviour.rules for then in rule.then if then.event == event]
    return [data for data in ruled if data is not None and not is_one_of(data, pressed)]


def _control_of(profile: Profile, event: str) -> str | None:
    """A control that causes the event."""
    for name, control in profile.controls.items():
        if any(effect.event == event for effect in control.effects):
            return name
    return None
