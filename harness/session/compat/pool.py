"""Many couples at the same time: in a process for each core, and side by side in each of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.session.compat.jobs import (
    NEWS,
    ORDER,
    JobBatch,
    JobProgress,
    PairJob,
    PairJobOutcome,
)

AT_ONCE = 4
"""Couples side by side in one process. They take turns on its core; more would not make them faster."""

DEADLINE = 120.0
"""Seconds for one couple, of which most take less than one. Then its process is ended, and it is given up."""


_EXIT = 10.0  # seconds for a process that has told everything


class Listener(Protocol):
    """Somebody who wants to know how far it is."""

    def started(self, couple: PairJob) -> None:
        """Two devices are being brought together."""

    def ended(self, couple: PairJob, observed: Observed) -> None:
        """They are done."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What came of a couple, and how many real seconds it took, its turns with others included."""

    outcome: PairJobOutcome
    seconds: float


def cores() -> int:
    """How many processes can run at the same time."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


async def observe_all(
    couples: Sequence[PairJob],
    found: dict[PairJob, Observed],
    listener: Listener,
    *,
    processes: int,
    at_once: int = AT_ONCE,
    deadline: float = DEADLINE,
) -> None:
    """Observe all couples; what came of each is put into ``found`` as soon as it is known."""
    async with asyncio.TaskGroup() as group:
        for first in range(processes):
            share = couples[first::processes]
            if share:
                group.create_task(_Process(tuple(share), found, listener, at_once, deadline).run())


class _Process:
    """One process after another for a share of the couples, until nothing is left of it."""

    def __init__(
        self,
        share: tuple[PairJob, ...],
        found: dict[PairJob, Observed],
        listener: Listener,
        at_once: int,
        deadline: float,
    ) -> None:
        self._left = share
        self._found = found
        self._listener = listener
        self._at_once = at_once
        self._deadline = deadline
        self._begun: dict[PairJob, float] = {}

    async def run(self) -> None:
        """Start processes until every couple of the share has ended."""
        while self._left:
            order, self._begun = self._left, {}
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "harness.session.compat.worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                limit=2**24,  # of a line: one with all verdicts of a couple
            )
            try:
                if await self._attend(process, order):
                    async with asyncio.timeout(_EXIT):
                        await process.wait()
            except TimeoutError:
                pass  # it has told everything, and only does not go
            finally:
                if process.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        process.kill()
                    await process.wait()
            self._left = tuple(couple for couple in order if couple not in self._found)

    async def _attend(self, process: asyncio.subprocess.Process, order: tuple[PairJob, ...]) -> bool:
        """Hear what a process has to tell, until a couple takes too long, or it ends: whether it did."""
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(ORDER.dump_json(JobBatch(order, self._at_once)))
        process.stdin.close()
        loop = asyncio.get_running_loop()
        while True:
            due = min(self._begun.values(), default=loop.time()) + self._deadline
            try:
                async with asyncio.timeout_at(due):
                    line = await process.stdout.readline()
            except TimeoutError:
                self._give_up(f"it came to no end within {self._deadline:g} s", only_overdue=True)
                return False
            if not line.endswith(b"\n"):
                if any(couple not in self._found for couple in order):
                    self._give_up("the process that observed it broke off", only_overdue=False)
                return True
            self._take(NEWS.validate_json(line), order)

    def _take(self, news: JobProgress, order: tuple[PairJob, ...]) -> None:
        couple, now = order[news.couple], asyncio.get_running_loop().time()
        if news.outcome is None:
            self._begun[couple] = now
            self._listener.started(couple)
        else:
            self._end(couple, Observed(news.outcome, now - self._begun.pop(couple)))

    def _end(self, couple: PairJob, observed: Observed) -> None:
        self._found[couple] = observed
        self._listener.ended(couple, observed)

    def _give_up(self, why: str, *, only_overdue: bool) -> None:
        """End those that are to blame; the others of the share begin again in another process.

        If nothing has begun, the process could not even start: then that goes for the whole share.
        """
        now = asyncio.get_running_loop().time()
        begun = dict(self._begun) or dict.fromkeys(self._left, now)
        oldest = min(begun.values())
        for couple, since in begun.items():
            if couple not in self._found and (not only_overdue or since == oldest):
                self._end(couple, Observed(PairJobOutcome((), why), now - since))
