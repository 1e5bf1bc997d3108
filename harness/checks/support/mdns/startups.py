"""What the device multicasts after each start, before anyone queries it."""

from __future__ import annotations

from dataclasses import dataclass

from harness.checks.case import Case, Decoded
from harness.checks.support.mdns.names import own_names
from harness.checks.support.mdns.records_seen import (
    UNIQUE_TYPES,
    Packet,
    RecordSeen,
    is_simulated,
    multicasts,
    records_of,
)
from harness.trace.events import Act, Stimulus


@dataclass(frozen=True)
class Startup:
    """The time from a start of the device to its end, or to the end of the trace."""

    start: Decoded[Stimulus, Stimulus]
    case: Case  # its window is this time
    end: float  # seconds since the start of the run
    ended_by: Decoded[Stimulus, Stimulus] | None  # the stop, kill or start that ended it
    was_off: bool  # whether the device was off before; otherwise power-on may have changed nothing

    def first_claims(self) -> dict[str, RecordSeen]:
        """For each unique name of the device, in lower case, the first record that it multicast."""
        claims: dict[str, RecordSeen] = {}
        own = own_names(self.case)
        for packet in multicasts(self.case):
            for found in records_of(packet):
                name = found.record.name.lower()
                if name in own and found.record.ttl and found.record.type in UNIQUE_TYPES:
                    claims.setdefault(name, found)
        return claims

    def announcement(self) -> Packet | None:
        """The packet of its first announcement."""
        return min((claim.packet for claim in self.first_claims().values()), key=_line, default=None)


def startups(case: Case) -> list[Startup]:
    """Each start of the device in the window."""
    acts = case.stimuli(Act.START, Act.STOP, Act.KILL)
    found = []
    for index, act in enumerate(acts):
        if act.value.act is not Act.START:
            continue
        following = acts[index + 1] if index + 1 < len(acts) else None
        begin = act.line - case.window[0].line
        window = case.window[begin : following.line - case.window[0].line if following else None]
        end = following.time if following else case.window[-1].time
        own = Case(case.profile, case.subject, case.trace, window)
        found.append(Startup(act, own, end, following, _was_off(case, act.line) or _probes(own)))
    return found


def _was_off(case: Case, line: int) -> bool:
    """Whether the device was off before this line of the trace; a simulated one is off at first."""
    earlier = [
        event.body.act
        for event in case.trace[: line - 1]
        if isinstance(event.body, Stimulus) and event.body.act in (Act.START, Act.STOP, Act.KILL)
    ]
    if earlier:
        return earlier[-1] is not Act.START
    return is_simulated(case)


def _probes(case: Case) -> bool:
    return any(not seen.value.response and seen.value.authorities for seen in case.mdns())


def _line(packet: Packet) -> int:
    return packet.line
