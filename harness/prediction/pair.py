"""Two devices and both directions between them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.model.loading.units import numbered_units
from harness.prediction.device import (
    Device,
    read_device,
)
from harness.prediction.findings import (
    Outcome,
    Prediction,
)
from harness.prediction.predict import predict

_ORDER = tuple(Outcome)


@dataclass(frozen=True, slots=True)
class Pair:
    """What is to be expected of two devices that are brought together."""

    first: str
    second: str
    directions: tuple[Prediction, Prediction]

    @property
    def outcome(self) -> Outcome:
        """The worse one of both directions."""
        return max((each.outcome for each in self.directions), key=_ORDER.index)


def pair_of(first: Device, second: Device) -> Pair:
    """Both directions: what the second one needs of the first, and the other way round."""
    return Pair(first.name, second.name, (predict(first, second), predict(second, first)))


def read_pair(first: Path, second: Path) -> tuple[Device, Device]:
    """Two devices from their files; two of one unit become two units. Raises ProfileError."""
    one, other = read_device(first), read_device(second)
    if one.profile.unit == other.profile.unit:
        (unit,) = numbered_units(other.profile.unit, 1)
        other = read_device(second, unit=unit)
    return one, other
