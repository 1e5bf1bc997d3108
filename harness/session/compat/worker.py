"""A process that brings couples together, side by side in virtual time: ``python -m`` this module.

It reads its order from standard input and writes a line of news for every beginning and end.
"""

from __future__ import annotations

import asyncio
import sys
from functools import cache
from pathlib import Path

from harness.links.clock.loop import run
from harness.links.errors import LinkError
from harness.links.mqtt.brokers.address import BrokerError
from harness.model.problems import ProfileError
from harness.prediction.matrix import (
    Entry,
    read_entry,
)
from harness.session.compat.group_session import GroupMember
from harness.session.compat.jobs import (
    NEWS,
    ORDER,
    CheckResult,
    JobBatch,
    JobProgress,
    PairJob,
    PairJobOutcome,
)
from harness.session.compat.pair import observe_pair
from harness.session.result import RunResult
from harness.session.setup.limits import allow_sockets
from harness.session.target import Target, UsageError

_SOCKETS = 64  # of one couple, its broker and our own clients included


async def observe(order: JobBatch) -> None:
    """Bring all couples together, in groups of ``at_once``.

    A group begins when the one before it has ended: the clock stands still while any couple has something to
    do, so that one that has to wait for hours would otherwise wait until all the others are through.
    """
    allow_sockets(_SOCKETS * order.at_once)
    numbered = list(enumerate(order.couples))

    async def observe_one(number: int, couple: PairJob) -> None:
        _tell(JobProgress(number))
        _tell(JobProgress(number, await _outcome(couple)))

    for first in range(0, len(numbered), order.at_once):
        async with asyncio.TaskGroup() as group:
            for number, couple in numbered[first : first + order.at_once]:
                group.create_task(observe_one(number, couple))


async def _outcome(couple: PairJob) -> PairJobOutcome:
    """Never raises: what goes wrong with one couple is told of it, and the others go on."""
    try:
        first, second = _players(couple)
        trace = Path(couple.trace) if couple.trace else None
        found = await observe_pair(first, second, seed=couple.seed, trace=trace)
    except (LinkError, BrokerError, UsageError, ProfileError) as problem:
        return PairJobOutcome((), str(problem))
    except Exception as problem:  # a mistake of ours
        told = f"{type(problem).__name__}: {problem}"
        return PairJobOutcome((), f"the harness itself failed, please report it: {told}")
    return PairJobOutcome(_seen(found.run), found.run.ended)


def _players(couple: PairJob) -> tuple[GroupMember, GroupMember]:
    entries = [_entry(path) for path in couple.paths]
    devices = [entries[0].device, entries[1].twin if couple.twins else entries[1].device]
    first, second = (
        GroupMember(role, device.profile, path, Target(simulate=True))
        for role, device, path in zip(couple.roles, devices, couple.paths, strict=True)
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


def _tell(news: JobProgress) -> None:
    sys.stdout.write(NEWS.dump_json(news).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    run(observe(ORDER.validate_json(sys.stdin.buffer.read())), virtual=True)
