"""What was seen of an ordered pair on the wire, and whether that is what was predicted. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from harness.compat.prediction import Finding, FindingKind, Outcome, Prediction, Severity
from harness.model.verdict import Verdict

_OFF_THE_WIRE = {
    FindingKind.VOLTAGE,
    FindingKind.FREQUENCY,
    FindingKind.CURRENT,
    FindingKind.POWER,
    FindingKind.PHASES,
    FindingKind.EARTH,
    FindingKind.CONNECTOR,
}
"""What no message shows: devices may obey each other in every word, and still not be plugged together."""


@dataclass(frozen=True, slots=True)
class ObservedCheck:
    """One verdict about two devices that were together.

    ``need`` names the need of the needer that the verdict is about, empty for what concerns the two as a
    whole, such as a name that both use. ``events`` are lines of the trace.
    """

    check: str
    subject: str
    verdict: Verdict
    message: str
    events: tuple[int, ...] = ()
    need: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """What came of bringing two devices together.

    ``trace`` is the file, relative to the folder of the report; ``seconds`` are real ones. ``ended`` is
    ``complete``, or why the run ended early.
    """

    checks: tuple[ObservedCheck, ...]
    trace: str
    seconds: float
    ended: str = "complete"

    @property
    def complete(self) -> bool:
        """Whether the run went to its end."""
        return self.ended == "complete"


class Agreement(StrEnum):
    """How an observation stands to the prediction."""

    AGREES = "agrees"
    DIFFERS = "differs"
    UNDECIDED = "undecided"  # the run broke off, or nothing of what was predicted could be put to the test


@dataclass(frozen=True, slots=True)
class Comparison:
    """Prediction against observation; ``why`` is for people, empty where there is nothing to explain."""

    agreement: Agreement
    why: str = ""


def compared(prediction: Prediction, observation: Observation) -> Comparison:
    """Whether what was seen is what was predicted.

    Predicted findings excuse what fails on the wire: one that blocks, of anything in the need that it is
    about; one that degrades, too, but then not everything may fail. What was predicted to be blocked and
    came about all the same differs as well, unless what blocks it does not travel on a wire.
    """
    differences = [
        *_failed_unforeseen(prediction, observation),
        *_came_about_unforeseen(prediction, observation),
    ]
    if differences:
        return Comparison(Agreement.DIFFERS, "; ".join(differences))
    if not observation.complete:
        return Comparison(Agreement.UNDECIDED, f"the run ended early: {observation.ended}")
    errors = [check for check in observation.checks if check.verdict is Verdict.ERROR]
    if errors:
        return Comparison(Agreement.UNDECIDED, f"{errors[0].check} could not be judged: {errors[0].message}")
    expected = {link.need for link in prediction.links}
    open_needs = sorted(expected - {check.need for check in observation.checks if _decided(check)})
    if open_needs and prediction.outcome is not Outcome.BLOCKED:
        return Comparison(Agreement.UNDECIDED, f"not put to the test: {', '.join(open_needs)}")
    return Comparison(Agreement.AGREES)


def _failed_unforeseen(prediction: Prediction, observation: Observation) -> Iterator[str]:
    """What failed on the wire, and nothing that was predicted says why."""
    for check in observation.checks:
        if check.verdict is not Verdict.FAIL:
            continue
        if not any(_excuses(finding, check) for finding in prediction.findings):
            yield f"predicted {_words(prediction, check.need)}, but {check.check} failed: {check.message}"


def _excuses(finding: Finding, check: ObservedCheck) -> bool:
    return finding.severity is not Severity.NOTE and finding.need == check.need


def _came_about_unforeseen(prediction: Prediction, observation: Observation) -> Iterator[str]:
    """What was seen on the wire although it was predicted that it cannot come about."""
    blocked = {
        finding.need: finding
        for finding in prediction.blocking
        if finding.need and finding.kind not in _OFF_THE_WIRE
    }
    for check in observation.checks:
        finding = blocked.get(check.need)
        if finding is not None and check.verdict is Verdict.PASS:
            yield f"predicted blocked ({finding.what}), but {check.check} passed: {check.message}"


def _words(prediction: Prediction, need: str) -> str:
    return f"that {need} works" if need else f"{prediction.outcome}"


def _decided(check: ObservedCheck) -> bool:
    return check.verdict in (Verdict.PASS, Verdict.WARN, Verdict.FAIL)
