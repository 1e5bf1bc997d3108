"""What the device told and what it was asked, read from the mDNS packets of a trace."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.checks.case import Case, Decoded
from harness.trace.events import Act, Direction, Event, MdnsPacket
from harness.wire import mdns
from harness.wire.mdns.codec import (
    RecordType,
    same_name,
)

Packet = Decoded[mdns.Message, MdnsPacket]

SERVICE_TYPES = "_services._dns-sd._udp.local."
ADDRESSES = (RecordType.A, RecordType.AAAA)
UNIQUE_TYPES = (*ADDRESSES, RecordType.SRV, RecordType.TXT)
"""Types of the records that a device has for itself alone, under its host name and instance names."""

_ANNOUNCING = 16.0  # seconds after the start: four announcements, more than responders in use send


class Section(StrEnum):
    """Where in a message a record stands."""

    ANSWER = "answer"
    AUTHORITY = "authority"
    ADDITIONAL = "additional"


@dataclass(frozen=True, slots=True)
class RecordSeen:
    """A record that the device told, and the packet that it stood in."""

    packet: Packet
    record: mdns.Record
    section: Section

    @property
    def time(self) -> float:
        """When it was told, in seconds since the start of the run."""
        return self.packet.time

    @property
    def line(self) -> int:
        """The line of its packet in the trace."""
        return self.packet.line

    @property
    def unicast(self) -> bool:
        """Whether it was told to us alone."""
        return self.packet.body.unicast


def responses(case: Case) -> list[Packet]:
    """The responses of the device, to the group and to us alone."""
    return [seen for seen in case.mdns() if seen.value.response]


def multicasts(case: Case) -> list[Packet]:
    """The responses of the device that went to everybody."""
    return [seen for seen in responses(case) if not seen.body.unicast]


def is_multicast_response(event: Event) -> bool:
    """Whether an event is a response of the device to everybody; looks at as little as it must."""
    body = event.body
    return (
        isinstance(body, MdnsPacket)
        and body.direction is Direction.FROM_DUT
        and not body.unicast
        and len(body.raw) > 2
        and body.raw[2] & 0x80 > 0
    )


def may_be_announcement(run: Case, packet: Packet) -> bool:
    """Whether a response may have come without being asked for.

    For some seconds after its start a device may announce all that it has up to eight times, at intervals
    that double (RFC 6762, 8.3); then shared and unique records stand in the answer section together.
    """
    if packet.body.unicast:
        return False
    starts = [seen.time for seen in run.stimuli(Act.START) if seen.line < packet.line]
    types = {record.type for record in packet.value.answers}
    return (
        bool(starts) and packet.time - starts[-1] < _ANNOUNCING and types >= {RecordType.PTR, RecordType.SRV}
    )


def records_of(packet: Packet) -> list[RecordSeen]:
    """Every record of a packet with its section."""
    message = packet.value
    sections = (
        (Section.ANSWER, message.answers),
        (Section.AUTHORITY, message.authorities),
        (Section.ADDITIONAL, message.additionals),
    )
    return [RecordSeen(packet, record, section) for section, records in sections for record in records]


def told(
    case: Case,
    name: str | None = None,
    type: int = RecordType.ANY,
    *,
    after: int = 0,
    before: int | None = None,
    gone: bool = False,
) -> list[RecordSeen]:
    """The records of that name and type that the device told in the window, between two lines of the trace.

    Goodbyes (TTL 0) are left out, or with ``gone`` are all that is returned.
    """
    return [
        found
        for packet in responses(case)
        if packet.line > after and (before is None or packet.line < before)
        for found in records_of(packet)
        if (name is None or same_name(found.record.name, name))
        and type in (found.record.type, RecordType.ANY)
        and (found.record.ttl == 0) is gone
    ]


def queries(case: Case, name: str, type: int, *, exactly: bool = False) -> list[Packet]:
    """Our queries of the window with that question; ``exactly``: also in the case of its letters."""
    return [
        seen
        for seen in case.mdns(Direction.TO_DUT)
        if not seen.value.response
        for question in seen.value.questions
        if question.type == type and (question.name == name if exactly else same_name(question.name, name))
    ]


def foreign_queries(case: Case, name: str) -> list[Packet]:
    """Queries of others on the link for that name in the window; answers may be theirs."""
    return [
        seen
        for seen in case.mdns(Direction.OTHER)
        if not seen.value.response
        and any(same_name(question.name, name) for question in seen.value.questions)
    ]


def distinct(found: list[RecordSeen]) -> list[RecordSeen]:
    """The first of each record, whatever its TTL."""
    kept: list[RecordSeen] = []
    for item in found:
        if not any(item.record.same_data(other.record) for other in kept):
            kept.append(item)
    return kept


def target_of(found: RecordSeen) -> str:
    """The name that a PTR record leads to; empty where it cannot be read."""
    return found.record.data.target if isinstance(found.record.data, mdns.Ptr) else ""


def advertised(case: Case) -> list[RecordSeen]:
    """The PTR records of the window that lead from a service type to an instance, each once."""
    pointers = [found for found in told(case, type=RecordType.PTR) if target_of(found)]
    return [
        found
        for found in distinct(pointers)
        if not same_name(found.record.name, SERVICE_TYPES)
        and b"_sub" not in mdns.split_name(found.record.name)
        and target_of(found).lower().endswith("." + found.record.name.lower())
    ]


def readable(name: str) -> str:
    """A name for people: without escapes and without the dot at its end."""
    return ".".join(label.decode("utf-8", "replace") for label in mdns.split_name(name))
