"""Values on a serial line: as text, as numbers, as bytes; what does not fit is said."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.bindings.serial import (
    ByteOrder,
    WireNumber,
)
from harness.model.schema import DataSchema, same_value
from harness.wire.serial.values import (
    UnfitError,
    from_bytes,
    from_number,
    from_text,
    to_bytes,
    to_number,
    to_text,
)

ON_OFF = {"on": True, "off": False}
MODES = {0: "auto", 1: "cool", 4: "heat"}


def schema(kind: str, **more: Any) -> DataSchema:
    return DataSchema.model_validate({"type": kind, **more})


@given(st.integers(-(10**12), 10**12) | st.floats(-1e9, 1e9).map(lambda x: round(x, 3)) | st.booleans())
def test_numbers_and_booleans_are_typed_as_json(value: Any) -> None:
    kind = schema("boolean" if isinstance(value, bool) else "number")
    text = to_text(kind, value, None)
    assert json.loads(text) == value
    assert same_value(from_text(kind, text, None), value)


@given(st.text(st.characters(exclude_categories=["Cc", "Zs", "Cs"]), min_size=1))
def test_texts_are_typed_bare(value: str) -> None:
    assert to_text(schema("string"), value, None) == value
    assert from_text(schema("string"), f"  {value} ", None) == value.strip()


@pytest.mark.parametrize("value", [True, False])
def test_words_stand_for_values(value: bool) -> None:
    text = to_text(schema("boolean"), value, ON_OFF)
    assert text == ("on" if value else "off")
    assert from_text(schema("boolean"), text, ON_OFF) is value


@pytest.mark.parametrize("text", ["yes", "", "1"])
def test_other_words_are_none(text: str) -> None:
    with pytest.raises(UnfitError, match="not one of on, off"):
        from_text(schema("boolean"), text, ON_OFF)


def test_what_is_no_number_is_told() -> None:
    with pytest.raises(UnfitError, match="not a value of type integer"):
        from_text(schema("integer"), "many", None)
    with pytest.raises(UnfitError, match="not a number"):
        to_number(WireNumber(), schema("string"), "many")
    with pytest.raises(UnfitError, match="neither 0 nor 1"):
        from_number(WireNumber(), schema("boolean"), 2)


def test_an_integer_may_be_printed_with_a_point() -> None:
    value = from_text(schema("integer"), "21.0", None)
    assert value == 21
    assert isinstance(value, int)


@given(st.integers(-30000, 30000), st.sampled_from([1.0, 0.1, 0.5, 0.01, 10.0]))
def test_a_scaled_number_comes_back_exactly(units: int, scale: float) -> None:
    how = WireNumber(scale=scale, signed=True)
    value = from_number(how, schema("number"), units)
    assert to_number(how, schema("number"), value) == units
    # 215 tenths are 21.5, not 21.500000000000004.
    assert len(str(value)) <= 9


@given(st.data(), st.sampled_from(list(ByteOrder)), st.booleans(), st.integers(1, 8))
def test_numbers_come_back_from_their_bytes(
    data: st.DataObject, order: ByteOrder, signed: bool, width: int
) -> None:
    bits = 8 * width
    least, most = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    number = data.draw(st.integers(least, most))
    raw = to_bytes(number, width, order, signed=signed)
    assert len(raw) == width
    assert from_bytes(WireNumber(order=order, signed=signed), raw) == number


@pytest.mark.parametrize(("number", "signed"), [(256, False), (-1, False), (128, True), (-129, True)])
def test_a_number_that_needs_more_bytes_is_refused(number: int, signed: bool) -> None:
    with pytest.raises(UnfitError, match="does not fit into 1 bytes"):
        to_bytes(number, 1, ByteOrder.BIG, signed=signed)


def test_enumerations_have_their_numbers() -> None:
    how = WireNumber(values=MODES)
    assert [to_number(how, schema("string"), mode) for mode in MODES.values()] == list(MODES)
    assert from_number(how, schema("string"), 4) == "heat"
    with pytest.raises(UnfitError, match="not one of 0, 1, 4"):
        from_number(how, schema("string"), 3)
    with pytest.raises(UnfitError, match="no number on the wire"):
        to_number(how, schema("string"), "dry")
