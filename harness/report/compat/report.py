"""``compat.json`` and ``junit.xml`` of predictions.

The format of the JSON is stable: members may be added, but are never renamed or removed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from pydantic import TypeAdapter

import harness
from harness.prediction.findings import (
    Finding,
    PairOutcome,
    Prediction,
    Replacement,
    Severity,
)
from harness.prediction.pair import Pair
from harness.report.compat.text import (
    conclusion,
    counted,
    replacement_conclusion,
)
from harness.report.files import (
    JUNIT_NAME,
    ReportError,
)
from harness.report.text import one_line

JSON_NAME = "compat.json"


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    findings: tuple[Finding, ...]
    skipped: str = ""


def write_pair(directory: Path, pair: Pair) -> None:
    """Write both files. Raises ReportError."""
    data = {
        "tool_version": harness.__version__,
        "first": pair.first,
        "second": pair.second,
        "outcome": pair.outcome,
        "conclusion": conclusion(pair),
        "directions": [_plain(Prediction, each) for each in pair.directions],
    }
    suites = [
        _suite(f"{each.needer} uses {each.offerer}", prediction_cases(each)) for each in pair.directions
    ]
    _write(directory, data, suites)


def write_replacement(directory: Path, found: Replacement) -> None:
    """Write both files. Raises ReportError."""
    data = {
        "tool_version": harness.__version__,
        "conclusion": replacement_conclusion(found),
        **_plain(Replacement, found),
    }
    terms = dict.fromkeys(each.term or "the device as a whole" for each in found.findings)
    cases = [
        _Case(
            term,
            tuple(each for each in found.findings if (each.term or "the device as a whole") == term),
        )
        for term in terms
    ]
    _write(directory, data, [_suite(f"{found.new} for {found.old}", cases or [_Case("all", ())])])


def prediction_cases(prediction: Prediction) -> list[_Case]:
    """A test case for each need, and one for power and shared names."""
    if prediction.outcome is PairOutcome.UNRELATED and not prediction.findings:
        reason = f"{prediction.needer} needs nothing that {prediction.offerer} offers"
        return [_Case("needs", (), reason)]
    cases = [
        _Case(f"{need.need} ({need.term})", _of_need(prediction, need.need)) for need in prediction.needs
    ]
    cases.append(_Case("power and shared names", _of_need(prediction, "")))
    return cases


def _of_need(prediction: Prediction, need: str) -> tuple[Finding, ...]:
    return tuple(finding for finding in prediction.findings if finding.need == need)


def plain_prediction(prediction: Prediction) -> dict[str, Any]:
    """A prediction as JSON data."""
    return _plain(Prediction, prediction)


def _plain(kind: type[Any], value: object) -> dict[str, Any]:
    found: dict[str, Any] = TypeAdapter(kind).dump_python(value, mode="json")
    return found


def _suite(name: str, cases: Sequence[_Case]) -> Element:
    suite = Element("testsuite", name=one_line(name))
    for case in cases:
        element = SubElement(
            suite, "testcase", classname=one_line(name), name=one_line(case.name), time="0.000"
        )
        if case.skipped:
            SubElement(element, "skipped", message=one_line(case.skipped))
        blocking = [finding for finding in case.findings if finding.severity is Severity.BLOCKS]
        if blocking:
            failure = SubElement(element, "failure", type="blocks", message=one_line(blocking[0].what))
            failure.text = "\n".join(_lines(blocking))
        rest = [finding for finding in case.findings if finding.severity is not Severity.BLOCKS]
        if rest:
            SubElement(element, "system-out").text = "\n".join([counted(rest), *_lines(rest)])
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(sum(case.find("failure") is not None for case in suite)))
    suite.set("errors", "0")
    suite.set("skipped", str(sum(case.find("skipped") is not None for case in suite)))
    return suite


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    for finding in findings:
        yield one_line(f"{finding.severity} ({finding.kind}): {finding.what}")
        yield from (one_line(f"  {place}") for place in (finding.left, finding.right) if place is not None)
        yield one_line(f"  proposal: {finding.proposal}")


def _write(directory: Path, data: dict[str, Any], suites: Sequence[Element]) -> None:
    root = Element("testsuites", name="harness compat")
    root.extend(suites)
    for counted_ in ("tests", "failures", "errors"):
        root.set(counted_, str(sum(int(suite.get(counted_, "0")) for suite in suites)))
    ElementTree.indent(root)
    xml = '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        text = json.dumps(data, ensure_ascii=False, indent=2) + "\n"
        (directory / JSON_NAME).write_text(text, encoding="utf-8")
        (directory / JUNIT_NAME).write_text(xml, encoding="utf-8")
    except OSError as problem:
        raise ReportError(
            f"cannot write the report to {directory}: {problem.strerror or problem}. "
            "Choose another folder with --report."
        ) from problem
