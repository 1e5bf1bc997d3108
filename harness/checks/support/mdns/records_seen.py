"""The records that the device sent and the queries that it got, found in the mDNS packets of a trace."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.checks.case import Case, Decoded
from harness.trace.events import Act, Direction, Event, MdnsPacket, Note, RunStarted
from harness.wire import mdns
from harness.wire.mdns.codec import (
    RecordType,
    same_name,
)
from harness.wire.mdns.link_text import LinkProperties, parse_link_text

Packet = Decoded[mdns.Message, MdnsPacket]

SERVICE_TYPES = "_services._dns-sd._udp.local."
ADDRESSES = (RecordType.A, RecordType.AAAA)
UNIQUE_TYPES = (*ADDRESSES, RecordType.SRV, RecordType.TXT)
"""Types of the unique records that a device has under its host name and instance names."""

_ANNOUNCING = 16.0  # seconds after the start: four announcements, more than common responders send


class Section(StrEnum):
    """The section of a message that holds a record."""

    ANSWER = "answer"
    AUTHORITY = "authority"
    ADDITIONAL = "additional"


@dataclass(frozen=True, slots=True)
class RecordSeen:
    """A record that the device sent, and its packet."""

    packet: Packet
    record: mdns.Record
    section: Section

    @property
    def time(self) -> float:
        """When it was sent, in seconds since the start of the run."""
        return self.packet.time

    @property
    def line(self) -> int:
        """The line of its packet in the trace."""
        return self.packet.line

    @property
    def unicast(self) -> bool:
        """Whether it was sent by unicast to the harness."""
        return self.packet.body.unicast


def responses(case: Case) -> list[Packet]:
    """The responses of the device, multicast and unicast."""
    return [seen for seen in case.mdns() if seen.value.response]


def multicasts(case: Case) -> list[Packet]:
    """The multicast responses of the device."""
    return [seen for seen in responses(case) if not seen.body.unicast]


def is_multicast_response(event: Event) -> bool:
    """Whether an event is a multicast response of the device; decodes as little as possible."""
    body = event.body
    return (
        isinstance(body, MdnsPacket)
        and body.direction is Direction.FROM_DUT
        and not body.unicast
        and len(body.raw) > 2
        and body.raw[2] & 0x80 > 0
    )


def message_of(event: Event) -> mdns.Message:
    """The message in an event that is an mDNS packet."""
    assert isinstance(event.body, MdnsPacket)
    return mdns.decode(event.body.raw)


def link_of(case: Case) -> LinkProperties | None:
    """What the trace says about the link of the device; None if it says nothing."""
    for event in case.trace:
        if isinstance(event.body, Note) and (found := parse_link_text(event.body.text)):
            return found
    return None


def is_simulated(case: Case) -> bool:
    """Whether the device is simulated, so that loopback stands for an Ethernet link."""
    return any(
        isinstance(event.body, RunStarted) and event.body.dut.startswith("simulated")
        for event in case.trace[:20]
    )


def may_be_announcement(run: Case, packet: Packet) -> bool:
    """Whether a response may be unsolicited.

    For some seconds after its start a device may announce its records up to eight times, at intervals that
    double (RFC 6762, 8.3); the answer section then holds shared and unique records together.
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


def sent_records(
    case: Case,
    name: str | None = None,
    type: int = RecordType.ANY,
    *,
    after: int = 0,
    before: int | None = None,
    gone: bool = False,
) -> list[RecordSeen]:
    """The records of that name and type that the device sent in the window, between two lines of the trace.

    Goodbyes (TTL 0) are left out; with ``gone`` only goodbyes are returned.
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
    """Our queries in the window with that question; ``exactly``: with the same upper and lower case."""
    return [
        seen
        for seen in case.mdns(Direction.TO_DUT)
        if not seen.value.response
        for question in seen.value.questions
        if question.type == type and (question.name == name if exactly else same_name(question.name, name))
    ]


def foreign_queries(case: Case, name: str) -> list[Packet]:
    """Queries of other hosts for that name in the window; an answer may be for them."""
    return [
        seen
        for seen in case.mdns(Direction.OTHER)
        if not seen.value.response
        and any(same_name(question.name, name) for question in seen.value.questions)
    ]


def distinct(found: list[RecordSeen]) -> list[RecordSeen]:
    """The first of each record, ignoring the TTL."""
    kept: list[RecordSeen] = []
    for item in found:
        if not any(item.record.same_data(other.record) for other in kept):
            kept.append(item)
    return kept


def target_of(found: RecordSeen) -> str:
    """The name that a PTR record points to; empty if it cannot be read."""
    return found.record.data.target if isinstance(found.record.data, mdns.Ptr) else ""


def advertised(case: Case) -> list[RecordSeen]:
    """The PTR records of the window that point from a service type to an instance, without duplicates."""
    pointers = [found for found in sent_records(case, type=RecordType.PTR) if target_of(found)]
    return [
        found
        for found in distinct(pointers)
        if not same_name(found.record.name, SERVICE_TYPES)
        and b"_sub" not in mdns.split_name(found.record.name)
        and target_of(found).lower().endswith("." + found.record.name.lower())
    ]


def readable(name: str) -> str:
    """A name for messages: without escapes and without the final dot."""
    return ".".join(label.decode("utf-8", "replace") for label in mdns.split_name(name))
