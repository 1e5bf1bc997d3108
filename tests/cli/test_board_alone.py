"""Boards without a network: what a serial line alone decides, on simulated ones and by the faults of one.

The boards of these profiles are checked for real in tests/peers/test_boards.py, with the same outcome.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.running import ROOT, harness

PROFILES = ROOT / "fixtures" / "profiles"


def judged(folder: Path, name: str, *options: str) -> dict[str, str]:
    """The verdicts of all checks that apply to a simulated board of that profile."""
    harness("check", PROFILES / f"{name}.yaml", "--simulate", "--serial", *options, "--report", folder)
    told = json.loads((folder / "report.json").read_text())["verdicts"]
    return {item["check"]: item["verdict"] for item in told if item["verdict"] != "not-applicable"}


@pytest.mark.parametrize(
    ("name", "checks"),
    [
        ("repl-lamp", 11),
        ("u-boot", 10),
        ("modbus-heater", 5),
    ],
)
def test_a_board_that_keeps_its_profile_passes(tmp_path: Path, name: str, checks: int) -> None:
    verdicts = judged(tmp_path, name)
    assert {check: verdict for check, verdict in verdicts.items() if verdict != "pass"} == {}
    assert len(verdicts) >= checks
    assert all(check.startswith("SERIAL-") for check in verdicts)


def test_a_reset_is_judged_by_settings_that_an_earlier_check_has_put_away_from_their_defaults(
    tmp_path: Path,
) -> None:
    both = ("--select", "SERIAL-08", "--select", "SERIAL-18")
    assert judged(tmp_path, "repl-lamp", *both) == {"SERIAL-08": "pass", "SERIAL-18": "pass"}


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ("settings-lost-at-power-cut", "SERIAL-08"),
        ("reset-keeps-settings", "SERIAL-18"),
        ("noise-stops-console", "SERIAL-16"),
        ("memory-leaks", "SERIAL-27"),
    ],
)
def test_a_board_that_breaks_it_is_found_out_by_its_console(tmp_path: Path, fault: str, check: str) -> None:
    assert judged(tmp_path, "repl-lamp", "--fault", fault, "--select", check) == {check: "fail"}
