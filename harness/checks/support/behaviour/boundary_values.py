"""Values of data schemas to try: limits and their neighbours, inside and outside the range."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import cache
from typing import Any

from harness.checks.support.behaviour.drawing import drawn
from harness.model.base import Value
from harness.model.schema import DataSchema, DataType, same_value

NUMERIC = (DataType.INTEGER, DataType.NUMBER)

FAR = (-1_000_000_000, 1_000_000_000, 2**31, 2**32, 2**63, 10**30)
"""Far outside most ranges, and just beyond the integer types of firmware."""


def limits(schema: DataSchema) -> list[Value]:
    """Legal values at the limits, next to them, and in the middle; of an enumeration, all members."""
    if schema.const is not None:
        return [schema.const]
    if schema.enum:
        return list(schema.enum)
    match schema.type:
        case DataType.BOOLEAN:
            return [False, True]
        case DataType.INTEGER | DataType.NUMBER:
            return _legal(schema, _numbers(schema))
        case DataType.STRING if schema.pattern is not None:
            return _legal(schema, _matching(schema.pattern))
        case DataType.STRING:
            shortest = schema.min_length or 0
            longest = schema.max_length if schema.max_length is not None else shortest + 8
            return _legal(schema, ["a" * length for length in (shortest, shortest + 1, longest)])
        case DataType.ARRAY:
            inner = limits(schema.items)[:1] if schema.items else []
            return _legal(schema, [inner * (schema.min_items or 0), inner * (schema.max_items or 1)])
        case DataType.OBJECT:
            members = {name: limits(member) for name, member in (schema.properties or {}).items()}
            ends = ({name: found[at] for name, found in members.items() if found} for at in (0, -1))
            return _legal(schema, ends)
        case DataType.NULL:
            return [None]


def outside(schema: DataSchema) -> list[Value]:
    """Values of the right type that are not legal: just outside, far outside, off the step, misspelt."""
    candidates: list[Value] = []
    if schema.enum:
        words = [member for member in schema.enum if isinstance(member, str)]
        candidates += [changed for word in words for changed in (word.swapcase(), word.title(), f"{word}x")]
        candidates += ["", "unknown"] if words else []
    if schema.type in NUMERIC:
        candidates += _numbers_outside(schema)
    if schema.type is DataType.STRING:
        too_short = (schema.min_length or 0) - 1
        candidates += ["a" * too_short] if too_short >= 0 else []
        candidates += ["a" * (schema.max_length + 1)] if schema.max_length is not None else []
    typed = DataSchema(type=schema.type)
    return [value for value in _distinct(candidates) if typed.accepts(value) and not schema.accepts(value)]


def of_other_types(schema: DataSchema) -> list[Value]:
    """JSON values of other types than the schema's, as careless controllers send them."""
    candidates: list[Value] = [None, True, 1, "1", "maybe", [1], {"value": 1}, [[[[[[[[]]]]]]]]]
    typed = DataSchema(type=schema.type)
    return [value for value in candidates if not typed.accepts(value)]


def resting(schema: DataSchema) -> list[Value]:
    """Legal values for a property before a trial; for numbers, those far from the limits first."""
    if schema.type not in NUMERIC or schema.enum or schema.const is not None:
        return limits(schema)
    over_range = grid(schema, 9)
    middle = len(over_range) // 2
    return sorted(over_range, key=lambda value: abs(over_range.index(value) - middle))


def grid(schema: DataSchema, count: int) -> list[Value]:
    """At most ``count`` legal numbers over the whole range, evenly spaced, both ends among them."""
    low, high = _ends(schema)
    step = step_of(schema) or (high - low) / (10 * count)
    steps = int((high - low) / step)
    chosen = sorted({round(index * steps / (count - 1)) for index in range(count)})
    return _legal(schema, (plain(schema, low + step * index) for index in chosen))


def beside(schema: DataSchema, bound: float) -> list[Value]:
    """The legal numbers next to ``bound``: just below, at it where that is legal, and just above."""
    step = step_of(schema) or Decimal("0.1")
    exact = _decimal(bound)
    below = (exact / step).to_integral_value(ROUND_FLOOR) * step
    above = (exact / step).to_integral_value(ROUND_CEILING) * step
    around = (below - (step if below == exact else 0), exact, above + (step if above == exact else 0))
    return _legal(schema, (plain(schema, value) for value in around))


def step_of(schema: DataSchema) -> Decimal | None:
    """The distance between legal numbers; None where any number of the range is legal."""
    if schema.multiple_of is not None:
        return _decimal(schema.multiple_of)
    return Decimal(1) if schema.type is DataType.INTEGER else None


def plain(schema: DataSchema, exact: Decimal) -> Value:
    """A decimal number as a value of the schema: an integer where it is one."""
    return int(exact) if schema.type is DataType.INTEGER or exact == int(exact) else float(exact)


def simplicity(value: Value) -> tuple[Any, ...]:
    """A sort key: values that are simple for readers come first."""
    text = json.dumps(value, ensure_ascii=True)
    if isinstance(value, bool) or value is None:
        return (0, len(text), 0.0, text)
    if isinstance(value, int | float):
        return (1, 0 if float(value).is_integer() else len(text), abs(value), value < 0)
    return (2, len(text), 0.0, text)


def is_one_of(value: Value, values: Iterable[Value]) -> bool:
    """Whether the value is in ``values``, by JSON equality."""
    return any(same_value(value, other) for other in values)


def _numbers(schema: DataSchema) -> list[Value]:
    low, high = _ends(schema)
    unit = step_of(schema) or (high - low) / 100
    middle = _middle(schema)
    ordered = sorted({low, low + unit, middle, middle + unit, high - unit, high})
    return [plain(schema, value) for value in ordered]


def _ends(schema: DataSchema) -> tuple[Decimal, Decimal]:
    """The smallest and largest legal number; without a limit, one that any device should accept."""
    low = _decimal(schema.minimum if schema.minimum is not None else -1000)
    high = _decimal(schema.maximum if schema.maximum is not None else max(Decimal(1000), low + 1000))
    step = step_of(schema)
    if step is None:
        return low, high
    low = (low / step).to_integral_value(ROUND_CEILING) * step
    return low, (high / step).to_integral_value(ROUND_FLOOR) * step


def _middle(schema: DataSchema) -> Decimal:
    low, high = _ends(schema)
    step = step_of(schema)
    middle = (low + high) / 2
    return middle if step is None else (middle / step).to_integral_value(ROUND_FLOOR) * step


def _numbers_outside(schema: DataSchema) -> list[Value]:
    unit = step_of(schema) or Decimal("0.1")
    found: list[Value] = []
    if schema.minimum is not None:
        found.append(plain(schema, _decimal(schema.minimum) - unit))
    if schema.maximum is not None:
        found.append(plain(schema, _decimal(schema.maximum) + unit))
    if schema.multiple_of is not None:
        found.append(float(_middle(schema) + unit / 2))
    return [*found, *FAR]


@cache
def _matching(pattern: str) -> tuple[str, ...]:
    """Some texts that a regular expression accepts, shortest first; the same ones in every run."""
    # Only schemas with a pattern need hypothesis here, which takes a second to import.
    import hypothesis.strategies as st
    from hypothesis.errors import InvalidArgument

    printable = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
    try:
        found = drawn(st.from_regex(pattern, fullmatch=True, alphabet=printable), seed=1, count=8)
    except InvalidArgument:
        found = drawn(st.from_regex(pattern, fullmatch=True), seed=1, count=8)
    return tuple(sorted(set(found), key=lambda text: (len(text), text)))


def _legal(schema: DataSchema, candidates: Iterable[Value]) -> list[Value]:
    return [value for value in _distinct(candidates) if schema.accepts(value)]


def _distinct(candidates: Iterable[Value]) -> list[Value]:
    found: list[Value] = []
    for value in candidates:
        if not is_one_of(value, found):
            found.append(value)
    return found


def _decimal(value: float | Decimal) -> Decimal:
    # By the shortest text, because binary floats cannot hold 0.1 exactly.
    return value if isinstance(value, Decimal) else Decimal(repr(value))
