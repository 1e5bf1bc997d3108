from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from sample_run import judgement, requirement

from harness.model.requirement import Area
from harness.model.verdict import Verdict
from harness.report.run import report as json_report
from harness.report.run.report import (
    from_json,
    report_of,
    schema,
    to_json,
    to_json_list,
)
from harness.session.result import RunResult

SCHEMA = Path(json_report.__file__).with_name("report.schema.json")


def test_members_that_other_tools_rely_on(run: RunResult) -> None:
    data = json.loads(to_json(report_of(run)))
    told = {
        name: data[name] for name in ("profile", "dut", "seed", "tool_version", "started", "ended", "faults")
    }
    assert told == {
        "profile": "smart-plug",
        "dut": "simulated",
        "seed": 7,
        "tool_version": "0.1.0",
        "started": "2025-03-04T05:06:07Z",
        "ended": "complete",
        "faults": ["will-missing"],
    }
    failed = data["verdicts"][1]
    told = {
        name: failed[name] for name in ("check", "subject", "clause", "level", "verdict", "message", "events")
    }
    assert told == {
        "check": "DEV-03",
        "subject": "relay/mqtt",
        "clause": "clause of DEV-03",
        "level": "MUST",
        "verdict": "fail",
        "message": "reported OFF after ON was commanded",
        "events": [7, 8],
    }
    assert data["verdicts"][0]["subject"] is None
    assert (failed["basis"], failed["transport"], failed["seconds"]) == ("profile", "mqtt", 2.5)


def test_counts_and_timing(run: RunResult) -> None:
    data = json.loads(to_json(report_of(run)))
    assert data["counts"] == {
        "pass": 1,
        "fail": 1,
        "warn": 1,
        "inconclusive": 2,
        "not-applicable": 1,
        "error": 1,
    }
    timing = data["timing"]
    assert (timing["total_seconds"], timing["imposed_seconds"], timing["rest_seconds"]) == (5.0, 2.75, 2.25)
    assert timing["imposed"][0] == {
        "what": "no report after a refused command",
        "imposed_by": "profile: behaviour.settle",
        "seconds": 2.0,
        "times": 1,
    }


def test_evidence_is_readable_without_the_trace(run: RunResult) -> None:
    failed = report_of(run).verdicts[1]
    assert [(each.line, each.time) for each in failed.evidence] == [(7, 0.6), (8, 0.7)]
    assert "plug/relay" in failed.evidence[1].summary


def test_lines_that_the_trace_lacks_are_no_evidence(run: RunResult) -> None:
    odd = judgement(requirement("X-1", Area.MQTT), Verdict.FAIL, "judged a longer trace", [3, 9999])
    report = report_of(replace(run, judgements=(odd,)))
    assert [each.line for each in report.verdicts[0].evidence] == [3]


def test_a_report_can_be_read_back(run: RunResult) -> None:
    report = report_of(run)
    assert from_json(to_json(report)) == report


def test_lists_of_line_numbers_stay_on_one_line(run: RunResult) -> None:
    assert '"events": [7, 8]' in to_json(report_of(run))


def test_text_of_the_device_cannot_make_the_report_unwritable(run: RunResult) -> None:
    hostile = judgement(requirement("X-1", Area.MQTT), Verdict.FAIL, "topic \ud800\x00\x1b[2J [\n1\n]", [3])
    text = to_json(report_of(replace(run, judgements=(hostile,), ended="died: \udcff")))
    data = json.loads(text.encode("utf-8"))
    assert data["verdicts"][0]["message"] == "topic \\ud800\\x00\\x1b[2J [\n1\n]"


def test_no_password_in_the_report(run: RunResult) -> None:
    assert "hunter2" not in to_json(report_of(replace(run, dut="mqtt://lab:hunter2@broker")))


def test_schema_file_is_up_to_date() -> None:
    anew = """python -c 'from harness.report.run.report import schema; print(schema(), end="")'"""
    assert SCHEMA.read_text(encoding="utf-8") == schema(), f"write it anew: {anew} > {SCHEMA}"


@pytest.mark.parametrize("several", [False, True])
def test_reports_conform_to_the_schema(run: RunResult, several: bool) -> None:
    report = report_of(run)
    text = to_json_list([report, report]) if several else to_json(report)
    jsonschema.validate(json.loads(text), json.loads(SCHEMA.read_text(encoding="utf-8")))
