"""Read-only properties cannot be written."""

from __future__ import annotations

import json
from collections.abc import Sequence

from harness.checks.bench import Bench, StimulusError
from harness.checks.case import Case, failed, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.observations import Transport
from harness.checks.payloads import encode_mqtt
from harness.checks.support.behaviour.boundary_values import limits
from harness.checks.support.behaviour.commands import (
    SETTLE,
    answer_to,
    command_topic,
    described,
    had_time,
    published,
    requested,
)
from harness.checks.support.behaviour.transports import (
    name_of,
    reporting_transports,
    subjects_for,
    transport_of,
)
from harness.model.affordance import Property
from harness.model.base import Value
from harness.model.bindings.mqtt import MqttProperty
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.schema import same_value
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act, Direction, Event, MqttPacket, Point
from harness.wire import (
    coap,
    mqtt,
)
from harness.wire.mqtt.topics import topic_matches

SUBSCRIBE = mqtt.PacketType.SUBSCRIBE


@requirement(
    "DEV-05",
    area=Area.BEHAVIOUR,
    standard="W3C WoT TD 1.1 and the profile",
    clause="td-vocab-readOnly; profile: properties.*.readOnly",
    level=Level.SHOULD,
    basis=Basis.DERIVED,
    purpose="ensure that the device does not let read-only properties be written",
    stimulus="Write another legal value: over CoAP with PUT, over MQTT to the state topic itself and to "
    "<state>/set",
    expect="The property does not change, over CoAP with an error 4.xx; the device does not accept commands "
    "on its own state topic",
    ics="DEV.SENSOR",
    usual_cause="One wildcard subscription covers state and command topics, and the handler writes every "
    "message "
    "into the table of properties.",
    phase=Phase.REFUSAL,
)
class ReadOnly(Check):
    """One subject per read-only property and transport."""

    def subjects(self, profile: Profile) -> list[Subject]:
        names = [name for name, schema in profile.properties.items() if schema.read_only]
        return subjects_for(names, lambda name: reporting_transports(profile, name))

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        name = name_of(subject)
        transport = transport_of(reporting_transports(bench.profile, name), subject)
        present = await bench.read(name, transport=transport.value)
        value = _far_value(bench.profile.properties[name], present, name)
        await bench.write(name, value, transport=transport.value, legal=False)
        if transport is Transport.COAP:
            await bench.read(name, transport=transport.value)
            return
        bound = mqtt_binding(bench.profile, name)
        if bench.offers(BenchFeature.TAP):  # otherwise our own message looks like a report
            bench.stimulus(Act.RAW, f"{name} on its own state topic", transport="mqtt")
            await bench.mqtt.publish(bound.state, encode_mqtt(value, bound.member, bound.words), qos=1)
        if not bench.offers(BenchFeature.TAP) or _listening(bench.trace, bound):
            settle = bench.profile.settle(name)
            await bench.watch_silence(settle, imposed_by=SETTLE, what=f"{name} to stay unchanged")

    def judge(self, case: Case) -> Outcome:
        name = name_of(case.subject)
        transport = transport_of(reporting_transports(case.profile, name), case.subject)
        writes = [act for act in case.stimuli(Act.WRITE) if act.value.name == name]
        if not writes:
            return inconclusive(f"{name} was not commanded")
        if transport is Transport.COAP:
            return _refused_over_coap(case, name)
        commanded = json.loads(writes[0].value.value or "null")
        for report in case.reports(name, transport):
            if report.event.line > writes[0].line and same_value(report.value, commanded):
                return failed(
                    f"{name} was written, and the device reported {described(report)}", writes, report
                )
        bound = mqtt_binding(case.profile, name)
        sent = [seen for topic in (command_topic(bound), bound.state) for seen in published(case, topic)]
        if had_time(case, writes[0].time, case.profile.settle(name)):
            return passed(f"a command for {name} did not change it", writes, sent)
        before = case.trace[: case.window[-1].line]
        if case.offers(BenchFeature.TAP) and not _listening(before, bound):
            # The broker forwards subscribed topics only, so the command cannot reach the device.
            subscriptions = [event for event, _ in _subscriptions(before)]
            return passed(
                f"the device is not subscribed to the topics on which {name} was written",
                writes,
                subscriptions,
            )
        return inconclusive("the device did not have enough time to report a change", writes, sent)


def _refused_over_coap(case: Case, name: str) -> Outcome:
    binding = case.profile.bindings.coap
    assert binding is not None
    path = binding.properties[name].path
    written = requested(case, path, coap.Code.PUT)
    if not written:
        return inconclusive(f"{name} was not written")
    answer = answer_to(case, written[0])
    if answer is None:
        return failed(f"the PUT to {path} was never answered", written)
    code = coap.code_text(answer.value.code)
    if answer.value.code >> 5 != 4:
        return failed(f"the PUT to the read-only {path} was answered {code}", written, answer)
    return passed(f"the PUT to the read-only {path} was answered {code}", written, answer)


def _far_value(schema: Property, present: Value, name: str) -> Value:
    """A legal value far from the present one, which the sensor will not reach by itself meanwhile."""
    candidates = [value for value in limits(schema) if not schema.agrees(value, present)]
    if not candidates:
        raise StimulusError(f"{name} has no second legal value")
    if isinstance(present, bool) or not isinstance(present, int | float):
        return candidates[-1]
    return max(candidates, key=lambda value: float(abs(value - present)))


def _listening(trace: Sequence[Event], bound: MqttProperty) -> bool:
    """Whether the device subscribed to a property's state topic or command topic."""
    return any(
        topic_matches(wanted.filter, topic)
        for _, packet in _subscriptions(trace)
        for wanted in packet.filters
        for topic in (command_topic(bound), bound.state)
    )


def _subscriptions(trace: Sequence[Event]) -> list[tuple[Event, mqtt.Subscribe]]:
    found = []
    for event in trace:
        body = event.body
        if isinstance(body, MqttPacket) and body.point is Point.TAP and body.direction is Direction.FROM_DUT:
            packet = mqtt.decode(body.raw, body.level) if body.raw[0] >> 4 == SUBSCRIBE else None
            if isinstance(packet, mqtt.Subscribe):
                found.append((event, packet))
    return found


def mqtt_binding(profile: Profile, name: str) -> MqttProperty:
    """The MQTT binding of a property, which must have one."""
    assert profile.bindings.mqtt is not None
    return profile.bindings.mqtt.properties[name]
