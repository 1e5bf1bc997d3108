"""What of a new device stands for a capability of the old one, and what comes to the same."""

from __future__ import annotations

from collections.abc import Sequence

from harness.model.schema import DataType
from harness.model.semantics.mapping import Offered
from harness.prediction.device import (
    Conflict,
    Device,
)
from harness.prediction.findings import (
    FindingKind,
    Severity,
)
from harness.prediction.values.conversion import (
    Side,
    fit_of_constants,
)


def counterpart(offered: Offered, offers: Sequence[Offered], new: Device) -> Offered | None:
    """The capability of the new device that stands for one of ``offers``, those of the old one's cluster.

    Parts are told apart by their labels. Where no label is known any more, they are taken in their order, if
    there are enough of them: the freezer is not a stand-in for the fridge.
    """
    there = [each for each in new.offers.get(offered.term.cluster, ()) if each.term.path == offered.term.path]
    by_label = {each.label: each for each in there}
    if offered.label in by_label:
        return by_label[offered.label]
    here = [each for each in offers if each.term.path == offered.term.path]
    if len(there) < len(here) or any(each.label in by_label for each in here):
        return None
    return there[here.index(offered)]


def other_way(offered: Offered, new: Device) -> Conflict | None:
    """Of a command that the new device lacks: that setting the attribute comes to the same, if it does."""
    sets = offered.term.sets
    if sets is None:
        return None
    for each in new.offers.get(offered.term.cluster, ()):
        if each.term.name != sets.attribute or not each.writable or each.label != offered.label:
            continue
        target = Side(each.schema, each.term.schema, each.offer.values)
        if sets.value is None or not fit_of_constants(((None, sets.value),), target).gaps:
            what = f"{offered.term.path} is done by setting {each.term.path} at {new.name}"
            left, right = tuple(offered.key.split(".")), tuple(each.key.split("."))
            proposal = "a home in which a hub knows the device"
            return Conflict(FindingKind.NAMES, Severity.DEGRADES, what, left, right, proposal)
    return None


def set_otherwise(offered: Offered, new: Device) -> bool:
    """Whether the new device has commands for each value to which the old attribute could be set."""
    commands = [
        each
        for each in new.offers.get(offered.term.cluster, ())
        if each.term.sets is not None and each.term.sets.attribute == offered.term.name
    ]
    if any(each.term.sets is not None and each.term.sets.value is None for each in commands):
        return True
    schema = offered.term.schema
    if schema is None or schema.type is not DataType.BOOLEAN:
        return False
    return {each.term.sets.value for each in commands if each.term.sets is not None} == {True, False}
