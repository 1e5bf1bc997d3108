"""``harness compat``: whether two devices work together, or one can replace the other."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.model.verdict import ExitStatus
from harness.prediction.device import (
    Device,
    read_device,
)
from harness.prediction.findings import PairOutcome
from harness.prediction.pair import (
    pair_of,
    read_pair,
)
from harness.prediction.replacement.predict import (
    replaces,
    same_kind,
)
from harness.report.compat.report import (
    write_pair,
    write_replacement,
)
from harness.report.compat.text import (
    print_pair,
    print_replacement,
)
from harness.report.console import terminal
from harness.session.target import UsageError


def run(arguments: argparse.Namespace) -> int:
    """Compare two profiles; returns the exit status: 1 if something blocks."""
    first, second = Path(arguments.first), Path(arguments.second)
    if arguments.observe and not arguments.replaces:
        raise UsageError(
            "--observe goes with --replaces; two devices are observed by harness check A B --together"
        )
    outcome = (_replacement if arguments.replaces else _pair)(first, second, arguments.report)
    status = ExitStatus.FAILED if outcome is PairOutcome.BLOCKED else ExitStatus.OK
    if arguments.observe:
        from harness.commands import replay  # slow to import: brokers and simulated devices

        status = max(status, replay.run(arguments))
    return status


def _pair(first: Path, second: Path, report: str | None) -> PairOutcome:
    pair = pair_of(*read_pair(first, second))
    print_pair(terminal(), pair)
    if report:
        write_pair(Path(report), pair)
    return pair.outcome


def _replacement(first: Path, second: Path, report: str | None) -> PairOutcome:
    old, new = read_device(first), read_device(second)
    found = replaces(old, new)
    print_replacement(terminal(), found, versions=_names(old, new))
    if report:
        write_replacement(Path(report), found)
    return found.outcome


def _names(old: Device, new: Device) -> str:
    if same_kind(old, new):
        return f"{new.name} {new.profile.version} for {old.profile.version}"
    return f"{new.name} for {old.name}"
