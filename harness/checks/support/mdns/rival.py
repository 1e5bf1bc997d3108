"""Another host that claims the names of the device: us."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

from harness.checks.bench import Bench
from harness.checks.case import Case, seen_by
from harness.checks.support.mdns.names import (
    Names,
    is_among,
)
from harness.checks.support.mdns.records_seen import (
    UNIQUE_TYPES,
    Packet,
    RecordSeen,
    multicasts,
    records_of,
    told,
)
from harness.trace.events import Direction, Event, MdnsPacket
from harness.wire import mdns
from harness.wire.mdns.codec import (
    Question,
    RecordType,
    encode_query,
    encode_response,
    record,
)

_HOST = "harness-rival.local."  # where our own services of the same name would be
_DISCARD = 9  # a port at which nobody listens
_DOCUMENTATION = "203.0.113.9"  # nobody's address (RFC 5737)
_TTL = 120
_HOSTED = (RecordType.A, RecordType.AAAA, RecordType.SRV)
_CROSSING = 0.5  # seconds after which no packet can still be one from before our denial

PROBING = 0.25 + 3 * 0.25  # seconds from the first thought to the announcement (RFC 6762, 8.1)


@dataclass(frozen=True)
class Rival:
    """A host with the names of the device and records of its own.

    ``address`` is what it says to have: greater than the device's in the order of RFC 6762, 8.2.1, or not,
    as a check needs it.
    """

    names: Names
    address: str

    def records(self, ttl: int = _TTL) -> list[mdns.Record]:
        """Unique records that contradict those of the device."""
        server = mdns.Srv(0, 0, _DISCARD, _HOST)
        return [
            record(self.names.host, mdns.Address(self.address), ttl=ttl, cache_flush=True),
            *(record(service.name, server, ttl=ttl, cache_flush=True) for service in self.names.services),
        ]

    def assertion(self) -> bytes:
        """The response that tells everybody that the names are ours."""
        return encode_response(self.records())

    def goodbye(self) -> bytes:
        """The response that takes everything back."""
        return encode_response(self.records(ttl=0))

    def probe(self, *, unicast: bool) -> bytes:
        """The query of a host that is about to take the names."""
        questions = [Question(name, RecordType.ANY, unicast) for name in self.names.unique]
        return encode_query(questions, authorities=self.records())


def rival_of(bench: Bench, names: Names) -> Rival:
    """A rival with our own address, so that what we say is true for us."""
    own = {
        found.record.data.text
        for found in told(seen_by(bench), type=RecordType.A)
        if isinstance(found.record.data, mdns.Address)
    }
    return Rival(names, _DOCUMENTATION if bench.mdns.address in own else bench.mdns.address)


def probes(case: Case, name: str, *, after: int = 0, before: int | None = None) -> list[Packet]:
    """The queries of the device in the window by which it probes for a name (RFC 6762, 8.1)."""
    return [
        seen
        for seen in case.mdns()
        if not seen.value.response
        and seen.line > after
        and (before is None or seen.line < before)
        and any(mdns.same_name(question.name, name) for question in seen.value.questions)
    ]


def claims(case: Case, name: str, *, after: int = 0) -> list[RecordSeen]:
    """The records that the device tells as the owner of a name."""
    return [found for found in told(case, name, after=after) if found.record.type in UNIQUE_TYPES]


def assertions(case: Case) -> list[Packet]:
    """Our own responses of the window, goodbyes left out."""
    return [
        seen
        for seen in case.mdns(Direction.TO_DUT)
        if seen.value.response and any(found.ttl for found in seen.value.answers)
    ]


def new_names(case: Case, old: Collection[str], *, after: int = 0) -> list[RecordSeen]:
    """Addresses and servers that the device announces under names other than those."""
    return [
        found
        for packet in multicasts(case)
        if packet.line > after
        for found in records_of(packet)
        if found.record.ttl and found.record.type in _HOSTED and not is_among(found.record.name, old)
    ]


async def dispute(bench: Bench, rival: Rival, *, since: int, within: float, imposed_by: str) -> None:
    """Assert the names whenever the device probes for them, until it announces others, or insists on them.

    Ends with our goodbye, so that nobody keeps our records.
    """
    deadline = bench.now + within
    denied: float | None = None
    while True:
        event = await bench.wait_for(
            partial(_decides, names=rival.names, denied=denied),
            within=deadline - bench.now,
            imposed_by=imposed_by,
            what="the device to probe for its names, or to announce others",
            since=since,
        )
        if event is None or not _probes(event, rival.names):
            break
        bench.mdns.send(rival.assertion(), "the names are taken, says another host")
        since = event.line
        denied = event.time if denied is None else denied
    bench.mdns.send(rival.goodbye(), "the other host says goodbye")


def _decides(event: Event, names: Names, denied: float | None) -> bool:
    if _probes(event, names):
        return True
    message = _message(event)
    if message is None or not message.response:
        return False
    told = [found for found in message.answers if found.ttl and found.type in UNIQUE_TYPES]
    if any(found.type in _HOSTED and not is_among(found.name, names.unique) for found in told):
        return True
    return bool(told) and denied is not None and event.time > denied + _CROSSING


def _message(event: Event) -> mdns.Message | None:
    body = event.body
    if isinstance(body, MdnsPacket) and body.direction is Direction.FROM_DUT:
        return mdns.decode(body.raw)
    return None


def _probes(event: Event, names: Names) -> bool:
    message = _message(event)
    return (
        message is not None
        and not message.response
        and any(is_among(question.name, names.unique) for question in message.questions)
    )
