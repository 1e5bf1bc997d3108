"""A finished trace, compressed in memory, for runs with hundreds of devices."""

from __future__ import annotations

import io
import pickle
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from functools import lru_cache
from operator import attrgetter
from typing import Any, cast, get_args, overload

from harness.trace.events import Body, Event

_LEVEL = 1  # of zlib: higher levels gain little


class PackedTrace(Sequence[Event]):
    """The events of a finished trace. Unpacked events are equal, but not the same objects."""

    def __init__(self, events: Iterable[Event]) -> None:
        file = io.BytesIO()
        events = list(events)
        _Pickler(file, pickle.HIGHEST_PROTOCOL).dump(events)
        self._count = len(events)
        self._packed = zlib.compress(file.getvalue(), _LEVEL)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | Sequence[Event]:
        return _unpacked(self)[index]

    def __iter__(self) -> Iterator[Event]:
        return iter(_unpacked(self))

    def unpack(self) -> list[Event]:
        """All events."""
        # Our own bytes: nothing from outside is unpickled.
        return cast("list[Event]", pickle.loads(zlib.decompress(self._packed)))


@lru_cache(maxsize=2)
def _unpacked(trace: PackedTrace) -> list[Event]:
    """Cached, because a reader reads many events of the same trace."""
    return trace.unpack()


def _values_of(cls: Any) -> Callable[[Any], tuple[Any, ...]]:
    names = [field.name for field in fields(cls)]
    if len(names) == 1:
        return lambda item: (getattr(item, names[0]),)
    return attrgetter(*names)


_VALUES = {cls: _values_of(cls) for cls in (Event, *get_args(Body))}


class _Pickler(pickle.Pickler):
    """Pickles events faster than their classes do."""

    def reducer_override(self, item: Any) -> Any:
        """How to rebuild ``item``: its class and arguments."""
        values = _VALUES.get(type(item))
        return NotImplemented if values is None else (type(item), values(item))
