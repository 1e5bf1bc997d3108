"""Legal values of a data schema: defaults, nearest values, values that satisfy a condition."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from harness.model.affordance import Property
from harness.model.base import Value
from harness.model.rule import Condition
from harness.model.schema import DataSchema, DataType, same_value

_NUMERIC = (DataType.INTEGER, DataType.NUMBER)


def default_value(schema: DataSchema) -> Value:
    """The schema's default, or a sensible legal value of its type."""
    if schema.default is not None:
        return schema.default
    if schema.const is not None:
        return schema.const
    if schema.enum:
        return schema.enum[0]
    match schema.type:
        case DataType.BOOLEAN:
            return False
        case DataType.INTEGER | DataType.NUMBER:
            return nearest_legal(schema, 0)
        case DataType.STRING:
            return "-" * (schema.min_length or 0)
        case DataType.OBJECT:
            return {name: default_value(member) for name, member in (schema.properties or {}).items()}
        case DataType.ARRAY:
            items = schema.items or DataSchema(type=DataType.NULL)
            return [default_value(items)] * (schema.min_items or 0)
        case DataType.NULL:
            return None


def has_type(schema: DataSchema, value: Value) -> bool:
    """Whether the value is of the schema's JSON type, whatever its range."""
    return DataSchema(type=schema.type).accepts(value)


def canonical(schema: DataSchema, value: Value) -> Value:
    """The value as the device stores it: integers as ``int``, however they were written."""
    if schema.type is DataType.INTEGER and isinstance(value, float):
        return int(value)
    # The decimal arithmetic of a device has no negative zero.
    return 0.0 if isinstance(value, float) and value == 0 else value


def is_measured(schema: Property) -> bool:
    """Whether the property is a measured quantity, not a setting or a status."""
    return schema.read_only and schema.type in _NUMERIC and not schema.counter


def nearest_legal(schema: DataSchema, value: Value) -> Value:
    """The legal value closest to ``value``; values that are not numbers are returned as they are."""
    if schema.type not in _NUMERIC or not has_type(DataSchema(type=DataType.NUMBER), value):
        return value
    if schema.accepts(value):
        return value
    if schema.enum:
        return min(schema.enum, key=lambda member: abs(member - value))
    low = -math.inf if schema.minimum is None else schema.minimum
    high = math.inf if schema.maximum is None else schema.maximum
    return _on_step(schema, min(max(value, low), high), low, high)


def another(schema: DataSchema, present: Value) -> Value:
    """A legal value that is not ``present``; ``present`` itself if none is found."""
    text = "x" * (schema.min_length or 1)
    candidates = (
        *(schema.enum or ()),
        False,
        True,
        schema.maximum,
        schema.minimum,
        nearest_legal(schema, 0),
        text,
    )
    fitting = (value for value in candidates if value is not None and schema.accepts(value))
    return next((value for value in fitting if not same_value(value, present)), present)


def _on_step(schema: DataSchema, value: float, low: float, high: float) -> Value:
    step = step_of(schema)
    if step is None:
        return value
    exact = _decimal(value)
    steps = (exact / step).to_integral_value(ROUND_HALF_EVEN)
    if steps * step > _decimal(high):
        steps = (_decimal(high) / step).to_integral_value(ROUND_FLOOR)
    if steps * step < _decimal(low):
        steps = (_decimal(low) / step).to_integral_value(ROUND_CEILING)
    return _plain(schema, steps * step)


def step_of(schema: DataSchema) -> Decimal | None:
    """The distance between legal values; None where any number of the range is legal."""
    if schema.multiple_of is not None:
        return _decimal(schema.multiple_of)
    return Decimal(1) if schema.type is DataType.INTEGER else None


def satisfying(condition: Condition, schema: DataSchema, state: Mapping[str, Value]) -> Value:
    """A legal value of the condition's property that makes the condition true, close to the present one.

    Returns the present value when there is none.
    """
    name = condition.property_ or ""
    if condition.equals is not None:
        return condition.equals
    if condition.one_of is not None:
        return condition.one_of[0]
    for value in _around(condition, schema, state):
        if schema.accepts(value) and condition.holds({**state, name: value}):
            return value
    return state[name]


def _around(condition: Condition, schema: DataSchema, state: Mapping[str, Value]) -> list[Value]:
    """Values just beyond the condition's bounds, best first."""
    if schema.enum:
        present = state[condition.property_ or ""]
        return sorted(schema.enum, key=lambda member: abs(member - present))
    found: list[Value] = []
    step = step_of(schema) or Decimal("0.1")
    for bound, direction in ((condition.above, 1), (condition.below, -1)):
        if bound is None:
            continue
        limit = _decimal(state[bound] if isinstance(bound, str) else bound)
        rounding = ROUND_FLOOR if direction > 0 else ROUND_CEILING
        beyond = ((limit / step).to_integral_value(rounding) + direction) * step
        found.append(nearest_legal(schema, _plain(schema, beyond)))
    return found


def _decimal(value: float | Decimal) -> Decimal:
    # By the shortest text, because binary floats cannot hold 0.1 exactly.
    return value if isinstance(value, Decimal) else Decimal(repr(value))


def _plain(schema: DataSchema, exact: Decimal) -> Value:
    if schema.type is DataType.INTEGER:
        return int(exact)
    return float(exact)
