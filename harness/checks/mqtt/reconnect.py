"""Coming back after a lost session: subscriptions, availability, states."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from harness.checks.bench import Bench
from harness.checks.case import Case, Evidence, failed, first, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.support.mqtt.commands import (
    command,
    effect_of,
    present_value,
    setting_of,
)
from harness.checks.support.mqtt.disconnects import (
    ensure_loss,
    ensure_restart,
    force_disconnect,
    is_accepted,
    is_act,
)
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
from harness.trace.events import Act, Direction, Event
from harness.wire import mqtt


async def try_command(bench: Bench) -> None:
    """Give a command, where the device takes any, to see whether it is heard."""
    setting = setting_of(bench.profile)
    if setting is not None:
        (value,) = setting.others(await present_value(bench, setting), 1)
        await command(bench, setting, value)


def present_session(case: Case) -> Session | None:
    """The session of after the last loss; None when the device did not come back, or was never away."""
    found = sessions(so_far(case))
    return found[-1] if len(found) > 1 and found[-1].accepted and not found[-1].ended else None


def subscribed_again(case: Case, session: Session) -> Outcome:
    """Whether every command topic was subscribed in a session, and whether commands are heard."""
    asked = session.sent(mqtt.Subscribe)
    filters = [wanted.filter for seen in asked for wanted in seen.value.filters]
    assert session.accepted is not None
    for topic in commands(case.profile):
        if not any(mqtt.topic_matches(each, topic) for each in filters):
            return failed(f"{topic} was not subscribed again", session.opened, session.accepted, asked)
    shown: list[Evidence] = [session.accepted, *asked]
    for write in case.stimuli(Act.WRITE):
        effect = effect_of(case, write)
        if effect is None:
            return failed("a command after the return was not obeyed", session.accepted, asked, write)
        shown += [write, effect]
    return passed(f"all {len(commands(case.profile))} command topics were subscribed again", shown)


@requirement(
    "MQTT-DEV-030",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="3.1.1: [MQTT-3.1.2-6], [MQTT-3.2.2-1]; 5.0: [MQTT-3.1.2-4], [MQTT-3.2.2-2]",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that the IUT, which uses clean sessions, subscribes again after every connection",
    stimulus="Cut the connection, let the DUT come back, give a command",
    expect="SUBSCRIBE for every command topic after CONNACK; the command takes effect",
    ics="MQTT.SUB",
    needs=(BenchFeature.TAP, BenchFeature.BROKER),
    usual_cause="Subscribing stands in the start-up code in place of the handler of CONNACK: after the first "
    "loss the device still reports, but is deaf.",
)
class SubscribesAgain(Check):
    """Looks at the session of after the last loss; the broker has forgotten all subscriptions by then."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return (Subject(),) if binding_of(profile).clean_session else ()

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await ensure_loss(bench)
        await try_command(bench)

    def judge(self, case: Case) -> Outcome:
        session = present_session(case)
        if session is None:
            return inconclusive("the device did not come back after the loss", case.stimuli(Act.DROP_LINK))
        return subscribed_again(case, session)


@requirement(
    "MQTT-DEV-031",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="3.1.1: [MQTT-3.2.2-3], [MQTT-3.1.2-4]; 5.0: [MQTT-3.2.2-5]",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that the IUT, which keeps its session, subscribes again when the broker has lost it",
    stimulus="Restart the broker without what it had stored, let the DUT come back, give a command",
    expect="CONNACK tells of no session; SUBSCRIBE for every command topic; the command is obeyed",
    ics="MQTT.PERSISTENT & MQTT.SUB",
    needs=(BenchFeature.TAP, BenchFeature.BROKER, BenchFeature.RESTART),
    usual_cause="The flag Session Present of CONNACK is not looked at: the device trusts in subscriptions "
    "that the broker does not have any more.",
)
class SubscribesAgainWhenForgotten(Check):
    """Looks at the session of after the restart."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await ensure_restart(bench)
        await try_command(bench)

    def judge(self, case: Case) -> Outcome:
        session = present_session(case)
        restarts = so_far(case).stimuli(Act.RESTART_BROKER)
        if session is None or session.accepted is None or not restarts:
            return inconclusive("the device did not come back after the restart of the broker", restarts)
        fresh = first(
            sessions(so_far(case)),
            lambda each: each.opened.line > restarts[0].line and each.accepted is not None,
        )
        if fresh is None or fresh.accepted is None or fresh.accepted.value.session_present:
            return inconclusive("the broker still knew the session", restarts, session.accepted)
        return subscribed_again(case, fresh)


def kept_topics(profile: Profile) -> set[str]:
    """The topics whose last message the broker is to keep: availability and states, not events."""
    return {each.topic for each in readings(profile) if each.retain and not each.is_event}


async def told_again(bench: Bench, *, since: int) -> None:
    """Wait until the device has published every topic that the broker is to keep."""
    missing = kept_topics(bench.profile)

    def complete(event: Event) -> bool:
        packet = tapped(event, Direction.FROM_DUT, mqtt.PacketType.PUBLISH)
        if isinstance(packet, mqtt.Publish):
            missing.discard(packet.topic)
        return not missing

    within = bench.profile.behaviour.reconnect
    await bench.wait_for(complete, within=within, since=since, what="all states to be published again")


@requirement(
    "DEV-16",
    area=Area.MQTT,
    standard="good practice (profile)",
    clause="bindings.mqtt: retain; behaviour.reconnect",
    level=Level.SHOULD,
    basis=Basis.DERIVED,
    purpose="ensure that all retained topics are there again after the broker has lost them in a restart",
    stimulus="Restart the broker without what it had stored, let the DUT come back, subscribe once more",
    expect="The broker has every retained topic of the profile again, in the time that the profile gives for "
    "coming back, without any state having changed",
    ics="MQTT.RETAIN",
    needs=(BenchFeature.TAP, BenchFeature.BROKER, BenchFeature.RESTART),
    usual_cause="Only changes are published after a reconnection; until the next change everybody sees the "
    "state as unknown.",
)
class RestoresRetainedTopics(Check):
    """A late subscriber tells what the broker has."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await ensure_restart(bench)
        restarted = next(event.line for event in bench.trace if is_act(event, Act.RESTART_BROKER))
        await told_again(bench, since=restarted)
        await subscribe_late(bench)

    def judge(self, case: Case) -> Outcome:
        restarts = so_far(case).stimuli(Act.RESTART_BROKER)
        wanted, found = kept_topics(case.profile), retained(case)
        seen = so_far(case).window
        if not restarts or not any(is_accepted(event) for event in seen[restarts[0].line :]):
            return inconclusive("the device did not come back after the restart of the broker", restarts)
        if not late_subscribers(case):
            return inconclusive("no new client subscribed after the restart", restarts)
        missing = sorted(wanted - found.keys())
        if missing:
            return failed(
                f"after the restart the broker has nothing of {missing[0]}", restarts, found.values()
            )
        return passed(f"all {len(wanted)} retained topics are there again", restarts, *found.values())


@requirement(
    "PROFILE-05",
    area=Area.MQTT,
    standard="profile",
    clause="bindings.mqtt: availability, retain",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the IUT tells how things stand after it has lost its session",
    stimulus="Cut the connection, let the DUT come back",
    expect="Availability, and every state that the broker is to keep, are published on the new connection",
    ics="MQTT.RETAIN",
    needs=(BenchFeature.TAP,),
    usual_cause="States are published when they change, and once at start-up: what changed while the device "
    "was away stays untold.",
)
class TellsAgain(Check):
    """Looks at the first connection of after a forced loss that was not cut again before it told all."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return (Subject(),) if binding_of(profile).clean_session else ()

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        since = bench.mark()
        await force_disconnect(bench)
        await told_again(bench, since=since)

    def judge(self, case: Case) -> Outcome:
        cut = first(case.stimuli(Act.DROP_LINK))
        after = [
            session
            for session in sessions(case)
            if cut and session.opened.line > cut.line and session.accepted
        ]
        if cut is None or not after:
            return inconclusive("the device did not come back after the loss", case.stimuli(Act.DROP_LINK))
        for session in after:
            # What it tells once it is commanded is no sign that it tells by itself.
            commanded = min((seen.line for seen in session.received(mqtt.Publish)), default=inf)
            unasked = [seen for seen in session.sent(mqtt.Publish) if seen.line < commanded]
            told = {seen.value.topic: seen for seen in unasked}
            missing = sorted(kept_topics(case.profile) - told.keys())
            if not missing:
                return passed(f"all {len(told)} topics were published after the loss", cut, told.values())
            if commanded < inf:
                continue
            if session.ended is None or session.ended.value.by is Direction.FROM_DUT:
                return failed(
                    f"{missing[0]} was not published after the loss", cut, session.opened, told.values()
                )
        message = "each connection of after the loss was cut again, or commanded, before it had told all"
        return inconclusive(message, cut, after[-1].opened)
