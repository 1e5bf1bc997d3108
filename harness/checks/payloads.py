"""Encodes values as payloads and decodes them, by the bindings of the profile.

The decoders are strict, because the tool calls valid what they accept: JSON per RFC 8259 (no NaN, no
trailing text, no duplicate members), UTF-8 without byte order mark.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.model.base import Value
from harness.model.bindings.mqtt import PLAIN_TEXT
from harness.model.schema import DataSchema, DataType, same_value


@dataclass(frozen=True, slots=True)
class Undecoded:
    """A payload without a value. ``absent``: the object lacks the member."""

    why: str
    absent: bool = False


def decode_json(payload: bytes) -> Value | Undecoded:
    """The value of a JSON text, decoded strictly."""
    if payload.startswith(b"\xef\xbb\xbf"):
        return Undecoded("begins with a byte order mark (RFC 8259, 8.1)")
    try:
        return json.loads(
            payload.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_no_duplicates
        )
    except UnicodeDecodeError:
        return Undecoded("is not UTF-8")
    except (ValueError, RecursionError) as problem:
        return Undecoded(f"is not JSON: {problem}")


def decode_mqtt(payload: bytes, member: str | None, values: Mapping[str, Value] | None) -> Value | Undecoded:
    """The value in an MQTT payload, by a binding's ``member`` and ``values``."""
    if member is None and values is not None:
        try:
            text = payload.decode("utf-8")
        except UnicodeDecodeError:
            return Undecoded("is not UTF-8")
        return _mapped(text, values)
    decoded = decode_json(payload)
    if member is not None and not isinstance(decoded, Undecoded):
        if not isinstance(decoded, dict):
            return Undecoded("is not a JSON object")
        if member not in decoded:
            return Undecoded(f"has no member {member}", absent=True)
        decoded = decoded[member]
        if values is not None:
            return _mapped(decoded, values)
    return decoded


def decode_coap(
    payload: bytes,
    content_format: int | None,
    member: str | None,
    assumed: int | None = None,
    schema: DataSchema | None = None,
) -> Value | Undecoded:
    """The value in a CoAP payload, by the Content-Format that came with it.

    Without one, the format is up to the application (RFC 7252, 5.5.1): ``assumed`` is used. Plain text does
    not distinguish the string "1" from the number; ``schema`` does.
    """
    decoded: Value | Undecoded
    content_format = assumed if content_format is None else content_format
    if content_format == 50:
        decoded = decode_json(payload)
    elif content_format == 60:
        decoded = _decode_cbor(payload)
    elif content_format == 0:
        decoded = _decode_text(payload, schema is not None and schema.type is DataType.STRING)
    elif content_format is None:
        return Undecoded("has no Content-Format")
    else:
        return Undecoded(f"has Content-Format {content_format}, which the profile does not use")
    if member is None or isinstance(decoded, Undecoded):
        return decoded
    if not isinstance(decoded, dict) or member not in decoded:
        return Undecoded(f"has no member {member}", absent=isinstance(decoded, dict))
    return decoded[member]


def encode_mqtt(value: Value, member: str | None, values: Mapping[str, Value] | None) -> bytes:
    """The payload that commands ``value``. Values outside the map are sent as their JSON text."""
    if values is PLAIN_TEXT and member is None and isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if values is not None:
        text = next((text for text, mapped in values.items() if same_value(mapped, value)), None)
        if text is not None:
            return encode_json({member: text}) if member else text.encode()
    return encode_json({member: value} if member else value)


def encode_coap(value: Value, format_name: str, member: str | None) -> bytes:
    """The payload of a PUT or POST in one of the formats ``json``, ``text``, ``cbor``."""
    if member is not None:
        value = {member: value}
    if format_name == "cbor":
        import cbor2

        return cbor2.dumps(value)
    if format_name == "text" and isinstance(value, str):
        return value.encode()
    return encode_json(value)


def encode_json(value: Value) -> bytes:
    """Compact JSON. Raises ValueError for NaN and infinities, which JSON does not have."""
    return json_text(value).encode()


def json_text(value: Value) -> str:
    """The canonical JSON text of a value, as stimuli carry it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _mapped(text: Value, values: Mapping[str, Value]) -> Value | Undecoded:
    if isinstance(text, str) and text in values:
        return values[text]
    return Undecoded(f"is {text!r}, none of {', '.join(values)}")


def _decode_text(payload: bytes, string: bool) -> Value | Undecoded:
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError:
        return Undecoded("is not UTF-8")
    if string:
        return text
    # Numbers and booleans travel as their JSON text; anything else is the string itself.
    decoded = decode_json(payload)
    return decoded if isinstance(decoded, bool | int | float) else text


def _decode_cbor(payload: bytes) -> Value | Undecoded:
    import cbor2

    stream = io.BytesIO(payload)
    try:
        value: Value = cbor2.load(stream)
    except Exception as problem:  # cbor2 raises many kinds on hostile input
        return Undecoded(f"is not CBOR: {problem}")
    return Undecoded("has data after its CBOR item") if stream.read() else value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise ValueError(f"member {name} appears twice")
        members[name] = value
    return members
