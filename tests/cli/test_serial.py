"""The serial line on the command line: simulated consoles, ports, mistakes, a harness that is killed."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import serial

from harness.trace.events import PortChange, SerialData, SerialPort
from harness.trace.lines import read
from tests.cli.running import LIMIT, PLUG, ROOT, harness, start

COOLER = ROOT / "profiles" / "air-conditioner.yaml"
QUICK = ("--select", "DEV-0*")


def test_a_simulated_board_is_checked_with_its_console_attached(tmp_path: Path) -> None:
    done = harness("check", COOLER, "--simulate", "--serial", *QUICK, "--report", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    bodies = [event.body for event in read(tmp_path / "trace.jsonl")]
    ports = [body.change for body in bodies if isinstance(body, SerialPort)]
    assert ports == [PortChange.OPENED, PortChange.CLOSED]
    lines = [body.line for body in bodies if isinstance(body, SerialData) and body.line]
    assert "app: ready" in [line.removeprefix("ac> ") for line in lines]
    assert "is now" in "".join(lines)  # its log, while it was checked


def test_simulated_boards_tell_the_names_of_their_ports() -> None:
    process = start("simulate", COOLER, PLUG, "--serial")
    assert process.stdout is not None
    try:
        told, output = "", process.stdout.fileno()  # past the buffer, in which a line may lie unseen
        while "ready; stop" not in told:
            assert select.select([output], [], [], LIMIT)[0], told
            told += os.read(output, 4096).decode()
        # They are told as they come up, in no order.
        ports = dict(re.findall(r"^(\S+) \(unit.*; serial (\S+/port)$", told, re.MULTILINE))
        assert ports.keys() == {"air-conditioner", "smart-plug"}
        with serial.serial_for_url(
            ports["air-conditioner"], timeout=LIMIT
        ) as port:  # as anybody's terminal program would
            port.write(b"version\r\n")
            assert port.read_until(b"firmware 3.2.0\r\n").endswith(b"firmware 3.2.0\r\n")
        with serial.serial_for_url(ports["smart-plug"], timeout=LIMIT) as port:
            port.write(bytes.fromhex("55 AA 00 08 00 00 07"))
            assert port.read(12) == bytes.fromhex("55 AA 03 07 00 05 01 01 00 01 01 12")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(LIMIT)
    assert not any(Path(port).exists() for port in ports.values())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((PLUG, "--serial"), "name the port, such as /dev/ttyUSB0"),
        ((PLUG, "--simulate", "--serial", "/dev/ttyUSB0"), "a simulated device has a console of its own"),
        ((ROOT / "profiles" / "remote-control.yaml", "--simulate", "--serial"), "lacks bindings.serial"),
        ((PLUG, "--serial", "/dev/ttyNOWHERE"), "there is no serial port /dev/ttyNOWHERE"),
        ((PLUG, "--serial", "/dev/null"), "/dev/null is no serial port"),
    ],
)
def test_mistakes_are_explained(arguments: tuple[str | Path, ...], says: str) -> None:
    done = harness("check", *arguments)
    assert done.returncode in (2, 3), done.stdout + done.stderr
    assert says in " ".join((done.stdout + done.stderr).split())


def test_a_harness_that_is_killed_leaves_its_trace_and_lets_the_port_go(tmp_path: Path) -> None:
    """A board in another process, so that its port outlives the harness."""
    board = start("simulate", COOLER, "--serial")
    assert board.stdout is not None
    try:
        told = ""
        while "ready; stop" not in told:
            told += board.stdout.readline()
        (port,) = re.findall(r"serial (\S+/port)", told)
        (coap,) = re.findall(r"coap://[\d.:]+", told)
        checking = start("check", COOLER, "--serial", port, "--coap", coap, "--report", tmp_path)
        trace = tmp_path / "trace.jsonl"
        while not (trace.exists() and b"SerialData" in trace.read_bytes()):
            assert checking.poll() is None, checking.communicate()[0]
        with pytest.raises(serial.SerialException):
            serial.serial_for_url(port, exclusive=True)
        os.kill(checking.pid, signal.SIGKILL)
        checking.wait(LIMIT)
        bodies = [event.body for event in read(trace)]
        assert any(isinstance(body, SerialData) for body in bodies)
        last = trace.read_bytes().rpartition(b"\n")[0].rpartition(b"\n")[2]
        assert json.loads(last)["n"] == len(bodies)
        with serial.serial_for_url(port, exclusive=True, timeout=LIMIT) as again:
            again.write(b"\r\nversion\r\n")
            assert b"firmware 3.2.0" in again.read_until(b"firmware 3.2.0\r\n")
    finally:
        board.send_signal(signal.SIGINT)
        try:
            board.wait(LIMIT)
        except subprocess.TimeoutExpired:
            board.kill()


def test_a_board_on_a_port_is_commanded_and_its_answers_are_in_the_trace(tmp_path: Path) -> None:
    own = tmp_path / "test_mine.py"
    own.write_text(
        "def test_version(dut):\n"
        "    assert dut.console('firmware_version') == '3.2.0'\n"
        "    dut.console('write_property', 'target_temperature', 21)\n"
        "    assert dut.reports('target_temperature', 21)\n"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--profile",
            str(COOLER),
            "--simulate",
            "--serial",
            "pty",
            str(own),
        ],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
