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


NO_POWER = "; with --power the harness could switch it off and on, and go on"


class Recovery:
    """Sees to it that one device is there before and after each check.

    ``ready`` waits until the device is on all its transports, up to its own recovery time. ``lost`` says why
    it is not waited for any more: no remedy has brought it back.
    """

    def __init__(
        self, bench: LabBench, ready: Callable[[], Awaitable[bool]], remedies: Sequence[Remedy]
    ) -> None:
        self.lost: str | None = None
        self._bench = bench
        self._ready = ready
        self._remedies = remedies
        self._just_seen = False  # the device was seen to be there after the last check

    async def problem(self) -> str | None:
        """Why the device cannot be checked now; None when it can."""
        just_seen, self._just_seen = self._just_seen, False
        if self.lost is None and not just_seen and not await self._ready():
            await self._bring_back("the device is not there")
        if self.lost is None and self._bench.arrival.is_deaf:
            await self._make_listen()
        return self.lost

    async def see_to_it_after(self, check: str, subject: str | None, transport: str | None) -> None:
        """After a check: wait until the device is back by itself; record it if it is not, and bring it back.

        Where the harness itself has left it without power or network, that says nothing about the device.
        """
        if self.lost is not None:
            return
        begin = self._bench.now
        self._just_seen = await self._ready()
        if self._just_seen:
            return
        if not self._bench.is_cut_off:
            self._bench.lose(check, subject, transport, self._bench.now - begin)
        await self._bring_back(f"the device has not come back since {check}")

    async def _bring_back(self, what: str) -> None:
        waited_for = self._bench.waiting_for
        for remedy in self._remedies:
            if self._bench.offers(remedy.need):
                await self._apply(remedy)
                if await self._ready():
                    return
        hint = "" if self._bench.offers(BenchFeature.POWER) else NO_POWER
        self.lost = f"{what}: waited for {waited_for}{hint}"

    async def _make_listen(self) -> None:
        """A device that is connected and has not subscribed gets no commands: start it again, if possible."""
        if POWER_CYCLE in self._remedies and self._bench.offers(POWER_CYCLE.need):
            await self._apply(POWER_CYCLE)
            if not await self._ready():
                await self._bring_back("the device is not there")

    async def _apply(self, remedy: Remedy) -> None:
        self._bench.note(f"the device does not come back by itself; trying a {remedy.name}")
        try:
            await remedy.apply(self._bench)
        except StimulusError as reason:
            self._bench.note(str(reason))
