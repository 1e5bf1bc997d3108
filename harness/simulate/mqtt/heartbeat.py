"""Periodic reports of a simulated device."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random


class Heartbeat:
    """Calls ``beat`` again and again between :meth:`start` and :meth:`stop`.

    The first two beats come early, each by the same part of half a period. Devices that were switched on
    together would otherwise report together for ever; so they are evenly spread from the second beat on.
    """

    def __init__(self, random: Random, beat: Callable[[], None]) -> None:
        self._period = 0.0
        self._random = random
        self._beat = beat
        self._pauses: list[float] = []  # up to the beats that come early
        self._timer: asyncio.TimerHandle | None = None

    def start(self, period: float | None) -> None:
        """Beat every ``period`` seconds, None for never. The device has just reported all that it knows."""
        self.stop()
        if period is None:
            return
        loop = asyncio.get_running_loop()
        self._period = period
        early = period * self._random.uniform(0.5, 1.0)
        self._pauses = [early]
        self._timer = loop.call_at(loop.time() + early, self._due)

    def stop(self) -> None:
        """No more beats."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        assert self._timer is not None
        loop = asyncio.get_running_loop()
        pause = self._pauses.pop() if self._pauses else self._period
        # Counted from the moment for which it was set: a busy process must not slow the rate down.
        self._timer = loop.call_at(max(self._timer.when() + pause, loop.time()), self._due)
        self._beat()
