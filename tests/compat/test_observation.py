from __future__ import annotations

import pytest

from harness.compat.observation import Agreement, Observation, ObservedCheck, compared
from harness.compat.prediction import (
    AffordanceKind,
    End,
    Finding,
    FindingKind,
    Flow,
    Link,
    Outcome,
    Prediction,
    Severity,
    Via,
)
from harness.model.capability import Transport
from harness.model.verdict import Verdict

END = End("lamp", AffordanceKind.PROPERTY, "on", Transport.MQTT, "lamp/on/set")
LINK = Link("switched", "capabilities.OnOff", "OnOff.OnOff", Flow.COMMAND, END, END, Via.DIRECT, 1.0)


def predicted(outcome: Outcome, *findings: Finding, bound: bool = True) -> Prediction:
    return Prediction("lamp", "switch", outcome, (LINK,) if bound else (), findings)


def finding(kind: FindingKind, severity: Severity, need: str = "switched") -> Finding:
    return Finding(kind, severity, "what", None, None, "proposal", need=need)


def seen(*verdicts: Verdict, need: str = "switched", ended: str = "complete") -> Observation:
    checks = tuple(ObservedCheck("COMPAT-20", need, verdict, "message", (1,), need) for verdict in verdicts)
    return Observation(checks, "trace.jsonl", 0.1, ended)


WORKS = predicted(Outcome.WORKS)
BLOCKED = predicted(Outcome.BLOCKED, finding(FindingKind.RANGE, Severity.BLOCKS), bound=False)
DEGRADED = predicted(Outcome.DEGRADED, finding(FindingKind.RANGE, Severity.DEGRADES))
OVERLOAD = predicted(Outcome.BLOCKED, finding(FindingKind.CURRENT, Severity.BLOCKS, need=""))
COLLISION = predicted(Outcome.BLOCKED, finding(FindingKind.CLIENT_ID, Severity.BLOCKS, need=""), bound=False)


@pytest.mark.parametrize(
    ("prediction", "observation", "agreement"),
    [
        (WORKS, seen(Verdict.PASS), Agreement.AGREES),
        (WORKS, seen(Verdict.FAIL), Agreement.DIFFERS),
        (WORKS, seen(Verdict.PASS, Verdict.FAIL), Agreement.DIFFERS),
        (WORKS, seen(Verdict.INCONCLUSIVE), Agreement.UNDECIDED),
        (WORKS, seen(), Agreement.UNDECIDED),
        (WORKS, seen(Verdict.ERROR), Agreement.UNDECIDED),
        (WORKS, seen(Verdict.PASS, ended="deadline"), Agreement.UNDECIDED),
        (WORKS, seen(Verdict.FAIL, ended="deadline"), Agreement.DIFFERS),
        (BLOCKED, seen(), Agreement.AGREES),
        (BLOCKED, seen(Verdict.FAIL), Agreement.AGREES),
        (BLOCKED, seen(Verdict.PASS), Agreement.DIFFERS),
        (DEGRADED, seen(Verdict.PASS), Agreement.AGREES),
        (DEGRADED, seen(Verdict.FAIL), Agreement.AGREES),
        (DEGRADED, seen(Verdict.FAIL, need="other"), Agreement.DIFFERS),
        (OVERLOAD, seen(Verdict.PASS), Agreement.AGREES),
        (OVERLOAD, seen(Verdict.FAIL), Agreement.DIFFERS),
        (COLLISION, seen(Verdict.FAIL, need=""), Agreement.AGREES),
    ],
)
def test_a_difference_is_what_no_finding_foretold(
    prediction: Prediction, observation: Observation, agreement: Agreement
) -> None:
    comparison = compared(prediction, observation)
    assert comparison.agreement is agreement
    assert bool(comparison.why) == (agreement is not Agreement.AGREES)
