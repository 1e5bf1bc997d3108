"""``report.html``: a self-contained page, for readers who do not know the tool."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from jinja2 import Environment

from harness.model.verdict import Verdict
from harness.report.run.conclusion import conclusion_of
from harness.report.run.evidence import (
    ShownTrace,
    Timeline,
    TimelineRow,
)
from harness.report.run.report import (
    CheckVerdict,
    EvidenceLine,
    RunReport,
    evidence_lines,
)
from harness.report.templating import environment
from harness.report.words import (
    AREAS,
    VERDICTS,
)
from harness.session.result import RunResult

_PASS_EVIDENCE = 6
_DETAIL_BUDGET = 3_000_000  # characters of decoded forms and bytes on one page


@dataclass(frozen=True, slots=True)
class Card:
    """A verdict with its evidence; ``timeline`` only for verdicts that need attention."""

    anchor: str
    verdict: CheckVerdict
    timeline: Timeline | None
    evidence: tuple[EvidenceLine, ...]

    @property
    def more_evidence(self) -> int:
        """The number of evidence lines that are not shown."""
        return len(self.verdict.events) - len(self.evidence)


@dataclass(frozen=True, slots=True)
class VerdictReason:
    """A reason, and the checks that were not applicable because of it."""

    text: str
    cards: tuple[Card, ...]


@dataclass(frozen=True, slots=True)
class Breach:
    """A check that failed on some devices of a run."""

    check: CheckVerdict
    lanes: tuple[str, ...]


def report_page(run: RunResult, report: RunReport) -> str:
    """The page of one device."""
    cards = _cards(run, report)
    of = {verdict: [card for card in cards if card.verdict.verdict is verdict] for verdict in Verdict}
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            conclusion=conclusion_of(report),
            cards=sorted(cards, key=lambda card: list(VERDICTS).index(card.verdict.verdict)),
            of=of,
            passes=[
                (name, [card for card in of[Verdict.PASS] if card.verdict.area is area])
                for area, name in AREAS.items()
            ],
            reasons=_reasons(of[Verdict.NOT_APPLICABLE]),
            areas=[
                (area, name) for area, name in AREAS.items() if any(c.verdict.area is area for c in cards)
            ],
        )
    )


def overview_page(reports: Sequence[RunReport]) -> str:
    """The overview of all devices of a run; each has its own page in the folder of its lane."""
    breaches: dict[str, list[tuple[CheckVerdict, str]]] = {}
    for report in reports:
        for verdict in report.verdicts:
            if verdict.verdict is Verdict.FAIL:
                breaches.setdefault(verdict.check, []).append((verdict, report.lane))
    return (
        _environment()
        .get_template("index.html.j2")
        .render(
            devices=[(report, conclusion_of(report)) for report in reports],
            breaches=[
                Breach(found[0][0], tuple(dict.fromkeys(lane for _, lane in found)))
                for found in sorted(breaches.values(), key=len, reverse=True)
            ],
            totals=[(verdict, sum(report.counts.of(verdict) for report in reports)) for verdict in VERDICTS],
        )
    )


def _cards(run: RunResult, report: RunReport) -> list[Card]:
    trace, spent, cards = ShownTrace(run.events), 0, []
    for number, verdict in enumerate(report.verdicts, start=1):
        needs_attention = verdict.verdict not in (Verdict.PASS, Verdict.NOT_APPLICABLE)
        timeline = trace.timeline(verdict.events) if needs_attention and verdict.events else None
        if timeline:
            timeline, size = _within_budget(timeline, _DETAIL_BUDGET - spent)
            spent += size
        shown = evidence_lines(trace, verdict.events[:_PASS_EVIDENCE]) if timeline is None else ()
        cards.append(Card(f"v{number}", verdict, timeline, shown))
    return cards


def _within_budget(timeline: Timeline, left: int) -> tuple[Timeline, int]:
    """The timeline and the size of its details; details are removed if the page has no room left."""
    rows = [row for row in timeline.rows if isinstance(row, TimelineRow)]
    size = sum(len(row.decoded or "") + len(row.hexadecimal or "") for row in rows)
    if size <= left:
        return timeline, size
    bare = tuple(
        replace(row, decoded=None, hexadecimal=None) if isinstance(row, TimelineRow) else row
        for row in timeline.rows
    )
    return replace(timeline, rows=bare), 0


def _reasons(cards: Sequence[Card]) -> list[VerdictReason]:
    by_reason: dict[str, list[Card]] = {}
    for card in cards:
        by_reason.setdefault(card.verdict.message, []).append(card)
    return [VerdictReason(text, tuple(found)) for text, found in by_reason.items()]


def _reproduce(report: RunReport, verdict: CheckVerdict) -> str | None:
    """The command that repeats this check; None for real devices."""
    if report.dut != "simulated":
        return None
    words = ["harness", "check", report.profile_path, "--simulate", "--seed", str(report.seed)]
    for fault in report.faults:
        words += ["--fault", fault]
    return shlex.join([*words, "--select", verdict.check])


@cache
def _environment() -> Environment:
    made = environment()
    made.globals.update(reproduce=_reproduce, is_row=lambda entry: isinstance(entry, TimelineRow))
    return made
