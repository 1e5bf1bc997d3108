from __future__ import annotations

from pathlib import Path

import pytest

from harness.prediction.findings import (
    Finding,
    FindingKind,
    PairOutcome,
    Prediction,
    Severity,
)
from harness.prediction.matrix import (
    OrderedPair,
    covering,
    pair_runs,
    predicted,
    read_entry,
)

PROFILES = sorted((Path(__file__).parent.parent.parent / "profiles").glob("*.yaml"))


@pytest.fixture(scope="module")
def shipped() -> tuple[OrderedPair, ...]:
    return predicted([read_entry(path.stem, path) for path in PROFILES])


def test_all_ordered_pairs_of_the_shipped_profiles_are_predicted(shipped: tuple[OrderedPair, ...]) -> None:
    names = [path.stem for path in PROFILES]
    assert [(pair.offerer, pair.needer) for pair in shipped] == [
        (one, other) for one in names for other in names
    ]


def test_two_units_of_one_device_do_not_claim_the_same_names(shipped: tuple[OrderedPair, ...]) -> None:
    collisions = {FindingKind.CLIENT_ID, FindingKind.TOPIC}
    for pair in shipped:
        if pair.offerer == pair.needer:
            assert not {finding.kind for finding in pair.prediction.findings} & collisions, pair.offerer


def test_each_two_devices_meet_once_with_both_directions(shipped: tuple[OrderedPair, ...]) -> None:
    every = pair_runs(shipped)
    number = len(PROFILES)
    assert len(every) == number * (number + 1) // 2
    assert sum(len(each.pairs) for each in every) == number**2


def test_a_covering_selection_has_every_device_in_both_roles_and_every_way_to_be_bound(
    shipped: tuple[OrderedPair, ...],
) -> None:
    chosen = [pair for each in covering(pair_runs(shipped)) for pair in each.pairs]
    assert len(chosen) < len(shipped)
    assert {pair.offerer for pair in chosen} == {pair.offerer for pair in shipped}
    assert {pair.needer for pair in chosen} == {pair.needer for pair in shipped}

    def bound(pairs: tuple[OrderedPair, ...] | list[OrderedPair]) -> set[tuple[str, ...]]:
        return {(link.term, link.flow, link.via) for pair in pairs for link in pair.prediction.links}

    assert bound(chosen) == bound(shipped)


def test_a_device_is_met_by_one_that_it_has_to_do_with_where_there_is_any() -> None:
    found = Finding(FindingKind.UNIT, Severity.BLOCKS, "what", None, None, "proposal")
    names = ("lamp", "switch", "stone")
    pairs = [
        OrderedPair(
            one,
            other,
            Prediction(one, other, PairOutcome.BLOCKED, (), (found,))
            if (one, other) == ("lamp", "switch")
            else Prediction(one, other, PairOutcome.UNRELATED),
        )
        for one in names
        for other in names
    ]
    chosen = {frozenset((each.first, each.second)) for each in covering(pair_runs(pairs))}
    assert frozenset(("lamp", "switch")) in chosen
    assert any("stone" in each for each in chosen)
