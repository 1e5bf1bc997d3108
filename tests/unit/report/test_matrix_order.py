from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.report.matrix.order import clustered


def test_lines_that_are_alike_become_neighbours() -> None:
    lines = {
        "a": ["works", "works", "", ""],
        "b": ["", "", "blocked", "works"],
        "c": ["works", "works", "works", ""],
        "d": ["", "", "blocked", "works"],
        "e": ["", "", "", ""],
    }
    order = clustered(lines, "")
    assert abs(order.index("a") - order.index("c")) == 1
    assert abs(order.index("b") - order.index("d")) == 1
    assert order[-1] == "e"  # what has nothing to do with anybody comes last


@given(
    st.dictionaries(st.text(max_size=4), st.lists(st.sampled_from(["", "x", "y"]), min_size=3, max_size=3))
)
def test_every_line_has_its_place_whatever_order_they_come_in(lines: dict[str, list[str]]) -> None:
    order = clustered(lines, "")
    assert sorted(order) == sorted(lines)
    assert order == clustered(dict(reversed(lines.items())), "")


def test_very_many_lines_are_sorted_by_reach() -> None:
    lines = {f"{at:04}": ["x"] * at + [""] * (300 - at) for at in range(300)}
    assert clustered(lines, "") == tuple(sorted(lines, reverse=True))
