"""How the device sends what needs an acknowledgement: packet identifiers, and sending again."""

from __future__ import annotations

from collections.abc import Iterable

from harness.checks.bench import Bench, CannotStimulateError
from harness.checks.case import Case, Seen, failed, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.mqtt.commands import patience, present_value, setting_of
from harness.checks.mqtt.losses import connected, telling_control
from harness.checks.mqtt.sessions import sessions, so_far, tapped
from harness.checks.mqtt.topics import binding_of
from harness.checks.observations import Transport
from harness.model.base import Value
from harness.model.profile import Profile
from harness.model.requirement import Area, Level, Need
from harness.model.verdict import Outcome, Subject
from harness.trace import mqtt
from harness.trace.events import Direction, Event, Fate, MqttPacket

TOLD = 3  # messages that the device is made to publish

ANSWERS = (mqtt.PacketType.PUBACK, mqtt.PacketType.PUBREC)
IDENTIFIED = (mqtt.Publish, mqtt.Subscribe, mqtt.Unsubscribe)
FINAL = (mqtt.PacketType.PUBACK, mqtt.PacketType.PUBCOMP, mqtt.PacketType.SUBACK, mqtt.PacketType.UNSUBACK)


def tells_with_qos(profile: Profile) -> bool:
    """Whether the device can be made to publish with QoS 1 or 2: by commands, or by operating it."""
    binding = binding_of(profile)
    setting = setting_of(profile)
    return (setting is not None and setting.bound.qos > 0) or any(
        binding.events[effect.event].qos > 0
        for control in profile.controls.values()
        for effect in control.effects
        if effect.event in binding.events
    )


async def make_it_tell(bench: Bench, count: int) -> None:
    """Make the device publish ``count`` times with QoS 1 or 2. Raises CannotStimulateError."""
    setting, control = setting_of(bench.profile), telling_control(bench)
    commanded = setting is not None and setting.bound.qos > 0
    if not commanded and control is None:
        raise CannotStimulateError("nothing here makes the device publish with QoS 1 or 2")
    values: list[Value] = []
    if setting is not None and commanded:
        values = setting.others(await present_value(bench, setting), count)
    for index in range(count):
        since = bench.mark()
        if setting is not None and commanded:
            await bench.write(setting.name, values[index], transport=Transport.MQTT)
            within = patience(bench.profile, setting)
        elif control is not None:
            await bench.local.operate(control)
            within = 2 * bench.profile.behaviour.report_local
        await bench.until(is_identified, within=within, since=since, what="the device to publish")


def is_identified(event: Event) -> bool:
    """Whether an event is a PUBLISH of the device that has to be acknowledged."""
    packet = tapped(event, Direction.FROM_DUT, mqtt.PacketType.PUBLISH)
    return isinstance(packet, mqtt.Publish) and packet.qos > 0


@requirement(
    "MQTT-DEV-040",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="3.1.1: [MQTT-2.3.1-1], [MQTT-2.3.1-2]; 5.0: [MQTT-2.2.1-3]",
    level=Level.MUST,
    purpose="ensure that the IUT's packet identifiers are not zero, and not in use when they are given away",
    stimulus="Make the DUT publish with QoS 1 or 2, withhold the first acknowledgement, make it publish on; "
    "the other connections of the run count, too",
    expect="No identifier is 0, and none is given to a second packet before the first one is acknowledged",
    ics="MQTT.QOS1_PUB|MQTT.QOS2_PUB|MQTT.SUB",
    needs=(Need.TAP,),
    usual_cause="The identifier is a constant, or a counter that is not compared with what is still under "
    "way; an acknowledgement is then taken for that of another message.",
)
class PacketIdentifiers(Check):
    """Keeps the account of the identifiers in use on each connection."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return (Subject(),) if tells_with_qos(profile) else ()

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await connected(bench)
        kept: list[int] = []

        def is_first(packet: mqtt.Packet) -> bool:
            if not isinstance(packet, mqtt.Ack) or packet.type not in ANSWERS:
                return False
            kept.append(packet.packet_id)
            return packet.packet_id == kept[0]

        hold = bench.tap.hold(is_first, Direction.TO_DUT, "the first acknowledgement")
        await make_it_tell(bench, TOLD)
        hold.release()

    def judge(self, case: Case) -> Outcome:
        crowded: list[Seen[mqtt.Packet, MqttPacket]] = []  # given away while others were in use
        for session in sessions(so_far(case)):
            used: dict[int, Seen[mqtt.Packet, MqttPacket]] = {}
            for seen in session.packets:
                packet = seen.what
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
                        f"the packet identifier {identifier} is given away again before it is acknowledged",
                        used[identifier],
                        seen,
                    )
                if used and seen.line >= case.window[0].line:
                    crowded.append(seen)
                used[identifier] = seen
        if not crowded:
            return inconclusive("the device published nothing while an acknowledgement was withheld")
        return passed("no packet identifier was given away that was in use", crowded)


def _identifier(packet: mqtt.Packet) -> int:
    identifier = getattr(packet, "packet_id", None)
    return identifier if isinstance(identifier, int) else 0
