"""Runs many lanes on one event loop, for a synchronous caller.

The lanes proceed side by side while the caller waits for a result; each lane takes its checks in order. The
number of active lanes is limited; a lane whose checks are done makes room for the next one. Every lane has a
time limit (:mod:`harness.session.run.budget`), so a device that hangs or floods does not hold up the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from harness.checks.support.behaviour.drawing import prepare
from harness.links.clock.loop import (
    new_loop,
    use_loop_clock,
)
from harness.links.errors import LinkError
from harness.links.mqtt.brokers.address import BrokerError
from harness.model.profile import Profile
from harness.model.verdict import Outcome, Verdict
from harness.session.result import Judgement, RunResult
from harness.session.run.budget import (
    PEOPLE_TAKE,
    allowance,
    dead_link_allowance,
    opening_allowance,
)
from harness.session.run.judging import judgement
from harness.session.run.lane import Lane
from harness.session.run.plan import PlannedCheck
from harness.session.target import Target, UsageError
from harness.trace.events import Event
from harness.trace.packing import PackedTrace

T = TypeVar("T")

EXPECTED = (LinkError, BrokerError, UsageError)  # wrong usage, and failures of the network

AT_ONCE_VIRTUAL = 4
"""Lanes that are active at the same time in virtual time, where no lane waits: more only need memory."""

AT_ONCE_REAL = 32
"""The same in real time, where lanes mostly wait. With more, answers would be read too late."""

FEW_LANES = 4
"""Above this number of lanes, finished traces are compressed."""


class InterruptedRunError(Exception):
    """The run was interrupted from outside (Ctrl-C)."""


@dataclass(frozen=True, slots=True)
class LaneSpec:
    """What a lane is made from."""

    name: str
    profile: Profile
    profile_path: str
    target: Target
    seed: int
    number: int
    trace: Path | None = None


@dataclass(slots=True)
class _Work:
    """An active lane: its queue of checks, and the results that are awaited.

    ``None`` in the queue marks its end.
    """

    spec: LaneSpec
    queue: asyncio.Queue[PlannedCheck | None]
    planned: dict[str, PlannedCheck] = field(default_factory=dict)
    results: dict[str, asyncio.Future[Judgement]] = field(default_factory=dict)
    lane: Lane | None = None
    task: asyncio.Task[None] | None = None
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    problem: str | None = None  # why the lane could not be opened
    harness_fault: bool = False
    sealed: bool = False  # no more checks will come
    allowed: float = 0.0  # seconds for all its checks
    ended: RunResult | None = None


class Runner:
    """Owns the loop and the lanes.

    ``on_started`` is called with the name of a lane and of a check, ``on_result`` with the name of a lane and
    a judgement. ``at_once``: number of active lanes; None: the usual one for this kind of clock.
    """

    def __init__(
        self,
        specs: Sequence[LaneSpec],
        *,
        virtual: bool = False,
        at_once: int | None = None,
        on_started: Callable[[str, str], None] = lambda lane, check: None,
        on_result: Callable[[str, Judgement], None] = lambda lane, judgement: None,
    ) -> None:
        self._stack = contextlib.ExitStack()
        self._virtual = virtual
        self._loop = new_loop(virtual)
        self._stack.callback(self._loop.close)
        if virtual:
            self._stack.enter_context(use_loop_clock(self._loop))
        else:
            prepare()  # load what is slow to load before any device waits for it
        self._on_started = on_started
        self._on_result = on_result
        self._waiting: asyncio.Future[object] | None = None
        self._interrupted = False
        self._turn = asyncio.Semaphore(at_once or (AT_ONCE_VIRTUAL if virtual else AT_ONCE_REAL))
        self._works = {spec.name: _Work(spec, asyncio.Queue()) for spec in specs}
        self._handle_interrupts()

    def enqueue(self, lane: str, planned: PlannedCheck) -> None:
        """Add a check to a lane; the first one starts the lane."""
        work = self._works[lane]
        work.planned[planned.id] = planned
        work.results[planned.id] = self._loop.create_future()
        work.allowed += allowance(work.spec.profile, planned)
        work.allowed += PEOPLE_TAKE if work.spec.target.asks_people else 0.0
        work.queue.put_nowait(planned)
        if work.task is None:
            self._start(work)

    def result(self, lane: str, planned: PlannedCheck) -> Judgement:
        """Wait for the verdict of a check that was enqueued. Raises InterruptedRunError on Ctrl-C."""
        return self.wait(self._works[lane].results[planned.id])

    def seal(self, lane: str) -> None:
        """Add no more checks to this lane: it is closed, and makes room, when those it has are done."""
        work = self._works[lane]
        if not work.sealed:
            work.sealed = True
            work.queue.put_nowait(None)

    def events(self, lane: str) -> Sequence[Event]:
        """The trace of a lane so far."""
        work = self._works[lane]
        if work.ended is not None:
            return work.ended.events
        return work.lane.events if work.lane is not None else ()

    def lane(self, name: str) -> Lane:
        """The lane of that name, opened. Raises the links' errors, whose messages are for people."""
        work = self._works[name]
        if work.task is None:
            self._start(work)
        self.wait(work.opened.wait())
        if work.lane is None:
            raise RuntimeError(work.problem or f"{name} was not opened")
        return work.lane

    def wait(self, awaitable: Awaitable[T]) -> T:
        """Run all lanes until ``awaitable`` is done. Raises InterruptedRunError on Ctrl-C."""
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
        """End all lanes in order, and return their results by name. The loop is closed afterwards."""
        ended = "interrupted" if self._interrupted else "complete"
        if ended == "complete" and any(
            not result.done() for work in self._works.values() for result in work.results.values()
        ):
            ended = "stopped"
        self._waiting = None
        try:
            self._loop.run_until_complete(self._finish(ended))
            return {name: work.ended for name, work in self._works.items() if work.ended is not None}
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

    def _start(self, work: _Work) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (problem := task.exception()):
                # Nobody may wait for ever for these results.
                for result in work.results.values():
                    if not result.done():
                        result.set_exception(problem)

        work.task = self._loop.create_task(self._work(work), name=f"lane {work.spec.name}")
        work.task.add_done_callback(ended)

    async def _work(self, work: _Work) -> None:
        async with self._turn:
            work.lane = lane = self._new_lane(work)
            begin = self._loop.time()
            await self._open(work, lane)
            while (planned := await work.queue.get()) is not None:
                self._on_started(work.spec.name, planned.id)
                if work.problem is None:
                    judged = await lane.run(planned, deadline=begin + work.allowed)
                else:
                    judged = self._not_run(work, lane, planned)
                self._on_result(work.spec.name, judged)
                work.results[planned.id].set_result(judged)
                if not self._virtual:
                    # Judging takes time: before this lane goes on, the others process what has arrived.
                    await asyncio.sleep(0)
            await self._end(work, lane, "complete")

    def _new_lane(self, work: _Work) -> Lane:
        spec = work.spec
        work.allowed += opening_allowance(spec.profile) + dead_link_allowance(spec.profile)
        return Lane(
            spec.profile,
            spec.profile_path,
            spec.target,
            seed=spec.seed,
            number=spec.number,
            trace=spec.trace,
        )

    async def _open(self, work: _Work, lane: Lane) -> None:
        seconds = opening_allowance(work.spec.profile)
        try:
            async with asyncio.timeout(seconds) as limit:
                await lane.open()
        except EXPECTED as problem:
            work.problem = str(problem)
        except Exception as problem:
            if limit.expired():
                work.problem = f"the links to the device could not be opened within {seconds:g} s"
            else:  # the harness's own mistake; only this lane ends
                work.problem, work.harness_fault = f"{type(problem).__name__}: {problem}", True
            await lane.close(work.problem)
        work.opened.set()

    async def _end(self, work: _Work, lane: Lane, ended: str) -> None:
        """Close the lane; only its result is kept."""
        try:
            await lane.close(ended)
        except Exception as problem:
            work.problem = f"the links to the device could not be closed: {type(problem).__name__}: {problem}"
        result = lane.result()
        if len(self._works) > FEW_LANES:
            result = replace(result, events=PackedTrace(result.events))
        work.ended, work.lane = result, None

    def _not_run(self, work: _Work, lane: Lane, planned: PlannedCheck) -> Judgement:
        if planned.not_applicable is not None:
            outcome = Outcome(Verdict.NOT_APPLICABLE, planned.not_applicable)
        else:
            verdict = Verdict.ERROR if work.harness_fault else Verdict.INCONCLUSIVE
            outcome = Outcome(verdict, work.problem or "")
        judged = judgement(lane.profile, planned.check, planned.subject, outcome)
        lane.add(judged)
        return judged

    async def _finish(self, ended: str) -> None:
        for name, work in self._works.items():
            self.seal(name)
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
            await self._end(work, work.lane, ended)
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
