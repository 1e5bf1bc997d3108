"""Whether a new device can be plugged in where the old one was, and can supply the same devices."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.problems import Path
from harness.model.ratings import Connector, Rating, Span
from harness.prediction.device import (
    Conflict,
    Device,
)
from harness.prediction.findings import (
    FindingKind,
    Severity,
)


def rating_losses(old: Device, new: Device) -> Iterator[Conflict]:
    """What the new device's ratings lose. Outlets and inlets are compared in order."""
    for index, before in enumerate(old.profile.ratings.supplies):
        path: Path = ("ratings", "supplies", index)
        if index >= len(new.profile.ratings.supplies):
            what = f"{old.name} has a {before.connector} outlet, {new.name} has none"
            gone = ("ratings",)
            yield Conflict(
                FindingKind.CONNECTOR, Severity.BLOCKS, what, path, gone, "a device with that outlet"
            )
        else:
            yield from _supplies_less(before, new.profile.ratings.supplies[index], new.name, path)
    for index, after in enumerate(new.profile.ratings.draws):
        path = ("ratings", "draws", index)
        if index < len(old.profile.ratings.draws):
            yield from _draws_more(old.profile.ratings.draws[index], after, new.name, path)
        else:
            what = f"{new.name} needs a socket for {after.connector}, {old.name} did not"
            there: Path = ("ratings",)
            yield Conflict(FindingKind.CONNECTOR, Severity.DEGRADES, what, there, path, "a socket for it")


def _supplies_less(before: Rating, after: Rating, name: str, path: Path) -> Iterator[Conflict]:
    def conflict(kind: FindingKind, key: str, what: str, severity: Severity = Severity.BLOCKS) -> Conflict:
        return Conflict(kind, severity, what, (*path, key), (*path, key), "the plugged-in devices need it")

    if not all(plug.fits(after.connector) for plug in Connector if plug.fits(before.connector)):
        what = f"plugs for {before.connector} do not fit the {after.connector} of {name}"
        yield conflict(FindingKind.CONNECTOR, "connector", what)
    if not _inside(after.voltage, before.voltage):
        what = f"{name} supplies {_span(after.voltage)} V instead of {_span(before.voltage)} V"
        yield conflict(FindingKind.VOLTAGE, "voltage", what, _span_severity(after.voltage, before.voltage))
    if bool(before.frequency) != bool(after.frequency):
        what = f"{name} supplies {'alternating' if after.frequency else 'direct'} current"
        yield conflict(FindingKind.FREQUENCY, "frequency", what)
    elif before.frequency and after.frequency and not _inside(after.frequency, before.frequency):
        what = f"{name} supplies {_span(after.frequency)} Hz instead of {_span(before.frequency)} Hz"
        yield conflict(
            FindingKind.FREQUENCY, "frequency", what, _span_severity(after.frequency, before.frequency)
        )
    if after.current < before.current:
        what = f"{name} supplies {after.current:g} A instead of {before.current:g} A"
        yield conflict(FindingKind.CURRENT, "current", what)
    if after.power and before.power and after.power < before.power:
        what = f"{name} supplies {after.power:g} W instead of {before.power:g} W"
        yield conflict(FindingKind.POWER, "power", what)
    if after.phases < before.phases:
        yield conflict(FindingKind.PHASES, "phases", f"{name} supplies one phase instead of three")
    if before.earthed and not after.earthed:
        yield conflict(FindingKind.EARTH, "earthed", f"{name} supplies no protective earth")


def _draws_more(before: Rating, after: Rating, name: str, path: Path) -> Iterator[Conflict]:
    def conflict(kind: FindingKind, key: str, what: str, severity: Severity = Severity.DEGRADES) -> Conflict:
        return Conflict(kind, severity, what, (*path, key), (*path, key), "check the socket")

    if not all(after.connector.fits(socket) for socket in Connector if before.connector.fits(socket)):
        what = f"the {after.connector} of {name} does not fit sockets for the {before.connector}"
        yield conflict(FindingKind.CONNECTOR, "connector", what, Severity.BLOCKS)
    if not _inside(before.voltage, after.voltage):
        what = f"{name} needs {_span(after.voltage)} V instead of {_span(before.voltage)} V"
        yield conflict(FindingKind.VOLTAGE, "voltage", what, _span_severity(before.voltage, after.voltage))
    if bool(before.frequency) != bool(after.frequency):
        what = f"{name} needs {'alternating' if after.frequency else 'direct'} current"
        yield conflict(FindingKind.FREQUENCY, "frequency", what, Severity.BLOCKS)
    elif before.frequency and after.frequency and not _inside(before.frequency, after.frequency):
        what = f"{name} needs {_span(after.frequency)} Hz instead of {_span(before.frequency)} Hz"
        yield conflict(
            FindingKind.FREQUENCY, "frequency", what, _span_severity(before.frequency, after.frequency)
        )
    if after.current > before.current:
        what = f"{name} draws up to {after.current:g} A instead of {before.current:g} A"
        yield conflict(FindingKind.CURRENT, "current", what)
    if after.power and before.power and after.power > before.power:
        what = f"{name} draws up to {after.power:g} W instead of {before.power:g} W"
        yield conflict(FindingKind.POWER, "power", what)
    if after.phases > before.phases:
        yield conflict(FindingKind.PHASES, "phases", f"{name} needs three phases", Severity.BLOCKS)
    if after.earthed and not before.earthed:
        yield conflict(FindingKind.EARTH, "earthed", f"{name} needs protective earth")


def _inside(inner: Span, outer: Span) -> bool:
    return outer.minimum <= inner.minimum and inner.maximum <= outer.maximum


def _span_severity(supplied: Span, drawn: Span) -> Severity:
    apart = supplied.maximum < drawn.minimum or supplied.minimum > drawn.maximum
    return Severity.BLOCKS if apart else Severity.NOTE


def _span(span: Span) -> str:
    return f"{span.minimum:g}" if span.minimum == span.maximum else f"{span.minimum:g} to {span.maximum:g}"
