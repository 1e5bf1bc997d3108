"""Makes sure that a device can be checked, and brings one back that does not return by itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from harness.checks.bench import StimulusError
from harness.model.requirement import BenchFeature
from harness.session.bench.lab_bench import LabBench


@dataclass(frozen=True, slots=True)
class Remedy:
    """Something that may bring a device back, where the bench offers it."""

    need: BenchFeature
    name: str  # for the trace
    apply: Callable[[LabBench], Awaitable[None]]


async def _cycle_power(bench: LabBench) -> None:
    await bench.power.kill()
    await bench.power.start()


async def _wipe_broker(bench: LabBench) -> None:
    await bench.mqtt.restart_broker(wipe=True)


POWER_CYCLE = Remedy(BenchFeature.POWER, "power cycle", _cycle_power)
WIPED_BROKER = Remedy(
    # What the broker keeps for the device may be what it does not survive.
    BenchFeature.RESTART,
    "restart of the broker without its stored messages",
    _wipe_broker,
)


class Recovery:
    """Waits for one device before each check; ``ready`` waits until it is on all its transports.

    ``lost`` says why the device is not waited for any more: no remedy has brought it back.
    """

    def __init__(
        self, bench: LabBench, ready: Callable[[], Awaitable[bool]], remedies: Sequence[Remedy]
    ) -> None:
        self.lost: str | None = None
        self._bench = bench
        self._ready = ready
        self._remedies = remedies

    async def problem(self) -> str | None:
        """Why the device cannot be checked now; None when it can."""
        if self.lost is not None or await self._ready():
            return self.lost
        for remedy in self._remedies:
            if not self._bench.offers(remedy.need):
                continue
            self._bench.note(f"the device does not come back by itself; trying a {remedy.name}")
            try:
                await remedy.apply(self._bench)
            except StimulusError as reason:
                self._bench.note(str(reason))
            if await self._ready():
                return None
        self.lost = f"the device is not there: waited for {self._bench.waiting_for}"
        return self.lost
