"""Reports the state of many simulated devices in one line."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from harness.simulate.device import SimulatedDevice


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over all devices; ``started`` counts those that have been ready on all their transports."""

    started: int = 0
    connected: int = 0
    sent: int = 0
    received: int = 0
    lost: int = 0
    returned: int = 0

    @classmethod
    def of(cls, devices: Sequence[SimulatedDevice], started: int) -> Self:
        """The present sums."""
        fronts = [device.mqtt for device in devices if device.mqtt is not None]
        return cls(
            started,
            sum(front.ready for front in fronts),
            sum(front.traffic.sent for front in fronts),
            sum(front.traffic.received for front in fronts),
            sum(front.traffic.lost for front in fronts),
            sum(front.traffic.returned for front in fronts),
        )


class Rates:
    """Reports every ``every`` seconds how many devices are up, and their rates since the last line.

    Call ``started`` for every device that is up.
    """

    def __init__(self, devices: Sequence[SimulatedDevice], every: float, say: Callable[[str], None]) -> None:
        self._devices = devices
        self._every = every
        self._say = say
        self._started = 0
        self._speak_mqtt = any(device.mqtt is not None for device in devices)

    def started(self) -> None:
        """One more device is up."""
        self._started += 1

    async def run(self) -> None:
        """Report until cancelled."""
        loop = asyncio.get_running_loop()
        begin = last = loop.time()
        before = Totals()
        while True:
            due = last + self._every
            await asyncio.sleep(due - loop.time())
            now, totals = loop.time(), Totals.of(self._devices, self._started)
            self._say(self._line(now - begin, now - last, before, totals))
            last, before = now, totals

    def _line(self, elapsed: float, seconds: float, before: Totals, now: Totals) -> str:
        count = len(self._devices)
        parts = [f"{now.started}/{count} started"]
        if now.started < count:
            parts[0] += f" ({(now.started - before.started) / seconds:.1f}/s)"
        if self._speak_mqtt:
            parts += [
                f"{now.connected} connected",
                f"sent {(now.sent - before.sent) / seconds:.1f}/s",
                f"received {(now.received - before.received) / seconds:.1f}/s",
                f"lost {now.lost - before.lost}",
                f"reconnected {now.returned - before.returned}",
            ]
        return f"{elapsed:7.0f} s  " + "  ".join(parts) + self._complaint()

    def _complaint(self) -> str:
        """The most frequent problem of the devices that are not connected."""
        problems = Counter(
            device.mqtt.problem
            for device in self._devices
            if device.mqtt is not None and not device.mqtt.ready and device.mqtt.problem
        )
        if not problems:
            return ""
        problem, count = problems.most_common(1)[0]
        return f"  ({count} devices: {problem})"
