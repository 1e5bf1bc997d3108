"""Folders and files of a report, and the error when they cannot be written."""

from __future__ import annotations

from pathlib import Path

from harness.errors import HarnessError

JUNIT_NAME = "junit.xml"


class ReportError(HarnessError):
    """A report cannot be written; the message says where and why."""


def make_folder(directory: Path) -> None:
    """Make a folder of the report. Raises ReportError."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise _cannot_write(directory, problem) from problem


def write_text(path: Path, text: str) -> None:
    """Write a file of the report. Raises ReportError."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise _cannot_write(path, problem) from problem


def _cannot_write(path: Path, problem: OSError) -> ReportError:
    return ReportError(
        f"cannot write the report to {path}: {problem.strerror or problem}. "
        "Choose another folder with --report."
    )
