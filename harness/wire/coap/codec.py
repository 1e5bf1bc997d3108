"""Reading and writing CoAP messages (RFC 7252 3), with Observe (RFC 7641) and Block (RFC 7959).

:func:`decode` never raises: for any datagram it returns a message with every violation of the encoding
rules among its ``problems``. A message with problems may be incomplete.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from urllib.parse import quote, unquote_to_bytes

from harness.wire.coap.link_format import (
    Link,
    LinkFormatError,
    parse_link_format,
)
from harness.wire.coap.options import (
    Block,
    Option,
    OptionNumber,
    encode_uint,
    is_critical,
    option_name,
    option_problems,
    option_text,
)
from harness.wire.problem import Problem

__all__ = [
    "Block",
    "Code",
    "Link",
    "LinkFormatError",
    "Message",
    "Option",
    "OptionNumber",
    "Problem",
    "Type",
    "code_name",
    "code_text",
    "decode",
    "empty",
    "encode",
    "encode_uint",
    "is_critical",
    "is_newer",
    "option_name",
    "option_text",
    "parse_link_format",
    "request",
]


class Type(IntEnum):
    """The message type."""

    CON = 0
    NON = 1
    ACK = 2
    RST = 3


class Code(IntEnum):
    """Method and response codes (RFC 7252 12.1, RFC 7959, RFC 8132, RFC 8516, RFC 8768)."""

    EMPTY = 0x00
    GET = 0x01
    POST = 0x02
    PUT = 0x03
    DELETE = 0x04
    FETCH = 0x05
    PATCH = 0x06
    IPATCH = 0x07
    CREATED = 0x41
    DELETED = 0x42
    VALID = 0x43
    CHANGED = 0x44
    CONTENT = 0x45
    CONTINUE = 0x5F
    BAD_REQUEST = 0x80
    UNAUTHORIZED = 0x81
    BAD_OPTION = 0x82
    FORBIDDEN = 0x83
    NOT_FOUND = 0x84
    METHOD_NOT_ALLOWED = 0x85
    NOT_ACCEPTABLE = 0x86
    REQUEST_ENTITY_INCOMPLETE = 0x88
    CONFLICT = 0x89
    PRECONDITION_FAILED = 0x8C
    REQUEST_ENTITY_TOO_LARGE = 0x8D
    UNSUPPORTED_CONTENT_FORMAT = 0x8F
    UNPROCESSABLE_ENTITY = 0x96
    TOO_MANY_REQUESTS = 0x9D
    INTERNAL_SERVER_ERROR = 0xA0
    NOT_IMPLEMENTED = 0xA1
    BAD_GATEWAY = 0xA2
    SERVICE_UNAVAILABLE = 0xA3
    GATEWAY_TIMEOUT = 0xA4
    PROXYING_NOT_SUPPORTED = 0xA5
    HOP_LIMIT_REACHED = 0xA8


def code_text(code: int) -> str:
    """The dotted form of a code: "2.05"."""
    return f"{code >> 5}.{code & 0x1F:02}"


def code_name(code: int) -> str:
    """A readable form of a code: "GET", "2.05 Content", or only "2.31" if it has no name here."""
    try:
        name = Code(code).name
    except ValueError:
        return code_text(code)
    if 0 < code < 0x20:
        return "iPATCH" if code == Code.IPATCH else name
    return f"{code_text(code)} {name.replace('_', ' ').capitalize()}"


@dataclass(frozen=True, slots=True)
class Message:
    """One CoAP message. ``code`` is any byte, ``options`` are in the order of their numbers."""

    version: int
    type: Type
    code: int
    mid: int
    token: bytes = b""
    options: tuple[Option, ...] = ()
    payload: bytes = b""
    problems: tuple[Problem, ...] = ()

    @property
    def is_request(self) -> bool:
        """Class 0, and not empty."""
        return 0 < self.code < 0x20

    @property
    def is_response(self) -> bool:
        """Class 2 to 5; class 3 has no codes yet."""
        return 2 <= self.code >> 5 <= 5

    @property
    def is_empty(self) -> bool:
        """Code 0.00: an acknowledgement, a reset or a ping."""
        return self.code == Code.EMPTY

    def values(self, number: int) -> tuple[bytes, ...]:
        """The values of all options with this number, in order."""
        return tuple(option.value for option in self.options if option.number == number)

    def option(self, number: int) -> bytes | None:
        """The value of the first option with this number, or None."""
        return next(iter(self.values(number)), None)

    def uint(self, number: int) -> int | None:
        """The value of the first option with this number as an unsigned integer, or None."""
        value = self.option(number)
        return None if value is None else int.from_bytes(value, "big")

    def block(self, number: int) -> Block | None:
        """The first Block1 or Block2 option, or None."""
        value = self.uint(number)
        return None if value is None else Block.from_value(value)

    @property
    def uri_path(self) -> str:
        """The path of the request, "/" if there is none; percent-encoded where a URI requires it."""
        return "/" + "/".join(quote(segment, safe=_SEGMENT) for segment in self.values(OptionNumber.URI_PATH))

    @property
    def uri_query(self) -> str:
        """The query of the request without the "?", arguments joined by "&"."""
        return "&".join(quote(part, safe=_QUERY) for part in self.values(OptionNumber.URI_QUERY))

    @property
    def observe(self) -> int | None:
        """The Observe option: 0 or 1 in a request, a sequence number in a notification."""
        return self.uint(OptionNumber.OBSERVE)

    @property
    def content_format(self) -> int | None:
        """The Content-Format of the payload."""
        return self.uint(OptionNumber.CONTENT_FORMAT)

    @property
    def block2(self) -> Block | None:
        """The Block2 option: the part of the response that this message contains or requests."""
        return self.block(OptionNumber.BLOCK2)

    @property
    def block1(self) -> Block | None:
        """The Block1 option: the part of the request that this message contains or acknowledges."""
        return self.block(OptionNumber.BLOCK1)


_SEGMENT = "!$&'()*+,;=:@"  # RFC 3986 pchar, besides letters, digits and "-._~"
_QUERY = "!$'()*+,;=:@/?"  # without "&", which separates the arguments


def decode(raw: bytes) -> Message:
    """Decode one datagram. Never raises; missing header bytes of a short datagram are read as zeros."""
    problems: list[Problem] = []
    if len(raw) < 4:
        problems.append(Problem("RFC 7252 3", f"{len(raw)} bytes are less than the header of four"))
    first, code, *mid = raw[:4].ljust(4, b"\0")
    version, type, token_length = first >> 6, Type(first >> 4 & 3), first & 0x0F
    if version != 1 and raw:
        problems.append(Problem("RFC 7252 3", f"version is {version}, not 1"))
    if token_length > 8:
        # The bytes are kept: a careless peer returns them, and its answer is known by them.
        problems.append(Problem("RFC 7252 3", f"token length {token_length} is reserved"))
    token, rest = raw[4 : 4 + token_length], raw[4 + token_length :]
    if len(token) < token_length <= 8:
        text = f"the token has {len(token)} bytes, but its length field says {token_length}"
        problems.append(Problem("RFC 7252 3", text))
    options, payload = _read_options(rest, problems if token_length <= 8 else [])
    problems += option_problems(options)
    problems += _code_problems(type, code)
    if (code == Code.EMPTY and len(raw) > 4) or (code == Code.EMPTY and token_length):
        problems.append(Problem("RFC 7252 4.1", "an empty message with more than its header"))
    return Message(version, type, code, int.from_bytes(mid, "big"), token, options, payload, tuple(problems))


def _code_problems(type: Type, code: int) -> Iterator[Problem]:
    if code >> 5 in (1, 6, 7):
        yield Problem("RFC 7252 4.2", f"code {code_text(code)} is of a reserved class")
    if type is Type.RST and code != Code.EMPTY:
        yield Problem("RFC 7252 4.2", f"a Reset with code {code_text(code)}, not empty")
    if type is Type.ACK and 0 < code < 0x20:
        yield Problem("RFC 7252 4.2", f"an Acknowledgement with the request {code_name(code)}")
    if type is Type.NON and code == Code.EMPTY:
        yield Problem("RFC 7252 4.3", "an empty Non-confirmable message")


class _BadOption(Exception):
    """The options cannot be read any further; ``problem`` says why."""

    def __init__(self, text: str, clause: str = "RFC 7252 3.1") -> None:
        super().__init__(text)
        self.problem = Problem(clause, text)


def _read_options(data: bytes, problems: list[Problem]) -> tuple[tuple[Option, ...], bytes]:
    """Read options up to the payload marker; return the options and the payload."""
    options: list[Option] = []
    number = at = 0
    try:
        while at < len(data):
            if data[at] == 0xFF:
                if at + 1 == len(data):
                    raise _BadOption("a payload marker without payload", "RFC 7252 3")
                return tuple(options), data[at + 1 :]
            head = data[at]
            delta, at_length = _extended(data, at + 1, head >> 4, "delta")
            length, at_value = _extended(data, at_length, head & 0x0F, "length")
            number, at = number + delta, at_value + length
            if at > len(data):
                raise _BadOption(f"{option_name(number)} ends {at - len(data)} bytes after the datagram")
            options.append(Option(number, data[at_value:at]))
    except _BadOption as bad:
        problems.append(bad.problem)
    return tuple(options), b""


def _extended(data: bytes, at: int, nibble: int, what: str) -> tuple[int, int]:
    """Read the extension of a nibble of 13 or 14; return the value and the next position."""
    if nibble < 13:
        return nibble, at
    if nibble == 15:
        raise _BadOption(f"an option {what} of 15, which is reserved")
    size, base = (1, 13) if nibble == 13 else (2, 269)
    if at + size > len(data):
        raise _BadOption(f"the datagram ends inside an option {what}")
    return int.from_bytes(data[at : at + size], "big") + base, at + size


def encode(message: Message) -> bytes:
    """Encode a message as it is, valid or not, with options sorted by number.

    Raises ValueError if no datagram can hold it: a token of more than 15 bytes, numbers out of range.
    """
    if len(message.token) > 15:
        raise ValueError(f"a token of {len(message.token)} bytes does not fit the token length")
    encoded = bytearray([message.version << 6 | message.type << 4 | len(message.token), message.code])
    try:
        encoded += message.mid.to_bytes(2, "big") + message.token
        previous = 0
        for option in sorted(message.options, key=lambda option: option.number):
            delta, delta_bytes = _nibble(option.number - previous)
            length, length_bytes = _nibble(len(option.value))
            encoded.append(delta << 4 | length)
            encoded += delta_bytes + length_bytes + option.value
            previous = option.number
    except OverflowError as overflow:
        raise ValueError(f"a number is out of range: {overflow}") from overflow
    if message.payload:
        encoded += b"\xff" + message.payload
    return bytes(encoded)


def _nibble(value: int) -> tuple[int, bytes]:
    if value < 13:
        return value, b""
    if value < 269:
        return 13, bytes([value - 13])
    return 14, (value - 269).to_bytes(2, "big")


def request(
    code: int,
    path: str,
    *,
    mid: int,
    token: bytes,
    type: Type = Type.CON,
    observe: int | None = None,
    accept: int | None = None,
    content_format: int | None = None,
    payload: bytes = b"",
    block2: Block | None = None,
    block1: Block | None = None,
    extra: Iterable[Option] = (),
) -> Message:
    """A request for ``path``, which may include a "?query"; percent-encoding is resolved (6.4)."""
    path, _, query = path.partition("?")
    path = path.removeprefix("/")
    segments = path.split("/") if path else []
    options = [Option(OptionNumber.URI_PATH, unquote_to_bytes(segment)) for segment in segments]
    options += [Option(OptionNumber.URI_QUERY, unquote_to_bytes(part)) for part in query.split("&") if part]
    numbers = {
        OptionNumber.OBSERVE: observe,
        OptionNumber.ACCEPT: accept,
        OptionNumber.CONTENT_FORMAT: content_format,
        OptionNumber.BLOCK2: block2.value if block2 else None,
        OptionNumber.BLOCK1: block1.value if block1 else None,
    }
    options += [Option(number, encode_uint(value)) for number, value in numbers.items() if value is not None]
    options += extra
    options.sort(key=lambda option: option.number)
    return Message(1, type, code, mid, token, tuple(options), payload)


def empty(type: Type, mid: int) -> Message:
    """An empty message: an acknowledgement, a reset, or (CON) a ping."""
    return Message(1, type, Code.EMPTY, mid)


def is_newer(first: int, second: int, elapsed: float) -> bool:
    """Whether the notification ``second`` is newer than ``first`` (RFC 7641 3.4).

    ``first`` and ``second`` are Observe values, ``elapsed`` the seconds between their arrivals.
    """
    half = 1 << 23
    return first < second < first + half or first > second + half or elapsed > 128
