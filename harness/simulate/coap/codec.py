"""Reading CoAP datagrams as strictly as RFC 7252 requires; aiocoap's decoder is more lenient."""

from __future__ import annotations

from dataclasses import dataclass

from aiocoap import CON, Code, Message
from aiocoap.interfaces import EndpointAddress
from aiocoap.numbers import OptionNumber
from aiocoap.numbers.types import Type

from harness.simulate.coap.deviations import CoapDeviations

_PAYLOAD_MARKER = 0xFF

RawOption = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class RawMessage:
    """The fields of a well-formed message."""

    type: Type
    code: int
    message_id: int
    token: bytes = b""
    options: tuple[RawOption, ...] = ()
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class FormatError:
    """A message that breaks the format; its header decides how it is rejected (RFC 7252, 4.2 and 4.3)."""

    type: Type
    message_id: int


class _BrokenOptions(Exception):
    """The options cannot be read; the argument holds those before the broken one."""


def read(datagram: bytes, *, strict: bool = True) -> RawMessage | FormatError | None:
    """Decodes a datagram; None if it must be silently ignored (RFC 7252, 3).

    With ``strict`` False, readable parts of malformed datagrams are accepted, as careless devices do.
    """
    if len(datagram) < 4 or (strict and datagram[0] >> 6 != 1):
        return None
    kind = Type(datagram[0] >> 4 & 3)
    token_length = datagram[0] & 0x0F
    code = datagram[1]
    message_id = int.from_bytes(datagram[2:4], "big")
    error = FormatError(kind, message_id)
    if code == 0:
        return error if strict and len(datagram) > 4 else RawMessage(kind, code, message_id)
    if token_length > (8 if strict else 15) or len(datagram) < 4 + token_length:
        return error
    try:
        options, payload = _read_options(datagram[4 + token_length :], strict=strict)
    except _BrokenOptions as broken:
        if strict:
            return error
        options, payload = broken.args[0], b""
    return RawMessage(kind, code, message_id, datagram[4 : 4 + token_length], options, payload)


def _read_options(rest: bytes, *, strict: bool) -> tuple[tuple[RawOption, ...], bytes]:
    options: list[RawOption] = []
    number = 0
    while rest:
        if rest[0] == _PAYLOAD_MARKER:
            if len(rest) == 1 and strict:
                raise _BrokenOptions(tuple(options))
            return tuple(options), rest[1:]
        delta_nibble, length_nibble = rest[0] >> 4, rest[0] & 0x0F
        try:
            delta, rest = _read_extended(delta_nibble, rest[1:])
            length, rest = _read_extended(length_nibble, rest)
        except ValueError:
            raise _BrokenOptions(tuple(options)) from None
        number += delta
        if length > len(rest) or number > 0xFFFF:
            raise _BrokenOptions(tuple(options))
        options.append((number, rest[:length]))
        rest = rest[length:]
    return tuple(options), b""


def _read_extended(nibble: int, rest: bytes) -> tuple[int, bytes]:
    size, base = {13: (1, 13), 14: (2, 269)}.get(nibble, (0, nibble))
    if nibble == 15 or len(rest) < size:
        raise ValueError
    return base + int.from_bytes(rest[:size], "big"), rest[size:]


@dataclass(frozen=True, slots=True)
class _OptionRule:
    shortest: int
    longest: int
    repeatable: bool = False
    text: bool = False
    number: bool = False


# The options that this server understands in requests, with their legal lengths (RFC 7252 5.10,
# RFC 7641 2, RFC 7959 2.1 and 4).
_UNDERSTOOD = {
    OptionNumber.IF_MATCH: _OptionRule(0, 8, repeatable=True),
    OptionNumber.URI_HOST: _OptionRule(1, 255, text=True),
    OptionNumber.ETAG: _OptionRule(1, 8, repeatable=True),
    OptionNumber.IF_NONE_MATCH: _OptionRule(0, 0),
    OptionNumber.OBSERVE: _OptionRule(0, 3, number=True),
    OptionNumber.URI_PORT: _OptionRule(0, 2, number=True),
    OptionNumber.URI_PATH: _OptionRule(0, 255, repeatable=True, text=True),
    OptionNumber.CONTENT_FORMAT: _OptionRule(0, 2, number=True),
    OptionNumber.URI_QUERY: _OptionRule(0, 255, repeatable=True, text=True),
    OptionNumber.ACCEPT: _OptionRule(0, 2, number=True),
    OptionNumber.BLOCK2: _OptionRule(0, 3, number=True),
    OptionNumber.BLOCK1: _OptionRule(0, 3, number=True),
    OptionNumber.PROXY_URI: _OptionRule(1, 1034, text=True),
    OptionNumber.PROXY_SCHEME: _OptionRule(1, 255, text=True),
    OptionNumber.SIZE1: _OptionRule(0, 4, number=True),
}


class Request(Message):  # type: ignore[misc]
    """A request with only the options that this server understands."""

    refused: int | None = None  # a critical option that it does not understand


def to_request(raw: RawMessage, remote: EndpointAddress, deviations: CoapDeviations) -> Request:
    """The message as an aiocoap message, without unrecognised options (RFC 7252, 5.4.1).

    An option of illegal length, and a surplus one of a kind that is not repeatable, counts as unrecognised
    (5.4.3, 5.4.5).
    """
    request = Request(code=raw.code, payload=raw.payload)
    request.mtype, request.mid, request.token, request.remote = raw.type, raw.message_id, raw.token, remote
    seen: set[int] = set()
    for number, value in raw.options:
        if _understands(number, value, deviations, repeated=number in seen):
            option = OptionNumber(number).create_option(decode=value)
            request.opt.add_option(option)
        elif _refuses(number, deviations):
            request.refused = number
        seen.add(number)
    return request


def _understands(number: int, value: bytes, deviations: CoapDeviations, *, repeated: bool) -> bool:
    rule = _UNDERSTOOD.get(OptionNumber(number))
    if rule is None or (number == OptionNumber.URI_HOST and not deviations.understand_uri_host):
        return False
    if rule.text and not _is_text(value):
        return False
    if rule.number and value[:1] == b"\0" and not deviations.accept_leading_zeros:
        return False
    if not deviations.check_option_lengths:
        return True
    return rule.shortest <= len(value) <= rule.longest and (rule.repeatable or not repeated)


def _refuses(number: int, deviations: CoapDeviations) -> bool:
    is_critical = number % 2 == 1
    return deviations.refuse_critical_options if is_critical else not deviations.ignore_elective_options


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def is_rejected_with_reset(raw: RawMessage | FormatError) -> bool:
    """Whether a message that is not processed gets a Reset: only if it is confirmable."""
    return raw.type is CON


def is_request(raw: RawMessage) -> bool:
    """Whether its code is a method, known or not."""
    return bool(Code(raw.code).is_request())
