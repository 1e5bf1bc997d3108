from __future__ import annotations

import pytest

from harness.model.verdict import Verdict
from harness.prediction.comparison import (
    AGREES,
    FOLLOWS,
    OF_NEEDS,
    OFTEN,
    Agreement,
    ObservedCheck,
    PairObservation,
    compared,
)
from harness.prediction.findings import (
    Finding,
    FindingKind,
    NeedOutcome,
    PairOutcome,
    Prediction,
    Severity,
)
from harness.session.compat import pair


def predicted(outcome: PairOutcome, *findings: Finding, need: PairOutcome | None = None) -> Prediction:
    needs = (NeedOutcome("switched", "OnOff.OnOff", "", False, need or outcome),)
    return Prediction("lamp", "switch", outcome, (), findings, needs)


def finding(kind: FindingKind, severity: Severity, need: str = "switched") -> Finding:
    return Finding(kind, severity, "what", None, None, "proposal", need=need)


def seen(
    follows: Verdict, agrees: Verdict | None = None, *others: ObservedCheck, ended: str = "complete"
) -> PairObservation:
    second = Verdict.PASS if agrees is None and follows is Verdict.PASS else agrees or Verdict.INCONCLUSIVE
    of_need = (
        ObservedCheck(FOLLOWS, "switch.switched/lamp", follows, "message", (1,), "switched"),
        ObservedCheck(AGREES, "switch.switched/lamp", second, "message", (1,), "switched"),
    )
    return PairObservation((*of_need, *others), "trace.jsonl", 0.1, ended)


def shared(name: str, verdict: Verdict) -> ObservedCheck:
    return ObservedCheck(name, "", verdict, "message", (1,))


def often(verdict: Verdict) -> ObservedCheck:
    return ObservedCheck(OFTEN, "switch.switched/lamp", verdict, "message", (1,), "switched")


PASS, FAIL = Verdict.PASS, Verdict.FAIL
WORKS = predicted(PairOutcome.WORKS)
BLOCKED = predicted(PairOutcome.BLOCKED, finding(FindingKind.RANGE, Severity.BLOCKS))
SECURED = predicted(PairOutcome.BLOCKED, finding(FindingKind.SECURITY, Severity.BLOCKS))
DEGRADED = predicted(PairOutcome.DEGRADED, finding(FindingKind.RANGE, Severity.DEGRADES))
OVERLOAD = predicted(
    PairOutcome.BLOCKED, finding(FindingKind.CURRENT, Severity.BLOCKS, ""), need=PairOutcome.WORKS
)
COLLISION = predicted(
    PairOutcome.BLOCKED, finding(FindingKind.CLIENT_ID, Severity.BLOCKS, ""), need=PairOutcome.WORKS
)
PLUGGED = Prediction("plug", "fridge", PairOutcome.WORKS, plugs=PairOutcome.WORKS)
RARE = predicted(PairOutcome.BLOCKED, finding(FindingKind.DEADLINE, Severity.BLOCKS))
UNRELATED = Prediction("lamp", "stone", PairOutcome.UNRELATED)


@pytest.mark.parametrize(
    ("prediction", "observation", "agreement"),
    [
        (WORKS, seen(PASS), Agreement.AGREES),
        (WORKS, seen(FAIL), Agreement.DIFFERS),
        (WORKS, seen(PASS, FAIL), Agreement.DIFFERS),
        (WORKS, seen(Verdict.INCONCLUSIVE), Agreement.UNDECIDED),
        (WORKS, seen(PASS, Verdict.ERROR), Agreement.UNDECIDED),
        (WORKS, seen(Verdict.NOT_APPLICABLE), Agreement.UNSHOWN),
        (WORKS, seen(PASS, ended="deadline"), Agreement.UNDECIDED),
        (WORKS, seen(FAIL, ended="deadline"), Agreement.DIFFERS),
        (WORKS, seen(PASS, None, shared("COMPAT-16", FAIL)), Agreement.DIFFERS),
        (WORKS, seen(PASS, None, shared("COMPAT-16", Verdict.INCONCLUSIVE)), Agreement.UNDECIDED),
        (BLOCKED, seen(FAIL), Agreement.AGREES),
        (BLOCKED, seen(Verdict.NOT_APPLICABLE), Agreement.AGREES),
        (BLOCKED, seen(PASS), Agreement.DIFFERS),
        (SECURED, seen(PASS), Agreement.UNSHOWN),
        (DEGRADED, seen(PASS), Agreement.AGREES),
        (DEGRADED, seen(PASS, FAIL), Agreement.AGREES),
        (DEGRADED, seen(FAIL), Agreement.DIFFERS),
        (WORKS, seen(PASS, None, often(PASS)), Agreement.AGREES),
        (WORKS, seen(PASS, None, often(FAIL)), Agreement.DIFFERS),
        (DEGRADED, seen(PASS, None, often(FAIL)), Agreement.DIFFERS),
        (RARE, seen(PASS, None, often(FAIL)), Agreement.AGREES),
        (RARE, seen(PASS, None, often(PASS)), Agreement.DIFFERS),
        (BLOCKED, seen(FAIL, None, often(PASS)), Agreement.AGREES),
        (OVERLOAD, seen(PASS), Agreement.UNSHOWN),
        (OVERLOAD, seen(FAIL), Agreement.DIFFERS),
        (COLLISION, seen(PASS, None, shared("COMPAT-10", FAIL)), Agreement.AGREES),
        (COLLISION, seen(PASS, None, shared("COMPAT-10", PASS)), Agreement.DIFFERS),
        (PLUGGED, PairObservation((shared("COMPAT-10", PASS),), "", 0.1), Agreement.UNSHOWN),
        (PLUGGED, PairObservation((shared("COMPAT-10", FAIL),), "", 0.1), Agreement.DIFFERS),
        (UNRELATED, PairObservation((shared("COMPAT-10", PASS),), "", 0.1), Agreement.AGREES),
        (UNRELATED, PairObservation((shared("COMPAT-10", FAIL),), "", 0.1), Agreement.DIFFERS),
    ],
)
def test_a_difference_is_what_no_finding_foretold(
    prediction: Prediction, observation: PairObservation, agreement: Agreement
) -> None:
    comparison = compared(prediction, observation)
    assert comparison.agreement is agreement
    assert bool(comparison.why) == (agreement is not Agreement.AGREES)


def test_the_checks_of_a_need_are_those_that_there_are() -> None:
    assert OF_NEEDS == pair.OF_NEEDS
