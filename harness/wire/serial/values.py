"""Values of properties as text, as numbers in frames, and in registers."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation

from harness.model.base import Value
from harness.model.bindings.serial import (
    ByteOrder,
    WireNumber,
)
from harness.model.schema import DataSchema, DataType, same_value

_NUMERIC = (DataType.INTEGER, DataType.NUMBER)


class UnfitError(ValueError):
    """A value that cannot be encoded, or bytes that are not a value; the message is for people."""


def to_text(schema: DataSchema | None, value: Value, values: dict[str, Value] | None) -> str:
    """A value as console text. Raises UnfitError."""
    if values is not None:
        for text, meant in values.items():
            if same_value(meant, value):
                return text
        raise UnfitError(f"no console text for {value!r}")
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def from_text(schema: DataSchema | None, text: str, values: dict[str, Value] | None) -> Value:
    """The value of a console text. Raises UnfitError."""
    text = text.strip()
    if values is not None:
        if text not in values:
            raise UnfitError(f"{text!r}, which is not one of {', '.join(values)}")
        return values[text]
    if schema is None or schema.type is DataType.STRING:
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # brackets may be nested without end
        raise UnfitError(f"{text!r}, which is not a value of type {schema.type}") from None
    if schema.type is DataType.INTEGER and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def to_number(how: WireNumber, schema: DataSchema | None, value: Value) -> int:
    """A value as the number on the wire. Raises UnfitError."""
    if how.values is not None:
        for number, meant in how.values.items():
            if same_value(meant, value):
                return number
        raise UnfitError(f"no number on the wire for {value!r}")
    if isinstance(value, bool):
        return int(value)
    try:
        scaled = Decimal(str(value)) / Decimal(str(how.scale))
    except InvalidOperation:
        raise UnfitError(f"{value!r}, which is not a number") from None
    return int(scaled.to_integral_value())


def from_number(how: WireNumber, schema: DataSchema | None, number: int) -> Value:
    """The value of a number on the wire. Raises UnfitError."""
    if how.values is not None:
        if number not in how.values:
            raise UnfitError(f"{number}, which is not one of {', '.join(map(str, how.values))}")
        return how.values[number]
    if schema is not None and schema.type is DataType.BOOLEAN:
        if number not in (0, 1):
            raise UnfitError(f"{number}, which is neither 0 nor 1")
        return bool(number)
    if how.scale == 1:
        return number
    value = Decimal(number) * Decimal(str(how.scale))
    return int(value) if schema is not None and schema.type is DataType.INTEGER else float(value)


def to_bytes(number: int, width: int, order: ByteOrder, *, signed: bool) -> bytes:
    """A number in ``width`` bytes. Raises UnfitError if it does not fit."""
    try:
        return number.to_bytes(width, order.literal, signed=signed)
    except OverflowError:
        raise UnfitError(f"{number}, which does not fit into {width} bytes") from None


def from_bytes(how: WireNumber, raw: bytes) -> int:
    """The number in these bytes."""
    return int.from_bytes(raw, how.order.literal, signed=how.signed)
