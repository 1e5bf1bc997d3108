"""The state of a simulated device: what it is, whatever transport asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from harness.model.base import Value
from harness.model.profile import Profile


class Reason(StrEnum):
    """Why a command was refused."""

    UNKNOWN = "unknown"  # no such property or action
    READ_ONLY = "read-only"
    WRONG_TYPE = "wrong-type"  # not of the schema's JSON type
    OUT_OF_RANGE = "out-of-range"  # of the right type, but not among the legal values
    RULE = "rule"  # legal, but a behaviour rule forbids it at present


@dataclass(frozen=True, slots=True)
class Accepted:
    """The command was carried out. ``value`` is the property's value now, or the action's output."""

    value: Value


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing happened; ``text`` says why, for people."""

    reason: Reason
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """News about a property, after all rules had their say.

    ``changed`` is False where an accepted command left the value as it was: a device confirms it all the same.
    """

    name: str
    value: Value  # as the device reports it
    changed: bool = True


@dataclass(frozen=True, slots=True)
class Happening:
    """An event of the device took place."""

    name: str
    data: Value = None


class Core:
    """All properties of one device, and the only door to change them.

    Needs a running event loop from :meth:`power_on` on.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile

    def on_change(self, listener: Callable[[Change], None]) -> None:
        """Calls ``listener`` with every change of a property, and every confirmation."""
        raise NotImplementedError

    def on_event(self, listener: Callable[[Happening], None]) -> None:
        """Calls ``listener`` with every event."""
        raise NotImplementedError

    def power_on(self) -> None:
        """The device gets power: properties are as ``power_up`` says, rules are in force."""
        raise NotImplementedError

    def power_off(self) -> None:
        """The device loses power: timers stop, nothing changes any more."""
        raise NotImplementedError

    def read(self, name: str) -> Value:
        """The value that the device reports for a property. Raises KeyError."""
        raise NotImplementedError

    def command(self, name: str, value: Value) -> Accepted | Refused:
        """A command from the network to make property ``name`` be ``value``."""
        raise NotImplementedError

    def invoke(self, action: str, input: Value = None) -> Accepted | Refused:
        """Invokes an action from the network."""
        raise NotImplementedError

    def operate(self, control: str) -> None:
        """A person operates a control at the device. Raises KeyError."""
        raise NotImplementedError

    def sense(self, name: str, value: Value) -> None:
        """The surroundings change: the sensor behind the read-only property ``name`` sees ``value``."""
        raise NotImplementedError
