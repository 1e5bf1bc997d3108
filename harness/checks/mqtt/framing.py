"""How the device reads packets from the byte stream: segments, lengths, sizes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.checks.bench import Bench
from harness.checks.case import Case, Decoded, Evidence, failed, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.observations import Report, Transport
from harness.checks.support.behaviour.commands import on_the_way
from harness.checks.support.mqtt.commands import (
    MqttSetting,
    command,
    commanded,
    effect_of_packet,
    effect_timeout,
    last_report,
    present_value,
    setting_named,
    setting_of,
    the_setting,
    wait_for_effect,
    written,
)
from harness.checks.support.mqtt.deliveries import answers
from harness.checks.support.mqtt.disconnects import (
    settled,
    wait_reconnected,
)
from harness.checks.support.mqtt.fences import (
    NO_BASELINE,
    baseline,
    command_with_effect,
    hidden_of,
    leave_nothing,
    nothing_of,
    show_baseline,
    takes_effect_eventually,
)
from harness.checks.support.mqtt.sessions import (
    breaches,
    so_far,
    tapped,
)
from harness.checks.support.mqtt.topics import binding_of
from harness.model.base import Value
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.schema import same_value
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act, Direction, Event, Fate, MqttPacket
from harness.wire import mqtt

REMAINING_LENGTHS = (127, 128, 16383, 16384)  # each side of where the length needs another byte


@requirement(
    "MQTT-DEV-015",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="3.1.1: 4.2, [MQTT-7.1.2-1]; 5.0: [MQTT-4.2-1]",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that the device treats the connection as a byte stream, however TCP splits it into "
    "segments",
    stimulus="Send three commands in one segment, then one byte by byte, then one in the same segment as a "
    "SUBACK",
    expect="Each command is read once and in order, and the last of each group takes effect",
    ics="MQTT.SUB",
    needs=(BenchFeature.TAP,),
    usual_cause="Each read from the socket is treated as one packet: a second packet in it is lost, and a "
    "packet that arrives in two parts shifts all that follow.",
    phase=Phase.BOUNDARY,
)
class ByteStream(Check):
    """Each group ends with a distinct value, whose report shows that the whole group was read."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return commanded(profile)

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        setting = the_setting(bench)
        if not await show_baseline(bench, setting):
            return
        three = setting.others(await present_value(bench, setting), 3)
        await self._send(bench, setting, three, "three commands in one segment")
        one = setting.others(three[-1], 1)
        raw = _packets(bench, setting, one)[0]
        since = bench.mark()
        bench.tap.inject(raw, segments=[1] * len(raw), what="a command byte by byte")
        await _taken(bench, setting, one[0], [raw], since)
        await self._behind_suback(bench, setting, setting.others(one[0], 1))

    async def _send(self, bench: Bench, setting: MqttSetting, values: list[Value], what: str) -> None:
        since, raws = bench.mark(), _packets(bench, setting, values)
        bench.tap.inject(b"".join(raws), what=what)
        await _taken(bench, setting, values[-1], raws, since)

    async def _behind_suback(self, bench: Bench, setting: MqttSetting, values: list[Value]) -> None:
        """Cut the connection, and send a command in the same segment as the next SUBACK."""
        await settled(bench)
        hold = bench.tap.hold(
            lambda packet: packet.type is mqtt.PacketType.SUBACK, Direction.TO_DUT, "SUBACK"
        )
        since = bench.mark()
        bench.tap.drop()
        granted = await bench.wait_for(
            lambda event: tapped(event, Direction.TO_DUT, mqtt.PacketType.SUBACK) is not None,
            within=bench.profile.behaviour.reconnect,
            since=since,
            what="the device to subscribe again",
            imposed_by="profile: bindings.mqtt.reconnect",
        )
        if granted is None:
            # A resumed session needs no subscription, so there is no SUBACK.
            hold.release()
        else:
            hold.discard()
            assert isinstance(granted.body, MqttPacket)
            raw = _packets(bench, setting, values)[0]
            since = bench.mark()  # what the device has repeated of earlier reports is no effect
            bench.tap.inject(granted.body.raw + raw, what="SUBACK and a command in one segment")
            await _taken(bench, setting, values[0], [raw], since)
        await wait_reconnected(bench)

    def judge(self, case: Case) -> Outcome:
        setting = setting_of(case.profile)
        assert setting is not None
        shown: list[Evidence] = []
        groups = case.stimuli(Act.RAW)
        if not groups or baseline(case, setting.name, groups[0].line) is None:
            return inconclusive(NO_BASELINE, case.stimuli(Act.WRITE))
        for index, group in enumerate(groups):
            end = groups[index + 1].line if index + 1 < len(groups) else case.window[-1].line
            sent = [
                seen
                for seen in case.mqtt(mqtt.Publish, direction=Direction.TO_DUT, fate=Fate.INJECTED)
                if group.line < seen.line < end
            ]
            if not sent:
                return inconclusive(f"{group.value.name}: not sent", group)
            effect = effect_of_packet(case, setting, sent[-1])
            if effect is None:
                return failed(f"{group.value.name}: the last command took no effect", sent)
            if setting.qos and (problem := _answered_wrongly(case, sent)):
                return failed(f"{group.value.name}: {problem}", sent)
            shown += [*sent, effect]
        if len(groups) < 2:
            return inconclusive("the commands were not sent")
        return passed(f"{len(groups)} ways of segmenting the stream, each read completely", shown)


async def _taken(bench: Bench, setting: MqttSetting, value: Value, raws: Sequence[bytes], since: int) -> None:
    """Wait until the last command takes effect, and each is acknowledged if its QoS requires it.

    Many devices report the new state first: a connection that is cut then loses the acknowledgement.
    """
    await wait_for_effect(bench, setting, value, since=since)
    sent = [mqtt.decode(raw, binding_of(bench.profile).level) for raw in raws]
    missing = {packet.packet_id for packet in sent if isinstance(packet, mqtt.Publish) and packet.packet_id}

    def complete(event: Event) -> bool:
        packet = tapped(event, Direction.FROM_DUT, mqtt.PacketType.PUBACK)
        if isinstance(packet, mqtt.Ack):
            missing.discard(packet.packet_id)
        return not missing

    if missing:
        limit = effect_timeout(bench.profile, setting)
        await bench.wait_for(complete, within=limit, since=since, what="PUBACK for each command")


def _packets(bench: Bench, setting: MqttSetting, values: Sequence[Value]) -> list[bytes]:
    """One command for each value, with a packet identifier where the QoS needs one."""
    level = binding_of(bench.profile).level
    return [
        setting.packet(setting.payload(value), level, bench.tap.next_packet_id() if setting.qos else None)
        for value in values
    ]


def _answered_wrongly(case: Case, sent: Sequence[Decoded[mqtt.Publish, MqttPacket]]) -> str | None:
    """What is wrong with the PUBACKs for these messages: each is due once, in the order of the messages."""
    due = [seen.value.packet_id for seen in sent]
    given = [
        seen.value.packet_id
        for seen in answers(case, mqtt.PacketType.PUBACK)
        if seen.body.connection == sent[0].body.connection and seen.value.packet_id in due
    ]
    if sorted(given) != sorted(identifier for identifier in due if identifier):
        return f"{len(due)} messages, but {len(given)} PUBACK packets"
    return None if given == due else "acknowledged in a different order than sent"


@requirement(
    "MQTT-DEV-016",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="3.1.1: 2.2.3; 5.0: [MQTT-1.5.5-1], 2.1.4",
    level=Level.MUST,
    purpose="ensure that the device reads and writes a Remaining Length of several bytes correctly",
    stimulus="Send commands padded with white space to the lengths at which another byte is needed, up to "
    "the largest payload that the profile declares; every packet that the device sends in the run counts as "
    "well",
    expect="Each command takes effect; the device's own lengths use no more bytes than they need",
    ics="MQTT.SUB",
    needs=(BenchFeature.TAP,),
    usual_cause="A fixed buffer of 128 or 256 bytes for the whole packet, the default of client libraries "
    "for small devices: a larger packet is silently dropped.",
    phase=Phase.BOUNDARY,
)
class RemainingLength(Check):
    """White space around JSON has no meaning, so a command can be padded to any length."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return commanded(profile, json=True) if _lengths(profile) else ()

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        setting, level = the_setting(bench, json=True), binding_of(bench.profile).level
        lengths = _lengths(bench.profile)
        if not await show_baseline(bench, setting):
            return
        values = setting.others(await present_value(bench, setting), len(lengths))
        for length, value in zip(lengths, values, strict=True):
            identifier, since = bench.tap.next_packet_id() if setting.qos else None, bench.mark()
            payload = setting.payload(value).ljust(length - _overhead(setting, level))
            packet = setting.packet(payload, level, identifier)
            bench.tap.inject(packet, what=f"a command of Remaining Length {length}")
            await wait_for_effect(bench, setting, value, since=since)

    def judge(self, case: Case) -> Outcome:
        setting = setting_of(case.profile, json=True)
        assert setting is not None
        for seen, problem in breaches(so_far(case).mqtt(mqtt.Packet), "2.2.3", "MQTT-1.5.5-1"):
            if problem.text.startswith("remaining length"):
                return failed(f"{seen.value.type.name}: {problem.text}", seen)
        sent = case.mqtt(mqtt.Publish, direction=Direction.TO_DUT, fate=Fate.INJECTED)
        if not sent or baseline(case, setting.name, sent[0].line) is None:
            return inconclusive(NO_BASELINE, case.stimuli(Act.WRITE))
        shown: list[Evidence] = []
        for packet in sent:
            effect = effect_of_packet(case, setting, packet)
            if effect is None:
                return failed(f"a command packet of {len(packet.value.raw)} bytes took no effect", packet)
            shown += [packet, effect]
        if len(sent) < len(_lengths(case.profile)):
            return inconclusive("the padded commands were not sent", sent)
        sizes = ", ".join(str(len(packet.value.raw)) for packet in sent)
        return passed(f"command packets of {sizes} bytes took effect", shown)


def _lengths(profile: Profile) -> list[int]:
    """The lengths at which another byte is needed, up to the declared payload."""
    setting = setting_of(profile, json=True)
    if setting is None:
        return []
    binding = binding_of(profile)
    overhead = _overhead(setting, binding.level)
    shortest = max(len(setting.payload(value)) for value in setting.values)
    return [
        length for length in REMAINING_LENGTHS if shortest <= length - overhead <= binding.maximum_payload
    ]


def _overhead(setting: MqttSetting, level: int) -> int:
    """Bytes of a command's Remaining Length that are not payload: topic, packet identifier, properties."""
    return 2 + len(setting.topic.encode()) + 2 * setting.qos + (level == mqtt.MQTT_5)


@requirement(
    "PROFILE-08",
    area=Area.MQTT,
    standard="profile",
    clause="bindings.mqtt: maximum_payload, command",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the device changes no state and keeps reporting when it receives messages of "
    "unusual size",
    stimulus="Send a valid command followed by more bytes than the declared maximum, an empty payload to a "
    "command topic (also to one where zero, false or the first enum value is legal), and a message with a "
    "60 kB topic; send an ordinary command after each, first restoring a two-valued setting",
    expect="Only the ordinary commands change the state, and all of them take effect",
    ics="MQTT.SUB",
    needs=(BenchFeature.TAP, BenchFeature.BROKER),
    usual_cause="The payload is copied into a fixed-size buffer and executed as far as it fits, or an empty "
    "payload is read as the number 0.",
    phase=Phase.MALFORMED,
)
class SizesOutOfTheOrdinary(Check):
    """A fence command follows each message: a state reported before it came from the message."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return commanded(profile)

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        setting, level = the_setting(bench), binding_of(bench.profile).level
        limit = binding_of(bench.profile).maximum_payload
        if not await show_baseline(bench, setting):
            return
        await leave_nothing(bench, setting)
        hidden = hidden_of(bench.profile, setting, await present_value(bench, setting))
        cut_off = setting.payload(hidden).ljust(limit) + b"x" * 64
        what = f"{len(cut_off)} bytes that begin with a command"
        await self._send(bench, setting, setting.packet(cut_off, level), what)
        for each in _given_nothing(bench.profile):
            if not await show_baseline(bench, each):
                return
            await leave_nothing(bench, each)  # an empty payload would change nothing there
            await self._send(bench, each, each.packet(b"", level), "an empty payload")
        far = f"{binding_of(bench.profile).base}/{'x' * 60_000}"
        await self._send(bench, setting, mqtt.encode_publish(far, b"1", level=level), "a topic of 60 kB")

    async def _send(self, bench: Bench, setting: MqttSetting, packet: bytes, what: str) -> None:
        present = await present_value(bench, setting)
        bench.tap.inject(packet, what=what)
        if len(setting.values) == 2:
            # The next command could equal the hidden value, so restore the present one first.
            await command(bench, setting, present)
        await takes_effect_eventually(bench, setting)

    def judge(self, case: Case) -> Outcome:
        shown: list[Evidence] = []
        acts = case.stimuli(Act.RAW)
        for index, act in enumerate(acts):
            end = acts[index + 1].line if index + 1 < len(acts) else case.window[-1].line
            writes = [write for write in case.stimuli(Act.WRITE) if act.line < write.line < end]
            if not writes:
                return inconclusive(f"no command was sent after {act.value.name}", act)
            setting = setting_named(case.profile, writes[0].value.name)
            before = last_report(case, setting, act.line)
            effect = command_with_effect(case, act.line, end, name=setting.name, but=before)
            if effect is None and baseline(case, setting.name, act.line) is None:
                return inconclusive(NO_BASELINE, act, writes)
            if effect is None:
                return failed(f"after {act.value.name} commands have no effect any more", act)
            for report in case.reports(setting.name, Transport.MQTT):
                line = report.event.line
                known = [written(write) for write in writes if write.line < line]
                known += [before.value] if before else []
                fresh = act.line < line < end and not report.repeated
                if fresh and not _is_step(case, setting, report, known):
                    return failed(f"{act.value.name} changed {setting.name}", act, report)
            shown += [act, *effect]
        if len(acts) < 2 + len(_given_nothing(case.profile)):
            return inconclusive("the messages were not sent", acts)
        return passed(f"{len(acts)} messages of unusual size changed nothing", shown)


def _is_step(case: Case, setting: MqttSetting, report: Report, known: list[Value]) -> bool:
    """Whether a report is one of the known values, or a step between them.

    The hidden value and that of an empty payload are no steps: they are what a faulty device would set.
    """
    if any(same_value(report.value, value) for value in known):
        return True
    if not known or not on_the_way(case, report, *known):
        return False
    suspicious = (hidden_of(case.profile, setting, known[-1]), nothing_of(case.profile, setting))
    return not any(same_value(report.value, value) for value in suspicious)


def _given_nothing(profile: Profile) -> list[MqttSetting]:
    """The settings that get an empty payload: the usual one, and one with a legal zero value."""
    usual = setting_of(profile)
    telling = setting_of(profile, wanted=lambda each: nothing_of(profile, each) is not None)
    return [each for each in (usual, telling if telling != usual else None) if each is not None]
