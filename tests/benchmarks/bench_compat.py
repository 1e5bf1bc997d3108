"""Prediction of every ordered pair of many generated profiles: a million pairs of a thousand.

    python tests/benchmarks/bench_compat.py [--count N]

Linux only: the peak of memory is that of the process, profiles included. The conclusion is the cost of a pair
at a quarter, a half and all of the profiles, which is not to grow.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from harness.prediction.batch import predict_all
from harness.prediction.findings import PairOutcome
from tests.compat.generated import generated

SECONDS = 60.0
MEMORY = 1024  # MiB


@dataclass(frozen=True)
class Run:
    """What one number of profiles took."""

    count: int
    wall: float
    processor: float
    memory: float
    outcomes: dict[PairOutcome, int]

    @property
    def microseconds(self) -> float:
        """Processor time of a pair."""
        return self.processor / self.count**2 * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1000, metavar="N", help="profiles (default 1000)")
    count = parser.parse_args().count
    measured(8)  # what is loaded once, such as the library of units
    runs = [measured(each) for each in (count // 4, count // 2, count)]
    head = f"{'profiles':>8} {'pairs':>9} {'wall s':>7} {'processor s':>11} {'µs a pair':>9} {'peak MiB':>8}"
    print(f"{head}  outcomes")
    for run in runs:
        outcomes = ", ".join(f"{number} {outcome}" for outcome, number in run.outcomes.items())
        print(
            f"{run.count:>8} {run.count**2:>9} {run.wall:>7.1f} {run.processor:>11.1f} "
            f"{run.microseconds:>9.1f} {run.memory:>8.0f}  {outcomes}"
        )
    last = runs[-1]
    ratio = last.microseconds / runs[0].microseconds
    print(f"cost of a pair against that at {count // 4} profiles: {ratio:.2f}")
    kept = last.wall < SECONDS and last.memory < MEMORY
    print(f"under {SECONDS:g} s and {MEMORY} MiB: {'yes' if kept else 'NO'}")
    return 0 if kept else 1


def measured(count: int) -> Run:
    """Predict all pairs of ``count`` profiles; making them does not count."""
    devices = generated(count)
    wall, processor = time.perf_counter(), time.process_time()
    found = predict_all(devices)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Run(count, wall, processor, memory, found.counts())


if __name__ == "__main__":
    sys.exit(main())
