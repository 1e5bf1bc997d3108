"""Retained commands: an old command must not switch anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.checks.bench import Bench, StimulusError
from harness.checks.case import Case, Decoded, Evidence, failed, first, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.observations import Report, Transport
from harness.checks.payloads import json_text
from harness.checks.support.mqtt.commands import (
    MqttSetting,
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
DELIVERY = 2.0  # seconds for the broker to deliver a message


def by_topic(profile: Profile) -> dict[str, MqttSetting]:
    """The settings to try: one per command topic, since the broker retains one message per topic.

    If stored commands are carried out, only one setting that no rule involves.
    """
    chosen: dict[str, MqttSetting] = {}
    if profile.behaviour.retained_command is RetainedCommandPolicy.APPLY:
        free = setting_of(profile)
        return {} if free is None else {free.topic: free}
    for setting in settings(profile):
        chosen.setdefault(setting.topic, setting)
    return chosen


async def store(bench: Bench, messages: Mapping[str, bytes]) -> None:
    """Store a retained message on each topic; the broker has them when this returns.

    With QoS 0, so that the broker does not queue them for the session of an absent device.
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
    await bench.wait_for(echoed, within=DELIVERY, since=since, what="the broker to store the commands")


async def wait_for_delivery(bench: Bench, topics: Iterable[str], since: int) -> None:
    """Wait until a message on each topic has reached the tap on its way to the device."""
    missing = set(topics)

    def delivered(event: Event) -> bool:
        packet = tapped(event, Direction.TO_DUT, mqtt.PacketType.PUBLISH)
        if isinstance(packet, mqtt.Publish):
            missing.discard(packet.topic)
        return not missing

    await bench.wait_for(delivered, within=DELIVERY, since=since, what="the broker to deliver the commands")


async def clear(bench: Bench, topics: Iterable[str]) -> None:
    """Clear the retained messages without the device noticing."""
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
    purpose="ensure that the device ignores retained commands when it reconnects",
    stimulus="Cut the connection; store a retained command on every command topic, each for a value other "
    "than the present one; let the device reconnect",
    expect="The stored commands are delivered and ignored; if the profile says so, they are carried out",
    ics="DEV.ACTUATOR & MQTT.SUB",
    needs=(BenchFeature.TAP, BenchFeature.BROKER),
    usual_cause="The retain flag of received messages is ignored. Somebody once published a retained "
    "command, and since then the load switches by itself after every network outage.",
    phase=Phase.OUTAGE,
)
class StaleCommands(Check):
    """A message with the retain flag is an old one: the broker delivers new ones without the flag."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        # Only a retained command can reach a sleeping device.
        return commanded(profile) if binding_of(profile).sleep is None else ()

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await connected(bench)
        await settled(bench)
        tried = by_topic(bench.profile)
        present = {topic: await present_value(bench, setting) for topic, setting in tried.items()}
        messages = {
            topic: setting.payload(setting.others(present[topic], 1)[0]) for topic, setting in tried.items()
        }
        bench.tap.refuse(Refusal.RESET)  # until the commands are stored: a live command is not stale
        bench.tap.drop()
        await store(bench, messages)
        since = bench.mark()
        bench.tap.accept()
        try:
            if not await wait_reconnected(bench):
                raise StimulusError("the device did not reconnect after the connection was cut")
            await wait_for_delivery(bench, messages, since)
            await bench.watch_silence(
                _settle(bench.profile),
                imposed_by="profile: behaviour.settle",
                what="any effect of the stored commands",
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
                return inconclusive(
                    f"the command on {topic} was delivered without the retain flag", message, delivered
                )
            effect = _effect(case, setting, delivered[0])
            if effect is not None and not applies:
                return failed(
                    f"{setting.name} became {json_text(effect.value)} because of a retained command",
                    message,
                    delivered[0],
                    effect,
                )
            watched = case.window[-1].time - delivered[0].time + ROUNDING
            if effect is None and watched < case.profile.settle(setting.name):
                return inconclusive("the settle time was not over", message, delivered)
            if effect is None and applies:
                return failed(
                    f"the retained command for {setting.name} was not carried out",
                    message,
                    delivered[0],
                )
            shown += [message, delivered[0], *([effect] if effect else [])]
        if not shown:
            return inconclusive("no stored command was delivered to the device", stored.values())
        done = "carried out, as the profile declares" if applies else "ignored"
        return passed(f"{len(shown) // (3 if applies else 2)} stored commands were {done}", shown)


def _settle(profile: Profile) -> float:
    return max(profile.settle(setting.name) for setting in by_topic(profile).values())


def _deliveries(
    case: Case, message: Decoded[mqtt.Publish, MqttPacket]
) -> list[Decoded[mqtt.Publish, MqttPacket]]:
    """The deliveries of a stored message to the device."""
    return [
        seen
        for session in sessions(case)
        for seen in session.received(mqtt.Publish)
        if seen.line > message.line
        and (seen.value.topic, seen.value.payload) == (message.value.topic, message.value.payload)
    ]


def _effect(case: Case, setting: MqttSetting, delivered: Decoded[mqtt.Publish, MqttPacket]) -> Report | None:
    """The first report after the delivery that the setting has the commanded value."""
    value = setting.value_of(delivered.value.payload)
    return first(
        case.reports(setting.name, Transport.MQTT),
        lambda report: report.event.line > delivered.line and same_value(report.value, value),
    )
