from __future__ import annotations

import pytest

from harness.trace.events import (
    Act,
    CheckStarted,
    Direction,
    Event,
    Fate,
    Judged,
    MqttPacket,
    Note,
    Point,
    RunStarted,
    Stimulus,
)
from harness.trace.packing import PackedTrace

BODIES = [
    RunStarted("{}", "plug.yaml", "simulated", 1, "1.0", "2026-01-01T00:00:00Z", ("tap", "broker"), (), None),
    CheckStarted("DEV-01", None, None),
    Note("ä \U0001f600 \ud800"),
    Stimulus(Act.WRITE, "relay", "true", "mqtt", True),
    MqttPacket(Point.TAP, Direction.FROM_DUT, 3, bytes(range(256)), 4, Fate.DROPPED),
    Judged("DEV-01", None, None, "pass", "…", (1, 2, 3)),
]
EVENTS = [Event(line, line / 7, BODIES[line % len(BODIES)]) for line in range(1, 3000)]


def test_it_is_the_trace_that_was_packed() -> None:
    packed = PackedTrace(EVENTS)
    assert list(packed) == EVENTS
    assert list(reversed(packed)) == EVENTS[::-1]
    assert len(packed) == len(EVENTS)
    assert packed[0] == EVENTS[0]
    assert packed[-1] == EVENTS[-1]
    assert list(packed[10:40:3]) == EVENTS[10:40:3]
    with pytest.raises(IndexError):
        packed[len(EVENTS)]


def test_values_have_the_types_that_they_had() -> None:
    for body, packed in zip(BODIES, PackedTrace([Event(1, 0.0, body) for body in BODIES]), strict=True):
        assert type(packed.body) is type(body)
        assert repr(packed.body) == repr(body)
    (event,) = PackedTrace([Event(1, 0.0, BODIES[3])])
    assert isinstance(event.body, Stimulus)
    assert event.body.act is Act.WRITE


def test_traces_do_not_mix() -> None:
    traces = [PackedTrace([Event(1, 0.0, Note(str(number)))]) for number in range(5)]
    assert [trace[0].body for trace in traces] == [Note(str(number)) for number in range(5)]


def test_an_empty_trace() -> None:
    assert list(PackedTrace([])) == []
