"""Who switches a real device: a person at the terminal, or a program in that person's place.

The device is a simulated one in a process of its own, which the harness takes for real.
"""

from __future__ import annotations

import re
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

from harness.trace.events import Act, Judged, Stimulus
from harness.trace.lines import read
from tests.cli.running import LIMIT, PLUG, command, environment, harness, start

ASKED = re.compile(r"harness asks \d+ (on|off): ")


class Plug:
    """A plug in a process of its own."""

    def __init__(self, port: int) -> None:
        self._arguments = ("simulate", PLUG, "--only", "mqtt", "--broker", f"mqtt://127.0.0.1:{port}")
        self._process: subprocess.Popen[str] | None = None

    def switch(self, on: bool) -> None:
        if on:
            self._process = start(*self._arguments)
        elif self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.communicate()
            self._process = None


def listens(port: int) -> bool:
    """Whether somebody listens there; the system is asked, for a connection would count as the device."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(f":{port:04X}" in line.split()[1] and line.split()[3] == "0A" for line in lines)


def run_with(answer: Callable[[Plug, str], str], folder: Path) -> tuple[int, str]:
    """Check what cuts the power, with somebody who answers what is asked; returns exit status and output."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    plug = Plug(port)
    checking = subprocess.Popen(
        command(
            *("check", PLUG, "--listen", f"127.0.0.1:{port}", "--power", "operator"),
            *("--select", "DEV-13", "--report", folder),
        ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
    )
    assert checking.stdin is not None and checking.stdout is not None
    said = ""
    try:
        while not listens(port):
            assert checking.poll() is None, checking.stdout.read()
        plug.switch(True)
        for line in checking.stdout:
            said += line
            if asked := ASKED.search(line):
                checking.stdin.write(answer(plug, asked[1]) + "\n")
                checking.stdin.flush()
        return checking.wait(LIMIT), said
    finally:
        plug.switch(False)
        checking.kill()
        checking.communicate()


def test_a_program_does_what_a_person_is_asked_for(tmp_path: Path) -> None:
    def obey(plug: Plug, word: str) -> str:
        plug.switch(word == "on")
        return ""

    status, said = run_with(obey, tmp_path)
    assert status == 0, said
    bodies = [event.body for event in read(tmp_path / "trace.jsonl")]
    acts = [body.act for body in bodies if isinstance(body, Stimulus)]
    assert [act for act in acts if act in (Act.KILL, Act.START, Act.DONE)] == [
        Act.KILL,
        Act.DONE,
        Act.START,
        Act.DONE,
    ]
    assert [body.verdict for body in bodies if isinstance(body, Judged)] == ["pass"]


def test_a_person_who_cannot_leaves_it_undecided(tmp_path: Path) -> None:
    status, said = run_with(lambda plug, word: "no, it is bolted to the wall", tmp_path)
    assert status == 3, said
    assert (
        "the operator did not switch the power of smart-plug off: no, it is bolted to the wall"
        in " ".join(said.split())
    )


def test_a_helper_that_cannot_be_is_explained() -> None:
    for how, says in (
        ("uhubctl", "there is no actuator 'uhubctl'; allowed: console, operator, command:"),
        ("command:uhubctl -p {port}", "known are {action}"),
        ("relay:/dev/ttyUSB1", "an example: relay:/dev/ttyUSB1#1"),
    ):
        done = harness("check", PLUG, "--mqtt", "mqtt://127.0.0.1", "--power", how)
        assert done.returncode == 2
        assert says in " ".join((done.stdout + done.stderr).split())
    done = harness("check", PLUG, "--simulate", "--power", "operator")
    assert done.returncode == 2
    assert "the harness switches and operates a simulated one itself" in " ".join(
        (done.stdout + done.stderr).split()
    )
