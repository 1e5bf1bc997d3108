from __future__ import annotations

from fractions import Fraction

import pytest

from harness.prediction.findings import (
    PairOutcome,
    Severity,
    ValueConversion,
    outcome_of,
)


@pytest.mark.parametrize(
    ("conversion", "source", "target"),
    [
        (ValueConversion(), 21.5, 21.5),
        (ValueConversion(factor=Fraction(9, 5), offset=Fraction(32)), 21.5, 70.7),
        (ValueConversion(factor=Fraction(5, 9), offset=Fraction(-160, 9), step=Fraction(1, 2)), 70, 21),
        (ValueConversion(factor=Fraction(10**6), reciprocal=True), 4000, 250),
        (ValueConversion(values=((True, "ON"), (False, "OFF"))), True, "ON"),
        (ValueConversion(values=((1, "one"),)), True, True),
        (ValueConversion(factor=Fraction(2)), "text", "text"),
        (ValueConversion(constant=False), "off", False),
        (ValueConversion(factor=Fraction(1), reciprocal=True), 0, 0),
    ],
)
def test_values_are_converted_exactly(conversion: ValueConversion, source: object, target: object) -> None:
    result = conversion.apply(source)
    assert (result, type(result)) == (target, type(target))


@pytest.mark.parametrize(
    ("severities", "related", "outcome"),
    [
        ([], True, PairOutcome.WORKS),
        ([Severity.NOTE], True, PairOutcome.WORKS),
        ([Severity.NOTE, Severity.DEGRADES], True, PairOutcome.DEGRADED),
        ([Severity.DEGRADES, Severity.BLOCKS], True, PairOutcome.BLOCKED),
        ([Severity.NOTE], False, PairOutcome.UNRELATED),
        # Two devices that cannot be in one home are in each other's way, whatever they need.
        ([Severity.BLOCKS], False, PairOutcome.BLOCKED),
    ],
)
def test_the_worst_finding_makes_the_outcome(
    severities: list[Severity], related: bool, outcome: PairOutcome
) -> None:
    assert outcome_of(severities, related=related) is outcome
