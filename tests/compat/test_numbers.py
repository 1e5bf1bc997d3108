"""Sets of numbers with open bounds and moved steps, against enumeration."""

from __future__ import annotations

import ast
from fractions import Fraction
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

import harness.prediction
from harness.prediction.numbers import Numbers
from harness.prediction.values.containment import number_gaps

# A grid finer than every step, wider than every bound: what it does not tell apart, sets do not either.
GRID = [Fraction(number, 24) for number in range(-12 * 24, 12 * 24 + 1)]
BOUNDS = st.none() | st.sampled_from([Fraction(number, 2) for number in range(-6, 7)])
STEPS = st.none() | st.sampled_from(
    [Fraction(1, 4), Fraction(1, 3), Fraction(1, 2), Fraction(1), Fraction(3, 2)]
)
ANCHORS = st.sampled_from([Fraction(0), Fraction(1, 4), Fraction(1, 3)])
SETS = st.builds(
    lambda low, high, low_open, high_open, step, anchor: Numbers(
        None, low, high, low_open, high_open, step, anchor if step else Fraction(0)
    ).tightened(),
    BOUNDS,
    BOUNDS,
    st.booleans(),
    st.booleans(),
    STEPS,
    ANCHORS,
)


@settings(max_examples=300, deadline=None)
@given(SETS, SETS)
def test_one_set_lies_in_another_where_all_of_its_numbers_do(inner: Numbers, outer: Numbers) -> None:
    gaps = list(number_gaps(inner, outer))
    outside = [number for number in GRID if number in inner and number not in outer]
    assert bool(gaps) is bool(outside)
    both = [number for number in GRID if number in inner and number in outer]
    assert inner.meets(outer) is bool(both)
    if gaps:
        assert any(gap.total for gap in gaps) is not bool(both)


@given(SETS, st.sampled_from([Fraction(2), Fraction(-1), Fraction(9, 5)]), st.sampled_from(GRID))
def test_conversion_moves_every_number(numbers: Numbers, factor: Fraction, number: Fraction) -> None:
    moved = numbers.converted(factor, Fraction(32))
    assert (number in numbers) is (number * factor + 32 in moved)


@given(SETS)
def test_tightening_changes_bounds_and_no_number(numbers: Numbers) -> None:
    assert [number in numbers for number in GRID] == [number in numbers.tightened() for number in GRID]
    inside = [number for number in GRID if number in numbers]
    assert numbers.is_empty is not bool(inside)


def test_comparisons_import_nothing_that_does_input_or_output() -> None:
    folder = Path(harness.prediction.__file__).parent
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("harness."):
                assert (node.module or "").startswith(("harness.prediction", "harness.model")), path
