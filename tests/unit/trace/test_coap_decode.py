from __future__ import annotations

import aiocoap
import pytest
from aiocoap.numbers.codes import Code as AiocoapCode
from aiocoap.numbers.types import Type as AiocoapType
from aiocoap.optiontypes import OpaqueOption
from hypothesis import given
from hypothesis import strategies as st

from harness.wire import coap
from harness.wire.coap.codec import (
    Block,
    Code,
    Message,
    Option,
    OptionNumber,
    Type,
)

codes = st.sampled_from([code for code in Code if code is not Code.EMPTY])
mids = st.integers(0, 0xFFFF)
tokens = st.binary(max_size=8)
private = st.integers(65000, 65535)  # numbers for experiments: values of any size up to 65804 bytes
segments = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).filter(
    lambda text: text not in (".", "..")
)
options = st.lists(
    st.one_of(
        st.builds(Option, private, st.binary(max_size=400)),
        st.builds(Option, st.just(OptionNumber.URI_PATH), segments.map(str.encode)),
        st.builds(Option, st.just(OptionNumber.ETAG), st.binary(min_size=1, max_size=8)),
    ),
    max_size=6,
).map(lambda found: tuple(sorted(found, key=lambda option: option.number)))


def clauses(raw: bytes) -> list[str]:
    return [problem.clause for problem in coap.decode(raw).problems]


@given(st.sampled_from([Type.CON, Type.NON]), codes, mids, tokens, options, st.binary(max_size=100))
def test_messages_come_back(
    type: Type, code: int, mid: int, token: bytes, options: tuple[Option, ...], payload: bytes
) -> None:
    message = Message(1, type, code, mid, token, options, payload)
    assert coap.decode(coap.encode(message)) == message


@given(st.binary(max_size=60))
def test_any_datagram_decodes_and_valid_ones_encode_to_the_same_bytes(raw: bytes) -> None:
    message = coap.decode(raw)
    _ = message.uri_path, message.uri_query, message.observe, message.block1, message.block2
    if not message.problems:
        assert coap.encode(message) == raw


@given(mids, tokens, options, st.binary(max_size=60), st.data())
def test_damaged_datagrams_decode(
    mid: int, token: bytes, options: tuple[Option, ...], payload: bytes, data: st.DataObject
) -> None:
    raw = bytearray(coap.encode(Message(1, Type.CON, Code.GET, mid, token, options, payload)))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    message = coap.decode(bytes(raw))
    if not message.problems:
        assert coap.encode(message) == raw


# Against aiocoap


@given(st.sampled_from([Type.CON, Type.NON]), codes, mids, tokens, options, st.binary(max_size=100))
def test_aiocoap_reads_what_we_write(
    type: Type, code: Code, mid: int, token: bytes, options: tuple[Option, ...], payload: bytes
) -> None:
    raw = coap.encode(Message(1, type, code, mid, token, options, payload))
    theirs = aiocoap.Message.decode(raw)
    assert (theirs.mtype.value, theirs.code, theirs.mid, theirs.token) == (type, code, mid, token)
    assert theirs.payload == payload
    assert [(int(o.number), o.encode()) for o in theirs.opt.option_list()] == [
        (o.number, o.value) for o in options
    ]


@given(
    mids, tokens, st.lists(segments, max_size=4), st.none() | st.integers(0, 0xFFFF), st.binary(max_size=50)
)
def test_we_read_what_aiocoap_writes(
    mid: int, token: bytes, path: list[str], accept: int | None, payload: bytes
) -> None:
    theirs = aiocoap.Message(
        code=AiocoapCode.PUT, _mtype=AiocoapType.NON, _mid=mid, _token=token, payload=payload
    )
    theirs.opt.uri_path = path
    theirs.opt.accept = accept
    theirs.opt.observe = 0
    theirs.opt.add_option(OpaqueOption(65001, bytes(300)))
    ours = coap.decode(theirs.encode())
    assert ours.problems == ()
    assert (ours.type, ours.code, ours.mid, ours.token) == (Type.NON, Code.PUT, mid, token)
    assert ours.values(OptionNumber.URI_PATH) == tuple(segment.encode() for segment in path)
    assert (ours.uint(OptionNumber.ACCEPT), ours.observe, ours.payload) == (accept, 0, payload)
    assert ours.option(65001) == bytes(300)


@given(st.integers(0, 0xFFFFF), st.booleans(), st.integers(0, 6))
def test_blocks_agree_with_aiocoap(num: int, more: bool, szx: int) -> None:
    block = Block(num, more, szx)
    message = coap.request(Code.GET, "/large", mid=1, token=b"t", block2=block)
    assert message.block2 == block
    theirs = aiocoap.Message.decode(coap.encode(message)).opt.block2
    assert (theirs.block_number, theirs.more, theirs.size) == (num, more, block.size)


# Requests


def test_request_has_its_options_in_order() -> None:
    message = coap.request(
        Code.PUT,
        "/sensors/r%C3%A4um%2F1?unit=C&deep",
        mid=7,
        token=b"\x4a",
        observe=0,
        accept=50,
        content_format=0,
        payload=b"on",
        block1=Block(2, True, 4),
        extra=[Option(OptionNumber.IF_NONE_MATCH, b"")],
    )
    assert [(option.number, option.value) for option in message.options] == [
        (OptionNumber.IF_NONE_MATCH, b""),
        (OptionNumber.OBSERVE, b""),
        (OptionNumber.URI_PATH, b"sensors"),
        (OptionNumber.URI_PATH, "räum/1".encode()),
        (OptionNumber.CONTENT_FORMAT, b""),
        (OptionNumber.URI_QUERY, b"unit=C"),
        (OptionNumber.URI_QUERY, b"deep"),
        (OptionNumber.ACCEPT, b"\x32"),
        (OptionNumber.BLOCK1, b"\x2c"),
    ]
    assert (message.uri_path, message.uri_query) == ("/sensors/r%C3%A4um%2F1", "unit=C&deep")
    assert (message.content_format, message.option(OptionNumber.ETAG)) == (0, None)
    assert message.is_request and not message.is_response
    assert coap.decode(coap.encode(message)) == message


@pytest.mark.parametrize(
    ("path", "values"), [("/", ()), ("", ()), ("/a/", (b"a", b"")), ("a//b", (b"a", b"", b"b"))]
)
def test_paths(path: str, values: tuple[bytes, ...]) -> None:
    message = coap.request(Code.GET, path, mid=1, token=b"")
    assert message.values(OptionNumber.URI_PATH) == values


def test_empty_messages() -> None:
    ping = coap.empty(Type.CON, 0x1234)
    assert coap.encode(ping) == b"\x40\0\x12\x34"
    assert coap.decode(b"\x70\0\x12\x34") == coap.empty(Type.RST, 0x1234)
    assert ping.is_empty and not ping.is_request and not ping.is_response


@pytest.mark.parametrize("value", [0, 1, 255, 256, 65535, 65536, 2**32 - 1])
def test_uint_takes_the_fewest_bytes(value: int) -> None:
    encoded = coap.encode_uint(value)
    assert int.from_bytes(encoded, "big") == value
    assert not encoded.startswith(b"\0")


@pytest.mark.parametrize(
    "message",
    [
        Message(1, Type.CON, 1, 0, token=bytes(16)),
        Message(1, Type.CON, 1, 65536),
        Message(1, Type.CON, 1, 0, options=(Option(-1, b""),)),
        Message(1, Type.CON, 1, 0, options=(Option(1, bytes(65805)),)),
    ],
)
def test_encode_refuses_what_no_datagram_can_hold(message: Message) -> None:
    with pytest.raises(ValueError):
        coap.encode(message)


# Violations


def get(
    *options: tuple[int, bytes], type: Type = Type.CON, code: int = Code.GET, payload: bytes = b""
) -> bytes:
    return coap.encode(Message(1, type, code, 1, b"", tuple(Option(*option) for option in options), payload))


BAD = {
    "nothing": (b"", ["RFC 7252 3"]),
    "short": (b"\x40\1\0", ["RFC 7252 3"]),
    "version": (b"\x80\1\0\1", ["RFC 7252 3"]),
    "token-length-9": (b"\x49\1\0\1123456789", ["RFC 7252 3"]),
    "token-length-15": (b"\x4f\1\0\1", ["RFC 7252 3"]),
    "token-cut": (b"\x44\1\0\1ab", ["RFC 7252 3"]),
    "marker-without-payload": (b"\x40\1\0\1\xff", ["RFC 7252 3"]),
    "delta-15": (b"\x40\1\0\1\xf0", ["RFC 7252 3.1"]),
    "length-15": (b"\x40\1\0\1\xbf", ["RFC 7252 3.1"]),
    "option-cut": (b"\x40\1\0\1\xb3ab", ["RFC 7252 3.1"]),
    "delta-cut": (b"\x40\1\0\1\xe0\x01", ["RFC 7252 3.1"]),
    "length-cut": (b"\x40\1\0\1\xbd", ["RFC 7252 3.1"]),
    "empty-with-token": (b"\x41\0\0\1a", ["RFC 7252 4.1"]),
    "empty-with-token-length": (b"\x41\0\0\1", ["RFC 7252 3", "RFC 7252 4.1"]),
    "empty-with-payload": (b"\x40\0\0\1\xffa", ["RFC 7252 4.1"]),
    "reserved-class-1": (b"\x40\x20\0\1", ["RFC 7252 4.2"]),
    "reserved-class-7": (b"\x40\xe1\0\1", ["RFC 7252 4.2"]),
    "reset-not-empty": (b"\x70\x45\0\1", ["RFC 7252 4.2"]),
    "acknowledgement-with-request": (b"\x60\1\0\1", ["RFC 7252 4.2"]),
    "empty-non": (b"\x50\0\0\1", ["RFC 7252 4.3"]),
    "path-not-utf-8": (get((OptionNumber.URI_PATH, b"\xff")), ["RFC 7252 3.2"]),
    "path-dots": (get((OptionNumber.URI_PATH, b"..")), ["RFC 7252 5.10.1"]),
    "accept-twice": (get((OptionNumber.ACCEPT, b""), (OptionNumber.ACCEPT, b"")), ["RFC 7252 5.4.5"]),
    "content-format-long": (get((OptionNumber.CONTENT_FORMAT, b"\0\0\1")), ["RFC 7252 5.4.3"]),
    "etag-empty": (get((OptionNumber.ETAG, b"")), ["RFC 7252 5.4.3"]),
    "observe-long": (get((OptionNumber.OBSERVE, b"1234")), ["RFC 7252 5.4.3"]),
    "block-size-7": (get((OptionNumber.BLOCK2, b"\x07")), ["RFC 7959 2.2"]),
    "number-beyond": (get((65535, b""), (65536, b"")), ["RFC 7252 12.2"]),
}


@pytest.mark.parametrize("name", BAD)
def test_violations(name: str) -> None:
    raw, expected = BAD[name]
    assert clauses(raw) == expected


def test_what_stands_before_a_broken_option_is_kept() -> None:
    message = coap.decode(get((OptionNumber.URI_PATH, b"a")) + b"\xf0")
    assert message.uri_path == "/a"
    assert message.problems


@pytest.mark.parametrize(
    "raw",
    [
        get((2049, b"x"), (2049, b"y")),  # unknown options are no violation, nor are they when repeated
        get((OptionNumber.MAX_AGE, b"\0\x3c")),  # leading zeros are only discouraged
        get((OptionNumber.ETAG, b"1"), (OptionNumber.ETAG, b"2")),
        get(type=Type.ACK, code=0x5E),  # codes without a meaning yet
    ],
)
def test_what_is_no_violation(raw: bytes) -> None:
    assert clauses(raw) == []


# Small helpers


@pytest.mark.parametrize(
    ("code", "text", "name"),
    [
        (0x45, "2.05", "2.05 Content"),
        (0x01, "0.01", "GET"),
        (0x07, "0.07", "iPATCH"),
        (0x8F, "4.15", "4.15 Unsupported content format"),
        (0x00, "0.00", "0.00 Empty"),
        (0xFF, "7.31", "7.31"),
    ],
)
def test_code_texts(code: int, text: str, name: str) -> None:
    assert (coap.code_text(code), coap.code_name(code)) == (text, name)


def test_critical_options() -> None:
    assert [number for number in OptionNumber if coap.is_critical(number)] == [
        number for number in OptionNumber if int(number) % 2
    ]
    assert coap.is_critical(2049) and not coap.is_critical(2050)


@pytest.mark.parametrize(
    ("first", "second", "elapsed", "newer"),
    [
        (5, 6, 1, True),
        (6, 5, 1, False),
        (5, 5, 1, False),
        (0, 2**23 - 1, 1, True),
        (0, 2**23, 1, False),
        (2**24 - 1, 0, 1, True),
        (2**23, 0, 1, False),
        (2**23 + 1, 0, 1, True),
        (6, 5, 128, False),
        (6, 5, 128.1, True),
    ],
)
def test_newer_notifications(first: int, second: int, elapsed: float, newer: bool) -> None:
    assert coap.is_newer(first, second, elapsed) is newer
