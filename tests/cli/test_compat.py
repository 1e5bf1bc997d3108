"""``harness compat`` as people call it."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

from tests.cli.running import PLUG, ROOT, harness
from tests.compat.seeds import NEEDER, OFFERER

REMOTE = ROOT / "profiles" / "remote-control.yaml"


def child(folder: Path, parent: Path, changes: str) -> Path:
    path = folder / f"{parent.stem}-changed.yaml"
    path.write_text(f"extends: {parent}\n{changes}", encoding="utf-8")
    return path


def test_a_pair_that_works_is_told_with_what_binds_it() -> None:
    done = harness("compat", PLUG, REMOTE)
    assert done.returncode == 0, done.stderr
    assert "remote-control uses smart-plug: works" in done.stdout
    assert "remote-control key on → smart-plug relay true" in done.stdout
    assert done.stdout.splitlines()[-1] == "smart-plug and remote-control: works (1 note)"


def test_a_pair_that_is_blocked_ends_with_1_and_names_the_lines_of_both(tmp_path: Path) -> None:
    plug = child(
        tmp_path,
        OFFERER,
        "properties: { target: { minimum: 26, default: 27 } }\n",
    )
    done = harness("compat", plug, NEEDER)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "✗ blocks (range)" in done.stdout
    assert f"{plug}:2: properties.target.minimum" in done.stdout
    line = NEEDER.read_text().splitlines().index("    by: [{ event: knob }]") + 1
    assert f"{NEEDER}:{line}: needs.warmth.by[0]" in done.stdout


def test_the_report_has_each_need_as_a_test_case(tmp_path: Path) -> None:
    plug = child(tmp_path, OFFERER, "properties: { target: { minimum: 26, default: 27 } }\n")
    done = harness("compat", plug, NEEDER, "--report", tmp_path / "report")
    assert done.returncode == 1
    data = json.loads((tmp_path / "report" / "compat.json").read_text())
    assert data["outcome"] == "blocked"
    forward, backward = data["directions"]
    assert (forward["needer"], forward["outcome"]) == ("room-panel", "blocked")
    assert backward["outcome"] == "unrelated"
    (finding,) = (each for each in forward["findings"] if each["severity"] == "blocks")
    assert finding["kind"] == "range"
    assert finding["left"] == {
        "profile": "thermostat-plug",
        "key": "properties.target.minimum",
        "file": str(plug),
        "line": 2,
    }
    assert finding["proposal"]
    cases = ElementTree.parse(tmp_path / "report" / "junit.xml").getroot().iter("testcase")
    failed = [case.get("name") for case in cases if case.find("failure") is not None]
    assert failed == ["warmth (Thermostat.OccupiedHeatingSetpoint)"]


def test_a_profile_beside_itself_is_two_units() -> None:
    done = harness("compat", PLUG, PLUG)
    assert done.returncode == 0, done.stdout
    assert "client id" not in done.stdout


def test_a_release_that_breaks_its_users_ends_with_1(tmp_path: Path) -> None:
    new = child(
        tmp_path, PLUG, "version: 1.1.0\nproperties: { overload_limit: { maximum: 2300, default: 2300 } }\n"
    )
    done = harness("compat", PLUG, new, "--replaces", "--report", tmp_path / "report")
    assert done.returncode == 1, done.stdout
    assert "✗ blocks (range)" in done.stdout
    assert "smart-plug 1.1.0 for 1.0.0: incompatible" in done.stdout.splitlines()[-1]
    data = json.loads((tmp_path / "report" / "compat.json").read_text())
    assert data["outcome"] == "blocked"
    assert (tmp_path / "report" / "junit.xml").exists()
    done = harness("compat", new, PLUG, "--replaces")
    assert done.returncode == 0, done.stdout
    assert "compatible" in done.stdout.splitlines()[-1]


def test_what_people_get_wrong_is_told_and_ends_with_2(tmp_path: Path) -> None:
    missing = harness("compat", PLUG, tmp_path / "none.yaml")
    assert missing.returncode == 2
    assert "there is no such file" in missing.stderr
    wrong = child(tmp_path, PLUG, "propertis: {}\n")
    done = harness("compat", wrong, PLUG)
    assert done.returncode == 2
    assert f"{wrong}:2: propertis: unknown key" in done.stderr
    (tmp_path / "file").write_text("")
    done = harness("compat", PLUG, REMOTE, "--report", tmp_path / "file")
    assert done.returncode == 2
    assert "Choose another folder with --report." in done.stderr
    assert harness("compat", PLUG).returncode == 2
