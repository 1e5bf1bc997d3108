"""Builds a :class:`Target` from text: the options, a bench file, or ``--dut``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

from harness.links.labgrid.place import LabgridTarget
from harness.session.setup.labgrid_environment import USUAL_TARGET, target_in
from harness.session.target import Target, UsageError, address_in, helper_in
from harness.simulate.faults import UnknownFaultError, fault_named


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceConnection:
    """How a device is reached, as text. The fields are called like the options and the bench file's keys."""

    simulate: bool = False
    listen: str | None = None
    mqtt: str | None = None
    ca: str | None = None
    coap: str | None = None
    mdns: str | None = None
    interface: str | None = None
    serial: str | None = None
    power: str | None = None
    hands: str | None = None
    labgrid: str | None = None
    target: str | None = None

    @classmethod
    def of(cls, source: object) -> Self:
        """The same fields of something that has them, such as options or a board of a bench file."""
        return cls(**{field.name: getattr(source, field.name) for field in fields(cls)})


def target_of(
    connection: DeviceConnection,
    *,
    broker: str,
    faults: Iterable[str] = (),
    called: Callable[[str], str] = lambda key: key,
) -> Target:
    """The target. Raises UsageError for a wrong address, actuator, labgrid target or fault.

    ``called`` names a key as the user wrote it, for these messages.
    """
    listen = connection.listen
    return Target(
        simulate=connection.simulate,
        broker=broker,
        listen=address_in(listen, called("listen")) if listen else None,
        mqtt=connection.mqtt,
        ca=Path(connection.ca) if connection.ca else None,
        coap=connection.coap,
        mdns=connection.mdns,
        interface=connection.interface,
        serial=connection.serial,
        faults=known_faults(faults),
        power=helper_in(connection.power, called("power")),
        hands=helper_in(connection.hands, called("hands")),
        labgrid=labgrid_target_of(connection),
    )


def labgrid_target_of(connection: DeviceConnection) -> LabgridTarget | None:
    """The target of labgrid that the device is, if any. Raises UsageError."""
    if connection.labgrid is None:
        return None
    return target_in(Path(connection.labgrid), connection.target or USUAL_TARGET)


def known_faults(names: Iterable[str]) -> tuple[str, ...]:
    """The names of faults, all of them known. Raises UsageError."""
    try:
        return tuple(fault_named(name).name for name in names)
    except UnknownFaultError as problem:
        raise UsageError(str(problem)) from None
