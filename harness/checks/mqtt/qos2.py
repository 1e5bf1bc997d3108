"""QoS 2 messages: the handshake, and execution exactly once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from harness.checks.bench import Bench
from harness.checks.case import Case, Decoded, failed, first, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
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

REPEATED = 2  # times that the message is resent before PUBREL
ANSWERED = 5.0  # seconds for each handshake answer; the standard sets no limit


@dataclass(frozen=True, slots=True)
class Countable:
    """A QoS 2 action that reports each execution as an event, ``within`` seconds."""

    action: str
    topic: str
    event: str
    within: float
    rule: str


def countable(profile: Profile, name: str | None = None) -> Countable | None:
    """The named action, or the first one, whose executions can be counted through a rule."""
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
    purpose="ensure that the device completes the handshake for a QoS 2 message that it receives",
    stimulus="Invoke an action through the broker with QoS 2; the broker sends PUBREL after PUBREC",
    expect="PUBREC, then PUBCOMP, with the packet identifier of the PUBLISH",
    ics="MQTT.QOS2_SUB",
    needs=(BenchFeature.TAP, BenchFeature.BROKER),
    usual_cause="PUBREL is not handled, or answered only for messages that are still known; the broker "
    "repeats it forever.",
)
class CompletesQos2(Check):
    """Watches the four packets of the handshake."""

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
            return failed("the QoS 2 message was not answered with PUBREC", sent[0])
        release = released(case, sent[0])
        if release is None:
            return inconclusive("the broker sent no PUBREL", sent[0], received)
        completed = answer_to(case, sent[0], mqtt.PacketType.PUBCOMP)
        if completed is None or completed.line < release.line:
            return failed("PUBREL was not answered with PUBCOMP", sent[0], received, release)
        return passed("the QoS 2 handshake is complete", sent[0], received, release, completed)


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
    purpose="ensure that the device executes a QoS 2 command once when it is repeated before PUBREL",
    stimulus="Send an action that reports each execution with QoS 2, and the same PUBLISH twice more with "
    "DUP before PUBREL",
    expect="PUBREC each time, and one execution",
    ics="MQTT.QOS2_SUB",
    needs=(BenchFeature.TAP,),
    usual_cause="The command is executed when PUBLISH arrives, without checking whether its packet "
    "identifier is already known.",
    phase=Phase.BOUNDARY,
)
class ExecutesQos2Once(Check):
    """Counts the events that report the executions."""

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
        # Each execution is reported within this time, so the count is complete.
        imposed_by = f"profile: behaviour.rules {found.rule}"
        await bench.watch_silence(
            found.within, imposed_by=imposed_by, what="a second execution to be reported"
        )

    def judge(self, case: Case) -> Outcome:
        found = countable(case.profile, case.subject.name)
        assert found is not None
        sent = [seen for seen in deliveries(case) if seen.value.topic == found.topic]
        received = answers(case, mqtt.PacketType.PUBREC)
        if len({seen.body.connection for seen in sent}) != 1:
            return inconclusive("the connection was lost during the handshake", sent)
        if len(received) < len(sent):
            return failed(f"{len(sent)} PUBLISH packets, but {len(received)} PUBREC packets", sent, received)
        reported = case.reports(found.event, Transport.MQTT)
        if len(reported) > 1:
            return failed(f"one command was executed {len(reported)} times", sent, reported)
        earlier = replace(case, window=case.trace[: case.window[0].line])
        if not reported and not earlier.reports(found.event, Transport.MQTT):
            return inconclusive("the device has never reported an execution in this run", sent, received)
        if not reported:
            return failed("the command was acknowledged, but never executed", sent, received)
        return passed("three PUBLISH packets, one execution", sent, received, reported)


async def _exchange(bench: Bench, raw: bytes, answer: mqtt.PacketType, what: str) -> None:
    """Send a handshake packet and wait for its answer."""
    since = bench.mark()
    bench.tap.inject(raw, what=what)
    await bench.wait_for(
        lambda event: tapped(event, Direction.FROM_DUT, answer) is not None,
        within=ANSWERED,
        since=since,
        what=answer.name,
    )
