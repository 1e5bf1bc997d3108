"""Commands that the broker kept: yesterday's word must not switch anything today."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.checks.bench import Bench, StimulusError
from harness.checks.case import Case, Decoded, Evidence, failed, first, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.observations import Report, Transport
from harness.checks.payloads import json_text
from harness.checks.support.mqtt.commands import (
    Setting,
    command,
    commanded,
    present_value,
    setting_of,
    settings,
)
from harness.checks.support.mqtt.disconnects import (
    connected,
    settled,
    wait_reconnected,
)
from harness.checks.support.mqtt.sessions import (
    sessions,
    tapped,
)
from harness.checks.support.mqtt.topics import binding_of
from harness.model.profile import Profile, RetainedCommandPolicy
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.schema import same_value
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act, Direction, Event, MqttPacket, Point, Refusal
from harness.wire import mqtt

ROUNDING = 1e-3  # seconds
DELIVERY = 2.0  # seconds for the broker to pass on a message


def by_topic(profile: Profile) -> dict[str, Setting]:
    """The settings to try: one for each command topic, since the broker keeps one message for each.

    Where stored commands are to be carried out, the one alone that no rule has a say in.
    """
    chosen: dict[str, Setting] = {}
    if profile.behaviour.retained_command is RetainedCommandPolicy.APPLY:
        free = setting_of(profile)
        return {} if free is None else {free.topic: free}
    for setting in settings(profile):
        chosen.setdefault(setting.topic, setting)
    return chosen


async def store(bench: Bench, messages: Mapping[str, bytes]) -> None:
    """Let the broker keep a message for each topic; it has them when this returns.

    With QoS 0, so that it does not queue them for an absent device that has a session.
    """
    since, missing = bench.mark(), set(messages)

    def echoed(event: Event) -> bool:
        body = event.body
        if isinstance(body, MqttPacket) and body.point is Point.CLIENT:
            packet = mqtt.decode(body.raw, body.level)
            if isinstance(packet, mqtt.Publish) and body.direction is Direction.FROM_DUT:
                missing.discard(packet.topic)
        return not missing

    for topic, payload in messages.items():
        await bench.mqtt.publish(topic, payload, qos=0, retain=True)
    await bench.wait_for(echoed, within=DELIVERY, since=since, what="the broker to take the commands")


async def wait_for_delivery(bench: Bench, topics: Iterable[str], since: int) -> None:
    """Wait until a message on each of the topics has come to the tap on its way to the device."""
    missing = set(topics)

    def delivered(event: Event) -> bool:
        packet = tapped(event, Direction.TO_DUT, mqtt.PacketType.PUBLISH)
        if isinstance(packet, mqtt.Publish):
            missing.discard(packet.topic)
        return not missing

    await bench.wait_for(delivered, within=DELIVERY, since=since, what="the broker to deliver the commands")


async def clear(bench: Bench, topics: Iterable[str]) -> None:
    """Let the broker forget what it keeps; the device gets nothing of that."""
    wanted, since = tuple(topics), bench.mark()
    hold = bench.tap.hold(
        lambda packet: isinstance(packet, mqtt.Publish) and packet.topic in wanted and not packet.payload,
        Direction.TO_DUT,
        "the empty messages that clear the commands",
    )
    for topic in wanted:
        await bench.mqtt.publish(topic, b"", qos=0, retain=True)
    if bench.tap.connected:
        await wait_for_delivery(bench, wanted, since)
    hold.discard()


@requirement(
    "DEV-20",
    area=Area.MQTT,
    standard="good practice (profile)",
    clause="profile: behaviour.retained_command",
    level=Level.SHOULD,
    basis=Basis.PRACTICE,
    purpose="ensure that a command that the broker has kept does not switch the IUT when it comes back",
    stimulus="Cut the connection; store a retained command on every command topic, each for another value "
    "than the present one; let the DUT come back",
    expect="The stored commands are delivered and ignored; where the profile says so, they are carried out",
    ics="DEV.ACTUATOR & MQTT.SUB",
    needs=(BenchFeature.TAP, BenchFeature.BROKER),
    usual_cause="The retain flag of a received message is not looked at. Somebody once published a command "
    "with retain, and since then the load switches by itself after every loss of the network.",
)
class StaleCommands(Check):
    """A message with the retain flag set is an old one: a new one comes without, whoever published it."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        # To a device that sleeps, a command that waits for it at the broker is the only way.
        return commanded(profile) if binding_of(profile).sleep is None else ()

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await connected(bench)
        await settled(bench)
        tried = by_topic(bench.profile)
        present = {topic: await present_value(bench, setting) for topic, setting in tried.items()}
        messages = {
            topic: setting.payload(setting.others(present[topic], 1)[0]) for topic, setting in tried.items()
        }
        bench.tap.refuse(Refusal.RESET)  # until the commands are stored: one that comes live is no stale one
        bench.tap.drop()
        await store(bench, messages)
        since = bench.mark()
        bench.tap.accept()
        try:
            if not await wait_reconnected(bench):
                raise StimulusError("the device did not come back after the loss")
            await wait_for_delivery(bench, messages, since)
            await bench.watch_silence(
                _settle(bench.profile),
                imposed_by="profile: behaviour.settle",
                what="the effect of the stored commands, if they have any",
            )
        finally:
            await clear(bench, messages)
        for topic, setting in tried.items():
            if not same_value(await present_value(bench, setting), present[topic]):
                await command(bench, setting, present[topic])

    def judge(self, case: Case) -> Outcome:
        cut = first(case.stimuli(Act.DROP_LINK))
        stored = {
            seen.value.topic: seen
            for seen in case.mqtt(mqtt.Publish, point=Point.CLIENT, direction=Direction.TO_DUT)
            if cut and seen.line > cut.line and seen.value.retain and seen.value.payload
        }
        applies = case.profile.behaviour.retained_command is RetainedCommandPolicy.APPLY
        shown: list[Evidence] = []
        for topic, message in stored.items():
            setting = by_topic(case.profile)[topic]
            delivered = _deliveries(case, message)
            if not delivered:
                continue
            if not delivered[0].value.retain:
                return inconclusive(f"the command on {topic} was delivered as a new one", message, delivered)
            effect = _effect(case, setting, delivered[0])
            if effect is not None and not applies:
                return failed(
                    f"{setting.name} became {json_text(effect.value)} by an old command that the broker kept",
                    message,
                    delivered[0],
                    effect,
                )
            watched = case.window[-1].time - delivered[0].time + ROUNDING
            if effect is None and watched < case.profile.settle(setting.name):
                return inconclusive("the device had no time to obey", message, delivered)
            if effect is None and applies:
                return failed(
                    f"the command that the broker kept for {setting.name} was not carried out",
                    message,
                    delivered[0],
                )
            shown += [message, delivered[0], *([effect] if effect else [])]
        if not shown:
            return inconclusive("no stored command was delivered to the device", stored.values())
        done = "carried out, as the profile says" if applies else "ignored"
        return passed(f"{len(shown) // (3 if applies else 2)} stored commands were {done}", shown)


def _settle(profile: Profile) -> float:
    return max(profile.settle(setting.name) for setting in by_topic(profile).values())


def _deliveries(
    case: Case, message: Decoded[mqtt.Publish, MqttPacket]
) -> list[Decoded[mqtt.Publish, MqttPacket]]:
    """When a stored message came to the device, after it was stored."""
    return [
        seen
        for session in sessions(case)
        for seen in session.received(mqtt.Publish)
        if seen.line > message.line
        and (seen.value.topic, seen.value.payload) == (message.value.topic, message.value.payload)
    ]


def _effect(case: Case, setting: Setting, delivered: Decoded[mqtt.Publish, MqttPacket]) -> Report | None:
    """The first report after the delivery that the setting has the commanded value."""
    value = setting.value_of(delivered.value.payload)
    return first(
        case.reports(setting.name, Transport.MQTT),
        lambda report: report.event.line > delivered.line and same_value(report.value, value),
    )
