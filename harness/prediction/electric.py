"""Whether one device can be plugged into another: connector, voltage, current, power, earth."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from harness.model.problems import Path
from harness.model.profile import Profile
from harness.model.ratings import Connector, Rating, Span
from harness.prediction.device import Conflict
from harness.prediction.findings import (
    FindingKind,
    Severity,
)


class Family(StrEnum):
    """Groups of connectors. Only connectors of one group are compared."""

    HOUSEHOLD = "household"
    VEHICLE = "vehicle"
    USB = "usb"
    APPLIANCE = "appliance"
    FIXED = "fixed"


_FAMILIES = {
    Connector.IEC_62196_TYPE_1: Family.VEHICLE,
    Connector.IEC_62196_TYPE_2: Family.VEHICLE,
    Connector.USB_A: Family.USB,
    Connector.USB_C: Family.USB,
    Connector.IEC_60320_C7: Family.APPLIANCE,
    Connector.FIXED: Family.FIXED,
}

# These negotiate the current first, so that a weak supply makes charging slow, but not dangerous.
_AGREED = (Family.VEHICLE, Family.USB)


def family(connector: Connector) -> Family:
    """The family of a connector."""
    return _FAMILIES.get(connector, Family.HOUSEHOLD)


def plugged(supplier: Profile, drawer: Profile) -> list[list[Conflict]]:
    """The conflicts of each plausible way to plug ``drawer`` into ``supplier``."""
    found = []
    for there, draws in enumerate(drawer.ratings.draws):
        for here, supplies in enumerate(supplier.ratings.supplies):
            if family(draws.connector) is family(supplies.connector):
                paths: tuple[Path, Path] = ("ratings", "supplies", here), ("ratings", "draws", there)
                found.append(list(_conflicts(supplies, draws, supplier.profile, drawer.profile, *paths)))
    return found


def _conflicts(
    supplies: Rating, draws: Rating, supplier: str, drawer: str, left: Path, right: Path
) -> Iterator[Conflict]:
    def conflict(kind: FindingKind, severity: Severity, key: str, what: str, proposal: str) -> Conflict:
        return Conflict(kind, severity, what, (*left, key), (*right, key), proposal)

    blocks, degrades = Severity.BLOCKS, Severity.DEGRADES
    agreed = family(draws.connector) in _AGREED
    if not draws.connector.fits(supplies.connector):
        what = f"the {draws.connector} of {drawer} does not fit the {supplies.connector} of {supplier}"
        yield conflict(FindingKind.CONNECTOR, blocks, "connector", what, "an adapter, if all else fits")
    if draws.earthed and not supplies.earthed:
        what = f"{drawer} needs protective earth, {supplier} has none"
        yield conflict(FindingKind.EARTH, blocks, "earthed", what, "an earthed socket")
    if draws.phases > supplies.phases:
        what = f"{drawer} needs three phases, {supplier} has one"
        severity = degrades if agreed else blocks
        yield conflict(FindingKind.PHASES, severity, "phases", what, "a supply with three phases")
    if bool(draws.frequency) != bool(supplies.frequency):
        kinds = (
            "alternating" if draws.frequency else "direct",
            "alternating" if supplies.frequency else "direct",
        )
        what = f"{drawer} needs {kinds[0]} current, {supplier} supplies {kinds[1]} current"
        yield conflict(FindingKind.FREQUENCY, blocks, "frequency", what, "a power supply between the two")
    elif (
        draws.frequency
        and supplies.frequency
        and (severity_of := _mismatch(supplies.frequency, draws.frequency, agreed=False))
    ):
        what = (
            f"{drawer} needs {_span(draws.frequency)} Hz, {supplier} supplies {_span(supplies.frequency)} Hz"
        )
        yield conflict(FindingKind.FREQUENCY, severity_of, "frequency", what, "mains of the right frequency")
    if severity_of := _mismatch(supplies.voltage, draws.voltage, agreed=agreed):
        what = f"{drawer} needs {_span(draws.voltage)} V, {supplier} supplies {_span(supplies.voltage)} V"
        proposal = "a transformer" if severity_of is blocks else "mains of the right voltage"
        yield conflict(FindingKind.VOLTAGE, severity_of, "voltage", what, proposal)
    weak = degrades if agreed else blocks
    if draws.current > supplies.current:
        what = f"{drawer} draws up to {draws.current:g} A, {supplier} supplies {supplies.current:g} A"
        yield conflict(FindingKind.CURRENT, weak, "current", what, f"a supply of {draws.current:g} A")
    if draws.power and supplies.power and draws.power > supplies.power:
        what = f"{drawer} draws up to {draws.power:g} W, {supplier} supplies {supplies.power:g} W"
        yield conflict(FindingKind.POWER, weak, "power", what, f"a supply of {draws.power:g} W")


def _mismatch(supplied: Span, drawn: Span, *, agreed: bool) -> Severity | None:
    """The severity of a supply outside the needed span; None where it is inside."""
    if supplied.maximum < drawn.minimum or supplied.minimum > drawn.maximum:
        return Severity.BLOCKS
    inside = drawn.minimum <= supplied.minimum and supplied.maximum <= drawn.maximum
    # A socket that passes on the mains may be made for more countries than the plugged-in device.
    return None if inside or agreed else Severity.NOTE


def _span(span: Span) -> str:
    return f"{span.minimum:g}" if span.minimum == span.maximum else f"{span.minimum:g} to {span.maximum:g}"
