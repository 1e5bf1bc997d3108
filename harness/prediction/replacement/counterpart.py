"""Finds the counterpart of an old device's capability in a new device, or an equivalent."""

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
    """The capability of the new device that corresponds to one of ``offers``, the old cluster's.

    Parts are matched by their labels. If no label exists any more, they are matched in order, provided that
    there are enough: a freezer does not replace a fridge.
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
    """For a command that the new device lacks: a finding if setting an attribute has the same effect."""
    sets = offered.term.sets
    if sets is None:
        return None
    for each in new.offers.get(offered.term.cluster, ()):
        if each.term.name != sets.attribute or not each.writable or each.label != offered.label:
            continue
        target = Side(each.schema, each.term.schema, each.offer.values)
        if sets.value is None or not fit_of_constants(((None, sets.value),), target).gaps:
            what = f"{offered.term.path} is replaced by setting {each.term.path} at {new.name}"
            left, right = tuple(offered.key.split(".")), tuple(each.key.split("."))
            proposal = "a hub that knows the new device"
            return Conflict(FindingKind.NAMES, Severity.DEGRADES, what, left, right, proposal)
    return None


def set_otherwise(offered: Offered, new: Device) -> bool:
    """Whether the new device has a command for each value of a writable attribute of the old one."""
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
