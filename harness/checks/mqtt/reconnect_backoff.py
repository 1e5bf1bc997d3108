"""Reconnection attempts while the broker refuses the device: repeated, with growing pauses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.checks.bench import Bench
from harness.checks.case import Case, Evidence, failed, first, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.support.mqtt.disconnects import (
    RECONNECT,
    connected,
    ensure_loss,
    is_act,
    settled,
    wait_reconnected,
    wake,
)
from harness.checks.support.mqtt.sessions import (
    sessions,
    so_far,
)
from harness.checks.support.mqtt.topics import binding_of
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act, Connection, ConnectionChange, Direction, Event, Point, Refusal, Stimulus
from harness.wire import mqtt

LONG = 10  # times the first pause; a session of this length counts as established
TOLERANCE = 0.5  # seconds for connecting and reaching the tap


@requirement(
    "PROFILE-06",
    area=Area.MQTT,
    standard="profile",
    clause="bindings.mqtt.reconnect",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the device tries to reconnect within the pauses that its profile declares",
    stimulus="Cut the connection; every other disconnect of the run counts as well",
    expect="The first attempt after an established session comes within `first`, each later one within "
    "`maximum` of the end of the previous connection",
    ics="MQTT.CLIENT",
    needs=(BenchFeature.TAP,),
    usual_cause="After some failures, or a particular one, the client gives up until it is restarted.",
    phase=Phase.OUTAGE,
)
class ComesBackInTime(Check):
    """Measures from the end of each connection to the next attempt."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return (Subject(),) if binding_of(profile).sleep is None else ()

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await ensure_loss(bench)

    def judge(self, case: Case) -> Outcome:
        seen, limits = so_far(case), binding_of(case.profile).reconnect
        downs = seen.stimuli(Act.STOP, Act.KILL)
        found, shown = sessions(seen), list[Evidence]()
        for index, lost in enumerate(found):
            if lost.ended is None:
                continue
            if any(lost.opened.line < down.line < lost.ended.line for down in downs):
                continue
            following = found[index + 1].opened if index + 1 < len(found) else None
            until = following or seen.window[-1]
            # A connection after a power cut is no attempt; a missing attempt before it still counts.
            cut = next((down for down in downs if lost.ended.line < down.line < until.line), None)
            if cut is not None:
                following, until = None, cut.event
            # A session that ended sooner may count as a failed attempt, after which the pauses grow.
            held = lost.accepted and lost.ended.time - lost.accepted.time >= LONG * limits.first
            limit, pause = limits.first if held else limits.maximum, until.time - lost.ended.time
            if pause > limit + TOLERANCE:
                word = "came after" if following else "had not come for"
                return failed(
                    f"the next attempt {word} {pause:.1f} s; the limit is {limit:g} s", lost.ended, until
                )
            if following:
                shown += [lost.ended, following]
        if not shown:
            return inconclusive("no connection was lost")
        return passed(f"reconnection attempts after {len(shown) // 2} disconnects, each in time", shown)


AT_ONCE = 0.5  # seconds within which an attempt counts as immediate
ROUNDS = (2, 4, 8)  # refused connections; each further round only if the one before shows no growth
GROWTH = 2.0  # a later pause must be longer than the first by this factor …
FULL_GROWN = 0.5  # share of the declared maximum from which no further growth is required
BEYOND_FIRST = 1.5  # … or longer than the declared first pause by this one


@dataclass(frozen=True, slots=True)
class RefusalSeries:
    """Attempts of the device while it was refused, and the accepted one."""

    how: str | None  # the first kind of refusal
    pauses: Sequence[
        float
    ]  # seconds from the end of a connection to the next attempt, or to operating the device
    events: Sequence[Event]  # the openings and ends of the connections

    def grows(self, profile: Profile) -> bool:
        """Whether the pauses grow, allowing for jitter, or have reached the maximum."""
        if max(self.pauses, default=0.0) < AT_ONCE:
            return False  # a storm, whatever the pauses are compared with each other
        declared = binding_of(profile).reconnect
        if max(self.pauses[1:], default=0.0) >= FULL_GROWN * declared.maximum:
            return True
        # The first attempt may be immediate: the pause after it has not grown yet.
        grown = self.pauses[1:] if self.pauses and self.pauses[0] < AT_ONCE else self.pauses
        if len(grown) < 2:
            return False
        beginning, longest = grown[0], max(grown[1:])
        return longest >= GROWTH * beginning or beginning <= BEYOND_FIRST * declared.first < longest

    @property
    def text(self) -> str:
        """The pauses as text, without zero ones."""
        shown = [f"{pause:.1f}" for pause in self.pauses if pause >= 0.05] or ["0.0"]
        return ", ".join(shown) + " s"


async def refuse_connections(bench: Bench, *how: tuple[Refusal, int]) -> bool:
    """Cut the connection, refuse the next ones in these ways in turn, then accept the device again.

    If its pauses do not grow, repeat for longer: random pauses may hide growth for a while. Returns whether
    the device reconnected each time.
    """
    for attempts in ROUNDS:
        await connected(bench)
        await settled(bench)
        begin = bench.mark()
        is_back = await _refuse_once(bench, [how[index % len(how)] for index in range(attempts)])
        if not is_back:
            return False
        if any(series.grows(bench.profile) for series in series_of(bench.trace[begin:])):
            break
    return True


async def _refuse_once(bench: Bench, how: Sequence[tuple[Refusal, int]]) -> bool:
    bench.tap.refuse(*how[0])
    if bench.tap.connected:
        bench.tap.drop()
    since = bench.mark()
    if binding_of(bench.profile).sleep is not None:
        await wake(bench)
    for following in (*how[1:], None):
        ended = await bench.wait_for(
            _is_turned_away,
            within=2 * binding_of(bench.profile).reconnect.maximum,
            since=since,
            imposed_by=RECONNECT,
            what="the next attempt to connect",
        )
        if ended is None:
            break
        since = ended.line
        if following is not None:
            bench.tap.refuse(*following)
    bench.tap.accept()
    return await wait_reconnected(bench)


def series_of(events: Sequence[Event]) -> list[RefusalSeries]:
    """The series of attempts, each from the first refusal until the device was accepted.

    A sleeping device is operated to wake it: its own pause ends there.
    """
    found: list[RefusalSeries] = []
    pauses: list[float] = []
    shown: list[Event] = []
    ended: Event | None = None
    operated: float | None = None  # time of the operation since the last connection ended
    refusing = inside = False
    for event in events:
        body = event.body
        if isinstance(body, Stimulus) and body.act is Act.REFUSE:
            if not inside:
                ended, operated, pauses, shown = None, None, [], []
                found.append(RefusalSeries(body.name, pauses, shown))
            refusing = inside = True
        elif is_act(event, Act.ACCEPT):
            refusing = False
        elif is_act(event, Act.LOCAL) and operated is None:
            operated = event.time
        elif inside and isinstance(body, Connection) and body.point is Point.TAP:
            if body.change is not ConnectionChange.OPENED:
                ended, operated = event, None
                continue
            if ended is not None:
                pauses.append((event.time if operated is None else operated) - ended.time)
                shown += [ended, event]
            inside = refusing
    return found


def _is_turned_away(event: Event) -> bool:
    body = event.body
    return (
        isinstance(body, Connection)
        and body.point is Point.TAP
        and body.change is not ConnectionChange.OPENED
        and body.by is Direction.TO_DUT
    )


def backoff_outcome(case: Case) -> Outcome:
    """Whether the pauses grew for each kind of refusal, and the device reconnected in the end."""
    kinds: dict[str | None, list[RefusalSeries]] = {}
    for series in series_of(case.window):
        kinds.setdefault(series.how, []).append(series)
    accepted = first(reversed(case.stimuli(Act.ACCEPT)))
    if not kinds or accepted is None:
        return inconclusive("the device was not refused")
    after = [each for each in sessions(case) if each.opened.line > accepted.line]
    back = first(after, lambda session: session.accepted is not None)
    if back is None:
        return failed("the device did not reconnect when it was accepted again", accepted)
    shown: list[Evidence] = []
    texts = []
    for how, found in kinds.items():
        grown = first(found, lambda series: series.grows(case.profile))
        if not found[-1].pauses:
            return failed(
                f"the device did not try again after {_kind_of_refusal(how)}", case.stimuli(Act.REFUSE)
            )
        if grown is None:
            pauses = found[-1].text
            return failed(f"the pauses do not grow after {_kind_of_refusal(how)}: {pauses}", found[-1].events)
        texts.append(f"{grown.text} after {_kind_of_refusal(how)}")
        shown += grown.events
    return passed(f"pauses between its attempts: {'; '.join(texts)}", shown, back.opened)


def _kind_of_refusal(how: str | None) -> str:
    return {"reset": "reset connections", "kick": "sessions that end at once"}.get(
        how or "", "refused connections"
    )


@requirement(
    "MQTT-DEV-022",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="3.1.1: [MQTT-3.2.2-5], table 3.1; 5.0: [MQTT-3.2.2-7]",
    level=Level.SHOULD,
    basis=Basis.DERIVED,
    purpose="ensure that the device neither floods the broker with attempts nor continues as if connected "
    "when its CONNECT is refused",
    stimulus="Answer the next CONNECT packets with return codes 3 (server unavailable) and 5 (not "
    "authorized) in turn, then accept the device; a sleeping device is operated",
    expect="Nothing but CONNECT on a refused connection; growing pauses between attempts; the device "
    "reconnects in the end",
    ics="MQTT.CLIENT",
    needs=(BenchFeature.TAP,),
    usual_cause="The return code is ignored: an open TCP connection counts as being connected, and its end "
    "as a reason to reconnect at once.",
    phase=Phase.OUTAGE,
)
class RefusedConnection(Check):
    """Refuses the device with CONNACK."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await refuse_connections(bench, (Refusal.CONNACK, 3), (Refusal.CONNACK, 5))

    def judge(self, case: Case) -> Outcome:
        for session in sessions(case):
            refusals = [seen for seen in session.received(mqtt.Connack) if seen.value.code]
            # A client may send before CONNACK (3.1.4); after a refusal nothing may follow.
            early = [seen for seen in session.sent(mqtt.Packet) if refusals and seen.line < refusals[0].line]
            late = [seen for seen in session.sent(mqtt.Packet) if refusals and seen.line > refusals[0].line]
            if late and len(early) == 1:
                return failed("the device kept sending after its CONNECT was refused", refusals[0], late)
        return backoff_outcome(case)


@requirement(
    "MQTT-DEV-023",
    area=Area.MQTT,
    standard="EN 303 645 / good practice",
    clause="EN 303 645 5.9-3, TS 103 701 TC 5.9-3-2",
    level=Level.SHOULD,
    purpose="ensure that the device reconnects with growing, random pauses after losing the broker, also "
    "when each session ends at once",
    stimulus="Reset the next connections, then accept the device; later accept the next ones but end them "
    "at once; a sleeping device is operated before and after",
    expect="Growing pauses between attempts; the device reconnects when it is accepted",
    ics="MQTT.CLIENT",
    needs=(BenchFeature.TAP,),
    usual_cause="A fixed pause of one second; or each CONNACK resets the pause, so that a device that is "
    "disconnected at once floods the broker.",
    phase=Phase.OUTAGE,
)
class BacksOff(Check):
    """Refuses the device in two ways, one after the other."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        if await refuse_connections(bench, (Refusal.RESET, 0)):
            await refuse_connections(bench, (Refusal.KICK, 0))

    def judge(self, case: Case) -> Outcome:
        return backoff_outcome(case)
