"""Sets of numbers as data schemas describe them, in exact arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor, gcd, lcm

from harness.model.schema import DataSchema, DataType

# Larger sets are described by their limits, not number by number.
_FEW = 8


@dataclass(frozen=True, slots=True)
class Numbers:
    """Either the ``members``, or all numbers between the bounds that lie on the steps.

    None stands for a missing bound; an open bound is not part of the set. Steps are counted
    from ``anchor``, which is 0 in every schema and changes when a unit is converted.
    """

    members: frozenset[Fraction] | None = None
    low: Fraction | None = None
    high: Fraction | None = None
    low_open: bool = False
    high_open: bool = False
    step: Fraction | None = None
    anchor: Fraction = Fraction(0)

    @classmethod
    def of(cls, schema: DataSchema) -> Numbers:
        """The numbers that a schema of type integer or number accepts."""
        if schema.enum is not None or schema.const is not None:
            listed = schema.enum if schema.enum is not None else (schema.const,)
            return cls(frozenset(exact(value) for value in listed if schema.accepts(value)))
        step = None if schema.multiple_of is None else exact(schema.multiple_of)
        if schema.type is DataType.INTEGER:
            step = Fraction(1) if step is None else _common_multiple(step, Fraction(1))
        return cls(None, _exact(schema.minimum), _exact(schema.maximum), step=step).tightened()

    def tightened(self) -> Numbers:
        """The same set, with its bounds moved to the outermost numbers on the steps."""
        if self.members is not None or self.step is None:
            return self
        low, high = self.low, self.high
        if low is not None:
            index = (low - self.anchor) / self.step
            low = self.anchor + (floor(index) + 1 if self.low_open else ceil(index)) * self.step
        if high is not None:
            index = (high - self.anchor) / self.step
            high = self.anchor + (ceil(index) - 1 if self.high_open else floor(index)) * self.step
        return replace(self, low=low, high=high, low_open=False, high_open=False)

    def converted(self, factor: Fraction, offset: Fraction = Fraction(0)) -> Numbers:
        """The set of ``factor`` × number + ``offset``; ``factor`` is not 0."""

        def moved(number: Fraction | None) -> Fraction | None:
            return None if number is None else number * factor + offset

        if self.members is not None:
            return Numbers(frozenset(number * factor + offset for number in self.members))
        low, high, low_open, high_open = moved(self.low), moved(self.high), self.low_open, self.high_open
        if factor < 0:
            low, high, low_open, high_open = high, low, high_open, low_open
        step = None if self.step is None else self.step * abs(factor)
        return Numbers(None, low, high, low_open, high_open, step, self.anchor * factor + offset)

    def inverted(self) -> Numbers:
        """The reciprocals of a set of positive numbers; the steps are lost."""
        if self.members is not None:
            return Numbers(frozenset(1 / number for number in self.members if number))
        low = None if self.high is None else 1 / self.high if self.high > 0 else None
        high = 1 / self.low if self.low is not None and self.low > 0 else None
        return Numbers(None, low, high, self.high_open, self.low_open)

    @property
    def count(self) -> int | None:
        """The number of members; None if infinite."""
        if self.members is not None:
            return len(self.members)
        if self.low is None or self.high is None:
            return None
        if self.low > self.high:
            return 0
        if self.step is None:
            if self.low < self.high:
                return None
            return 0 if self.low_open or self.high_open else 1
        return int((self.high - self.low) / self.step) + 1

    @property
    def is_empty(self) -> bool:
        """Whether the set has no members."""
        return self.count == 0

    def listed(self) -> Iterator[Fraction]:
        """All numbers of a finite set, in order."""
        if self.members is not None:
            yield from sorted(self.members)
            return
        assert self.low is not None
        for index in range(self.count or 0):
            yield self.low + index * (self.step or 0)

    @property
    def is_short(self) -> bool:
        """Whether the set is small enough to list."""
        count = self.count
        return count is not None and count <= _FEW

    def meets(self, other: Numbers) -> bool:
        """Whether the two sets have a number in common."""
        for listed, rest in ((self, other), (other, self)):
            if listed.members is not None:
                return any(number in rest for number in listed.members)
        steps = _common_steps(self, other)
        if steps is None:
            return False
        low, high = _greatest(self.low, other.low), _least(self.high, other.high)
        low_open = low is not None and (self.is_below(low) or other.is_below(low))
        high_open = high is not None and (self.is_above(high) or other.is_above(high))
        both = Numbers(None, low, high, low_open, high_open, *steps)
        return not both.tightened().is_empty

    def __contains__(self, number: Fraction) -> bool:
        if self.members is not None:
            return number in self.members
        return not (self.is_below(number) or self.is_above(number)) and self.is_on_step(number)

    def is_below(self, number: Fraction) -> bool:
        """Whether ``number`` lies below the lower bound."""
        return self.low is not None and (number < self.low or (self.low_open and number == self.low))

    def is_above(self, number: Fraction) -> bool:
        """Whether ``number`` lies above the upper bound."""
        return self.high is not None and (number > self.high or (self.high_open and number == self.high))

    def is_on_step(self, number: Fraction) -> bool:
        """Whether ``number`` is on the steps, whatever the bounds."""
        return self.step is None or ((number - self.anchor) / self.step).denominator == 1

    def starts_below(self, other: Numbers) -> bool:
        """Whether this set (without listed members) reaches below the lower bound of ``other``."""
        if other.low is None or self.low is None:
            return self.low is None and other.low is not None
        return self.low < other.low or (self.low == other.low and other.low_open and not self.low_open)

    def ends_above(self, other: Numbers) -> bool:
        """Whether this set (without listed members) reaches above the upper bound of ``other``."""
        if other.high is None or self.high is None:
            return self.high is None and other.high is not None
        return self.high > other.high or (self.high == other.high and other.high_open and not self.high_open)

    def leaves_steps_of(self, other: Numbers) -> bool:
        """Whether a number of this set (two or more, none listed) is off the steps of ``other``."""
        if other.step is None:
            return False
        if self.step is None:
            return True
        return (self.step / other.step).denominator != 1 or not other.is_on_step(self.anchor)


def exact(number: float) -> Fraction:
    """The exact number that a profile means: 0.1 is a tenth, without binary rounding."""
    return Fraction(number) if isinstance(number, int) else Fraction(repr(number))


def _common_steps(first: Numbers, second: Numbers) -> tuple[Fraction | None, Fraction] | None:
    """Step and anchor of the numbers that are on the steps of both sets; None where there are none."""
    if first.step is None or second.step is None:
        return (first.step, first.anchor) if second.step is None else (second.step, second.anchor)
    distance = second.anchor - first.anchor
    unit = lcm(first.step.denominator, second.step.denominator, distance.denominator)
    here, there, apart = (int(each * unit) for each in (first.step, second.step, distance))
    shared = gcd(here, there)
    if apart % shared:
        return None
    # The first multiple of one step with the right remainder by the other (Chinese remainder theorem).
    times = apart // shared * pow(here // shared, -1, there // shared) % (there // shared)
    return Fraction(lcm(here, there), unit), first.anchor + times * first.step


def _greatest(first: Fraction | None, second: Fraction | None) -> Fraction | None:
    return max((each for each in (first, second) if each is not None), default=None)


def _least(first: Fraction | None, second: Fraction | None) -> Fraction | None:
    return min((each for each in (first, second) if each is not None), default=None)


def _exact(number: float | None) -> Fraction | None:
    return None if number is None else exact(number)


def _common_multiple(first: Fraction, second: Fraction) -> Fraction:
    denominator = lcm(first.denominator, second.denominator)
    return Fraction(lcm(int(first * denominator), int(second * denominator)), denominator)


def plain_number(number: Fraction) -> float:
    """A number as JSON writes it: whole numbers without a decimal point."""
    return number.numerator if number.denominator == 1 else float(number)


def number_text(number: Fraction) -> str:
    """A number as text for users, with up to ten digits."""
    return f"{plain_number(number):.10g}"
