"""Runs the checks of several devices, one after another, in one group session."""

from __future__ import annotations

from dataclasses import dataclass

import harness
from harness.checks.bench import Bench
from harness.checks.support.compat.device_group import DeviceGroup
from harness.model.requirement import BenchFeature
from harness.session.bench.recording import RecordingBench
from harness.session.compat.group_session import GroupSession
from harness.session.compat.hub import Automation, Hub
from harness.session.compat.judging import GroupJudge, dut_text, tested_of
from harness.session.compat.plan import PlannedGroupCheck
from harness.session.compat.power_feeds import PowerFeeds
from harness.session.result import Judgement, RunResult
from harness.session.run.execution import Executor
from harness.trace.events import TogetherStarted

CHECK_LIMIT = 600.0  # seconds for one check, above what its own waits take by the profiles or the scene


class RecordingGroupBench(RecordingBench):
    """Implements :class:`harness.checks.support.compat.bench.GroupBench`."""

    def __init__(self, group: DeviceGroup, session: GroupSession) -> None:
        super().__init__(session.recorder)
        self.group = group
        self._session = session

    def bench(self, role: str) -> Bench:
        """The bench of one device."""
        return self._session.bench(role)

    def offers(self, need: BenchFeature, *roles: str) -> bool:
        """Whether the benches of all these roles offer that feature."""
        return self._session.offers(need, *roles)

    async def ready(self, *roles: str) -> bool:
        """Wait until these devices are on all their transports."""
        return await self._session.ready(*roles)

    async def restart_broker(self, *, wipe: bool) -> None:
        """Restart the broker that all devices share."""
        await self._session.restart_broker(wipe=wipe)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What is there once a run is open."""

    hub: Hub
    feeds: PowerFeeds


class GroupRun:
    """One run of several devices: ``open``, ``run`` for each planned check, ``close``, ``result``."""

    def __init__(self, group: DeviceGroup, session: GroupSession, automation: Automation) -> None:
        self._group = group
        self._session = session
        self._automation = automation
        self._parts: _Parts | None = None
        self._bench = RecordingGroupBench(group, session)
        judge = GroupJudge(group, session.events)
        self._executor: Executor[PlannedGroupCheck] = Executor(
            session.recorder, judge.judge, lambda: self._bench.waiting_for
        )

    async def open(self) -> None:
        """Open everything and start the hub. Raises the links' errors."""
        await self._session.open()
        scene = self._group.scene
        self._parts = _Parts(
            Hub(self._session, self._automation), PowerFeeds(self._session, scene.wiring if scene else ())
        )
        await self._parts.hub.start()
        await self._parts.feeds.start()

    async def run(self, planned: PlannedGroupCheck) -> Judgement:
        """Run one planned check and judge it. Never raises for what the devices do."""
        return await self._executor.run(planned, self._drive)

    async def close(self, ended: str = "complete") -> None:
        """Stop the hub, close everything."""
        self._executor.withdraw_on_clock_drift()
        if self._parts is not None:
            await self._parts.feeds.stop()
            await self._parts.hub.stop()
        await self._session.close(ended)

    def result(self) -> RunResult:
        """All that a report needs."""
        session = self._session
        begin = session.events[0].body
        assert isinstance(begin, TogetherStarted)
        return RunResult(
            profile=session.members[0].profile,
            profile_path=begin.plan_path or " ".join(member.path for member in session.members),
            dut=dut_text(session.events),
            seed=session.seed,
            tool_version=harness.__version__,
            started=session.started,
            judgements=tuple(self._executor.judgements),
            events=session.events,
            ended=session.ended or "not closed",
            tested=tested_of(self._group, begin),
        )

    async def _drive(self, planned: PlannedGroupCheck) -> None:
        check = planned.check
        if check.passive:
            return
        if problem := await self._session.problem(waits=check.declaration.needs_all):
            self._executor.skip(planned, problem)
            return
        await self._executor.stimulate(
            planned,
            self._stimulus(planned),
            within=CHECK_LIMIT + check.max_extension(self._group, planned.subject),
        )

    async def _stimulus(self, planned: PlannedGroupCheck) -> None:
        await planned.check.stimulate(self._bench, planned.subject)
        if self._parts is not None:
            await self._parts.hub.idle()  # what the hub does later belongs to the next check
