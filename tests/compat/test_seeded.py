"""Every seeded incompatibility is predicted by its kind, and nothing is held against pairs that work."""

from __future__ import annotations

import pytest

from harness.prediction.device import Device
from harness.prediction.findings import (
    Finding,
    FindingKind,
    PairOutcome,
    Severity,
)
from harness.prediction.predict import predict
from tests.compat.seeds import COMPATIBLE, NEEDER, OFFERER, SEEDS, Change, Seed, base, changed

OUTCOMES = {
    Severity.BLOCKS: PairOutcome.BLOCKED,
    Severity.DEGRADES: PairOutcome.DEGRADED,
    Severity.NOTE: PairOutcome.WORKS,
}


def found(seed: Seed) -> tuple[Finding, ...]:
    offerer, needer = seed.pair()
    return tuple(each for each in predict(offerer, needer).findings if each.kind is seed.kind)


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.name)
def test_a_seeded_incompatibility_is_found_by_its_kind(seed: Seed) -> None:
    prediction = predict(*seed.pair())
    hits = [each for each in prediction.findings if each.kind is seed.kind]
    assert seed.severity in [each.severity for each in hits]
    assert prediction.outcome is OUTCOMES[seed.severity]
    places = [place for each in hits for place in (each.left, each.right) if place is not None]
    assert seed.key.removeprefix("needer:") in [place.key for place in places]
    # Nothing else is held against the pair that is worse than the seed.
    others = [each for each in prediction.findings if each.kind is not seed.kind]
    assert not [each for each in others if each.severity is Severity.BLOCKS]


@pytest.mark.parametrize("name", COMPATIBLE)
def test_nothing_is_held_against_pairs_that_work(name: str) -> None:
    one, other = base()
    offers, needs = COMPATIBLE[name]
    prediction = predict(changed(one, offers), changed(other, needs))
    assert prediction.outcome is PairOutcome.WORKS, prediction.findings
    assert FindingKind.REFUSAL not in {each.kind for each in prediction.findings}
    assert {each.outcome for each in prediction.needs} == {PairOutcome.WORKS}
    assert prediction.plugs is PairOutcome.WORKS


def test_a_finding_names_file_line_and_key_of_both_profiles() -> None:
    (seed,) = (each for each in SEEDS if each.name == "range-narrower")
    (finding,) = found(seed)
    assert finding.left is not None and finding.right is not None
    assert (finding.left.file, finding.left.key) == (OFFERER, "properties.target.maximum")
    assert "maximum: 30" in OFFERER.read_text().splitlines()[finding.left.line - 1]
    assert (finding.right.file, finding.right.key) == (NEEDER, "needs.warmth.by[0]")
    assert "knob" in NEEDER.read_text().splitlines()[finding.right.line - 1]
    assert "ranges" in finding.what or "can be" in finding.what
    assert finding.proposal


def optional(change: Change) -> tuple[Device, Device]:
    one, other = base()
    return changed(one, change), changed(other, {"needs": {"warmth": {"optional": True}}})


def test_what_is_optional_does_less_harm() -> None:
    prediction = predict(*optional({"properties": {"target": {"readOnly": True}}}))
    assert prediction.outcome is PairOutcome.DEGRADED
    assert [each.severity for each in prediction.findings] == [Severity.DEGRADES]


def test_a_pair_of_which_nothing_optional_works_is_blocked() -> None:
    one, other = base()
    only = {name: None for name in other.profile.needs if name != "warmth"}
    other = changed(other, {"needs": {**only, "warmth": {"optional": True}}})
    one = changed(one, {"properties": {"target": {"readOnly": True}}})
    assert predict(one, other).outcome is PairOutcome.BLOCKED


def test_there_are_at_least_25_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{'seeded incompatibility':<32} {'kind':<14} {'predicted':<10} {'as':<10} on the wire")
        for seed in SEEDS:
            hits = found(seed)
            severity = hits[0].severity if hits else "not"
            said, shows = "yes" if hits else "NO", seed.shown_by or "-"
            print(f"{seed.name:<32} {seed.kind:<14} {said:<10} {severity:<10} {shows}")
        kinds = {seed.kind for seed in SEEDS}
        shown = sum(bool(seed.shown_by) for seed in SEEDS)
        print(f"{len(SEEDS)} seeds of {len(kinds)} kinds, {shown} show on a wire")
    assert len(kinds) >= 25
    assert len({seed.name for seed in SEEDS}) == len(SEEDS)


def test_what_concerns_several_needs_alike_is_told_once() -> None:
    offerer, needer = base()
    prediction = predict(changed(offerer, {"bindings": {"mqtt": {"login": True}}}), needer)
    assert len([need for need in prediction.needs if need.outcome is not PairOutcome.BLOCKED]) > 1
    assert [each.kind for each in prediction.findings].count(FindingKind.SECURITY) == 1
