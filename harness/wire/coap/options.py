"""The options of CoAP messages: their numbers, formats and sizes (RFC 7252 5.10 and its successors)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum, auto
from typing import NamedTuple

from harness.wire.problem import Problem


class OptionNumber(IntEnum):
    """The registered option numbers that IoT devices use."""

    IF_MATCH = 1
    URI_HOST = 3
    ETAG = 4
    IF_NONE_MATCH = 5
    OBSERVE = 6
    URI_PORT = 7
    LOCATION_PATH = 8
    OSCORE = 9
    URI_PATH = 11
    CONTENT_FORMAT = 12
    MAX_AGE = 14
    URI_QUERY = 15
    HOP_LIMIT = 16
    ACCEPT = 17
    LOCATION_QUERY = 20
    BLOCK2 = 23
    BLOCK1 = 27
    SIZE2 = 28
    PROXY_URI = 35
    PROXY_SCHEME = 39
    SIZE1 = 60
    ECHO = 252
    NO_RESPONSE = 258
    REQUEST_TAG = 292


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a message, with its raw value."""

    number: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """The value of a Block1 or Block2 option (RFC 7959 2.2)."""

    num: int
    more: bool
    szx: int

    @property
    def size(self) -> int:
        """Bytes in a block; only defined for ``szx`` 0 to 6."""
        return 1 << (self.szx + 4)

    @property
    def value(self) -> int:
        """The option's value as an unsigned integer."""
        return self.num << 4 | self.more << 3 | self.szx

    @classmethod
    def from_value(cls, value: int) -> Block:
        """Decode an option's value."""
        return cls(value >> 4, bool(value & 8), value & 7)


def encode_uint(value: int) -> bytes:
    """An unsigned integer in as few bytes as possible; none for 0 (RFC 7252 3.2)."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def is_critical(number: int) -> bool:
    """Whether a server that does not know this option must reject the message (5.4.1)."""
    return bool(number & 1)


class _Format(Enum):
    EMPTY = auto()
    OPAQUE = auto()
    UINT = auto()
    STRING = auto()


class _Definition(NamedTuple):
    format: _Format
    least: int
    most: int
    repeatable: bool = False


_DEFINITIONS = {
    OptionNumber.IF_MATCH: _Definition(_Format.OPAQUE, 0, 8, repeatable=True),
    OptionNumber.URI_HOST: _Definition(_Format.STRING, 1, 255),
    OptionNumber.ETAG: _Definition(_Format.OPAQUE, 1, 8, repeatable=True),
    OptionNumber.IF_NONE_MATCH: _Definition(_Format.EMPTY, 0, 0),
    OptionNumber.OBSERVE: _Definition(_Format.UINT, 0, 3),
    OptionNumber.URI_PORT: _Definition(_Format.UINT, 0, 2),
    OptionNumber.LOCATION_PATH: _Definition(_Format.STRING, 0, 255, repeatable=True),
    OptionNumber.OSCORE: _Definition(_Format.OPAQUE, 0, 255),
    OptionNumber.URI_PATH: _Definition(_Format.STRING, 0, 255, repeatable=True),
    OptionNumber.CONTENT_FORMAT: _Definition(_Format.UINT, 0, 2),
    OptionNumber.MAX_AGE: _Definition(_Format.UINT, 0, 4),
    OptionNumber.URI_QUERY: _Definition(_Format.STRING, 0, 255, repeatable=True),
    OptionNumber.HOP_LIMIT: _Definition(_Format.UINT, 1, 1),
    OptionNumber.ACCEPT: _Definition(_Format.UINT, 0, 2),
    OptionNumber.LOCATION_QUERY: _Definition(_Format.STRING, 0, 255, repeatable=True),
    OptionNumber.BLOCK2: _Definition(_Format.UINT, 0, 3),
    OptionNumber.BLOCK1: _Definition(_Format.UINT, 0, 3),
    OptionNumber.SIZE2: _Definition(_Format.UINT, 0, 4),
    OptionNumber.PROXY_URI: _Definition(_Format.STRING, 1, 1034),
    OptionNumber.PROXY_SCHEME: _Definition(_Format.STRING, 1, 255),
    OptionNumber.SIZE1: _Definition(_Format.UINT, 0, 4),
    OptionNumber.ECHO: _Definition(_Format.OPAQUE, 1, 40),
    OptionNumber.NO_RESPONSE: _Definition(_Format.UINT, 0, 1),
    OptionNumber.REQUEST_TAG: _Definition(_Format.OPAQUE, 0, 8, repeatable=True),
}


def option_name(number: int) -> str:
    """The option's registered name ("Uri-Path"), or "option 2049"."""
    try:
        name = OptionNumber(number).name
    except ValueError:
        return f"option {number}"
    if name == "ETAG":
        return "ETag"
    return name if name == "OSCORE" else name.replace("_", "-").title()


def option_text(option: Option) -> str:
    """A readable form of the value: a number, text or hexadecimal digits, by the option's format."""
    definition = _definition(option.number)
    if definition and definition.format is _Format.UINT:
        return str(int.from_bytes(option.value, "big"))
    if definition and definition.format is _Format.STRING:
        return option.value.decode("utf-8", "backslashreplace")
    return option.value.hex()


def option_problems(options: Sequence[Option]) -> Iterator[Problem]:
    """Problems of the values of known options, and of option numbers and their repetition.

    Leading zeros of an unsigned integer are not a problem: omitting them is only a SHOULD.
    """
    for option in options:
        definition = _definition(option.number)
        if definition:
            yield from _value_problems(option, definition)
        elif option.number > 0xFFFF:
            yield Problem("RFC 7252 12.2", f"option number {option.number} is more than 65535")
    for number, count in Counter(option.number for option in options).items():
        definition = _definition(number)
        if count > 1 and definition and not definition.repeatable:
            yield Problem("RFC 7252 5.4.5", f"{option_name(number)} occurs {count} times")


def _definition(number: int) -> _Definition | None:
    return _DEFINITIONS.get(number)  # type: ignore[call-overload, no-any-return]


def _value_problems(option: Option, definition: _Definition) -> Iterator[Problem]:
    name, size = option_name(option.number), len(option.value)
    if not definition.least <= size <= definition.most:
        allowed = f"{definition.least} to {definition.most}"
        yield Problem("RFC 7252 5.4.3", f"{name} has {size} bytes, but {allowed} are allowed")
    if definition.format is _Format.STRING:
        try:
            option.value.decode("utf-8")
        except UnicodeDecodeError:
            yield Problem("RFC 7252 3.2", f"{name} {option.value!r} is not well-formed UTF-8")
    in_path = option.number in (OptionNumber.URI_PATH, OptionNumber.LOCATION_PATH)
    if in_path and option.value in (b".", b".."):
        yield Problem("RFC 7252 5.10.1", f"{name} is {option.value.decode()!r}")
    in_block = option.number in (OptionNumber.BLOCK1, OptionNumber.BLOCK2)
    if in_block and option.value and option.value[-1] & 7 == 7:
        yield Problem("RFC 7959 2.2", f"{name} has the reserved size exponent 7")
