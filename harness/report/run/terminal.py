"""The result of a run on a terminal: what needs attention, counts, timing, and the report's path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.model.verdict import Verdict
from harness.report.console import NEEDS_ATTENTION, STYLES, is_plain, terminal
from harness.report.run.conclusion import conclusion_of
from harness.report.run.evidence import ShownTrace
from harness.report.run.progress import ProgressDisplay
from harness.report.run.report import (
    CheckVerdict,
    RunReport,
    evidence_lines,
    report_of,
)
from harness.report.text import lane_names, line_numbers, one_line, plural, seconds_text
from harness.report.words import (
    BASES,
    OF_A_STANDARD,
    VERDICTS,
)
from harness.session.result import Judgement, RunResult
from harness.trace.events import Event

__all__ = ["ProgressDisplay", "failure_text", "print_summary", "summary_lines", "terminal"]

_EVIDENCE_SHOWN = 3
_DEVICES_LISTED = 4


def print_summary(
    console: Console,
    runs: Sequence[RunResult],
    *,
    page: Path | None = None,
    lanes: Sequence[str] | None = None,
) -> None:
    """Print the result of a run: a table of what did not pass, counts, timing, and the report's page.

    ``lanes``: the name of each device (default: from its profile).
    """
    if is_plain(console):
        console.file.writelines(f"{line}\n" for line in summary_lines(runs, page=page, lanes=lanes))
        return
    closing = _Closing(len(runs), signs=True)
    for report in _reports(runs, lanes):
        if found := _needing_attention(report):
            console.print(_table(report, found))
        closing.add(report)
    for line in closing.lines():
        console.print(line)
    for text in _page_lines(page):
        console.print(Text(text), soft_wrap=True)


def summary_lines(
    runs: Sequence[RunResult], *, page: Path | None = None, lanes: Sequence[str] | None = None
) -> list[str]:
    """The result of a run as plain lines, for logs and for pytest's terminal summary."""
    closing = _Closing(len(runs), signs=False)
    lines: list[str] = []
    for report in _reports(runs, lanes):
        for found in _needing_attention(report):
            lines += [*_attention_lines(report, found), ""]
        closing.add(report)
    return [*lines, *(line.plain for line in closing.lines()), *_page_lines(page)]


def _reports(runs: Sequence[RunResult], lanes: Sequence[str] | None) -> Iterator[RunReport]:
    """The reports, one at a time: those of hundreds of devices are large."""
    names = lanes or lane_names([run.about.name for run in runs])
    return (report_of(run, lane=lane) for run, lane in zip(runs, names, strict=True))


class _Closing:
    """The result of each device. With many devices, those without findings share one line."""

    def __init__(self, devices: int, *, signs: bool) -> None:
        self._devices = devices
        self._signs = signs
        self._lines: list[Text] = []
        self._unremarkable = 0
        self._counts: Counter[Verdict] = Counter()

    def add(self, report: RunReport) -> None:
        """Add the result of the next device."""
        counts = Counter({verdict: report.counts.of(verdict) for verdict in Verdict})
        self._counts += counts
        conclusion = conclusion_of(report)
        if self._devices > _DEVICES_LISTED and conclusion.verdict is Verdict.PASS:
            self._unremarkable += 1
            return
        self._lines.append(Text(f"{_named(report)}: {conclusion.headline}", style=STYLES[conclusion.verdict]))
        self._lines.append(Text(f"  {conclusion.text}"))
        self._lines.append(_counted(counts, signs=self._signs))
        self._lines.append(Text(f"  {timing_line(report)}", style="dim"))

    def lines(self) -> Iterator[Text]:
        """All lines, after the last device was added."""
        yield from self._lines
        if self._unremarkable:
            rest = f"{plural(self._unremarkable, 'device')} of {self._devices}: No violation found"
            yield Text(rest, style=STYLES[Verdict.PASS])
        if self._devices > 1:
            yield Text(f"all {plural(self._devices, 'device')}")
            yield _counted(self._counts, signs=self._signs)


def failure_text(judgement: Judgement, events: Sequence[Event]) -> str:
    """A verdict that is not a pass, in the few lines that pytest shows for a failure."""
    requirement, outcome = judgement.requirement, judgement.result.outcome
    lines = [
        f"{outcome.verdict.upper()}  {judgement.result.id}  {one_line(outcome.message)}",
        f"  {one_line(f'{requirement.standard} {requirement.clause}')} ({requirement.level})",
    ]
    for evidence in evidence_lines(ShownTrace(events), outcome.events[:_EVIDENCE_SHOWN]):
        lines.append(f"  line {evidence.line}, {evidence.time:.3f} s: {evidence.summary}")
    if outcome.verdict is Verdict.FAIL:
        lines.append(f"  usual cause: {requirement.usual_cause}")
    return "\n".join(lines)


def timing_line(report: RunReport) -> str:
    """The duration of the run, and the part that standards and profile impose."""
    timing = report.timing
    text = (
        f"{seconds_text(timing.total_seconds)}: {seconds_text(timing.imposed_seconds)} of waits imposed by "
        f"standards and profile, {seconds_text(timing.rest_seconds)} for the rest"
    )
    if timing.imposed_seconds > 0:
        text += f" ({timing.total_seconds / timing.imposed_seconds:.2f} × the imposed waits)"
    if timing.lateness > 0:
        text += f"; the harness itself was late by up to {timing.lateness:.2f} s"
    return text


def _named(report: RunReport) -> str:
    return f"{report.lane} ({one_line(report.dut)}, seed {report.seed})"


@dataclass(frozen=True, slots=True)
class _Attention:
    """A verdict that needs attention, and the ids of others with the same message."""

    verdict: CheckVerdict
    alike: tuple[str, ...]


def _needing_attention(report: RunReport) -> list[_Attention]:
    """What needs attention, worst first. Equal messages, as of an absent device, are grouped."""
    groups: dict[tuple[str, str], list[CheckVerdict]] = {}
    for wanted in NEEDS_ATTENTION:
        for each in report.verdicts:
            if each.verdict is wanted:
                # A verdict with evidence is never grouped.
                key = (each.verdict.value, each.message if not each.events else each.id)
                groups.setdefault(key, []).append(each)
    return [_Attention(first, tuple(each.id for each in rest)) for first, *rest in groups.values()]


def _attention_lines(report: RunReport, found: _Attention) -> Iterator[str]:
    verdict = found.verdict
    yield f"{verdict.verdict.upper()}  {report.lane}::{verdict.id}  {one_line(verdict.message)}"
    yield f"  {one_line(verdict.source)} ({verdict.level})"
    if verdict.verdict is Verdict.FAIL and verdict.basis not in OF_A_STANDARD:
        yield f"  {BASES[verdict.basis]}"
    for evidence in verdict.evidence[:_EVIDENCE_SHOWN]:
        yield f"  line {evidence.line}, {evidence.time:.3f} s: {evidence.summary}"
    if len(verdict.events) > _EVIDENCE_SHOWN:
        yield f"  all evidence: trace lines {line_numbers(verdict.events)}"
    if found.alike:
        yield f"  and {plural(len(found.alike), 'more check')} for the same reason: {', '.join(found.alike)}"


def _table(report: RunReport, found: Sequence[_Attention]) -> Table:
    table = Table(title=report.lane, title_justify="left", expand=True, show_edge=False, pad_edge=False)
    table.add_column("verdict", no_wrap=True)
    table.add_column("check", overflow="fold", ratio=3)
    table.add_column("clause", overflow="fold", ratio=3)
    table.add_column("what was seen", overflow="fold", ratio=6)
    table.add_column("trace lines", overflow="fold", ratio=1, min_width=7)
    for each in found:
        verdict = each.verdict
        words = VERDICTS[verdict.verdict]
        message = Text(one_line(verdict.message))
        for evidence in verdict.evidence[:_EVIDENCE_SHOWN]:
            message.append(f"\n{evidence.time:.3f} s  {evidence.summary}", style="dim")
        table.add_row(
            Text(f"{words.sign} {words.word}", style=STYLES[verdict.verdict]),
            Text(verdict.id + (f" and {len(each.alike)} more" if each.alike else "")),
            Text(f"{one_line(verdict.source)} ({verdict.level})"),
            message,
            Text(line_numbers(verdict.events, most=4)),
        )
    return table


def _counted(counts: Counter[Verdict], *, signs: bool) -> Text:
    """The verdicts counted: ``2 failed, 61 passed, 4 not applicable``."""
    parts = []
    for verdict, words in VERDICTS.items():
        if counts[verdict]:
            sign = f"{words.sign} " if signs else ""
            parts.append(Text(sign + words.counted(counts[verdict]), style=STYLES[verdict]))
    return Text("  ").append_text(Text(", ").join(parts)) if parts else Text("  no checks")


def _page_lines(page: Path | None) -> list[str]:
    return [] if page is None else [f"report: {page}"]
