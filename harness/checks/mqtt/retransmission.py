"""How the device sends acknowledged messages: packet identifiers and retransmission."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from itertools import pairwise

from harness.checks.bench import Bench, Hold, StimulusError
from harness.checks.case import Case, Decoded, Evidence, failed, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.mqtt.qos2 import countable
from harness.checks.observations import Transport
from harness.checks.support.mqtt.commands import (
    effect_timeout,
    present_value,
    setting_of,
)
from harness.checks.support.mqtt.disconnects import (
    connected,
    reporting_control,
    settled,
    wait_reconnected,
)
from harness.checks.support.mqtt.sessions import (
    Session,
    sessions,
    so_far,
    tapped,
)
from harness.checks.support.mqtt.topics import binding_of
from harness.model.base import Value
from harness.model.profile import Profile
from harness.model.requirement import Area, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Direction, Event, Fate, MqttPacket
from harness.wire import mqtt

RESENT = 5.0  # seconds for resending in a resumed session; the standard sets no limit
PUBLICATIONS = 3  # messages that the device must publish

ANSWERS = (mqtt.PacketType.PUBACK, mqtt.PacketType.PUBREC)
IDENTIFIED = (mqtt.Publish, mqtt.Subscribe, mqtt.Unsubscribe)
FINAL = (mqtt.PacketType.PUBACK, mqtt.PacketType.PUBCOMP, mqtt.PacketType.SUBACK, mqtt.PacketType.UNSUBACK)


def publishes_with_qos(profile: Profile) -> bool:
    """Whether commands or local operation make the device publish with QoS 1 or 2."""
    binding = binding_of(profile)
    setting = setting_of(profile)
    return (setting is not None and setting.bound.qos > 0) or any(
        binding.events[effect.event].qos > 0
        for control in profile.controls.values()
        for effect in control.effects
        if effect.event in binding.events
    )


async def make_it_publish(bench: Bench, count: int) -> None:
    """Make the device publish ``count`` times with QoS 1 or 2. Raises StimulusError."""
    setting, control = setting_of(bench.profile), reporting_control(bench)
    commanded = setting is not None and setting.bound.qos > 0
    if not commanded and control is None:
        raise StimulusError("no stimulus available makes the device publish with QoS 1 or 2")
    values: list[Value] = []
    if setting is not None and commanded:
        values = setting.others(await present_value(bench, setting), count)
    for index in range(count):
        since = bench.mark()
        if setting is not None and commanded:
            await bench.write(setting.name, values[index], transport=Transport.MQTT)
            within = effect_timeout(bench.profile, setting)
        elif control is not None:
            await bench.local.operate(control)
            within = 2 * bench.profile.behaviour.report_local
        await bench.wait_for(is_identified, within=within, since=since, what="the device to publish")


def is_identified(event: Event) -> bool:
    """Whether an event is a PUBLISH of the device that needs an acknowledgement."""
    packet = tapped(event, Direction.FROM_DUT, mqtt.PacketType.PUBLISH)
    return isinstance(packet, mqtt.Publish) and packet.qos > 0


@requirement(
    "MQTT-DEV-040",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="3.1.1: [MQTT-2.3.1-1], [MQTT-2.3.1-2]; 5.0: [MQTT-2.2.1-3]",
    level=Level.MUST,
    purpose="ensure that the device's packet identifiers are not zero, and not reused while still in use",
    stimulus="Make the device publish with QoS 1 or 2, withhold the first acknowledgement, make it publish "
    "more; the other connections of the run count as well",
    expect="No identifier is 0, and none is assigned to a second packet before the first one is acknowledged",
    ics="MQTT.QOS1_PUB|MQTT.QOS2_PUB|MQTT.SUB",
    needs=(BenchFeature.TAP,),
    usual_cause="The identifier is a constant, or a counter that is not compared with the identifiers in "
    "use; an acknowledgement is then matched to the wrong message.",
    phase=Phase.OUTAGE,
)
class PacketIdentifiers(Check):
    """Tracks the identifiers in use on each connection."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return (Subject(),) if publishes_with_qos(profile) else ()

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await connected(bench)
        kept: list[int] = []

        def is_first(packet: mqtt.Packet) -> bool:
            if not isinstance(packet, mqtt.Ack) or packet.type not in ANSWERS:
                return False
            kept.append(packet.packet_id)
            return packet.packet_id == kept[0]

        hold = bench.tap.hold(is_first, Direction.TO_DUT, "the first acknowledgement")
        await make_it_publish(bench, PUBLICATIONS)
        hold.release()

    def judge(self, case: Case) -> Outcome:
        crowded: list[Decoded[mqtt.Packet, MqttPacket]] = []  # assigned while others were in use
        for session in sessions(so_far(case)):
            used: dict[int, Decoded[mqtt.Packet, MqttPacket]] = {}
            for seen in session.packets:
                packet = seen.value
                if seen.body.direction is Direction.TO_DUT:
                    if packet.type in FINAL and seen.body.fate is not Fate.DROPPED:
                        used.pop(_identifier(packet), None)
                    continue
                if not isinstance(packet, IDENTIFIED) or (
                    isinstance(packet, mqtt.Publish) and not packet.qos
                ):
                    continue
                identifier = _identifier(packet)
                if identifier == 0:
                    return failed(f"{packet.type.name} with the packet identifier 0", seen)
                repeated = isinstance(packet, mqtt.Publish) and packet.dup
                if identifier in used and not repeated:
                    return failed(
                        f"the packet identifier {identifier} is reused before it is acknowledged",
                        used[identifier],
                        seen,
                    )
                if used and seen.line >= case.window[0].line:
                    crowded.append(seen)
                used[identifier] = seen
        if not crowded:
            return inconclusive("the device published nothing while an acknowledgement was withheld")
        return passed("no packet identifier was reused while in use", crowded)


def _identifier(packet: mqtt.Packet) -> int:
    identifier = getattr(packet, "packet_id", None)
    return identifier if isinstance(identifier, int) else 0


@requirement(
    "MQTT-DEV-036",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="3.1.1: [MQTT-4.4.0-1], [MQTT-3.3.1-1], [MQTT-2.3.1-3]; 5.0: [MQTT-4.4.0-1], [MQTT-3.3.1-1]",
    level=Level.MUST,
    purpose="ensure that the device resends unacknowledged messages in a resumed session, with the same "
    "packet identifier and DUP",
    stimulus="Withhold the acknowledgements of the device's messages, cut the connection, let the session "
    "be resumed; for QoS 2 also withhold PUBCOMP",
    expect="The same packet identifier and content with DUP 1; PUBREL again; no event published as new",
    ics="MQTT.PERSISTENT & (MQTT.QOS1_PUB|MQTT.QOS2_PUB)",
    needs=(BenchFeature.TAP,),
    usual_cause="The queue of outgoing messages is cleared with the connection, or its messages are sent as "
    "new ones, so that receivers count an event twice.",
    phase=Phase.OUTAGE,
)
class SendsAgainWhatWasNotAcknowledged(Check):
    """Compares what was unacknowledged at the disconnect with what follows CONNACK."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return (Subject(),) if publishes_with_qos(profile) else ()

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await connected(bench)
        await settled(bench)
        hold = bench.tap.hold(lambda packet: packet.type in ANSWERS, Direction.TO_DUT, "acknowledgements")
        since = bench.mark()
        await make_it_publish(bench, 1)
        await _resume(bench, hold, since, is_identified)
        handshake = countable(bench.profile)
        if handshake and binding_of(bench.profile).events[handshake.event].qos == 2:
            await settled(bench)
            hold = bench.tap.hold(
                lambda packet: packet.type is mqtt.PacketType.PUBCOMP, Direction.TO_DUT, "PUBCOMP"
            )
            since = bench.mark()
            await bench.invoke(handshake.action, transport=Transport.MQTT)
            await bench.wait_for(is_release, within=2 * handshake.within, since=since, what="PUBREL")
            await _resume(bench, hold, since, is_release)

    def judge(self, case: Case) -> Outcome:
        events = {bound.topic for bound in binding_of(case.profile).events.values()}
        shown: list[Evidence] = []
        for lost, resumed in pairwise(sessions(so_far(case))):
            accepted, left_open = resumed.accepted, _open_at_the_end(lost)
            if accepted is None or accepted.line < case.window[0].line or not left_open:
                continue
            if not accepted.value.session_present:
                return inconclusive("the broker did not keep the session", accepted)
            for message in left_open:
                again = [seen for seen in resumed.sent(mqtt.Packet) if _repeats(seen.value, message.value)]
                if not again:
                    kind = message.value.type.name
                    return failed(f"an unacknowledged {kind} was not resent", message, accepted)
                without_dup = [
                    seen for seen in again if isinstance(seen.value, mqtt.Publish) and not seen.value.dup
                ]
                if without_dup:
                    return failed("a message was resent without DUP", message, accepted, without_dup)
                if renewed := _as_new(message, resumed, events):
                    return failed("an event was published again as a new one", message, accepted, renewed)
                shown += [message, accepted, *again]
        if not shown:
            return inconclusive("nothing was unacknowledged when the connection was cut")
        return passed("everything unacknowledged was resent, with its identifier and DUP", shown)


async def _resume(bench: Bench, hold: Hold, since: int, again: Callable[[Event], bool]) -> None:
    """Cut the connection with answers withheld, and wait for the first packet of that kind to be resent."""
    open_now = await bench.wait_for(again, within=0, since=since, what="an unacknowledged message")
    cut = bench.mark()
    bench.tap.drop()
    hold.discard()
    await wait_reconnected(bench)
    if open_now is None:
        return

    def comes_again(event: Event) -> bool:
        return again(event) and _identifier(_packet(event)) == _identifier(_packet(open_now))

    await bench.wait_for(comes_again, within=RESENT, since=cut, what="the message to be resent")


def is_release(event: Event) -> bool:
    """Whether an event is a PUBREL of the device."""
    return tapped(event, Direction.FROM_DUT, mqtt.PacketType.PUBREL) is not None


def _packet(event: Event) -> mqtt.Packet:
    assert isinstance(event.body, MqttPacket)
    return mqtt.decode(event.body.raw, event.body.level)


def _open_at_the_end(session: Session) -> list[Decoded[mqtt.Packet, MqttPacket]]:
    """The PUBLISH and PUBREL packets that were unanswered when the connection ended."""
    left: dict[int, Decoded[mqtt.Packet, MqttPacket]] = {}
    for seen in session.packets:
        packet = seen.value
        if seen.body.direction is Direction.FROM_DUT:
            if (isinstance(packet, mqtt.Publish) and packet.qos) or packet.type is mqtt.PacketType.PUBREL:
                left[_identifier(packet)] = seen
        elif seen.body.fate is not Fate.DROPPED and packet.type in (*ANSWERS, mqtt.PacketType.PUBCOMP):
            left.pop(_identifier(packet), None)
    return list(left.values())


def _repeats(packet: mqtt.Packet, earlier: mqtt.Packet) -> bool:
    """Whether a packet resends an earlier one: same identifier and content."""
    if packet.type is not earlier.type or _identifier(packet) != _identifier(earlier):
        return False
    if isinstance(packet, mqtt.Publish) and isinstance(earlier, mqtt.Publish):
        return (packet.topic, packet.payload, packet.qos) == (earlier.topic, earlier.payload, earlier.qos)
    return True


def _as_new(
    message: Decoded[mqtt.Packet, MqttPacket], resumed: Session, events: Collection[str]
) -> list[Decoded[mqtt.Publish, MqttPacket]]:
    """Publications of the same event under another identifier. (A state may be reported anew.)"""
    old = message.value
    if not isinstance(old, mqtt.Publish) or old.topic not in events:
        return []
    return [
        seen
        for seen in resumed.sent(mqtt.Publish)
        if (seen.value.topic, seen.value.payload) == (old.topic, old.payload)
        and seen.value.packet_id != old.packet_id
    ]
