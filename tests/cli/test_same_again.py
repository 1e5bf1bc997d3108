"""Two runs with one seed are one and the same run: verdicts, order and trace, with all times.

What may differ is short: the wall-clock time at which the run began, and the loopback network that each
process has for itself (127.N.…), which stands in addresses and in the packets that tell them.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import LIMIT, PLUG, ROOT, environment, harness

CONDITIONER = ROOT / "profiles" / "air-conditioner.yaml"  # a run of it takes as long as of all others here
WHOLE = tuple(ROOT / "profiles" / f"{name}.yaml" for name in ("light-zeta", "refrigerator", "smart-plug"))
SEVERAL = [*WHOLE, *(ROOT / "profiles" / f"{name}.yaml" for name in ("light", "motion-sensor"))]
SOME = ("--select", "MQTT-DEV-00*", "--select", "DEV-0*", "--select", "MDNS-1*", "--select", "COAP-CORE-0*")


def without_network(text: str) -> str:
    """The same text in no network: in addresses, also in hexadecimal, and in the bytes of DNS records."""
    text = re.sub(r"127\.\d+\.(\d+\.\d+)", r"127.N.\1", text)
    text = re.sub(r"3132372e(?:3\d){1,3}2e", b"127.N.".hex(), text)
    # A device lives in an even third part, the harness in an odd one, both counted from 0.
    return re.sub(r"7f[0-9a-f]{2}(0[0-9a-f][0-9a-f]{2})", r"7f--\1", text)


def normalised(trace: Path) -> list[str]:
    text = re.sub(r'"wall_time":"[^"]*"', "", trace.read_text(encoding="utf-8"), count=1)
    return without_network(text).splitlines()


def first_difference(one: list[str], other: list[str]) -> str | None:
    for ours, theirs in zip(one, other, strict=False):
        if ours != theirs:
            return f"{ours}\n{theirs}"
    return None if len(one) == len(other) else f"{len(one)} lines, {len(other)} lines"


def report_of(folder: Path) -> list[dict[str, Any]]:
    """The report of a run over several devices, without the time of day."""
    text = without_network((folder / "report.json").read_text(encoding="utf-8"))
    reports: list[dict[str, Any]] = json.loads(text)
    for report in reports:
        del report["started"]
    return reports


def junit_of(folder: Path) -> str:
    text = (folder / "junit.xml").read_text(encoding="utf-8")
    return without_network(re.sub(r' timestamp="[^"]*"', "", text))


def assert_same(one: Path, other: Path) -> None:
    lanes = sorted(trace.parent.name for trace in one.glob("*/trace.jsonl"))
    differences = {
        lane: first_difference(
            normalised(one / lane / "trace.jsonl"), normalised(other / lane / "trace.jsonl")
        )
        for lane in lanes
    }
    assert differences == dict.fromkeys(lanes)
    assert [report["lane"] for report in report_of(one)] == [report["lane"] for report in report_of(other)]
    for ours, theirs in zip(report_of(one), report_of(other), strict=True):
        assert ours == theirs
    assert junit_of(one) == junit_of(other)


@pytest.mark.parametrize(
    "devices",
    [WHOLE, pytest.param((*WHOLE, CONDITIONER), marks=pytest.mark.nightly)],
    ids=["three devices", "four devices"],
)
def test_all_checks_in_other_processes_are_the_same_run(tmp_path: Path, devices: tuple[Path, ...]) -> None:
    for name, hash_seed, spread in (("one", "1", ()), ("two", "2", ("--pytest", "-n", "2"))):
        done = harness(
            *("check", *devices, "--simulate", "--report", tmp_path / name, *spread),
            environ={"PYTHONHASHSEED": hash_seed},
        )
        assert done.returncode == 0, done.stdout
    assert_same(tmp_path / "one", tmp_path / "two")


def test_any_number_of_workers_in_any_front_gives_the_same_report(tmp_path: Path) -> None:
    common = ("--simulate", "--seed", "7", *SOME)
    for workers in ("0", "1"):
        spread = ("--pytest", "-n", workers)
        done = harness("check", *SEVERAL, *common, "--report", tmp_path / workers, *spread)
        assert done.returncode == 0, done.stdout
    front = (sys.executable, "-m", "pytest", "-n", "2", "-p", "no:cacheprovider")
    subprocess.run(
        [*front, *(f"--profile={path}" for path in SEVERAL), *common, "--report", tmp_path / "pytest"],
        cwd=tmp_path,
        env=environment(),
        check=True,
        capture_output=True,
        timeout=LIMIT,
    )
    assert [report["lane"] for report in report_of(tmp_path / "0")] == [path.stem for path in SEVERAL]
    assert_same(tmp_path / "0", tmp_path / "1")
    assert_same(tmp_path / "0", tmp_path / "pytest")


def test_another_seed_is_another_run(tmp_path: Path) -> None:
    for seed in ("1", "2"):
        done = harness("check", *WHOLE, "--simulate", "--seed", seed, *SOME, "--report", tmp_path / seed)
        assert done.returncode == 0, done.stdout
    for path in WHOLE:
        one, two = (normalised(tmp_path / seed / path.stem / "trace.jsonl")[1:] for seed in ("1", "2"))
        assert one != two


def acts_and_answers(trace: Path) -> dict[str, list[str]]:
    """What the test did, and what the device sent on each of its MQTT connections, each in its order."""
    told: dict[str, list[str]] = defaultdict(list)
    for line in trace.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        match event:
            case {"kind": "MqttPacket", "point": "tap", "direction": "from-dut", "raw": raw}:
                told[f"connection {event['connection']}"].append(raw)
            case {"kind": "Stimulus", "act": act, "name": name, "value": value}:
                told["acts"].append(f"{act} {name} {value}")
            case {"kind": "Judged", "check": check, "subject": subject, "verdict": verdict}:
                told["verdicts"].append(f"{check} {subject} {verdict}")
    return told


def test_real_time_has_the_same_verdicts_and_the_same_order(tmp_path: Path) -> None:
    select = [part for check in ("MQTT-DEV-001", "DEV-01", "DEV-03") for part in ("--select", check)]
    for clock in ("real", "virtual"):
        done = harness(
            *("check", PLUG, "--simulate", f"--{clock}-time", *select, "--report", tmp_path / clock)
        )
        assert done.returncode == 0, done.stdout
    real, virtual = (acts_and_answers(tmp_path / clock / "trace.jsonl") for clock in ("real", "virtual"))
    assert len(real["verdicts"]) >= 5
    assert real == virtual
