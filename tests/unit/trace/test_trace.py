"""A trace and its parts are what a list of the same events would be, with a quick way to those of a kind."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.trace.events import Body, Connection, ConnectionChange, Direction, Event, Note, Point, RunEnded
from harness.trace.trace import Trace, backwards, bodies

KINDS = (Note, Connection, RunEnded)
OPENED = Connection(Point.TAP, 1, ConnectionChange.OPENED, Direction.FROM_DUT)
BODIES: st.SearchStrategy[Body] = st.sampled_from([Note("a"), Note("b"), OPENED])
EVENTS = st.lists(BODIES, max_size=12).map(
    lambda bodies: [Event(line, float(line), body) for line, body in enumerate(bodies, start=1)]
)
BOUNDS = st.none() | st.integers(-15, 15)
SLICES = st.builds(slice, BOUNDS, BOUNDS, st.none() | st.sampled_from([1, 2, -1]))


@given(EVENTS, SLICES, SLICES)
def test_a_part_of_a_part_is_that_of_a_list(events: list[Event], first: slice, second: slice) -> None:
    part = Trace(events)[first]
    assert list(part) == events[first]
    assert len(part) == len(events[first])
    assert list(part[second]) == events[first][second]
    assert list(reversed(part)) == events[first][::-1]


@given(EVENTS, SLICES)
def test_the_events_of_a_kind_are_all_of_them_in_order(events: list[Event], part: slice) -> None:
    for kind in KINDS:
        wanted = [(event, event.body) for event in events[part] if isinstance(event.body, kind)]
        assert list(bodies(Trace(events)[part], kind)) == wanted
        assert list(bodies(events[part], kind)) == wanted
        assert list(backwards(Trace(events)[part], kind)) == wanted[::-1]


@given(EVENTS, SLICES, st.integers(-15, 15))
def test_an_event_has_the_place_that_it_has_in_a_list(events: list[Event], part: slice, index: int) -> None:
    wanted = events[part]
    found = Trace(events)[part]
    if -len(wanted) <= index < len(wanted):
        assert found[index] is wanted[index]
    else:
        with pytest.raises(IndexError):
            found[index]


@given(EVENTS, EVENTS)
def test_a_part_stays_what_it_was_while_the_trace_grows(events: list[Event], further: list[Event]) -> None:
    trace = Trace(events)
    part = trace[:]
    for event in further:
        trace.append(event)
    assert list(part) == events
    assert len(bodies(part, Note)) == sum(isinstance(event.body, Note) for event in events)
    assert list(trace) == [*events, *further]
