"""Availability: online again after a loss, whatever the broker still believes about the old connection."""

from __future__ import annotations

from harness.checks.bench import Bench
from harness.checks.case import Case, Decoded, Evidence, failed, first, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.mqtt.keep_alive import is_will
from harness.checks.support.mqtt.disconnects import (
    connected,
    settled,
    wait_reconnected,
)
from harness.checks.support.mqtt.sessions import (
    Session,
    sessions,
    so_far,
)
from harness.checks.support.mqtt.topics import (
    binding_of,
    late_subscribers,
    retained,
)
from harness.model.bindings.mqtt import Availability
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act, Direction, Event, MqttPacket, Point
from harness.wire import mqtt

RELAY = 2.0  # seconds for the broker to publish a due will

Message = Decoded[mqtt.Publish, MqttPacket]


@requirement(
    "DEV-18",
    area=Area.MQTT,
    standard="good practice (profile)",
    clause="bindings.mqtt.availability",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that the device reports itself online again after a reconnection and stays online, even "
    "when the broker ends the old connection only afterwards",
    stimulus="Cut the connection without the broker noticing, let the device reconnect, then let the broker "
    "notice; subscribe once more",
    expect="The online message is published on the new connection, retained like the will; the last "
    "availability message at the broker is online",
    ics="MQTT.WILL",
    needs=(BenchFeature.TAP, BenchFeature.BROKER),
    usual_cause="The will is retained but the online message is not, or the online message is published "
    "only at start-up. Or each connection uses a new client identifier: the broker does not know that the "
    "old connection is over and publishes its will minutes after the new connection reported online.",
    phase=Phase.OUTAGE,
)
class OnlineAgain(Check):
    """Under the same client identifier the broker ends the old connection before it accepts the new one."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        availability = _availability(bench)
        await connected(bench)
        await settled(bench)
        since = bench.mark()
        left = bench.tap.drop_unnoticed()
        await wait_reconnected(bench)
        left.release()
        will = await bench.wait_for(
            lambda event: is_will(event, bench.profile), within=RELAY, since=since, what="the will"
        )
        if will is not None:
            await bench.wait_for(
                lambda event: _is_heard(event, availability),
                within=bench.profile.behaviour.settle,
                since=will.line,
                what="the online message after the will",
            )
        await bench.mqtt.late_subscriber(availability.topic)

    def judge(self, case: Case) -> Outcome:
        availability = binding_of(case.profile).availability
        assert availability is not None, "the ICS item requires it"
        cut = first(case.stimuli(Act.DROP_LINK))
        run = sessions(so_far(case))
        before = [each for each in run if cut and each.opened.line < cut.line and each.accepted]
        after = [each for each in run if cut and each.opened.line > cut.line and each.accepted]
        late = late_subscribers(case)
        if not before or not after:
            return inconclusive(
                "the device was not connected, or did not reconnect", case.stimuli(Act.DROP_LINK)
            )
        shown: list[Evidence] = []
        for session in after:
            births = [seen for seen in session.sent(mqtt.Publish) if _is_birth(seen.value, availability)]
            if not births:
                return failed(
                    "no online message after the reconnection", session.opened, session.accepted or []
                )
            if births[-1].value.retain != availability.retain:
                word = (
                    "is not retained, as the will is"
                    if availability.retain
                    else "is retained, unlike the will"
                )
                return failed(f"the online message {word}", births[-1])
            shown.append(births[-1])
        if not late:
            return inconclusive("no new client subscribed after the reconnection", shown)
        kept = retained(case).get(availability.topic)
        if availability.retain and (kept is None or kept.value.payload != availability.online.encode()):
            return _last_word(case, before[-1], after[-1], kept)
        return passed("the device is online again, also for new subscribers", shown, [kept] if kept else late)


def _last_word(case: Case, before: Session, after: Session, kept: Message | None) -> Outcome:
    """The verdict when a new subscriber does not get the online message that the device published."""
    accepted = after.accepted
    wills = [
        seen
        for seen in case.mqtt(mqtt.Publish, point=Point.CLIENT)
        if is_will(seen.event, case.profile) and not seen.value.retain
    ]
    shown: list[Evidence] = [before.opened, after.opened, *wills, *([kept] if kept else [])]
    names = [each.connect.value.client_id for each in (before, after) if each.connect]
    if len(set(names)) > 1:
        return failed(
            "the last availability message is the will of the old connection (client identifier "
            f"{names[0]}); the new connection uses {names[-1]}",
            shown,
        )
    if accepted is not None and any(will.line > accepted.line for will in wills):
        return inconclusive(
            "the broker sent the will of the old connection after it had accepted the new one", shown
        )
    return failed("the last availability message at the broker is not the online message", shown)


def _availability(bench: Bench) -> Availability:
    availability = binding_of(bench.profile).availability
    assert availability is not None, "the ICS item requires it"
    return availability


def _is_birth(message: mqtt.Publish, availability: Availability) -> bool:
    return (message.topic, message.payload) == (availability.topic, availability.online.encode())


def _is_heard(event: Event, availability: Availability) -> bool:
    """Whether our own client received the online message."""
    body = event.body
    if not isinstance(body, MqttPacket) or body.point is not Point.CLIENT:
        return False
    packet = mqtt.decode(body.raw, body.level)
    of_the_broker = body.direction is Direction.FROM_DUT
    return of_the_broker and isinstance(packet, mqtt.Publish) and _is_birth(packet, availability)
