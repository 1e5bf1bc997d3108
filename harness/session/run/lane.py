"""One DUT's lane: its checks one after another, each recorded and judged."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import Callable, Sequence
from pathlib import Path

import harness
from harness.checks.bench import BenchLimitationError, StimulusError
from harness.checks.observations import Readings
from harness.links.clock.loop import clock_drift_reason
from harness.model.loading.profiles import profile_to_json
from harness.model.profile import Profile
from harness.model.requirement import BenchFeature
from harness.model.verdict import Verdict
from harness.session.bench.addresses import address_for
from harness.session.bench.equipment import Equipment
from harness.session.bench.lab_bench import LabBench
from harness.session.result import Judgement, RunResult
from harness.session.run.budget import (
    EVENT_LIMIT,
    LINE_LIMIT,
    PEOPLE_TAKE,
    dead_link_allowance,
    longest_rule,
)
from harness.session.run.judging import judge
from harness.session.run.plan import PlannedCheck
from harness.session.target import Target
from harness.trace.events import (
    CheckEnded,
    CheckStarted,
    Event,
    Judged,
    Note,
    RunEnded,
    RunStarted,
    SerialData,
)
from harness.trace.recorder import Recorder
from harness.trace.trace import bodies

CHECK_LIMIT = 120.0  # seconds for one check, above all that its own waits may take


class Lane:
    """Drives one DUT. Use: ``open``, then ``run`` for each planned check, then ``close``."""

    def __init__(
        self,
        profile: Profile,
        profile_path: Path | str,
        target: Target,
        *,
        seed: int,
        number: int = 0,
        trace: Path | None = None,
    ) -> None:
        self.profile = profile
        self.target = target
        self.seed = seed
        self.judgements: list[Judgement] = []
        self._taken: list[PlannedCheck] = []  # those that were judged
        self._path = str(profile_path)
        self.over: str | None = None  # why the lane has come to its end before its last check
        self.give_up: Callable[[], None] = lambda: None  # ends the check that is being run
        self._recorder = Recorder(asyncio.get_running_loop().time, trace)
        self._recorder.call_at(EVENT_LIMIT, self._flooded)
        self._readings = Readings(profile, self._recorder.events)
        self._equipment = Equipment(profile, target, self._recorder, seed=seed, address=address_for(number))
        self._bench: LabBench | None = None
        self._absent: str | None = None  # why no check can be run at all
        self._dead: str | None = None  # why no further check can be run
        self._started = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        self._ended: str | None = None  # None: not closed yet
        self._watched_since: float | None = None  # when the window began that passive checks share

    @property
    def bench(self) -> LabBench:
        """The bench; there once the lane is open."""
        assert self._bench is not None, "open() first"
        return self._bench

    @property
    def events(self) -> Sequence[Event]:
        """The trace so far."""
        return self._recorder.events

    async def open(self) -> None:
        """Open the links and start the DUT. Raises the links' errors, whose messages are for people."""
        met = self._equipment.needs_met
        self._recorder.record(
            RunStarted(
                profile=profile_to_json(self.profile),
                profile_path=self._path,
                dut=self.target.description,
                seed=self.seed,
                tool_version=harness.__version__,
                wall_time=self._started,
                needs_met=tuple(sorted(met)),
                faults=self.target.faults,
                host=None,
            )
        )
        try:
            await self._equipment.open()
            await self._equipment.start_device()
        except asyncio.CancelledError:
            raise  # interrupted: whoever did that closes the lane, after its checks are abandoned
        except BaseException as problem:
            await self.close(ended=str(problem) or type(problem).__name__)
            raise
        self._bench = LabBench(self.profile, self._equipment, self._readings, self.seed)
        if not await self._bench.ready():
            # Never there at all: said once here, for every check, instead of waiting for it each time.
            self._absent = self._equipment.absence(self._bench.waiting_for)

    async def run(self, planned: PlannedCheck) -> Judgement:
        """Run one planned check and judge it. Never raises for what the device does."""
        if planned.not_applicable is None and self._bench is not None:
            if self._absent and not planned.check.runs_when_absent:
                if not self._shows_failure(planned):
                    self._skip(planned, self._absent)
            elif planned.check.passive:
                await self._observe(planned, self._bench)
            else:
                await self._stimulate(planned, self._bench)
        if problem := clock_drift_reason():
            return self.abandon(planned, problem, harness_fault=True)
        return self._judge(planned)

    def abandon(self, planned: PlannedCheck, why: str, *, harness_fault: bool = False) -> Judgement:
        """Give up a check that was not begun, or not finished: its verdict says why."""
        if planned.not_applicable is None:
            self._skip(planned, why, harness_fault=harness_fault)
        return self._judge(planned)

    def _flooded(self) -> None:
        """So many events are in the trace that one kind of them may be too many."""
        lines = len(bodies(self.events, SerialData))
        left = min(EVENT_LIMIT - (len(self.events) - lines), LINE_LIMIT - lines)
        if left > 0:
            self._recorder.call_at(len(self.events) + left, self._flooded)
            return
        where = f"{lines} of them from its serial line" if lines >= LINE_LIMIT else "most over the network"
        self.over = f"the device floods: {len(self.events)} events are in the trace, {where}"
        self.give_up()

    def _judge(self, planned: PlannedCheck) -> Judgement:
        judgement = judge(self.profile, self.events, planned, self._readings)
        result = judgement.result
        self._recorder.record(
            Judged(
                result.check,
                result.subject.name,
                result.subject.transport,
                result.outcome.verdict.value,
                result.outcome.message,
                result.outcome.events,
            )
        )
        self._taken.append(planned)
        self.judgements.append(judgement)
        return judgement

    async def close(self, ended: str = "complete") -> None:
        """End the run: the trace gets its last line, everything is closed. Does nothing the second time."""
        if self._ended is not None:
            return
        self._ended = ended
        self._withdraw_if_clocks_disagree()
        try:
            await self._equipment.close()
        finally:
            self._recorder.record(RunEnded(ended))
            self._recorder.close()

    def _withdraw_if_clocks_disagree(self) -> None:
        """A verdict from before a library was found to keep its own time is worth no more than one after."""
        problem = clock_drift_reason()
        if problem is not None:
            self.judgements.clear()
            taken, self._taken = self._taken, []
            for planned in taken:
                self.abandon(planned, problem, harness_fault=True)

    def result(self) -> RunResult:
        """All that a report needs."""
        return RunResult(
            profile=self.profile,
            profile_path=self._path,
            dut=self.target.description,
            seed=self.seed,
            tool_version=harness.__version__,
            started=self._started,
            judgements=tuple(self.judgements),
            events=self.events,
            ended=self._ended or "not closed",
        )

    def _shows_failure(self, planned: PlannedCheck) -> bool:
        """Whether what was seen of a device that never came breaks a requirement: often that is why."""
        if not planned.check.passive:
            return False
        outcome = judge(self.profile, self.events, planned, self._readings).result.outcome
        return outcome.verdict in (Verdict.FAIL, Verdict.WARN)

    def _skip(self, planned: PlannedCheck, why: str, *, harness_fault: bool = False) -> None:
        names = (planned.check.requirement.id, planned.subject.name, planned.subject.transport)
        self._recorder.record(CheckStarted(*names))
        self._recorder.record(CheckEnded(*names, problem=why, harness_fault=harness_fault))

    async def _stimulate(self, planned: PlannedCheck, bench: LabBench) -> None:
        check, subject = planned.check, planned.subject
        self._watched_since = None
        names = (check.requirement.id, subject.name, subject.transport)
        not_ready = None if self._absent else await self._not_ready(bench)
        if not_ready:
            self._skip(planned, not_ready)
            return
        self._recorder.record(CheckStarted(*names))
        bench.begin(f"{self.seed}/{planned.id}")
        problem, harness_fault, beyond_bench = None, False, False
        try:
            async with asyncio.timeout(CHECK_LIMIT + self._longest_promise()):
                await check.stimulate(bench, subject)
        except StimulusError as reason:
            problem, beyond_bench = str(reason), isinstance(reason, BenchLimitationError)
        except TimeoutError:
            problem = f"it took too long, waiting for {bench.waiting_for}"
        except Exception as reason:  # the harness's own mistake: reported as such, the run goes on
            problem, harness_fault = f"the harness failed: {type(reason).__name__}: {reason}", True
        finally:
            self._recorder.record(CheckEnded(*names, problem, harness_fault, beyond_bench))
            try:
                await bench.clean_up()
            except StimulusError as reason:
                self._recorder.record(Note(f"after {names[0]}, things were not put back: {reason}"))

    async def _observe(self, planned: PlannedCheck, bench: LabBench) -> None:
        """Ask, and prolong the run, while a passive check is not conclusive and may still become so.

        All passive checks in a row look at the same time: what one of them has waited is over for the others.
        """
        if self._watched_since is None:
            self._watched_since = self._recorder.now
        patience = planned.check.max_extension(self.profile)
        if self._dead or (patience <= 0 and not planned.check.probes):
            return

        def decided(_: Event | None = None) -> bool:
            judged = judge(self.profile, self.events, planned, self._readings)
            return judged.result.outcome.verdict is not Verdict.INCONCLUSIVE

        if planned.check.probes and not decided():
            with contextlib.suppress(StimulusError, TimeoutError):
                async with asyncio.timeout(CHECK_LIMIT):
                    await planned.check.probe(bench, planned.subject)
        remaining = self._watched_since + patience - self._recorder.now
        if remaining > 0 and not decided():
            await bench.wait_for(
                decided,
                within=remaining,
                imposed_by=planned.check.max_extension_imposed_by(self.profile),
                what=f"{planned.id} to be decided by what the device does by itself",
            )

    async def _not_ready(self, bench: LabBench) -> str | None:
        """Why the DUT cannot be checked now; None when it can. What helps a dead one is tried once."""
        if self._dead:
            return self._dead
        if await bench.ready():
            return None
        for need, what, help_it in (
            (BenchFeature.POWER, "its power is cycled", _cycle_power),
            # What the broker keeps for it may be what it does not survive.
            (BenchFeature.RESTART, "the broker is restarted without all that it kept", _wipe_broker),
        ):
            if not bench.offers(need):
                continue
            self._recorder.record(Note(f"the device does not come back by itself: {what}"))
            try:
                await help_it(bench)
            except StimulusError as reason:
                self._recorder.record(Note(str(reason)))
            if await bench.ready():
                return None
        self._dead = f"the device is not there: waited for {bench.waiting_for}, which did not come"
        return self._dead

    def _longest_promise(self) -> float:
        """The longest time that a profile's own rule may make a check wait."""
        patience = PEOPLE_TAKE if self.target.asks_people else 0.0
        return 4 * longest_rule(self.profile) + dead_link_allowance(self.profile) + patience


async def _cycle_power(bench: LabBench) -> None:
    await bench.power.kill()
    await bench.power.start()


async def _wipe_broker(bench: LabBench) -> None:
    await bench.mqtt.restart_broker(wipe=True)
