"""What a comparison of values promises holds for every value: it arrives as one that is accepted."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.model.schema import DataSchema
from harness.prediction.values.conversion import (
    Fit,
    Side,
    fit,
)

CELSIUS = DataSchema.model_validate({"type": "number", "unit": "Cel"})
UNITS = st.sampled_from(["Cel", "[degF]", "K"])
STEPS = st.sampled_from([None, 0.1, 0.5, 1, 2])
WORDS = ["Auto", "Cool", "Heat", "Off"]
MODES = DataSchema.model_validate({"type": "string", "enum": WORDS})


def temperature(unit: str, low: int, high: int, step: float | None) -> DataSchema:
    keys = {"type": "number", "unit": unit, "minimum": low, "maximum": high, "multipleOf": step}
    return DataSchema.model_validate({name: value for name, value in keys.items() if value is not None})


TEMPERATURES = st.builds(temperature, UNITS, st.integers(-20, 60), st.integers(-20, 330), STEPS)


def sent(schema: DataSchema) -> list[float]:
    """Values of a schema: all on its steps, or many where it has none, and its limits."""
    assert schema.minimum is not None and schema.maximum is not None
    step = schema.multiple_of or 0.25
    first, last = int(schema.minimum / step) - 1, int(schema.maximum / step) + 1
    values = [round(number * step, 6) for number in range(first, last + 1)]
    return [value for value in [*values, schema.minimum, schema.maximum] if schema.accepts(value)]


@settings(max_examples=150, deadline=None)
@given(TEMPERATURES, TEMPERATURES)
def test_numbers_that_fit_arrive_as_numbers_that_are_accepted(source: DataSchema, target: DataSchema) -> None:
    found = fit(Side(source, CELSIUS), Side(target, CELSIUS))
    arrived = [target.accepts(found.conversion.apply(value)) for value in sent(source)]
    if not found.gaps:
        assert all(arrived)
    if not found.through:
        assert not any(arrived)


def named(own: list[str], kept: list[str]) -> Side:
    names = {word: value for word, value in zip(WORDS, own, strict=True) if word in kept}
    schema = DataSchema.model_validate({"type": "string", "enum": own})
    return Side(schema, MODES, names)


SIDES = st.builds(
    named,
    st.permutations(["a", "b", "c", "d"]),
    st.lists(st.sampled_from(WORDS), unique=True, min_size=1),
)


@given(SIDES, SIDES)
def test_names_that_fit_arrive_as_what_they_mean(source: Side, target: Side) -> None:
    found = fit(source, target)
    assert source.names is not None and target.names is not None
    known = {word: target.names.get(word) for word in source.names}
    assert bool(found.gaps) is (None in known.values())
    assert found.through is any(value is not None for value in known.values())
    for word, own in source.names.items():
        if known[word] is not None:
            assert found.conversion.apply(own) == known[word]


def test_booleans_and_words_are_translated_both_ways() -> None:
    boolean = DataSchema.model_validate({"type": "boolean"})
    lamp, contact = Side(boolean, boolean), Side(boolean, boolean, {"true": False, "false": True})
    assert applied(fit(contact, lamp), True) is False
    assert applied(fit(lamp, contact), True) is False
    words = DataSchema.model_validate({"type": "string", "enum": ["open", "shut"]})
    door = Side(words, boolean, {"true": "shut", "false": "open"})
    assert applied(fit(door, contact), "open") is True


def applied(found: Fit, value: Any) -> Any:
    assert not found.gaps
    return found.conversion.apply(value)


def test_kelvin_is_told_in_mired() -> None:
    mired = DataSchema.model_validate({"type": "number", "unit": "MK-1"})
    kelvin = DataSchema.model_validate({"type": "integer", "unit": "K", "minimum": 2000, "maximum": 6250})
    lamp = DataSchema.model_validate({"type": "integer", "unit": "MK-1", "minimum": 160, "maximum": 500})
    found = fit(Side(kelvin, mired), Side(lamp, mired))
    assert not found.gaps
    assert applied(found, 4000) == 250
    narrow = DataSchema.model_validate({"type": "integer", "unit": "MK-1", "minimum": 200, "maximum": 400})
    assert fit(Side(kelvin, mired), Side(narrow, mired)).gaps
