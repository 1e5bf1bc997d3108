"""Values drawn by hypothesis, and the search for the simplest one that fails.

Driving a device is asynchronous, hypothesis is not. So a search only looks up results that were measured
before. If a value has no result yet, the search is aborted, the value is tried on the device, and the same
search starts again. The same seed draws the same values, so each attempt gets one value further.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from harness.checks.payloads import json_text
from harness.checks.support.behaviour.boundary_values import (
    NUMERIC,
    limits,
    plain,
    step_of,
)
from harness.checks.support.behaviour.drawing import DRAWN, drawn, run_search
from harness.model.base import Value
from harness.model.schema import DataSchema, DataType

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

SHRINKING = 20  # further measurements to find a simpler value that fails

Measure = Callable[[Value], Awaitable[bool]]
"""Tries a value on the device. True if the device did something wrong."""


class _NeedsMeasurement(BaseException):
    """Aborts a search. Not an Exception, because hypothesis treats those as results."""

    def __init__(self, value: Value) -> None:
        self.value = value


async def search(
    first: Sequence[Value],
    strategy: Callable[[], SearchStrategy[Value]],
    measure: Measure,
    seed: int,
    *,
    may_simplify: Callable[[], bool] = lambda: True,
) -> None:
    """Try the values of ``first``, then random ones, until one fails; then search for a simpler one.

    The results are in the trace: every trial drives the device. Where ``may_simplify`` says no, such as for a
    device that crashes and takes its time to come back, the first value that fails is enough.
    """
    measured: dict[str, bool] = {}
    for value in [*first, *drawn(strategy(), seed)]:
        key = json_text(value)
        if key not in measured:
            measured[key] = await measure(value)
            if measured[key]:
                if not may_simplify():
                    return
                await _shrink(strategy(), measured, measure, seed)
                return


async def _shrink(
    strategy: SearchStrategy[Value], measured: dict[str, bool], measure: Measure, seed: int
) -> None:
    left = SHRINKING

    def fails(value: Value) -> bool:
        key = json_text(value)
        if key not in measured:
            if not left:
                return False
            raise _NeedsMeasurement(value)
        return measured[key]

    while True:
        try:
            run_search(strategy, fails, seed, 10 * (DRAWN + SHRINKING))
            return
        except _NeedsMeasurement as needed:
            measured[json_text(needed.value)] = await measure(needed.value)
            left -= 1


def legal_values(schema: DataSchema) -> SearchStrategy[Value]:
    """A strategy for all values that the schema accepts."""
    import hypothesis.strategies as st

    if schema.const is not None or schema.enum or schema.type in (DataType.BOOLEAN, DataType.NULL):
        return st.sampled_from(limits(schema))
    if schema.type in NUMERIC:
        return _numbers(schema).filter(schema.accepts)
    if schema.type is DataType.STRING:
        return _texts(schema).filter(schema.accepts)
    if schema.type is DataType.ARRAY:
        items = legal_values(schema.items) if schema.items else st.none()
        return st.lists(items, min_size=schema.min_items or 0, max_size=schema.max_items or 8)
    members = {name: legal_values(member) for name, member in (schema.properties or {}).items()}
    return st.fixed_dictionaries(
        {name: strategy for name, strategy in members.items() if name in schema.required},
        optional={name: strategy for name, strategy in members.items() if name not in schema.required},
    )


def illegal_values(schema: DataSchema, known: Sequence[Value]) -> SearchStrategy[Value]:
    """A strategy for values of the right type that the schema rejects; ``known`` are examples."""
    import hypothesis.strategies as st

    found = st.sampled_from(list(known))
    if schema.type in NUMERIC:
        beyond = st.integers(-(2**40), 2**40) | st.integers(-1000, 1000) | st.integers(-(2**70), 2**70)
        found = found | beyond
        if schema.type is DataType.NUMBER:
            fractions = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))
            found = found | fractions
    elif schema.type is DataType.STRING:
        found = found | st.text(st.characters(codec="ascii", categories=("L", "N")), max_size=20)
    return found.filter(lambda value: DataSchema(type=schema.type).accepts(value)).filter(
        lambda value: not schema.accepts(value)
    )


def _numbers(schema: DataSchema) -> SearchStrategy[Value]:
    import hypothesis.strategies as st

    ends = limits(schema)
    low, high = ends[0], ends[-1]
    step = step_of(schema)
    if step is None:
        return st.floats(low, high).map(lambda value: round(value, 3))
    first, last = (int(Decimal(repr(end)) / step) for end in (low, high))
    return st.integers(first, last).map(lambda count: plain(schema, count * step))


def _texts(schema: DataSchema) -> SearchStrategy[str]:
    import hypothesis.strategies as st

    if schema.pattern is not None:
        return st.from_regex(schema.pattern)
    shortest = schema.min_length or 0
    longest = schema.max_length if schema.max_length is not None else shortest + 40
    return st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=shortest, max_size=longest)
