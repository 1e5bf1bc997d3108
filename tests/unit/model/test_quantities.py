from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.semantics.quantities import (
    conversion,
    is_unit,
)

TABLES = {
    ("Cel", "[degF]"): [(0, 32), (30, 86), (-40, -40), (21.5, Fraction("70.7"))],
    ("[degF]", "Cel"): [(32, 0), (61, Fraction(145, 9)), (86, 30)],
    ("K", "Cel"): [(273.15, 0)],
    ("kW.h", "W.h"): [(1.5, 1500)],
    ("J", "kW.h"): [(3600000, 1)],
    ("%", "/254"): [(100, 254), (0, 0), (50, 127)],
    ("K", "MK-1"): [(2000, 500), (4000, 250)],
    ("MK-1", "K"): [(500, 2000)],
    ("min", "s"): [(1.5, 90)],
    ("mA", "A"): [(16000, 16)],
}


@pytest.mark.parametrize("units", TABLES, ids=" to ".join)
def test_conversions_are_exact(units: tuple[str, str]) -> None:
    found = conversion(*units)
    assert found is not None
    assert [(value, found.exact(value)) for value, _ in TABLES[units]] == TABLES[units]


@given(st.sampled_from(sorted(TABLES)), st.decimals(1, 10**6, places=2))
def test_there_and_back_is_the_same_value(units: tuple[str, str], number: object) -> None:
    value = float(number)  # type: ignore[arg-type]
    there, back = conversion(*units), conversion(*reversed(units))
    assert there is not None
    assert back is not None
    assert back.apply(there.apply(value)) == pytest.approx(value)


@pytest.mark.parametrize(
    ("source", "target"),
    [("W", "V"), ("W", "W.h"), ("Cel", "%"), ("Cel", None), (None, "%"), ("nonsense", "W"), ("dB", "1")],
)
def test_what_is_not_the_same_quantity_does_not_convert(source: str | None, target: str | None) -> None:
    assert conversion(source, target) is None


def test_the_same_unit_leaves_values_as_they_are() -> None:
    for code in ("W", None, "Cel"):
        found = conversion(code, code)
        assert found is not None
        assert found.is_identity
    assert not conversion("Cel", "[degF]").is_identity


@pytest.mark.parametrize("code", ["W", "Cel", "[degF]", "L/min", "MK-1", "/254", "{pulses}", "mm[Hg]"])
def test_ucum_codes_are_known(code: str) -> None:
    assert is_unit(code)


@pytest.mark.parametrize("code", ["degC", "°C", "kWh", "percent", "", "a b", "rpm"])
def test_what_looks_like_a_unit_is_not_taken_for_one(code: str) -> None:
    assert not is_unit(code)


UNITS = [
    "m",
    "g",
    "s",
    "K",
    "Cel",
    "[degF]",
    "%",
    "W",
    "V",
    "lx",
    "B[W]",
    "Np",
    "[pH]",
    "dB",
    "bit",
    "rad",
    "10*",
]
SIGNS = ["{x}", "1", "2", ".", "/", "-1", "k", "(", ")", "10^", "[p'diop]"]
CODES = st.lists(st.sampled_from([*UNITS, *SIGNS]), max_size=4).map("".join)


@given(st.text(max_size=8) | CODES, CODES)
def test_no_code_is_too_odd(first: str, second: str) -> None:
    found = conversion(first, second)
    if found is not None and first != second:
        assert is_unit(first)
        assert is_unit(second)
