from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_run import trace

from harness.report.run.timing import (
    stimulus_seconds,
    timing_of,
)
from harness.trace.events import CheckEnded, CheckStarted, Note, Wait


def test_waits_that_overlap_count_once() -> None:
    # 1..3 and 2..4 overlap, 6..7 stands alone.
    events = trace((3.0, Wait(2.0, "A", "one")), (4.0, Wait(2.0, "B", "two")), (7.0, Wait(1.0, "A", "one")))
    timing = timing_of([*events, *trace((9.0, Note("end")))])
    assert timing.imposed_seconds == pytest.approx(4.0)
    assert timing.rest_seconds == pytest.approx(5.0)
    assert {(wait.what, wait.times, wait.seconds) for wait in timing.waits} == {
        ("one", 2, 3.0),
        ("two", 1, 2.0),
    }


def test_a_wait_inside_another_adds_nothing() -> None:
    events = trace((5.0, Wait(1.0, "A", "inner")), (8.0, Wait(8.0, "B", "outer")))
    assert timing_of(events).imposed_seconds == pytest.approx(8.0)


def test_an_empty_trace_took_no_time() -> None:
    timing = timing_of([])
    assert (timing.total_seconds, timing.imposed_seconds, timing.waits) == (0.0, 0.0, ())


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=8))
def test_imposed_time_is_the_seconds_covered_by_any_wait(spans: list[tuple[int, int]]) -> None:
    ordered = sorted((min(start + length, 120), min(length, start + length)) for start, length in spans)
    events = trace(*[(float(end), Wait(float(length), "A", "w")) for end, length in ordered])
    covered = {second for end, length in ordered for second in range(end - length, end)}
    assert timing_of(events).imposed_seconds == len(covered)


def test_stimulus_time_is_that_of_its_own_window() -> None:
    events = trace(
        (1.0, CheckStarted("A", "relay", "mqtt")),
        (2.0, CheckStarted("A", "relay", "coap")),
        (2.5, CheckEnded("A", "relay", "coap")),
        (4.0, CheckEnded("A", "relay", "mqtt")),
        (5.0, CheckStarted("B", None, None)),
    )
    took = stimulus_seconds(events)
    assert took == {("A", "relay", "mqtt"): 3.0, ("A", "relay", "coap"): 0.5}
