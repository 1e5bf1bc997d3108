"""The pytest plugin: checks as pytest items, and a fixture for the device under test.

``pytest --profile profiles/smart-plug.yaml --simulate`` runs the catalogue; items have ids such as
``smart-plug::DEV-01[relay]``. With test files on the command line only those are run, and they can use
the fixture ``dut``.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from harness.errors import WRONG_USAGE, HarnessError, explain
from harness.options import add_options
from harness.patterns import expanded

if TYPE_CHECKING:
    from harness.dut import Dut
    from harness.session.result import Judgement
    from harness.session.run.plan import PlannedCheck
    from harness.session.run.runner import Runner

RUN = "harness-run"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of ``harness check``, for pytest."""
    group = parser.getgroup("harness", "checking smart-home devices")
    add_options(group.addoption)


def pytest_configure(config: pytest.Config) -> None:
    """Collect the profiles, or the bench file, unless test files are named."""
    if not config.option.profile and not config.option.bench:
        return
    config.option.profile[:] = expanded(config.option.profile)
    from harness.model.requirement import Area

    for area in Area:
        config.addinivalue_line("markers", f"{area}: checks of the area {area}, by the harness")
    config.pluginmanager.register(HarnessRun(config), RUN)
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args[:] = described_by(config)
    if config.pluginmanager.hasplugin("dsession") or getattr(config.option, "dist", "no") == "load":
        # One worker checks a device from start to end, so that there is one trace.
        config.option.dist = "loadscope"


def described_by(config: pytest.Config) -> list[str]:
    """The files that describe the devices: the profiles, or the bench file."""
    return [config.option.bench] if config.option.bench else list(config.option.profile)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect checks from the files given by ``--profile`` or ``--bench``."""
    run = parent.config.pluginmanager.get_plugin(RUN)
    if run is None or file_path not in run.paths:
        return None
    collector: pytest.Collector = ProfileFile.from_parent(parent, path=file_path)
    return collector


class ProfileFile(pytest.File):
    """A profile or a bench file, with a lane of checks for each of its devices."""

    def collect(self) -> Iterable[LaneCollector]:
        """One lane for each device."""
        run = _run_of(self.config)
        for name in run.lanes_of(self.path):
            yield LaneCollector.from_parent(self, name=name, nodeid=name)


class LaneCollector(pytest.Collector):
    """The checks of one device."""

    def collect(self) -> Iterable[CheckItem]:
        """The plan of that device."""
        run = _run_of(self.config)
        for planned in run.plan_of(self.name):
            # The id is given explicitly: pytest would take "[relay]" for a parameter, and --lf would not
            # find the item again.
            nodeid = f"{self.nodeid}::{planned.id}"
            yield CheckItem.from_parent(self, name=planned.id, nodeid=nodeid, planned=planned)


class NotPassed(Exception):
    """A verdict that is not a pass, with the message of the report."""


class CheckItem(pytest.Item):
    """One check on one subject of one device."""

    fixturenames: tuple[str, ...] = ()  # none; other plugins, such as labgrid's, ask every item for them

    def __init__(self, *, planned: PlannedCheck, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.planned = planned
        self.lane = self.parent.name if self.parent else ""
        self.add_marker(_marker(planned.check.requirement.area.value))
        self.judgement: Judgement | None = None

    def runtest(self) -> None:
        """Wait for the verdict, and pass it to pytest."""
        from harness.model.verdict import Verdict

        run = _run_of(self.config)
        self.judgement = run.result(self)
        outcome = self.judgement.result.outcome
        self.user_properties.append(_property("verdict", outcome.verdict.value))
        self.user_properties.append(_property("level", self.judgement.requirement.level.value))
        if outcome.verdict in (Verdict.NOT_APPLICABLE, Verdict.INCONCLUSIVE):
            pytest.skip(f"{outcome.verdict}: {outcome.message}")
        if outcome.verdict in (Verdict.FAIL, Verdict.ERROR):
            raise NotPassed(outcome.message)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """For a failure: requirement, message and evidence instead of a traceback."""
        if self.judgement is None or not isinstance(excinfo.value, NotPassed):
            return super().repr_failure(excinfo, style)
        from harness.report.run.terminal import failure_text

        run = _run_of(self.config)
        return failure_text(self.judgement, run.events(self.lane))

    def reportinfo(self) -> tuple[Path, None, str]:
        """The location, for pytest's listings."""
        return self.path, None, f"{self.lane}::{self.name}"


# There are many items with equal markers and properties, so these are shared.
@cache
def _marker(name: str) -> pytest.MarkDecorator:
    return getattr(pytest.mark, name)  # type: ignore[no-any-return]


@cache
def _property(name: str, value: str) -> tuple[str, str]:
    return name, value


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Show our verdicts by their own names in pytest's output."""
    # Reports on collection have neither phase nor properties.
    if getattr(report, "when", None) != "call":
        return None
    verdict = dict(report.user_properties).get("verdict")
    letters = {"inconclusive": "i", "not-applicable": "n", "warn": "w", "error": "E"}
    if verdict not in letters:
        return None
    return str(verdict), letters[str(verdict)], str(verdict).upper()


def _run_of(config: pytest.Config) -> HarnessRun:
    run = config.pluginmanager.get_plugin(RUN)
    assert isinstance(run, HarnessRun), "our items are collected only during a run"
    return run


def _stop(problem: HarnessError) -> NoReturn:
    """End pytest with the message and the exit status of an error."""
    message, status = explain(problem)
    if status == WRONG_USAGE:
        raise pytest.UsageError(str(problem)) from None
    pytest.exit(message, returncode=status)


class HarnessRun:
    """The state of a run inside pytest: lanes, runner, results."""

    def __init__(self, config: pytest.Config) -> None:
        from harness.checks.catalogue import all_checks
        from harness.session.setup.lanes import (
            Options,
            Setup,
        )

        self.config = config
        try:
            self.setup = Setup(Options(**{f.name: getattr(config.option, f.name) for f in fields(Options)}))
            all_checks()
        except HarnessError as problem:
            _stop(problem)
        gc.freeze()  # modules stay loaded, so the garbage collector can skip them
        self.runner: Runner | None = None
        self.page: Path | None = None
        self._verdicts: list[tuple[str, str]] = []
        self._has_checks = False
        self._items: list[CheckItem] = []
        self._lanes: set[str] = set()  # the lanes that a worker has started
        self.paths = {Path(name).resolve() for name in described_by(config)}
        self._worker = hasattr(config, "workerinput")
        self._progress = getattr(config, "harness_progress", None)  # set by `harness check`

    def lanes_of(self, path: Path) -> list[str]:
        """The lanes of one profile."""
        return self.setup.lanes_of(path)

    def plan_of(self, lane: str) -> tuple[PlannedCheck, ...]:
        """The plan of one lane."""
        return self.setup.plan_of(lane)

    def result(self, item: CheckItem) -> Judgement:
        """The verdict of an item; Ctrl-C ends pytest in its own way."""
        from harness.session.run.runner import InterruptedRunError

        runner = self.the_runner()
        try:
            if self._worker:
                self._enqueue_here(runner, item)
            return runner.result(item.lane, item.planned)
        except InterruptedRunError:
            raise KeyboardInterrupt from None

    def _enqueue_here(self, runner: Runner, item: CheckItem) -> None:
        """Enqueue all items of a lane at once.

        A worker of pytest-xdist runs its items one by one, but has all those of a lane. Without this, the
        checks of a lane would not follow each other immediately.
        """
        if item.lane in self._lanes:
            return
        self._lanes.add(item.lane)
        for other in self._items:
            if other.lane == item.lane:
                runner.enqueue(other.lane, other.planned)
        runner.seal(item.lane)

    def events(self, lane: str) -> Any:
        """The trace of a lane so far."""
        return self.the_runner().events(lane)

    def the_runner(self) -> Runner:
        """The runner, created on first use."""
        if self.runner is None:
            try:
                self.runner = self.setup.runner(self._progress)
            except HarnessError as problem:
                _stop(problem)
        return self.runner

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Start all lanes at once; they run side by side while pytest waits for results."""
        items = [item for item in session.items if isinstance(item, CheckItem)]
        self._has_checks = bool(items)
        if self._worker:
            self._items = items
        if session.config.option.collectonly or self._worker or not items:
            return
        if self._progress is not None:
            self._progress.started(Counter(item.lane for item in items))
        for item in items:
            self.the_runner().enqueue(item.lane, item.planned)
        for lane in {item.lane for item in items}:
            self.the_runner().seal(lane)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Close the lanes, write the reports, and set the exit status."""
        if self.runner is not None:
            self.setup.finish(self.runner)
        if self._progress is not None:
            self._progress.finished()
        if self._worker:
            return
        self._write_report()
        status = self._status()
        if status is not None and session.exitstatus in (
            pytest.ExitCode.OK,
            pytest.ExitCode.TESTS_FAILED,
            pytest.ExitCode.INTERRUPTED,
        ):
            session.exitstatus = status

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the path of the report."""
        if self.page is not None:
            terminalreporter.write_line(f"report: {self.page}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the verdict; with pytest-xdist it comes from another process."""
        reported = dict(report.user_properties)
        if report.when == "call" and "verdict" in reported:
            self._verdicts.append((str(reported["verdict"]), str(reported["level"])))

    def _status(self) -> int | None:
        from harness.model.requirement import Level
        from harness.model.verdict import ExitStatus, Verdict, exit_status
        from harness.session.result import run_status

        if not self._has_checks:
            return None  # only a user's own tests: keep pytest's status
        judgements = [judgement for run in self.setup.results for judgement in run.judgements]
        if judgements:
            status = run_status(judgements)
        else:
            status = exit_status((Verdict(verdict), level == Level.MUST) for verdict, level in self._verdicts)
        return status or (ExitStatus.UNDECIDED if self.setup.problems else ExitStatus.OK)

    def _write_report(self) -> None:
        folder = self.config.option.report
        if folder and self.runner is None:
            self.setup.take_traces()  # written by the workers of pytest-xdist
        if folder and self.setup.results:
            from harness.report.run.write import write_report

            try:
                self.page = write_report(Path(folder), self.setup.results, lanes=self.setup.ran)
            except HarnessError as problem:
                _stop(problem)


@pytest.fixture(scope="session")
def dut(request: pytest.FixtureRequest) -> Iterator[Dut]:
    """The device of the first ``--profile``, for a user's own tests; see :class:`harness.dut.Dut`."""
    from harness.dut import Dut

    run = request.config.pluginmanager.get_plugin(RUN)
    if run is None:
        raise pytest.UsageError(
            "the fixture dut needs --profile FILE, and --simulate or the address of a real device"
        )
    lane = run.setup.lanes_of(next(iter(run.paths)))[0]
    yield Dut(run.the_runner(), lane)
