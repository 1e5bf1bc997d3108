from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from page_structure import ATTACK, Page
from sample_run import EVENTS, PROFILE, STARTED, judgement, publish, requirement, tapped

from harness.model.requirement import Area, Basis
from harness.model.verdict import Verdict
from harness.report.run.html import (
    overview_page,
    report_page,
)
from harness.report.run.report import report_of
from harness.session.result import RunResult
from harness.trace.events import Direction, Event, PortChange, SerialAnswer, SerialData, SerialPort


def page_of(run: RunResult) -> Page:
    return Page(report_page(run, report_of(run)))


def test_the_page_is_well_formed_and_every_link_in_it_leads_somewhere(run: RunResult) -> None:
    page = page_of(run)
    assert len(page.ids) == len(set(page.ids))
    for link in page.links:
        assert (
            link[1:] in page.ids
            if link.startswith("#")
            else link in ("trace.jsonl", "report.json", "junit.xml")
        )


def test_a_failure_is_told_whole(run: RunResult) -> None:
    card = page_of(run).part("v2")
    for part in (
        "DEV-03 relay/mqtt",
        "MUST of the device's own profile",
        "reported OFF after ON was commanded",
        "expectation of DEV-03",
        "ensure that the device keeps DEV-03",
        "clause of DEV-03",
        "does not violate a standard",
        "usual cause of DEV-03",
        "lines 7, 8",
        "harness check profiles/smart-plug.yaml --simulate --seed 7 --fault will-missing --select DEV-03",
    ):
        assert part in card


def test_evidence_is_marked_among_its_context(run: RunResult) -> None:
    text = report_page(run, report_of(run))
    card = text[text.index('id="v2"') : text.index("</article>")]
    rows = re.findall(r'<li class="event ([^"]*)">.*?line (\d+)</span>', card, re.S)
    assert rows == [
        ("from-device", "3"),
        ("to-device", "4"),
        ("harness", "6"),
        ("to-device marked", "7"),
        ("from-device marked", "8"),
    ]
    # … and neither the waits between them nor the CoAP messages behind, another conversation.


@pytest.mark.parametrize("where", ["message", "title", "dut", "trace"])
def test_nothing_of_the_device_becomes_markup(run: RunResult, where: str) -> None:
    if where == "message":
        run = replace(run, judgements=(judgement(requirement("X", Area.MQTT), Verdict.FAIL, ATTACK, [3]),))
    elif where == "title":
        run = replace(run, profile=PROFILE.model_copy(update={"title": ATTACK}))
    elif where == "dut":
        run = replace(run, dut=ATTACK)
    else:
        hostile = tapped(publish(b"a/<script>alert(1)</script>", b"<img src=x>"), Direction.FROM_DUT)
        run = replace(run, events=[*EVENTS[:7], Event(8, 0.7, hostile), *EVENTS[8:]])
    page = page_of(run)
    assert page.scripts == 1
    assert ("<img src=x" in page.text) or where == "trace"
    assert "alert(1)" in page.text


def test_only_our_own_script_may_run(run: RunResult) -> None:
    text = report_page(run, report_of(run))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert "default-src &#39;none&#39;" in policy.group(1)
    assert "unsafe" not in policy.group(1)


def test_a_huge_trace_leaves_the_page_small(run: RunResult) -> None:
    big = publish(b"plug/telemetry", b"x" * 100)
    flood = [Event(line, line / 100, tapped(big, Direction.FROM_DUT)) for line in range(1, 100_001)]
    many = tuple(
        judgement(requirement(f"X-{number}", Area.MQTT), verdict, "m", range(1, 100_001, 20))
        for number, verdict in enumerate([Verdict.FAIL] * 10 + [Verdict.PASS] * 50)
    )
    run = replace(run, events=flood, judgements=many)
    text = report_page(run, report_of(run))
    Page(text)
    assert len(text) < 2_000_000
    assert "more lines of evidence in the trace" in text
    assert "events left out" in text


def test_a_very_large_packet_is_cut(run: RunResult) -> None:
    raw = b"\x30" + bytes([0x80, 0x80, 0x08]) + b"\x00\x01a" + b"z" * 131_069
    events = [*EVENTS[:7], Event(8, 0.7, tapped(raw, Direction.FROM_DUT)), *EVENTS[8:]]
    text = report_page(replace(run, events=events), report_of(run))
    assert len(text) < 200_000
    assert "the first 512 of 131076 bytes" in text


def test_no_password_on_the_page(run: RunResult) -> None:
    connect = b"\x10\x1a\x00\x04MQTT\x04\xc2\x00\x0f\x00\x01p\x00\x03lab\x00\x06hunter"[:28]
    events = [*EVENTS[:2], Event(3, 0.2, tapped(connect, Direction.FROM_DUT)), *EVENTS[3:]]
    failed = judgement(requirement("X", Area.MQTT), Verdict.FAIL, "m", [3])
    text = report_page(replace(run, events=events, judgements=(failed,)), report_of(run))
    assert b"hunter" in connect
    assert "these bytes contain a password" in text
    assert "hunter" not in text
    assert b"hunter".hex(" ") not in text


def test_no_declared_secret_of_the_serial_line_on_the_page(run: RunResult) -> None:
    started = replace(STARTED, profile='{"security": {"secrets": ["hunter-2"]}}')
    typed = SerialData(Direction.TO_DUT, b"wifi join bench hunter-2\r\n", "wifi join bench hunter-2")
    events = [Event(1, 0.0, started), *EVENTS[1:2], Event(3, 0.2, typed), *EVENTS[3:]]
    failed = judgement(requirement("X", Area.SERIAL), Verdict.FAIL, "m", [3])
    of_board = replace(run, events=events, judgements=(failed,))
    text = report_page(of_board, report_of(of_board))
    assert "wifi join bench (declared secret, not shown)" in text
    assert "hunter-2" not in text
    assert b"hunter".hex(" ") not in text


def test_the_serial_conversation_is_shown_around_its_evidence(run: RunResult) -> None:
    bodies = [
        SerialPort(PortChange.OPENED, "/dev/ttyUSB0"),
        SerialData(Direction.TO_DUT, b"get power\r\n", "get power"),
        SerialData(Direction.FROM_DUT, b"power = off\r\n", "power = off"),
        SerialAnswer("read_state", "power", "false"),
    ]
    events = [*EVENTS[:2], *(Event(3 + n, 1.0 + n, body) for n, body in enumerate(bodies))]
    failed = judgement(requirement("X", Area.SERIAL), Verdict.FAIL, "m", [6])
    of_board = replace(run, events=events, judgements=(failed,))
    text = report_page(of_board, report_of(of_board))
    for shown in ("serial port /dev/ttyUSB0 opened", "get power", "power = off", "read_state power: false"):
        assert shown in text
    assert b"power = off".hex(" ") in text


def test_each_verdict_has_its_place_and_its_meaning(run: RunResult) -> None:
    page = page_of(run)
    assert "needs a power switch SEC-01" in " ".join(page.text.split())
    assert "What was missing the device never answered" in page.part("v4")
    assert "line 3 CONNECT" in page.part("v1")
    assert "The test tool failed" in page.text


def test_conclusion_says_when_no_standard_was_violated(run: RunResult) -> None:
    failed = judgement(requirement("X", Area.MQTT, basis=Basis.PRACTICE), Verdict.FAIL, "m", [3])
    text = page_of(replace(run, judgements=(failed,))).text
    assert "none against a standard" in text
    assert "Breaking it does not violate a standard" in text


def test_timing_names_each_imposed_wait(run: RunResult) -> None:
    text = " ".join(page_of(run).text.split())
    assert "three probes RFC 6762 8.1 1 0.750 s" in text
    assert "the run took 1.82 times the imposed waits" in text


def test_a_run_that_ended_early_says_so_first(run: RunResult) -> None:
    text = page_of(replace(run, ended="interrupted")).text
    assert text.index("The run ended early (interrupted)") < text.index("Verdicts")


def test_a_run_without_events_or_judgements_has_a_page(run: RunResult) -> None:
    assert "Nothing was tested" in page_of(replace(run, events=[], judgements=())).text


def test_the_overview_links_to_each_device_and_tells_what_failed_where(run: RunResult) -> None:
    reports = [report_of(run, lane="one"), report_of(run, lane="two")]
    page = Page(overview_page(reports))
    assert {"one/report.html", "two/report.html"} <= set(page.links)
    assert "ensure that the device keeps DEV-03" in page.text
    assert "2 failed" in page.text


@pytest.mark.peer
def test_the_filter_works_in_a_browser_and_hostile_text_stays_text(run: RunResult, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium on the PATH")
    hostile = judgement(requirement("X", Area.MQTT), Verdict.FAIL, ATTACK, [3])
    run = replace(run, judgements=(hostile, *run.judgements))
    file = tmp_path / "report.html"
    file.write_text(report_page(run, report_of(run)), encoding="utf-8")
    quiet = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-sync",
    ]
    quiet += [
        "--disable-background-networking",
        "--disable-component-update",
        f"--user-data-dir={tmp_path}/user",
    ]
    shown = subprocess.run(
        [browser, *quiet, "--dump-dom", file.as_uri()], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert "8 of 8 results" in shown
    assert "<title>The device does not conform" in shown
