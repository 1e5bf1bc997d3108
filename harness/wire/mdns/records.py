"""The data of resource records: PTR, SRV, TXT, A, AAAA, NSEC; other types stay bytes."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from harness.wire.mdns.names import (
    UnreadableName,
    encode_name,
    join_name,
    name_problems,
    read_name,
)
from harness.wire.problem import Problem


class RecordType(IntEnum):
    """The record types of Multicast DNS and DNS-SD, including those that only queries use."""

    A = 1
    NS = 2
    CNAME = 5
    PTR = 12
    HINFO = 13
    TXT = 16
    AAAA = 28
    SRV = 33
    OPT = 41
    NSEC = 47
    ANY = 255


@dataclass(frozen=True, slots=True)
class Ptr:
    """PTR: a pointer to another name."""

    target: str


@dataclass(frozen=True, slots=True)
class Srv:
    """SRV (RFC 2782). ``compressed``: whether the target was compressed; ignored in comparisons."""

    priority: int
    weight: int
    port: int
    target: str
    compressed: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Txt:
    """TXT: raw character strings, for :func:`txt_pairs`."""

    strings: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Address:
    """A or AAAA: an IPv4 or IPv6 address as text."""

    text: str


@dataclass(frozen=True, slots=True)
class Nsec:
    """NSEC: the types that exist for a name (RFC 4034 4, RFC 6762 6.1)."""

    next_name: str
    types: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    """Data of another type, or invalid data of a known type: see the record's ``rdata``."""


Data = Ptr | Srv | Txt | Address | Nsec | Unknown


class BadData(Exception):
    """The data of a record break the rules of its type; ``problem`` says how."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.text)
        self.problem = problem


def type_name(type: int) -> str:
    """The name of a record type; "TYPE64" if it has none here."""
    try:
        return RecordType(type).name
    except ValueError:
        return f"TYPE{type}"


def txt_pairs(strings: Iterable[bytes]) -> tuple[tuple[str, bytes | None], ...]:
    """The keys and values of a TXT record (RFC 6763 6.4), in order.

    The value is None if there is no "=". Strings without a key are left out; repeated keys are kept, although
    only the first of them counts.
    """
    pairs: list[tuple[str, bytes | None]] = []
    for text in strings:
        key, equals, value = text.partition(b"=")
        if key:
            pairs.append((key.decode("ascii", "backslashreplace"), value if equals else None))
    return tuple(pairs)


def encode_data(data: Data) -> tuple[RecordType, bytes]:
    """The type and the uncompressed rdata of ``data``. Raises ValueError if they cannot be encoded."""
    match data:
        case Ptr(target):
            return RecordType.PTR, encode_name(target)
        case Srv(priority, weight, port, target):
            numbers = (priority, weight, port)
            if not all(0 <= number <= 0xFFFF for number in numbers):
                raise ValueError(f"SRV numbers {numbers} do not fit two bytes each")
            return RecordType.SRV, b"".join(n.to_bytes(2, "big") for n in numbers) + encode_name(target)
        case Txt(strings):
            if any(len(text) > 255 for text in strings):
                raise ValueError("a string of a TXT record has more than 255 bytes")
            return RecordType.TXT, b"".join(bytes([len(text)]) + text for text in strings)
        case Address(text):
            family = socket.AF_INET6 if ":" in text else socket.AF_INET
            try:
                return (RecordType.AAAA if ":" in text else RecordType.A), socket.inet_pton(family, text)
            except OSError:
                raise ValueError(f"{text!r} is not an IP address") from None
        case Nsec(next_name, types):
            return RecordType.NSEC, encode_name(next_name) + _encode_bitmaps(types)
        case Unknown():
            raise ValueError("data of an unknown type have only raw bytes")


def decode_data(raw: bytes, at: int, end: int, type: int, problems: list[Problem]) -> tuple[Data, bytes]:
    """Decode the data of a record in the message ``raw``.

    Returns the data and their rdata with all names uncompressed. Raises BadData.
    """
    try:
        data: Data
        match type:
            case RecordType.A | RecordType.AAAA:
                data = _decode_address(raw[at:end], type)
            case RecordType.TXT:
                data = Txt(_decode_strings(raw[at:end]))
            case RecordType.PTR:
                labels, after, _ = read_name(raw, at, end)
                _require_end(after, end, type)
                data = Ptr(_named(labels, problems))
            case RecordType.SRV:
                data = _decode_srv(raw, at, end, problems)
            case RecordType.NSEC:
                data = _decode_nsec(raw, at, end, problems)
            case _:
                return Unknown(), raw[at:end]
    except UnreadableName as unreadable:
        raise BadData(unreadable.problem) from unreadable
    return data, encode_data(data)[1]


def _named(labels: tuple[bytes, ...], problems: list[Problem]) -> str:
    problems += name_problems(labels)
    return join_name(*labels)


def _require_end(after: int, end: int, type: int) -> None:
    if after != end:
        text = f"{end - after} bytes after the end of the {type_name(type)} data"
        raise BadData(Problem("RFC 1035 4.1.3", text))


def _decode_address(rdata: bytes, type: int) -> Data:
    family, size = (socket.AF_INET, 4) if type == RecordType.A else (socket.AF_INET6, 16)
    if len(rdata) != size:
        clause = "RFC 1035 3.4.1" if size == 4 else "RFC 3596 2.2"
        raise BadData(Problem(clause, f"{type_name(type)} data of {len(rdata)} bytes, not {size}"))
    return Address(socket.inet_ntop(family, rdata))


def _decode_strings(rdata: bytes) -> tuple[bytes, ...]:
    if not rdata:
        raise BadData(Problem("RFC 6763 6.1", "a TXT record without a string"))
    strings, at = [], 0
    while at < len(rdata):
        end = at + 1 + rdata[at]
        if end > len(rdata):
            text = f"a string of {rdata[at]} bytes exceeds the TXT data"
            raise BadData(Problem("RFC 1035 3.3.14", text))
        strings.append(rdata[at + 1 : end])
        at = end
    return tuple(strings)


def _decode_srv(raw: bytes, at: int, end: int, problems: list[Problem]) -> Data:
    if end - at < 7:
        raise BadData(Problem("RFC 2782", f"SRV data of {end - at} bytes, less than 7"))
    priority, weight, port = (int.from_bytes(raw[i : i + 2], "big") for i in (at, at + 2, at + 4))
    labels, after, compressed = read_name(raw, at + 6, end)
    _require_end(after, end, RecordType.SRV)
    return Srv(priority, weight, port, _named(labels, problems), compressed)


def _decode_nsec(raw: bytes, at: int, end: int, problems: list[Problem]) -> Data:
    labels, at, _ = read_name(raw, at, end)
    types: list[int] = []
    previous = -1
    while at < end:
        window, size = raw[at], raw[at + 1] if at + 1 < end else 0
        bitmap = raw[at + 2 : min(at + 2 + size, end)]
        if not 1 <= size <= 32 or len(bitmap) < size or window <= previous:
            raise BadData(Problem("RFC 4034 4.1.2", f"broken type bitmap {raw[at:end].hex(' ')} of an NSEC"))
        if not bitmap[-1]:
            problems.append(Problem("RFC 4034 4.1.2", "a type bitmap of an NSEC ends in a zero byte"))
        types += [window << 8 | bit for bit in range(size * 8) if bitmap[bit >> 3] & 0x80 >> (bit & 7)]
        previous, at = window, at + 2 + size
    return Nsec(_named(labels, problems), tuple(types))


def _encode_bitmaps(types: Iterable[int]) -> bytes:
    windows: dict[int, bytearray] = {}
    for type in sorted(set(types)):
        bitmap = windows.setdefault(type >> 8, bytearray())
        low = type & 0xFF
        bitmap.extend(bytes((low >> 3) + 1 - len(bitmap)))
        bitmap[low >> 3] |= 0x80 >> (low & 7)
    return b"".join(bytes([window, len(bitmap)]) + bitmap for window, bitmap in windows.items())
