"""Predictions for many devices say of each pair what the prediction for that pair alone says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.prediction.batch import (
    Predictions,
    predict_all,
)
from harness.prediction.device import (
    Device,
    read_device,
)
from harness.prediction.findings import PairOutcome
from harness.prediction.predict import predict
from tests.compat.generated import generated
from tests.compat.seeds import COMPATIBLE, SEEDS, base, changed

SHIPPED = sorted((Path(__file__).parents[2] / "profiles").glob("*.yaml"))


def assert_same(devices: Sequence[Device], found: Predictions) -> None:
    for offerer, one in enumerate(devices):
        for needer, other in enumerate(devices):
            if offerer != needer:
                alone = predict(one, other)
                assert found.outcome(offerer, needer) is alone.outcome, (one.name, other.name)
                assert found.kinds(offerer, needer) == {each.kind for each in alone.findings}


@pytest.mark.parametrize("seed", [1, 2])
def test_of_generated_profiles_every_pair_is_as_alone(seed: int) -> None:
    devices = generated(48, seed)
    found = predict_all(devices)
    assert_same(devices, found)
    counts = found.counts()
    assert sum(counts.values()) == len(devices) ** 2
    assert all(counts[outcome] for outcome in PairOutcome), "all outcomes are there to be told apart"


def test_of_all_seeds_and_harmless_changes_every_pair_is_as_alone() -> None:
    # What a comparison depends on must not be left out of what it is remembered by: here each of it differs.
    one, other = base()
    offerers = [one, *(changed(one, seed.offerer) for seed in SEEDS if seed.offerer)]
    needers = [other, *(changed(other, seed.needer) for seed in SEEDS if seed.needer)]
    for offers, needs in COMPATIBLE.values():
        offerers += [changed(one, offers)] if offers else []
        needers += [changed(other, needs)] if needs else []
    devices = [*offerers, *needers]
    assert_same(devices, predict_all(devices))


def test_of_shipped_profiles_every_pair_is_as_alone() -> None:
    devices = [read_device(path) for path in SHIPPED]
    assert_same(devices, predict_all(devices))


def test_a_device_is_not_compared_with_itself() -> None:
    device, _ = base()
    found = predict_all([device])
    assert found.outcome(0, 0) is PairOutcome.UNRELATED
    twice = predict_all([device, replace(device)])
    assert twice.outcome(0, 1) is PairOutcome.BLOCKED, "two of one unit collide"
