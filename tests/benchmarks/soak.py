"""Run after run in virtual time: conforming devices get no bad verdict, a fault always breaks its check.

    python tests/benchmarks/soak.py [--runs N] [--habits N] [--faults N] [--everywhere] [--jobs N]
        [PROFILE ...]

``--runs``: whole runs of every shipped profile, each with a seed of its own, all checks. ``--habits``: the
same with each habit, which is unusual and conforms. ``--faults``: runs under each fault, with the checks that
it names; on the first profile to which those apply, or with ``--everywhere`` on all of them. Nothing is tried
again: what is not as it should be is printed with the seed that brings it back, and makes the exit status 1.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from harness.checks.catalogue import all_checks, check_named
from harness.model.ics import ics_of, satisfies
from harness.model.loading.profiles import load_profile
from harness.model.profile import Profile
from harness.model.verdict import Verdict
from harness.simulate.faults import Fault, all_faults, all_habits
from tests.checks.driving import FURTHER, SHIPPED, check_simulated

GOOD = (Verdict.PASS, Verdict.NOT_APPLICABLE)
BROKEN = (Verdict.FAIL, Verdict.WARN)


@dataclass(frozen=True)
class Job:
    """One run. Without ``fault`` the device conforms, with or without a ``habit``."""

    path: Path
    seed: int
    fault: str | None = None
    habit: str | None = None
    select: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of the series that it belongs to."""
        which = self.fault or self.habit
        return f"{which} on {self.path.stem}" if which else self.path.stem


@dataclass(frozen=True)
class Outcome:
    """What became of a job; ``wrong`` is empty when all is as it should be."""

    job: Job
    verdicts: int
    processor: float  # seconds
    wrong: tuple[str, ...]


def carried_out(job: Job) -> Outcome:
    """Run it, and say what is not as it should be."""
    begin = time.process_time()
    names = [name for name in (job.fault, job.habit) if name]
    result = check_simulated(job.path, faults=names, select=job.select, seed=job.seed)
    wrong = []
    if job.fault is None:
        wrong = [
            f"{item.result.id} {item.result.outcome.verdict}: {item.result.outcome.message}"
            for item in result.judgements
            if item.result.outcome.verdict not in GOOD
        ]
    else:
        seen: dict[str, set[Verdict]] = defaultdict(set)
        for item in result.judgements:
            seen[item.result.check].add(item.result.outcome.verdict)
        wrong = [
            f"{check} is not broken: {', '.join(sorted(seen[check])) or 'not run'}"
            for check in job.select
            if not seen[check] & set(BROKEN)
        ]
    return Outcome(job, len(result.judgements), time.process_time() - begin, tuple(wrong))


def conforming_jobs(paths: list[Path], runs: int) -> Iterator[Job]:
    """Every profile, ``runs`` times; each round takes them all, so that a soak that is cut short is even."""
    for seed in range(1, runs + 1):
        for path in paths:
            yield Job(path, seed)


def habit_jobs(paths: list[Path], runs: int) -> Iterator[Job]:
    """Every habit on every profile that can have it, ``runs`` times, all checks."""
    for seed in range(1, runs + 1):
        for habit in all_habits():
            for path in paths:
                if habit.applies(_profile(path)):
                    yield Job(path, seed, habit=habit.name)


def fault_jobs(paths: list[Path], runs: int, *, everywhere: bool) -> Iterator[Job]:
    """Every fault with the checks that it names, where those apply."""
    chosen = [job for fault in all_faults() for job in _jobs_of(fault, paths, everywhere)]
    for seed in range(1, runs + 1):
        for job in chosen:
            yield Job(job.path, seed, job.fault, job.select)


def _jobs_of(fault: Fault, paths: list[Path], everywhere: bool) -> Iterator[Job]:
    checks: dict[Path, list[str]] = defaultdict(list)
    for name in fault.breaks:
        for path in paths:
            if fault.applies(_profile(path)) and _is_checked(path, name):
                checks[path].append(name)
                if not everywhere:
                    break
    for path, names in checks.items():
        yield Job(path, 0, fault.name, tuple(names))


def _prepare() -> None:
    """As ``harness check`` does: what is loaded by now is not looked through for garbage again and again."""
    all_checks()
    gc.freeze()


@cache
def _profile(path: Path) -> Profile:
    return load_profile(path)


@cache
def _is_checked(path: Path, name: str) -> bool:
    """Whether a device of that profile gives the check anything to do."""
    profile, check = _profile(path), check_named(name)
    applies = satisfies(check.requirement.ics, ics_of(profile))
    return applies and any(True for _ in check.subjects(profile))


def main() -> int:
    """Run all jobs, print a line for each series that went wrong, and totals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("profiles", nargs="*", type=Path, help="default: all that are shipped")
    parser.add_argument("--runs", type=int, default=200, help="conforming runs of each profile")
    parser.add_argument("--habits", type=int, default=0, help="conforming runs with each habit")
    parser.add_argument("--faults", type=int, default=0, help="runs under each fault")
    parser.add_argument(
        "--everywhere", action="store_true", help="each fault on every profile that can have it"
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    known = parser.parse_args()
    paths = known.profiles or SHIPPED
    faulty = fault_jobs([*paths, *FURTHER], known.faults, everywhere=known.everywhere)
    jobs = [*conforming_jobs(paths, known.runs), *habit_jobs(paths, known.habits), *faulty]
    begin = time.monotonic()
    runs: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    processor, verdicts = 0.0, 0
    with ProcessPoolExecutor(known.jobs, initializer=_prepare) as pool:
        for done, outcome in enumerate(pool.map(carried_out, jobs), start=1):
            runs[outcome.job.name] += 1
            wrong[outcome.job.name] += bool(outcome.wrong)
            processor += outcome.processor
            verdicts += outcome.verdicts
            for what in outcome.wrong:
                print(f"{outcome.job.name}, seed {outcome.job.seed}: {what}", flush=True)
            if done % 100 == 0:
                print(f"… {done} of {len(jobs)} runs, {sum(wrong.values())} wrong", flush=True)
    for name, number in sorted(runs.items()):
        if wrong[name] or known.faults == 0:
            print(f"{name}: {number} runs, {wrong[name]} wrong")
    wall = time.monotonic() - begin
    print(
        f"{sum(runs.values())} runs of {len(runs)} series, {verdicts} verdicts: {sum(wrong.values())} wrong; "
        f"{processor:.0f} s of processor time in {wall:.0f} s"
    )
    return 1 if sum(wrong.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
