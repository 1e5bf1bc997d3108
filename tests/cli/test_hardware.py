"""From a board with a serial cable to the first verdict, as docs/hardware.md tells it.

The board is a simulated one in a process of its own, which the harness takes for real.
"""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.trace.events import Judged
from harness.trace.lines import read
from tests.cli.running import LIMIT, ROOT, harness, start

GUIDE = (ROOT / "docs" / "hardware.md").read_text(encoding="utf-8")


@pytest.fixture
def lamp(tmp_path: Path) -> Path:
    """The lamp of a new user, with the serial section of the guide."""
    done = harness("profile", "new", "my-lamp", "--kind", "lamp", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    path = tmp_path / "my-lamp.yaml"
    section = re.search(r"```yaml\nbindings:\n(  serial:\n.*?)```", GUIDE, re.DOTALL)
    assert section is not None, "the guide shows no serial section"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("bindings:\n", "bindings:\n" + section[1], 1), encoding="utf-8")
    return path


@contextmanager
def board(profile: Path, *arguments: str) -> Iterator[str]:
    """The name of the port of a board that is switched on."""
    process = start("simulate", profile, "--serial", "--only", "mqtt", *arguments)
    assert process.stdout is not None
    try:
        told = ""
        while "ready; stop" not in told:
            assert process.poll() is None, told
            told += process.stdout.readline()
        (port,) = re.findall(r"serial (\S+/port)", told)
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()


def test_five_steps_lead_to_the_first_verdict(lamp: Path, tmp_path: Path) -> None:
    assert harness("profile", "validate", lamp).returncode == 0
    simulated = harness("check", lamp, "--simulate", "--serial")
    assert simulated.returncode == 0, simulated.stdout
    with board(lamp) as port:
        done = harness("check", lamp, "--serial", port, "--report", tmp_path / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    bodies = [event.body for event in read(tmp_path / "out" / "trace.jsonl")]
    verdicts = {body.check: body.verdict for body in bodies if isinstance(body, Judged)}
    assert verdicts["SERIAL-14"] == verdicts["SERIAL-10"] == verdicts["SERIAL-11"] == "pass"
    assert verdicts["SERIAL-02"] == "not-applicable"  # no network of it is watched


def test_a_wrong_baud_rate_is_recognised_and_said(lamp: Path) -> None:
    with board(lamp, "--fault", "console-wrong-baud") as port:
        done = harness("check", lamp, "--serial", port)
    assert done.returncode == 1  # it is there, and answers nothing that can be read
    told = " ".join(done.stdout.split())
    assert "115200 bits/s, or parity none, is probably not what the board uses" in told
    assert "pass  " not in done.stdout
