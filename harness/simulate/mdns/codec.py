"""Multicast DNS packets of a simulated device (RFC 6762, 18), decoded and encoded with dnspython."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.wire
from dns.name import Name
from dns.rdata import GenericRdata, Rdata
from dns.rdataclass import IN
from dns.rdatatype import RdataType

RESPONSE, AUTHORITATIVE, TRUNCATED = 0x8000, 0x0400, 0x0200
_OPCODE_AND_RCODE = 0x780F
_TOP_BIT = 0x8000  # of the class: cache-flush in records, unicast response in questions
ANY_CLASS = 255

LARGEST_PAYLOAD = 1440  # leaves room for IP and UDP headers on an Ethernet link
_LARGEST_ANYWHERE = 9000 - 28  # with those headers, RFC 6762, 17


@dataclass(frozen=True, slots=True)
class Question:
    """A question of class IN (or any)."""

    name: Name
    type: int
    unicast: bool = False  # the querier accepts a unicast answer


@dataclass(frozen=True, slots=True)
class Record:
    """A resource record of class IN. Equal if name, type and rdata are, as for known answers."""

    name: Name
    rdata: Rdata
    ttl: int = field(compare=False)
    unique: bool = field(default=True, compare=False)  # no other host has a record of this name and type
    flush: bool = field(default=False, compare=False)  # the cache-flush bit in the packet

    @property
    def type(self) -> int:
        """The record type's number."""
        return int(self.rdata.rdtype)

    def with_ttl(self, ttl: int) -> Record:
        """The same record with another TTL."""
        return replace(self, ttl=ttl)


@dataclass(frozen=True, slots=True)
class Packet:
    """A decoded message."""

    id: int
    flags: int
    questions: tuple[Question, ...] = ()
    answers: tuple[Record, ...] = ()
    authorities: tuple[Record, ...] = ()
    additionals: tuple[Record, ...] = ()

    @property
    def is_response(self) -> bool:
        """Whether it is a response; otherwise it is a query."""
        return bool(self.flags & RESPONSE)

    @property
    def is_truncated(self) -> bool:
        """More known answers follow in another packet (RFC 6762, 7.2)."""
        return bool(self.flags & TRUNCATED)


# On a loopback link many devices of one process get the same packet; it is decoded once.
@lru_cache(maxsize=32)
def read(data: bytes) -> Packet | None:
    """Decodes a packet; None if it is malformed or must be ignored (RFC 6762, 18.3 and 18.11)."""
    try:
        return _read(dns.wire.Parser(data))
    except (dns.exception.DNSException, ValueError):
        return None


def _read(parser: dns.wire.Parser) -> Packet | None:
    id, flags, *counts = parser.get_struct("!6H")
    if flags & _OPCODE_AND_RCODE:
        return None
    questions = []
    for _ in range(counts[0]):
        name = dns.name.from_wire_parser(parser)
        kind, rdclass = parser.get_struct("!HH")
        if rdclass & ~_TOP_BIT in (IN, ANY_CLASS):
            questions.append(Question(name, kind, bool(rdclass & _TOP_BIT)))
    answers, authorities, additionals = (tuple(_read_records(parser, count)) for count in counts[1:])
    return Packet(id, flags, tuple(questions), answers, authorities, additionals)


def _read_records(parser: dns.wire.Parser, count: int) -> Iterable[Record]:
    found = []
    for _ in range(count):
        name = dns.name.from_wire_parser(parser)
        kind, rdclass, ttl, length = parser.get_struct("!HHIH")
        with parser.restrict_to(length):
            if rdclass & ~_TOP_BIT != IN:
                parser.get_remaining()
                continue
            start = parser.current
            try:
                rdata = dns.rdata.from_wire_parser(IN, RdataType.make(kind), parser)
            except (dns.exception.DNSException, ValueError):
                parser.seek(start)
                rdata = GenericRdata(IN, RdataType.make(kind), parser.get_remaining())
        found.append(Record(name, rdata, ttl, flush=bool(rdclass & _TOP_BIT)))
    return found


class _Full(Exception):
    """The record does not fit into the packet."""


class _Writer:
    def __init__(self, id: int, flags: int, limit: int = LARGEST_PAYLOAD) -> None:
        self._id, self._flags, self._limit = id, flags, limit
        self._file = io.BytesIO(bytes(12))
        self._file.seek(12)
        self._known: dict[Name, int] = {}
        self.counts = [0, 0, 0, 0]

    def question(self, question: Question) -> None:
        question.name.to_wire(self._file, self._known)
        rdclass = IN | (_TOP_BIT if question.unicast else 0)
        self._file.write(question.type.to_bytes(2, "big") + rdclass.to_bytes(2, "big"))
        self.counts[0] += 1

    def record(self, section: int, record: Record) -> None:
        """Adds a record, or raises and leaves the packet unchanged; a single record may be too large."""
        start, known = self._file.tell(), dict(self._known)
        record.name.to_wire(self._file, self._known)
        rdclass = IN | (_TOP_BIT if record.flush else 0)
        self._file.write(record.type.to_bytes(2, "big") + rdclass.to_bytes(2, "big"))
        self._file.write(record.ttl.to_bytes(4, "big"))
        at = self._file.tell()
        self._file.write(b"\0\0")
        record.rdata.to_wire(self._file, self._known)
        end = self._file.tell()
        if end > self._limit and any(self.counts[1:]):
            self._file.seek(start)
            self._file.truncate()
            self._known = known
            raise _Full
        self._file.seek(at)
        self._file.write((end - at - 2).to_bytes(2, "big"))
        self._file.seek(end)
        self.counts[section] += 1

    def bytes(self) -> bytes:
        header = (self._id, self._flags, *self.counts)
        return b"".join(field.to_bytes(2, "big") for field in header) + self._file.getvalue()[12:]


def query(questions: Iterable[Question], authorities: Iterable[Record]) -> bytes:
    """A query with proposed records (RFC 6762, 8.2), all in one packet."""
    writer = _Writer(0, 0, _LARGEST_ANYWHERE)
    for question in questions:
        writer.question(question)
    for record in authorities:
        writer.record(2, replace(record, flush=False))
    return writer.bytes()


def responses(
    answers: Sequence[Record],
    additionals: Iterable[Record] = (),
    *,
    id: int = 0,
    questions: Iterable[Question] = (),
    largest: int = LARGEST_PAYLOAD,
) -> list[bytes]:
    """Response packets: as many as the answers need; additional records only if there is room."""
    packets = []
    writer = _Writer(id, RESPONSE | AUTHORITATIVE, largest)
    for question in questions:
        writer.question(question)
    for record in answers:
        try:
            writer.record(1, record)
        except _Full:
            packets.append(writer.bytes())
            writer = _Writer(id, RESPONSE | AUTHORITATIVE, largest)
            writer.record(1, record)
    for record in additionals:
        try:
            writer.record(3, record)
        except _Full:
            break
    return [*packets, writer.bytes()]


def labels(*parts: str | bytes) -> Name:
    """A fully qualified name of UTF-8 labels (RFC 6762, 16); dots in a part do not split it."""
    return Name([*(part.encode() if isinstance(part, str) else part for part in parts), b""])


def clipped(text: str, size: int = 63) -> str:
    """The text truncated to one label, never inside a character."""
    return text.encode()[:size].decode(errors="ignore")
