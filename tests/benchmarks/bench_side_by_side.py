"""Many devices checked side by side in one process, against the same devices one at a time.

    python tests/benchmarks/bench_side_by_side.py [--count N] [--profile FILE] [--select PATTERN ...]

Each figure is that of a whole ``harness check`` process, from the operating system's accounts: processor time
and largest memory. From both the same is taken off: what a process needs that checks next to nothing. The
conclusions are the ratio of processor time for each device, the memory for each device, and wall time against
processor time over all shipped profiles. At the end one device hangs and one floods, and the others must get
the verdicts that they get alone.

Linux or macOS: memory comes from wait4.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from harness.model.loading.profiles import load_profile
from harness.model.loading.units import (
    load_units,
    numbered_units,
)
from harness.session.run.plan import plan
from harness.session.run.runner import (
    LaneSpec,
    Runner,
)
from harness.session.target import Target, needs_met

PROFILES = Path(__file__).parents[2] / "profiles"
MOST_PROCESSOR = 1.2  # times that of a device alone
MOST_MEMORY = 1.0  # MiB for each device
MOST_WALL = 1.5  # times the processor time
NEXT_TO_NOTHING = ["--select", "DEV-09"]


@dataclass(frozen=True)
class Cost:
    """Of one process, in seconds and MiB."""

    processor: float
    wall: float
    memory: float


def cost(*arguments: str, good: tuple[int, ...] = (0,)) -> Cost:
    """Of ``harness check`` with those arguments, whose exit status has to be a ``good`` one."""
    begin = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "harness.cli", "check", "--simulate", "--virtual-time", "-q", *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in good:
            output.seek(0)
            raise SystemExit(f"exit status {process.returncode}: {output.read().decode()[-2000:]}")
    unit = 1024 if sys.platform == "linux" else 1024 * 1024
    return Cost(usage.ru_utime + usage.ru_stime, time.monotonic() - begin, usage.ru_maxrss / unit)


def devices(profile: Path, count: int, select: list[str]) -> None:
    """Processor time and memory for each device, many against one."""
    chosen = [part for pattern in select for part in ("--select", pattern)]
    base = cost(str(profile), *NEXT_TO_NOTHING, good=(0, 3))
    one = cost(str(profile), *chosen)
    many = cost(str(profile), *chosen, "--count", str(count))
    alone, beside = one.processor - base.processor, (many.processor - base.processor) / count
    memory = (many.memory - one.memory) / (count - 1)
    print(f"{profile.stem}, {count} devices in {many.wall:.0f} s")
    print(f"  processor time: {beside:.2f} s for each, {alone:.2f} s for one alone", end="")
    print(f", ratio {beside / alone:.2f} (target: at most {MOST_PROCESSOR})")
    print(f"  memory: {one.memory:.0f} MiB with one, {many.memory:.0f} with all", end="")
    print(f", {memory:.2f} MiB for each (target: at most {MOST_MEMORY})")


def everything() -> None:
    """All shipped profiles, all checks, as somebody would run them."""
    shipped = sorted(str(path) for path in PROFILES.glob("*.yaml"))
    whole = cost(*shipped)
    print(f"all {len(shipped)} shipped profiles, all checks: {whole.wall:.1f} s wall", end="")
    print(f", {whole.processor:.1f} s processor, ratio {whole.wall / whole.processor:.2f}", end="")
    print(f" (target: at most {MOST_WALL})")


def verdicts(profile: Path, faults: list[str | None], select: list[str]) -> dict[str, str]:
    """Of many devices in one run, each with the fault that it is given: the verdicts of each as one text."""
    units = load_units(profile, numbered_units(load_profile(profile).unit, len(faults)))
    specs = [
        LaneSpec(
            str(number),
            unit,
            str(profile),
            Target(simulate=True, faults=(fault,) if fault else ()),
            1,
            number,
        )
        for number, (unit, fault) in enumerate(zip(units, faults, strict=True))
    ]
    runner = Runner(specs, virtual=True)
    for spec in specs:
        for planned in plan(spec.profile, needs_met(spec.profile, spec.target), select):
            runner.enqueue(spec.name, planned)
        runner.seal(spec.name)
    for spec in specs:
        for planned in plan(spec.profile, needs_met(spec.profile, spec.target), select):
            runner.result(spec.name, planned)
    return {
        name: json.dumps({item.result.id: item.result.outcome.verdict.value for item in result.judgements})
        for name, result in runner.close().items()
    }


def bad_neighbours(profile: Path, count: int, select: list[str]) -> bool:
    """One device hangs, one floods: do the others get the verdicts of a device alone?"""
    alone = verdicts(profile, [None], select)["0"]
    faults: list[str | None] = [None] * count
    faults[count // 3], faults[count // 2] = "hangs", "floods"
    together = verdicts(profile, faults, select)
    wrong = [name for name, told in together.items() if faults[int(name)] is None and told != alone]
    print(f"one hangs, one floods: {count - 2 - len(wrong)} of {count - 2} others as if alone")
    return not wrong


def main() -> int:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--profile", type=Path, default=PROFILES / "smart-plug.yaml")
    parser.add_argument("--select", action="append", default=[], metavar="PATTERN")
    known = parser.parse_args()
    everything()
    devices(known.profile, known.count, known.select)
    return 0 if bad_neighbours(known.profile, known.count, known.select) else 1


if __name__ == "__main__":
    sys.exit(main())
