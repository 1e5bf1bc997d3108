"""Properties that change without a command: a countdown, a playing time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

CHANGE_EVERY = 7.0
"""Seconds between the changes of a property that changes by itself."""


class SelfChanges:
    """Calls ``change`` for each of ``names``, again and again, while the device has power."""

    def __init__(self, names: Collection[str], change: Callable[[str], None]) -> None:
        self._names = sorted(names)
        self._change = change
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin, on the running loop."""
        if self._names:
            self._timer = asyncio.get_running_loop().call_later(CHANGE_EVERY, self._change_all)

    def stop(self) -> None:
        """End, as the power goes."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _change_all(self) -> None:
        for name in self._names:
            self._change(name)
        self.start()
