"""Running the checks of devices that are together, one after another, on one company."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import harness
from harness.checks.bench import Bench, BenchLimitationError, StimulusError
from harness.checks.support.compat.device_group import DeviceGroup
from harness.model.requirement import BenchFeature
from harness.model.verdict import Subject
from harness.session.compat.group_session import GroupSession
from harness.session.compat.hub import (
    Automation,
    Hub,
)
from harness.session.compat.judging import (
    GroupJudge,
    dut_text,
    tested_of,
)
from harness.session.compat.plan import PlannedGroupCheck
from harness.session.compat.power_feeds import PowerFeeds
from harness.session.result import Judgement, RunResult
from harness.session.run.budget import EVENT_LIMIT
from harness.trace.events import CheckEnded, CheckStarted, Event, Judged, Note, TogetherStarted, Wait

CHECK_LIMIT = 600.0  # seconds for one check, above what its own waits take by the profiles or the scene


class RecordingGroupBench:
    """Implements :class:`harness.checks.support.compat.bench.Stage`."""

    def __init__(self, home: DeviceGroup, company: GroupSession) -> None:
        self.home = home
        self.company = company

    def bench(self, role: str) -> Bench:
        """The bench of one device."""
        return self.company.bench(role)

    def offers(self, need: BenchFeature, *roles: str) -> bool:
        """Whether the benches of all these roles have the door of that need."""
        return self.company.offers(need, *roles)

    async def ready(self, *roles: str) -> bool:
        """Wait until these devices are on all their transports."""
        return await self.company.ready(*roles)

    async def restart_broker(self, *, wipe: bool) -> None:
        """Restart the broker that all share."""
        await self.company.restart_broker(wipe=wipe)

    @property
    def trace(self) -> Sequence[Event]:
        """Everything recorded so far in this run."""
        return self.company.events

    @property
    def now(self) -> float:
        """Seconds since the start of the run."""
        return self.company.recorder.now

    def mark(self) -> int:
        """The present end of the trace."""
        return len(self.company.events)

    def note(self, text: str) -> None:
        """Leave a remark for the reader of the trace."""
        self.company.recorder.record(Note(text))

    async def wait_for(
        self,
        wanted: Callable[[Event], bool],
        *,
        within: float,
        imposed_by: str | None = None,
        what: str = "",
        since: int | None = None,
    ) -> Event | None:
        """Wait for the event that decides; None when ``within`` seconds passed without it."""
        recorder = self.company.recorder
        begin = recorder.now
        event = await recorder.wait_for(wanted, within=within, since=since)
        if imposed_by and (took := recorder.now - begin) > 0:
            recorder.record(Wait(round(took, 6), imposed_by, what))
        return event


@dataclass(slots=True)
class GroupRun:
    """One run of a company: ``open``, ``run`` for each planned check, ``close``, ``result``."""

    home: DeviceGroup
    company: GroupSession
    program: Automation
    judgements: list[Judgement] = field(default_factory=list)
    _hub: Hub | None = None
    _wiring: PowerFeeds | None = None
    _over: str | None = None  # why no further check is begun
    _give_up: Callable[[], None] = lambda: None  # ends the check that is being run
    _judge: GroupJudge | None = None

    async def open(self) -> None:
        """Open everything and start the hub. Raises the links' errors."""
        self._judge = GroupJudge(self.home, self.company.events)
        self.company.recorder.call_at(EVENT_LIMIT, self._flooded)
        await self.company.open()
        self._hub = Hub(self.company, self.program)
        await self._hub.start()
        self._wiring = PowerFeeds(self.company, self.home.scene.wiring if self.home.scene is not None else ())
        await self._wiring.start()

    async def run(self, planned: PlannedGroupCheck) -> Judgement:
        """Run one planned check and judge it. Never raises for what the devices do."""
        if planned.not_applicable is None and not planned.check.passive:
            await self._stimulate(planned)
        return self._verdict(planned)

    def _flooded(self) -> None:
        self._over = f"the devices flood: {EVENT_LIMIT} events are in the trace"
        self._give_up()

    async def close(self, ended: str = "complete") -> None:
        """Stop the hub, close everything."""
        for part in (self._wiring, self._hub):
            if part is not None:
                await part.stop()
        await self.company.close(ended)

    def result(self) -> RunResult:
        """All that a report needs."""
        company, trace = self.company, self.company.events
        begin = trace[0].body
        assert isinstance(begin, TogetherStarted)
        return RunResult(
            profile=company.players[0].profile,
            profile_path=begin.plan_path or " ".join(player.path for player in company.players),
            dut=dut_text(trace),
            seed=company.seed,
            tool_version=harness.__version__,
            started=company.started,
            judgements=tuple(self.judgements),
            events=trace,
            ended=company.ended or "not closed",
            tested=tested_of(self.home, begin),
        )

    def _verdict(self, planned: PlannedGroupCheck) -> Judgement:
        assert self._judge is not None, "open() first"
        judgement = self._judge.judge(planned)
        outcome, subject = judgement.result.outcome, judgement.result.subject
        self.company.recorder.record(
            Judged(
                judgement.result.check,
                subject.name,
                subject.transport,
                outcome.verdict.value,
                outcome.message,
                outcome.events,
            )
        )
        self.judgements.append(judgement)
        return judgement

    async def _stimulate(self, planned: PlannedGroupCheck) -> None:
        recorder = self.company.recorder
        names = _names(planned.check.requirement.id, planned.subject)
        recorder.record(CheckStarted(*names))
        problem, harness_fault, beyond_bench = None, False, False
        try:
            problem = await self._absence(planned.check.needs_all)
            if problem is None:
                seconds = CHECK_LIMIT + planned.check.max_extension(self.home, planned.subject)
                async with asyncio.timeout(seconds) as limit:
                    self._give_up = lambda: limit.reschedule(asyncio.get_running_loop().time())
                    await planned.check.stimulate(
                        RecordingGroupBench(self.home, self.company), planned.subject
                    )
                    await self._quiet()
        except StimulusError as reason:
            problem, beyond_bench = str(reason), isinstance(reason, BenchLimitationError)
        except TimeoutError:
            problem = self._over or "it took too long"
        except Exception as reason:  # the harness's own mistake: reported as such, the run goes on
            problem, harness_fault = f"the harness failed: {type(reason).__name__}: {reason}", True
        finally:
            self._give_up = lambda: None
            recorder.record(CheckEnded(*names, problem, harness_fault, beyond_bench))

    async def _quiet(self) -> None:
        """Let the hub finish: what it does later belongs to the next check."""
        if self._hub is not None:
            await self._hub.idle()

    async def _absence(self, needs_all: bool) -> str | None:
        """Why the check cannot be begun: a device never came, or is not there after its power was cycled."""
        if self._over is not None:
            return f"not begun: {self._over}"
        for role in self.company.roles:
            attendant = self.company.attendants[role]
            if attendant.absent is not None:
                return f"{role}: {attendant.absent}"
            if not needs_all or await self.company.ready(role):
                continue
            if self.company.offers(BenchFeature.POWER, role):
                self.company.recorder.record(
                    Note("it does not come back by itself: its power is cycled"), role
                )
                await attendant.bench.power.kill()
                await attendant.bench.power.start()
                if await self.company.ready(role):
                    continue
            attendant.absent = f"the device is not there: waited for {attendant.bench.waiting_for}, in vain"
            return f"{role}: {attendant.absent}"
        return None


def _names(check: str, subject: Subject) -> tuple[str, str | None, str | None]:
    return check, subject.name, subject.transport
