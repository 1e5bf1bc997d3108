"""Lines in what comes over a serial line, whatever else is between them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.wire.serial.lines import (
    LONGEST,
    LineSplitter,
    Quality,
    readable_text,
)


def lines_of(*parts: bytes) -> list[str]:
    splitter = LineSplitter()
    return [text for part in parts for _, text in splitter.feed(part)]


@pytest.mark.parametrize("ending", [b"\r\n", b"\n", b"\r"])
def test_lines_end_with_cr_lf_or_both(ending: bytes) -> None:
    assert lines_of(b"one" + ending + b"two" + ending + b"three") == ["one", "two"]


def test_an_empty_line_is_a_line() -> None:
    assert lines_of(b"one\r\n\r\ntwo\n\nthree\n") == ["one", "", "two", "", "three"]


@given(st.lists(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=20)), st.data())
def test_lines_may_be_cut_anywhere(texts: list[str], data: st.DataObject) -> None:
    stream = "".join(f"{text}\r\n" for text in texts).encode()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=6)))
    parts = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert lines_of(*parts) == texts


@given(st.lists(st.binary(max_size=50)))
def test_any_bytes_are_taken_and_ends_are_told_in_order(parts: list[bytes]) -> None:
    splitter = LineSplitter()
    for part in parts:
        ends = [end for end, _ in splitter.feed(part)]
        assert ends == sorted(ends)
        assert all(0 < end <= len(part) for end in ends)


def test_binary_data_without_line_ends_takes_no_memory() -> None:
    splitter = LineSplitter()
    lengths = [len(text) for _ in range(100) for _, text in splitter.feed(b"x" * 1000)]
    assert lengths == [LONGEST] * (100_000 // LONGEST)
    assert len(splitter.rest) < LONGEST


def test_colours_go_and_what_is_no_text_is_shown() -> None:
    assert readable_text(b"\x1b[0;32mI (24) boot: done\x1b[0m") == "I (24) boot: done"
    assert readable_text("Temperatur 21 °C, 温度".encode()) == "Temperatur 21 °C, 温度"
    assert readable_text(b"a\x00b\xffc\td") == "a\\x00b\\xffc\td"


def quality_of(data: bytes) -> Quality:
    quality = Quality()
    for at in range(0, len(data), 16):
        quality.feed(data[at : at + 16])
    return quality


def test_random_bytes_are_no_text() -> None:
    assert quality_of(random.Random(1).randbytes(400)).is_bad


@pytest.mark.parametrize(
    "text",
    [
        b"\x1b[0;32mI (311) cpu_start: Starting scheduler.\x1b[0m\r\n" * 20,
        "日志：温度二十六度\r\n".encode() * 20,
        b"plain text with one \xff glitch in every line of it\n" * 20,
    ],
)
def test_logs_are_text(text: bytes) -> None:
    quality = Quality()
    quality.feed(text)
    assert not quality.is_bad


def test_little_says_nothing() -> None:
    assert not quality_of(b"\xff" * 8).is_bad


def test_a_line_that_is_good_again_is_not_bad_for_long() -> None:
    quality = quality_of(random.Random(2).randbytes(1000))
    assert quality.is_bad
    for _ in range(200):
        quality.feed(b"I (311) all is well with this line\r\n")
    assert not quality.is_bad
