"""Reading and writing Multicast DNS messages (RFC 6762 18, RFC 1035 4, RFC 6763 6).

:func:`decode` never raises: for any datagram it returns a message with everything readable and every
violation of the encoding rules among its ``problems``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from harness.wire.mdns.names import (
    DomainNameError,
    UnreadableName,
    encode_name,
    join_name,
    name_problems,
    read_name,
    same_name,
    split_name,
)
from harness.wire.mdns.records import (
    Address,
    BadData,
    Data,
    Nsec,
    Ptr,
    RecordType,
    Srv,
    Txt,
    Unknown,
    decode_data,
    encode_data,
    txt_pairs,
    type_name,
)
from harness.wire.problem import Problem

__all__ = [
    "CLASS_IN",
    "Address",
    "Data",
    "DomainNameError",
    "Message",
    "Nsec",
    "Problem",
    "Ptr",
    "Question",
    "Record",
    "RecordType",
    "Srv",
    "Txt",
    "Unknown",
    "decode",
    "encode",
    "encode_query",
    "encode_response",
    "join_name",
    "record",
    "same_name",
    "split_name",
    "txt_pairs",
    "type_name",
]

CLASS_IN = 1
"""The Internet class."""

_TOP_BIT = 0x8000  # of the class: unicast-response in a question, cache-flush in a record
_MOST_MESSAGE = 9000 - 20 - 8  # RFC 6762 17 includes the IP and UDP headers; the IPv4 header is smaller


@dataclass(frozen=True, slots=True)
class Question:
    """A question. ``unicast_response`` is its QU bit; ``type`` 255 means any."""

    name: str
    type: int
    unicast_response: bool = False
    rrclass: int = CLASS_IN


@dataclass(frozen=True, slots=True)
class Record:
    """A resource record. ``rdata`` has all names uncompressed, so that records of two messages compare.

    ``ttl`` is in seconds. The class of a pseudo-record OPT is kept as it is.
    """

    name: str
    type: int
    rrclass: int
    cache_flush: bool
    ttl: int
    rdata: bytes
    data: Data

    def same_data(self, other: Record) -> bool:
        """Whether both are the same record, ignoring the TTL and the cache-flush bit."""
        if not same_name(self.name, other.name) or (self.type, self.rrclass) != (other.type, other.rrclass):
            return False
        match self.data, other.data:
            case Ptr(mine), Ptr(theirs):
                return same_name(mine, theirs)
            case Srv() as mine, Srv() as theirs:
                numbers = (mine.priority, mine.weight, mine.port)
                same = numbers == (theirs.priority, theirs.weight, theirs.port)
                return same and same_name(mine.target, theirs.target)
        return self.rdata == other.rdata


@dataclass(frozen=True, slots=True)
class Message:
    """A query or, if ``response`` is set, a response; flags are named as in RFC 6762 18."""

    questions: tuple[Question, ...] = ()
    answers: tuple[Record, ...] = ()
    authorities: tuple[Record, ...] = ()
    additionals: tuple[Record, ...] = ()
    id: int = 0
    response: bool = False
    opcode: int = 0
    authoritative: bool = False
    truncated: bool = False
    recursion_desired: bool = False
    recursion_available: bool = False
    reserved: bool = False
    authentic_data: bool = False
    checking_disabled: bool = False
    rcode: int = 0
    problems: tuple[Problem, ...] = field(default=(), kw_only=True)

    @property
    def records(self) -> tuple[Record, ...]:
        """Answers, authorities and additionals, in this order."""
        return self.answers + self.authorities + self.additionals


_FLAGS = {
    "response": 0x8000,
    "authoritative": 0x0400,
    "truncated": 0x0200,
    "recursion_desired": 0x0100,
    "recursion_available": 0x0080,
    "reserved": 0x0040,
    "authentic_data": 0x0020,
    "checking_disabled": 0x0010,
}


class _Broken(Exception):
    """The message cannot be read any further; ``problem`` says why."""

    def __init__(self, clause: str, text: str) -> None:
        super().__init__(text)
        self.problem = Problem(clause, text)


def decode(raw: bytes) -> Message:
    """Decode one datagram. Never raises; everything after the first unreadable record is left out."""
    problems: list[Problem] = []
    if len(raw) > _MOST_MESSAGE:
        problems.append(Problem("RFC 6762 17", f"{len(raw)} bytes are more than one packet may carry"))
    id, flags, *counts = (int.from_bytes(raw[at : at + 2].ljust(2, b"\0"), "big") for at in range(0, 12, 2))
    bits = {name: bool(flags & bit) for name, bit in _FLAGS.items()}
    questions: list[Question] = []
    sections: tuple[list[Record], list[Record], list[Record]] = ([], [], [])
    try:
        if len(raw) < 12:
            raise _Broken("RFC 1035 4.1.1", f"{len(raw)} bytes are less than the header of twelve")
        at = 12
        for _ in range(counts[0]):
            question, at = _read_question(raw, at, problems)
            questions.append(question)
        for section, count in zip(sections, counts[1:], strict=True):
            for _ in range(count):
                found, at = _read_record(raw, at, problems)
                section.append(found)
        if at < len(raw):
            problems.append(Problem("RFC 1035 4.1", f"{len(raw) - at} bytes after the last record"))
    except (_Broken, UnreadableName) as broken:
        problems.append(broken.problem)
    answers, authorities, additionals = (tuple(section) for section in sections)
    return Message(
        tuple(questions),
        answers,
        authorities,
        additionals,
        id,
        opcode=flags >> 11 & 15,
        rcode=flags & 15,
        problems=(*_header_problems(flags, has_questions=counts[0] > 0), *problems),
        **bits,
    )


def _header_problems(flags: int, *, has_questions: bool) -> Iterator[Problem]:
    """Violations of the rules for the flags in Multicast DNS.

    A response with TC and a question is no violation: it is a legacy unicast response, where TC has its old
    meaning (RFC 6762 18.5).
    """
    response, authoritative = bool(flags & _FLAGS["response"]), bool(flags & _FLAGS["authoritative"])
    if flags >> 11 & 15:
        yield Problem("RFC 6762 18.3", f"opcode is {flags >> 11 & 15}, not 0")
    if response != authoritative:
        what = "a response without AA" if response else "a query with AA"
        yield Problem("RFC 6762 18.4", what)
    if response and flags & _FLAGS["truncated"] and not has_questions:
        yield Problem("RFC 6762 18.5", "a multicast response with TC")
    for name, section in _ZERO_FLAGS.items():
        if flags & _FLAGS[name]:
            yield Problem(f"RFC 6762 {section}", f"the flag {name.replace('_', ' ')} is set")
    if flags & 15:
        yield Problem("RFC 6762 18.11", f"the response code is {flags & 15}, not 0")


_ZERO_FLAGS = {
    "recursion_available": "18.7",
    "reserved": "18.8",
    "authentic_data": "18.9",
    "checking_disabled": "18.10",
}


def _read_numbers(raw: bytes, at: int, sizes: tuple[int, ...], what: str) -> tuple[list[int], int]:
    numbers = []
    for size in sizes:
        if at + size > len(raw):
            raise _Broken("RFC 1035 4.1", f"the message ends inside {what}")
        numbers.append(int.from_bytes(raw[at : at + size], "big"))
        at += size
    return numbers, at


def _read_question(raw: bytes, at: int, problems: list[Problem]) -> tuple[Question, int]:
    labels, at, _ = read_name(raw, at, len(raw))
    problems += name_problems(labels)
    (type, rrclass), at = _read_numbers(raw, at, (2, 2), "a question")
    return Question(join_name(*labels), type, bool(rrclass & _TOP_BIT), rrclass & ~_TOP_BIT), at


def _read_record(raw: bytes, at: int, problems: list[Problem]) -> tuple[Record, int]:
    labels, at, _ = read_name(raw, at, len(raw))
    problems += name_problems(labels)
    name = join_name(*labels)
    (type, rrclass, ttl, size), at = _read_numbers(raw, at, (2, 2, 4, 2), f"the record {name}")
    end = at + size
    if end > len(raw):
        raise _Broken("RFC 1035 4.1.3", f"the data of {name} {type_name(type)} exceed the message")
    try:
        data, rdata = decode_data(raw, at, end, type, problems)
    except BadData as bad:
        problems.append(Problem(bad.problem.clause, f"{name} {type_name(type)}: {bad.problem.text}"))
        data, rdata = Unknown(), raw[at:end]
    flush = bool(rrclass & _TOP_BIT) and type != RecordType.OPT
    return Record(name, type, rrclass & ~_TOP_BIT if flush else rrclass, flush, ttl, rdata, data), end


def record(name: str, data: Data, *, ttl: int, cache_flush: bool = False) -> Record:
    """A record of class IN with these data, equal to one that was decoded.

    Names and addresses may be written in any form. Raises ValueError if the data break the rules of their
    type or cannot be encoded.
    """
    type, rdata = encode_data(data)
    try:
        data, _ = decode_data(rdata, 0, len(rdata), type, [])
    except BadData as bad:
        raise ValueError(str(bad)) from bad
    return Record(join_name(*split_name(name)), type, CLASS_IN, cache_flush, ttl, rdata, data)


def encode(message: Message) -> bytes:
    """Encode a message as it is, valid or not, without compression. Raises DomainNameError."""
    flags = message.opcode << 11 | message.rcode
    for name, bit in _FLAGS.items():
        flags |= bit if getattr(message, name) else 0
    sections = (message.questions, message.answers, message.authorities, message.additionals)
    numbers = (message.id, flags, *(len(section) for section in sections))
    encoded = bytearray(b"".join(number.to_bytes(2, "big") for number in numbers))
    for question in message.questions:
        top = _TOP_BIT if question.unicast_response else 0
        encoded += encode_name(question.name)
        encoded += question.type.to_bytes(2, "big") + (question.rrclass | top).to_bytes(2, "big")
    for found in message.records:
        top = _TOP_BIT if found.cache_flush else 0
        encoded += encode_name(found.name)
        encoded += found.type.to_bytes(2, "big") + (found.rrclass | top).to_bytes(2, "big")
        encoded += found.ttl.to_bytes(4, "big") + len(found.rdata).to_bytes(2, "big") + found.rdata
    return bytes(encoded)


def encode_query(
    questions: Iterable[Question],
    *,
    known_answers: Iterable[Record] = (),
    authorities: Iterable[Record] = (),
    additionals: Iterable[Record] = (),
    id: int = 0,
    truncated: bool = False,
) -> bytes:
    """A query, with the known answers of a querier or, in ``authorities``, the records of a probe."""
    sections = (tuple(questions), tuple(known_answers), tuple(authorities), tuple(additionals))
    return encode(Message(*sections, id=id, truncated=truncated))


def encode_response(
    answers: Iterable[Record],
    *,
    additionals: Iterable[Record] = (),
    questions: Iterable[Question] = (),
    id: int = 0,
) -> bytes:
    """A response; only a legacy unicast response repeats ``questions`` and the ``id`` of its query."""
    sections = (tuple(questions), tuple(answers), (), tuple(additionals))
    return encode(Message(*sections, id=id, response=True, authoritative=True))
