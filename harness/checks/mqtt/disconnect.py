"""Orderly disconnects: the last messages of the device, and nothing after them."""

from __future__ import annotations

from collections.abc import Iterable

from harness.checks.bench import Bench, StimulusError
from harness.checks.case import Case, Decoded, Evidence, failed, first, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
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

DISCONNECT = "DISCONNECT"  # the packet withheld from the broker
CLOSES = 5.0  # seconds for the device to close the connection after DISCONNECT; the standard sets no time


async def ensure_stop(bench: Bench) -> None:
    """Make sure that the trace contains an orderly stop of the connected device and its restart.

    Its DISCONNECT is withheld from the broker, so that only the device can end the connection.
    """
    if any(is_withheld(event) for event in bench.trace):
        return
    await connected(bench)
    if not bench.tap.connected:
        raise StimulusError("the device is not connected, so it cannot disconnect")
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
    """Whether DISCONNECT is withheld from the broker from this event on."""
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
    """The device as a whole, unless it is a sleeping device, which disconnects by itself."""
    return (Subject(),) if binding_of(profile).sleep is None else ()


@requirement(
    "DEV-19",
    area=Area.MQTT,
    standard="good practice (profile)",
    clause="3.1.1 + 5.0: [MQTT-3.14.4-3]; profile: bindings.mqtt.availability",
    level=Level.SHOULD,
    basis=Basis.DERIVED,
    purpose="ensure that the device marks itself offline on an orderly stop as well",
    stimulus="Stop the device in an orderly way",
    expect="The offline message, retained as declared, before DISCONNECT; or the connection ends without "
    "DISCONNECT, so that the broker publishes the will",
    ics="MQTT.GRACEFUL_STOP & MQTT.WILL",
    needs=(BenchFeature.TAP, BenchFeature.POWER),
    usual_cause="The device relies on the will, but DISCONNECT makes the broker discard the will: after an "
    "update or a restart from the menu the device stays online for everybody.",
    phase=Phase.OUTAGE,
)
class StopShows(Check):
    """Reads the device's last messages; the standard defines how the broker treats them."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return stoppable(profile)

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await ensure_stop(bench)

    def judge(self, case: Case) -> Outcome:
        availability = binding_of(case.profile).availability
        assert availability is not None, "the ICS item requires it"
        found = stopped_session(so_far(case))
        if found is None:
            return inconclusive("the device was not connected when it was stopped")
        stop, session = found
        last_messages = [
            seen
            for seen in session.sent(mqtt.Publish)
            if seen.value.topic == availability.topic and seen.line > stop.line
        ]
        disconnect = first(session.sent(mqtt.Disconnect))
        if disconnect is None:
            return _left_to_the_will(session, stop, case)
        reported = [seen for seen in last_messages if seen.line < disconnect.line]
        if not reported or reported[-1].value.payload != availability.offline.encode():
            return failed(
                "DISCONNECT without the offline message before it: the broker discards the will, and the "
                "device stays online",
                stop,
                reported,
                disconnect,
            )
        if reported[-1].value.retain != availability.retain:
            word = "not retained" if availability.retain else "retained"
            return failed(f"the offline message is {word}; the profile says otherwise", stop, reported[-1])
        return passed(
            "the device published its offline message before DISCONNECT", stop, reported[-1], disconnect
        )


def _left_to_the_will(session: Session, stop: Decoded[Stimulus, Stimulus], case: Case) -> Outcome:
    """The verdict on a device that was stopped without a DISCONNECT."""
    availability = binding_of(case.profile).availability
    assert session.connect is not None and availability is not None
    will = session.connect.value.will
    if session.ended is None or session.ended.value.by is not Direction.FROM_DUT:
        return inconclusive("the device neither sent DISCONNECT nor closed its connection", stop)
    if will is None or (will.topic, will.payload) != (availability.topic, availability.offline.encode()):
        return failed(
            "the device closed without DISCONNECT and has no will that reports it offline",
            session.connect,
            stop,
        )
    return passed(
        "the device closed without DISCONNECT, so the broker publishes its will",
        session.connect,
        stop,
        session.ended,
    )


@requirement(
    "MQTT-DEV-051",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="[MQTT-3.14.4-1], [MQTT-3.14.4-2]",
    level=Level.MUST,
    purpose="ensure that the device sends nothing after DISCONNECT and closes the connection",
    stimulus="Stop the device in an orderly way; its DISCONNECT is withheld from the broker, so that nobody "
    "else closes",
    expect="DISCONNECT is the last packet of its connection, and the device closes the connection",
    ics="MQTT.GRACEFUL_STOP",
    needs=(BenchFeature.TAP, BenchFeature.POWER),
    usual_cause="Other tasks keep publishing while the client disconnects; or closing is left to the "
    "broker, and a socket leaks each time the broker does not close.",
    phase=Phase.OUTAGE,
)
class DisconnectIsLast(Check):
    """Judges every DISCONNECT of the run, which must include that of the stop."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return stoppable(profile)

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await ensure_stop(bench)

    def judge(self, case: Case) -> Outcome:
        run = so_far(case)
        shown: list[Evidence] = []
        for session in sessions(run):
            disconnect = first(session.sent(mqtt.Disconnect))
            if disconnect is None:
                continue
            later = [seen for seen in session.sent(mqtt.Packet) if seen.line > disconnect.line]
            if later:
                return failed(f"{later[0].value.type.name} after DISCONNECT", disconnect, later)
            if session.ended is not None and session.ended.value.by is Direction.FROM_DUT:
                shown += [disconnect, session.ended]
        found = stopped_session(run)
        if found is None:
            return inconclusive("the device was not connected when it was stopped")
        stop, session = found
        disconnect = first(session.sent(mqtt.Disconnect))
        if disconnect is None:
            return inconclusive("the device was stopped without sending DISCONNECT", stop)
        return _closed(session, stop, disconnect, run) or passed(
            "nothing came after DISCONNECT, and the device closed the connection", stop, shown
        )


def _closed(
    session: Session,
    stop: Decoded[Stimulus, Stimulus],
    disconnect: Decoded[mqtt.Disconnect, MqttPacket],
    run: Case,
) -> Outcome | None:
    """The problem with the end of the stopped connection; None if the device closed it in time."""
    end = session.ended
    if end is not None and end.value.by is Direction.FROM_DUT:
        return None
    until = end.event if end is not None else run.window[-1]
    if until.time - disconnect.time < CLOSES:
        return inconclusive("the device did not end the connection itself", stop, disconnect, until)
    return failed(f"the connection was still open {CLOSES:g} s after DISCONNECT", stop, disconnect, until)
