"""Recording a trace as it happens, in memory and in a file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from harness.trace.events import Body, Event
from harness.trace.lines import to_line
from harness.trace.trace import Trace


class Recorder:
    """Collects the events of one run.

    Events are written to ``path`` before the loop waits again (at once if no loop is running), so that a
    killed run leaves a readable trace. ``clock`` returns seconds (a loop's ``time``); times in the trace
    count from the creation of the recorder.
    """

    device: str | None = None
    """The role of the device, if several devices share a trace."""

    def __init__(self, clock: Callable[[], float], path: Path | None = None) -> None:
        self._clock = clock
        self._zero = clock()
        self._events = Trace()
        self._waiters: list[tuple[Callable[[Event], bool], asyncio.Future[Event]]] = []
        self._unwritten: list[Event] = []
        self._writing = False  # whether a call of _write is scheduled
        self._calls: dict[int, Callable[[], None]] = {}
        self._listeners: list[Callable[[Event], None]] = []
        # A lone surrogate, as in a file name, is not valid UTF-8; backslashreplace makes it a JSON escape.
        self._file: TextIO | None = (
            path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") if path else None
        )

    @property
    def events(self) -> Sequence[Event]:
        """All events so far; line ``n`` is at index ``n - 1``."""
        return self._events

    @property
    def now(self) -> float:
        """Seconds since the start of the run."""
        return self._clock() - self._zero

    def call_at(self, line: int, call: Callable[[], None]) -> None:
        """Call ``call`` when that line is recorded."""
        self._calls[line] = call

    def record(self, body: Body, device: str | None = None) -> Event:
        """Append one event, write it, and wake those who wait for it. ``device``: the role of its device."""
        event = Event(len(self._events) + 1, round(self.now, 6), body, device)
        self._events.append(event)
        if self._file:
            self._unwritten.append(event)
            if not self._writing:
                self._write_soon()
        for wanted, future in list(self._waiters):
            if not future.done():
                _offer(event, wanted, future)
        if event.line in self._calls:
            self._calls[event.line]()
        for listener in self._listeners:
            listener(event)
        return event

    def listen(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call ``listener`` with every event from now on; call the returned function to stop.

        A listener must not record events itself; it may do so in a later iteration of the loop.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def wait_for(
        self, wanted: Callable[[Event], bool], *, within: float, since: int | None = None
    ) -> Event | None:
        """Return the first event that ``wanted`` accepts, or None after ``within`` seconds.

        Recorded events count from line ``since`` + 1 on; with ``since`` None, only new events count.
        """
        if since is not None:
            for event in self._events[since:]:
                if wanted(event):
                    return event
        future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        waiter = (wanted, future)
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(max(within, 0)):
                return await future
        except TimeoutError:
            # The event may have come in the same iteration as the timeout.
            return None if future.cancelled() or not future.done() else future.result()
        finally:
            self._waiters.remove(waiter)

    def _write_soon(self) -> None:
        """Write at the end of this iteration of the loop, after those who wait for the event."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._write()
        else:
            self._writing = True
            loop.call_soon(self._write)

    def _write(self) -> None:
        self._writing = False
        unwritten, self._unwritten = self._unwritten, []
        if self._file:
            self._file.write("".join(map(to_line, unwritten)))
            self._file.flush()

    def close(self) -> None:
        """Close the file; events are still recorded in memory."""
        if self._file:
            self._write()
            self._file.close()
            self._file = None


class DeviceRecorder(Recorder):
    """Records the events of one device in a recorder that several devices share."""

    def __init__(self, shared: Recorder, device: str) -> None:
        self._shared = shared
        self.device = device

    @property
    def events(self) -> Sequence[Event]:
        """All events so far, of all devices."""
        return self._shared.events

    @property
    def now(self) -> float:
        """Seconds since the start of the run."""
        return self._shared.now

    def call_at(self, line: int, call: Callable[[], None]) -> None:
        """Call ``call`` when that line is recorded."""
        self._shared.call_at(line, call)

    def record(self, body: Body, device: str | None = None) -> Event:
        """Append one event of this device."""
        return self._shared.record(body, device or self.device)

    async def wait_for(
        self, wanted: Callable[[Event], bool], *, within: float, since: int | None = None
    ) -> Event | None:
        """Wait for an event of this device."""

        def own(event: Event) -> bool:
            return event.device == self.device and wanted(event)

        return await self._shared.wait_for(own, within=within, since=since)

    def close(self) -> None:
        """Nothing: the owner of the shared recorder closes it."""


def _offer(event: Event, wanted: Callable[[Event], bool], future: asyncio.Future[Event]) -> None:
    """Offer the event to one waiter; an exception goes to the waiter, not to the caller."""
    try:
        if wanted(event):
            future.set_result(event)
    except Exception as problem:
        future.set_exception(problem)
