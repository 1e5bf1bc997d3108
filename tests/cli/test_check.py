from __future__ import annotations

import json
import signal
import socket
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cli.running import PLUG, ROOT, harness, start

QUICK = ("--select", "MQTT-DEV-00*", "--select", "MDNS-26")


def report_of(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text())


def test_a_conforming_device_exits_0_and_leaves_the_whole_report(tmp_path: Path) -> None:
    done = harness("check", PLUG, "--simulate", *QUICK, "--report", tmp_path / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    report = report_of(tmp_path / "out")
    assert report["profile"] == "smart-plug"
    assert report["seed"] == 1
    assert {"dut", "tool_version", "verdicts"} <= report.keys()
    verdicts = {item["check"]: item for item in report["verdicts"]}
    assert verdicts["MQTT-DEV-001"]["verdict"] == "pass"
    assert verdicts["MQTT-DEV-001"]["events"], "a pass without evidence"
    assert {"check", "subject", "clause", "level", "verdict", "message", "events"} <= verdicts[
        "MQTT-DEV-001"
    ].keys()
    assert ElementTree.parse(tmp_path / "out" / "junit.xml").getroot().iter("testcase")
    assert "<html" in (tmp_path / "out" / "report.html").read_text()
    assert (tmp_path / "out" / "trace.jsonl").stat().st_size > 0


def test_judging_the_trace_again_gives_the_same_verdicts(tmp_path: Path) -> None:
    harness("check", PLUG, "--simulate", *QUICK, "--report", tmp_path / "first")
    again = harness("judge", tmp_path / "first" / "trace.jsonl", "--report", tmp_path / "second")
    assert again.returncode == 0
    assert report_of(tmp_path / "first")["verdicts"] == report_of(tmp_path / "second")["verdicts"]


def test_a_fault_exits_1_and_names_the_broken_check(tmp_path: Path) -> None:
    done = harness(
        "check",
        PLUG,
        "--simulate",
        "--fault",
        "range-unchecked",
        "--report",
        tmp_path / "out",
    )
    assert done.returncode == 1, done.stdout + done.stderr
    failed = {item["check"] for item in report_of(tmp_path / "out")["verdicts"] if item["verdict"] == "fail"}
    assert "DEV-03" in failed
    assert "DEV-03" in done.stdout
    again = harness("judge", tmp_path / "out" / "trace.jsonl")
    assert again.returncode == 1


def test_a_broken_profile_exits_2_and_tells_file_line_and_key(tmp_path: Path) -> None:
    profile = tmp_path / "broken.yaml"
    profile.write_text(PLUG.read_text().replace("keep_alive:", "keep_alife:"))
    done = harness("check", profile, "--simulate")
    line = next(
        number for number, text in enumerate(profile.read_text().splitlines(), 1) if "keep_alife" in text
    )
    assert done.returncode == 2
    assert f"{profile}:{line}" in done.stderr
    assert "keep_alife" in done.stderr
    assert "keep_alive" in done.stderr, "what is allowed is not told"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("no-such.yaml", "--simulate"), "no-such.yaml"),
        ((PLUG,), "--simulate"),
        ((PLUG, "--simulate", "--fault", "no-such-fault"), "no-such-fault"),
        ((PLUG, "--simulate", "--mqtt", "mqtt://127.0.0.1"), "--mqtt"),
        ((PLUG, "--listen", "nowhere"), "--listen"),
        ((PLUG, "--simulate", "--select", "NO-SUCH-CHECK"), "no check is selected"),
        ((PLUG, "--simulate", "--count", "0"), "--count"),
        ((PLUG, "--virtual-time", "--listen", "127.0.0.1:0"), "--virtual-time"),
        ((PLUG, "--simulate", "--virtual-time", "--broker", "mosquitto"), "--virtual-time"),
        ((PLUG, "--simulate", "--virtual-time", "--real-time"), "choose one"),
    ],
)
def test_wrong_usage_exits_2_with_one_message(arguments: tuple[str | Path, ...], told: str) -> None:
    done = harness("check", *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert told in done.stdout + done.stderr


def test_an_unreachable_broker_exits_3_and_says_so_once() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"mqtt://127.0.0.1:{unused.getsockname()[1]}"
        done = harness("check", PLUG, "--mqtt", url)
    assert done.returncode == 3
    assert done.stdout.count("cannot be reached") <= 3  # as it happens, of the checks, of the run
    assert url in done.stdout


def test_a_port_in_use_exits_3_and_says_which() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = harness("check", PLUG, "--listen", f"127.0.0.1:{port}")
    assert done.returncode == 3
    assert f"port {port} on 127.0.0.1 is in use" in done.stdout


def test_ctrl_c_ends_in_order_with_the_trace_on_disk(tmp_path: Path) -> None:
    process = start("check", PLUG, "--listen", "127.0.0.1:0", "--report", tmp_path)
    trace = tmp_path / "trace.jsonl"
    while process.poll() is None and not (trace.exists() and trace.stat().st_size):
        pass  # the run has begun once its first line is written
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 3, output
    assert "Traceback" not in output
    assert "interrupted" in output
    last = json.loads(trace.read_text().splitlines()[-1])
    assert (last["kind"], last["reason"]) == ("RunEnded", "interrupted")


def test_a_killed_run_leaves_a_readable_trace(tmp_path: Path) -> None:
    process = start("check", PLUG, "--simulate", "--real-time", "--report", tmp_path)
    trace = tmp_path / "trace.jsonl"
    while process.poll() is None and not (trace.exists() and trace.read_text().count("\n") > 20):
        pass
    process.kill()
    process.communicate(timeout=30)
    done = harness("judge", trace)
    assert done.returncode == 3
    assert "killed" in done.stdout


def test_exporting_a_trace(tmp_path: Path) -> None:
    harness("check", PLUG, "--simulate", *QUICK, "--report", tmp_path)
    done = harness("export", tmp_path / "trace.jsonl", tmp_path / "run.pcapng")
    assert done.returncode == 0
    assert (tmp_path / "run.pcapng").read_bytes().startswith(b"\x0a\x0d\x0d\x0a")
    nowhere = harness("export", tmp_path / "trace.jsonl", tmp_path / "no-such-folder" / "run.pcapng")
    assert nowhere.returncode == 2
    assert "no-such-folder" in nowhere.stderr


def test_a_file_that_is_no_trace_exits_2() -> None:
    done = harness("judge", ROOT / "LICENSE")
    assert done.returncode == 2
    assert "LICENSE:1" in done.stderr
