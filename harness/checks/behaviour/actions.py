"""Actions: accepted, and followed by what the profile's rules say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.checks.bench import Bench
from harness.checks.case import Case, Decoded, Evidence, failed, inconclusive, not_applicable, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.observations import Report, Transport
from harness.checks.support.behaviour.action_effects import has_something_to_change, names_around, results_of
from harness.checks.support.behaviour.arrange import precondition
from harness.checks.support.behaviour.commands import (
    answer_to,
    published,
    requested,
)
from harness.checks.support.behaviour.forecast import (
    State,
)
from harness.checks.support.behaviour.planner import (
    legal_input,
    started_by_action,
)
from harness.checks.support.behaviour.transports import (
    command_transports,
    name_of,
    open_readers,
    subjects_for,
    transport_of,
)
from harness.model.base import Value
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.rule import Condition
from harness.model.schema import same_value
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Direction, Event, MqttPacket, Point
from harness.wire import (
    coap,
    mqtt,
)


@requirement(
    "PROFILE-62",
    area=Area.BEHAVIOUR,
    standard="profile",
    clause="actions; behaviour.rules, behaviour.settle",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the device accepts each action, and that the action has its declared effect",
    stimulus="Bring the device into a state in which the effect is visible, then invoke the action",
    expect="Over CoAP a success 2.xx, over MQTT at least an acknowledgement; the effect is reported in time",
    ics="any",
    usual_cause="The topic or path of the action was renamed on one side only; or the device answers before "
    "it "
    "acts, and then does not act.",
)
class ActionHasEffect(Check):
    """One subject per action and transport."""

    def subjects(self, profile: Profile) -> list[Subject]:
        return subjects_for(profile.actions, lambda name: command_transports(profile, name))

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        action = name_of(subject)
        profile = bench.profile
        transport = transport_of(command_transports(profile, action), subject)

        if bench.offers(BenchFeature.COAP) and any(
            subjects_for.event for subjects_for in results_of(profile, action)
        ):
            await bench.watch()  # events are sent only to observers
        async with precondition(bench, transport) as arranger:
            if results_of(profile, action):
                await arranger.bring_about(
                    lambda state: has_something_to_change(profile, action, state),
                    names_around(profile, action),
                    f"{action} has something to change",
                )
            since, state = bench.mark(), dict(arranger.state)
            results = results_of(profile, action, state)
            await bench.invoke(action, legal_input(profile, action), transport=transport.value)
            for condition in results:
                await _await_result(bench, state, condition, _limit(profile, action), since)
            if not results and transport is Transport.MQTT:
                # Without a declared effect, the acknowledgement is all there is to see.
                settle = profile.behaviour.settle
                await bench.wait_for(
                    _is_puback, within=settle, since=since, what=f"{action} to be acknowledged"
                )

    def judge(self, case: Case) -> Outcome:
        action = name_of(case.subject)
        transport = transport_of(command_transports(case.profile, action), case.subject)
        sent = _invocation(case, action, transport)
        if sent is None:
            return inconclusive(f"{action} was not invoked over {transport}")
        evidence: list[Evidence] = [sent]
        if transport is Transport.COAP:
            answer = answer_to(case, sent)
            if answer is None:
                return failed(f"{action} was never answered", sent)
            if answer.value.code >> 5 != 2:
                return failed(f"{action} was answered {coap.code_text(answer.value.code)}", sent, answer)
            evidence.append(answer)
        results = results_of(case.profile, action, _state_before(case, action, sent))
        if not results and results_of(case.profile, action):
            return inconclusive(f"{action} had nothing to change", sent)
        for condition in results:
            report = _result(case, condition, sent, _limit(case.profile, action))
            if report is None:
                last = case.last_report(condition.property_ or condition.event or "", case.window[-1].line)
                return failed(
                    f"{action} was invoked, but the device did not report that {condition}",
                    evidence,
                    last or sent,
                )
            evidence.append(report)
        if results:
            return passed(f"{action} was accepted and had its effect", evidence)
        if transport is Transport.COAP:
            return passed(f"{action} was accepted", evidence)
        return _acknowledged(case, action, sent)


def _state_before(case: Case, action: str, sent: Evidence) -> State:
    """The last reported values, at the invocation, of the properties that decide what the action does."""
    line = sent.line if isinstance(sent, Decoded) else 0
    known = {name: case.last_report(name, line) for name in names_around(case.profile, action)}
    return {name: report.value for name, report in known.items() if report is not None}


def _limit(profile: Profile, action: str) -> float:
    """Maximum seconds from the invocation to the report of its effect."""
    rules = [rule for rule in profile.behaviour.rules if started_by_action(rule, action)]
    return max(profile.behaviour.settle, profile.behaviour.report_local) + max(
        (rule.within for rule in rules), default=0.0
    )


def _shows(condition: Condition, state: State, value: Value) -> bool:
    """Whether a reported value, of a property or with an event, satisfies a condition."""
    if condition.event is not None:
        return condition.data is None or same_value(value, condition.data)
    return bool(condition.holds({**state, condition.property_ or "": value}))


async def _await_result(bench: Bench, state: State, condition: Condition, limit: float, since: int) -> None:
    name = condition.property_ or condition.event or ""
    for transport in open_readers(bench, name)[:1]:
        await bench.wait_for_report(
            name,
            lambda value: _shows(condition, state, value),
            transport=transport.value,
            within=limit,
            since=since,
        )


def _is_puback(event: Event) -> bool:
    body = event.body
    return (
        isinstance(body, MqttPacket)
        and body.direction is Direction.FROM_DUT
        and body.point is Point.TAP
        and body.raw[0] >> 4 == mqtt.PacketType.PUBACK
    )


def _invocation(case: Case, action: str, transport: Transport) -> Decoded[Any, Any] | None:
    """The message that invoked an action, as the device received it."""
    mqtt_binding, coap_binding = case.profile.bindings.mqtt, case.profile.bindings.coap
    found: Sequence[Decoded[Any, Any]] = ()
    if transport is Transport.MQTT and mqtt_binding is not None:
        found = published(case, mqtt_binding.actions[action].command)
    elif coap_binding is not None:
        found = requested(case, coap_binding.actions[action].path, coap.Code.POST)
    # The last one: earlier ones only prepared the state.
    return found[-1] if found else None


def _result(case: Case, condition: Condition, sent: Decoded[Any, Any], limit: float) -> Report | None:
    """The report, in time, that shows that a condition is true."""
    name = condition.property_ or condition.event or ""
    state = {other: case.last_report(other, sent.line) for other in condition.names}
    values = {other: report.value for other, report in state.items() if report is not None}
    for report in case.reports(name):
        if report.event.line < sent.line or report.problem is not None:
            continue
        in_time = report.asked or report.time - sent.time <= limit
        if in_time and _shows(condition, values, report.value):
            return report
    return None


def _acknowledged(case: Case, action: str, sent: Decoded[Any, Any]) -> Outcome:
    acks = [
        ack
        for ack in case.mqtt(mqtt.Ack)
        if ack.line > sent.line and ack.value.packet_id == sent.value.packet_id
    ]
    if sent.value.qos == 0 or not case.offers(BenchFeature.TAP):
        return not_applicable(
            f"the profile declares no effect of {action}, and this bench sees no acknowledgement of it"
        )
    if not acks:
        return failed(f"{action} was not acknowledged", sent)
    return passed(f"{action} was acknowledged; the profile declares no effect", sent, acks[0])
