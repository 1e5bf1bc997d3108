"""``harness matrix``: which of many devices work with which."""

from __future__ import annotations

import argparse
import asyncio
import datetime
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import harness
from harness.model.verdict import ExitStatus
from harness.patterns import expanded
from harness.prediction.comparison import (
    Agreement,
    Comparison,
    PairObservation,
    compared,
)
from harness.prediction.matrix import (
    Entry,
    OrderedPair,
    PairRun,
    covering,
    pair_runs,
    predicted,
    read_entry,
)
from harness.report.console import terminal
from harness.report.matrix.progress import MatrixProgress
from harness.report.matrix.report import (
    DeviceRow,
    Selection,
    matrix_of,
)
from harness.report.matrix.terminal import print_matrix
from harness.report.matrix.words import AGREEMENTS
from harness.report.matrix.write import write_matrix
from harness.report.run.write import trace_path
from harness.report.text import lane_names
from harness.session.compat.jobs import PairJob
from harness.session.compat.matrix_jobs import (
    jobs_of,
    observations,
    observations_of,
)
from harness.session.compat.pool import (
    AT_ONCE,
    PoolResult,
    cores,
    observe_all,
)
from harness.session.target import UsageError

PAIRS = "pairs"
"""The folder of the traces, in that of the report."""


def run(arguments: argparse.Namespace) -> int:
    """Predict all pairs, observe them if asked to, report; returns the exit status."""
    paths = [Path(name) for name in expanded(arguments.profiles)]
    if not paths:
        raise UsageError("no profiles: name some, such as profiles/*.yaml")
    if arguments.processes is not None and arguments.processes < 1:
        raise UsageError(f"--processes {arguments.processes}: at least 1")
    if not arguments.observe and (arguments.pairs or arguments.processes):
        raise UsageError("--pairs and --processes need --observe")
    folder = Path(arguments.report) if arguments.report else None
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    names = lane_names([path.stem for path in paths])
    entries = [read_entry(name, path) for name, path in zip(names, paths, strict=True)]
    pairs = predicted(entries)
    seen = _observed(arguments, entries, pairs, folder) if arguments.observe else _Seen()
    matrix = matrix_of(
        [DeviceRow(entry.name, entry.device.profile, str(entry.path)) for entry in entries],
        pairs,
        seen.observations,
        tool_version=harness.__version__,
        started=started,
        seed=arguments.seed,
        selection=seen.selection,
    )
    page = write_matrix(folder, matrix) if folder else None
    print_matrix(terminal(), matrix, page=page)
    return ExitStatus.UNDECIDED if seen.interrupted and matrix.status == ExitStatus.OK else matrix.status


@dataclass(frozen=True, slots=True)
class _Seen:
    observations: dict[tuple[str, str], PairObservation] = field(default_factory=dict)
    selection: Selection | None = None
    interrupted: bool = False


def _observed(
    arguments: argparse.Namespace, entries: Sequence[Entry], pairs: Sequence[OrderedPair], folder: Path | None
) -> _Seen:
    """Observe the selected pairs; after an interruption, the results so far are reported."""
    every = pair_runs(pairs)
    chosen = covering(every) if arguments.pairs == "covering" else every

    def trace(pair_run: PairRun) -> Path:
        assert folder is not None
        return trace_path(folder / PAIRS, f"{pair_run.first}+{pair_run.second}", 2)

    jobs = jobs_of(chosen, entries, seed=arguments.seed, trace=trace if folder else None)
    processes = max(1, min(arguments.processes or cores(), -(-len(jobs) // AT_ONCE)))
    watch = _Watch(MatrixProgress(terminal(), len(jobs)), jobs)
    found: dict[PairJob, PoolResult] = {}
    interrupted = False
    try:
        asyncio.run(watch.over(observe_all(list(jobs), found, watch, processes=processes)))
    except KeyboardInterrupt:
        interrupted = True
    finally:
        watch.progress.finished()
    seen = observations(jobs, found, folder)
    selection = Selection(
        pairs=arguments.pairs or "all",
        observed=len(seen),
        left_out=len(pairs) - len(seen),
        runs=len(found),
        at_once=max(1, min(processes * AT_ONCE, len(found))),
        processes=processes,
        seconds=round(watch.ended_at - watch.begun_at, 3),
        starting_seconds=round((watch.first_at or watch.ended_at) - watch.begun_at, 3),
        slowest_seconds=round(max((each.seconds for each in found.values()), default=0.0), 3),
        interrupted=interrupted,
    )
    return _Seen(seen, selection, interrupted)


@dataclass(slots=True)
class _Watch:
    """Shows the result of each pair compared with its prediction, and measures the time."""

    progress: MatrixProgress
    jobs: dict[PairJob, PairRun]
    begun_at: float = 0.0
    first_at: float | None = None
    ended_at: float = 0.0

    async def over(self, observation: Coroutine[None, None, None]) -> None:
        """Measure the time of the whole observation."""
        clock = asyncio.get_running_loop().time
        self.begun_at = clock()
        try:
            await observation
        finally:
            self.ended_at = clock()

    def started(self, job: PairJob) -> None:
        """The run of a pair has started."""
        if self.first_at is None:
            self.first_at = asyncio.get_running_loop().time()
        self.progress.started(job.name)

    def ended(self, job: PairJob, observed: PoolResult) -> None:
        """The run of a pair has ended."""
        pair_run = self.jobs[job]
        seen = dict(observations_of(job, pair_run, observed, None))
        found = [compared(pair.prediction, seen[pair.offerer, pair.needer]) for pair in pair_run.pairs]
        order = list(Agreement)
        worst: Comparison = max(found, key=lambda each: order.index(each.agreement))
        result = AGREEMENTS[worst.agreement] + (f": {worst.why}" if worst.why else "")
        is_problem = worst.agreement in (Agreement.DIFFERS, Agreement.UNDECIDED)
        self.progress.ended(job.name, observed.seconds, result, is_problem=is_problem)
