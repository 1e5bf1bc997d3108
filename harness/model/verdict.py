"""Verdicts, and the outcome of judging one check on one subject."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """The result of a check: the terms of ISO/IEC 9646, and ``warn`` for an unmet SHOULD."""

    PASS = "pass"
    FAIL = "fail"
    WARN = "warn"
    INCONCLUSIVE = "inconclusive"
    NOT_APPLICABLE = "not-applicable"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict, its reason, and the trace lines that prove it.

    A ``pass`` or ``fail`` without evidence cannot be built. This keeps checks that tested
    nothing from passing.
    """

    verdict: Verdict
    message: str
    events: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.verdict in (Verdict.PASS, Verdict.FAIL, Verdict.WARN) and not self.events:
            raise ValueError(f"a verdict {self.verdict} needs the trace lines that prove it: {self.message}")


@dataclass(frozen=True, slots=True)
class Subject:
    """The subject of one run of a check: an affordance or a rule, and the transport in use.

    Both are ``None`` where the check is about the device as a whole.
    """

    name: str | None = None
    transport: str | None = None

    @property
    def label(self) -> str | None:
        """Short text for ids and reports, such as ``power`` or ``power/coap``; None for the whole device."""
        parts = [part for part in (self.name, self.transport) if part]
        return "/".join(parts) or None

    def of(self, check: str) -> str:
        """``CHECK`` or ``CHECK[subject]``, as pytest shows a check on this subject."""
        label = self.label
        return f"{check}[{label}]" if label else check


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the verdict list: a check, its subject and its outcome."""

    check: str
    subject: Subject
    outcome: Outcome

    @property
    def id(self) -> str:
        """``CHECK`` or ``CHECK[subject]``."""
        return self.subject.of(self.check)


class ExitStatus:
    """Process exit codes, the same for every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNDECIDED = 3


def exit_status(verdicts: Iterable[tuple[Verdict, bool]]) -> int:
    """Exit code of a run from its verdicts, each with whether its requirement is a MUST.

    1 if anything failed; 3 if nothing failed but there is an ``error``, an ``inconclusive`` MUST,
    or nothing was tested; otherwise 0.
    """
    seen = list(verdicts)
    if any(verdict is Verdict.FAIL for verdict, _ in seen):
        return ExitStatus.FAILED
    for verdict, is_must in seen:
        if verdict is Verdict.ERROR or (verdict is Verdict.INCONCLUSIVE and is_must):
            return ExitStatus.UNDECIDED
    tested = any(verdict is not Verdict.NOT_APPLICABLE for verdict, _ in seen)
    return ExitStatus.OK if tested else ExitStatus.UNDECIDED
