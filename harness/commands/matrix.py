"""``harness matrix``: which of many devices work with which."""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path

import harness
from harness.compat.matrix import predicted, read_entry
from harness.patterns import expanded
from harness.report.console import terminal
from harness.report.matrix import Row, matrix_of
from harness.report.matrix_terminal import print_matrix
from harness.report.matrix_write import write_matrix
from harness.report.text import lane_names
from harness.session.target import UsageError


def run(arguments: argparse.Namespace) -> int:
    """Predict all pairs, observe them if asked to, report; returns the exit status."""
    paths = [Path(name) for name in expanded(arguments.profiles)]
    if not paths:
        raise UsageError("matrix of what? name profiles, such as profiles/*.yaml")
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    entries = [
        read_entry(name, path)
        for name, path in zip(lane_names([path.stem for path in paths]), paths, strict=True)
    ]
    pairs = predicted(entries)
    matrix = matrix_of(
        [Row(entry.name, entry.device.profile, str(entry.path)) for entry in entries],
        pairs,
        tool_version=harness.__version__,
        started=started,
        seed=arguments.seed,
    )
    page = write_matrix(Path(arguments.report), matrix) if arguments.report else None
    print_matrix(terminal(), matrix, page=page)
    return matrix.status
