from __future__ import annotations

import io
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from sample_run import judgement, requirement

from harness.model.requirement import Area, Basis
from harness.model.verdict import Verdict
from harness.report.run.terminal import (
    ProgressDisplay,
    print_summary,
    summary_lines,
    terminal,
)
from harness.session.result import Judgement, RunResult

HOSTILE = judgement(
    requirement("X-1", Area.MQTT), Verdict.FAIL, "topic \x1b[2J\n::error::forged [bold]x[/bold] \ud800", [3]
)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Console:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Console(file=io.StringIO(), force_terminal=True, width=120)


@pytest.fixture
def pipe() -> Console:
    return terminal(io.StringIO())


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def play(
    console: Console, judgements: tuple[Judgement, ...], lanes: tuple[str, ...] = ("smart-plug",)
) -> None:
    progress = ProgressDisplay(console)
    progress.started(dict.fromkeys(lanes, len(judgements)))
    for each in judgements:
        for lane in lanes:
            progress.check_started(lane, each.result.id)
            progress.result(lane, each)
    progress.finished()


def test_plain_progress_is_one_line_for_each_result_that_applies(pipe: Console, run: RunResult) -> None:
    play(pipe, run.judgements)
    lines = written(pipe).splitlines()
    assert len(lines) == len(run.judgements) - 1
    assert not any(line.startswith("not-applicable") for line in lines)
    assert lines[0] == "pass  smart-plug::MQTT-DEV-001  CONNECT came first"
    assert lines[1] == "fail  smart-plug::DEV-03[relay/mqtt]  reported OFF after ON was commanded"


def test_what_keeps_all_checks_from_running_is_told_once(pipe: Console, run: RunResult) -> None:
    absent = next(item for item in run.judgements if item.result.outcome.verdict is Verdict.INCONCLUSIVE)
    play(pipe, (absent,) * 3)
    lines = written(pipe).splitlines()
    assert [absent.result.outcome.message in line for line in lines] == [True, False, False]
    assert all(line.startswith("inconclusive  smart-plug::") for line in lines)


def test_quiet_progress_tells_what_did_not_pass(pipe: Console, run: RunResult) -> None:
    progress = ProgressDisplay(pipe, quiet=True)
    progress.started({"smart-plug": len(run.judgements)})
    for each in run.judgements:
        progress.result("smart-plug", each)
    told = written(pipe)
    assert "reported OFF after ON was commanded" in told
    assert "CONNECT came first" not in told


def test_no_color_means_plain_lines(monkeypatch: pytest.MonkeyPatch, screen: Console, run: RunResult) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    play(screen, run.judgements)
    print_summary(screen, [run])
    assert "\x1b" not in written(screen)


def test_live_progress_shows_done_total_current_and_verdicts(screen: Console, run: RunResult) -> None:
    play(screen, run.judgements)
    output = written(screen)
    assert "0/7" in output
    assert "7/7" in output
    assert "COAP-CORE-020" in output
    assert "✗ 1" in output
    assert "✓ 1" in output


def test_live_progress_tells_failures_as_they_come_and_no_passes(screen: Console, run: RunResult) -> None:
    play(screen, run.judgements)
    output = written(screen)
    assert output.index("reported OFF after ON was commanded") < output.index("3/7")
    assert "CONNECT came first" not in output


def test_live_progress_of_many_devices_names_the_one_that_goes_on_for_longest(
    screen: Console, run: RunResult
) -> None:
    lanes = [f"plug-{number}" for number in range(1, 21)]
    progress = ProgressDisplay(screen)
    progress.started(dict.fromkeys(lanes, 2))
    for lane in lanes[:-1]:
        progress.check_started(lane, "MQTT-DEV-001")
        progress.result(lane, run.judgements[0])
        progress.check_started(lane, "DEV-03")
        if lane != "plug-2":
            progress.result(lane, run.judgements[1])
    progress.check_started("plug-20", "MQTT-DEV-001")  # has done less, but has only just begun
    progress.finished()
    shown = written(screen)
    assert "18 of 20 devices done, slowest: plug-2 (1: DEV-03)" in shown


def test_live_progress_of_a_bench_is_one_line_for_each_board(screen: Console, run: RunResult) -> None:
    progress = ProgressDisplay(screen)
    progress.started({"plug": 2, "conditioner": 3})
    progress.check_started("plug", "MQTT-DEV-001")
    progress.result("plug", run.judgements[0])
    progress.check_started("plug", "DEV-03")
    progress.check_started("conditioner", "DEV-16")
    progress.finished()
    lines = written(screen).splitlines()
    assert any("plug " in line and "1/2" in line and "DEV-03" in line for line in lines)
    assert any("conditioner " in line and "0/3" in line and "DEV-16" in line for line in lines)


def test_plain_progress_tells_which_of_several_devices_is_done(pipe: Console, run: RunResult) -> None:
    play(pipe, run.judgements, ("plug-1", "plug-2"))
    done = [line for line in written(pipe).splitlines() if line.startswith("done")]
    told = "1 pass, 1 fail, 1 warn, 2 inconclusive, 1 not-applicable, 1 error"
    assert sorted(done[0].removeprefix("done  plug-1: ").split(", ")) == sorted(told.split(", "))
    assert [line.split(":")[0] for line in done] == ["done  plug-1", "done  plug-2"]


def test_live_progress_needs_no_thread(screen: Console, run: RunResult) -> None:
    before = threading.active_count()
    progress = ProgressDisplay(screen)
    progress.started({"plug": 3})
    assert threading.active_count() == before
    progress.finished()


@pytest.mark.parametrize("where", ["screen", "pipe"])
def test_text_of_the_device_cannot_drive_the_terminal(
    where: str, request: pytest.FixtureRequest, run: RunResult
) -> None:
    console = request.getfixturevalue(where)
    play(console, (HOSTILE,))
    print_summary(console, [replace(run, judgements=(HOSTILE,))])
    output = written(console)
    assert "\x1b[2J" not in output
    assert "\n::error" not in output
    assert "[bold]x[/bold]" in output


def test_summary_tells_what_did_not_pass_with_clause_and_evidence(run: RunResult) -> None:
    text = "\n".join(summary_lines([run], page=Path("out/report.html")))
    for part in (
        "FAIL  smart-plug::DEV-03[relay/mqtt]  reported OFF after ON was commanded",
        "clause of DEV-03 (MUST)",
        "does not violate a standard",
        "line 8, 0.700 s: ",
        "WARN  smart-plug::COAP-CORE-020",
        "1 failed, 1 error, 2 inconclusive, 1 warning, 1 passed, 1 not applicable",
        "5.0 s: 2.8 s of waits imposed by standards and profile",
        "report: out/report.html",
    ):
        assert part in text
    assert "CONNECT came first" not in text
    assert "needs a power switch" not in text


def test_summary_on_a_screen_has_the_same_facts(screen: Console, run: RunResult) -> None:
    print_summary(screen, [run], page=Path("out/report.html"))
    output = written(screen)
    for part in ("✗ fail", "DEV-03[relay/mqtt]", "7, 8", "The device does not conform", "out/report.html"):
        assert part in output


def test_devices_of_one_profile_are_told_apart(run: RunResult) -> None:
    text = "\n".join(summary_lines([run, run]))
    assert "FAIL  smart-plug::DEV-03[relay/mqtt]" in text
    assert "FAIL  smart-plug-2::DEV-03[relay/mqtt]" in text
    assert "all 2 devices\n  2 failed, 2 errors, 4 inconclusive, 2 warnings" in text


def test_of_many_devices_only_those_with_findings_are_told(run: RunResult, passed_run: RunResult) -> None:
    lines = summary_lines([*[passed_run] * 20, run])
    assert len(lines) < 40
    assert "20 devices of 21: No violation found" in lines
    assert any(line.startswith("smart-plug-21 (simulated, seed 7): The device does not") for line in lines)


def test_conclusion_keeps_a_broken_practice_apart_from_a_broken_standard(run: RunResult) -> None:
    def concluded(basis: Basis) -> str:
        failed = judgement(requirement("X-1", Area.MQTT, basis=basis), Verdict.FAIL, "m", [3])
        return "\n".join(summary_lines([replace(run, judgements=(failed,))]))

    assert "failed against a standard" in concluded(Basis.NORMATIVE)
    assert "none against a standard" in concluded(Basis.PRACTICE)
    assert "none against a standard" in concluded(Basis.CONVENTION)


@pytest.mark.parametrize(
    ("kept", "ended", "headline"),
    [
        (slice(0, 1), "complete", "No violation found"),
        (slice(0, 1), "interrupted", "The run ended early"),
        (slice(3, 4), "complete", "Nothing failed, but not everything could be decided"),
        (slice(6, 7), "complete", "Nothing failed, but not everything could be decided"),
        (slice(4, 5), "complete", "Nothing could be decided"),
        (slice(2, 3), "complete", "No violation found"),
        (slice(5, 6), "complete", "Nothing was tested"),
        (slice(0, 0), "complete", "Nothing was tested"),
    ],
)
def test_conclusion_never_promises_more_than_was_found(
    run: RunResult, kept: slice, ended: str, headline: str
) -> None:
    lines = summary_lines([replace(run, judgements=run.judgements[kept], ended=ended)])
    assert any(line.endswith(headline) for line in lines)
