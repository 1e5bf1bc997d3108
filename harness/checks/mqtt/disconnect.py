"""Leaving in order: what the device says last, and that it is the last."""

from __future__ import annotations

from collections.abc import Iterable

from harness.checks.bench import Bench, StimulusError
from harness.checks.case import Case, Decoded, Evidence, failed, first, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.support.mqtt.disconnects import (
    closed_by_device,
    connected,
    is_act,
    wait_reconnected,
)
from harness.checks.support.mqtt.sessions import (
    Session,
    sessions,
    so_far,
)
from harness.checks.support.mqtt.topics import binding_of
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act, Direction, Event, MqttPacket, Stimulus
from harness.wire import mqtt

DISCONNECT = "DISCONNECT"  # what is withheld from the broker
CLOSES = 5.0  # seconds for the device to close the connection after DISCONNECT; the standard sets no time


async def ensure_stop(bench: Bench) -> None:
    """See to it that the trace has an orderly stop of the connected device, after which it was started again.

    Its DISCONNECT is withheld from the broker, so that it is the device alone that ends the connection.
    """
    if any(is_withheld(event) for event in bench.trace):
        return
    await connected(bench)
    if not bench.tap.connected:
        raise StimulusError("the device has no connection that it could leave")
    since = bench.mark()
    hold = bench.tap.hold(
        lambda packet: packet.type is mqtt.PacketType.DISCONNECT, Direction.FROM_DUT, DISCONNECT
    )
    await bench.power.stop()
    await closed_by_device(bench, since=since, within=CLOSES)
    hold.discard()
    await bench.power.start()
    await wait_reconnected(bench)


def is_withheld(event: Event) -> bool:
    """Whether from an event on the broker does not get to see DISCONNECT."""
    return is_act(event, Act.WITHHOLD) and event.body.name == DISCONNECT  # type: ignore[union-attr]


def stopped_session(run: Case) -> tuple[Decoded[Stimulus, Stimulus], Session] | None:
    """The orderly stop with DISCONNECT withheld, and the connection that the device had then."""
    withheld = first(run.trace, is_withheld)
    stop = first(run.stimuli(Act.STOP), lambda act: withheld is not None and act.line > withheld.line)
    if stop is None:
        return None
    for session in reversed(sessions(run)):
        alive = session.ended is None or session.ended.line > stop.line
        if session.opened.line < stop.line and session.accepted and alive:
            return stop, session
    return None


def stoppable(profile: Profile) -> Iterable[Subject]:
    """The device as a whole, unless it leaves and returns by itself all the time."""
    return (Subject(),) if binding_of(profile).sleep is None else ()


@requirement(
    "DEV-19",
    area=Area.MQTT,
    standard="good practice (profile)",
    clause="3.1.1 + 5.0: [MQTT-3.14.4-3]; profile: bindings.mqtt.availability",
    level=Level.SHOULD,
    basis=Basis.DERIVED,
    purpose="ensure that an orderly stop of the IUT marks it as offline, too",
    stimulus="Stop the DUT in order",
    expect="The offline message, retained as declared, before DISCONNECT; or the connection ends without "
    "DISCONNECT, so that the broker publishes the will",
    ics="MQTT.GRACEFUL_STOP & MQTT.WILL",
    needs=(BenchFeature.TAP, BenchFeature.POWER),
    usual_cause="The will is trusted to do it, but DISCONNECT makes the broker throw the will away: after an "
    "update or a restart from the menu the device stays online for everybody.",
)
class StopShows(Check):
    """Reads the device's last words; what the broker makes of them is known from the standard."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return stoppable(profile)

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await ensure_stop(bench)

    def judge(self, case: Case) -> Outcome:
        there = binding_of(case.profile).availability
        assert there is not None, "its ICS item says so"
        found = stopped_session(so_far(case))
        if found is None:
            return inconclusive("the device was not connected when it was stopped")
        stop, session = found
        last_words = [
            seen
            for seen in session.sent(mqtt.Publish)
            if seen.value.topic == there.topic and seen.line > stop.line
        ]
        farewell = first(session.sent(mqtt.Disconnect))
        if farewell is None:
            return _left_to_the_will(session, stop, case)
        told = [seen for seen in last_words if seen.line < farewell.line]
        if not told or told[-1].value.payload != there.offline.encode():
            return failed(
                "DISCONNECT without the offline message before it: the broker throws the will away, and the "
                "device stays online",
                stop,
                told,
                farewell,
            )
        if told[-1].value.retain != there.retain:
            word = "not retained" if there.retain else "retained"
            return failed(f"the offline message is {word}; the profile says otherwise", stop, told[-1])
        return passed("it said that it goes offline before DISCONNECT", stop, told[-1], farewell)


def _left_to_the_will(session: Session, stop: Decoded[Stimulus, Stimulus], case: Case) -> Outcome:
    """The verdict on a device that was stopped without a DISCONNECT."""
    there = binding_of(case.profile).availability
    assert session.connect is not None and there is not None
    will = session.connect.value.will
    if session.ended is None or session.ended.value.by is not Direction.FROM_DUT:
        return inconclusive("the device neither sent DISCONNECT nor closed its connection", stop)
    if will is None or (will.topic, will.payload) != (there.topic, there.offline.encode()):
        return failed("it left without DISCONNECT, and has no will that tells it", session.connect, stop)
    return passed("it left without DISCONNECT, which brings its will", session.connect, stop, session.ended)


@requirement(
    "MQTT-DEV-051",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="[MQTT-3.14.4-1], [MQTT-3.14.4-2]",
    level=Level.MUST,
    purpose="ensure that the IUT sends nothing after DISCONNECT and closes the connection",
    stimulus="Stop the DUT in order; its DISCONNECT is withheld from the broker, so that nobody else closes",
    expect="DISCONNECT is the last packet of its connection, and the DUT closes that",
    ics="MQTT.GRACEFUL_STOP",
    needs=(BenchFeature.TAP, BenchFeature.POWER),
    usual_cause="Other tasks go on publishing while the client says goodbye; or closing is left to the "
    "broker, and a socket is lost each time that it does not.",
)
class DisconnectIsLast(Check):
    """Every DISCONNECT of the run counts; the one of the stop has to be among them."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return stoppable(profile)

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await ensure_stop(bench)

    def judge(self, case: Case) -> Outcome:
        run = so_far(case)
        shown: list[Evidence] = []
        for session in sessions(run):
            farewell = first(session.sent(mqtt.Disconnect))
            if farewell is None:
                continue
            later = [seen for seen in session.sent(mqtt.Packet) if seen.line > farewell.line]
            if later:
                return failed(f"{later[0].value.type.name} after DISCONNECT", farewell, later)
            if session.ended is not None and session.ended.value.by is Direction.FROM_DUT:
                shown += [farewell, session.ended]
        found = stopped_session(run)
        if found is None:
            return inconclusive("the device was not connected when it was stopped")
        stop, session = found
        farewell = first(session.sent(mqtt.Disconnect))
        if farewell is None:
            return inconclusive("the device was stopped without sending DISCONNECT", stop)
        return _closed(session, stop, farewell, run) or passed(
            "nothing came after DISCONNECT, and the device closed the connection", stop, shown
        )


def _closed(
    session: Session,
    stop: Decoded[Stimulus, Stimulus],
    farewell: Decoded[mqtt.Disconnect, MqttPacket],
    run: Case,
) -> Outcome | None:
    """What is wrong about the end of the connection of the stop; None if the device closed it in time."""
    end = session.ended
    if end is not None and end.value.by is Direction.FROM_DUT:
        return None
    until = end.event if end is not None else run.window[-1]
    if until.time - farewell.time < CLOSES:
        return inconclusive("something else than the device ended the connection", stop, farewell, until)
    return failed(f"the connection was still open {CLOSES:g} s after DISCONNECT", stop, farewell, until)
