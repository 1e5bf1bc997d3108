"""The harness as another host that claims the names of the device."""

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
    sent_records,
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

_HOST = "harness-rival.local."  # the target of our own services of the same name
_DISCARD = 9  # a port without a listener
_DOCUMENTATION = "203.0.113.9"  # an address that no host has (RFC 5737)
_TTL = 120
_HOSTED = (RecordType.A, RecordType.AAAA, RecordType.SRV)
_CROSSING = 0.5  # seconds after which no packet can date from before our denial

PROBING = 0.25 + 3 * 0.25  # longest time in seconds until the announcement (RFC 6762, 8.1)


@dataclass(frozen=True)
class Rival:
    """A host with the names of the device and its own records.

    ``address`` is the address that it claims: greater than the device's in the order of RFC 6762, 8.2.1, or
    lesser, as the check requires.
    """

    names: Names
    address: str

    def records(self, ttl: int = _TTL) -> list[mdns.Record]:
        """Unique records that conflict with those of the device."""
        server = mdns.Srv(0, 0, _DISCARD, _HOST)
        return [
            record(self.names.host, mdns.Address(self.address), ttl=ttl, cache_flush=True),
            *(record(service.name, server, ttl=ttl, cache_flush=True) for service in self.names.services),
        ]

    def assertion(self) -> bytes:
        """The response that claims the names."""
        return encode_response(self.records())

    def goodbye(self) -> bytes:
        """The response that withdraws all records."""
        return encode_response(self.records(ttl=0))

    def probe(self, *, unicast: bool) -> bytes:
        """The probe of a host that is about to claim the names."""
        questions = [Question(name, RecordType.ANY, unicast) for name in self.names.unique]
        return encode_query(questions, authorities=self.records())


def rival_of(bench: Bench, names: Names) -> Rival:
    """A rival with the harness's own address, so that its records are true."""
    own = {
        found.record.data.text
        for found in sent_records(seen_by(bench), type=RecordType.A)
        if isinstance(found.record.data, mdns.Address)
    }
    return Rival(names, _DOCUMENTATION if bench.mdns.address in own else bench.mdns.address)


def probes(case: Case, name: str, *, after: int = 0, before: int | None = None) -> list[Packet]:
    """The device's queries in the window that probe for a name (RFC 6762, 8.1)."""
    return [
        seen
        for seen in case.mdns()
        if not seen.value.response
        and seen.line > after
        and (before is None or seen.line < before)
        and any(mdns.same_name(question.name, name) for question in seen.value.questions)
    ]


def claims(case: Case, name: str, *, after: int = 0) -> list[RecordSeen]:
    """The unique records that the device sent under a name."""
    return [found for found in sent_records(case, name, after=after) if found.record.type in UNIQUE_TYPES]


def assertions(case: Case) -> list[Packet]:
    """Our own responses in the window, without goodbyes."""
    return [
        seen
        for seen in case.mdns(Direction.TO_DUT)
        if seen.value.response and any(found.ttl for found in seen.value.answers)
    ]


def new_names(case: Case, old: Collection[str], *, after: int = 0) -> list[RecordSeen]:
    """Addresses and servers that the device announced under other names."""
    return [
        found
        for packet in multicasts(case)
        if packet.line > after
        for found in records_of(packet)
        if found.record.ttl and found.record.type in _HOSTED and not is_among(found.record.name, old)
    ]


async def dispute(bench: Bench, rival: Rival, *, since: int, within: float, imposed_by: str) -> None:
    """Claim the names whenever the device probes for them, until it announces others or keeps them.

    Ends with our goodbye, so that no cache keeps our records.
    """
    deadline = bench.now + within
    denied: float | None = None
    while True:
        event = await bench.wait_for(
            partial(_decides, names=rival.names, denied=denied),
            within=deadline - bench.now,
            imposed_by=imposed_by,
            what="the device to probe for its names or to announce others",
            since=since,
        )
        if event is None or not _probes(event, rival.names):
            break
        bench.mdns.send(rival.assertion(), "another host claims the names")
        since = event.line
        denied = event.time if denied is None else denied
    bench.mdns.send(rival.goodbye(), "the other host says goodbye")


def _decides(event: Event, names: Names, denied: float | None) -> bool:
    if _probes(event, names):
        return True
    message = _message(event)
    if message is None or not message.response:
        return False
    reported = [found for found in message.answers if found.ttl and found.type in UNIQUE_TYPES]
    if any(found.type in _HOSTED and not is_among(found.name, names.unique) for found in reported):
        return True
    return bool(reported) and denied is not None and event.time > denied + _CROSSING


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
