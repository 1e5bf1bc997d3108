"""``report.json``: the result of a run as typed data, from which the other reports are made.

The format is stable: members may be added, but are never renamed or removed. Its JSON Schema is
``report.schema.json`` beside this file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from harness.model.requirement import Area, Basis, Level
from harness.model.verdict import Verdict
from harness.report.run.evidence import ShownTrace
from harness.report.run.timing import (
    CheckKey,
    stimulus_seconds,
    timing_of,
)
from harness.report.text import showable, without_password
from harness.session.result import Judgement, RunResult
from harness.trace.events import RunStarted

TRACE_NAME = "trace.jsonl"
_EVIDENCE_SHOWN = 20


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True, use_attribute_docstrings=True)


class EvidenceLine(_Record):
    """One event that proves a verdict."""

    line: int
    """line number in the trace, from 1"""
    time: float
    """seconds since the start of the run"""
    summary: str
    """the event as one line of text"""


class CheckVerdict(_Record):
    """The verdict of one check on one subject."""

    check: str
    subject: str | None
    """the affordance or rule, with its transport if there are several; null: the device as a whole"""
    transport: str | None
    area: Area
    standard: str
    clause: str
    level: Level
    basis: Basis
    """origin of the requirement; only normative and derived ones come from a standard"""
    verdict: Verdict
    message: str
    events: tuple[int, ...]
    """line numbers of the events in the trace that prove it"""
    evidence: tuple[EvidenceLine, ...]
    """the first of these events as text; empty for pass and not-applicable"""
    purpose: str
    stimulus: str
    expect: str
    usual_cause: str
    seconds: float
    """duration of the stimulus"""

    @property
    def id(self) -> str:
        """``CHECK`` or ``CHECK[subject]``, as pytest shows it."""
        return f"{self.check}[{self.subject}]" if self.subject else self.check

    @property
    def source(self) -> str:
        """Standard and clause as one text."""
        return f"{self.standard}, {self.clause}"


class ImposedWait(_Record):
    """Waits imposed by a standard or the profile, grouped by reason."""

    what: str
    imposed_by: str
    seconds: float
    """sum of all these waits"""
    times: int


class Timing(_Record):
    """The time of the run. Overlapping waits count once in ``imposed_seconds``."""

    total_seconds: float
    imposed: tuple[ImposedWait, ...]
    imposed_seconds: float
    rest_seconds: float
    lateness: float = 0.0
    """the greatest lateness of the harness's own loop, in seconds"""


class Counts(_Record):
    """The number of verdicts of each kind."""

    pass_: int = Field(0, alias="pass")
    fail: int = 0
    warn: int = 0
    inconclusive: int = 0
    not_applicable: int = Field(0, alias="not-applicable")
    error: int = 0

    def of(self, verdict: Verdict) -> int:
        """The number for one verdict."""
        return int(self.model_dump(by_alias=True)[verdict.value])


class RunReport(_Record):
    """The result of a run."""

    format: Literal[1] = 1
    lane: str
    """name of this device within the run, as in test ids"""
    profile: str
    profile_title: str
    profile_version: str
    profile_path: str
    dut: str
    """how the device was reached"""
    faults: tuple[str, ...]
    """faults injected into a simulated device"""
    seed: int
    tool_version: str
    started: str
    """RFC 3339"""
    ended: str
    """complete, or why the run ended early"""
    trace: str
    """the trace file, relative to this report"""
    counts: Counts
    timing: Timing
    verdicts: tuple[CheckVerdict, ...]

    @property
    def complete(self) -> bool:
        """Whether the run was completed."""
        return self.ended == "complete"


def report_of(run: RunResult, *, lane: str | None = None, trace: str = TRACE_NAME) -> RunReport:
    """Make the report of a run. ``trace`` is the path of its trace, relative to the report."""
    about = run.about
    evidence = ShownTrace(run.events)
    took = stimulus_seconds(run.events)
    verdicts = tuple(_verdict(judgement, evidence, took) for judgement in run.judgements)
    counted = [verdict.verdict for verdict in verdicts]
    return RunReport(
        lane=lane or about.name,
        profile=about.name,
        profile_title=showable(about.title),
        profile_version=showable(about.version),
        profile_path=showable(run.profile_path),
        dut=showable(without_password(run.dut)),
        faults=_faults(run),
        seed=run.seed,
        tool_version=run.tool_version,
        started=run.started,
        ended=showable(run.ended),
        trace=trace,
        counts=Counts.model_validate({verdict.value: counted.count(verdict) for verdict in Verdict}),
        timing=_timing(run),
        verdicts=verdicts,
    )


def to_json(report: RunReport) -> str:
    """The text of ``report.json`` for one run."""
    return _json(report.model_dump(mode="json", by_alias=True))


def to_json_list(reports: Sequence[RunReport]) -> str:
    """The text of ``report.json`` for several runs: a list."""
    return _json([report.model_dump(mode="json", by_alias=True) for report in reports])


def from_json(text: str) -> RunReport:
    """Read the ``report.json`` of one run. Raises ValueError if it is not valid."""
    return RunReport.model_validate_json(text)


def schema() -> str:
    """The JSON Schema of ``report.json``: one report, or a list of them."""
    generated = TypeAdapter(RunReport | list[RunReport]).json_schema(by_alias=True, mode="serialization")
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Conformance report of a smart-home device, or of several",
    }
    return json.dumps(head | generated, indent=2, ensure_ascii=False) + "\n"


def _verdict(judgement: Judgement, trace: ShownTrace, took: dict[CheckKey, float]) -> CheckVerdict:
    requirement, result = judgement.requirement, judgement.result
    outcome, subject = result.outcome, result.subject
    needs_attention = outcome.verdict not in (Verdict.PASS, Verdict.NOT_APPLICABLE)
    return CheckVerdict(
        check=result.check,
        subject=subject.label,
        transport=subject.transport,
        area=requirement.area,
        standard=requirement.standard,
        clause=requirement.clause,
        level=requirement.level,
        basis=requirement.basis,
        verdict=outcome.verdict,
        message=showable(outcome.message),
        events=outcome.events,
        evidence=evidence_lines(trace, outcome.events[:_EVIDENCE_SHOWN]) if needs_attention else (),
        purpose=requirement.purpose,
        stimulus=requirement.stimulus,
        expect=requirement.expect,
        usual_cause=requirement.usual_cause,
        seconds=round(took.get((result.check, subject.name, subject.transport), 0.0), 6),
    )


def evidence_lines(trace: ShownTrace, lines: Sequence[int]) -> tuple[EvidenceLine, ...]:
    """These lines of the trace as text; missing lines are skipped."""
    found = [(event, trace.summary(event)) for event in map(trace.event, lines) if event]
    return tuple(EvidenceLine(line=event.line, time=event.time, summary=text) for event, text in found)


def _timing(run: RunResult) -> Timing:
    timing = timing_of(run.events)
    return Timing(
        total_seconds=timing.total_seconds,
        imposed=tuple(
            ImposedWait(
                what=showable(each.what),
                imposed_by=showable(each.imposed_by),
                seconds=each.seconds,
                times=each.times,
            )
            for each in timing.waits
        ),
        imposed_seconds=timing.imposed_seconds,
        rest_seconds=round(timing.rest_seconds, 6),
        lateness=timing.lateness,
    )


def _faults(run: RunResult) -> tuple[str, ...]:
    # With several devices, each fault is prefixed with its device.
    return tuple(
        fault if event.device is None else f"{event.device}={fault}"
        for event in run.events
        if isinstance(event.body, RunStarted)
        for fault in event.body.faults
    )


# JSON strings contain no line ends, so this matches only lists of numbers.
_NUMBERS = re.compile(r"\[\n\s+(\d+(?:,\n\s+\d+)*)\n\s+\]")


def _json(data: Any) -> str:
    text = json.dumps(data, indent=2, ensure_ascii=False)
    return _NUMBERS.sub(lambda match: "[" + re.sub(r"\s+", " ", match.group(1)) + "]", text) + "\n"
