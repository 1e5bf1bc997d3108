"""The bench of a group: a bench for each device, and what they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from harness.checks.bench import Bench
from harness.checks.support.compat.device_group import DeviceGroup
from harness.model.requirement import BenchFeature
from harness.trace.events import Event


class GroupBench(Protocol):
    """Everything that a stimulus of several devices can use; it is all recorded in one trace."""

    group: DeviceGroup

    def bench(self, role: str) -> Bench:
        """The bench of one device; its ``trace`` holds the events of all devices."""

    def offers(self, need: BenchFeature, *roles: str) -> bool:
        """Whether the benches of all these roles (by default of all) offer that feature."""

    async def ready(self, *roles: str) -> bool:
        """Wait until these devices (by default all) are on all their transports."""

    async def restart_broker(self, *, wipe: bool) -> None:
        """Restart the shared broker (``BenchFeature.RESTART`` of every bench that uses MQTT)."""

    @property
    def trace(self) -> Sequence[Event]:
        """Everything recorded so far in this run."""

    @property
    def now(self) -> float:
        """Seconds since the start of the run."""

    def mark(self) -> int:
        """The present end of the trace, for ``since``."""

    def note(self, text: str) -> None:
        """Leave a remark for the reader of the trace."""

    async def wait_for(
        self,
        wanted: Callable[[Event], bool],
        *,
        within: float,
        imposed_by: str | None = None,
        what: str = "",
        since: int | None = None,
    ) -> Event | None:
        """Wait for the event, of any device, that decides. None when ``within`` seconds have passed."""
