"""What the broker retains of the device's messages for later subscribers."""

from __future__ import annotations

from harness.checks.bench import Bench
from harness.checks.case import Case, Decoded, Evidence, failed, first, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.mqtt.reconnect import (
    kept_topics,
    wait_for_retained_topics,
)
from harness.checks.payloads import decode_mqtt
from harness.checks.support.mqtt.commands import (
    command,
    present_value,
    setting_of,
)
from harness.checks.support.mqtt.disconnects import (
    connected,
    publishes,
    reporting_control,
)
from harness.checks.support.mqtt.sessions import so_far
from harness.checks.support.mqtt.topics import (
    binding_of,
    late_subscribers,
    readings,
    retained,
    subscribe_late,
)
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.schema import same_value
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Direction, Event, Fate, MqttPacket, Point
from harness.wire import mqtt

RELAY = 2.0  # seconds for the broker to deliver a message to us

Message = Decoded[mqtt.Publish, MqttPacket]


def passing_topics(profile: Profile) -> set[str]:
    """The topics that must not be retained: most events, and some states."""
    every = list(readings(profile))
    return {each.topic for each in every} - {each.topic for each in every if each.retain}


async def change_state(bench: Bench) -> None:
    """Make the device report a new state; the broker has it when this returns."""
    setting = setting_of(bench.profile)
    if setting is None:
        return
    bound = setting.bound

    def relayed(event: Event) -> bool:
        body = event.body
        if not isinstance(body, MqttPacket) or body.point is not Point.CLIENT:
            return False
        packet = mqtt.decode(body.raw, body.level)
        if body.direction is not Direction.FROM_DUT or not isinstance(packet, mqtt.Publish):
            return False
        # An earlier state may still be in transit.
        reported = decode_mqtt(packet.payload, bound.member, bound.words)
        return packet.topic == bound.state and same_value(reported, value)

    (value,) = setting.others(await present_value(bench, setting), 1)
    since = bench.mark()
    await command(bench, setting, value)
    await bench.wait_for(relayed, within=RELAY, since=since, what="the new state to arrive from the broker")


async def trigger_event(bench: Bench) -> None:
    """Operate the device so that it reports an event, and toggle back what that changed."""
    control, binding = reporting_control(bench), binding_of(bench.profile)
    if control is None:
        return
    effects = bench.profile.controls[control].effects
    topic = next(binding.events[effect.event].topic for effect in effects if effect.event in binding.events)
    for _ in range(2 if any(effect.toggle for effect in effects) else 1):
        since = bench.mark()
        await bench.local.operate(control)
        await bench.wait_for(
            publishes(topic),
            within=2 * bench.profile.behaviour.report_local,
            since=since,
            what="the event to be reported",
        )


@requirement(
    "PROFILE-02",
    area=Area.MQTT,
    standard="profile",
    clause="bindings.mqtt: retain",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the device's messages are retained as the profile declares, and no others",
    stimulus="Command a setting and operate a control, where the device has any; then let a new client "
    "subscribe to all topics of the device",
    expect="The new client gets the latest message of every topic that is declared as retained; the others, "
    "events above all, are published without the retain flag",
    ics="MQTT.CLIENT",
    needs=(BenchFeature.BROKER,),
    usual_cause="States are retained at start-up but their changes are not, so new subscribers see an old "
    "state; or one publish function retains everything, and every new subscriber gets yesterday's key "
    "press.",
)
class KeptAsDeclared(Check):
    """Compares what a late subscriber receives with what the device published last."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        if bench.offers(BenchFeature.TAP):
            await connected(bench)
        await change_state(bench)
        await trigger_event(bench)
        if bench.offers(BenchFeature.TAP):
            await wait_for_retained_topics(bench, since=0)
        await subscribe_late(bench)

    def judge(self, case: Case) -> Outcome:
        kept, passing, found = kept_topics(case.profile), passing_topics(case.profile), retained(case)
        published = so_far(case).mqtt(mqtt.Publish)
        for seen in published:
            if seen.value.topic in passing and seen.value.retain:
                return failed(f"{seen.value.topic} is published with the retain flag", seen)
        late = late_subscribers(case)
        if not late:
            return inconclusive("no new client received everything that the broker retains")
        arrived = [seen for seen in published if seen.body.fate is not Fate.DROPPED]
        for topic in sorted(kept - found.keys()):
            reported = [seen for seen in arrived if seen.value.topic == topic]
            if not reported and binding_of(case.profile).sleep is not None:
                return inconclusive(f"the device did not publish {topic} while it was awake", late)
            return failed(f"a late subscriber receives nothing on {topic}", reported[-1:], late)
        for topic in sorted(passing & found.keys()):
            return inconclusive(
                f"a message is retained on {topic} that the device did not publish in this run; clear it",
                found[topic],
            )
        for topic in sorted(kept):
            current = _current(case, topic)
            if current and found[topic].value.payload not in {seen.value.payload for seen in current}:
                return failed(
                    f"a late subscriber receives an outdated message on {topic}", current[-1], found[topic]
                )
        fleeting = [seen for seen in published if seen.value.topic in passing]
        shown: list[Evidence] = [*(found[topic] for topic in sorted(kept)), *fleeting[-1:]]
        if not shown:
            return inconclusive(
                "the device published nothing, and the profile declares no retained topic", late
            )
        return passed(f"{len(kept)} topics are retained, and {len(passing)} are not, as declared", shown)


def _current(case: Case, topic: str) -> list[Message]:
    """The messages that may be the latest for a late subscriber.

    The first is the last one relayed before the subscription; the others came later.
    """
    late = late_subscribers(case)
    run, newcomers = so_far(case), {seen.value.connection for seen in late}
    relayed = [
        seen
        for seen in run.mqtt(mqtt.Publish, point=Point.CLIENT)
        if seen.value.topic == topic and seen.body.connection not in newcomers
    ]
    known = first(reversed(relayed), lambda seen: seen.line < late[0].line)
    if not case.offers(BenchFeature.TAP):
        later = [seen for seen in relayed if seen.line > late[0].line]
        return [known, *later] if known else later
    reported = [
        seen
        for seen in run.mqtt(mqtt.Publish)
        if seen.value.topic == topic and seen.body.fate is not Fate.DROPPED
    ]
    if known is None:
        return reported
    same = [
        at
        for at, seen in enumerate(reported)
        if seen.line < known.line and seen.value.payload == known.value.payload
    ]
    return reported[same[-1] :] if same else reported
