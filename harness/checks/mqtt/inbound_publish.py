"""How the device takes what is sent to it: acknowledgements, repetitions, things it does not understand."""

from __future__ import annotations

from collections.abc import Iterable

from harness.checks.bench import Bench
from harness.checks.case import Case, Decoded, Evidence, failed, first, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.observations import Transport
from harness.checks.support.mqtt.commands import (
    command,
    commanded,
    effect_of,
    obeyed,
    patience,
    present_value,
    setting_of,
    the_setting,
)
from harness.checks.support.mqtt.deliveries import answer_to, answers, deliveries
from harness.checks.support.mqtt.sessions import (
    so_far,
    tapped,
)
from harness.checks.support.mqtt.topics import binding_of
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.schema import same_value
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act, Direction, Event, Fate, MqttPacket
from harness.wire import mqtt

LOAD = 20  # commands under way at once; brokers allow as many by default
BROKEN_JSON = b'{"value": '


@requirement(
    "MQTT-DEV-044",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="3.1.1: [MQTT-3.3.4-1], [MQTT-4.3.2-2], [MQTT-2.3.1-6]; "
    "5.0: [MQTT-3.3.4-1], [MQTT-4.3.2-4], [MQTT-2.2.1-5]",
    level=Level.MUST,
    purpose="ensure that the IUT answers a PUBLISH of QoS 1 with PUBACK and one of QoS 0 with nothing",
    stimulus="Command a setting with QoS 1, then with QoS 0",
    expect="A PUBACK with the packet identifier of each PUBLISH of QoS 1, and no other one",
    ics="MQTT.QOS1_SUB",
    needs=(BenchFeature.TAP, BenchFeature.BROKER),
    usual_cause="The client was told to leave acknowledging to the application, which then forgets it on "
    "some path; the broker stops sending once its window is full.",
)
class AnswersByQos(Check):
    """Two commands through the broker; their effect shows that both have been processed."""

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
                return failed(f"no PUBACK for the message on {message.value.topic} of QoS 1", message)
            given.append(answer)
        # A late PUBACK for a message of before the window is no answer to QoS 0.
        owed = {
            (seen.body.connection, seen.value.packet_id)
            for seen in deliveries(so_far(case))
            if seen.value.qos == 1
        }
        for answer in answers(case, mqtt.PacketType.PUBACK):
            if (answer.body.connection, answer.value.packet_id) not in owed:
                return failed(
                    f"a PUBACK with the packet identifier {answer.value.packet_id}, which no message had",
                    answer,
                    quiet,
                )
        if not asking:
            return inconclusive(
                "the broker delivered nothing with QoS 1: the subscription is of QoS 0", quiet
            )
        if not quiet:
            return inconclusive("the broker delivered nothing with QoS 0", asking)
        return passed("QoS 1 is acknowledged, QoS 0 is not", asking, given, quiet)


@requirement(
    "MQTT-DEV-047",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="[MQTT-4.5.0-2]",
    level=Level.MUST,
    purpose="ensure that the IUT acknowledges messages that it does not understand",
    stimulus="Send a broken JSON text with QoS 1 to a command topic, then a good command",
    expect="A PUBACK for the broken one; the good one takes effect",
    ics="MQTT.QOS1_SUB",
    needs=(BenchFeature.TAP, BenchFeature.BROKER),
    usual_cause="The function that parses the payload leaves by its error path before it acknowledges; the "
    "broker delivers the same message again after every reconnection.",
)
class AcknowledgesWhatItDoesNotUnderstand(Check):
    """The good command is the fence: once it is obeyed, the broken one has been processed."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return commanded(profile, qos=1)

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        setting = the_setting(bench, qos=1)
        (value,) = setting.others(await present_value(bench, setting), 1)
        await bench.mqtt.publish(setting.topic, BROKEN_JSON, qos=1)
        await command(bench, setting, value, qos=1)

    def judge(self, case: Case) -> Outcome:
        broken = first(deliveries(case), lambda seen: seen.value.payload == BROKEN_JSON)
        if broken is None or broken.value.qos != 1:
            return inconclusive("the broker did not deliver the broken message with QoS 1", deliveries(case))
        answer = answer_to(case, broken, mqtt.PacketType.PUBACK)
        if answer is None:
            return failed("a message that the device does not understand was not acknowledged", broken)
        effect = effect_of(case, case.stimuli(Act.WRITE)[-1])
        if effect is None:
            return failed(
                "after a message that it does not understand the device obeys no more", broken, answer
            )
        return passed(
            "it acknowledged what it does not understand, and obeyed what came next", answer, effect
        )


@requirement(
    "PROFILE-03",
    area=Area.MQTT,
    standard="profile",
    clause="behaviour.settle (MQTT 3.1.1 + 5.0: 4.3.2)",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the IUT acknowledges commands of QoS 1 in the time in which it has to obey them, "
    "also when many come at once",
    stimulus=f"Send {LOAD} commands for one setting at once, with QoS 1",
    expect="A PUBACK for each of them within the settle time of the setting",
    ics="MQTT.QOS1_SUB",
    needs=(BenchFeature.TAP,),
    usual_cause="Acknowledgements wait in a queue of a few entries, and what does not fit is lost; or each "
    "waits until its command has been carried out.",
)
class AcknowledgesInTime(Check):
    """The commands go out back to back, each with a packet identifier of its own."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return commanded(profile, qos=1)

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        setting = the_setting(bench, qos=1)
        # The last value does not occur before: its effect shows that all is done.
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

        within = patience(bench.profile, setting)
        await bench.wait_for(acknowledged, within=within, since=since, what="all commands to be acknowledged")
        await obeyed(bench, setting, values[-1], since=since)

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
                return failed("a command of QoS 1 was not acknowledged", message)
            took = answer.time - message.time
            if took > limit:
                return failed(
                    f"a command was acknowledged after {took:.3f} s, not {limit:g} s", message, answer
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
    purpose="ensure that a command of QoS 1 that is delivered twice is carried out once",
    stimulus="Send a command, and the same PUBLISH with DUP right behind it; then another one, and its "
    "duplicate after its PUBACK; a further command shows each time that both have been processed",
    expect="One report of each new state. (By [MQTT-4.3.2-2] a receiver may take what comes after its PUBACK "
    "for new; a device whose commands must not count twice has to look closer.)",
    ics="MQTT.QOS1_SUB",
    needs=(BenchFeature.TAP, BenchFeature.BROKER),
    usual_cause="Every message is carried out as it comes; after a lost PUBACK a toggle flips back, and a "
    "pulse is given twice.",
)
class DuplicateIsOneCommand(Check):
    """Counts the reports between each command and the one that follows it."""

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
                    within=patience(bench.profile, setting),
                    since=since,
                    what="PUBACK",
                )
                bench.tap.inject(again, what="the same command once more, after its PUBACK")
            else:
                bench.tap.inject(once, again, what="a command and its duplicate")
            await obeyed(bench, setting, value, since=since)
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
                return inconclusive("the command after the duplicate was not obeyed", duplicate)
            told = [
                report
                for report in reports
                if sent.line < report.event.line < passed_on.event.line and same_value(report.value, value)
            ]
            if not told:
                return inconclusive("the command was not seen to be obeyed", sent, duplicate)
            if len(told) > 1:
                return failed(f"one command was carried out {len(told)} times", sent, duplicate, told)
            evidence += [sent, duplicate, *told]
        if len(repeated) < 2 or not evidence:
            return inconclusive("the duplicates were not sent", repeated)
        return passed("a command and its duplicate were carried out once", evidence)


def _first_copy(
    case: Case, duplicate: Decoded[mqtt.Publish, MqttPacket]
) -> Decoded[mqtt.Publish, MqttPacket] | None:
    """The message of which this is the duplicate."""
    return first(deliveries(case), lambda seen: seen.value.packet_id == duplicate.value.packet_id)
