"""Compares what was observed of an ordered pair with its prediction. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.model.verdict import Verdict
from harness.prediction.findings import (
    FindingKind,
    PairOutcome,
    Prediction,
    Severity,
)

FOLLOWS = "COMPAT-01"
"""The check whether a need is met at all."""

AGREES = "COMPAT-02"
"""The check whether each value keeps its meaning."""

OFTEN = "COMPAT-03"
"""The check whether a state is reported as often as needed."""

OF_NEEDS = (FOLLOWS, AGREES, OFTEN)
"""The checks of one need; all others are about two devices in one home."""

_SHOWN_BY_FOLLOWING = {
    FindingKind.ABSENT,
    FindingKind.READ_ONLY,
    FindingKind.WRITE_ONLY,
    FindingKind.NOT_TOLD,
    FindingKind.TYPE,
    FindingKind.RANGE,
    FindingKind.STEP,
    FindingKind.VALUES,
    FindingKind.LENGTH,
    FindingKind.PATTERN,
    FindingKind.MEMBERS,
    FindingKind.UNIT,
    FindingKind.CONVERSION,
}
"""Kinds that cannot block a need which was observed to be met. All others (a fuse, a certificate, a report
that is due once an hour) may be wrong although the devices exchange messages correctly."""

_SHOWN_BY_CHECKS = {
    FindingKind.CLIENT_ID: ("COMPAT-10",),
    FindingKind.TOPIC: ("COMPAT-11", "COMPAT-12"),
    FindingKind.HOST_NAME: ("COMPAT-13",),
}
"""Kinds that concern two devices as a whole, with the checks that observe them."""


@dataclass(frozen=True, slots=True)
class ObservedCheck:
    """One verdict about two devices on one bus.

    ``need`` is the name of the need that the verdict is about, empty for verdicts on the pair as a
    whole, such as a name that both use. ``events`` are lines of the trace.
    """

    check: str
    subject: str
    verdict: Verdict
    message: str
    events: tuple[int, ...] = ()
    need: str = ""


@dataclass(frozen=True, slots=True)
class PairObservation:
    """The result of running two devices on one bus.

    ``trace`` is the file, relative to the folder of the report; ``seconds`` is real time. ``ended`` is
    ``complete``, or why the run ended early.
    """

    checks: tuple[ObservedCheck, ...]
    trace: str
    seconds: float
    ended: str = "complete"

    @property
    def complete(self) -> bool:
        """Whether the run was completed."""
        return self.ended == "complete"


class Agreement(StrEnum):
    """How an observation relates to the prediction."""

    AGREES = "agrees"
    UNSHOWN = "unshown"  # the prediction cannot be observed on this bench
    UNDECIDED = "undecided"  # the run ended early, or something could not be tested
    DIFFERS = "differs"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of a comparison; ``why`` explains it in words, and is empty where that is not needed."""

    agreement: Agreement
    why: str = ""


def compared(prediction: Prediction, observation: PairObservation) -> Comparison:
    """Compare an observation with the prediction, need by need, and for the pair as a whole.

    A need that is predicted to be degraded may be met each time that it was tried, but may not fail
    altogether.
    """
    found = [*_of_needs(prediction, observation.checks), *_of_both(prediction, observation.checks)]
    if not observation.complete:
        found.append(Comparison(Agreement.UNDECIDED, f"the run ended early: {observation.ended}"))
    order = list(Agreement)
    worst = max((each.agreement for each in found), key=order.index, default=Agreement.AGREES)
    why = dict.fromkeys(each.why for each in found if each.agreement is worst and each.why)
    return Comparison(worst, "; ".join(why))


def _of_needs(prediction: Prediction, checks: Sequence[ObservedCheck]) -> Iterator[Comparison]:
    for need in prediction.needs:
        about = {check.check: check for check in checks if check.need == need.need}
        follows, agrees, often = (about.get(name) for name in OF_NEEDS)
        if need.outcome is PairOutcome.BLOCKED:
            yield _blocked(prediction, need.need, follows, often)
            continue
        if often is not None and often.verdict is not Verdict.PASS:
            yield _not_passed(often, need.need, may_fail=False)
        if follows is None:
            continue  # the needer stores the state, with no visible effect
        if follows.verdict is Verdict.PASS and agrees is not None and agrees.verdict is not Verdict.PASS:
            yield _not_passed(agrees, need.need, may_fail=need.outcome is PairOutcome.DEGRADED)
        elif follows.verdict is not Verdict.PASS:
            yield _not_passed(follows, need.need, may_fail=False)


def _blocked(
    prediction: Prediction, need: str, follows: ObservedCheck | None, often: ObservedCheck | None
) -> Comparison:
    """A need that is predicted to be blocked. If it is optional, the pair is only degraded."""
    given = [check for check in (follows, often) if check is not None]
    if not given or any(check.verdict is not Verdict.PASS for check in given):
        return Comparison(Agreement.AGREES)
    blocking = [
        each for each in prediction.findings if each.need == need and each.severity is not Severity.NOTE
    ]
    for check, shown in ((follows, _SHOWN_BY_FOLLOWING), (often, {FindingKind.DEADLINE})):
        finding = next((each for each in blocking if each.kind in shown), None)
        if check is not None and finding is not None:
            text = f"{need} is predicted to be blocked ({finding.what}), but {_verdict_text(check)}"
            return Comparison(Agreement.DIFFERS, text)
    kinds = _listed(each.kind for each in blocking)
    return Comparison(
        Agreement.UNSHOWN,
        f"{need} is met as far as messages show; what blocks it cannot be seen in messages: {kinds}",
    )


def _not_passed(check: ObservedCheck, need: str, *, may_fail: bool) -> Comparison:
    """A need that is predicted to be met, and a check of it that did not pass."""
    match check.verdict:
        case Verdict.FAIL | Verdict.WARN if may_fail:
            return Comparison(Agreement.AGREES)
        case Verdict.FAIL | Verdict.WARN:
            return Comparison(Agreement.DIFFERS, f"{need} is predicted to be met, but {_verdict_text(check)}")
        case Verdict.NOT_APPLICABLE:
            return Comparison(Agreement.UNSHOWN, f"{need}: {check.message}")
    return Comparison(Agreement.UNDECIDED, f"{need}: {_verdict_text(check)}")


def _of_both(prediction: Prediction, checks: Sequence[ObservedCheck]) -> Iterator[Comparison]:
    expected = {
        name: finding
        for finding in prediction.findings
        for name in _SHOWN_BY_CHECKS.get(finding.kind, ())
        if finding.severity is not Severity.NOTE
    }
    failed = {check.check for check in checks if check.verdict is Verdict.FAIL}
    for check in (check for check in checks if not check.need):
        finding = expected.get(check.check)
        if check.verdict in (Verdict.FAIL, Verdict.WARN) and not expected:
            yield Comparison(Agreement.DIFFERS, f"no problem is predicted, but {_verdict_text(check)}")
        elif check.verdict in (Verdict.INCONCLUSIVE, Verdict.ERROR):
            yield Comparison(Agreement.UNDECIDED, _verdict_text(check))
        elif check.verdict is Verdict.PASS and finding and not failed & set(_SHOWN_BY_CHECKS[finding.kind]):
            yield Comparison(
                Agreement.DIFFERS, f"the prediction is that {finding.what}, but {_verdict_text(check)}"
            )
    off_the_wire = [
        finding
        for finding in prediction.blocking
        if not finding.need and finding.kind not in _SHOWN_BY_CHECKS
    ]
    if not off_the_wire and not prediction.needs and prediction.plugs is not None:
        yield Comparison(Agreement.UNSHOWN, "that one device powers the other cannot be seen in messages")
    if off_the_wire:
        kinds = _listed(each.kind for each in off_the_wire)
        yield Comparison(Agreement.UNSHOWN, f"what blocks the pair cannot be seen in messages: {kinds}")


def _verdict_text(check: ObservedCheck) -> str:
    return f"{check.check} is {check.verdict}: {check.message}"


def _listed(kinds: Iterable[FindingKind]) -> str:
    return ", ".join(dict.fromkeys(kinds))
