"""Packets that no broker may send: the device must close the connection and reconnect."""

from __future__ import annotations

from collections.abc import Iterable

from harness.checks.bench import Bench
from harness.checks.case import Case, Decoded, Evidence, failed, first, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.support.mqtt.commands import (
    commanded,
    effect_of_packet,
    present_value,
    setting_of,
    the_setting,
)
from harness.checks.support.mqtt.disconnects import (
    closed_by_device,
    connected,
    settled,
    wait_reconnected,
)
from harness.checks.support.mqtt.sessions import (
    sessions,
    so_far,
)
from harness.checks.support.mqtt.topics import binding_of
from harness.model.profile import Profile
from harness.model.requirement import Area, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Connection, ConnectionChange, Direction, Fate, MqttPacket
from harness.wire import mqtt

CLOSES = 5.0  # seconds for the device to close the connection; the standard sets no time

ILL_FORMED = (b"\xc0\x80", b"\xed\xa0\x80", b"\xff")  # an overlong NUL, a lone surrogate, not UTF-8 at all


async def provoke(bench: Bench, raw: bytes, what: str) -> None:
    """Send a malformed packet in a settled session; wait for its end and the reconnection."""
    await connected(bench)
    await settled(bench)
    since = bench.mark()
    bench.tap.inject(raw, what=what)
    sleep = binding_of(bench.profile).sleep
    # A device that is about to sleep closes by itself: that is no reaction.
    within = min(CLOSES, sleep.awake / 2) if sleep else CLOSES
    await closed_by_device(bench, since=since, within=within)
    await wait_reconnected(bench)


def reaction(case: Case) -> Outcome:
    """Whether the device itself closed the connection on each malformed packet, and reconnected."""
    shown: list[Evidence] = []
    injected = case.mqtt(mqtt.Packet, direction=Direction.TO_DUT, fate=Fate.INJECTED)
    for packet in injected:
        end = _end_of_connection(case, packet)
        if end is None:
            return failed("the connection was kept open after a malformed packet", packet)
        if end.value.by is not Direction.FROM_DUT:
            return inconclusive("the connection was ended by the other side", packet, end)
        back = [session for session in sessions(case) if session.opened.line > end.line and session.accepted]
        if not back:
            return failed("the device did not reconnect after a malformed packet", packet, end)
        shown += [packet, end, back[0].opened]
    if not injected:
        return inconclusive("no malformed packet was sent")
    return passed("the device closed the connection on each malformed packet, and reconnected", shown)


def _end_of_connection(
    case: Case, packet: Decoded[mqtt.Packet, MqttPacket]
) -> Decoded[Connection, Connection] | None:
    return first(
        case.connections(),
        lambda seen: (
            seen.line > packet.line
            and seen.value.connection == packet.body.connection
            and seen.value.change is not ConnectionChange.OPENED
        ),
    )


@requirement(
    "MQTT-DEV-013",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="3.1.1: [MQTT-2.2.2-2], [MQTT-4.8.0-1]; 5.0: 4.13, [MQTT-3.14.1-1]",
    level=Level.MUST,
    purpose="ensure that the device closes the connection when it receives invalid reserved flags",
    stimulus="Send a PINGRESP with a reserved flag set",
    expect="The device closes the connection (in 5.0 it may send DISCONNECT first), and reconnects",
    ics="MQTT.CLIENT",
    needs=(BenchFeature.TAP,),
    usual_cause="The packet type is extracted from the first byte and the flags are ignored.",
    phase=Phase.MALFORMED,
)
class InvalidFlags(Check):
    """Injects one packet and waits for the end of the connection."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        flag = 1 << bench.random.randrange(4)
        packet = mqtt.encode_packet(mqtt.PacketType.PINGRESP, flag, b"")
        await provoke(bench, packet, f"PINGRESP with the flags {flag:04b}")

    def judge(self, case: Case) -> Outcome:
        return reaction(case)


@requirement(
    "MQTT-DEV-014",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="[MQTT-3.3.1-4]",
    level=Level.MUST,
    purpose="ensure that the device closes the connection on a PUBLISH with both QoS bits set, and sends "
    "none itself",
    stimulus="Send a command with QoS 3; every PUBLISH that the device sends in the run counts as well",
    expect="The device closes the connection, does not carry out the command, and reconnects",
    ics="MQTT.SUB",
    needs=(BenchFeature.TAP,),
    usual_cause="The two bits are compared only with 0 and 1; anything else is treated as QoS 2.",
    phase=Phase.MALFORMED,
)
class Qos3(Check):
    """The state reported after the reconnection shows that the command was not carried out."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return commanded(profile)

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        setting = the_setting(bench)
        (value,) = setting.others(await present_value(bench, setting), 1)
        packet = setting.packet(
            setting.payload(value), binding_of(bench.profile).level, bench.tap.next_packet_id()
        )
        await provoke(bench, bytes([packet[0] | 0b0110]) + packet[1:], "a command with QoS 3")

    def judge(self, case: Case) -> Outcome:
        for seen in so_far(case).mqtt(mqtt.Publish):
            if seen.value.qos == 3:
                return failed("the device published with QoS 3", seen)
        return actuation(case) or reaction(case)


def actuation(case: Case) -> Outcome | None:
    """A failure if a malformed command was carried out."""
    setting = setting_of(case.profile)
    assert setting is not None
    for packet in case.mqtt(mqtt.Publish, direction=Direction.TO_DUT, fate=Fate.INJECTED):
        if effect := effect_of_packet(case, setting, packet):
            return failed("the device carried out a malformed command", packet, effect)
    return None


@requirement(
    "MQTT-DEV-012",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="3.1.1: [MQTT-1.5.3-1], [MQTT-1.5.3-2]; 5.0: [MQTT-1.5.4-1], [MQTT-1.5.4-2], 4.13",
    level=Level.MUST,
    purpose="ensure that the device closes the connection on a packet with ill-formed UTF-8 or U+0000",
    stimulus="Send a command whose topic ends in bytes that are not UTF-8, and one whose topic ends in "
    "U+0000",
    expect="The device closes the connection each time, does not carry out the command, and reconnects",
    ics="MQTT.SUB",
    needs=(BenchFeature.TAP,),
    usual_cause="Topics are compared as C strings: whatever follows the NUL is ignored.",
    phase=Phase.MALFORMED,
)
class IllFormedText(Check):
    """Two disconnects, one for each kind of text."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return commanded(profile)

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        setting, level = the_setting(bench), binding_of(bench.profile).level
        endings = {bench.random.choice(ILL_FORMED): "bytes that are not UTF-8", b"\0": "U+0000"}
        for ending, what in endings.items():
            (value,) = setting.others(await present_value(bench, setting), 1)
            topic = setting.topic.encode() + ending
            packet = mqtt.encode_publish(topic, setting.payload(value), level=level)
            await provoke(bench, packet, f"a command to a topic with {what}")

    def judge(self, case: Case) -> Outcome:
        return actuation(case) or reaction(case)
