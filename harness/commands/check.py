"""``harness check``: runs pytest with a display of its own."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from harness import plugin
from harness.errors import own_failure
from harness.model.verdict import ExitStatus
from harness.report.console import terminal
from harness.report.run.progress import ProgressDisplay
from harness.report.run.terminal import print_summary
from harness.session.setup.lanes import Options
from harness.session.target import UsageError


def run(arguments: argparse.Namespace) -> int:
    """Check the devices; returns the exit status."""
    if not arguments.profiles and not arguments.bench:
        raise UsageError(
            "nothing to check: name a profile, such as profiles/smart-plug.yaml, or --bench FILE"
        )
    if arguments.together:
        from harness.commands import together

        return together.run(arguments)
    if arguments.dut:
        raise UsageError("--dut is for several devices; add --together")
    console = terminal()
    display = _Display(ProgressDisplay(console, quiet=arguments.quiet), drops_items=not arguments.pytest)
    if arguments.listen:
        console.print(f"waiting for the device: set its MQTT broker to {arguments.listen}")
    status = pytest.main(_pytest_arguments(arguments), plugins=[display])
    run = display.run
    if run is not None and run.setup.results:
        print_summary(console, run.setup.results, page=run.page, lanes=run.setup.ran)
    if display.failed_itself:
        return ExitStatus.UNDECIDED
    if status == pytest.ExitCode.NO_TESTS_COLLECTED:
        console.print("harness: no check is selected; `harness checks` lists them")
        return ExitStatus.USAGE
    if status in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.INTERNAL_ERROR):
        return ExitStatus.USAGE if status == pytest.ExitCode.USAGE_ERROR else ExitStatus.UNDECIDED
    return int(status)


OPERATOR = "operator"

_UNUSED = ("cacheprovider", "doctest", "logging", "stepwise", "tmpdir", "unittest")
"""Plugins of pytest that cost time for each item and are useless for checks; kept with --pytest."""


class _Display:
    """Replaces pytest's display."""

    def __init__(self, progress: ProgressDisplay, *, drops_items: bool) -> None:
        self._progress = progress
        self._drops_items = drops_items  # drop finished items
        self._session: pytest.Session | None = None
        self._done = 0
        self.run: plugin.HarnessRun | None = None
        self.failed_itself = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.harness_progress = self._progress  # type: ignore[attr-defined]

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> bool:
        self._print_own_failure(excinfo.exconly())
        return True  # handled: pytest prints no traceback

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        if isinstance(excinfo.value, pytest.exit.Exception):  # the plugin's message, printed only here
            print(excinfo.value.msg, file=sys.stderr)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._print_own_failure(str(report.longrepr).strip().splitlines()[-1])

    def _print_own_failure(self, what: str) -> None:
        self.failed_itself = True
        print(own_failure(what), file=sys.stderr)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Drop the item: the items of hundreds of devices would need more memory than their traces."""
        if self._drops_items and self._session is not None:
            self._session.items[self._done] = None  # type: ignore[call-overload]
            self._done += 1

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        run = session.config.pluginmanager.get_plugin(plugin.RUN)
        assert isinstance(run, plugin.HarnessRun)
        self.run, self._session = run, session


def _pytest_arguments(arguments: argparse.Namespace) -> list[str]:
    # Ignore pytest settings and conftest files of the current folder.
    given = ["-p", "no:terminal", "-c", os.devnull, "--rootdir", str(Path.cwd()), "--noconftest"]
    # No assertions need rewriting here, and rewriting costs as much time as half of the checks.
    given.append("--assert=plain")
    given += [part for name in _UNUSED for part in ("-p", f"no:{name}")] if not arguments.pytest else []
    given += ["-p", "no:labgrid"]  # its pytest plugin, if installed
    given.append("--capture=no")  # show the display at once
    for profile in arguments.profiles:
        given += ["--profile", profile]
    for field in fields(Options):
        value = getattr(arguments, field.name, None)
        option = "--" + field.name.replace("_", "-")
        if value is True:
            given.append(option)
        elif isinstance(value, list):
            given += [part for item in value for part in (option, item)]
        elif value is not None and value is not False:
            given += [option, str(value)]
    if OPERATOR in (arguments.power, arguments.hands):
        given.append("-s")  # the harness reads standard input
    return given + list(arguments.pytest)
