"""Keep-alive on both sides: the device pings and notices a dead link; the broker notices its loss."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from harness.checks.bench import Bench
from harness.checks.case import Case, Decoded, Evidence, failed, first, inconclusive, not_applicable, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.support.mqtt.commands import setting_of
from harness.checks.support.mqtt.disconnects import (
    closed_by_device,
    connected,
    is_act,
    is_closed_by_device,
    wait_reconnected,
)
from harness.checks.support.mqtt.sessions import (
    Session,
    sessions,
    so_far,
    tapped,
)
from harness.checks.support.mqtt.topics import binding_of
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act, Direction, Event, Fate, MqttPacket, Point, Stimulus
from harness.trace.trace import backwards
from harness.wire import mqtt

TOLERANCE = 0.5  # seconds that packets may take to reach the tap
PARTS = 4  # parts of a keep-alive; after each the idle device is sent a message
REPORTS = 3  # reports that the device may send before it is idle for long enough to ping
KEEP_ALIVE = "MQTT 3.1.1 [MQTT-3.1.2-23]"
EVERYTHING = "everything"  # the name that the tap records when it freezes a link
NOISE = b"{"  # not a valid payload for anything


def stays_connected(profile: Profile) -> Iterable[Subject]:
    """The device as a whole, unless it is a sleeping device."""
    return (Subject(),) if binding_of(profile).sleep is None else ()


async def ensure_silence(bench: Bench) -> None:
    """Make sure that the trace contains a frozen link and its consequences.

    Nothing passes between device and broker; only the harness sends the device a message now and then, until
    it pings. Once the broker has published the will and the device has closed its connection, the link is
    restored.
    """
    if any(is_frozen(event) for event in bench.trace):
        return
    await connected(bench)
    binding, frozen = binding_of(bench.profile), bench.mark()
    bench.tap.freeze()
    await _idle(bench)
    if binding.availability is not None:
        await bench.wait_for(
            lambda event: is_will(event, bench.profile),
            within=noticed_within(binding.keep_alive),
            since=frozen,
            imposed_by="MQTT 3.1.1 [MQTT-3.1.2-24]",
            what="the will",
        )
        await bench.mqtt.late_subscriber(binding.availability.topic)
    await _closing(bench, since=frozen)
    bench.tap.thaw()
    await wait_reconnected(bench)


async def _idle(bench: Bench) -> None:
    """Wait for the device to ping, sending it a meaningless message from time to time.

    Incoming messages must not stop it from pinging. The wait is somewhat longer than allowed; a device that
    reports by itself, less often than it must ping, sends some of its reports first.
    """
    binding = binding_of(bench.profile)
    setting = setting_of(bench.profile)
    effect_timeout = _clearly_late(binding.keep_alive)
    end = bench.now + effect_timeout + REPORTS * _report_period(bench.profile)
    while bench.now < min(end, _last_sent(bench) + effect_timeout):
        since = bench.mark()
        if setting is not None and bench.tap.connected:
            bench.tap.inject(setting.packet(NOISE, binding.level), what="a meaningless message")
        pinged = await bench.wait_for(
            _is_ping,
            within=binding.keep_alive / PARTS,
            since=since,
            imposed_by=KEEP_ALIVE,
            what="the device to ping",
        )
        if pinged:
            return


async def _closing(bench: Bench, *, since: int) -> None:
    """Wait for the device to close the dead connection, up to two keep-alives after its unanswered ping."""
    keep_alive = binding_of(bench.profile).keep_alive
    ping = await bench.wait_for(
        lambda event: _is_ping(event) or is_closed_by_device(event),
        within=_clearly_late(keep_alive) + _report_period(bench.profile),
        since=since,
        imposed_by=KEEP_ALIVE,
        what="the device to ping",
    )
    if ping is not None:
        await closed_by_device(
            bench,
            since=since,
            within=ping.time + 2 * keep_alive + TOLERANCE - bench.now,
            imposed_by="MQTT 3.1.1 + 5.0 3.1.2.10",
        )


def _report_period(profile: Profile) -> float:
    """Seconds between two unprompted reports of the device; 0 if they do not delay a ping.

    A device that reports at least once per keep-alive never needs to ping.
    """
    heartbeat = profile.behaviour.heartbeat or 0.0
    return heartbeat if heartbeat > binding_of(profile).keep_alive else 0.0


def _clearly_late(keep_alive: float) -> float:
    """Seconds without a packet of the device that clearly exceed its keep-alive."""
    return max(1.25 * keep_alive, keep_alive + 2 * TOLERANCE)


def _last_sent(bench: Bench) -> float:
    """When the device sent its last packet; now, if it has sent none."""
    sent = (
        event.time
        for event, body in backwards(bench.trace, MqttPacket)
        if body.point is Point.TAP and body.direction is Direction.FROM_DUT
    )
    return next(sent, bench.now)


def _is_ping(event: Event) -> bool:
    return tapped(event, Direction.FROM_DUT, mqtt.PacketType.PINGREQ) is not None


def noticed_within(keep_alive: float) -> float:
    """Seconds in which a loss is noticed: one and a half keep-alives plus the broker's own delay."""
    return 1.5 * keep_alive + max(5.0, 0.5 * keep_alive)


def is_frozen(event: Event) -> bool:
    """Whether an event freezes the link."""
    return is_act(event, Act.WITHHOLD) and event.body.name == EVERYTHING  # type: ignore[union-attr]


def is_will(event: Event, profile: Profile) -> bool:
    """Whether an event is the will as received by our own client."""
    body, availability = event.body, binding_of(profile).availability
    if availability is None or not isinstance(body, MqttPacket) or body.point is not Point.CLIENT:
        return False
    if body.direction is not Direction.FROM_DUT or body.raw[0] >> 4 != mqtt.PacketType.PUBLISH:
        return False
    packet = mqtt.decode(body.raw, body.level)
    return (
        isinstance(packet, mqtt.Publish)
        and packet.topic == availability.topic
        and packet.payload == availability.offline.encode()
    )


@requirement(
    "MQTT-DEV-018",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="3.1.1: [MQTT-3.1.2-23]; 5.0: [MQTT-3.1.2-20]",
    level=Level.MUST,
    purpose="ensure that the device never lets more than the keep-alive pass between two packets that it "
    "sends",
    stimulus="Leave the device idle for a keep-alive, sending it only meaningless messages; all other "
    "connections of the run count as well",
    expect="The gap between two packets of the device is at most the keep-alive that it announced; incoming "
    "messages do not stop it from pinging",
    ics="MQTT.KEEP_ALIVE",
    needs=(BenchFeature.TAP, BenchFeature.BROKER),
    usual_cause="Incoming packets reset the ping timer, or the timer is checked too rarely.",
    phase=Phase.MALFORMED,
)
class PingsInTime(Check):
    """Measures the gaps on every connection, up to a ping whose answer is withheld."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return stays_connected(profile)

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await ensure_silence(bench)

    def judge(self, case: Case) -> Outcome:
        seen_so_far = so_far(case)
        longest: tuple[float, list[Evidence]] = (0.0, [])
        for session in sessions(seen_so_far):
            limit = session.keep_alive
            if session.connect is None or not limit:
                continue
            for before, after in _gaps(session, seen_so_far.window[-1]):
                gap = after.time - before.time
                if gap > limit + TOLERANCE:
                    found = f"{gap:.1f} s without a packet from the device, whose keep-alive is {limit} s"
                    return failed(found, session.connect, before, after)
                if gap > longest[0] and isinstance(after, Decoded):
                    longest = gap, [session.connect, before, after]
        busy = _unprompted(seen_so_far)
        if busy is not None:
            found = (
                f"the device reports by itself; the longest gap between two packets was {longest[0]:.1f} s"
            )
            return passed(found, longest[1], busy)
        if longest[0] < binding_of(case.profile).keep_alive / 2:
            return inconclusive("the device was never idle for long", longest[1])
        return passed(f"the longest gap between two packets was {longest[0]:.1f} s", longest[1], busy or [])


def _frozen_link(run: Case) -> tuple[Decoded[Stimulus, Stimulus], Session] | None:
    """The freeze of the link, and the connection that the device had then."""
    frozen = first(run.stimuli(Act.WITHHOLD), lambda act: act.value.name == EVERYTHING)
    if frozen is None:
        return None
    session = first(reversed(sessions(run)), lambda session: session.opened.line < frozen.line)
    return (frozen, session) if session else None


def _unprompted(run: Case) -> list[Decoded[mqtt.Packet, MqttPacket]] | None:
    """What the device sent by itself on the frozen link, if that kept up the keep-alive.

    Either a ping, or packets over more than a keep-alive, in which nothing but meaningless messages was sent
    to the device.
    """
    found = _frozen_link(run)
    if found is None or not found[1].keep_alive:
        return None
    frozen, session = found
    thawed = first(run.stimuli(Act.RELEASE), lambda act: act.value.name == EVERYTHING)
    end = thawed.line if thawed else run.window[-1].line
    sent = [seen for seen in session.sent(mqtt.Packet) if frozen.line < seen.line < end]
    pings = [seen for seen in sent if isinstance(seen.value, mqtt.Pingreq)]
    if pings:
        return pings[:1]
    lasted = sent[-1].time - frozen.time if sent else 0.0
    return sent if lasted > session.keep_alive else None


def _gaps(
    session: Session, now: Event
) -> list[tuple[Decoded[mqtt.Packet, MqttPacket], Decoded[mqtt.Packet, MqttPacket] | Event]]:
    """Packets of the device, each with its next packet or the end. Dead links are left out."""
    sent = session.sent(mqtt.Packet)
    unanswered = _unanswered(session)
    if unanswered is not None:
        return list(pairwise(seen for seen in sent if seen.line <= unanswered.line))
    end = session.ended.event if session.ended else now
    return [*pairwise(sent), (sent[-1], end)] if sent else []


@requirement(
    "MQTT-DEV-019",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="3.1.2.10",
    level=Level.SHOULD,
    purpose="ensure that the device closes a connection on which its ping is not answered",
    stimulus="Freeze the link so that no ping is answered; TCP stays open",
    expect="The device closes the connection within two keep-alives, and reconnects when the link works "
    "again",
    ics="MQTT.KEEP_ALIVE",
    needs=(BenchFeature.TAP, BenchFeature.BROKER),
    usual_cause="The ping is sent, but nothing waits for its answer; behind a NAT box that forgot the "
    "connection the device considers itself online for hours.",
    phase=Phase.OUTAGE,
)
class NoticesDeadLink(Check):
    """Looks for the end of the connection after the unanswered ping."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return stays_connected(profile)

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await ensure_silence(bench)

    def judge(self, case: Case) -> Outcome:
        seen_so_far = so_far(case)
        found = _frozen_link(seen_so_far)
        if found is None:
            return inconclusive("the link was not frozen")
        frozen, quiet = found
        bound = 2 * quiet.keep_alive
        thawed = first(seen_so_far.stimuli(Act.RELEASE), lambda act: act.value.name == EVERYTHING)
        ping = _unanswered(quiet)
        if ping is None and thawed is not None and _unprompted(seen_so_far) is not None:
            return not_applicable("the device reports more often than its keep-alive, so it need not ping")
        if ping is None or thawed is None:
            return inconclusive("the device did not ping on the frozen link", frozen)
        if quiet.ended is None or quiet.ended.line > thawed.line:
            waited = thawed.time - ping.time
            if waited < bound:
                return inconclusive(f"the link was frozen for only {waited:.0f} s", ping, thawed)
            return failed(
                f"the connection was still open {waited:.0f} s after the ping", ping, frozen, thawed
            )
        took = quiet.ended.time - ping.time
        if took > bound + TOLERANCE:
            return failed(f"the connection was closed {took:.1f} s after the ping", ping, frozen, quiet.ended)
        back = first(
            sessions(seen_so_far),
            lambda session: session.opened.line > thawed.line and bool(session.accepted),
        )
        if back is None:
            return failed("the device did not reconnect when the link worked again", ping, thawed)
        shown = (ping, frozen, quiet.ended, back.opened)
        return passed(
            f"the device closed the connection {took:.1f} s after the ping, and reconnected", *shown
        )


def _unanswered(session: Session) -> Decoded[mqtt.Pingreq, MqttPacket] | None:
    """The first ping of the connection whose answer did not reach the device."""
    answered = session.received(mqtt.Pingresp)
    return first(
        session.sent(mqtt.Pingreq), lambda ping: not any(answer.line > ping.line for answer in answered)
    )


@requirement(
    "DEV-17",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="3.1.1: [MQTT-3.1.2-8], [MQTT-3.1.2-24]; 5.0: [MQTT-3.1.2-8], [MQTT-3.1.2-22]",
    level=Level.SHOULD,
    basis=Basis.DERIVED,
    purpose="ensure that the device's will announces an unexpected loss within one and a half keep-alives, "
    "also to later subscribers",
    stimulus="Freeze the link, and subscribe once more when the will has arrived",
    expect="The broker publishes the offline message within one and a half keep-alives plus a few seconds, "
    "and retains it",
    ics="MQTT.WILL & MQTT.KEEP_ALIVE",
    needs=(BenchFeature.TAP, BenchFeature.BROKER),
    usual_cause="No will at all, a keep-alive so long that the loss is noticed hours later, or a will that "
    "is not retained.",
    phase=Phase.OUTAGE,
)
class LossShows(Check):
    """Measures from the last packet that reached the broker to the will at our own client."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return stays_connected(profile)

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await ensure_silence(bench)

    def judge(self, case: Case) -> Outcome:
        seen_so_far = so_far(case)
        frozen = first(seen_so_far.stimuli(Act.WITHHOLD), lambda act: act.value.name == EVERYTHING)
        thawed = first(seen_so_far.stimuli(Act.RELEASE), lambda act: act.value.name == EVERYTHING)
        if frozen is None or thawed is None:
            return inconclusive("the link was not frozen")
        reached = [
            seen for seen in seen_so_far.mqtt(mqtt.Packet, fate=Fate.FORWARDED) if seen.line < frozen.line
        ]
        reported = [
            seen
            for seen in seen_so_far.mqtt(mqtt.Publish, point=Point.CLIENT)
            if frozen.line < seen.line < thawed.line and is_will(seen.event, case.profile)
        ]
        lost = first(reversed(sessions(seen_so_far)), lambda session: session.opened.line < frozen.line)
        if not reached or lost is None:
            return inconclusive("the device sent nothing before the link was frozen", frozen)
        if not lost.keep_alive:
            return inconclusive("the device announces no keep-alive: the broker waits forever", reached[-1])
        limit = noticed_within(lost.keep_alive)
        if not reported:
            waited = thawed.time - reached[-1].time
            if waited < limit:
                return inconclusive(
                    f"the link was frozen for only {waited:.0f} s; the keep-alive is {lost.keep_alive} s",
                    frozen,
                    thawed,
                )
            return failed(f"no will {waited:.0f} s after the device was lost", reached[-1], frozen, thawed)
        took = reported[0].time - reached[-1].time
        if took > limit:
            return failed(
                f"the will came {took:.1f} s after the device was lost", reached[-1], frozen, reported[0]
            )
        availability = binding_of(case.profile).availability
        retained = [seen for seen in reported if seen.value.retain]
        if availability is not None and availability.retain and not retained:
            return failed("the will is not retained: later subscribers do not learn of the loss", reported)
        return passed(f"the will came {took:.1f} s after the device was lost", reached[-1], frozen, reported)
