"""Carries out planned checks and judges them: the same code for one device and for several.

The owner (:class:`~harness.session.run.lane.Lane`, :class:`~harness.session.compat.group_run.GroupRun`) says
how a check is driven and how it is judged. Everything that decides between the two is here: time limits,
a full trace, stimuli that cannot be carried out, mistakes of the harness itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from harness.checks.bench import BenchLimitationError, StimulusError
from harness.links.clock.loop import clock_drift_reason
from harness.session.result import Judgement
from harness.session.run.budget import EVENT_LIMIT, LINE_LIMIT
from harness.session.run.planned import Planned
from harness.trace.events import CheckEnded, CheckStarted, Judged, Note, SerialData
from harness.trace.recorder import Recorder
from harness.trace.trace import bodies

P = TypeVar("P", bound=Planned[Any])

TIME_IS_OVER = "the time allowed for all checks of this device is over"


class Executor(Generic[P]):
    """Carries out checks one after another on one trace.

    ``judge`` gives the verdict of a planned check from the trace so far; ``waiting_for`` says what the bench
    waits for at the moment, for messages. After ``deadline``, a time of the loop, no check is begun.
    """

    def __init__(
        self,
        recorder: Recorder,
        judge: Callable[[P], Judgement],
        waiting_for: Callable[[], str],
    ) -> None:
        self.judgements: list[Judgement] = []
        self.deadline: float | None = None
        self.over: str | None = None  # why no further check is begun
        self._recorder = recorder
        self._judge = judge
        self._waiting_for = waiting_for
        self._judged: list[P] = []
        self._is_carried_out = False  # the stimulus of the check under way came to its end
        self._limit: asyncio.Timeout | None = None  # of the check that is being carried out
        recorder.call_at(EVENT_LIMIT, self._on_full_trace)

    async def run(self, planned: P, drive: Callable[[P], Awaitable[None]]) -> Judgement:
        """Carry out one check and judge it. Never raises for what the devices do."""
        if self.over is not None:
            return self.abandon(planned, f"not begun: {self.over}")
        self._is_carried_out = False
        try:
            async with asyncio.timeout_at(self.deadline) as self._limit:
                if planned.not_applicable is None:
                    await drive(planned)
        except Exception as problem:
            if self._limit is not None and self._limit.expired():
                self.over = self.over or TIME_IS_OVER
                if self._is_carried_out:  # what came after it took too long, such as a device that is lost
                    return self._take(planned)
                return self.abandon(planned, f"{self.over}, waiting for {self._waiting_for() or 'nothing'}")
            return self.abandon(planned, _own_mistake(problem), harness_fault=True)
        finally:
            self._limit = None
        if drift := clock_drift_reason():
            return self.abandon(planned, drift, harness_fault=True)
        return self._take(planned)

    async def stimulate(
        self,
        planned: P,
        stimulus: Awaitable[None],
        *,
        within: float,
        clean_up: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Carry out a check's stimulus within so many seconds, and record its window."""
        names = _names(planned)
        problem, harness_fault, beyond_bench = None, False, False
        self._recorder.record(CheckStarted(*names))
        try:
            async with asyncio.timeout(within):
                await stimulus
            self._is_carried_out = True
        except StimulusError as reason:
            problem, beyond_bench = str(reason), isinstance(reason, BenchLimitationError)
        except TimeoutError:
            problem = f"the check took longer than {within:.0f} s, waiting for {self._waiting_for()}"
        except Exception as reason:  # the harness's own mistake: reported as such, the run goes on
            problem, harness_fault = _own_mistake(reason), True
        finally:
            self._recorder.record(CheckEnded(*names, problem, harness_fault, beyond_bench))
            if clean_up is not None:
                try:
                    await clean_up()
                except StimulusError as reason:
                    self._recorder.record(Note(f"cleaning up after {names[0]} failed: {reason}"))

    def skip(self, planned: P, why: str, *, harness_fault: bool = False) -> None:
        """Record that a check is not carried out."""
        names = _names(planned)
        self._recorder.record(CheckStarted(*names))
        self._recorder.record(CheckEnded(*names, problem=why, harness_fault=harness_fault))

    def abandon(self, planned: P, why: str, *, harness_fault: bool = False) -> Judgement:
        """Give up a check that was not begun, or not finished: its verdict says why."""
        if planned.not_applicable is None:
            self.skip(planned, why, harness_fault=harness_fault)
        return self._take(planned)

    def withdraw_on_clock_drift(self) -> None:
        """Withdraw all verdicts where a library was found to keep its own time: no deadline held."""
        if drift := clock_drift_reason():
            self.judgements.clear()
            judged, self._judged = self._judged, []
            for planned in judged:
                self.abandon(planned, drift, harness_fault=True)

    def _take(self, planned: P) -> Judgement:
        judgement = self._judge(planned)
        result = judgement.result
        outcome = result.outcome
        self._recorder.record(
            Judged(*_names(planned), outcome.verdict.value, outcome.message, outcome.events)
        )
        self._judged.append(planned)
        self.judgements.append(judgement)
        return judgement

    def _on_full_trace(self) -> None:
        """So many events are in the trace that one kind of them may be too many."""
        events = self._recorder.events
        lines = len(bodies(events, SerialData))
        left = min(EVENT_LIMIT - (len(events) - lines), LINE_LIMIT - lines)
        if left > 0:
            self._recorder.call_at(len(events) + left, self._on_full_trace)
            return
        where = f"{lines} of them from its serial line" if lines >= LINE_LIMIT else "most over the network"
        self.over = f"the device floods: {len(events)} events are in the trace, {where}"
        if self._limit is not None:
            self._limit.reschedule(asyncio.get_running_loop().time())


def _names(planned: Planned[Any]) -> tuple[str, str | None, str | None]:
    return planned.check.requirement.id, planned.subject.name, planned.subject.transport


def _own_mistake(problem: Exception) -> str:
    return f"the harness failed, please report it: {type(problem).__name__}: {problem}"
