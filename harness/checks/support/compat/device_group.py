"""The devices of a group run, their benches, and the interactions between them."""

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
    """The devices of a run by their roles, and the interactions expected between them.

    ``needs_met``: the features that each device's bench offers.
    """

    profiles: Mapping[str, Profile]
    needs_met: Mapping[str, frozenset[str]]
    interactions: tuple[Interaction, ...] = ()
    scene: Scene | None = None

    @property
    def roles(self) -> tuple[str, ...]:
        """The names of the devices, in order."""
        return tuple(self.profiles)

    def others(self, role: str) -> Iterator[str]:
        """All other roles."""
        return (other for other in self.profiles if other != role)

    def on_mqtt(self) -> tuple[str, ...]:
        """The roles whose MQTT reports the harness receives."""
        return tuple(role for role in self.roles if self.offers(BenchFeature.BROKER, role))

    def offers(self, need: BenchFeature, *roles: str) -> bool:
        """Whether the benches of these roles (default: all) have a feature."""
        return all(need in self.needs_met[role] for role in roles or self.roles)

    def interaction(self, name: str) -> Interaction:
        """The interaction of that name. Raises KeyError."""
        for interaction in self.interactions:
            if interaction.name == name:
                return interaction
        raise KeyError(name)

    def writable(self, role: str) -> tuple[str, ...]:
        """The properties of a device that this run can command."""
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
