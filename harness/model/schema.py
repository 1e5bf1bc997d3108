"""Data schemas in the vocabulary of the W3C WoT Thing Description (the JSON Schema part of it)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from enum import StrEnum
from fractions import Fraction
from typing import Any

from pydantic import Field

from harness.model.base import ProfilePart, Value


class DataType(StrEnum):
    """JSON types of WoT data schemas."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    NUMBER = "number"
    STRING = "string"
    OBJECT = "object"
    ARRAY = "array"
    NULL = "null"


class DataSchema(ProfilePart):
    """The set of values that an affordance may take (WoT TD 1.1, 5.3.2)."""

    type: DataType = Field(description="type of the value")
    title: str | None = Field(None, description="short text for people")
    description: str | None = Field(None, description="longer text for people")
    unit: str | None = Field(None, description="UCUM code, such as W, kW.h, Cel, %")
    minimum: float | None = Field(None, description="smallest value")
    maximum: float | None = Field(None, description="largest value")
    multiple_of: float | None = Field(
        None, alias="multipleOf", gt=0, description="step between values, counted from zero"
    )
    enum: tuple[Value, ...] | None = Field(None, description="the only values")
    const: Value = Field(None, description="the only value")
    default: Value = Field(None, description="value of a new device; for a sensor, its first measurement")
    min_length: int | None = Field(None, alias="minLength", ge=0, description="fewest characters")
    max_length: int | None = Field(None, alias="maxLength", ge=0, description="most characters")
    pattern: str | None = Field(None, description="regular expression that a text must match")
    items: DataSchema | None = Field(None, description="schema of each item of an array")
    min_items: int | None = Field(None, alias="minItems", ge=0, description="fewest items")
    max_items: int | None = Field(None, alias="maxItems", ge=0, description="most items")
    properties: dict[str, DataSchema] | None = Field(None, description="schemas of members of an object")
    required: tuple[str, ...] = Field((), description="members that must be present")

    def violations(self, value: Value) -> list[str]:
        """The violations in ``value`` as text; empty when it conforms.

        Unknown members of objects are tolerated (WoT TD: additional members are allowed).
        """
        if not _TYPE_TESTS[self.type](value):
            return [f"{_show(value)} is not of type {self.type}"]
        found: list[str] = []
        if self.enum is not None and not any(same_value(value, member) for member in self.enum):
            found.append(f"{_show(value)} is none of {', '.join(_show(member) for member in self.enum)}")
        if self.const is not None and not same_value(value, self.const):
            found.append(f"{_show(value)} is not {_show(self.const)}")
        if isinstance(value, int | float) and not isinstance(value, bool):
            found += self._number_violations(value)
        elif isinstance(value, str):
            found += self._string_violations(value)
        elif isinstance(value, list):
            found += self._array_violations(value)
        elif isinstance(value, dict):
            found += self._object_violations(value)
        return found

    def accepts(self, value: Value) -> bool:
        """Whether ``value`` conforms."""
        return not self.violations(value)

    def _number_violations(self, value: float) -> list[str]:
        found = []
        if self.minimum is not None and value < self.minimum:
            found.append(f"{_show(value)} is below the minimum {_show(self.minimum)}")
        if self.maximum is not None and value > self.maximum:
            found.append(f"{_show(value)} is above the maximum {_show(self.maximum)}")
        if self.multiple_of is not None and not _is_multiple(value, self.multiple_of):
            found.append(f"{_show(value)} is not a multiple of {_show(self.multiple_of)}")
        return found

    def _string_violations(self, value: str) -> list[str]:
        found = []
        if self.min_length is not None and len(value) < self.min_length:
            found.append(f"{_show(value)} is shorter than {self.min_length} characters")
        if self.max_length is not None and len(value) > self.max_length:
            found.append(f"{_show(value)} is longer than {self.max_length} characters")
        if self.pattern is not None and not re.search(self.pattern, value):
            found.append(f"{_show(value)} does not match {self.pattern}")
        return found

    def _array_violations(self, value: list[Any]) -> list[str]:
        found = []
        if self.min_items is not None and len(value) < self.min_items:
            found.append(f"has fewer than {self.min_items} items")
        if self.max_items is not None and len(value) > self.max_items:
            found.append(f"has more than {self.max_items} items")
        if self.items is not None:
            for index, item in enumerate(value):
                found += [f"item {index}: {text}" for text in self.items.violations(item)]
        return found

    def _object_violations(self, value: dict[str, Any]) -> list[str]:
        found = [f"member {name} is missing" for name in self.required if name not in value]
        for name, schema in (self.properties or {}).items():
            if name in value:
                found += [f"member {name}: {text}" for text in schema.violations(value[name])]
        return found


def _is_multiple(value: float, step: float) -> bool:
    # The shortest text, because 0.3 % 0.1 is not 0 in binary; a fraction, because decimals of limited
    # precision fail on values such as 1e300, which may be received.
    return (Fraction(repr(value)) / Fraction(repr(step))).denominator == 1


def _is_integer(value: Value) -> bool:
    # A JSON number without fraction is an integer, however it was written (JSON Schema 2020-12, 6.1.1).
    return not isinstance(value, bool) and (
        isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    )


def is_number(value: Value) -> bool:
    """Whether a value is a finite JSON number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


_TYPE_TESTS: dict[DataType, Callable[[Value], bool]] = {
    DataType.BOOLEAN: lambda value: isinstance(value, bool),
    DataType.INTEGER: _is_integer,
    DataType.NUMBER: is_number,
    DataType.STRING: lambda value: isinstance(value, str),
    DataType.OBJECT: lambda value: isinstance(value, dict),
    DataType.ARRAY: lambda value: isinstance(value, list),
    DataType.NULL: lambda value: value is None,
}


def same_value(first: Value, second: Value) -> bool:
    """Whether two JSON values are equal: ``1`` and ``1.0`` are, ``1`` and ``true`` are not."""
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    return bool(first == second)


def _show(value: Value) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"
