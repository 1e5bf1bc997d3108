"""The prediction for an ordered pair of devices, from their profiles alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from harness.prediction.coexistence import (
    claims_of,
    collisions,
)
from harness.prediction.device import (
    Conflict,
    Device,
)
from harness.prediction.electric import plugged
from harness.prediction.findings import (
    Finding,
    NeedOutcome,
    PairOutcome,
    Prediction,
    Severity,
    outcome_of,
)
from harness.prediction.matching import (
    Assessment,
    assess,
    severity_rank,
    worst,
)

_ORDER = (Severity.BLOCKS, Severity.DEGRADES, Severity.NOTE)
_MILDER = {Severity.BLOCKS: Severity.DEGRADES, Severity.DEGRADES: Severity.NOTE, Severity.NOTE: Severity.NOTE}


@dataclass(frozen=True, slots=True)
class Summary:
    """The overall result of a pair.

    ``milder``: findings about optional needs count one level less, since at least one need is met. A pair of
    which no need is met is blocked.
    """

    outcome: PairOutcome
    milder: bool


def summarize(
    needs: Sequence[tuple[bool, Severity | None]],
    power: Severity | None,
    shared: Severity | None,
    plugs: bool,
) -> Summary:
    """The outcome for needs (each: optional or not, worst severity), power and shared names.

    ``plugs`` is whether one can be plugged into the other at all.
    """
    served = any(severity is not Severity.BLOCKS for _, severity in needs)
    severities = [
        _MILDER[severity] if optional and served else severity
        for optional, severity in needs
        if severity is not None
    ]
    severities += [severity for severity in (power, shared) if severity is not None]
    return Summary(outcome_of(severities, related=bool(needs) or plugs), served)


def predict(offerer: Device, needer: Device) -> Prediction:
    """Predict how well ``needer`` can use ``offerer``."""
    assessments = [found for need in needer.needs if (found := assess(needer, need, offerer)) is not None]
    ways = plugged(offerer.profile, needer.profile)
    power: list[Conflict] = min(ways, key=severity_rank, default=[])
    shared = list(collisions(claims_of(offerer.profile), claims_of(needer.profile)))
    summary = summarize(
        [(each.needed.need.optional, each.worst) for each in assessments],
        worst(power),
        worst(shared),
        bool(ways),
    )
    findings = _once([*_findings(offerer, needer, assessments, summary.milder)])
    findings += [conflict.between(offerer, needer) for conflict in (*power, *shared)]
    findings.sort(key=lambda finding: _ORDER.index(finding.severity))
    links = tuple(link for each in assessments for link in each.links if each.worst is not Severity.BLOCKS)
    return Prediction(
        offerer.name,
        needer.name,
        summary.outcome,
        links,
        tuple(findings),
        tuple(map(_need_outcome, assessments)),
        outcome_of([conflict.severity for conflict in power], related=True) if ways else None,
    )


def _need_outcome(found: Assessment) -> NeedOutcome:
    need = found.needed.need
    outcome = outcome_of([conflict.severity for conflict in found.conflicts], related=True)
    return NeedOutcome(found.needed.name, found.needed.term.path, need.title or "", need.optional, outcome)


def _once(findings: Sequence[Finding]) -> list[Finding]:
    """Findings without duplicates that another need has already reported."""
    kept: dict[tuple[object, ...], Finding] = {}
    for each in findings:
        kept.setdefault((each.kind, each.severity, each.what, each.right), each)
    return list(kept.values())


def _findings(
    offerer: Device, needer: Device, assessments: Sequence[Assessment], milder: bool
) -> Iterator[Finding]:
    for each in assessments:
        optional = each.needed.need.optional and milder
        for conflict in each.conflicts:
            found = replace(conflict, severity=_MILDER[conflict.severity]) if optional else conflict
            yield found.between(offerer, needer, term=each.needed.term.path, need=each.needed.name)
