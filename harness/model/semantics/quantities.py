"""Units by their UCUM codes, and conversions between them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

# Common units, known without the library, whose tables take most of a second to load.
_COMMON = frozenset(
    [
        "1",
        "%",
        "A",
        "Cel",
        "Hz",
        "J",
        "K",
        "MK-1",
        "V",
        "W",
        "[degF]",
        "deg",
        "h",
        "kW",
        "kW.h",
        "kJ",
        "lx",
        "m",
        "mA",
        "mV",
        "min",
        "s",
        "W.h",
        "/min",
    ]
)

# How far a floating-point factor may lie from the ratio that it approximates.
_EXACT = Fraction(1, 10**11)


@dataclass(frozen=True, slots=True)
class Conversion:
    """``scale * value + offset``; if ``reciprocal``, of the reciprocal of the value.

    Fractions keep conversions exact: 86 degrees Fahrenheit is exactly 30 degrees Celsius.
    """

    scale: Fraction
    offset: Fraction = Fraction(0)
    reciprocal: bool = False

    @property
    def is_identity(self) -> bool:
        """Whether it leaves every value unchanged."""
        return self.scale == 1 and self.offset == 0 and not self.reciprocal

    def exact(self, value: float) -> Fraction:
        """``value`` converted from its decimal form. Raises ZeroDivisionError."""
        plain = Fraction(repr(value))
        return self.scale * (1 / plain if self.reciprocal else plain) + self.offset

    def apply(self, value: float) -> float:
        """``value`` converted. Raises ZeroDivisionError for the reciprocal of 0."""
        return float(self.exact(value))


_IDENTITY = Conversion(Fraction(1))


def is_unit(code: str) -> bool:
    """Whether ``code`` is a UCUM code."""
    return code in _COMMON or _quantity(code) is not None


@cache
def conversion(source: str | None, target: str | None) -> Conversion | None:
    """How a value in ``source`` becomes one in ``target``, both UCUM codes; None if it cannot be converted.

    A missing unit converts only to a missing unit: a bare number may mean anything.
    """
    if source == target:
        return _IDENTITY
    if source is None or target is None:
        return None
    here, there = _quantity(source), _quantity(target)
    if here is None or there is None:
        return None
    try:
        return _between(here, there)
    except (ArithmeticError, ValueError):
        return None  # the logarithm of zero or a negative number


def _between(here: Any, there: Any) -> Conversion | None:
    if here.dimensionality == there.dimensionality:
        zero, one, hundred = (_converted(value, here, there) for value in (0, 1, 100))
        # Decibels and similar units are logarithmic, so the conversion is not linear.
        if abs((hundred - zero) - 100 * (one - zero)) > 1e-6 * max(1.0, abs(hundred - zero)):
            return None
        # The difference over a large interval has the least rounding error.
        return Conversion(_ratio((_converted(1e6, here, there) - zero) / 1e6), _ratio(zero))
    if here.dimensionality == 1 / there.dimensionality:
        # Kelvin and mired: both are used for the colour of a lamp.
        return Conversion(_ratio((1 / here).to(there.units).magnitude / there.magnitude), reciprocal=True)
    return None


def _converted(value: float, here: Any, there: Any) -> float:
    registry = _registry()
    quantity = registry.Quantity(value * here.magnitude, here.units)
    return float(quantity.to(there.units).magnitude) / float(there.magnitude)


def _ratio(value: float) -> Fraction:
    """The simple fraction that a binary number stands for, if there is one."""
    exact = Fraction(value)
    simple = exact.limit_denominator(10**9)
    return simple if abs(simple - exact) <= _EXACT * max(abs(exact), _EXACT) else exact


@cache
def _registry() -> Any:
    from ucumvert import PintUcumRegistry

    return PintUcumRegistry()


@cache
def _quantity(code: str) -> Any:
    from lark.exceptions import LarkError
    from ucumvert.parser import InvalidUcumError

    if code.startswith("{") and code.endswith("}"):
        return _registry().Quantity(1, "dimensionless")  # an annotation alone is dimensionless
    try:
        return _registry().from_ucum(code)
    except (InvalidUcumError, LarkError):
        return None  # not a code, or an ambiguous one, such as a squared logarithm
