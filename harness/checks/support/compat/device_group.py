"""What is known of devices that are brought together, before anything is sent, and what binds them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.checks.support.behaviour.transports import bindings_of
from harness.checks.support.compat.interactions import Interaction
from harness.model.profile import Profile
from harness.model.requirement import BenchFeature
from harness.model.scene import Scene


@dataclass(frozen=True, slots=True)
class DeviceGroup:
    """The devices of a run by their roles, and what is expected between them.

    ``needs_met`` is what the bench of each offers.
    """

    profiles: Mapping[str, Profile]
    needs_met: Mapping[str, frozenset[str]]
    bonds: tuple[Interaction, ...] = ()
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
        return tuple(role for role in self.roles if self.offers(BenchFeature.BROKER, role))

    def offers(self, need: BenchFeature, *roles: str) -> bool:
        """Whether the benches of these roles (by default of all) have what ``need`` names."""
        return all(need in self.needs_met[role] for role in roles or self.roles)

    def bond(self, name: str) -> Interaction:
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
            if self.offers(BenchFeature.BROKER if transport == "mqtt" else BenchFeature.COAP, role)
            for name in binding.properties
        }
        return tuple(
            name for name, schema in profile.properties.items() if schema.writable and name in carried
        )
