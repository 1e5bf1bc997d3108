"""The catalogue as pytest items: selection, stopping, last failures, workers, a user's own tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.cli.running import LIMIT, PLUG, environment

OWN_TEST = """
def test_the_relay_follows(dut):
    dut.write("relay", False)
    assert dut.reports("relay", False)
    assert dut.read("power") == 0
    dut.write("relay", True)
    assert dut.reports("relay", True)


def test_the_button_toggles(dut):
    before = dut.read("relay")
    dut.operate("button")
    assert dut.reports("relay", not before)
"""


def pytest_(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    own_cache = f"--override-ini=cache_dir={cwd / 'cache'}"  # other runs must not change what failed last
    return subprocess.run(
        [sys.executable, "-m", "pytest", own_cache, f"--profile={PLUG}", "--simulate", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        cwd=cwd,
        env=environment(),
    )


def test_items_have_the_ids_of_checks(tmp_path: Path) -> None:
    done = pytest_("--collect-only", "-q", cwd=tmp_path)
    assert "smart-plug::MQTT-DEV-001" in done.stdout
    assert "smart-plug::DEV-01[relay]" in done.stdout


def test_selection_by_name_and_marker(tmp_path: Path) -> None:
    by_name = pytest_("--collect-only", "-q", "-k", "MQTT-DEV-001", cwd=tmp_path)
    assert "smart-plug::MQTT-DEV-001" in by_name.stdout
    assert "MDNS-26" not in by_name.stdout
    by_marker = pytest_("--collect-only", "-q", "-m", "mdns", cwd=tmp_path)
    assert "smart-plug::MDNS-26" in by_marker.stdout
    assert "MQTT-DEV-001" not in by_marker.stdout


def test_stop_at_the_first_failure_then_run_it_again(tmp_path: Path) -> None:
    first = pytest_("-x", "--fault", "range-unchecked", "--select", "DEV-03", cwd=tmp_path)
    assert first.returncode == 1, first.stdout
    assert "1 failed" in first.stdout
    assert "usual cause" in first.stdout
    again = pytest_("--lf", "--select", "DEV-03", "-v", cwd=tmp_path)
    assert again.returncode == 0, again.stdout
    assert "1 passed" in again.stdout


def test_two_workers_and_junit(tmp_path: Path) -> None:
    select = ("--select", "MQTT-DEV-00*", "--select", "MDNS-26")
    done = pytest_("-n", "2", "--junitxml", "junit.xml", "--report", "out", *select, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "MQTT-DEV-001" in (tmp_path / "junit.xml").read_text()
    assert (tmp_path / "out" / "report.html").exists()


def test_a_users_own_tests_have_the_device(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(OWN_TEST)
    done = pytest_("test_own.py", "-q", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_the_fixture_without_a_profile_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(OWN_TEST)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "test_own.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(),
        timeout=LIMIT,
    )
    assert done.returncode != 0
    assert "--profile" in done.stdout
