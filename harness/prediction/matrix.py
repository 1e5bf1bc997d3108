"""Every ordered pair of many devices: what is predicted, and a selection that covers all that there is."""

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
    Outcome,
    Prediction,
)
from harness.prediction.predict import predict


@dataclass(frozen=True, slots=True)
class Entry:
    """A device of the matrix: one unit, and a second one that it is paired with on the diagonal.

    ``name`` is unique within the matrix.
    """

    name: str
    path: Path
    device: Device
    twin: Device


def read_entry(name: str, path: Path) -> Entry:
    """The device of a profile. Raises ProfileError."""
    device = read_device(path)
    (unit,) = numbered_units(device.profile.unit, 1)
    return Entry(name, path, device, read_device(path, unit=unit))


@dataclass(frozen=True, slots=True)
class OrderedPair:
    """Two devices by their names in the matrix, and what is predicted of them."""

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
    """Two devices that are brought together once, which shows both directions. ``second`` may be the twin."""

    first: str
    second: str
    pairs: tuple[OrderedPair, ...]


def meetings(pairs: Sequence[OrderedPair]) -> tuple[PairRun, ...]:
    """Each two devices once, with the ordered pairs that they make."""
    grouped: dict[frozenset[str], list[OrderedPair]] = {}
    for pair in pairs:
        grouped.setdefault(frozenset((pair.offerer, pair.needer)), []).append(pair)
    return tuple(PairRun(group[0].offerer, group[0].needer, tuple(group)) for group in grouped.values())


def covering(every: Sequence[PairRun]) -> tuple[PairRun, ...]:
    """Meetings in which everything occurs that occurs in any of them.

    That is: every term with the way in which it is used, and with each kind of finding about it; and every
    device as offerer and as needer, of one that has to do with it where there is any. Taken is, again and
    again, the meeting that adds most (of equals, the first one).
    """
    related = [
        pair for each in every for pair in each.pairs if pair.prediction.outcome is not Outcome.UNRELATED
    ]
    offering, needing = {pair.offerer for pair in related}, {pair.needer for pair in related}

    def goals(pair: OrderedPair) -> Iterator[tuple[str, ...]]:
        is_related = pair.prediction.outcome is not Outcome.UNRELATED
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
