"""Malformed command payloads, in the form of a property's binding."""

from __future__ import annotations

from harness.checks.observations import Transport
from harness.checks.payloads import Undecoded, decode_coap, decode_mqtt, encode_coap, encode_json, encode_mqtt
from harness.checks.support.behaviour.boundary_values import (
    NUMERIC,
    limits,
    of_other_types,
)
from harness.model.base import Value
from harness.model.bindings.coap import ContentFormat
from harness.model.profile import Profile
from harness.model.schema import DataSchema

LONG = 400  # characters; should fit into any command buffer
DEEP = 200  # brackets


def encoded(profile: Profile, name: str, value: Value, transport: Transport) -> bytes:
    """The payload of a command for a value, which may be illegal."""
    mqtt, coap = profile.bindings.mqtt, profile.bindings.coap
    if transport is Transport.MQTT and mqtt is not None:
        bound = mqtt.properties[name]
        if bound.words is not None and bound.command_member is None and isinstance(value, str):
            words = [word for word, meaning in bound.words.items() if meaning == value]
            return (words[0] if words else value).encode()
        return encode_mqtt(value, bound.command_member, bound.words)
    assert coap is not None
    resource = coap.properties[name]
    return encode_coap(value, resource.format, resource.member)


def outside_texts(profile: Profile, name: str, transport: Transport) -> list[bytes]:
    """NaN and overflowing numbers, where numbers are sent as text."""
    schema = profile.properties[name]
    if schema.type not in NUMERIC or schema.enum or _carries_words_or_bytes(profile, name, transport):
        return []
    legal = encode_json(limits(schema)[0])
    whole = encoded(profile, name, limits(schema)[0], transport)
    return [whole.replace(legal, text) for text in (b"NaN", b"1e400", b"-1e400")]


def malformed(profile: Profile, name: str, transport: Transport) -> list[tuple[bytes, str]]:
    """Payloads without a legal value, each with a short description."""
    schema = profile.properties[name]
    legal = limits(schema)[-1]
    good = encoded(profile, name, legal, transport)
    found = [
        (encoded(profile, name, value, transport), "of another type") for value in of_other_types(schema)
    ]
    found += [
        (b"", "empty"),
        (b"\x00", "a zero byte"),
        (b"\xff\xfe\xfd", "not UTF-8"),
        (b'{"value":', "truncated JSON"),
        (b"[" * DEEP, "deep nesting"),
        (b"x" * LONG, "a long text"),
        (good + b"x", "a legal value followed by a letter"),
        (good + b" " + good, "two values"),
    ]
    member = _member(profile, name, transport)
    if member is not None:
        text = encode_json(legal)
        twice = b'{"%s":%s,"%s":%s}' % (member.encode(), text, member.encode(), text)
        found += [(twice, "a duplicate member"), (good[:-1], "an unfinished object")]
    return [
        (payload, what) for payload, what in found if not _is_legal(schema, profile, name, transport, payload)
    ]


def _is_legal(schema: DataSchema, profile: Profile, name: str, transport: Transport, payload: bytes) -> bool:
    """Whether a payload is a legal command after all."""
    mqtt, coap = profile.bindings.mqtt, profile.bindings.coap
    value: Value | Undecoded
    if transport is Transport.MQTT and mqtt is not None:
        bound = mqtt.properties[name]
        value = decode_mqtt(payload, bound.command_member, bound.words)
    else:
        assert coap is not None
        resource = coap.properties[name]
        value = decode_coap(payload, resource.format.number, resource.member, schema=schema)
    return not isinstance(value, Undecoded) and schema.accepts(value)


def _member(profile: Profile, name: str, transport: Transport) -> str | None:
    mqtt, coap = profile.bindings.mqtt, profile.bindings.coap
    if transport is Transport.MQTT:
        return mqtt.properties[name].command_member if mqtt else None
    return coap.properties[name].member if coap else None


def _carries_words_or_bytes(profile: Profile, name: str, transport: Transport) -> bool:
    mqtt, coap = profile.bindings.mqtt, profile.bindings.coap
    if transport is Transport.MQTT:
        return mqtt is not None and mqtt.properties[name].values is not None
    return coap is not None and coap.properties[name].format is ContentFormat.CBOR
