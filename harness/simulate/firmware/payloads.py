"""Encodes values as payloads and decodes them, for the firmware of a simulated device.

The harness judges payloads with its own codec on purpose: a shared one would always agree with itself.
Decoding is strict: a payload that does not fit the profile exactly raises :class:`PayloadError`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import cbor2

from harness.model.base import Value
from harness.model.bindings.coap import ContentFormat
from harness.model.schema import DataSchema, DataType, same_value


class PayloadError(ValueError):
    """The payload holds no value of the expected kind; the text is the reason."""


class MemberMissing(PayloadError):
    """The payload is an object without the wanted member."""


# JSON


def encode_json(value: Value) -> bytes:
    """Compact JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def decode_json(payload: bytes) -> Value:
    """The value of a JSON text in UTF-8. Refuses NaN, infinities, and members that appear twice."""
    try:
        return json.loads(payload.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_object)
    except RecursionError:
        raise PayloadError("the JSON is nested too deeply") from None
    except ValueError as error:
        raise PayloadError(f"not JSON: {error}") from None


def _refuse_constant(text: str) -> Value:
    raise ValueError(f"{text} is no JSON number")


def _object(members: list[tuple[str, Value]]) -> dict[str, Value]:
    found = dict(members)
    if len(found) != len(members):
        raise ValueError("a member appears twice")
    return found


# Words that stand for values, and members of objects


def to_word(value: Value, words: Mapping[str, Value] | None) -> Value:
    """The word that stands for a value, or the value itself where there are no words or none for it."""
    for word, meaning in (words or {}).items():
        if same_value(meaning, value):
            return word
    return value


def from_word(word: Value, words: Mapping[str, Value]) -> Value:
    """The value that a word stands for."""
    if not isinstance(word, str) or word not in words:
        raise PayloadError(f"{word!r} is none of {', '.join(words)}")
    return words[word]


def member_of(value: Value, member: str) -> Value:
    """One member of an object."""
    if not isinstance(value, dict):
        raise PayloadError("not an object")
    if member not in value:
        raise MemberMissing(f"the object has no member {member}")
    return value[member]


# MQTT


def encode_mqtt(value: Value, words: Mapping[str, Value] | None = None) -> bytes:
    """A payload that is one value: the word for it, or its JSON text."""
    word = to_word(value, words)
    return word.encode() if words and isinstance(word, str) else encode_json(word)


def encode_mqtt_members(values: Mapping[str, tuple[Value, Mapping[str, Value] | None]]) -> bytes:
    """A JSON object of several values, each with its words."""
    return encode_json({member: to_word(value, words) for member, (value, words) in values.items()})


def decode_mqtt(payload: bytes, words: Mapping[str, Value] | None = None, member: str | None = None) -> Value:
    """The value in a payload, by a binding's words and member."""
    if member is not None:
        found = member_of(decode_json(payload), member)
        return from_word(found, words) if words else found
    if words is None:
        return decode_json(payload)
    try:
        return from_word(payload.decode("utf-8"), words)
    except UnicodeDecodeError:
        raise PayloadError("not UTF-8") from None


# CoAP


def encode_content(form: ContentFormat, value: Value, member: str | None = None) -> bytes:
    """A representation of a value in one of the content formats."""
    if member is not None:
        value = {member: value}
    if form is ContentFormat.CBOR:
        return cbor2.dumps(value)
    if form is ContentFormat.TEXT and isinstance(value, str):
        return value.encode()
    return encode_json(value)


def decode_content(
    form: ContentFormat, payload: bytes, schema: DataSchema | None, member: str | None = None
) -> Value:
    """The value of a representation. ``schema`` tells text that is a string from the text of a number."""
    if form is ContentFormat.CBOR:
        value = _decode_cbor(payload)
    elif form is ContentFormat.TEXT and schema is not None and schema.type is DataType.STRING:
        try:
            value = payload.decode("utf-8")
        except UnicodeDecodeError:
            raise PayloadError("not UTF-8") from None
    else:
        value = decode_json(payload)
    return value if member is None else member_of(value, member)


def _decode_cbor(payload: bytes) -> Value:
    stream = io.BytesIO(payload)
    try:
        value: Any = cbor2.CBORDecoder(stream).decode()
    except Exception as error:  # cbor2 raises many kinds on hostile input
        raise PayloadError(f"not CBOR: {error}") from None
    if stream.read(1):
        raise PayloadError("bytes follow after the CBOR item")
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        # Byte strings, dates and the like are valid CBOR, but not values of properties.
        raise PayloadError("the CBOR item is no JSON value") from None
    return value
