"""A process that has the command line loaded, and runs each command in a fork of itself.

A new process takes half a second of processor time to load what a command needs. Here that happens once. The
process has loaded nothing of the tests, has no thread and no event loop: a fork of it is as good as new.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import pkgutil
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory


class ForkServer:
    """Our end of that process."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.cli.forking"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env=dict(environment),
        )
        self._folder = TemporaryDirectory()
        atexit.register(self.close)

    def run(
        self, arguments: Sequence[str], *, cwd: Path | None, environment: Mapping[str, str], limit: float
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end; after ``limit`` seconds it is killed."""
        assert self._process.stdin is not None and self._process.stdout is not None
        out, err = (Path(self._folder.name) / name for name in ("out", "err"))
        order = [list(arguments), str(cwd or Path.cwd()), dict(environment), str(out), str(err), limit]
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        done = subprocess.CompletedProcess(list(arguments), status, out.read_text(), err.read_text())
        if status == -LATE:
            raise subprocess.TimeoutExpired(done.args, limit, done.stdout, done.stderr)
        return done

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()
        self._folder.cleanup()


LATE = 14  # SIGALRM, which ends a command that takes too long


def serve() -> None:
    """Carry out what comes in, line by line."""
    load()
    gc.freeze()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            answers.close()
            carry_out(*json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers)


def load() -> None:
    """Import all that commands import, and read what takes its time to read."""
    import pytest  # noqa: F401

    import harness.commands
    from harness.checks.catalogue import all_checks
    from harness.cli import main  # noqa: F401
    from harness.model.loading.profiles import load_profile
    from harness.model.semantics.quantities import conversion
    from harness.simulate.faults import all_faults

    all_checks()
    all_faults()
    for module in pkgutil.iter_modules(harness.commands.__path__, "harness.commands."):
        __import__(module.name)
    for name in ("harness.plugin", "harness.session.setup.lanes", "harness.report.run.html"):
        __import__(name)
    conversion("kW", "W")  # reads the table of all units
    for name in ("smart-plug", "light", "remote-control", "air-conditioner"):
        load_profile(Path(__file__).parents[2] / "profiles" / f"{name}.yaml")


def carry_out(
    arguments: list[str], cwd: str, environment: dict[str, str], out: str, err: str, limit: float
) -> None:
    """Be the command, and end as it does."""
    import signal

    from harness.cli import main

    signal.alarm(int(limit))
    for path, descriptor in ((os.devnull, 0), (out, 1), (err, 2)):
        flags = os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(path, flags), descriptor)
    sys.stdin, sys.stdout, sys.stderr = (
        open(0, encoding="utf-8", closefd=False),  # noqa: SIM115
        open(1, "w", encoding="utf-8", closefd=False),  # noqa: SIM115
        open(2, "w", encoding="utf-8", closefd=False, buffering=1),  # noqa: SIM115
    )
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["harness", *arguments]
    status: object = 1
    try:
        status = main(arguments)
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
    if not isinstance(status, int | None):
        print(status, file=sys.stderr)
        status = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status or 0)


if __name__ == "__main__":
    serve()
