"""``harness check --bench``: boards side by side, with a lane, a line and a report for each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.running import ROOT, harness

PLUG = ROOT / "profiles" / "smart-plug.yaml"
COOLER = ROOT / "profiles" / "air-conditioner.yaml"
SELECT = [part for name in ("SERIAL-0[24]", "SERIAL-1[1-7]", "DEV-03") for part in ("--select", name)]


def bench_file(folder: Path, profile: Path = PLUG, /, **boards: str) -> Path:
    file = folder / "bench.yaml"
    lines = [f"  {name}: {{ profile: {profile}, {how} }}\n" for name, how in boards.items()]
    file.write_text("boards:\n" + "".join(lines))
    return file


def verdicts(folder: Path) -> dict[str, str]:
    report = json.loads((folder / "report.json").read_text())
    return {
        "/".join(filter(None, (item["check"], item["subject"], item["transport"]))): item["verdict"]
        for item in report["verdicts"]
    }


def test_boards_that_hang_crash_or_flood_change_nothing_for_the_other_five(tmp_path: Path) -> None:
    """Eight boards with their consoles, as many as a rack holds."""
    alone = harness("check", COOLER, "--simulate", "--serial", *SELECT, "--report", tmp_path / "alone")
    assert alone.returncode == 0, alone.stdout + alone.stderr
    troubled = {"c-hangs": "hangs", "e-crashes": "crashes-when-asked", "g-floods": "console-floods"}
    healthy = ("a", "b", "d", "f", "h")
    boards = dict.fromkeys(healthy, "simulate: true, serial: pty")
    boards |= {name: f"simulate: true, serial: pty, faults: [{fault}]" for name, fault in troubled.items()}
    file = bench_file(tmp_path, COOLER, **dict(sorted(boards.items())))
    done = harness("check", "--bench", file, *SELECT, "--report", tmp_path / "out")
    assert done.returncode == 1, done.stdout + done.stderr
    expected = verdicts(tmp_path / "alone")
    for name in healthy:
        assert verdicts(tmp_path / "out" / name) == expected, name
    assert "inconclusive" in verdicts(tmp_path / "out" / "c-hangs").values()
    assert verdicts(tmp_path / "out" / "e-crashes")["SERIAL-11"] == "fail"
    for name in boards:
        assert f"done  {name}: " in done.stdout
    assert "e-crashes (simulated with faults crashes-when-asked, seed 1)" in done.stdout
    over_all = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [report["lane"] for report in over_all] == sorted(boards)
    page = (tmp_path / "out" / "index.html").read_text()
    assert all(name in page for name in boards)


def test_a_board_that_is_not_there_does_not_hold_up_the_others(tmp_path: Path) -> None:
    file = bench_file(tmp_path, gone="mqtt: 'mqtt://127.0.0.1:1'", here="simulate: true")
    done = harness("check", "--bench", file, "--select", "MQTT-DEV-001", "--report", tmp_path / "out")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "mqtt://127.0.0.1:1" in done.stdout
    assert set(verdicts(tmp_path / "out" / "here").values()) == {"pass"}


def test_mistakes_in_the_bench_and_in_its_profiles_end_with_status_2(tmp_path: Path) -> None:
    file = bench_file(tmp_path, one="simulate: true, faults: [hang]", two="")
    done = harness("check", "--bench", file)
    assert done.returncode == 2
    assert f"{file}:2: boards.one.faults[0]" in done.stderr
    assert f"{file}:3: boards.two" in done.stderr
    profile = tmp_path / "broken.yaml"
    profile.write_text(PLUG.read_text().replace("keep_alive:", "keep_alife:"))
    file.write_text(f"boards: {{ one: {{ profile: {profile}, simulate: true }} }}\n")
    done = harness("check", "--bench", file)
    assert done.returncode == 2
    assert "keep_alife" in done.stderr


def test_what_the_profile_or_a_helper_does_not_know_is_told_with_its_line(tmp_path: Path) -> None:
    file = bench_file(tmp_path, one="mdns: Plug, power: nobody, hands: relay", two="listen: '0.0.0.0:1883'")
    remote = ROOT / "profiles" / "remote-control.yaml"
    file.write_text(file.read_text() + f"  three: {{ profile: {remote}, serial: /dev/ttyUSB0 }}\n")
    done = harness("check", "--bench", file)
    assert done.returncode == 2
    for told in (":2: boards.one.power: ", ":2: boards.one.hands: ", ":4: boards.three.serial: "):
        assert f"{file}{told}" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((PLUG,), "--profile"),
        (("--simulate",), "--simulate"),
        (("--coap", "coap://192.0.2.1"), "--coap"),
        (("--count", "2"), "--count"),
        (("--virtual-time",), "other clocks"),
    ],
)
def test_what_the_bench_file_says_is_not_said_again(
    tmp_path: Path, arguments: tuple[str | Path, ...], told: str
) -> None:
    file = bench_file(tmp_path, real="mdns: Plug", other="simulate: true")
    done = harness("check", "--bench", file, *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert told in done.stderr
