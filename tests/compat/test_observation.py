from __future__ import annotations

import pytest

from harness.model.verdict import Verdict
from harness.prediction.comparison import (
    AGREES,
    FOLLOWS,
    OF_NEEDS,
    OFTEN,
    Agreement,
    Observation,
    ObservedCheck,
    compared,
)
from harness.prediction.findings import (
    Finding,
    FindingKind,
    NeedOutcome,
    Outcome,
    Prediction,
    Severity,
)
from harness.session.compat import pair


def predicted(outcome: Outcome, *findings: Finding, need: Outcome | None = None) -> Prediction:
    needs = (NeedOutcome("switched", "OnOff.OnOff", "", False, need or outcome),)
    return Prediction("lamp", "switch", outcome, (), findings, needs)


def finding(kind: FindingKind, severity: Severity, need: str = "switched") -> Finding:
    return Finding(kind, severity, "what", None, None, "proposal", need=need)


def seen(
    follows: Verdict, agrees: Verdict | None = None, *others: ObservedCheck, ended: str = "complete"
) -> Observation:
    second = Verdict.PASS if agrees is None and follows is Verdict.PASS else agrees or Verdict.INCONCLUSIVE
    of_need = (
        ObservedCheck(FOLLOWS, "switch.switched/lamp", follows, "message", (1,), "switched"),
        ObservedCheck(AGREES, "switch.switched/lamp", second, "message", (1,), "switched"),
    )
    return Observation((*of_need, *others), "trace.jsonl", 0.1, ended)


def shared(name: str, verdict: Verdict) -> ObservedCheck:
    return ObservedCheck(name, "", verdict, "message", (1,))


def often(verdict: Verdict) -> ObservedCheck:
    return ObservedCheck(OFTEN, "switch.switched/lamp", verdict, "message", (1,), "switched")


PASS, FAIL = Verdict.PASS, Verdict.FAIL
WORKS = predicted(Outcome.WORKS)
BLOCKED = predicted(Outcome.BLOCKED, finding(FindingKind.RANGE, Severity.BLOCKS))
SECURED = predicted(Outcome.BLOCKED, finding(FindingKind.SECURITY, Severity.BLOCKS))
DEGRADED = predicted(Outcome.DEGRADED, finding(FindingKind.RANGE, Severity.DEGRADES))
OVERLOAD = predicted(Outcome.BLOCKED, finding(FindingKind.CURRENT, Severity.BLOCKS, ""), need=Outcome.WORKS)
COLLISION = predicted(
    Outcome.BLOCKED, finding(FindingKind.CLIENT_ID, Severity.BLOCKS, ""), need=Outcome.WORKS
)
PLUGGED = Prediction("plug", "fridge", Outcome.WORKS, plugs=Outcome.WORKS)
RARE = predicted(Outcome.BLOCKED, finding(FindingKind.DEADLINE, Severity.BLOCKS))
UNRELATED = Prediction("lamp", "stone", Outcome.UNRELATED)


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
        (PLUGGED, Observation((shared("COMPAT-10", PASS),), "", 0.1), Agreement.UNSHOWN),
        (PLUGGED, Observation((shared("COMPAT-10", FAIL),), "", 0.1), Agreement.DIFFERS),
        (UNRELATED, Observation((shared("COMPAT-10", PASS),), "", 0.1), Agreement.AGREES),
        (UNRELATED, Observation((shared("COMPAT-10", FAIL),), "", 0.1), Agreement.DIFFERS),
    ],
)
def test_a_difference_is_what_no_finding_foretold(
    prediction: Prediction, observation: Observation, agreement: Agreement
) -> None:
    comparison = compared(prediction, observation)
    assert comparison.agreement is agreement
    assert bool(comparison.why) == (agreement is not Agreement.AGREES)


def test_the_checks_of_a_need_are_those_that_there_are() -> None:
    assert OF_NEEDS == pair.OF_NEEDS
