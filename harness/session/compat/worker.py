"""A process that observes pairs side by side in virtual time: ``python -m`` this module.

It reads a batch of jobs from standard input, and writes a line for the start and the end of each.
"""

from __future__ import annotations

import asyncio
import sys
from functools import cache
from pathlib import Path

from harness.errors import HarnessError, explain
from harness.links.clock.loop import run
from harness.prediction.matrix import (
    Entry,
    read_entry,
)
from harness.session.compat.group_session import GroupMember
from harness.session.compat.jobs import (
    BATCH,
    PROGRESS,
    CheckResult,
    JobBatch,
    JobProgress,
    PairJob,
    PairJobOutcome,
)
from harness.session.compat.pair import observe_pair
from harness.session.result import RunResult
from harness.session.setup.limits import allow_sockets
from harness.session.target import Target

_SOCKETS = 64  # of one pair, including its broker and our own clients


async def observe(batch: JobBatch) -> None:
    """Observe all pairs, in groups of ``at_once``.

    A group begins when the one before has ended: virtual time stands still while any pair is active, so a
    pair that waits for hours would otherwise be delayed by all the others.
    """
    allow_sockets(_SOCKETS * batch.at_once)
    numbered = list(enumerate(batch.jobs))

    async def observe_one(number: int, job: PairJob) -> None:
        _write(JobProgress(number))
        _write(JobProgress(number, await _outcome(job)))

    for first in range(0, len(numbered), batch.at_once):
        async with asyncio.TaskGroup() as group:
            for number, job in numbered[first : first + batch.at_once]:
                group.create_task(observe_one(number, job))


async def _outcome(job: PairJob) -> PairJobOutcome:
    """Never raises: an error becomes the outcome of its pair, and the other pairs continue."""
    try:
        first, second = _members(job)
        trace = Path(job.trace) if job.trace else None
        found = await observe_pair(first, second, seed=job.seed, trace=trace)
    except HarnessError as problem:
        return PairJobOutcome((), str(problem))
    except Exception as problem:  # a defect of the harness
        return PairJobOutcome((), explain(problem)[0].removeprefix("harness: "))
    return PairJobOutcome(_seen(found.run), found.run.ended)


def _members(job: PairJob) -> tuple[GroupMember, GroupMember]:
    entries = [_entry(path) for path in job.paths]
    devices = [entries[0].device, entries[1].twin if job.twins else entries[1].device]
    first, second = (
        GroupMember(role, device.profile, path, Target(simulate=True))
        for role, device, path in zip(job.roles, devices, job.paths, strict=True)
    )
    return first, second


def _seen(run: RunResult) -> tuple[CheckResult, ...]:
    return tuple(
        CheckResult(
            each.result.check,
            each.result.subject.label or "",
            each.result.outcome.verdict,
            each.result.outcome.message,
            each.result.outcome.events,
        )
        for each in run.judgements
    )


@cache
def _entry(path: str) -> Entry:
    return read_entry(Path(path).stem, Path(path))


def _write(progress: JobProgress) -> None:
    sys.stdout.write(PROGRESS.dump_json(progress).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    run(observe(BATCH.validate_json(sys.stdin.buffer.read())), virtual=True)
