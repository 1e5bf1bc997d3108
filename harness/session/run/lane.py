"""One device's lane: its checks one after another, each recorded and judged."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import Sequence
from pathlib import Path

import harness
from harness.checks.bench import StimulusError
from harness.checks.declaration import Phase
from harness.checks.observations import Readings
from harness.model.loading.profiles import profile_to_json
from harness.model.profile import Profile
from harness.model.verdict import Verdict
from harness.session.bench.addresses import address_for
from harness.session.bench.equipment import Equipment
from harness.session.bench.lab_bench import LabBench
from harness.session.bench.recording import lateness
from harness.session.bench.recovery import POWER_CYCLE, WIPED_BROKER, Recovery
from harness.session.result import Judgement, RunResult
from harness.session.run.budget import (
    PEOPLE_TAKE,
    dead_link_allowance,
    longest_rule,
)
from harness.session.run.execution import Executor
from harness.session.run.judging import LATE, judge
from harness.session.run.lateness import LoopWatch
from harness.session.run.plan import PlannedCheck
from harness.session.target import Target
from harness.trace.events import FORMAT, Event, RunEnded, RunStarted
from harness.trace.recorder import Recorder

AFTER_BOOT = (Phase.PRESSURE, Phase.MALFORMED)
"""Phases whose checks begin only when a device has had the boot time of its profile since it connected."""

LATE_TRIES = 2
"""How often a check is tried again whose deadline was missed by less than the harness itself was late."""

CHECK_LIMIT = 120.0  # seconds for one check, above all that its own waits may take


class Lane:
    """Drives one device. Use: ``open``, then ``run`` for each planned check, then ``close``."""

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
        self._path = str(profile_path)
        self._recorder = Recorder(asyncio.get_running_loop().time, trace)
        self._readings = Readings(profile, self._recorder.events)
        self._equipment = Equipment(profile, target, self._recorder, seed=seed, address=address_for(number))
        self._executor: Executor[PlannedCheck] = Executor(self._recorder, self._judge, self._waiting_for)
        self._watch = LoopWatch(self._recorder)
        self._bench: LabBench | None = None
        self._recovery: Recovery | None = None
        self._absent: str | None = None  # why the device was never there
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

    @property
    def judgements(self) -> list[Judgement]:
        """The verdicts so far."""
        return self._executor.judgements

    async def open(self) -> None:
        """Open the links and start the device. Raises the links' errors, whose messages are for people."""
        self._recorder.record(
            RunStarted(
                profile=profile_to_json(self.profile),
                profile_path=self._path,
                dut=self.target.description,
                seed=self.seed,
                tool_version=harness.__version__,
                wall_time=self._started,
                needs_met=tuple(sorted(self._equipment.needs_met)),
                faults=self.target.faults,
                host=None,
                format=FORMAT,
            )
        )
        self._watch.start()
        try:
            await self._equipment.open()
            await self._equipment.start_device()
        except asyncio.CancelledError:
            raise  # interrupted: whoever did that closes the lane, after its checks are abandoned
        except BaseException as problem:
            await self.close(ended=str(problem) or type(problem).__name__)
            raise
        self._bench = LabBench(self.profile, self._equipment, self._readings, self.seed)
        self._recovery = Recovery(self._bench, self._bench.ready, (POWER_CYCLE, WIPED_BROKER))
        if not await self._bench.ready():
            # Never there at all: each check says so at once, instead of waiting for the device again.
            self._absent = self._equipment.absence(self._bench.waiting_for)

    async def run(self, planned: PlannedCheck, *, deadline: float | None = None) -> Judgement:
        """Run one planned check and judge it. Never raises for what the device does.

        ``deadline``: the time of the loop when the lane has to end, whatever is left to do.
        """
        self._executor.deadline = deadline
        return await self._executor.run(planned, self._drive)

    def abandon(self, planned: PlannedCheck, why: str, *, harness_fault: bool = False) -> Judgement:
        """Give up a check that was not begun, or not finished: its verdict says why."""
        return self._executor.abandon(planned, why, harness_fault=harness_fault)

    def add(self, judgement: Judgement) -> None:
        """Add the verdict of a check that could not be begun, because the lane could not be opened."""
        self._executor.judgements.append(judgement)

    async def close(self, ended: str = "complete") -> None:
        """End the run: the trace gets its last line, everything is closed. Does nothing the second time."""
        if self._ended is not None:
            return
        self._ended = ended
        self._watch.stop()
        self._executor.withdraw_on_clock_drift()
        try:
            await self._equipment.close()
        finally:
            self._recorder.record(RunEnded(ended))
            self._recorder.close()

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

    def _judge(self, planned: PlannedCheck) -> Judgement:
        return judge(self.profile, self.events, planned, self._readings)

    def _verdict(self, planned: PlannedCheck) -> Verdict:
        return self._judge(planned).result.outcome.verdict

    def _waiting_for(self) -> str:
        return self._bench.waiting_for if self._bench is not None else ""

    async def _drive(self, planned: PlannedCheck) -> None:
        if self._bench is None:
            return
        check = planned.check
        if self._absent and not check.declaration.runs_when_absent:
            # What little was seen of the device may break a requirement, and be the reason of its absence.
            shows_why = check.passive and self._verdict(planned) in (Verdict.FAIL, Verdict.WARN)
            if not shows_why:
                self._executor.skip(planned, self._absent)
        elif check.passive:
            await self._observe(planned, self._bench)
        else:
            await self._stimulate(planned, self._bench)

    async def _stimulate(self, planned: PlannedCheck, bench: LabBench) -> None:
        assert self._recovery is not None
        self._watched_since = None
        if not self._absent and (problem := await self._recovery.problem()):
            self._executor.skip(planned, problem)
            return
        if planned.check.declaration.phase in AFTER_BOOT:
            await bench.arrival.settle()
        for tries_left in range(LATE_TRIES, -1, -1):
            begun = bench.mark()
            bench.begin(f"{self.seed}/{planned.id}")
            await self._executor.stimulate(
                planned,
                planned.check.stimulate(bench, planned.subject),
                within=CHECK_LIMIT + self._longest_promise(),
                clean_up=bench.clean_up,
            )
            if not self._absent:
                await self._recovery.see_to_it_after(
                    planned.check.requirement.id, planned.subject.name, planned.subject.transport
                )
            was_late = lateness(self.events[begun:]) > 0
            is_late = was_late and LATE in self._judge(planned).result.outcome.message
            if not is_late or not tries_left or await self._recovery.problem():
                return
            bench.note(f"{planned.id} is tried again: the harness was late, not the device")

    async def _observe(self, planned: PlannedCheck, bench: LabBench) -> None:
        """Probe, and prolong the run, while a passive check is undecided and may still be decided.

        Passive checks in a row share one window: what one of them has waited is over for the others.
        """
        if self._watched_since is None:
            self._watched_since = self._recorder.now
        extension = planned.check.max_extension(self.profile)
        is_lost = self._recovery is not None and self._recovery.lost is not None
        if is_lost or (extension <= 0 and not planned.check.probes):
            return

        def decided(_: Event | None = None) -> bool:
            return self._verdict(planned) is not Verdict.INCONCLUSIVE

        if planned.check.probes and not decided():
            with contextlib.suppress(StimulusError, TimeoutError):
                async with asyncio.timeout(CHECK_LIMIT):
                    await planned.check.probe(bench, planned.subject)
        remaining = self._watched_since + extension - self._recorder.now
        if remaining > 0 and not decided():
            await bench.wait_for(
                decided,
                within=remaining,
                imposed_by=planned.check.max_extension_imposed_by(self.profile),
                what=f"{planned.id} to be decided by what the device does by itself",
            )

    def _longest_promise(self) -> float:
        """Seconds that the profile's own rules, and people, may make a check wait."""
        people = PEOPLE_TAKE if self.target.asks_people else 0.0
        return 4 * longest_rule(self.profile) + dead_link_allowance(self.profile) + people
