"""Pairs to be observed, and their outcomes, as exchanged between processes."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter

from harness.model.verdict import Verdict
from harness.prediction.comparison import (
    OF_NEEDS,
    ObservedCheck,
    PairObservation,
)


@dataclass(frozen=True, slots=True)
class PairJob:
    """Two simulated devices, given by their roles and the paths of their profiles.

    ``trace`` is the path for their trace. ``twins``: the second device is another unit of the first.
    """

    roles: tuple[str, str]
    paths: tuple[str, str]
    trace: str | None
    seed: int
    twins: bool = False

    @property
    def name(self) -> str:
        """For people."""
        return " + ".join(self.roles)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The verdict of one check."""

    check: str
    subject: str
    verdict: Verdict
    message: str
    events: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PairJobOutcome:
    """The outcome of a pair. ``ended`` is ``complete``, or why the run ended early."""

    seen: tuple[CheckResult, ...]
    ended: str = "complete"

    def direction(self, offerer: str, needer: str, *, trace: str, seconds: float) -> PairObservation:
        """The part about what one role needs of the other, and what concerns both."""
        checks = []
        for each in self.seen:
            need = ""
            if each.check in OF_NEEDS:
                if not (each.subject.startswith(f"{needer}.") and each.subject.endswith(f"/{offerer}")):
                    continue
                need = each.subject.removeprefix(f"{needer}.").removesuffix(f"/{offerer}")
            checks.append(
                ObservedCheck(each.check, each.subject, each.verdict, each.message, each.events, need)
            )
        return PairObservation(tuple(checks), trace, seconds, self.ended)


@dataclass(frozen=True, slots=True)
class JobBatch:
    """The jobs of one process, and how many run at a time."""

    jobs: tuple[PairJob, ...]
    at_once: int


@dataclass(frozen=True, slots=True)
class JobProgress:
    """A job, by its number in the batch, has begun, or has ended with an outcome."""

    job: int
    outcome: PairJobOutcome | None = None


BATCH = TypeAdapter(JobBatch)
PROGRESS = TypeAdapter(JobProgress)
