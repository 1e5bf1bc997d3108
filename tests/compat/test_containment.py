"""Containment of data schemas, against enumeration of all values of a small world."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.model.schema import DataSchema
from harness.prediction.numbers import (
    Numbers,
    exact,
)
from harness.prediction.values.containment import (
    NUMERIC,
    Containment,
    ValueAspect,
    containment,
    gaps_between,
)

# The world: numbers on a fine grid around the bounds that schemas have, short texts of two letters.
GRID = [number / 20 for number in range(-400, 401)]
TEXTS = ["".join(letters) for length in range(5) for letters in product("ab", repeat=length)]
TEXTS += ["c" * length for length in range(1, 5)]  # with no letter that a pattern is about
BOUNDS = st.none() | st.sampled_from([-3, -1.25, -1, 0, 0.1, 0.5, 1, 2, 3, 4.5])
STEPS = st.none() | st.sampled_from([0.1, 0.25, 0.3, 0.5, 1, 1.5, 2, 3])
LENGTHS = st.none() | st.integers(0, 3)
PATTERNS = [None, None, "^a", "b$", "^(ab)*$", "a|b", "^$"]


def schema(**keys: Any) -> DataSchema:
    return DataSchema.model_validate({name: value for name, value in keys.items() if value is not None})


NUMBERS = st.one_of(
    st.builds(
        schema,
        type=st.sampled_from(["integer", "number"]),
        minimum=BOUNDS,
        maximum=BOUNDS,
        multipleOf=STEPS,
        enum=st.none() | st.none() | st.lists(st.sampled_from([-3, 0, 0.1, 0.5, 1, 2, 3.0]), max_size=3),
    ),
    st.builds(schema, type=st.just("number"), const=st.sampled_from([0, 1, 2.5])),
)
STRINGS = st.builds(
    schema,
    type=st.just("string"),
    minLength=LENGTHS,
    maxLength=LENGTHS,
    pattern=st.sampled_from(PATTERNS),
    enum=st.none() | st.none() | st.lists(st.sampled_from(["", "a", "b", "ab", "bb", "abab"]), max_size=4),
)
BOOLEANS = st.builds(schema, type=st.just("boolean"), enum=st.none() | st.lists(st.booleans(), max_size=2))
SCALARS = st.one_of(NUMBERS, STRINGS, BOOLEANS, st.just(schema(type="null")))
SMALL = st.one_of(
    st.builds(schema, type=st.just("integer"), minimum=st.integers(0, 2), maximum=st.integers(0, 2)), BOOLEANS
)
ARRAYS = st.builds(
    schema,
    type=st.just("array"),
    items=st.none() | SMALL,
    minItems=LENGTHS,
    maxItems=st.none() | st.integers(0, 3),
)
OBJECTS = st.builds(
    schema,
    type=st.just("object"),
    properties=st.dictionaries(st.sampled_from("xyz"), SMALL, max_size=3),
    required=st.lists(st.sampled_from("xyz"), unique=True, max_size=2),
)
ANYTHING = st.one_of(SCALARS, ARRAYS, OBJECTS)


def candidates(kind: DataSchema) -> Iterator[Any]:
    """Values of the world that ``kind`` may describe, those of other types left out."""
    match kind.type:
        case "integer" | "number":
            yield from (int(number) if number == int(number) else number for number in GRID)
            yield from kind.enum or ()
            # Between two numbers of the grid, for schemas that know no steps.
            yield from (number + 1 / 64 for number in GRID)
        case "string":
            yield from TEXTS
        case "boolean":
            yield from (True, False)
        case "null":
            yield None
        case "array":
            items = [None, 0, 1, 2, 9, True, False] if kind.items is None else list(small_values(kind.items))
            for length in range(5):
                yield from map(list, product(items, repeat=length))
        case "object":
            # Declared members only; a member that is required but not described is anything.
            members = {name: [...] for name in (*(kind.properties or {}), *kind.required)}
            for name, each in (kind.properties or {}).items():
                members[name] = [..., *small_values(each)]
            for name in kind.required:
                if name not in (kind.properties or {}):
                    members[name] = [..., 7, "other"]
            for values in product(*members.values()):
                yield {name: value for name, value in zip(members, values, strict=True) if value is not ...}


def small_values(kind: DataSchema) -> list[Any]:
    return [value for value in (0, 1, 2, True, False) if kind.accepts(value)]


def counterexample(inner: DataSchema, outer: DataSchema) -> Any:
    """A value of ``inner`` that ``outer`` does not accept; ``...`` where the world has none."""
    for value in candidates(inner):
        if inner.accepts(value) and not outer.accepts(value):
            return value
    return ...


def can_be_open(inner: DataSchema, outer: DataSchema) -> bool:
    """Whether the pair has something that is not always decided: patterns, members of unknown form."""
    undescribed = set(inner.required) - set(inner.properties or {})
    return bool(inner.pattern or outer.pattern or undescribed)


@settings(max_examples=200, deadline=None)
@given(NUMBERS, NUMBERS)
@example(schema(type="number", multipleOf=0.3), schema(type="number", multipleOf=0.1))
@example(schema(type="number", multipleOf=0.5), schema(type="integer"))
@example(schema(type="number", minimum=0.1, maximum=0.1), schema(type="number", multipleOf=0.1))
def test_numbers_agree_with_enumeration(inner: DataSchema, outer: DataSchema) -> None:
    contained = counterexample(inner, outer) is ...
    assert containment(inner, outer) is (Containment.CONTAINED if contained else Containment.NOT_CONTAINED)


@settings(max_examples=200, deadline=None)
@given(ANYTHING, ANYTHING)
def test_of_any_two_schemas_no_answer_is_wrong(inner: DataSchema, outer: DataSchema) -> None:
    answer = containment(inner, outer)
    found = counterexample(inner, outer)
    if answer is Containment.CONTAINED:
        assert found is ...
    elif answer is Containment.UNDECIDED:
        assert can_be_open(inner, outer)


@settings(max_examples=250, deadline=None)
@given(
    st.one_of(
        st.tuples(STRINGS, STRINGS),
        st.tuples(BOOLEANS, BOOLEANS),
        st.tuples(ARRAYS, ARRAYS),
        st.tuples(OBJECTS, OBJECTS),
    )
)
def test_schemas_of_one_type_agree_with_enumeration(pair: tuple[DataSchema, DataSchema]) -> None:
    inner, outer = pair
    answer, found = containment(inner, outer), counterexample(inner, outer)
    if answer is Containment.CONTAINED:
        assert found is ...
    elif answer is Containment.NOT_CONTAINED:
        # Texts with a pattern may be longer than any of the world.
        assert found is not ... or inner.pattern
    else:
        assert can_be_open(inner, outer)


@settings(max_examples=250, deadline=None)
@given(st.one_of(st.tuples(NUMBERS, NUMBERS), st.tuples(ANYTHING, ANYTHING), st.tuples(ARRAYS, ARRAYS)))
def test_where_a_gap_is_total_nothing_gets_through(pair: tuple[DataSchema, DataSchema]) -> None:
    inner, outer = pair
    through = [value for value in candidates(inner) if inner.accepts(value) and outer.accepts(value)]
    total = any(gap.total for gap in gaps_between(inner, outer))
    if total:
        assert not through
    elif inner.type in NUMERIC and outer.type in NUMERIC and any(map(inner.accepts, candidates(inner))):
        assert through


@given(ANYTHING)
def test_every_schema_contains_itself(each: DataSchema) -> None:
    assert containment(each, each) is not Containment.NOT_CONTAINED
    if not can_be_open(each, each) or each.pattern:
        assert containment(each, each) is Containment.CONTAINED


@pytest.mark.parametrize(
    ("inner", "outer", "aspect", "text"),
    [
        (
            {"type": "number", "minimum": 10, "maximum": 35},
            {"type": "number", "minimum": 16, "maximum": 30},
            ValueAspect.RANGE,
            "ranges from 10 to 35; accepted: from 16 to 30",
        ),
        (
            {"type": "number", "minimum": 16, "maximum": 30, "multipleOf": 0.1},
            {"type": "number", "minimum": 16, "maximum": 30, "multipleOf": 0.5},
            ValueAspect.STEP,
            "comes in steps of 0.1; accepted: steps of 0.5",
        ),
        (
            {"type": "string", "enum": ["auto", "turbo"]},
            {"type": "string", "enum": ["auto", "low"]},
            ValueAspect.VALUES,
            'can be "turbo"; accepted: "auto" and "low"',
        ),
        ({"type": "string"}, {"type": "boolean"}, ValueAspect.TYPE, "is a string; expected: a boolean"),
        (
            {"type": "string", "maxLength": 20},
            {"type": "string", "maxLength": 8},
            ValueAspect.LENGTH,
            "can have up to 20 characters; accepted: at most 8",
        ),
        (
            {"type": "object", "properties": {"x": {"type": "integer"}}},
            {"type": "object", "required": ["x"]},
            ValueAspect.MEMBERS,
            "may omit the member x",
        ),
    ],
)
def test_a_gap_says_what_does_not_fit(inner: Any, outer: Any, aspect: ValueAspect, text: str) -> None:
    (gap,) = gaps_between(schema(**inner), schema(**outer))
    assert (gap.aspect, gap.text, gap.certain) == (aspect, text, True)


@settings(max_examples=300, deadline=None)
@given(NUMBERS, NUMBERS, st.sampled_from([(1, 0), (2, 1), (-1, 0.5), (0.5, -0.25)]))
def test_moved_sets_of_numbers_meet_where_enumeration_finds_it(
    first: DataSchema, second: DataSchema, moved: tuple[float, float]
) -> None:
    factor, offset = map(exact, moved)
    here, there = Numbers.of(first).converted(factor, offset), Numbers.of(second)
    values = {exact(number) * factor + offset for number in GRID} | set(map(exact, GRID))
    inside = {value for value in values if value in here and value in there}
    # Between two numbers of the grid there are others, so that enumeration proves one thing only.
    assert here.meets(there) >= bool(inside)
    assert here.meets(there) is there.meets(here)
    if not inside and first.type == second.type == "integer":
        assert not here.meets(there)


def test_one_pattern_in_another_is_left_open() -> None:
    inner = schema(type="string", pattern="^[ab]+$")
    assert containment(inner, schema(type="string", pattern="^[abc]+$")) is Containment.UNDECIDED
    assert containment(inner, schema(type="string", pattern="^[ab]+$")) is Containment.CONTAINED
    assert (
        containment(schema(type="string"), schema(type="string", pattern="^[ab]+$"))
        is Containment.NOT_CONTAINED
    )
