"""Answers of the core of a simulated device to commands, and its reports to the transports."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.model.base import Value


class Reason(StrEnum):
    """Why a command was refused."""

    UNKNOWN = "unknown"  # no such property or action
    READ_ONLY = "read-only"
    WRONG_TYPE = "wrong-type"  # not of the schema's JSON type
    OUT_OF_RANGE = "out-of-range"  # of the right type, but not among the legal values
    RULE = "rule"  # legal, but a behaviour rule, or the lack of power, forbids it at present


@dataclass(frozen=True, slots=True)
class Accepted:
    """The command was carried out. ``value`` is the property's value now, or the action's output."""

    value: Value


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing happened; ``text`` is the reason, for readers."""

    reason: Reason
    text: str


class Origin(StrEnum):
    """What made a property change."""

    COMMAND = "command"  # from the network
    LOCAL = "local"  # a person at the device
    SENSOR = "sensor"  # the surroundings
    DEVICE = "device"  # the device itself: a timer of a rule, the meter


@dataclass(frozen=True, slots=True)
class Change:
    """A new value of a property, after all rules have acted.

    ``changed`` is False if an accepted command did not change the value: the device confirms it as well.
    """

    name: str
    value: Value  # as the device reports it
    changed: bool = True


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """An event of the device."""

    name: str
    data: Value = None
