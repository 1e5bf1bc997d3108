"""Whether the values of one device have a meaning for another one, and how they are converted.

Both sides use one term of the vocabulary, each with its own values: other units, names, types.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from harness.model.base import Value
from harness.model.schema import DataSchema, same_value
from harness.model.semantics.mapping import (
    Translation,
    UntranslatableError,
    as_list,
)
from harness.model.semantics.quantities import (
    Conversion,
    conversion,
)
from harness.prediction.findings import (
    UNCHANGED,
    ValueConversion,
)
from harness.prediction.numbers import (
    Numbers,
    exact,
)
from harness.prediction.values.containment import (
    NUMERIC,
    ValueAspect,
    ValueGap,
    gaps_between,
    listed_values,
    number_gaps,
)


@dataclass(frozen=True)
class Side:
    """The values that one device uses for a term. ``only`` lists the relevant ones; None: all."""

    own: DataSchema | None
    common: DataSchema | None
    names: Mapping[str, Value] | None = None
    only: Value = None

    @property
    def translation(self) -> Translation:
        """The translation between its own values and those of the vocabulary."""
        return Translation(self.own, self.common, self.names)

    @cached_property
    def pairs(self) -> tuple[tuple[Value, Value], ...] | None:
        """Own values, each with its meaning in the vocabulary; None where they are too many to list."""
        listed = None if self.own is None else listed_values(self.own)
        if self.names is not None:
            named = [value for values in self.names.values() for value in as_list(values)]
            listed = tuple(value for value in named if self.own is None or self.own.accepts(value))
        if self.only is not None:
            listed = tuple(as_list(self.only))
        return None if listed is None else tuple(self._meant(listed))

    def _meant(self, values: tuple[Value, ...]) -> Iterator[tuple[Value, Value]]:
        for value in values:
            try:
                yield value, self.translation.to_common(value)
            except UntranslatableError:
                continue  # the device has the value, but not for this term


@dataclass(frozen=True, slots=True)
class Fit:
    """The result of comparing two sides: gaps, and the conversion of values that fit.

    ``no_conversion`` names two units without a conversion; ``rounded``: numbers have to be rounded after
    their unit was converted; ``blurred``: different numbers then become equal.
    """

    gaps: tuple[ValueGap, ...] = ()
    conversion: ValueConversion = UNCHANGED
    no_conversion: tuple[str, str] | None = None
    rounded: bool = False
    blurred: bool = False

    @property
    def through(self) -> bool:
        """Whether any value fits."""
        return self.no_conversion is None and not any(gap.total for gap in self.gaps)

    @property
    def sendable(self) -> bool:
        """Whether a value can be sent at all, even if it may be refused."""
        lost = (ValueAspect.TYPE, ValueAspect.VALUES, ValueAspect.MEMBERS)
        unsaid = any(gap.total and gap.aspect in lost for gap in self.gaps)
        return self.no_conversion is None and not unsaid


def fit(source: Side, target: Side) -> Fit:
    """Whether ``target`` accepts everything that ``source`` sends."""
    if target.own is None or source.common is None:
        return Fit()  # everything is accepted, or no value is sent
    if source.own is None:
        return Fit((ValueGap(ValueAspect.TYPE, "has no value", total=True),))
    if source.own.type in NUMERIC and target.own.type in NUMERIC and not (source.names or target.names):
        return _fit_of_numbers(source, target)
    if source.pairs is not None:
        return fit_of_constants(source.pairs, target)
    if target.names is not None:
        gap = ValueGap(ValueAspect.VALUES, f"has values without a name; known: {', '.join(target.names)}")
        return Fit((gap,))
    return Fit(gaps_between(source.own, target.own))


def fit_of_constants(pairs: tuple[tuple[Value, Value], ...], target: Side) -> Fit:
    """The fit of single values, each given as it is sent and with its meaning."""
    fitting: list[tuple[Value, Value]] = []
    missing: list[Value] = []
    for sent, meant in pairs:
        try:
            own = target.translation.to_own(meant)
        except UntranslatableError:
            missing.append(meant)
            continue
        if target.own is not None and not target.own.accepts(own):
            missing.append(meant)
        else:
            fitting.append((sent, own))
    found = ValueConversion(values=tuple(fitting))
    if not missing:
        return Fit((), found)
    shown = ", ".join(_text(value) for value in missing)
    known = ", ".join(dict.fromkeys(_text(value) for _, value in target.pairs or ()))
    text = f"can be {shown}" + (f"; known: {known}" if known else ", which has no counterpart")
    return Fit((ValueGap(ValueAspect.VALUES, text, total=not fitting),), found)


def _fit_of_numbers(source: Side, target: Side) -> Fit:
    assert source.own is not None and target.own is not None
    units = source.own.unit, target.own.unit
    how = conversion(*units)
    if how is None:
        return Fit(no_conversion=(units[0] or "no unit", units[1] or "no unit"))
    inner, outer = _numbers(source), Numbers.of(target.own)
    if how.is_identity:
        return Fit(tuple(number_gaps(inner, outer)))
    sent = converted(inner, how)
    gaps = tuple(number_gaps(sent, outer))
    rounded = any(gap.aspect is ValueAspect.STEP for gap in gaps)
    if rounded:
        # Values between the steps are rounded on the way, so only the range counts.
        gaps = tuple(
            gap for gap in number_gaps(_rounded(sent, outer), outer) if gap.aspect is not ValueAspect.STEP
        )
    blurred = rounded and outer.step is not None and sent.step is not None and outer.step > sent.step
    found = ValueConversion(
        how.scale, how.offset, how.reciprocal, outer.step, source_unit=units[0], target_unit=units[1]
    )
    return Fit(gaps, found, rounded=rounded, blurred=blurred)


def _rounded(numbers: Numbers, grid: Numbers) -> Numbers:
    """The numbers, rounded to the nearest steps of ``grid``."""
    step = grid.step
    assert step is not None

    def nearest(number: Fraction) -> Fraction:
        return round(number / step) * step

    if numbers.members is not None:
        return Numbers(frozenset(map(nearest, numbers.members)))
    low = None if numbers.low is None else nearest(numbers.low)
    high = None if numbers.high is None else nearest(numbers.high)
    return Numbers(None, low, high, step=step)


def _numbers(side: Side) -> Numbers:
    assert side.own is not None
    if side.only is not None:
        return Numbers(frozenset(exact(value) for value in as_list(side.only)))
    return Numbers.of(side.own)


def converted(numbers: Numbers, how: Conversion) -> Numbers:
    """The numbers in another unit."""
    return (numbers.inverted() if how.reciprocal else numbers).converted(how.scale, how.offset)


def can_be_reported(
    source: Side, *, equals: Value, one_of: tuple[Value, ...] | None, within: Numbers
) -> bool:
    """Whether the device can report a value of the vocabulary that a reaction waits for."""
    if source.common is None:
        return True
    if source.own is None:
        return False
    wanted = one_of if one_of is not None else () if equals is None else (equals,)
    if source.own.type in NUMERIC and source.names is None:
        how = conversion(source.own.unit, source.common.unit)
        if how is None:
            return False
        reported = converted(_numbers(source), how)
        if wanted:
            return any(exact(value) in reported for value in wanted if isinstance(value, int | float))
        return reported.meets(within)
    if source.pairs is None:
        return True
    meant = [common for _, common in source.pairs]
    if wanted:
        return any(same_value(value, each) for value in wanted for each in meant)
    numbers = [exact(each) for each in meant if isinstance(each, int | float) and not isinstance(each, bool)]
    return not numbers or any(number in within for number in numbers)


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
