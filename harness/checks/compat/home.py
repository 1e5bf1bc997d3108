"""What is known of devices that are brought together, before anything is sent, and what binds them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.compat.prediction import Link
from harness.model.profile import Profile
from harness.model.requirement import Need
from harness.model.scene import Scene


@dataclass(frozen=True, slots=True)
class Bond:
    """A link between two devices of the home, by their roles: ``target`` follows ``source``.

    ``needer`` is the one of the two whose need it is.
    """

    needer: str
    source: str
    target: str
    link: Link

    @property
    def name(self) -> str:
        """How it is called in ids and reports."""
        return f"{self.source}.{self.link.source.name}→{self.target}.{self.link.target.name}"


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

    def offers(self, need: Need, *roles: str) -> bool:
        """Whether the benches of these roles (by default of all) have what ``need`` names."""
        return all(need in self.needs_met[role] for role in roles or self.roles)

    def bond(self, name: str) -> Bond:
        """The bond of that name. Raises KeyError."""
        for bond in self.bonds:
            if bond.name == name:
                return bond
        raise KeyError(name)
