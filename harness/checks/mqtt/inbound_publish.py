"""How the device handles incoming messages: acknowledgements, duplicates, unreadable payloads."""

from __future__ import annotations

from collections.abc import Iterable

from harness.checks.bench import Bench
from harness.checks.case import Case, Decoded, Evidence, failed, first, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.observations import Transport
from harness.checks.support.mqtt.commands import (
    command,
    commanded,
    effect_of,
    effect_timeout,
    present_value,
    setting_of,
    the_setting,
    wait_for_effect,
)
from harness.checks.support.mqtt.deliveries import answer_to, answers, deliveries
from harness.checks.support.mqtt.fences import NO_BASELINE, baseline, show_baseline
from harness.checks.support.mqtt.sessions import (
    so_far,
    tapped,
)
from harness.checks.support.mqtt.topics import binding_of
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.schema import same_value
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act, Direction, Event, Fate, MqttPacket, Point
from harness.wire import mqtt

LOAD = 20  # commands in flight at once; the usual default limit of brokers
BROKEN_JSON = b'{"value": '


@requirement(
    "MQTT-DEV-044",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="3.1.1: [MQTT-3.3.4-1], [MQTT-4.3.2-2], [MQTT-2.3.1-6]; "
    "5.0: [MQTT-3.3.4-1], [MQTT-4.3.2-4], [MQTT-2.2.1-5]",
    level=Level.MUST,
    purpose="ensure that the device answers a QoS 1 PUBLISH with PUBACK and a QoS 0 PUBLISH with nothing",
    stimulus="Command a setting with QoS 1, then with QoS 0",
    expect="A PUBACK with the packet identifier of each QoS 1 PUBLISH, and no other PUBACK",
    ics="MQTT.QOS1_SUB",
    needs=(BenchFeature.TAP, BenchFeature.BROKER),
    usual_cause="Acknowledging is left to the application, which forgets it on some path; the broker stops "
    "sending once its window is full.",
)
class AnswersByQos(Check):
    """Two commands through the broker; their effects show that both have been processed."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return commanded(profile, qos=1)

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        setting = the_setting(bench, qos=1)
        with_qos_1, with_qos_0 = setting.others(await present_value(bench, setting), 2)
        await command(bench, setting, with_qos_1, qos=1)
        await command(bench, setting, with_qos_0, qos=0)

    def judge(self, case: Case) -> Outcome:
        asking = [seen for seen in deliveries(case) if seen.value.qos == 1]
        quiet = [seen for seen in deliveries(case) if seen.value.qos == 0]
        given = []
        for message in asking:
            answer = answer_to(case, message, mqtt.PacketType.PUBACK)
            if answer is None:
                return failed(f"no PUBACK for the QoS 1 message on {message.value.topic}", message)
            given.append(answer)
        # A late PUBACK for an earlier message does not answer QoS 0.
        owed = {
            (seen.body.connection, seen.value.packet_id)
            for seen in deliveries(so_far(case))
            if seen.value.qos == 1
        }
        for answer in answers(case, mqtt.PacketType.PUBACK):
            if (answer.body.connection, answer.value.packet_id) not in owed:
                return failed(
                    f"a PUBACK with packet identifier {answer.value.packet_id}, which no message used",
                    answer,
                    quiet,
                )
        if not asking:
            return inconclusive("the broker delivered nothing with QoS 1: the subscription has QoS 0", quiet)
        if not quiet:
            return inconclusive("the broker delivered nothing with QoS 0", asking)
        return passed("QoS 1 is acknowledged, QoS 0 is not", asking, given, quiet)


@requirement(
    "MQTT-DEV-047",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="[MQTT-4.5.0-2]",
    level=Level.MUST,
    purpose="ensure that the device acknowledges messages that it cannot parse",
    stimulus="Send broken JSON with QoS 1 to a command topic, then a valid command",
    expect="A PUBACK for the broken message; the valid command takes effect",
    ics="MQTT.QOS1_SUB",
    needs=(BenchFeature.TAP, BenchFeature.BROKER),
    usual_cause="The parser returns through its error path before it acknowledges; the broker delivers the "
    "same message again after every reconnection.",
    phase=Phase.MALFORMED,
)
class AcknowledgesWhatItDoesNotUnderstand(Check):
    """The valid command is the fence: once it takes effect, the broken one has been processed."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return commanded(profile, qos=1)

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        setting = the_setting(bench, qos=1)
        if not await show_baseline(bench, setting):
            return
        (value,) = setting.others(await present_value(bench, setting), 1)
        await bench.mqtt.publish(setting.topic, BROKEN_JSON, qos=1)
        await command(bench, setting, value, qos=1)

    def judge(self, case: Case) -> Outcome:
        broken = first(deliveries(case), lambda seen: seen.value.payload == BROKEN_JSON)
        if broken is None or broken.value.qos != 1:
            return inconclusive("the broker did not deliver the broken message with QoS 1", deliveries(case))
        answer = answer_to(case, broken, mqtt.PacketType.PUBACK)
        if answer is None:
            return failed("an unreadable message was not acknowledged", broken)
        setting = setting_of(case.profile, qos=1)
        assert setting is not None
        # Where it was published: the command behind it may be under way before it is delivered.
        ours = case.mqtt(mqtt.Publish, direction=Direction.TO_DUT, point=Point.CLIENT)
        sent = first(ours, lambda seen: seen.value.payload == BROKEN_JSON)
        if sent is None or baseline(case, setting.name, sent.line) is None:
            return inconclusive(NO_BASELINE, case.stimuli(Act.WRITE))
        effect = effect_of(case, case.stimuli(Act.WRITE)[-1])
        if effect is None:
            return failed("after an unreadable message a command had no effect", broken, answer)
        return passed(
            "the unreadable message was acknowledged, and the next command took effect", answer, effect
        )


@requirement(
    "PROFILE-03",
    area=Area.MQTT,
    standard="profile",
    clause="behaviour.settle (MQTT 3.1.1 + 5.0: 4.3.2)",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the device acknowledges QoS 1 commands within their settle time, also when many "
    "arrive at once",
    stimulus=f"Send {LOAD} commands for one setting at once, with QoS 1",
    expect="A PUBACK for each of them within the settle time of the setting",
    ics="MQTT.QOS1_SUB",
    needs=(BenchFeature.TAP,),
    usual_cause="Acknowledgements wait in a short queue, and those that do not fit are lost; or each waits "
    "until its command has been carried out.",
    phase=Phase.PRESSURE,
)
class AcknowledgesInTime(Check):
    """The commands are sent back to back, each with its own packet identifier."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return commanded(profile, qos=1)

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        setting = the_setting(bench, qos=1)
        # The last value does not occur before: its report shows that all are done.
        *two, last = setting.others(await present_value(bench, setting), 3)
        before = [value for value in two if not same_value(value, last)]
        values = [*(before[index % len(before)] for index in range(LOAD - 1)), last]
        level, since = binding_of(bench.profile).level, bench.mark()
        owed = {bench.tap.next_packet_id(): value for value in values}
        packets = [setting.packet(setting.payload(value), level, key) for key, value in owed.items()]
        bench.tap.inject(*packets, what=f"{LOAD} commands at once")

        def acknowledged(event: Event) -> bool:
            packet = tapped(event, Direction.FROM_DUT, mqtt.PacketType.PUBACK)
            if isinstance(packet, mqtt.Ack):
                owed.pop(packet.packet_id, None)
            return not owed

        within = effect_timeout(bench.profile, setting)
        await bench.wait_for(acknowledged, within=within, since=since, what="all commands to be acknowledged")
        await wait_for_effect(bench, setting, values[-1], since=since)

    def judge(self, case: Case) -> Outcome:
        setting = setting_of(case.profile, qos=1)
        assert setting is not None
        limit = case.profile.settle(setting.name)
        sent = [seen for seen in deliveries(case) if seen.body.fate is Fate.INJECTED]
        if len(sent) < LOAD:
            return inconclusive(f"only {len(sent)} of {LOAD} commands were sent", sent)
        slowest = 0.0
        for message in sent:
            answer = answer_to(case, message, mqtt.PacketType.PUBACK)
            if answer is None:
                return failed("a QoS 1 command was not acknowledged", message)
            took = answer.time - message.time
            if took > limit:
                return failed(
                    f"a command was acknowledged after {took:.3f} s; the limit is {limit:g} s",
                    message,
                    answer,
                )
            slowest = max(slowest, took)
        return passed(f"{LOAD} commands were acknowledged, the slowest after {slowest:.3f} s", sent)


@requirement(
    "PROFILE-04",
    area=Area.MQTT,
    standard="profile",
    clause="bindings.mqtt: command_qos (MQTT 3.1.1 + 5.0: 3.3.1.1, 4.3.2)",
    level=Level.SHOULD,
    basis=Basis.PROFILE,
    purpose="ensure that the device carries out a QoS 1 command once when it is delivered twice",
    stimulus="Send a command, then the same PUBLISH with DUP; then another command, and its duplicate after "
    "its PUBACK; a further command shows each time that both have been processed",
    expect="One report of each new state. (By [MQTT-4.3.2-2] a receiver may treat what arrives after its "
    "PUBACK as new; a device whose commands must not count twice has to compare.)",
    ics="MQTT.QOS1_SUB",
    needs=(BenchFeature.TAP, BenchFeature.BROKER),
    usual_cause="Every message is carried out as it arrives; after a lost PUBACK a toggle flips back, and a "
    "pulse is triggered twice.",
    phase=Phase.BOUNDARY,
)
class DuplicateIsOneCommand(Check):
    """Counts the reports between each command and the next one."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return commanded(profile, qos=1)

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        setting = the_setting(bench, qos=1)
        level = binding_of(bench.profile).level
        for after_puback in (False, True):
            value, further = setting.others(await present_value(bench, setting), 2)
            identifier, since = bench.tap.next_packet_id(), bench.mark()
            once = setting.packet(setting.payload(value), level, identifier)
            again = setting.packet(setting.payload(value), level, identifier, dup=True)
            if after_puback:
                bench.tap.inject(once, what="a command")
                await bench.wait_for(
                    lambda event: tapped(event, Direction.FROM_DUT, mqtt.PacketType.PUBACK) is not None,
                    within=effect_timeout(bench.profile, setting),
                    since=since,
                    what="PUBACK",
                )
                bench.tap.inject(again, what="the same command again, after its PUBACK")
            else:
                bench.tap.inject(once, again, what="a command and its duplicate")
            await wait_for_effect(bench, setting, value, since=since)
            await command(bench, setting, further)

    def judge(self, case: Case) -> Outcome:
        setting = setting_of(case.profile, qos=1)
        assert setting is not None
        reports = case.reports(setting.name, Transport.MQTT)
        repeated = [seen for seen in deliveries(case) if seen.value.dup and seen.body.fate is Fate.INJECTED]
        evidence: list[Evidence] = []
        for duplicate, fence in zip(repeated, case.stimuli(Act.WRITE), strict=False):
            value = setting.value_of(duplicate.value.payload)
            sent = _first_copy(case, duplicate)
            passed_on = effect_of(case, fence)
            if sent is None or passed_on is None:
                return inconclusive("the command after the duplicate took no effect", duplicate)
            reported = [
                report
                for report in reports
                if sent.line < report.event.line < passed_on.event.line and same_value(report.value, value)
            ]
            if not reported:
                return inconclusive("no report showed the effect of the command", sent, duplicate)
            if len(reported) > 1:
                return failed(f"one command was carried out {len(reported)} times", sent, duplicate, reported)
            evidence += [sent, duplicate, *reported]
        if len(repeated) < 2 or not evidence:
            return inconclusive("the duplicates were not sent", repeated)
        return passed("each command and its duplicate were carried out once", evidence)


def _first_copy(
    case: Case, duplicate: Decoded[mqtt.Publish, MqttPacket]
) -> Decoded[mqtt.Publish, MqttPacket] | None:
    """The first delivery of a duplicate."""
    return first(deliveries(case), lambda seen: seen.value.packet_id == duplicate.value.packet_id)
