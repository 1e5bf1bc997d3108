from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.cli.running import LIMIT, ROOT, harness, start

PLUG, REMOTE = ROOT / "profiles" / "smart-plug.yaml", ROOT / "profiles" / "remote-control.yaml"


def test_the_matrix_of_two_profiles_is_predicted_and_reported(tmp_path: Path) -> None:
    done = harness("matrix", PLUG, REMOTE, "--report", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "4 ordered pairs" in done.stdout
    assert f"report: {tmp_path / 'out' / 'matrix.html'}" in done.stdout
    data = json.loads((tmp_path / "out" / "matrix.json").read_text(encoding="utf-8"))
    predicted = {(pair["offerer"], pair["needer"]): pair["predicted"] for pair in data["pairs"]}
    assert predicted["smart-plug", "remote-control"] == "works"
    assert predicted["remote-control", "remote-control"] == "unrelated"


def test_what_is_wrong_is_said_in_one_message(tmp_path: Path) -> None:
    none = harness("matrix")
    assert (none.returncode, "no profiles: name some" in none.stderr) == (2, True)
    for options in (["--processes", "0", "--observe"], ["--pairs", "covering"], ["--processes", "2"]):
        wrong = harness("matrix", PLUG, *options)
        assert (wrong.returncode, wrong.stdout) == (2, ""), options
        assert options[0] in wrong.stderr
    missing = harness("matrix", tmp_path / "none.yaml")
    assert (missing.returncode, "none.yaml" in missing.stderr) == (2, True)


def test_pairs_are_observed_with_a_trace_for_each_that_can_be_judged_again(tmp_path: Path) -> None:
    done = harness("matrix", PLUG, REMOTE, "--observe", "--report", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3/3  " in done.stdout
    assert "4 of 4 ordered pairs observed, none left out (3 runs" in done.stdout
    pairs = json.loads((tmp_path / "matrix.json").read_text(encoding="utf-8"))["pairs"]
    traces = {pair["observed"]["trace"] for pair in pairs}
    assert len(traces) == 3
    assert {pair["state"] for pair in pairs} == {pair["predicted"] for pair in pairs}
    for trace in traces:
        assert harness("judge", tmp_path / trace).returncode == 0, trace


def test_a_covering_selection_says_what_it_leaves_out(tmp_path: Path) -> None:
    panel = ROOT / "profiles" / "air-conditioner.yaml"
    done = harness("matrix", PLUG, REMOTE, panel, "--observe", "--pairs", "covering")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " of 9 ordered pairs observed, " in done.stdout
    assert "none left out" not in done.stdout


def test_what_was_observed_is_reported_when_somebody_interrupts(tmp_path: Path) -> None:
    profiles = sorted((ROOT / "profiles").glob("*.yaml"))[:8]
    running = start("matrix", *profiles, "--observe", "--report", tmp_path)
    assert running.stdout is not None
    assert "1/" in running.stdout.readline()
    running.send_signal(signal.SIGINT)
    text, _ = running.communicate(timeout=LIMIT)
    assert running.returncode in (1, 3), text  # not everything is known
    assert "Traceback" not in text
    assert json.loads((tmp_path / "matrix.json").read_text(encoding="utf-8"))["selection"]["interrupted"]
