"""``junit.xml`` of a matrix: one test suite for each offering device, one test case for each ordered pair."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from harness.report.matrix.report import (
    Matrix,
    PairEntry,
    State,
)
from harness.report.matrix.words import STATES
from harness.report.text import one_line


def matrix_junit(matrix: Matrix) -> str:
    """The text of ``junit.xml``.

    A pair whose observation differs from the prediction is a failure, an undecided pair an error, an
    unrelated pair is skipped. All others pass, with the findings as text: two devices that do not work
    together are a result, not a failure of the matrix.
    """
    root = Element("testsuites", name="harness matrix")
    suites = [_suite(name, [pair for pair in matrix.pairs if pair.offerer == name]) for name in matrix.rows]
    root.extend(suites)
    for counted in ("tests", "failures", "errors"):
        root.set(counted, str(sum(int(suite.get(counted, "0")) for suite in suites)))
    seconds = matrix.selection.seconds if matrix.selection else 0.0
    root.set("time", f"{seconds:.3f}")
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _suite(name: str, pairs: Sequence[PairEntry]) -> Element:
    cases = [_case(pair) for pair in pairs]
    suite = Element("testsuite", name=one_line(name), tests=str(len(cases)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(tag) is not None for case in cases)))
    suite.set("time", f"{sum(pair.observed.seconds if pair.observed else 0.0 for pair in pairs):.3f}")
    suite.extend(cases)
    return suite


def _case(pair: PairEntry) -> Element:
    seconds = pair.observed.seconds if pair.observed else 0.0
    case = Element(
        "testcase", classname=one_line(pair.offerer), name=one_line(pair.needer), time=f"{seconds:.3f}"
    )
    listed = _details(pair)
    if pair.observed and pair.state is State.DIFFERS:
        SubElement(case, "failure", type="differs", message=one_line(pair.observed.why)).text = listed
    elif pair.observed and pair.undecided:
        SubElement(case, "error", type="undecided", message=one_line(pair.observed.why)).text = listed
    else:
        if pair.state is State.UNRELATED and pair.observed is None:
            SubElement(case, "skipped", message=STATES[State.UNRELATED].meaning)
        SubElement(case, "system-out").text = listed
    return case


def _details(pair: PairEntry) -> str:
    lines = [f"predicted: {pair.predicted}"]
    for finding in pair.findings:
        lines.append(f"{finding.severity}: {finding.kind}: {finding.what}")
        places = [place.text for place in (finding.offerer, finding.needer) if place]
        lines += [f"  {place}" for place in places]
        lines.append(f"  proposal: {finding.proposal}")
    if pair.observed:
        lines.append(f"observed: {pair.observed.agreement}, trace {pair.observed.trace}")
        lines += [
            f"  {check.verdict}  {check.check} {check.subject}  {check.message}"
            for check in pair.observed.checks
        ]
    return "\n".join(map(one_line, lines))
