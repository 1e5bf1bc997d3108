"""Observes many pairs at the same time: several processes, with several pairs side by side in each."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.session.compat.jobs import (
    BATCH,
    PROGRESS,
    JobBatch,
    JobProgress,
    PairJob,
    PairJobOutcome,
)

AT_ONCE = 4
"""Pairs side by side in one process. They share one core, so more would not be faster."""

DEADLINE = 120.0
"""Seconds for one pair; most take less than one. After that, its process is ended and the pair given up."""


_EXIT = 10.0  # seconds for a process to end after its last result


class Listener(Protocol):
    """Gets the progress."""

    def started(self, job: PairJob) -> None:
        """The observation of a pair has started."""

    def ended(self, job: PairJob, observed: PoolResult) -> None:
        """The observation of a pair has ended."""


@dataclass(frozen=True, slots=True)
class PoolResult:
    """The outcome of a pair, and the real seconds it took, including waiting for its turn."""

    outcome: PairJobOutcome
    seconds: float


def cores() -> int:
    """How many processes can run at the same time."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


async def observe_all(
    jobs: Sequence[PairJob],
    found: dict[PairJob, PoolResult],
    listener: Listener,
    *,
    processes: int,
    at_once: int = AT_ONCE,
    deadline: float = DEADLINE,
) -> None:
    """Observe all pairs; each outcome is put into ``found`` as soon as it is known."""
    async with asyncio.TaskGroup() as group:
        for first in range(processes):
            share = jobs[first::processes]
            if share:
                group.create_task(_Process(tuple(share), found, listener, at_once, deadline).run())


class _Process:
    """Runs one process after another for a share of the pairs, until none is left."""

    def __init__(
        self,
        share: tuple[PairJob, ...],
        found: dict[PairJob, PoolResult],
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
        """Start processes until every pair of the share has ended."""
        while self._left:
            batch, self._begun = self._left, {}
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "harness.session.compat.worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                limit=2**24,  # of a line: one with all verdicts of a pair
            )
            try:
                if await self._read(process, batch):
                    async with asyncio.timeout(_EXIT):
                        await process.wait()
            except TimeoutError:
                pass  # all results are there; only the process does not end
            finally:
                if process.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        process.kill()
                    await process.wait()
            self._left = tuple(job for job in batch if job not in self._found)

    async def _read(self, process: asyncio.subprocess.Process, batch: tuple[PairJob, ...]) -> bool:
        """Take the results of a process until it ends (True), or until a pair takes too long (False)."""
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(BATCH.dump_json(JobBatch(batch, self._at_once)))
        process.stdin.close()
        loop = asyncio.get_running_loop()
        while True:
            due = min(self._begun.values(), default=loop.time()) + self._deadline
            try:
                async with asyncio.timeout_at(due):
                    line = await process.stdout.readline()
            except TimeoutError:
                self._give_up(f"not finished within {self._deadline:g} s", only_overdue=True)
                return False
            if not line.endswith(b"\n"):
                if any(job not in self._found for job in batch):
                    self._give_up("the process that observed it ended early", only_overdue=False)
                return True
            self._take(PROGRESS.validate_json(line), batch)

    def _take(self, progress: JobProgress, batch: tuple[PairJob, ...]) -> None:
        job, now = batch[progress.job], asyncio.get_running_loop().time()
        if progress.outcome is None:
            self._begun[job] = now
            self._listener.started(job)
        else:
            self._end(job, PoolResult(progress.outcome, now - self._begun.pop(job)))

    def _end(self, job: PairJob, observed: PoolResult) -> None:
        self._found[job] = observed
        self._listener.ended(job, observed)

    def _give_up(self, why: str, *, only_overdue: bool) -> None:
        """Give up the pairs that have begun; the rest of the share starts again in another process.

        If none has begun, the process itself could not start: then the whole share is given up.
        """
        now = asyncio.get_running_loop().time()
        begun = dict(self._begun) or dict.fromkeys(self._left, now)
        oldest = min(begun.values())
        for job, since in begun.items():
            if job not in self._found and (not only_overdue or since == oldest):
                self._end(job, PoolResult(PairJobOutcome((), why), now - since))
