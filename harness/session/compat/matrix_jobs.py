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
from harness.session.compat.pool import Observed

TWIN = "-2"
"""Suffix of the role of the second unit of a device."""


def couples_of(
    meetings: Sequence[PairRun],
    entries: Sequence[Entry],
    *,
    seed: int,
    trace: Callable[[PairRun], Path] | None,
) -> dict[PairJob, PairRun]:
    """A job for each run of a pair; ``trace`` gives the path of its trace, None: no trace is written."""
    paths = {entry.name: str(entry.path) for entry in entries}
    couples = {}
    for meeting in meetings:
        twins = meeting.first == meeting.second
        couple = PairJob(
            roles=(meeting.first, meeting.second + (TWIN if twins else "")),
            paths=(paths[meeting.first], paths[meeting.second]),
            trace=str(trace(meeting)) if trace else None,
            seed=seed,
            twins=twins,
        )
        couples[couple] = meeting
    return couples


def observations_of(
    couple: PairJob, meeting: PairRun, observed: Observed, folder: Path | None
) -> Iterator[tuple[tuple[str, str], PairObservation]]:
    """The observation of each ordered pair of a run. Paths of traces become relative to ``folder``."""
    trace = Path(couple.trace).relative_to(folder).as_posix() if couple.trace and folder else ""
    first, second = couple.roles
    for pair in meeting.pairs:
        roles = (first, second) if pair.offerer == meeting.first else (second, first)
        yield (
            (pair.offerer, pair.needer),
            observed.outcome.direction(*roles, trace=trace, seconds=observed.seconds),
        )


def observations(
    couples: Mapping[PairJob, PairRun], found: Mapping[PairJob, Observed], folder: Path | None
) -> dict[tuple[str, str], PairObservation]:
    """The observations of all ordered pairs, by offerer and needer."""
    return {
        names: observation
        for couple, observed in found.items()
        for names, observation in observations_of(couple, couples[couple], observed, folder)
    }
