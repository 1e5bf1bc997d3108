"""Actuators switch the power of a real device, press its keys and plug things in.

An :class:`Actuator` carries out tasks: a relay board, a command of the lab, a person at the terminal. Each
kind is one module; :func:`harness.links.actuators.registry.parse` reads how users name them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from harness.links.errors import LinkError


class ActuatorError(LinkError):
    """A task was not carried out; the message says which one, and what to check."""


class ActuatorCommand(StrEnum):
    """What an actuator can do; the values are the words that commands and relay boards get."""

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
    """One task at the device.

    ``device`` is its name for people. ``name`` is the control, the sensor, or what is plugged in; ``value``
    is the sensor's new value as JSON text.
    """

    command: ActuatorCommand
    device: str
    name: str | None = None
    value: str | None = None

    def __str__(self) -> str:
        match self.command:
            case ActuatorCommand.POWER_ON | ActuatorCommand.POWER_OFF:
                return f"switch the power of {self.device} {self.command.value}"
            case ActuatorCommand.PRESS:
                return f"press {self.name} on {self.device}"
            case ActuatorCommand.SENSE:
                return f"set the sensor {self.name} of {self.device} to {self.value}"
            case ActuatorCommand.ATTACH:
                return f"plug in the {self.name} of {self.device}"
            case ActuatorCommand.DETACH:
                return f"unplug the {self.name} of {self.device}"


class Actuator(Protocol):
    """A person or a device that carries out tasks."""

    @property
    def can(self) -> Collection[ActuatorCommand]:
        """The commands that it supports."""

    async def perform(self, task: Task) -> str:
        """Carry out the task, and return a text about it for the trace. Raises ActuatorError."""

    async def close(self) -> None:
        """Release its resources."""
