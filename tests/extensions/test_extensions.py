"""An installed package adds a check, a fault and an actuator, without a change in this tree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
ACME = Path(__file__).parent / "acme_lab.py"
PLUG = ROOT / "profiles" / "smart-plug.yaml"
ENTRY_POINTS = """
[harness.checks]
acme = acme_lab
[harness.faults]
acme = acme_lab
[harness.actuators]
acme = acme_lab:outlet
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("installed"), ACME.read_text(encoding="utf-8"))


def install(folder: Path, code: str, entry_points: str = ENTRY_POINTS) -> Path:
    """What an installer leaves of a package in its target folder: the module and its metadata."""
    site = folder / "site"
    metadata = site / "acme_lab-1.2.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-lab\nVersion: 1.2\n")
    (metadata / "entry_points.txt").write_text(entry_points)
    (site / "acme_lab.py").write_text(code, encoding="utf-8")
    return site


def python(site: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(site), str(ROOT)])
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        env={**own, "PYTHONPATH": path, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    return done


def harness(site: Path, *words: str | Path) -> tuple[int, str]:
    """Exit status, and all that was printed, on one line."""
    done = python(site, "-m", "harness.cli", *words)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def verdicts(folder: Path) -> set[tuple[str, str]]:
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return {(row["check"], row["verdict"]) for row in report["verdicts"]}


def test_its_check_is_explained_and_run_and_judged_only_where_it_is_installed(
    installed: Path, tmp_path: Path
) -> None:
    status, said = harness(installed, "checks", "ACME-01")
    assert status == 0 and "Acme test plan, 4.2" in said
    status, _ = harness(
        installed, "check", PLUG, "--simulate", "--select", "ACME-*", "--report", tmp_path / "report"
    )
    assert status == 0
    assert verdicts(tmp_path / "report") == {("ACME-01", "pass")}
    status, said = harness(tmp_path, "judge", tmp_path / "report" / "trace.jsonl")
    assert status == 2 and "checks that this version does not have: ACME-01" in said


def test_its_fault_makes_its_check_fail_and_the_trace_is_judged_alike(
    installed: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report"
    words = ("check", PLUG, "--simulate", "--fault", "acme-mute", "--select", "ACME-*", "--report", report)
    assert harness(installed, *words)[0] == 1
    assert ("ACME-01", "fail") in verdicts(report)
    assert harness(installed, "judge", report / "trace.jsonl")[0] == 1


def test_its_actuator_is_named_like_ours(installed: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import asyncio, sys\n"
        "from harness import ActuatorCommand, Task\n"
        "from harness.links.actuators.registry import actuator_named, parse\n"
        "actuator = actuator_named(parse('acme:' + sys.argv[1]))\n"
        "print(asyncio.run(actuator.perform(Task(ActuatorCommand.POWER_OFF, 'plug'))))\n"
    )
    done = python(installed, program, tmp_path / "outlet.txt")
    assert done.stdout == "outlet outlet.txt\n", done.stderr
    assert "power of plug off" in (tmp_path / "outlet.txt").read_text()


def test_a_wrong_name_of_an_actuator_is_explained(installed: Path) -> None:
    for how, *says in (
        ("acme:", "--power: acme: name the file of the outlet"),
        ("acne:x", "there is no actuator 'acne'; allowed: console,", "of installed packages: acme"),
    ):
        status, said = harness(installed, "check", PLUG, "--mqtt", "mqtt://127.0.0.1", "--power", how)
        assert status == 2 and all(each in said for each in says)


@pytest.mark.parametrize("words", [("checks",), ("check", PLUG, "--simulate", "--select", "DEV-01")])
def test_a_package_that_cannot_be_loaded_is_named(tmp_path: Path, words: tuple[str | Path, ...]) -> None:
    site = install(tmp_path, "import a_module_that_nobody_has\n")
    status, said = harness(site, *words)
    assert status == 2
    assert "the package acme-lab 1.2 cannot be loaded: its entry point acme = acme_lab" in said
    assert "No module named 'a_module_that_nobody_has'; mend the package or uninstall it" in said


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    code = ACME.read_text(encoding="utf-8")
    site = install(tmp_path, code.replace('"ACME-01",\n    area', '"DEV-01",\n    area'))
    status, said = harness(site, "checks")
    assert status == 2 and "two checks have the name DEV-01: " in said and "ReportsAtAll" in said
