"""Recovery after a lost session: subscriptions, availability, states."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from math import inf

from harness.checks.bench import Bench, StimulusError
from harness.checks.case import Case, Evidence, failed, first, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.support.mqtt.commands import (
    command,
    effect_of,
    present_value,
    setting_of,
)
from harness.checks.support.mqtt.disconnects import (
    ensure_restart,
    force_disconnect,
    is_accepted,
    is_act,
)
from harness.checks.support.mqtt.fences import NO_BASELINE, baseline
from harness.checks.support.mqtt.sessions import (
    Session,
    sessions,
    so_far,
    tapped,
)
from harness.checks.support.mqtt.topics import (
    binding_of,
    commands,
    late_subscribers,
    readings,
    retained,
    subscribe_late,
)
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act, Direction, Event, MqttPacket, Point
from harness.wire import mqtt


async def try_command(bench: Bench) -> None:
    """Send a command, if the device accepts any, to see whether it takes effect."""
    setting = setting_of(bench.profile)
    if setting is not None:
        (value,) = setting.others(await present_value(bench, setting), 1)
        with contextlib.suppress(StimulusError):  # it was deaf before: the trace shows that as well
            await command(bench, setting, value)


def present_session(case: Case) -> Session | None:
    """The session after the last disconnect; None if the device did not reconnect, or was never away."""
    found = sessions(so_far(case))
    return found[-1] if len(found) > 1 and found[-1].accepted and not found[-1].ended else None


def subscribed_again(case: Case, session: Session) -> Outcome:
    """Whether every command topic was subscribed in a session, and whether commands take effect."""
    asked = session.sent(mqtt.Subscribe)
    filters = [wanted.filter for seen in asked for wanted in seen.value.filters]
    assert session.accepted is not None
    for topic in commands(case.profile):
        if not any(mqtt.topic_matches(each, topic) for each in filters):
            return failed(f"{topic} was not subscribed again", session.opened, session.accepted, asked)
    shown: list[Evidence] = [session.accepted, *asked]
    for write in case.stimuli(Act.WRITE):
        if write.line < session.opened.line:
            continue
        effect = effect_of(case, write)
        if effect is None and baseline(case, write.value.name or "", session.opened.line) is None:
            return inconclusive(NO_BASELINE, session.accepted, asked, write)
        if effect is None:
            return failed("a command after the reconnection took no effect", session.accepted, asked, write)
        shown += [write, effect]
    return passed(f"all {len(commands(case.profile))} command topics were subscribed again", shown)


@requirement(
    "MQTT-DEV-030",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="3.1.1: [MQTT-3.1.2-6], [MQTT-3.2.2-1]; 5.0: [MQTT-3.1.2-4], [MQTT-3.2.2-2]",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that the device, which uses clean sessions, subscribes again after every connection",
    stimulus="Cut the connection, let the device reconnect, send a command",
    expect="SUBSCRIBE for every command topic after CONNACK; the command takes effect",
    ics="MQTT.SUB",
    needs=(BenchFeature.TAP, BenchFeature.BROKER),
    usual_cause="The device subscribes in its start-up code instead of the CONNACK handler: after the first "
    "disconnect it still reports, but receives no commands.",
    phase=Phase.OUTAGE,
)
class SubscribesAgain(Check):
    """Looks at the first session after a disconnect of its own; the broker has dropped all subscriptions."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return (Subject(),) if binding_of(profile).clean_session else ()

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await try_command(bench)
        await force_disconnect(bench)
        await try_command(bench)

    def judge(self, case: Case) -> Outcome:
        cut = first(case.stimuli(Act.DROP_LINK))
        after = [each for each in sessions(case) if cut and each.opened.line > cut.line and each.accepted]
        if cut is None or not after:
            return inconclusive(
                "the device did not reconnect after the connection was cut", [cut] if cut else []
            )
        boots = [
            act for act in case.stimuli(Act.START, Act.KILL) if cut.line < act.line < after[0].opened.line
        ]
        if boots:
            return inconclusive("the harness restarted the device before it reconnected", cut, boots)
        return subscribed_again(case, after[0])


@requirement(
    "MQTT-DEV-031",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="3.1.1: [MQTT-3.2.2-3], [MQTT-3.1.2-4]; 5.0: [MQTT-3.2.2-5]",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that the device, which keeps its session, subscribes again when the broker has lost it",
    stimulus="Restart the broker without its stored data, let the device reconnect, send a command",
    expect="CONNACK reports no session; SUBSCRIBE for every command topic; the command takes effect",
    ics="MQTT.PERSISTENT & MQTT.SUB",
    needs=(BenchFeature.TAP, BenchFeature.BROKER, BenchFeature.RESTART),
    usual_cause="The Session Present flag of CONNACK is ignored: the device relies on subscriptions that "
    "the broker no longer has.",
    phase=Phase.OUTAGE,
)
class SubscribesAgainWhenForgotten(Check):
    """Looks at the session after the restart."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await ensure_restart(bench)
        await try_command(bench)

    def judge(self, case: Case) -> Outcome:
        session = present_session(case)
        restarts = so_far(case).stimuli(Act.RESTART_BROKER)
        if session is None or session.accepted is None or not restarts:
            return inconclusive("the device did not reconnect after the broker restart", restarts)
        fresh = first(
            sessions(so_far(case)),
            lambda each: each.opened.line > restarts[0].line and each.accepted is not None,
        )
        if fresh is None or fresh.accepted is None or fresh.accepted.value.session_present:
            return inconclusive("the broker still had the session", restarts, session.accepted)
        return subscribed_again(case, fresh)


def kept_topics(profile: Profile) -> set[str]:
    """The retained topics: availability and states, not events."""
    return {each.topic for each in readings(profile) if each.retain and not each.is_event}


async def wait_for_retained_topics(bench: Bench, *, since: int, relayed: bool = False) -> None:
    """Wait until the device has published every retained topic; ``relayed``: and our own client has it."""
    missing = kept_topics(bench.profile)

    def complete(event: Event) -> bool:
        packet = tapped(event, Direction.FROM_DUT, mqtt.PacketType.PUBLISH)
        if relayed:
            packet = _relayed(event)
        if isinstance(packet, mqtt.Publish):
            missing.discard(packet.topic)
        return not missing

    within = bench.profile.behaviour.reconnect
    await bench.wait_for(complete, within=within, since=since, what="all states to be published again")


def _relayed(event: Event) -> mqtt.Packet | None:
    """The packet in an event, if our own client received it from the broker."""
    body = event.body
    if not isinstance(body, MqttPacket) or body.point is not Point.CLIENT:
        return None
    return mqtt.decode(body.raw, body.level) if body.direction is Direction.FROM_DUT else None


@requirement(
    "DEV-16",
    area=Area.MQTT,
    standard="good practice (profile)",
    clause="bindings.mqtt: retain; behaviour.reconnect",
    level=Level.SHOULD,
    basis=Basis.DERIVED,
    purpose="ensure that the device restores all its retained topics after the broker has lost them in a "
    "restart",
    stimulus="Restart the broker without its stored data, let the device reconnect, subscribe once more",
    expect="The broker has every retained topic of the profile again, within the reconnect time of the "
    "profile, without any state having changed",
    ics="MQTT.RETAIN",
    needs=(BenchFeature.TAP, BenchFeature.BROKER, BenchFeature.RESTART),
    usual_cause="Only changes are published after a reconnection; until the next change everybody sees the "
    "state as unknown.",
    phase=Phase.OUTAGE,
)
class RestoresRetainedTopics(Check):
    """A late subscriber shows what the broker has retained."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await ensure_restart(bench)
        restarted = next(event.line for event in bench.trace if is_act(event, Act.RESTART_BROKER))
        back = next((event.line for event in bench.trace[restarted:] if is_accepted(event)), restarted)
        await wait_for_retained_topics(bench, since=back, relayed=True)
        await subscribe_late(bench)

    def judge(self, case: Case) -> Outcome:
        restarts = so_far(case).stimuli(Act.RESTART_BROKER)
        wanted, found = kept_topics(case.profile), retained(case)
        seen = so_far(case).window
        if not restarts or not any(is_accepted(event) for event in seen[restarts[0].line :]):
            return inconclusive("the device did not reconnect after the broker restart", restarts)
        if not late_subscribers(case):
            return inconclusive("no new client subscribed after the restart", restarts)
        missing = sorted(wanted - found.keys())
        back = next(event for event in seen[restarts[0].line :] if is_accepted(event))
        waited = late_subscribers(case)[0].time - back.time
        published = {seen.value.topic for seen in so_far(case).mqtt(mqtt.Publish) if seen.line > back.line}
        if missing and missing[0] not in published and waited < case.profile.behaviour.reconnect:
            return inconclusive(
                f"{missing[0]} was looked for {waited:.1f} s after the reconnection; the device has "
                f"{case.profile.behaviour.reconnect:g} s",
                restarts,
                back,
            )
        if missing:
            return failed(f"after the restart nothing is retained on {missing[0]}", restarts, found.values())
        return passed(f"all {len(wanted)} retained topics are restored", restarts, *found.values())


@requirement(
    "PROFILE-05",
    area=Area.MQTT,
    standard="profile",
    clause="bindings.mqtt: availability, retain",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the device reports its availability and states after it has lost its session",
    stimulus="Cut the connection, let the device reconnect",
    expect="Availability and every retained state are published on the new connection",
    ics="MQTT.RETAIN",
    needs=(BenchFeature.TAP,),
    usual_cause="States are published when they change, and once at start-up: changes made while the device "
    "was offline stay unreported.",
    phase=Phase.OUTAGE,
)
class ReportsAgain(Check):
    """Looks at the first connection after a forced disconnect that lasted until everything was reported."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return (Subject(),) if binding_of(profile).clean_session else ()

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        since = bench.mark()
        await force_disconnect(bench)
        await wait_for_retained_topics(bench, since=since)

    def judge(self, case: Case) -> Outcome:
        cut = first(case.stimuli(Act.DROP_LINK))
        after = [
            session
            for session in sessions(case)
            if cut and session.opened.line > cut.line and session.accepted
        ]
        if cut is None or not after:
            return inconclusive(
                "the device did not reconnect after the connection was cut", case.stimuli(Act.DROP_LINK)
            )
        for session in after:
            # A report after a command does not show that the device reports by itself.
            commanded = min((seen.line for seen in session.received(mqtt.Publish)), default=inf)
            unasked = [seen for seen in session.sent(mqtt.Publish) if seen.line < commanded]
            reported = {seen.value.topic: seen for seen in unasked}
            missing = sorted(kept_topics(case.profile) - reported.keys())
            if not missing:
                return passed(
                    f"all {len(reported)} topics were published after the reconnection",
                    cut,
                    reported.values(),
                )
            if commanded < inf:
                continue
            if session.ended is None or session.ended.value.by is Direction.FROM_DUT:
                return failed(
                    f"{missing[0]} was not published after the reconnection",
                    cut,
                    session.opened,
                    reported.values(),
                )
        message = "each connection after the cut ended, or got a command, before everything was reported"
        return inconclusive(message, cut, after[-1].opened)
