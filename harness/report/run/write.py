"""Writing the report of a run into a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.report.files import JUNIT_NAME, ReportError, _cannot_write, make_folder, write_text
from harness.report.run.html import (
    overview_page,
    report_page,
)
from harness.report.run.junit import junit_xml
from harness.report.run.report import (
    TRACE_NAME,
    RunReport,
    report_of,
    to_json,
    to_json_list,
)
from harness.report.text import lane_names
from harness.session.result import RunResult
from harness.trace.events import Event
from harness.trace.lines import to_line

JSON_NAME = "report.json"
HTML_NAME = "report.html"
OVERVIEW_NAME = "index.html"

__all__ = ["ReportError", "lane_names", "trace_path", "write_report"]


def trace_path(directory: Path, lane: str, lanes: int) -> Path:
    """The path of a lane's trace, in a run with ``lanes`` devices.

    Creates its folder. Raises ReportError.
    """
    folder = directory if lanes == 1 else directory / lane
    make_folder(folder)
    return folder / TRACE_NAME


def write_report(directory: Path, runs: Sequence[RunResult], *, lanes: Sequence[str] | None = None) -> Path:
    """Write the report of one device, or of several, and return the page to open.

    One: ``report.json``, ``junit.xml`` and ``report.html``, beside ``trace.jsonl``. Several: the same for
    each in a folder named after its lane (default: :func:`lane_names`), and for all of them ``report.json``
    (a list), ``junit.xml`` and ``index.html``. A trace that is not there yet, as when a trace is judged
    again, is written too. Raises ReportError.
    """
    names = tuple(lanes) if lanes is not None else lane_names([run.about.name for run in runs])
    if len(runs) == 1:
        _write_one(directory, runs[0], report_of(runs[0], lane=names[0]))
        return directory / HTML_NAME
    make_folder(directory)
    reports = []
    for run, name in zip(runs, names, strict=True):
        _write_one(directory / name, run, report_of(run, lane=name))
        reports.append(report_of(run, lane=name, trace=f"{name}/{TRACE_NAME}"))
    write_text(directory / JSON_NAME, to_json_list(reports))
    write_text(directory / JUNIT_NAME, junit_xml(reports))
    write_text(directory / OVERVIEW_NAME, overview_page(reports))
    return directory / OVERVIEW_NAME


def _write_one(directory: Path, run: RunResult, report: RunReport) -> None:
    make_folder(directory)
    _write_trace(directory / TRACE_NAME, run.events)
    write_text(directory / JSON_NAME, to_json(report))
    write_text(directory / JUNIT_NAME, junit_xml([report]))
    write_text(directory / HTML_NAME, report_page(run, report))


def _write_trace(path: Path, events: Sequence[Event]) -> None:
    """Write the trace, unless the file is this trace already."""
    if not events or _first_line(path) == to_line(events[0]):
        return
    try:
        with path.open("w", encoding="utf-8") as file:
            file.writelines(map(to_line, events))
    except OSError as problem:
        raise _cannot_write(path, problem) from problem


def _first_line(path: Path) -> str | None:
    try:
        with path.open(encoding="utf-8") as file:
            return file.readline()
    except (OSError, UnicodeDecodeError):
        return None
