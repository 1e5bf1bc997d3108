"""Staying connected while nobody disturbs the device."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from harness.checks.case import Case, failed, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.support.mqtt.sessions import tapped
from harness.checks.support.mqtt.topics import binding_of
from harness.model.bindings.mqtt import Availability
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.trace.events import (
    Act,
    CheckEnded,
    CheckStarted,
    Connection,
    ConnectionChange,
    Direction,
    Event,
    Fate,
    MqttPacket,
    Point,
    Stimulus,
)
from harness.wire import mqtt

GRACE = 5.0  # seconds after a stimulus in which a disconnect may be its effect
UNDISTURBED = 15.0  # seconds of an undisturbed connection that show that it is stable
REPEATED = 2  # unprovoked disconnects that are no accident of the network

ORDINARY = (Act.WRITE, Act.INVOKE, Act.LOCAL, Act.CONSOLE, Act.DONE)


@dataclass(slots=True)
class _StabilityWatch:
    """The connection of the device while a trace is read from the beginning."""

    availability: Availability | None
    departures: list[Event] = field(default_factory=list)  # unprovoked, one for each connection
    longest: float = 0.0  # seconds of the longest undisturbed connection
    longest_until: Event | None = None
    accepted: int | None = None  # number of the accepted connection
    since: float = 0.0  # it is undisturbed since then
    stimulated: float = float("-inf")  # time of the last stimulus
    in_check: bool = False
    disturbed: bool = False  # the present check did more than ordinary use
    judged: int | None = None  # the connection whose departure was counted already

    def read(self, event: Event) -> None:
        """Take in the next event."""
        body = event.body
        if isinstance(body, CheckStarted | CheckEnded):
            self.in_check, self.disturbed = isinstance(body, CheckStarted), False
        elif isinstance(body, Stimulus):
            self._measure(event)
            self.since = self.stimulated = event.time
            self.disturbed |= self.in_check and body.act not in ORDINARY
        elif isinstance(body, Connection) and body.point is Point.TAP:
            self._changed(event, body)
        elif isinstance(body, MqttPacket) and body.point is Point.TAP:
            self._packet(event, body)

    def _packet(self, event: Event, body: MqttPacket) -> None:
        connack = tapped(event, Direction.TO_DUT, mqtt.PacketType.CONNACK)
        if isinstance(connack, mqtt.Connack) and connack.code == 0 and body.fate is Fate.FORWARDED:
            self.accepted, self.since = body.connection, event.time
        published = tapped(event, Direction.FROM_DUT, mqtt.PacketType.PUBLISH)
        if self.availability is None or not isinstance(published, mqtt.Publish):
            return
        if (published.topic, published.payload) == (
            self.availability.topic,
            self.availability.offline.encode(),
        ):
            self._departs(event, body.connection)

    def _changed(self, event: Event, body: Connection) -> None:
        if body.connection != self.accepted or body.change is ConnectionChange.OPENED:
            return
        if body.by is Direction.FROM_DUT:
            self._departs(event, body.connection)
        self._measure(event)
        self.accepted = None

    def _departs(self, event: Event, connection: int) -> None:
        is_provoked = self.disturbed or event.time - self.stimulated < GRACE
        if not is_provoked and self.judged != connection:
            self.departures.append(event)
        self.judged = connection

    def _measure(self, event: Event) -> None:
        if self.accepted is not None and event.time - self.since > self.longest:
            self.longest, self.longest_until = event.time - self.since, event

    def finish(self, last: Event) -> None:
        """The trace ends."""
        self._measure(last)


@requirement(
    "PROFILE-09",
    area=Area.MQTT,
    standard="good practice (profile)",
    clause="bindings.mqtt: sleep, availability",
    level=Level.SHOULD,
    basis=Basis.PRACTICE,
    purpose="ensure that the device stays connected and available while nobody disturbs it",
    stimulus="None: a disconnect, or an offline message, counts if no stimulus came in the "
    f"{GRACE:g} s before it and the check of that time used the device in ordinary ways only",
    expect="The device does not leave its broker or report itself offline again and again without a reason; "
    "a sleeping device declares that it sleeps",
    ics="MQTT.CLIENT",
    needs=(BenchFeature.TAP,),
    usual_cause="The client is closed after each cycle of a slow task, or the task blocks it for longer than "
    "the keep-alive: all that depends on the device flickers between available and unavailable.",
)
class StaysConnected(Check):
    """Passive: looks for disconnects that nothing in the trace explains."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return (Subject(),) if binding_of(profile).sleep is None else ()

    def max_extension(self, profile: Profile) -> float:
        return 2 * UNDISTURBED + binding_of(profile).reconnect.first

    def judge(self, case: Case) -> Outcome:
        watch = _StabilityWatch(binding_of(case.profile).availability)
        for event in case.window:
            watch.read(event)
        watch.finish(case.window[-1])
        count = len(watch.departures)
        if count >= REPEATED:
            return failed(
                f"the device left its broker or reported itself offline {count} times for no visible reason",
                watch.departures,
            )
        if count:
            return inconclusive("the device left its broker once for no visible reason", watch.departures)
        if watch.longest < UNDISTURBED or watch.longest_until is None:
            return inconclusive(f"the device was never connected and undisturbed for {UNDISTURBED:g} s")
        return passed(
            f"the device stayed connected; the longest undisturbed time was {watch.longest:.0f} s",
            watch.longest_until,
        )
