"""Compares what two checkouts do: the same profiles with the same seed, traces and reports byte for byte.

Use it when code is moved and nothing else is to change::

    git worktree add ../before COMMIT
    python tests/regression/same_runs.py record ../before /tmp/before
    python tests/regression/same_runs.py record . /tmp/after
    python tests/regression/same_runs.py compare /tmp/before /tmp/after [--verdicts]

``compare`` masks what no seed decides: the date, and the second number of loopback addresses. Runs with a
serial line are compared by their verdicts, because the kernel decides in which pieces a pseudo-terminal
hands bytes over. With ``--verdicts`` every run is compared by (check, subject, verdict) alone: for changes
of texts. Exit status 0: the same; 1: a difference, which is named.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SCENE = (
    "scene profiles/scenes/coming-home.yaml --cast door=profiles/door-lock.yaml "
    "--cast light=profiles/light.yaml --cast climate=profiles/air-conditioner-us.yaml"
)
OTHERS = {
    "together": "check profiles/remote-control.yaml profiles/smart-plug.yaml --together --simulate",
    "scene": SCENE,
    "matrix": "matrix profiles/smart-plug.yaml profiles/remote-control.yaml profiles/light.yaml",
    "serial-smart-plug": "check profiles/smart-plug.yaml --simulate --serial",
    "serial-air-conditioner": "check profiles/air-conditioner.yaml --simulate --serial",
    "serial-refrigerator": "check profiles/refrigerator.yaml --simulate --serial",
}
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00)?|\d\d \w+ \d{4}, \d\d:\d\d:\d\d UTC")
LOOPBACK = re.compile(r"127\.\d+\.(\d+\.\d+)")


def record(root: Path, folder: Path) -> None:
    """Run all shipped profiles, and a few runs of several devices, one after the other."""
    for name, words in runs_of(root):
        command = [sys.executable, "-m", "harness.cli", *words.split(), "--report", str(folder / name)]
        environment = {**os.environ, "PYTHONPATH": str(root)}
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "status.txt").write_text(f"{done.returncode}\n")
        print(name, done.returncode, flush=True)


def runs_of(root: Path) -> Iterator[tuple[str, str]]:
    """Name and command of each run."""
    for profile in sorted((root / "profiles").glob("*.yaml")):
        yield profile.stem, f"check profiles/{profile.name} --simulate --seed 1"
    for name, words in OTHERS.items():
        yield name, words if name == "matrix" else f"{words} --seed 1"


def compare(before: Path, after: Path, *, verdicts_only: bool) -> list[str]:
    """What differs, as one line for each run and file."""
    differing = []
    for folder in sorted(path for path in before.iterdir() if path.is_dir()):
        other = after / folder.name
        if verdicts_only or folder.name.startswith("serial-"):
            if verdicts_of(folder) != verdicts_of(other):
                differing.append(f"{folder.name}: other verdicts")
            continue
        for path in sorted(folder.iterdir()):
            if not (other / path.name).exists() or masked(path) != masked(other / path.name):
                differing.append(f"{folder.name}/{path.name}")
    return differing


def masked(path: Path) -> str:
    """The text of a file, without what no seed decides."""
    text = DATE.sub("DATE", path.read_text(encoding="utf-8"))
    if path.suffix == ".html" or path.suffix in {".json", ".xml"}:
        return LOOPBACK.sub(r"127.N.\1", text)
    # Packets stand there in hexadecimal, with the address as four bytes or as text.
    text = re.sub(r"7f[0-9a-f]{2}(?=0[01][0-9a-f]{2})", "7fNN", text)
    text = re.sub(r"3132372e(3\d)+2e", "127.N.", text)
    return LOOPBACK.sub(r"127.N.\1", text)


def verdicts_of(folder: Path) -> list[tuple[str, ...]]:
    """All verdicts of a report as (check, subject, transport, verdict)."""
    for name in ("report.json", "matrix.json"):
        if (folder / name).exists():
            report = json.loads((folder / name).read_text(encoding="utf-8"))
            return [
                tuple(str(row.get(key)) for key in ("check", "subject", "transport", "verdict"))
                for row in report.get("verdicts", report.get("pairs", []))
            ]
    return []


def main() -> int:
    """The command line; see the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    recording = actions.add_parser("record")
    recording.add_argument("root", type=Path)
    recording.add_argument("folder", type=Path)
    comparing = actions.add_parser("compare")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    comparing.add_argument("--verdicts", action="store_true")
    options = parser.parse_args()
    if options.action == "record":
        record(options.root.resolve(), options.folder.resolve())
        return 0
    differing = compare(options.before, options.after, verdicts_only=options.verdicts)
    print("\n".join(differing) or "the same")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
