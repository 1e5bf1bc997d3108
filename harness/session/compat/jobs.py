"""Two devices to be brought together, and what came of it, as one process tells another one."""

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
    """Two simulated devices, each named by its role and its profile. ``trace`` is where their trace goes.

    ``twins``: the second one is another unit of the first.
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
    """What came of a couple. ``ended`` is ``complete``, or why the run ended early."""

    seen: tuple[CheckResult, ...]
    ended: str = "complete"

    def direction(self, offerer: str, needer: str, *, trace: str, seconds: float) -> PairObservation:
        """The part that tells whether one role gets what it needs of the other, with what concerns both."""
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
    """What a process is to do: these couples, so many at a time."""

    couples: tuple[PairJob, ...]
    at_once: int


@dataclass(frozen=True, slots=True)
class JobProgress:
    """A couple, by its number in the order, has begun; or it has ended, with what came of it."""

    couple: int
    outcome: PairJobOutcome | None = None


ORDER = TypeAdapter(JobBatch)
NEWS = TypeAdapter(JobProgress)
