"""What every bench does with the trace: look at it, leave notes in it, and wait for events."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.trace.events import Event, LoopLate, Note, Wait
from harness.trace.recorder import Recorder
from harness.trace.trace import bodies


def lateness(events: Sequence[Event]) -> float:
    """The greatest lateness of the loop in these events, in seconds; 0 in virtual time."""
    return max((late.seconds for _, late in bodies(events, LoopLate)), default=0.0)


class RecordingBench:
    """The part of a bench that is the same for one device and for several."""

    def __init__(self, recorder: Recorder) -> None:
        self.waiting_for = ""  # for messages, where a wait does not end
        self._recorder = recorder

    @property
    def trace(self) -> Sequence[Event]:
        """Everything recorded so far in this run."""
        return self._recorder.events

    @property
    def now(self) -> float:
        """Seconds since the start of the run."""
        return self._recorder.now

    def mark(self) -> int:
        """The present end of the trace."""
        return len(self._recorder.events)

    def note(self, text: str) -> None:
        """Leave a remark for the reader of the trace."""
        self._recorder.record(Note(text))

    async def wait_for(
        self,
        wanted: Callable[[Event], bool],
        *,
        within: float,
        imposed_by: str | None = None,
        what: str = "",
        since: int | None = None,
    ) -> Event | None:
        """Wait for the event that decides; None when ``within`` seconds passed without it."""
        begin = self._recorder.now
        self.waiting_for = what or imposed_by or "an event"
        mark = self.mark()
        event = await self._recorder.wait_for(wanted, within=within, since=since)
        if event is None and (late := lateness(self.trace[mark:])):
            # What the device did in time may have been noticed late by as much.
            event = await self._recorder.wait_for(wanted, within=late, since=mark)
        if imposed_by and (took := self._recorder.now - begin) > 0:
            self._recorder.record(Wait(round(took, 6), imposed_by, what))
        return event
