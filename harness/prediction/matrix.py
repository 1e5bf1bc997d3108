"""The ordered pairs of many devices: their predictions, and a covering selection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


@dataclass(frozen=True, slots=True)
class Entry:
    """A device of the matrix, and a second unit of it for the diagonal.

    ``name`` is unique within the matrix.
    """

    name: str
    path: Path
    device: Device
    twin: Device


def read_entry(name: str, path: Path) -> Entry:
    """Read the device of a profile. Raises ProfileError."""
    device = read_device(path)
    (unit,) = numbered_units(device.profile.unit, 1)
    return Entry(name, path, device, read_device(path, unit=unit))


@dataclass(frozen=True, slots=True)
class OrderedPair:
    """Two devices by their names in the matrix, and the prediction for them."""

    offerer: str
    needer: str
    prediction: Prediction


def predicted(entries: Sequence[Entry]) -> tuple[OrderedPair, ...]:
    """The prediction of every ordered pair."""
    return tuple(
        OrderedPair(
            offerer.name,
            needer.name,
            predict(offerer.device, needer.twin if needer is offerer else needer.device),
        )
        for offerer in entries
        for needer in entries
    )


@dataclass(frozen=True, slots=True)
class PairRun:
    """One run of two devices, which shows both directions. On the diagonal both names are equal."""

    first: str
    second: str
    pairs: tuple[OrderedPair, ...]


def pair_runs(pairs: Sequence[OrderedPair]) -> tuple[PairRun, ...]:
    """A run for every two devices, with their ordered pairs."""
    grouped: dict[frozenset[str], list[OrderedPair]] = {}
    for pair in pairs:
        grouped.setdefault(frozenset((pair.offerer, pair.needer)), []).append(pair)
    return tuple(PairRun(group[0].offerer, group[0].needer, tuple(group)) for group in grouped.values())


def covering(every: Sequence[PairRun]) -> tuple[PairRun, ...]:
    """A selection of runs in which everything occurs at least once.

    That is: every term with each flow and each kind of finding; and every device as offerer and as needer,
    in a related pair where there is one. The run that adds most is taken first (of equals, the first one).
    """
    related = [
        pair for each in every for pair in each.pairs if pair.prediction.outcome is not PairOutcome.UNRELATED
    ]
    offering, needing = {pair.offerer for pair in related}, {pair.needer for pair in related}

    def goals(pair: OrderedPair) -> Iterator[tuple[str, ...]]:
        is_related = pair.prediction.outcome is not PairOutcome.UNRELATED
        if is_related or pair.offerer not in offering:
            yield "offers", pair.offerer
        if is_related or pair.needer not in needing:
            yield "needs", pair.needer
        for link in pair.prediction.links:
            yield "link", link.term, link.flow, link.via
        for finding in pair.prediction.findings:
            yield "finding", finding.kind, finding.severity, finding.term

    left = {at: {goal for pair in each.pairs for goal in goals(pair)} for at, each in enumerate(every)}
    missing = set().union(*left.values())
    chosen = []
    while missing:
        best = max(left, key=lambda at: len(left[at] & missing))
        chosen.append(best)
        missing -= left.pop(best)
    return tuple(every[at] for at in sorted(chosen))
