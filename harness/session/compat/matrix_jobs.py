"""Turns the pairs of a matrix into jobs, and their outcomes into observations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from harness.prediction.comparison import PairObservation
from harness.prediction.matrix import (
    Entry,
    PairRun,
)
from harness.session.compat.jobs import PairJob
from harness.session.compat.pool import PoolResult

TWIN = "-2"
"""Suffix of the role of the second unit of a device."""


def jobs_of(
    pair_runs: Sequence[PairRun],
    entries: Sequence[Entry],
    *,
    seed: int,
    trace: Callable[[PairRun], Path] | None,
) -> dict[PairJob, PairRun]:
    """A job for each run of a pair; ``trace`` gives the path of its trace, None: no trace is written."""
    paths = {entry.name: str(entry.path) for entry in entries}
    jobs = {}
    for pair_run in pair_runs:
        twins = pair_run.first == pair_run.second
        job = PairJob(
            roles=(pair_run.first, pair_run.second + (TWIN if twins else "")),
            paths=(paths[pair_run.first], paths[pair_run.second]),
            trace=str(trace(pair_run)) if trace else None,
            seed=seed,
            twins=twins,
        )
        jobs[job] = pair_run
    return jobs


def observations_of(
    job: PairJob, pair_run: PairRun, observed: PoolResult, folder: Path | None
) -> Iterator[tuple[tuple[str, str], PairObservation]]:
    """The observation of each ordered pair of a run. Paths of traces become relative to ``folder``."""
    trace = Path(job.trace).relative_to(folder).as_posix() if job.trace and folder else ""
    first, second = job.roles
    for pair in pair_run.pairs:
        roles = (first, second) if pair.offerer == pair_run.first else (second, first)
        yield (
            (pair.offerer, pair.needer),
            observed.outcome.direction(*roles, trace=trace, seconds=observed.seconds),
        )


def observations(
    jobs: Mapping[PairJob, PairRun], found: Mapping[PairJob, PoolResult], folder: Path | None
) -> dict[tuple[str, str], PairObservation]:
    """The observations of all ordered pairs, by offerer and needer."""
    return {
        names: observation
        for job, observed in found.items()
        for names, observation in observations_of(job, jobs[job], observed, folder)
    }
