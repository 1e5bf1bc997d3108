"""The predictions for two devices in both directions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.model.loading.units import numbered_units
from harness.prediction.device import (
    Device,
    read_device,
)
from harness.prediction.findings import (
    PairOutcome,
    Prediction,
)
from harness.prediction.predict import predict

_ORDER = tuple(PairOutcome)


@dataclass(frozen=True, slots=True)
class Pair:
    """The predictions for two devices in one home."""

    first: str
    second: str
    directions: tuple[Prediction, Prediction]

    @property
    def outcome(self) -> PairOutcome:
        """The worse outcome of the two directions."""
        return max((each.outcome for each in self.directions), key=_ORDER.index)


def pair_of(first: Device, second: Device) -> Pair:
    """Predict both directions: what the second device needs from the first, and the reverse."""
    return Pair(first.name, second.name, (predict(first, second), predict(second, first)))


def read_pair(first: Path, second: Path) -> tuple[Device, Device]:
    """Read two devices. If both have the same unit, the second one gets another. Raises ProfileError."""
    one, other = read_device(first), read_device(second)
    if one.profile.unit == other.profile.unit:
        (unit,) = numbered_units(other.profile.unit, 1)
        other = read_device(second, unit=unit)
    return one, other
