"""Runs many lanes on one event loop, for a caller that is not asynchronous itself.

The lanes go on side by side whenever somebody waits for a result; each lane takes its checks in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from harness.links.clock import new_loop, use_loop_clock
from harness.links.endpoint import BrokerError
from harness.links.errors import LinkError
from harness.model.profile import Profile
from harness.model.verdict import Outcome, Verdict
from harness.session.judging import judgement
from harness.session.lane import Lane
from harness.session.plan import PlannedCheck
from harness.session.result import Judgement, RunResult
from harness.session.target import Target, UsageError

T = TypeVar("T")

EXPECTED = (LinkError, BrokerError, UsageError)  # what people and networks get wrong, said in their words


class InterruptedRunError(Exception):
    """The run was interrupted from outside (Ctrl-C)."""


@dataclass(frozen=True, slots=True)
class LaneSpec:
    """What one lane is to do."""

    name: str
    profile: Profile
    profile_path: str
    target: Target
    seed: int
    number: int
    trace: Path | None = None


@dataclass(slots=True)
class _Work:
    """A lane at work: its queue of checks, and the results that are waited for."""

    spec: LaneSpec
    queue: asyncio.Queue[PlannedCheck | None]
    planned: dict[str, PlannedCheck] = field(default_factory=dict)
    results: dict[str, asyncio.Future[Judgement]] = field(default_factory=dict)
    lane: Lane | None = None
    task: asyncio.Task[None] | None = None
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    problem: str | None = None  # why the lane could not be opened
    harness_fault: bool = False


class Runner:
    """Owns the loop and the lanes. ``on_started`` and ``on_result`` are told the lane's name and its news."""

    def __init__(
        self,
        specs: Sequence[LaneSpec],
        *,
        virtual: bool = False,
        on_started: Callable[[str, str], None] = lambda lane, check: None,
        on_result: Callable[[str, Judgement], None] = lambda lane, judgement: None,
    ) -> None:
        self._stack = contextlib.ExitStack()
        self._loop = new_loop(virtual)
        self._stack.callback(self._loop.close)
        if virtual:
            self._stack.enter_context(use_loop_clock(self._loop))
        self._on_started = on_started
        self._on_result = on_result
        self._waiting: asyncio.Future[object] | None = None
        self._interrupted = False
        self._works = {spec.name: _Work(spec, asyncio.Queue()) for spec in specs}
        self._handle_interrupts()

    def enqueue(self, lane: str, planned: PlannedCheck) -> None:
        """Give a lane one more check; it starts with the first one."""
        work = self._works[lane]
        work.planned[planned.id] = planned
        work.results[planned.id] = self._loop.create_future()
        work.queue.put_nowait(planned)
        if work.task is None:
            work.task = self._loop.create_task(self._work(work), name=f"lane {lane}")

    def result(self, lane: str, planned: PlannedCheck) -> Judgement:
        """Wait for the verdict of a check that was enqueued. Raises InterruptedRunError on Ctrl-C."""
        return self.wait(self._works[lane].results[planned.id])

    def lane(self, name: str) -> Lane:
        """The lane of that name, opened. Raises the links' errors, whose messages are for people."""
        work = self._works[name]
        if work.task is None:
            work.task = self._loop.create_task(self._work(work), name=f"lane {name}")
        self.wait(work.opened.wait())
        if work.lane is None:
            raise RuntimeError(work.problem or f"{name} was not opened")
        return work.lane

    def wait(self, awaitable: Awaitable[T]) -> T:
        """Let all lanes go on until ``awaitable`` is done. Raises InterruptedRunError on Ctrl-C."""
        if self._interrupted:
            raise InterruptedRunError
        future = asyncio.ensure_future(awaitable, loop=self._loop)
        self._waiting = future  # type: ignore[assignment]
        try:
            return self._loop.run_until_complete(future)
        except asyncio.CancelledError:
            raise InterruptedRunError from None
        finally:
            self._waiting = None

    def close(self) -> dict[str, RunResult]:
        """End all lanes in order, and return their results by name. The loop is gone afterwards."""
        ended = "interrupted" if self._interrupted else "complete"
        if ended == "complete" and any(
            not result.done() for work in self._works.values() for result in work.results.values()
        ):
            ended = "stopped"
        self._waiting = None
        try:
            self._loop.run_until_complete(self._finish(ended))
            ran = {name: work.lane for name, work in self._works.items() if work.lane is not None}
            return {name: lane.result() for name, lane in ran.items()}
        finally:
            with contextlib.suppress(ValueError, NotImplementedError):
                self._loop.remove_signal_handler(signal.SIGINT)
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._stack.close()

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the run."""
        return self._interrupted

    @property
    def problems(self) -> dict[str, str]:
        """Lanes that could not be opened, and why."""
        return {name: work.problem for name, work in self._works.items() if work.problem}

    async def _work(self, work: _Work) -> None:
        spec = work.spec
        lane = Lane(
            spec.profile,
            spec.profile_path,
            spec.target,
            seed=spec.seed,
            number=spec.number,
            trace=spec.trace,
        )
        work.lane = lane
        try:
            await lane.open()
        except EXPECTED as problem:
            work.problem = str(problem)
        except Exception as problem:  # the harness's own mistake; it ends this lane alone
            work.problem, work.harness_fault = f"{type(problem).__name__}: {problem}", True
        work.opened.set()
        while (planned := await work.queue.get()) is not None:
            self._on_started(spec.name, planned.id)
            if work.problem is None:
                judged = await lane.run(planned)
            else:
                judged = self._not_run(work, lane, planned)
            self._on_result(spec.name, judged)
            work.results[planned.id].set_result(judged)

    def _not_run(self, work: _Work, lane: Lane, planned: PlannedCheck) -> Judgement:
        if planned.not_applicable is not None:
            outcome = Outcome(Verdict.NOT_APPLICABLE, planned.not_applicable)
        else:
            verdict = Verdict.ERROR if work.harness_fault else Verdict.INCONCLUSIVE
            outcome = Outcome(verdict, work.problem or "")
        judged = judgement(lane.profile, planned.check, planned.subject, outcome)
        lane.judgements.append(judged)
        return judged

    async def _finish(self, ended: str) -> None:
        for work in self._works.values():
            work.queue.put_nowait(None)
            if work.task is not None and ended != "complete":
                work.task.cancel()
        tasks = [work.task for work in self._works.values() if work.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        for work in self._works.values():
            if work.lane is None:
                continue
            for name, result in work.results.items():
                if not result.done():
                    result.cancel()
                    work.lane.abandon(work.planned[name], f"the run was {ended} before it was decided")
            if work.problem is None:
                await work.lane.close(ended)
        # What the libraries still have running is cancelled, so that nothing outlives the run.
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    def _handle_interrupts(self) -> None:
        # Only the main thread of the process may have signal handlers, and not every system has them.
        with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
            self._loop.add_signal_handler(signal.SIGINT, self._interrupt)

    def _interrupt(self) -> None:
        self._interrupted = True
        if self._waiting is not None:
            self._waiting.cancel()
