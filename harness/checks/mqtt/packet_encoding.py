"""The contents of the device's packets: flags, strings, identifiers, topics. All checks are passive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from harness.checks.case import Case, Decoded, failed, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.support.mqtt.sessions import breaches
from harness.checks.support.mqtt.topics import readings
from harness.model.profile import Profile
from harness.model.requirement import Area, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Direction, Fate, MqttPacket
from harness.wire import mqtt

ANSWERS = (mqtt.PacketType.PUBACK, mqtt.PacketType.PUBREC)
TEXTUAL = (mqtt.Connect, mqtt.Publish, mqtt.Subscribe, mqtt.Unsubscribe)


@requirement(
    "MQTT-DEV-004",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="3.1.1: [MQTT-2.2.2-1], [MQTT-3.1.2-3]; 5.0: [MQTT-2.1.3-1], [MQTT-3.1.2-3]",
    level=Level.MUST,
    purpose="ensure that the device sets every reserved flag bit to its prescribed value",
    stimulus="Every packet that the device sends in the run counts",
    expect="The low half of the first byte and the reserved bit of CONNECT have the prescribed values",
    ics="MQTT.CLIENT",
    needs=(BenchFeature.TAP,),
    usual_cause="A hand-written client sends SUBSCRIBE or PUBREL with flags 0000; lenient brokers accept "
    "it, strict ones close the connection.",
)
class ReservedFlags(Check):
    """Passive: looks at the flags of each packet."""

    def judge(self, case: Case) -> Outcome:
        sent = case.mqtt(mqtt.Packet)
        for seen, problem in breaches(sent, "MQTT-2.2.2-1", "MQTT-2.1.3-1", "MQTT-3.1.2-3"):
            return failed(f"{seen.value.type.name}: {problem.text}", seen)
        if not sent:
            return inconclusive("the device sent no packet")
        kinds = Counter(seen.value.type.name for seen in sent)
        samples = {seen.value.type: seen for seen in sent}
        counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        return passed(f"the reserved flags are correct in {counts}", samples.values())


@requirement(
    "MQTT-DEV-011",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="3.1.1: [MQTT-1.5.3-1], [MQTT-1.5.3-2], [MQTT-3.3.2-1], [MQTT-3.8.3-1], [MQTT-3.1.3-10], "
    "[MQTT-3.1.3-11]; 5.0: [MQTT-1.5.4-1], [MQTT-1.5.4-2], [MQTT-3.3.2-1], [MQTT-3.8.3-1]",
    level=Level.MUST,
    purpose="ensure that the device sends every text as well-formed UTF-8 without U+0000",
    stimulus="Every packet that the device sends in the run counts",
    expect="Client identifier, user name, will topic, topic names and topic filters are strict UTF-8",
    ics="MQTT.CLIENT",
    needs=(BenchFeature.TAP,),
    usual_cause="A user-defined name is put into a topic in Latin-1, or truncated in the middle of a "
    "character to fit a buffer.",
)
class WellFormedText(Check):
    """Passive: reads every text of each packet."""

    def judge(self, case: Case) -> Outcome:
        sent = case.mqtt(mqtt.Packet)
        for seen, problem in breaches(sent, "MQTT-1.5.3-1", "MQTT-1.5.3-2", "MQTT-1.5.4-1", "MQTT-1.5.4-2"):
            return failed(f"{seen.value.type.name}: {problem.text}", seen)
        with_text = [seen for seen in sent if isinstance(seen.value, TEXTUAL)]
        if not with_text:
            return inconclusive("the device sent no packet that contains text", sent[:1])
        return passed(f"all text in {len(with_text)} packets is UTF-8", with_text[:5])


@requirement(
    "MQTT-DEV-035",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="3.1.1: [MQTT-3.8.1-1], [MQTT-3.8.3-3], [MQTT-4.7.1-2], [MQTT-4.7.1-3], [MQTT-4.7.3-1]; "
    "5.0: [MQTT-3.8.1-1], [MQTT-3.8.3-2], [MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.3-1]",
    level=Level.MUST,
    purpose="ensure that the device sends well-formed SUBSCRIBE and UNSUBSCRIBE packets whose topic filters "
    "follow the wildcard rules",
    stimulus="Every SUBSCRIBE and UNSUBSCRIBE of the run counts",
    expect="Flags 0010; at least one filter, none empty; # only as the whole last level, + only as a whole "
    "level",
    ics="MQTT.SUB",
    needs=(BenchFeature.TAP,),
    usual_cause="A wildcard is appended to a prefix without a slash, as in plug#.",
)
class WellFormedSubscriptions(Check):
    """Passive: reads each subscription; any problem of the packet counts."""

    def judge(self, case: Case) -> Outcome:
        kinds = (mqtt.PacketType.SUBSCRIBE, mqtt.PacketType.UNSUBSCRIBE)
        packets = [seen for seen in case.mqtt(mqtt.Packet) if seen.value.type in kinds]
        for seen in packets:
            if seen.value.problems:
                return failed(f"{seen.value.type.name}: {seen.value.problems[0]}", seen)
        if not packets:
            return inconclusive("the device sent no SUBSCRIBE")
        return passed(f"{len(packets)} SUBSCRIBE and UNSUBSCRIBE packets are well formed", packets)


@requirement(
    "MQTT-DEV-042",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="3.1.1: [MQTT-3.3.1-2], [MQTT-4.3.1-1], [MQTT-4.3.2-1], [MQTT-4.3.3-1]; "
    "5.0: [MQTT-3.3.1-2], [MQTT-4.3.1-1], [MQTT-4.3.2-2], [MQTT-4.3.3-2]",
    level=Level.MUST,
    purpose="ensure that the device sets DUP to 0 with QoS 0 and on the first transmission of a message",
    stimulus="Every PUBLISH that the device sends in the run counts",
    expect="DUP is 1 only when a message is sent again with the same packet identifier",
    ics="MQTT.CLIENT",
    needs=(BenchFeature.TAP,),
    usual_cause="The flags byte is kept from the previous message, or from a received one.",
)
class DuplicateFlag(Check):
    """Passive: each PUBLISH with DUP must have been sent before."""

    def judge(self, case: Case) -> Outcome:
        sent: list[Decoded[mqtt.Packet, MqttPacket]] = []
        last: dict[int | None, tuple[str, bytes]] = {}  # the message last sent with each packet identifier
        unanswered: dict[int | None, tuple[str, bytes]] = {}  # … of them those that were not acknowledged
        for seen in case.mqtt(mqtt.Packet, direction=None):
            packet = seen.value
            if seen.body.direction is Direction.TO_DUT:
                if packet.type in ANSWERS and seen.body.fate is not Fate.DROPPED:
                    unanswered.pop(getattr(packet, "packet_id", None), None)
                continue
            if isinstance(packet, mqtt.Connect) and packet.clean_session:
                last.clear()
            if not isinstance(packet, mqtt.Publish):
                continue
            message = packet.topic, packet.payload
            if packet.dup and packet.qos == 0:
                return failed(f"DUP is set with QoS 0 on {packet.topic}", seen)
            # Some clients resend in a new session what the last one left unacknowledged.
            is_known = last.get(packet.packet_id) == message or message in unanswered.values()
            if packet.dup and not is_known:
                return failed(f"DUP is set on the first transmission on {packet.topic}", seen)
            last[packet.packet_id] = message
            if packet.qos:
                unanswered[packet.packet_id] = message
            sent.append(seen)
        if not sent:
            return inconclusive("the device published nothing")
        return passed(f"DUP is correct in {len(sent)} PUBLISH packets", sent[:5])


@requirement(
    "MQTT-DEV-043",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="[MQTT-3.3.2-2], [MQTT-4.7.3-1], [MQTT-4.7.3-2]",
    level=Level.MUST,
    purpose="ensure that the device publishes only to topic names that are not empty and contain neither "
    "wildcards nor U+0000",
    stimulus="Every PUBLISH of the run counts, and the topic of each will",
    expect="No topic name is empty or contains +, # or U+0000",
    ics="MQTT.CLIENT",
    needs=(BenchFeature.TAP,),
    usual_cause="A user-defined name goes into the topic unescaped, or the topic is built in a buffer that "
    "was freed or never filled.",
)
class TopicNames(Check):
    """Passive: reads the topic of each publication and will."""

    def judge(self, case: Case) -> Outcome:
        sent = [
            seen for seen in case.mqtt(mqtt.Packet) if isinstance(seen.value, mqtt.Publish | mqtt.Connect)
        ]
        for seen, problem in breaches(
            sent, "MQTT-3.3.2-2", "MQTT-4.7.0-1", "MQTT-4.7.1-1", "MQTT-4.7.3-1", "MQTT-4.7.3-2"
        ):
            return failed(f"{seen.value.type.name}: {problem.text}", seen)
        published = case.mqtt(mqtt.Publish)
        if not published:
            return inconclusive("the device published nothing")
        names = {seen.value.topic: seen for seen in published}
        return passed(f"{len(names)} topic names are well formed", names.values())


@requirement(
    "MQTT-DEV-041",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="3.1.1: [MQTT-2.3.1-5]; 5.0: [MQTT-2.2.1-2]",
    level=Level.MUST,
    purpose="ensure that the device's QoS 0 PUBLISH packets carry no packet identifier",
    stimulus="Every QoS 0 PUBLISH on a topic of the profile counts",
    expect="The payload, as the profile describes it, follows the topic directly",
    ics="MQTT.CLIENT",
    needs=(BenchFeature.TAP,),
    usual_cause="The identifier is written for every QoS; receivers find two extra bytes in the payload.",
)
class NoIdentifierWithQos0(Check):
    """Passive: a payload that is readable only without its first two bytes shows an identifier there."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return (Subject(),) if any(reading.qos == 0 for reading in readings(profile)) else ()

    def judge(self, case: Case) -> Outcome:
        sent = [seen for seen in case.mqtt(mqtt.Publish) if seen.value.qos == 0]
        known = {reading.topic: reading for reading in readings(case.profile)}
        read = []
        for seen in sent:
            reading = known.get(seen.value.topic)
            if reading is None:
                continue
            if reading.understands(seen.value.payload):
                read.append(seen)
            elif reading.understands(seen.value.payload[2:]):
                return failed(f"two extra bytes before the payload on {seen.value.topic}", seen)
        if not read:
            return inconclusive("the device published nothing readable with QoS 0", sent[:5])
        return passed(f"{len(read)} payloads follow their topic directly", read[:5])
