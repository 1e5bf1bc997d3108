from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from hypothesis import given
from hypothesis import strategies as st
from sample_run import RUN, judgement, requirement

from harness.model.requirement import Area
from harness.model.verdict import Verdict
from harness.report.run.junit import junit_xml
from harness.report.run.report import report_of
from harness.session.result import RunResult

# The part of Jenkins' junit-10.xsd that CI readers agree on: attributes, and children in this order or any.
ATTRIBUTES = {
    "testsuites": {"name", "time", "tests", "failures", "disabled", "errors"},
    "testsuite": {
        *("name", "tests", "failures", "errors", "time", "disabled", "skipped"),
        *("timestamp", "hostname", "id", "package"),
    },
    "properties": set(),
    "property": {"name", "value"},
    "testcase": {"name", "assertions", "time", "classname", "status", "class", "file", "line"},
    "skipped": {"type", "message"},
    "failure": {"type", "message"},
    "error": {"type", "message"},
    "system-out": set(),
    "system-err": set(),
}
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase", "system-out", "system-err"},
    "properties": {"property"},
    "testcase": {"skipped", "error", "failure", "system-out", "system-err"},
}


def parsed(*runs: RunResult) -> Element:
    root = ElementTree.fromstring(junit_xml([report_of(run) for run in runs]).encode("utf-8"))
    assert root.tag == "testsuites"
    for element in root.iter():
        assert set(element.attrib) <= ATTRIBUTES[element.tag], element.tag
        assert {child.tag for child in element} <= CHILDREN.get(element.tag, set()), element.tag
    for suite in root:
        assert suite[0].tag == "properties"
        cases = suite.findall("testcase")
        assert int(suite.get("tests", "")) == len(cases)
        for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.get(attribute, "")) == sum(case.find(tag) is not None for case in cases)
        assert all({"name", "classname", "time"} <= set(case.attrib) for case in cases)
    return root


def outcome(case: Element) -> tuple[str, str | None]:
    for tag in ("failure", "error", "skipped"):
        found = case.find(tag)
        if found is not None:
            return tag, found.get("type")
    return "passed", None


def test_each_verdict_becomes_what_ci_makes_of_it(run: RunResult) -> None:
    cases = parsed(run).iter("testcase")
    assert {case.get("name"): outcome(case) for case in cases} == {
        "MQTT-DEV-001": ("passed", None),
        "DEV-03[relay/mqtt]": ("failure", "fail"),
        "COAP-CORE-020": ("passed", None),
        "MDNS-01": ("error", "inconclusive"),
        "MDNS-02": ("skipped", "inconclusive"),
        "SEC-01": ("skipped", "not-applicable"),
        "SEC-02": ("error", "error"),
    }


def test_a_failure_tells_all_that_a_developer_needs(run: RunResult) -> None:
    case = parsed(run).findall(".//testcase")[1]
    failure = case.find("failure")
    assert case.get("classname") == "smart-plug"
    assert failure is not None
    assert failure.get("message") == "reported OFF after ON was commanded"
    text = failure.text or ""
    for part in (
        "clause of DEV-03",
        "MUST",
        "expectation of DEV-03",
        "usual cause of DEV-03",
        "trace.jsonl, lines 7, 8",
    ):
        assert part in text
    assert "does not violate a standard" in text


def test_a_warning_is_said_although_the_case_passes(run: RunResult) -> None:
    case = parsed(run).findall(".//testcase")[2]
    assert "answered without an ETag" in (case.findtext("system-out") or "")


def test_one_suite_for_each_device(run: RunResult, passed_run: RunResult) -> None:
    root = parsed(run, passed_run)
    assert [suite.get("tests") for suite in root] == ["7", "1"]
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("8", "1", "2")


def test_a_run_that_ended_early_is_not_green(passed_run: RunResult) -> None:
    root = parsed(replace(passed_run, ended="interrupted"))
    assert root.get("errors") == "1"
    assert "interrupted" in (root.find(".//error").get("message") or "")  # type: ignore[union-attr]


def test_the_time_stamp_is_utc_without_zone(run: RunResult) -> None:
    suite = parsed(replace(run, started="2025-03-04T05:06:07.891+08:00"))[0]
    assert suite.get("timestamp") == "2025-03-03T21:06:07"


@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_any_message_gives_well_formed_xml(message: str) -> None:
    hostile = judgement(requirement("X-1", Area.MQTT), Verdict.FAIL, message, [3])
    parsed(replace(RUN, judgements=(hostile,)))
