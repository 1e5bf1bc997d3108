import contextlib
import json
import math

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.base import Value
from harness.model.bindings.coap import ContentFormat
from harness.model.schema import DataSchema, DataType, same_value
from harness.simulate.firmware.payloads import (
    PayloadError,
    decode_content,
    decode_json,
    decode_mqtt,
    encode_content,
    encode_json,
    encode_mqtt,
    encode_mqtt_members,
)

SCALARS = st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | SCALARS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
WORDS = {"ON": True, "OFF": False, "half": 50}


@given(VALUES)
def test_json_comes_back(value: Value) -> None:
    assert decode_json(encode_json(value)) == value
    assert json.loads(encode_json(value)) == value


@given(st.binary(max_size=40))
def test_any_bytes_are_a_value_or_a_payload_error(payload: bytes) -> None:
    for words, member in ((None, None), (WORDS, None), (None, "a"), (WORDS, "a")):
        with contextlib.suppress(PayloadError):
            decode_mqtt(payload, words, member)
    for form in ContentFormat:
        with contextlib.suppress(PayloadError):
            json.dumps(decode_content(form, payload, None))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"NaN",
        b"-Infinity",
        b'{"a":1,"a":2}',
        b"1 2",
        b"\xff",
        b"\xef\xbb\xbf1",
        b"[" * 100_000,
        b"9" * 5000,
        b"'a'",
        b"01",
    ],
)
def test_what_is_no_json_is_refused(payload: bytes) -> None:
    with pytest.raises(PayloadError):
        decode_json(payload)


@given(st.sampled_from(list(WORDS.items())))
def test_words_stand_for_values(pair: tuple[str, Value]) -> None:
    word, value = pair
    assert encode_mqtt(value, WORDS) == word.encode()
    assert same_value(decode_mqtt(word.encode(), WORDS), value)
    members = encode_mqtt_members({"a": (value, WORDS), "b": (1, None)})
    assert json.loads(members) == {"a": word, "b": 1}
    assert same_value(decode_mqtt(members, WORDS, "a"), value)


@pytest.mark.parametrize("payload", [b"on", b"true", b'"ON"', b"ON ", b"\xff"])
def test_only_the_declared_words_count(payload: bytes) -> None:
    with pytest.raises(PayloadError):
        decode_mqtt(payload, WORDS)


@given(st.sampled_from([ContentFormat.JSON, ContentFormat.CBOR]), VALUES)
def test_representations_come_back(form: ContentFormat, value: Value) -> None:
    assert decode_content(form, encode_content(form, value), None) == value
    assert decode_content(form, encode_content(form, value, "m"), None, "m") == value


@given(st.text() | SCALARS)
def test_plain_text_comes_back_by_its_schema(value: Value) -> None:
    kind = DataType.STRING if isinstance(value, str) else DataType.NUMBER
    encoded = encode_content(ContentFormat.TEXT, value)
    assert decode_content(ContentFormat.TEXT, encoded, DataSchema(type=kind)) == value


def test_cbor_is_one_item_and_nothing_after_it() -> None:
    encoded = encode_content(ContentFormat.CBOR, 21.5)
    assert cbor2.loads(encoded) == 21.5
    for payload in (encoded + b"\x00", encoded[:-1], b"", b"\xff", b"\x41a", b"\xf7"):
        with pytest.raises(PayloadError):
            decode_content(ContentFormat.CBOR, payload, None)


def test_numbers_too_large_for_a_float_are_no_numbers_of_a_schema() -> None:
    value = decode_json(b"1e400")
    assert math.isinf(value)
    assert DataSchema(type=DataType.NUMBER).violations(value)
