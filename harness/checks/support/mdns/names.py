"""The names that the device has on the link; conflicts can change the names of the profile.

Checks that are not about names use the names that the device really has, so that one wrong name does
not make every check fail.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from harness.checks.case import Case
from harness.checks.support.mdns.records_seen import (
    Packet,
    responses,
)
from harness.model.bindings.mdns import (
    MdnsBinding,
    MdnsService,
)
from harness.model.profile import Profile
from harness.trace.events import Direction
from harness.wire.mdns.codec import (
    Address,
    Ptr,
    Srv,
    join_name,
    same_name,
)


@dataclass(frozen=True, slots=True)
class ServiceName:
    """A declared service under its current name. Names are escaped, as in the trace."""

    declared: MdnsService
    type: str
    name: str


@dataclass(frozen=True, slots=True)
class Names:
    """The current names of the device; ``services`` in the order of the profile."""

    host: str
    services: tuple[ServiceName, ...]

    @property
    def unique(self) -> tuple[str, ...]:
        """The names that no other host may use."""
        return (self.host, *(service.name for service in self.services))


@dataclass
class _ObservedNames:
    """What the device's responses say about its names, all in all."""

    pointers: dict[str, list[str]] = field(default_factory=dict)  # instances of a type, latest last
    pointed: dict[str, set[str]] = field(default_factory=dict)  # all instances ever, withdrawn ones included
    hosts_of: dict[str, str] = field(default_factory=dict)  # targets of SRV records
    owners: list[str] = field(default_factory=list)  # owners of SRV records, latest last
    hosts: list[str] = field(default_factory=list)  # owners of address records, latest last

    def add(self, packets: Iterable[Packet]) -> None:
        for packet in packets:
            for record in packet.value.records:
                match record.data:
                    case Ptr(target):
                        known = self.pointers.setdefault(record.name.lower(), [])
                        _move_to_end(known, target, alive=record.ttl > 0)
                        self.pointed.setdefault(record.name.lower(), set()).add(target)
                    case Srv(target=target) if record.ttl:
                        self.hosts_of[record.name.lower()] = target
                        _move_to_end(self.owners, record.name, alive=True)
                    case Address():
                        _move_to_end(self.hosts, record.name, alive=record.ttl > 0)

    def instances(self, type: str) -> list[str]:
        """The instances of a type. Instances without SRV record count only if there are no others."""
        pointed = self.pointers.get(type.lower(), [])
        served = [name for name in pointed if name.lower() in self.hosts_of]
        owners = [name for name in self.owners if name.lower().endswith("." + type.lower())]
        return served or owners or pointed

    def types_of(self, declared: Names) -> list[str]:
        """The types of the declared services, or the type that the device uses instead."""
        known = [service.type.lower() for service in declared.services]
        others = [
            type for type, names in self.pointers.items() if type not in known and _lead_to(type, names)
        ]
        return [
            service.type if self.instances(service.type) or not others else others[0]
            for service in declared.services
        ]

    def every_instance(self, type: str) -> set[str]:
        """All instances of a type that were ever announced."""
        owners = {name for name in self.owners if name.lower().endswith("." + type.lower())}
        return owners | self.pointed.get(type.lower(), set())


def binding_of(profile: Profile) -> MdnsBinding:
    """The mDNS binding; always present, because these checks apply only to devices with one."""
    binding = profile.bindings.mdns
    assert binding is not None, "planned without mDNS"
    return binding


def declared_names(profile: Profile) -> Names:
    """The names that the profile declares."""
    binding = binding_of(profile)
    services = tuple(
        ServiceName(service, join_name(*kind, "local"), join_name(service.instance, *kind, "local"))
        for service in binding.services
        for kind in [service.type.split(".")]
    )
    return Names(join_name(binding.host, "local"), services)


def names_of(case: Case) -> Names:
    """The names that the device had at the end of the window.

    Those of the profile, as long as the device sends them and the harness did not dispute them; otherwise
    those that it sent last.
    """
    declared = declared_names(case.profile)
    link = _ObservedNames()
    link.add(responses(case))
    disputed = disputed_names(case)
    services: list[ServiceName] = []
    for service, type in zip(declared.services, link.types_of(declared), strict=True):
        name = _choose(service.name, link.instances(type), disputed, [other.name for other in services])
        services.append(ServiceName(service.declared, type, name))
    hosts = [link.hosts_of[s.name.lower()] for s in services if s.name.lower() in link.hosts_of]
    host = hosts[0] if hosts else _choose(declared.host, link.hosts, disputed, [])
    return Names(host, tuple(services))


def own_names(case: Case) -> set[str]:
    """All unique names, in lower case, that the device used in the window."""
    declared = declared_names(case.profile)
    link = _ObservedNames()
    link.add(responses(case))
    names = {declared.host, *link.hosts_of.values()}
    for service, type in zip(declared.services, link.types_of(declared), strict=True):
        names |= {service.name, *link.every_instance(type)}
    return {name.lower() for name in names}


def disputed_names(case: Case) -> list[str]:
    """The names for which the harness sent its own records in the window."""
    return [
        record.name
        for seen in case.mdns(Direction.TO_DUT)
        if seen.value.response
        for record in seen.value.answers
    ]


def is_among(name: str, names: Iterable[str]) -> bool:
    """Whether the name is one of these, ignoring case."""
    return any(same_name(name, other) for other in names)


def _choose(declared: str, reported: list[str], disputed: list[str], taken: list[str]) -> str:
    free = [name for name in reported if not is_among(name, taken)]
    if not free or (is_among(declared, free) and not is_among(declared, disputed)):
        return declared
    return free[-1]


def _lead_to(type: str, names: list[str]) -> bool:
    """Whether these are instances of that type, not types or instances of a base type."""
    return bool(names) and all(name.lower().endswith("." + type) for name in names)


def _move_to_end(names: list[str], name: str, *, alive: bool) -> None:
    names[:] = [other for other in names if not same_name(other, name)]
    if alive:
        names.append(name)
