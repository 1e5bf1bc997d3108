"""The real command line, in a process of its own: a new one, or a fork of one that has it loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from tests.cli.forking import ForkServer

ROOT = Path(__file__).parent.parent.parent
PLUG = ROOT / "profiles" / "smart-plug.yaml"
LIMIT = 600  # seconds; a command that takes longer hangs, however busy the machine is


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "harness.cli", *map(str, arguments)]


def harness(
    *arguments: str | Path, cwd: Path | None = None, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. No traceback may ever be shown to people.

    With ``environ``, what it says has to be there when Python starts: such a command gets a new process.
    """
    if environ is None and hasattr(os, "fork"):
        given = list(map(str, arguments))
        done = _server().run(given, cwd=cwd, environment=environment(), limit=LIMIT)
    else:
        done = subprocess.run(
            command(*arguments),
            capture_output=True,
            text=True,
            timeout=LIMIT,
            cwd=cwd,
            env={**environment(), **(environ or {})},
        )
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    return done


@cache
def _server() -> ForkServer:
    """One for each process of pytest."""
    return ForkServer(environment())


def start(*arguments: str | Path, cwd: Path | None = None) -> subprocess.Popen[str]:
    """Start a command; the caller ends it."""
    return subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=cwd,
        env=environment(),
    )


def environment() -> dict[str, str]:
    # Not the settings of the pytest that runs these tests.
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    return {**own, "NO_COLOR": "1"}
