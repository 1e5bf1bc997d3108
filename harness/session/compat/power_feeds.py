"""Power feeds of a scene: a device that is powered through another one is off while that one is off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from harness.checks.observations import ReportReader
from harness.checks.support.compat.home_state import Interpreter
from harness.model.requirement import BenchFeature
from harness.model.scene import Wire, split_term
from harness.session.compat.group_session import GroupSession
from harness.trace.events import Event, Note


class PowerFeeds:
    """Switches power along the wires of a scene. Use: ``start`` once the session is open, ``stop``."""

    def __init__(self, session: GroupSession, wires: Sequence[Wire]) -> None:
        self._session = session
        self._wires = wires
        feeding = {split_term(wire.through)[0] for wire in wires}
        self._readers = {role: ReportReader(session.profile(role), role) for role in feeding}
        self._interpreters = {role: Interpreter(role, session.profile(role)) for role in feeding}
        self._queue: asyncio.Queue[Event] = asyncio.Queue()
        self._has_power = {wire.feeds: True for wire in wires}
        self._task: asyncio.Task[None] | None = None
        self._unlisten: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """Follow the wires from now on."""
        if not self._wires:
            return
        for event in list(self._session.events):
            self._queue.put_nowait(event)
        self._unlisten = self._session.recorder.listen(self._queue.put_nowait)
        self._task = asyncio.get_running_loop().create_task(self._follow())

    async def stop(self) -> None:
        """Stop following the wires."""
        if self._task is not None:
            self._unlisten()
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _follow(self) -> None:
        while True:
            event = await self._queue.get()
            reader = self._readers.get(event.device or "")
            if reader is None:
                continue
            for report in reader.read(event):
                for state in self._interpreters[event.device or ""].translate(report):
                    for wire in self._wires:
                        if wire.through == state.name and isinstance(state.value, bool):
                            await self._switch(wire.feeds, state.value)

    async def _switch(self, role: str, on: bool) -> None:
        if self._has_power[role] is on:
            return
        self._has_power[role] = on
        bench = self._session.bench(role)
        if not bench.offers(BenchFeature.POWER):
            self._session.recorder.record(Note("this bench cannot switch its power"), role)
        elif on:
            await bench.power.start()
        else:
            await bench.power.kill()
