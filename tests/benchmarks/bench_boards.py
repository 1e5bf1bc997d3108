"""How long a bench of boards takes, as a multiple of what one of them takes.

``python tests/benchmarks/bench_boards.py [COUNT] [PROFILE]`` checks one simulated board with its console, and
then COUNT of them (8) on one bench, in real time: that is the time in which real boards are checked. Every
check of the catalogue that applies is run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


def seconds_for(count: int, profile: Path, folder: Path) -> tuple[float, float]:
    """Wall time and processor time of a run with so many boards."""
    bench = folder / f"bench-{count}.yaml"
    lines = [f"  board-{n}: {{ profile: {profile}, simulate: true, serial: pty }}" for n in range(count)]
    bench.write_text("boards:\n" + "\n".join(lines) + "\n")
    before, begin = os.times(), time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli", "check", "--bench", bench, "--real-time", "--quiet"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    wall, after = time.monotonic() - begin, os.times()
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-2000:], sep="\n")
    worked = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, worked


def main(count: int, profile: Path) -> None:
    """Print both times and their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        one, worked_one = seconds_for(1, profile, Path(folder))
        print(f"1 board: {one:.1f} s, the processor worked {worked_one:.1f} s", flush=True)
        many, worked_many = seconds_for(count, profile, Path(folder))
        print(f"{count} boards: {many:.1f} s, the processor worked {worked_many:.1f} s")
        print(f"wall time: {many / one:.2f} × that of one board (the aim is 2 for 8 boards)")


if __name__ == "__main__":
    chosen = Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "profiles" / "smart-plug.yaml"
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8, chosen.resolve())
