"""Leaving in order: what the device says before it goes."""

from __future__ import annotations

from harness.checks.bench import Bench
from harness.checks.case import Case, Seen, failed, first, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.mqtt.losses import connected, is_act, returned
from harness.checks.mqtt.sessions import Session, sessions, so_far
from harness.checks.mqtt.topics import binding_of
from harness.model.requirement import Area, Basis, Level, Need
from harness.model.verdict import Outcome, Subject
from harness.trace import mqtt
from harness.trace.events import Act, Point, Stimulus


async def ensure_stop(bench: Bench) -> None:
    """See to it that the device was stopped in order while it was connected, and started again."""
    if any(is_act(event, Act.STOP) for event in bench.trace):
        return
    await connected(bench)
    await bench.power.stop()
    there = binding_of(bench.profile).availability
    if there is not None:
        await bench.mqtt.late_subscriber(there.topic)
    await bench.power.start()
    await returned(bench)


def stopped_session(case: Case) -> tuple[Seen[Stimulus, Stimulus], Session] | None:
    """The first orderly stop so far, with the connection that it ended."""
    stop = first(so_far(case).acts(Act.STOP))
    if stop is None:
        return None
    open_then = [
        session
        for session in sessions(so_far(case))
        if session.opened.line < stop.line and (session.ended is None or session.ended.line > stop.line)
    ]
    return (stop, open_then[-1]) if open_then else None


@requirement(
    "MQTT-DEV-051",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="[MQTT-3.14.4-1], [MQTT-3.14.4-2], [MQTT-3.14.4-3]",
    level=Level.MUST,
    purpose="ensure that the IUT ends an orderly stop with DISCONNECT, sends nothing after it, and closes "
    "the connection",
    stimulus="Stop the DUT in order; each DISCONNECT of the run counts, too",
    expect="DISCONNECT is the last packet, and the connection is closed",
    ics="MQTT.GRACEFUL_STOP",
    needs=(Need.TAP, Need.BROKER, Need.POWER),
    usual_cause="The task that sends DISCONNECT does not stop the others, and a report goes out behind it; "
    "or the process just ends.",
)
class DisconnectIsLast(Check):
    """Reads the end of the connection that was open when the device was stopped."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await ensure_stop(bench)

    def judge(self, case: Case) -> Outcome:
        for session in sessions(so_far(case)):
            said = first(session.sent(mqtt.Disconnect))
            after = [seen for seen in session.sent(mqtt.Packet) if said and seen.line > said.line]
            if said is not None and after:
                return failed(f"{after[0].what.type.name} after DISCONNECT", said, after)
        found = stopped_session(case)
        if found is None:
            return inconclusive("the device was not connected when it was stopped")
        stop, session = found
        goodbye = first(session.sent(mqtt.Disconnect), lambda seen: seen.line > stop.line)
        if goodbye is None:
            return failed("the device ended the connection without DISCONNECT", stop, session.ended or stop)
        if session.ended is None:
            return failed("the connection stayed open after DISCONNECT", stop, goodbye)
        return passed("DISCONNECT was the last packet, and the connection was closed", goodbye, session.ended)


@requirement(
    "DEV-19",
    area=Area.MQTT,
    standard="good practice (profile)",
    clause="3.1.1 + 5.0: [MQTT-3.14.4-3]; profile: bindings.mqtt.availability",
    level=Level.SHOULD,
    basis=Basis.DERIVED,
    purpose="ensure that the IUT is marked as offline after an orderly stop, too",
    stimulus="Stop the DUT in order, and subscribe once more while it is down",
    expect="The offline message is published before DISCONNECT, retained, or the connection is dropped so "
    "that the will comes; the broker's last word is offline",
    ics="MQTT.GRACEFUL_STOP & MQTT.WILL",
    needs=(Need.TAP, Need.BROKER, Need.POWER),
    usual_cause="DISCONNECT makes the broker forget the will, and nobody says offline in its place: the "
    "device looks alive until it is started again.",
)
class OfflineAfterStop(Check):
    """Looks at what our own clients heard between the stop and the start."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await ensure_stop(bench)

    def judge(self, case: Case) -> Outcome:
        there, found = binding_of(case.profile).availability, stopped_session(case)
        assert there is not None, "its ICS item says so"
        seen_so_far = so_far(case)
        if found is None:
            return inconclusive("the device was not connected when it was stopped")
        stop = found[0]
        start = first(seen_so_far.acts(Act.START), lambda act: act.line > stop.line)
        heard = [
            seen
            for seen in seen_so_far.mqtt(mqtt.Publish, point=Point.CLIENT)
            if seen.what.topic == there.topic
            and seen.line > stop.line
            and (start is None or seen.line < start.line)
        ]
        if not heard or heard[-1].what.payload != there.offline.encode():
            return failed("nothing told that the device has gone", stop, heard, start or stop)
        if there.retain and not any(seen.what.retain for seen in heard):
            return failed("the offline message is not retained", stop, heard)
        return passed("it is offline for all after the stop", stop, heard)
