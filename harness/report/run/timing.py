"""The time of a run: waits imposed by standards or the profile, and the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.trace.events import CheckEnded, CheckStarted, Event, LoopLate, Wait


@dataclass(frozen=True, slots=True)
class WaitGroup:
    """All waits of a run with the same reason; ``seconds`` is their sum."""

    what: str
    imposed_by: str
    times: int
    seconds: float


@dataclass(frozen=True, slots=True)
class RunTiming:
    """``imposed_seconds`` is the time during which at least one imposed wait was active."""

    total_seconds: float
    waits: tuple[WaitGroup, ...]
    imposed_seconds: float
    lateness: float = 0.0
    """The greatest lateness of the harness's own loop, in seconds."""

    @property
    def rest_seconds(self) -> float:
        """Time outside of all imposed waits."""
        return self.total_seconds - self.imposed_seconds


def timing_of(events: Sequence[Event]) -> RunTiming:
    """Sum up the waits of a trace. Overlapping waits count once in ``imposed_seconds``.

    A wait is recorded when it ends, with its duration. Times are those of the run's clock.
    """
    total = max((event.time for event in events), default=0.0)
    spans = []
    groups: dict[tuple[str, str], list[float]] = {}
    for event in events:
        if isinstance(event.body, Wait):
            spans.append((max(0.0, event.time - event.body.seconds), event.time))
            groups.setdefault((event.body.what, event.body.imposed_by), []).append(event.body.seconds)
    waits = tuple(
        WaitGroup(what, imposed_by, len(each), round(sum(each), 6))
        for (what, imposed_by), each in sorted(groups.items(), key=lambda item: -sum(item[1]))
    )
    late = max((event.body.seconds for event in events if isinstance(event.body, LoopLate)), default=0.0)
    return RunTiming(total, waits, round(_covered(spans), 6), late)


def _covered(spans: Iterable[tuple[float, float]]) -> float:
    """Length of the union of these intervals."""
    covered, reached = 0.0, 0.0
    for start, end in sorted(spans):
        covered += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return covered


CheckKey = tuple[str, str | None, str | None]


def stimulus_seconds(events: Iterable[Event]) -> dict[CheckKey, float]:
    """The duration of each check's stimulus in seconds, by check, subject and transport."""
    begun: dict[CheckKey, float] = {}
    took: dict[CheckKey, float] = {}
    for event in events:
        body = event.body
        if isinstance(body, CheckStarted):
            begun[body.check, body.subject, body.transport] = event.time
        elif isinstance(body, CheckEnded):
            key = (body.check, body.subject, body.transport)
            if key in begun:
                took[key] = took.get(key, 0.0) + event.time - begun.pop(key)
    return took
