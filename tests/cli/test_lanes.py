"""Many devices in one run, as people ask for them."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.running import PLUG, ROOT, harness

QUICK = ("--simulate", "--select", "MQTT-DEV-00*")


def run_started(trace: Path) -> dict:
    with trace.open(encoding="utf-8") as lines:
        return json.loads(next(lines))


def test_a_pattern_in_quotes_checks_every_profile_that_it_matches(tmp_path: Path) -> None:
    done = harness("check", ROOT / "profiles" / "*.yaml", *QUICK, "--report", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    profiles = {path.stem for path in (ROOT / "profiles").glob("*.yaml")}
    assert {trace.parent.name for trace in tmp_path.glob("*/trace.jsonl")} == profiles


def test_a_pattern_that_matches_nothing_is_a_missing_file() -> None:
    done = harness("check", "no-such-*.yaml", "--simulate")
    assert done.returncode == 2
    assert "no-such-*.yaml" in done.stderr


def test_each_of_many_devices_is_a_unit_of_its_own(tmp_path: Path) -> None:
    done = harness("check", PLUG, *QUICK, "--count", "3", "--report", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    units = [
        json.loads(run_started(tmp_path / lane / "trace.jsonl")["profile"])["unit"]
        for lane in ("smart-plug", "smart-plug-2", "smart-plug-3")
    ]
    assert units == ["a4cf12", "a4cf120001", "a4cf120002"]
