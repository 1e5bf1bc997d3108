"""Properties, actions and events (W3C Web of Things interaction affordances)."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from harness.model.base import ProfilePart, Seconds, Value
from harness.model.schema import DataSchema, same_value


class PowerUp(StrEnum):
    """The value of a property after a loss of power."""

    PREVIOUS = "previous"
    DEFAULT = "default"


class Property(DataSchema):
    """A state of the device that can be read, and written unless ``readOnly``."""

    read_only: bool = Field(False, alias="readOnly", description="the network cannot write it")
    write_only: bool = Field(False, alias="writeOnly", description="the network cannot read it")
    observable: bool = Field(True, description="whether its changes can be observed")
    tolerance: float = Field(
        0.0, ge=0, description="how far a report may lie from the commanded or true value"
    )
    counter: bool = Field(False, description="a cumulative counter, which never decreases by itself")
    integral_of: str | None = Field(
        None, description="the property in W that this energy counter adds up over time"
    )
    power_up: PowerUp = Field(PowerUp.PREVIOUS, description="its value after a loss of power")
    settle: Seconds | None = Field(
        None, description="from command to report, where it differs from behaviour.settle"
    )

    also_changes: tuple[str, ...] = Field(
        (), description="other properties that a command to this one changes as well"
    )
    self_changing: bool = Field(False, description="its value changes without a command, such as a countdown")

    @property
    def writable(self) -> bool:
        """Whether the network may write it."""
        return not self.read_only

    def agrees(self, reported: Value, expected: Value) -> bool:
        """Whether a report equals the expected value within the declared tolerance."""
        numbers = (int, float)
        both_numbers = isinstance(reported, numbers) and isinstance(expected, numbers)
        if both_numbers and not isinstance(reported, bool) and not isinstance(expected, bool):
            # Slightly more than the tolerance, because decimal fractions are inexact in binary.
            return bool(abs(reported - expected) <= self.tolerance + 1e-9 * max(1.0, abs(expected)))
        return same_value(reported, expected)


class Action(ProfilePart):
    """A function of the device that is invoked, with its input and output."""

    title: str | None = Field(None, description="short text for people")
    description: str | None = Field(None, description="longer text for people")
    input: DataSchema | None = Field(None, description="schema of its input")
    output: DataSchema | None = Field(None, description="schema of its output")
    idempotent: bool = Field(False, description="invoking it twice has the same effect as once")


class Event(ProfilePart):
    """Something that happens at the device and is reported once."""

    title: str | None = Field(None, description="short text for people")
    description: str | None = Field(None, description="longer text for people")
    data: DataSchema | None = Field(None, description="schema of the data reported with it")
