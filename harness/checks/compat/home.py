"""What is known of devices that are brought together, before anything is sent, and what binds them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.checks.behaviour.reach import bindings_of
from harness.compat.prediction import Flow, Link
from harness.model.base import Value
from harness.model.meaning import as_list
from harness.model.profile import Profile
from harness.model.requirement import Need
from harness.model.scene import Scene
from harness.model.schema import same_value


@dataclass(frozen=True, slots=True)
class Bond:
    """What one need of a device comes to: something happens at ``source``, and ``target`` follows.

    All are roles; ``needer`` is one of the two. The ``links`` have the same ends, and differ in what sets
    them off and what becomes of it.
    """

    needer: str
    source: str
    target: str
    links: tuple[Link, ...]

    @property
    def name(self) -> str:
        """How it is called in ids and reports."""
        return f"{self.source}.{self.source_name}→{self.target}.{self.target_name}"

    @property
    def source_name(self) -> str:
        """The affordance at which something happens."""
        return self.links[0].source.name

    @property
    def target_name(self) -> str:
        """The affordance that follows."""
        return self.links[0].target.name

    @property
    def within(self) -> float:
        """Seconds that it may take."""
        return max(link.within for link in self.links)

    @property
    def is_passed_on(self) -> bool:
        """Whether somebody between the two has to pass it on: they do not use the same address."""
        source, target = self.links[0].source, self.links[0].target
        return source.transport is not target.transport or source.address != target.address

    def sent_for(self, value: Value) -> tuple[Value] | None:
        """What the target gets when the source tells ``value``, in a tuple of one; None: it gets nothing."""
        for link in self.links:
            wanted = None if link.when is None else as_list(link.when)
            if wanted is None or any(same_value(value, one) for one in wanted):
                return (link.conversion.apply(value),)
        return None


@dataclass(frozen=True, slots=True)
class Home:
    """The devices of a run by their roles, and what is expected between them.

    ``needs_met`` is what the bench of each offers.
    """

    profiles: Mapping[str, Profile]
    needs_met: Mapping[str, frozenset[str]]
    bonds: tuple[Bond, ...] = ()
    scene: Scene | None = None

    @property
    def roles(self) -> tuple[str, ...]:
        """The names of the devices, in order."""
        return tuple(self.profiles)

    def others(self, role: str) -> Iterator[str]:
        """All roles but one."""
        return (other for other in self.profiles if other != role)

    def on_mqtt(self) -> tuple[str, ...]:
        """The roles that speak MQTT where it is seen."""
        return tuple(role for role in self.roles if self.offers(Need.BROKER, role))

    def offers(self, need: Need, *roles: str) -> bool:
        """Whether the benches of these roles (by default of all) have what ``need`` names."""
        return all(need in self.needs_met[role] for role in roles or self.roles)

    def bond(self, name: str) -> Bond:
        """The bond of that name. Raises KeyError."""
        for bond in self.bonds:
            if bond.name == name:
                return bond
        raise KeyError(name)

    def writable(self, role: str) -> tuple[str, ...]:
        """The properties of a device that can be commanded in this run."""
        profile = self.profiles[role]
        carried = {
            name
            for transport, binding in bindings_of(profile).items()
            if self.offers(Need.BROKER if transport == "mqtt" else Need.COAP, role)
            for name in binding.properties
        }
        return tuple(
            name for name, schema in profile.properties.items() if schema.writable and name in carried
        )


def bonds_of(needer: str, offerer: str, links: tuple[Link, ...]) -> tuple[Bond, ...]:
    """The links of one prediction as bonds of these roles."""
    grouped: dict[tuple[str, str, str, str], list[Link]] = {}
    for link in links:
        key = (link.need, link.source.name, link.target.name, link.flow.value)
        grouped.setdefault(key, []).append(link)
    bonds = []
    for group in grouped.values():
        commands = group[0].flow is Flow.COMMAND
        source, target = (needer, offerer) if commands else (offerer, needer)
        bonds.append(Bond(needer, source, target, tuple(group)))
    return tuple(bonds)
