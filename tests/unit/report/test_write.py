from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from sample_run import STARTED

from harness.report.files import ReportError
from harness.report.run.write import (
    lane_names,
    trace_path,
    write_report,
)
from harness.session.result import RunResult
from harness.trace.events import Event
from harness.trace.lines import read, to_line


def test_one_device_has_everything_in_the_folder_itself(run: RunResult, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    page = write_report(out, [run])
    assert page == out / "report.html"
    assert {path.name for path in out.iterdir()} == {"trace.jsonl", "report.json", "junit.xml", "report.html"}
    assert json.loads((out / "report.json").read_text(encoding="utf-8"))["trace"] == "trace.jsonl"
    assert list(read(out / "trace.jsonl")) == list(run.events)


def test_the_recorders_trace_is_left_alone(run: RunResult, tmp_path: Path) -> None:
    recorded = to_line(run.events[0]) + "… the recorder's own lines\n"
    (tmp_path / "trace.jsonl").write_text(recorded, encoding="utf-8")
    write_report(tmp_path, [run])
    assert (tmp_path / "trace.jsonl").read_text(encoding="utf-8") == recorded


def test_the_trace_of_another_run_is_not_taken_for_this_ones(run: RunResult, tmp_path: Path) -> None:
    other = replace(run, events=[Event(1, 0.0, replace(STARTED, seed=8)), *run.events[1:]])
    write_report(tmp_path, [other])
    write_report(tmp_path, [run])
    assert list(read(tmp_path / "trace.jsonl")) == list(run.events)


def test_several_devices_have_a_folder_each_and_an_overview(
    run: RunResult, passed_run: RunResult, tmp_path: Path
) -> None:
    page = write_report(tmp_path, [run, passed_run])
    assert page == tmp_path / "index.html"
    for lane in ("smart-plug", "smart-plug-2"):
        assert {path.name for path in (tmp_path / lane).iterdir()} == {
            "trace.jsonl",
            "report.json",
            "junit.xml",
            "report.html",
        }
    reports = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert [each["lane"] for each in reports] == ["smart-plug", "smart-plug-2"]
    for each in reports:
        assert (tmp_path / each["trace"]).is_file()
    suites = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert [suite.get("name") for suite in suites] == ["smart-plug", "smart-plug-2"]


def test_lanes_can_be_named(run: RunResult, tmp_path: Path) -> None:
    write_report(tmp_path, [run, run], lanes=["left", "right"])
    assert (tmp_path / "left" / "report.html").is_file()
    assert (tmp_path / "right" / "report.html").is_file()


def test_lane_names_never_collide() -> None:
    assert lane_names(["plug", "plug-2", "plug", "lamp"]) == ("plug", "plug-2", "plug-3", "lamp")


def test_the_recorder_and_the_report_agree_where_a_trace_lies(run: RunResult, tmp_path: Path) -> None:
    assert trace_path(tmp_path / "one", "smart-plug", 1) == tmp_path / "one" / "trace.jsonl"
    path = trace_path(tmp_path / "two", "smart-plug-2", 2)
    assert path == tmp_path / "two" / "smart-plug-2" / "trace.jsonl"
    assert path.parent.is_dir()


def test_a_folder_that_cannot_be_made_is_said_plainly(run: RunResult, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ReportError, match=r"cannot write the report to .*file.*--report"):
        write_report(tmp_path / "file" / "out", [run])


def test_a_file_that_cannot_be_written_is_said_plainly(run: RunResult, tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(ReportError, match=r"report\.html"):
        write_report(tmp_path, [run])
