"""Properties, actions and events: schemas that no value, or the wrong values, can satisfy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from math import ceil

from harness.model.affordance import PowerUp, Property
from harness.model.consistency.mistake import CheckedProfile, Mistake, unknown_name, wrong_value
from harness.model.ics import ENERGY_UNITS
from harness.model.problems import Path
from harness.model.schema import DataSchema, DataType, same_value
from harness.model.semantics.quantities import is_unit

NUMBERS = (DataType.INTEGER, DataType.NUMBER)

# Keywords, by the types that they apply to.
_KEYWORDS = {
    "minimum": NUMBERS,
    "maximum": NUMBERS,
    "multiple_of": NUMBERS,
    "min_length": (DataType.STRING,),
    "max_length": (DataType.STRING,),
    "pattern": (DataType.STRING,),
    "items": (DataType.ARRAY,),
    "min_items": (DataType.ARRAY,),
    "max_items": (DataType.ARRAY,),
    "properties": (DataType.OBJECT,),
}


def mistakes(subject: CheckedProfile) -> Iterator[Mistake]:
    """Mistakes in the declarations of affordances."""
    profile = subject.profile
    for name, schema in profile.properties.items():
        yield from _of_schema(schema, ("properties", name))
        yield from _of_property(subject, name, schema)
    for name, action in profile.actions.items():
        for key, data in (("input", action.input), ("output", action.output)):
            if data is not None:
                yield from _of_schema(data, ("actions", name, key))
    for name, event in profile.events.items():
        if event.data is not None:
            yield from _of_schema(event.data, ("events", name, "data"))


def _of_schema(schema: DataSchema, path: Path) -> Iterator[Mistake]:
    for keyword, types in _KEYWORDS.items():
        if getattr(schema, keyword) is not None and schema.type not in types:
            alias = DataSchema.model_fields[keyword].alias or keyword
            yield Mistake((*path, alias), f"does not apply to type {schema.type}")
    if schema.unit is not None and not is_unit(schema.unit):
        yield Mistake(
            (*path, "unit"), "is not a UCUM code", schema.unit, "such as W, kW.h, V, Cel, [degF], %, h"
        )
    limits = list(_of_limits(schema, path))
    yield from limits
    if schema.pattern is not None:
        try:
            re.compile(schema.pattern)
        except re.error as error:
            yield Mistake((*path, "pattern"), f"is not a valid regular expression: {error}", schema.pattern)
    if not limits:
        yield from _of_values(schema, path)
    if schema.items is not None:
        yield from _of_schema(schema.items, (*path, "items"))
    members = schema.properties or {}
    for name, member in members.items():
        yield from _of_schema(member, (*path, "properties", name))
    for index, name in enumerate(schema.required):
        if name not in members:
            yield Mistake((*path, "required", index), "is not a member", name, ", ".join(members) or None)


def _of_limits(schema: DataSchema, path: Path) -> Iterator[Mistake]:
    pairs = (
        ("minimum", schema.minimum, "maximum", schema.maximum),
        ("minLength", schema.min_length, "maxLength", schema.max_length),
        ("minItems", schema.min_items, "maxItems", schema.max_items),
    )
    for low_key, low, high_key, high in pairs:
        if low is not None and high is not None and low > high:
            yield Mistake((*path, low_key), f"is above {high_key}", str(low), f"{high:g} at most")
    if schema.type not in NUMBERS or schema.minimum is None or schema.maximum is None:
        return
    step = Fraction(repr(schema.multiple_of)) if schema.multiple_of is not None else None
    if step is None and schema.type is DataType.INTEGER:
        step = Fraction(1)
    least, most = Fraction(repr(schema.minimum)), Fraction(repr(schema.maximum))
    if step is not None and least <= most and ceil(least / step) * step > most:
        message = f"no value between {schema.minimum:g} and {schema.maximum:g} is legal"
        yield Mistake((*path, "minimum"), message)


def _of_values(schema: DataSchema, path: Path) -> Iterator[Mistake]:
    if schema.enum is not None:
        if not schema.enum:
            yield Mistake((*path, "enum"), "has no values")
        without_enum = schema.model_copy(update={"enum": None})
        for index, member in enumerate(schema.enum):
            yield from wrong_value((*path, "enum", index), member, without_enum)
            if any(same_value(member, earlier) for earlier in schema.enum[:index]):
                yield Mistake((*path, "enum", index), "is listed twice", str(member))
    if schema.const is not None:
        yield from wrong_value((*path, "const"), schema.const, schema)
    if schema.default is not None:
        yield from wrong_value((*path, "default"), schema.default, schema)


def _of_property(subject: CheckedProfile, name: str, schema: Property) -> Iterator[Mistake]:
    path: Path = ("properties", name)
    if schema.read_only and schema.write_only:
        yield Mistake((*path, "writeOnly"), "a property cannot be both readOnly and writeOnly")
    if schema.tolerance and schema.type not in NUMBERS:
        yield Mistake((*path, "tolerance"), f"does not apply to type {schema.type}")
    if schema.counter and schema.type not in NUMBERS:
        yield Mistake(
            (*path, "counter"), "only a number can be a counter", str(schema.type), "integer or number"
        )
    if schema.power_up is PowerUp.DEFAULT and schema.default is None:
        yield Mistake(
            (*path, "power_up"),
            "a property that returns to its default after a loss of power needs a default",
        )
    for index, other in enumerate(schema.also_changes):
        if mistake := unknown_name(
            (*path, "also_changes", index), "property", other, subject.names.properties
        ):
            yield mistake
        elif other == name:
            yield Mistake(
                (*path, "also_changes", index),
                "is the property itself, which its command changes anyway",
                other,
            )
    if schema.also_changes and schema.read_only:
        yield Mistake((*path, "also_changes"), "a readOnly property accepts no commands")
    if schema.integral_of is None:
        return
    source = (*path, "integral_of")
    if mistake := unknown_name(source, "property", schema.integral_of, subject.names.properties):
        yield mistake
    elif not schema.counter or schema.unit not in ENERGY_UNITS:
        yield Mistake(source, "only an energy counter adds up power", schema.unit, ", ".join(ENERGY_UNITS))
    elif (power := subject.profile.properties.get(schema.integral_of)) and power.unit != "W":
        yield Mistake(source, f"{schema.integral_of} is not a power", power.unit, "a property in W")
