"""The events of a run in order, indexed by kind."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar, cast, overload

from harness.trace.events import Body, Event

B = TypeVar("B")


class Trace(Sequence[Event]):
    """A trace that may still grow: line ``n`` is at index ``n - 1``. Slices are views, not copies.

    Events are indexed by kind, because each judge asks for the packets of one protocol.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._events: list[Event] = []
        self._kinds: dict[type, _EventKind] = {}
        for event in events:
            self.append(event)

    def append(self, event: Event) -> None:
        """Append the next event."""
        kind = self._kinds.get(type(event.body))
        if kind is None:
            kind = self._kinds[type(event.body)] = _EventKind()
        kind.places.append(len(self._events))
        kind.pairs.append((event, event.body))
        self._events.append(event)

    def of(self, kind: type[B], begin: int = 0, end: int | None = None) -> list[tuple[Event, B]]:
        """The events whose body is of that class, each with it, from index ``begin`` up to ``end``."""
        found = self._kinds.get(kind)
        if found is None:
            return []
        first = bisect_left(found.places, begin) if begin else 0
        last = None if end is None else bisect_left(found.places, end)
        return cast("list[tuple[Event, B]]", found.pairs[first:last])

    def __len__(self) -> int:
        return len(self._events)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | Sequence[Event]:
        if isinstance(index, slice):
            return _part(self, index, 0, len(self._events))
        return self._events[index]

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events)

    def __reversed__(self) -> Iterator[Event]:
        return reversed(self._events)

    def copied(self, begin: int, end: int) -> list[Event]:
        """The events between two indices, as a list."""
        return self._events[begin:end]


class TracePart(Sequence[Event]):
    """The events of a trace from index ``begin`` up to ``end``."""

    def __init__(self, trace: Trace, begin: int, end: int) -> None:
        self._trace, self._begin, self._end = trace, begin, max(begin, end)

    def of(self, kind: type[B]) -> list[tuple[Event, B]]:
        """The events whose body is of that class, each with it, in order."""
        return self._trace.of(kind, self._begin, self._end)

    def __len__(self) -> int:
        return self._end - self._begin

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | Sequence[Event]:
        if isinstance(index, slice):
            return _part(self._trace, index, self._begin, len(self))
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self._trace[self._begin + index % len(self)]

    def __iter__(self) -> Iterator[Event]:
        return iter(self._trace.copied(self._begin, self._end))

    def __reversed__(self) -> Iterator[Event]:
        return reversed(self._trace.copied(self._begin, self._end))


def bodies(events: Sequence[Event], kind: type[B]) -> Sequence[tuple[Event, B]]:
    """The events whose body is of that class, each with its body, in order."""
    if isinstance(events, Trace | TracePart):
        return events.of(kind)
    return [(event, body) for event in events if isinstance(body := event.body, kind)]


def backwards(events: Sequence[Event], kind: type[B]) -> Iterator[tuple[Event, B]]:
    """The same, the last one first."""
    return reversed(bodies(events, kind))


class _EventKind:
    """The events of one class, and where they are in the trace."""

    __slots__ = ("pairs", "places")

    def __init__(self) -> None:
        self.pairs: list[tuple[Event, Body]] = []
        self.places: list[int] = []


def _part(trace: Trace, index: slice, offset: int, length: int) -> Sequence[Event]:
    begin, end, step = index.indices(length)
    if step != 1:
        return trace.copied(offset, offset + length)[index]
    return TracePart(trace, offset + begin, offset + end)
