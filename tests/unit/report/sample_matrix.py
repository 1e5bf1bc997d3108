"""A matrix of four devices with a pair of every kind, made by hand."""

from __future__ import annotations

from pathlib import Path

from sample_run import PROFILE

from harness.model.capability import CapabilityTransport
from harness.model.verdict import Verdict
from harness.prediction.comparison import (
    FOLLOWS,
    ObservedCheck,
    PairObservation,
)
from harness.prediction.findings import (
    AffordanceKind,
    BindingEnd,
    Finding,
    FindingKind,
    Flow,
    KeyPlace,
    NeedOutcome,
    PairLink,
    PairOutcome,
    Prediction,
    Severity,
    Via,
)
from harness.prediction.matrix import OrderedPair
from harness.report.matrix.report import (
    DeviceRow,
    Matrix,
    Selection,
    matrix_of,
)

NAMES = ("lamp", "switch", "heater", "meter")


def finding(kind: FindingKind, severity: Severity, what: str, need: str = "switched") -> Finding:
    return Finding(
        kind,
        severity,
        what,
        KeyPlace("lamp", "properties.on", Path("profiles/lamp.yaml"), 12),
        KeyPlace("switch", f"needs.{need}", Path("profiles/switch.yaml"), 7),
        f"another {kind}",
        "OnOff.OnOff",
        need,
    )


def link(offerer: str, needer: str, need: str = "switched") -> PairLink:
    source = BindingEnd(needer, AffordanceKind.EVENT, "key", CapabilityTransport.MQTT, None)
    target = BindingEnd(offerer, AffordanceKind.PROPERTY, "on", CapabilityTransport.MQTT, f"{offerer}/on/set")
    return PairLink(
        need, "capabilities.OnOff.OnOff", "OnOff.OnOff", Flow.COMMAND, source, target, Via.DIRECT, 2.0
    )


def predicted(offerer: str, needer: str) -> Prediction:
    bound = (link(offerer, needer),)
    match offerer, needer:
        case ("lamp", "switch") | ("heater", "switch"):
            return Prediction(offerer, needer, PairOutcome.WORKS, bound, (), needs(PairOutcome.WORKS))
        case ("lamp", "heater"):
            found = finding(FindingKind.RANGE, Severity.DEGRADES, "it goes up to 40, the maximum is 30")
            return Prediction(
                offerer, needer, PairOutcome.DEGRADED, bound, (found,), needs(PairOutcome.DEGRADED)
            )
        case ("lamp", "meter"):
            found = finding(FindingKind.UNIT, Severity.BLOCKS, "nothing makes watts of degrees")
            note = finding(FindingKind.BRIDGE, Severity.NOTE, "something has to speak both")
            return Prediction(
                offerer, needer, PairOutcome.BLOCKED, (), (note, found), needs(PairOutcome.BLOCKED)
            )
    return Prediction(offerer, needer, PairOutcome.UNRELATED)


def needs(outcome: PairOutcome) -> tuple[NeedOutcome, ...]:
    return (NeedOutcome("switched", "OnOff.OnOff", "A thing to switch", False, outcome),)


def check(verdict: Verdict) -> ObservedCheck:
    return ObservedCheck(FOLLOWS, "switched", verdict, f"the lamp came to {verdict}", (4, 7), "switched")


def observed(*checks: ObservedCheck, ended: str = "complete") -> PairObservation:
    return PairObservation(checks, "pairs/lamp-switch/trace.jsonl", 0.25, ended)


PAIRS = tuple(OrderedPair(one, other, predicted(one, other)) for one in NAMES for other in NAMES)
OBSERVATIONS = {
    ("lamp", "switch"): observed(check(Verdict.FAIL)),
    ("heater", "switch"): observed(check(Verdict.PASS)),
    ("lamp", "heater"): observed(check(Verdict.INCONCLUSIVE)),
    ("lamp", "meter"): observed(),
}
SELECTION = Selection(
    pairs="covering",
    observed=4,
    left_out=12,
    runs=4,
    at_once=2,
    processes=1,
    seconds=0.85,
    starting_seconds=0.1,
    slowest_seconds=0.25,
)
ROWS = tuple(DeviceRow(name, PROFILE, f"profiles/{name}.yaml") for name in NAMES)


def matrix(*, seen: bool = True, rows: tuple[DeviceRow, ...] = ROWS) -> Matrix:
    return matrix_of(
        rows,
        PAIRS,
        OBSERVATIONS if seen else {},
        tool_version="0.1.0",
        started="2025-03-04T05:06:07Z",
        seed=7,
        selection=SELECTION if seen else None,
    )
