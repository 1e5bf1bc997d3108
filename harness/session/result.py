"""The result of a run, or of judging its trace again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.model.profile import Profile
from harness.model.requirement import Level, Requirement
from harness.model.verdict import Result, exit_status
from harness.trace.events import Event


@dataclass(frozen=True, slots=True)
class Judgement:
    """A result and the requirement that it is about."""

    requirement: Requirement
    result: Result


@dataclass(frozen=True, slots=True)
class Tested:
    """What a report is about, where that is not a single device: name, title and versions."""

    name: str
    title: str
    version: str


@dataclass(frozen=True, slots=True)
class RunResult:
    """Everything that a report shows about one device, or about several tested together."""

    profile: Profile
    profile_path: str
    dut: str
    seed: int
    tool_version: str
    started: str  # RFC 3339
    judgements: tuple[Judgement, ...]
    events: Sequence[Event]
    ended: str = "complete"  # or why the run ended early
    tested: Tested | None = None  # set for several devices; ``profile`` is then that of the first

    @property
    def about(self) -> Tested:
        """What the report is about."""
        return self.tested or Tested(self.profile.profile, self.profile.title, self.profile.version)

    @property
    def complete(self) -> bool:
        """Whether the run was not ended early."""
        return self.ended == "complete"


def run_status(judgements: Iterable[Judgement]) -> int:
    """Exit code for these judgements (see :func:`harness.model.verdict.exit_status`)."""
    return exit_status(
        (judgement.result.outcome.verdict, judgement.requirement.level is Level.MUST)
        for judgement in judgements
    )
