"""Messages of QoS 2: the handshake, and the promise that each is executed once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.checks.bench import Bench
from harness.checks.case import Case, Decoded, failed, first, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.observations import Transport
from harness.checks.support.mqtt.deliveries import (
    answer_to,
    answers,
    deliveries,
)
from harness.checks.support.mqtt.sessions import tapped
from harness.checks.support.mqtt.topics import binding_of
from harness.model.profile import Profile
from harness.model.requirement import Area, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Direction, MqttPacket
from harness.wire import mqtt

REPEATED = 2  # times that the message is sent again before PUBREL
ANSWERED = 5.0  # seconds for an answer of the handshake; the standard sets no time


@dataclass(frozen=True, slots=True)
class Countable:
    """An action of QoS 2 that tells each execution by an event, ``within`` seconds."""

    action: str
    topic: str
    event: str
    within: float
    rule: str


def countable(profile: Profile, name: str | None = None) -> Countable | None:
    """The action, or the first one, that a rule of the profile makes countable."""
    binding = binding_of(profile)
    for rule in profile.behaviour.rules:
        causes = [condition.action for condition in rule.when]
        effects = [condition.event for condition in rule.then if condition.event in binding.events]
        if len(causes) != 1 or causes[0] is None or not effects or effects[0] is None:
            continue
        bound = binding.actions.get(causes[0])
        declared = profile.actions.get(causes[0])
        if (
            bound
            and bound.command_qos == 2
            and declared
            and declared.input is None
            and name in (None, causes[0])
        ):
            return Countable(causes[0], bound.command, effects[0], rule.for_ + rule.within, rule.id)
    return None


@requirement(
    "MQTT-DEV-045",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="3.1.1: [MQTT-4.3.3-2]; 5.0: [MQTT-4.3.3-8], [MQTT-4.3.3-11]",
    level=Level.MUST,
    purpose="ensure that the IUT completes the handshake for a message of QoS 2 that it receives",
    stimulus="Invoke an action through the broker with QoS 2; the broker sends PUBREL when it has PUBREC",
    expect="PUBREC, then PUBCOMP, with the packet identifier of the PUBLISH",
    ics="MQTT.QOS2_SUB",
    needs=(BenchFeature.TAP, BenchFeature.BROKER),
    usual_cause="PUBREL is not handled, or answered only for messages that are still known; the broker "
    "repeats it for ever.",
)
class CompletesQos2(Check):
    """Watches the four packets go by."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        found = countable(profile)
        return (Subject(found.action),) if found else ()

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        assert subject.name is not None
        since = bench.mark()
        await bench.invoke(subject.name, transport=Transport.MQTT)
        await bench.wait_for(
            lambda event: tapped(event, Direction.FROM_DUT, mqtt.PacketType.PUBCOMP) is not None,
            within=ANSWERED,
            since=since,
            what="PUBCOMP",
        )

    def judge(self, case: Case) -> Outcome:
        found = countable(case.profile, case.subject.name)
        assert found is not None
        sent = [seen for seen in deliveries(case) if seen.value.topic == found.topic and seen.value.qos == 2]
        if not sent:
            return inconclusive("the broker did not deliver the message with QoS 2", deliveries(case))
        received = answer_to(case, sent[0], mqtt.PacketType.PUBREC)
        if received is None:
            return failed("the message of QoS 2 was not answered by PUBREC", sent[0])
        release = released(case, sent[0])
        if release is None:
            return inconclusive("the broker sent no PUBREL", sent[0], received)
        completed = answer_to(case, sent[0], mqtt.PacketType.PUBCOMP)
        if completed is None or completed.line < release.line:
            return failed("PUBREL was not answered by PUBCOMP", sent[0], received, release)
        return passed("the handshake of QoS 2 is complete", sent[0], received, release, completed)


def released(case: Case, message: Decoded[mqtt.Publish, MqttPacket]) -> Decoded[mqtt.Ack, MqttPacket] | None:
    """The PUBREL for a message."""
    return first(
        case.mqtt(mqtt.Ack, direction=Direction.TO_DUT),
        lambda seen: (
            seen.value.type is mqtt.PacketType.PUBREL
            and seen.line > message.line
            and seen.body.connection == message.body.connection
            and seen.value.packet_id == message.value.packet_id
        ),
    )


@requirement(
    "MQTT-DEV-046",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="3.1.1: [MQTT-4.3.3-2]; 5.0: [MQTT-4.3.3-10]",
    level=Level.MUST,
    purpose="ensure that a command of QoS 2 that is repeated before PUBREL is executed once",
    stimulus="Send an action that tells each execution with QoS 2, and the same PUBLISH twice again with "
    "DUP before PUBREL",
    expect="PUBREC each time, and one execution",
    ics="MQTT.QOS2_SUB",
    needs=(BenchFeature.TAP,),
    usual_cause="The message is acted upon when PUBLISH comes, without looking whether its packet "
    "identifier is known already.",
)
class ExecutesQos2Once(Check):
    """Counts the events by which the device tells the executions."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        found = countable(profile)
        return (Subject(found.action),) if found else ()

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        found = countable(bench.profile, subject.name)
        assert found is not None
        identifier, level = bench.tap.next_packet_id(), binding_of(bench.profile).level
        for copy in range(1 + REPEATED):
            raw = mqtt.encode_publish(found.topic, b"", 2, packet_id=identifier, dup=copy > 0, level=level)
            await _exchange(bench, raw, mqtt.PacketType.PUBREC, "the action again" if copy else "the action")
        release = mqtt.encode_ack(mqtt.PacketType.PUBREL, identifier)
        await _exchange(bench, release, mqtt.PacketType.PUBCOMP, "PUBREL")
        # Each execution is told within this time, so that none is missed in the count.
        imposed_by = f"profile: behaviour.rules {found.rule}"
        await bench.watch_silence(found.within, imposed_by=imposed_by, what="a second execution to be told")

    def judge(self, case: Case) -> Outcome:
        found = countable(case.profile, case.subject.name)
        assert found is not None
        sent = [seen for seen in deliveries(case) if seen.value.topic == found.topic]
        received = answers(case, mqtt.PacketType.PUBREC)
        if len({seen.body.connection for seen in sent}) != 1:
            return inconclusive("the connection was lost in the middle of it", sent)
        if len(received) < len(sent):
            return failed(f"{len(sent)} times PUBLISH, {len(received)} times PUBREC", sent, received)
        told = case.reports(found.event, Transport.MQTT)
        if len(told) > 1:
            return failed(f"one command was executed {len(told)} times", sent, told)
        if not told:
            return failed("the command was acknowledged, but never executed", sent, received)
        return passed("three times PUBLISH, one execution", sent, received, told)


async def _exchange(bench: Bench, raw: bytes, answer: mqtt.PacketType, what: str) -> None:
    """Send a packet of the handshake, and wait for its answer."""
    since = bench.mark()
    bench.tap.inject(raw, what=what)
    await bench.wait_for(
        lambda event: tapped(event, Direction.FROM_DUT, answer) is not None,
        within=ANSWERED,
        since=since,
        what=answer.name,
    )
