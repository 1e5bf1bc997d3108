"""``junit.xml`` for CI systems: one test suite for each device, one test case for each verdict."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from harness.model.requirement import Level
from harness.model.verdict import Verdict
from harness.report.run.report import (
    CheckVerdict,
    RunReport,
)
from harness.report.text import line_numbers, one_line
from harness.report.words import BASES


def junit_xml(reports: Sequence[RunReport]) -> str:
    """The text of ``junit.xml``.

    ``fail`` is a failure, ``error`` an error, ``not-applicable`` skipped, ``warn`` passed with a text.
    ``inconclusive`` is an error if the requirement is a MUST, as in the exit status, otherwise skipped.
    A run that ended early has an additional error, so that it never looks green.
    """
    root = Element("testsuites", name="harness")
    suites = [_suite(report) for report in reports]
    root.extend(suites)
    for counted in ("tests", "failures", "errors"):
        root.set(counted, str(sum(int(suite.get(counted, "0")) for suite in suites)))
    root.set("time", f"{sum(report.timing.total_seconds for report in reports):.3f}")
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _suite(report: RunReport) -> Element:
    suite = Element("testsuite", name=one_line(report.lane))
    _add_properties(suite, report)
    cases = [_case(report, verdict) for verdict in report.verdicts]
    if not report.complete:
        cases.append(_ended_early(report))
    suite.extend(cases)
    suite.set("tests", str(len(cases)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(tag) is not None for case in cases)))
    suite.set("time", f"{report.timing.total_seconds:.3f}")
    suite.set("timestamp", _timestamp(report.started))
    return suite


def _add_properties(suite: Element, report: RunReport) -> None:
    properties = SubElement(suite, "properties")
    for name, value in (
        ("profile", report.profile),
        ("profile_version", report.profile_version),
        ("profile_path", report.profile_path),
        ("dut", report.dut),
        ("faults", " ".join(report.faults)),
        ("seed", str(report.seed)),
        ("tool_version", report.tool_version),
        ("ended", report.ended),
        ("trace", report.trace),
    ):
        SubElement(properties, "property", name=name, value=one_line(value))


def _case(report: RunReport, verdict: CheckVerdict) -> Element:
    case = Element(
        "testcase", classname=one_line(report.lane), name=one_line(verdict.id), time=f"{verdict.seconds:.3f}"
    )
    outcome = _outcome(verdict)
    if outcome is not None:
        tag, kind = outcome
        child = SubElement(case, tag, type=kind, message=one_line(verdict.message))
        if tag != "skipped":
            child.text = _explanation(report, verdict)
    if outcome is None or outcome[0] == "skipped":
        SubElement(case, "system-out").text = _explanation(report, verdict)
    return case


def _outcome(verdict: CheckVerdict) -> tuple[str, str] | None:
    """The JUnit element and type for a verdict; None for a pass."""
    match verdict.verdict:
        case Verdict.FAIL:
            return "failure", "fail"
        case Verdict.ERROR:
            return "error", "error"
        case Verdict.INCONCLUSIVE:
            return ("error" if verdict.level is Level.MUST else "skipped"), "inconclusive"
        case Verdict.NOT_APPLICABLE:
            return "skipped", "not-applicable"
    return None


def _explanation(report: RunReport, verdict: CheckVerdict) -> str:
    lines = [
        f"{verdict.verdict}: {verdict.message}",
        f"requirement: {verdict.source} ({verdict.level}). {BASES[verdict.basis]}",
        f"purpose: {verdict.purpose}",
        f"expected: {verdict.expect}",
    ]
    if verdict.evidence:
        lines.append(f"usual cause: {verdict.usual_cause}")
    if verdict.events:
        lines.append(f"evidence: {report.trace}, lines {line_numbers(verdict.events)}")
    lines += [f"  line {each.line}, {each.time:.3f} s: {each.summary}" for each in verdict.evidence]
    return "\n".join(lines)


def _ended_early(report: RunReport) -> Element:
    case = Element("testcase", classname=one_line(report.lane), name="run", time="0.000")
    message = f"the run ended early: {report.ended}"
    SubElement(case, "error", type="incomplete", message=one_line(message)).text = message
    return case


def _timestamp(started: str) -> str:
    """The format of the usual JUnit schemas: UTC, in seconds, without a zone."""
    try:
        moment = datetime.fromisoformat(started)
    except ValueError:
        return one_line(started)
    if moment.tzinfo:
        moment = moment.astimezone(UTC)
    return moment.replace(tzinfo=None).isoformat(timespec="seconds")
