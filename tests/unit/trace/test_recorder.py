from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.trace.events import Event, Note, Wait
from harness.trace.lines import read
from harness.trace.recorder import DeviceRecorder, Recorder


class Clock:
    """A clock that stands still until it is told the time."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def says(text: str) -> Callable[[Event], bool]:
    return lambda event: isinstance(event.body, Note) and event.body.text == text


def test_events_are_counted_and_timed_from_the_start() -> None:
    clock = Clock()
    recorder = Recorder(clock)
    first = recorder.record(Note("a"))
    clock.time += 1.5
    second = recorder.record(Note("b"))
    assert (first, second) == (Event(1, 0.0, Note("a")), Event(2, 1.5, Note("b")))
    assert list(recorder.events) == [first, second]
    assert recorder.now == 1.5


def test_each_event_is_on_disk_when_it_is_recorded(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    recorder = Recorder(Clock(), path)
    for body in (Note("a"), Wait(0.5, "RFC", "x"), Note("odd \udcff\u2028 text")):
        recorder.record(body)
        assert list(read(path)) == list(recorder.events)
    recorder.close()
    recorder.record(Note("later"))
    assert len(list(read(path))) == 3
    assert len(recorder.events) == 4
    recorder.close()


def test_waiting_ends_with_the_first_event_that_is_wanted() -> None:
    async def run() -> None:
        recorder = Recorder(asyncio.get_running_loop().time)
        recorder.record(Note("x"))
        waiting = asyncio.create_task(recorder.wait_for(says("x"), within=30))
        other = asyncio.create_task(recorder.wait_for(says("y"), within=30))
        await asyncio.sleep(0)
        recorder.record(Note("y"))
        third = recorder.record(Note("x"))
        recorder.record(Note("x"))
        assert await waiting == third  # the one from before does not count
        assert await other == recorder.events[1]

    asyncio.run(run())


def test_waiting_can_look_back() -> None:
    async def run() -> None:
        recorder = Recorder(asyncio.get_running_loop().time)
        for text in ("x", "y", "x"):
            recorder.record(Note(text))
        assert await recorder.wait_for(says("x"), within=0, since=0) == recorder.events[0]
        assert await recorder.wait_for(says("x"), within=0, since=1) == recorder.events[2]
        assert await recorder.wait_for(says("y"), within=0, since=2) is None

    asyncio.run(run())


@pytest.mark.parametrize("within", [0, -1, 0.01])
def test_waiting_ends_without_an_event(within: float) -> None:
    async def run() -> None:
        recorder = Recorder(asyncio.get_running_loop().time)
        assert await recorder.wait_for(says("x"), within=within) is None
        recorder.record(Note("x"))  # nobody waits any more

    asyncio.run(run())


def test_an_event_in_the_very_step_of_the_deadline_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        loop, clock = asyncio.get_running_loop(), Clock()
        monkeypatch.setattr(loop, "time", clock)
        recorder = Recorder(clock)
        waiting = asyncio.create_task(recorder.wait_for(says("x"), within=5))
        await asyncio.sleep(0)
        recorded = loop.create_future()

        def pass_the_deadline() -> None:  # in the next step both the event and the deadline are due
            clock.time += 5
            loop.call_soon(lambda: recorded.set_result(recorder.record(Note("x"))))

        loop.call_soon(pass_the_deadline)
        assert await waiting == await recorded

    asyncio.run(run())


def test_what_goes_wrong_in_a_waiter_is_the_waiters() -> None:
    def breaks(event: Event) -> bool:
        raise LookupError("no such thing")

    async def run() -> None:
        recorder = Recorder(asyncio.get_running_loop().time)
        broken = asyncio.create_task(recorder.wait_for(breaks, within=30))
        sound = asyncio.create_task(recorder.wait_for(says("x"), within=30))
        await asyncio.sleep(0)
        event = recorder.record(Note("x"))
        assert await sound == event
        with pytest.raises(LookupError):
            await broken

    asyncio.run(run())


def test_a_cancelled_wait_leaves_nothing_behind() -> None:
    async def run() -> None:
        recorder = Recorder(asyncio.get_running_loop().time)
        waiting = asyncio.create_task(recorder.wait_for(says("x"), within=30))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        recorder.record(Note("x"))

    asyncio.run(run())


def test_what_a_device_records_is_its_own_in_the_one_trace() -> None:
    async def run() -> None:
        recorder = Recorder(asyncio.get_running_loop().time)
        lamp, switch = DeviceRecorder(recorder, "lamp"), DeviceRecorder(recorder, "switch")
        waiting = asyncio.create_task(lamp.wait_for(says("x"), within=30))
        await asyncio.sleep(0)
        switch.record(Note("x"))
        own = lamp.record(Note("x"))
        assert await waiting == own
        assert [(event.line, event.device) for event in recorder.events] == [(1, "switch"), (2, "lamp")]
        assert lamp.events == recorder.events

    asyncio.run(run())
