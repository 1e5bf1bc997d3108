"""Actuators at a real device: they switch its power, press its keys, and plug things in.

An :class:`Actuator` carries out tasks: a relay board, a command of the lab, a person at the terminal. Each
kind is one module of this package; :func:`harness.links.actuators.registry.parse` reads how people name them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from harness.links.errors import LinkError


class ActuatorError(LinkError):
    """A task was not carried out; the message says which, and what to look at."""


class ActuatorCommand(StrEnum):
    """What a helper can be asked for; the values are the words that commands and relay boards get."""

    POWER_ON = "on"
    POWER_OFF = "off"
    PRESS = "press"
    SENSE = "set"
    ATTACH = "attach"
    DETACH = "detach"


POWER = frozenset({ActuatorCommand.POWER_ON, ActuatorCommand.POWER_OFF})
OPERATING = frozenset(
    {ActuatorCommand.PRESS, ActuatorCommand.SENSE, ActuatorCommand.ATTACH, ActuatorCommand.DETACH}
)


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to be done at the device.

    ``device`` names it for people, ``name`` is the control, the sensor, or what is plugged in; ``value`` is
    what a sensor is to see, as JSON text.
    """

    deed: ActuatorCommand
    device: str
    name: str | None = None
    value: str | None = None

    def __str__(self) -> str:
        match self.deed:
            case ActuatorCommand.POWER_ON | ActuatorCommand.POWER_OFF:
                return f"switch the power of {self.device} {self.deed.value}"
            case ActuatorCommand.PRESS:
                return f"operate {self.name} of {self.device}"
            case ActuatorCommand.SENSE:
                return f"make {self.name} of {self.device} see {self.value}"
            case ActuatorCommand.ATTACH:
                return f"plug in the {self.name} of {self.device}"
            case ActuatorCommand.DETACH:
                return f"unplug the {self.name} of {self.device}"


class Actuator(Protocol):
    """Somebody or something that does what is asked."""

    @property
    def can(self) -> Collection[ActuatorCommand]:
        """What it can do at all."""

    async def perform(self, task: Task) -> str:
        """Do it, and return what is to be kept of it in the trace. Raises ActuatorError."""

    async def close(self) -> None:
        """Let go of what it holds."""
