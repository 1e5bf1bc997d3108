"""Whether every value of one data schema is accepted by another one.

The answer is yes, no or undecided, and never a wrong yes: each :class:`ValueGap` is a way in which values do
not fit, or may not fit. The sender declares what it sends: an object has the members that its schema names
and no others. (The receiver ignores unknown members.)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from harness.model.base import Value
from harness.model.schema import DataSchema, DataType
from harness.prediction.numbers import (
    Numbers,
    number_text,
    plain_number,
)

NUMERIC = (DataType.INTEGER, DataType.NUMBER)
_SHOWN = 4


class Containment(StrEnum):
    """Whether one set of values is a subset of another."""

    CONTAINED = "contained"
    NOT_CONTAINED = "not-contained"
    UNDECIDED = "undecided"


class ValueAspect(StrEnum):
    """The respect in which values do not fit."""

    TYPE = "type"
    RANGE = "range"
    STEP = "step"
    VALUES = "values"
    LENGTH = "length"
    PATTERN = "pattern"
    MEMBERS = "members"


@dataclass(frozen=True, slots=True)
class ValueGap:
    """One way in which values do not fit, or may not fit if it is not ``certain``.

    ``text`` continues a sentence about the values: ``can be 35; accepted: from 16 to 30``. If the gap is
    ``total``, no value fits. ``key`` is the key of the accepting schema that it is about, where the aspect
    does not imply it.
    """

    aspect: ValueAspect
    text: str
    certain: bool = True
    total: bool = False
    key: str = ""


def containment(inner: DataSchema, outer: DataSchema) -> Containment:
    """Whether every value of ``inner`` is accepted by ``outer``."""
    gaps = gaps_between(inner, outer)
    if not gaps:
        return Containment.CONTAINED
    certain = any(gap.certain for gap in gaps)
    return Containment.NOT_CONTAINED if certain else Containment.UNDECIDED


def gaps_between(inner: DataSchema, outer: DataSchema) -> tuple[ValueGap, ...]:
    """The ways in which values of ``inner`` are not accepted by ``outer``; empty if all are accepted."""
    return tuple(_gaps(inner, outer))


def _gaps(inner: DataSchema, outer: DataSchema) -> Iterator[ValueGap]:
    if is_empty(inner):
        return
    if inner.type is not outer.type and not (inner.type in NUMERIC and outer.type in NUMERIC):
        yield ValueGap(
            ValueAspect.TYPE, f"is {_article(inner.type)}; expected: {_article(outer.type)}", total=True
        )
        return
    if inner.type in NUMERIC:
        yield from number_gaps(Numbers.of(inner), Numbers.of(outer))
        return
    listed = listed_values(inner)
    if listed is not None:
        yield from _listed_gaps(listed, outer)
    elif inner.type is DataType.STRING:
        yield from _text_gaps(inner, outer)
    else:
        if outer.enum is not None or outer.const is not None:
            yield ValueGap(ValueAspect.VALUES, "is not limited to the listed values", certain=False)
        if inner.type is DataType.ARRAY:
            yield from _array_gaps(inner, outer)
        else:
            yield from _object_gaps(inner, outer)


def is_empty(schema: DataSchema) -> bool:
    """Whether certainly no value conforms to ``schema``."""
    if schema.type in NUMERIC:
        return Numbers.of(schema).is_empty
    listed = listed_values(schema)
    if listed is not None:
        return not listed
    if _crossed(schema.min_length, schema.max_length) or _crossed(schema.min_items, schema.max_items):
        return True
    if schema.type is DataType.ARRAY:
        return bool(schema.min_items) and schema.items is not None and is_empty(schema.items)
    members = schema.properties or {}
    return schema.type is DataType.OBJECT and any(
        name in members and is_empty(members[name]) for name in schema.required
    )


def listed_values(schema: DataSchema) -> tuple[Value, ...] | None:
    """All values of a schema that has few of them; None where there are too many to list."""
    if schema.enum is not None:
        return tuple(value for value in schema.enum if schema.accepts(value))
    if schema.const is not None:
        return (schema.const,) if schema.accepts(schema.const) else ()
    if schema.type is DataType.BOOLEAN:
        return (False, True)
    if schema.type is DataType.NULL:
        return (None,)
    if schema.type is DataType.STRING and schema.max_length == 0:
        return ("",) if schema.accepts("") else ()
    return None


def _crossed(least: int | None, most: int | None) -> bool:
    return least is not None and most is not None and least > most


def number_gaps(inner: Numbers, outer: Numbers) -> Iterator[ValueGap]:
    """The ways in which numbers of one set are not in another."""
    if inner.is_short or inner.members is not None:
        yield from _listed_number_gaps(tuple(inner.listed()), outer)
        return
    total = not inner.meets(outer)
    if outer.members is not None:
        yield ValueGap(
            ValueAspect.VALUES, f"is any number {range_text(inner)}; {_accepted(outer)}", total=total
        )
        return
    if inner.starts_below(outer) or inner.ends_above(outer):
        text = f"ranges {range_text(inner)}; accepted: {range_text(outer)}"
        key = "maximum" if inner.ends_above(outer) else "minimum"
        yield ValueGap(ValueAspect.RANGE, text, total=total, key=key)
    if inner.leaves_steps_of(outer):
        yield ValueGap(ValueAspect.STEP, _step_text(inner, outer), total=total)


def _listed_number_gaps(numbers: tuple[Fraction, ...], outer: Numbers) -> Iterator[ValueGap]:
    missing = [number for number in numbers if number not in outer]
    if not missing:
        return
    total = len(missing) == len(numbers)
    if outer.members is not None:
        yield ValueGap(
            ValueAspect.VALUES, f"can be {_shown_numbers(missing)}; {_accepted(outer)}", total=total
        )
        return
    outside = [number for number in missing if outer.is_below(number) or outer.is_above(number)]
    if outside:
        text = f"can be {_shown_numbers(outside)}; accepted: {range_text(outer)}"
        key = "maximum" if any(map(outer.is_above, outside)) else "minimum"
        yield ValueGap(ValueAspect.RANGE, text, total=total, key=key)
    off_step = [number for number in missing if not outer.is_on_step(number)]
    if off_step:
        assert outer.step is not None
        text = f"can be {_shown_numbers(off_step)}; accepted: steps of {number_text(outer.step)}"
        yield ValueGap(ValueAspect.STEP, text, total=total)


def _listed_gaps(values: tuple[Value, ...], outer: DataSchema) -> Iterator[ValueGap]:
    missing = [value for value in values if not outer.accepts(value)]
    if not missing:
        return
    shown, total = _shown(missing), len(missing) == len(values)
    accepted = listed_values(outer)
    if accepted is not None:
        yield ValueGap(ValueAspect.VALUES, f"can be {shown}; accepted: {_shown(list(accepted))}", total=total)
    else:
        aspect = _aspect_of(missing[0], outer)
        yield ValueGap(aspect, f"can be {shown}: {outer.violations(missing[0])[0]}", total=total)


def _aspect_of(value: Value, outer: DataSchema) -> ValueAspect:
    if isinstance(value, str):
        fits = (
            (outer.min_length or 0)
            <= len(value)
            <= (len(value) if outer.max_length is None else outer.max_length)
        )
        return ValueAspect.PATTERN if fits else ValueAspect.LENGTH
    return ValueAspect.LENGTH if isinstance(value, list) else ValueAspect.MEMBERS


def _text_gaps(inner: DataSchema, outer: DataSchema) -> Iterator[ValueGap]:
    # A pattern may limit the length further, so the limits alone decide nothing.
    certain = inner.pattern is None
    accepted = listed_values(outer)
    if accepted is not None:
        yield ValueGap(ValueAspect.VALUES, f"can be any text; accepted: {_shown(list(accepted))}", certain)
        return
    least, most = inner.min_length or 0, inner.max_length
    if outer.min_length is not None and least < outer.min_length:
        text = f"can have {least} characters; accepted: {outer.min_length} or more"
        yield ValueGap(
            ValueAspect.LENGTH, text, certain, most is not None and most < outer.min_length, "minLength"
        )
    if outer.max_length is not None and (most is None or most > outer.max_length):
        sent = "any number of" if most is None else f"up to {most}"
        text = f"can have {sent} characters; accepted: at most {outer.max_length}"
        yield ValueGap(ValueAspect.LENGTH, text, certain, least > outer.max_length, "maxLength")
    if outer.pattern is not None and outer.pattern != inner.pattern:
        yield _pattern_gap(inner, outer)


def _pattern_gap(inner: DataSchema, outer: DataSchema) -> ValueGap:
    """The gap between two patterns: certain only if one of some examples breaks the outer one."""
    pattern = DataSchema(type=DataType.STRING, pattern=outer.pattern)
    length = max(inner.min_length or 0, min(1, inner.max_length or 1))
    for text in ("", *(character * length for character in "a0A -\n☃")):
        if inner.accepts(text) and not pattern.accepts(text):
            return ValueGap(ValueAspect.PATTERN, f"can be {_shown([text])}; accepted: {outer.pattern}")
    return ValueGap(ValueAspect.PATTERN, f"may not always match {outer.pattern}", certain=False)


def _array_gaps(inner: DataSchema, outer: DataSchema) -> Iterator[ValueGap]:
    least, most = inner.min_items or 0, inner.max_items
    if inner.items is not None and is_empty(inner.items):
        most = 0
    if outer.min_items is not None and least < outer.min_items:
        text = f"can have {least} items; accepted: {outer.min_items} or more"
        yield ValueGap(ValueAspect.LENGTH, text, total=most is not None and most < outer.min_items)
    if outer.max_items is not None and (most is None or most > outer.max_items):
        sent = "any number of" if most is None else f"up to {most}"
        text = f"can have {sent} items; accepted: at most {outer.max_items}"
        yield ValueGap(ValueAspect.LENGTH, text, total=least > outer.max_items)
    if most == 0 or outer.items is None:
        return
    if inner.items is None:
        yield ValueGap(ValueAspect.TYPE, "has items of unknown type")
        return
    for gap in _gaps(inner.items, outer.items):
        yield ValueGap(gap.aspect, f"has an item that {gap.text}", gap.certain, gap.total and least > 0)


def _object_gaps(inner: DataSchema, outer: DataSchema) -> Iterator[ValueGap]:
    sent, wanted = inner.properties or {}, outer.properties or {}
    for name in outer.required:
        if name not in inner.required:
            how = "may omit" if name in sent else "lacks"
            yield ValueGap(ValueAspect.MEMBERS, f"{how} the member {name}", total=name not in sent)
    for name, schema in wanted.items():
        # A required member without a schema can have any value.
        if name in sent:
            for gap in _gaps(sent[name], schema):
                total = gap.total and name in inner.required
                yield ValueGap(gap.aspect, f"has a member {name} that {gap.text}", gap.certain, total)
        elif name in inner.required:
            yield ValueGap(ValueAspect.TYPE, f"has a member {name} of unknown type", certain=False)


def range_text(numbers: Numbers) -> str:
    """The range of a set as text: ``from 16 to 30``."""
    if numbers.members is not None:
        return f"among {_shown_numbers(sorted(numbers.members))}"
    if numbers.low is None and numbers.high is None:
        return "anywhere"
    if numbers.low is None:
        return f"{'below' if numbers.high_open else 'up to'} {_bound(numbers.high)}"
    low = f"{'above' if numbers.low_open else 'from'} {number_text(numbers.low)}"
    if numbers.high is None:
        return low if numbers.low_open else f"{low} up"
    return f"{low} {'to below' if numbers.high_open else 'to'} {_bound(numbers.high)}"


def _bound(number: Fraction | None) -> str:
    return "" if number is None else number_text(number)


def _step_text(inner: Numbers, outer: Numbers) -> str:
    assert outer.step is not None
    sent = "comes in any step" if inner.step is None else f"comes in steps of {number_text(inner.step)}"
    if inner.anchor:
        sent += f" from {number_text(inner.anchor)}"
    return f"{sent}; accepted: steps of {number_text(outer.step)}"


def _accepted(outer: Numbers) -> str:
    return f"accepted: {_shown_numbers(sorted(outer.members or ()))}"


def _shown_numbers(numbers: list[Fraction]) -> str:
    return _shown([plain_number(number) for number in numbers])


def _shown(values: list[Value]) -> str:
    texts = [json.dumps(value, ensure_ascii=False) for value in values]
    if len(texts) > _SHOWN + 1:
        texts = [*texts[:_SHOWN], f"{len(texts) - _SHOWN} more"]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}" if texts else "nothing"


def _article(kind: DataType) -> str:
    return f"{'an' if kind.value[0] in 'aeiou' else 'a'} {kind}"
