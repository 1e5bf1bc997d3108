"""A device profile: the only description of a device, from which everything else comes."""

from __future__ import annotations

from enum import StrEnum
from fnmatch import fnmatchcase

from pydantic import Field

from harness.model.affordance import Action, Event, Property
from harness.model.base import ProfilePart, Seconds, Value
from harness.model.bindings import Bindings
from harness.model.capability import Need, Offer
from harness.model.ratings import Ratings
from harness.model.rule import Condition, Rule
from harness.model.vocabulary import CLUSTERS

FORMAT = 1
"""The number of this format of profiles.

It goes up when an older version of the harness would read a profile wrongly. New optional keys leave it: an
older version refuses them by name. All older formats are read.
"""


class InvalidValuePolicy(StrEnum):
    """What the device does with a well-formed value outside its range."""

    REFUSE = "refuse"  # the state stays as it was
    CLAMP = "clamp"  # the nearest limit becomes the state, and is reported


class RetainedCommandPolicy(StrEnum):
    """What the device does with a command that the broker kept for it."""

    IGNORE = "ignore"
    APPLY = "apply"


class Effect(ProfilePart):
    """What operating a control does: set or toggle a property, or make an event happen."""

    property_: str | None = Field(None, alias="property", description="the property that changes")
    value: Value = Field(None, description="what it becomes")
    toggle: bool = Field(False, description="it becomes the other of true and false")
    event: str | None = Field(None, description="the event that happens")
    data: Value = Field(None, description="what is told with the event")


class Control(ProfilePart):
    """Something at the device that a person operates: a button, a knob, a door."""

    title: str | None = Field(None, description="short text for people")
    effects: tuple[Effect, ...] = Field(description="what operating it does")
    unless: tuple[Condition, ...] = Field(
        (), description="while all of these are true, operating it does nothing (a child lock)"
    )


class Behaviour(ProfilePart):
    """Deadlines and habits, and the rules of what must follow what."""

    settle: Seconds = Field(1.0, description="from a command to the report of the new state")
    report_local: Seconds = Field(1.0, description="from a local change to its report")
    boot: Seconds = Field(10.0, description="from power-on to being ready on the network")
    reconnect: Seconds = Field(30.0, description="from the broker's return to being ready again")
    heartbeat: float | None = Field(
        None,
        gt=0,
        description="over MQTT every state is reported at least this often, in seconds; without it only when "
        "it changes",
    )
    invalid_value: InvalidValuePolicy = Field(
        InvalidValuePolicy.REFUSE, description="what becomes of a well-formed value outside the range"
    )
    retained_command: RetainedCommandPolicy = Field(
        RetainedCommandPolicy.IGNORE, description="what becomes of a command that the broker kept"
    )
    rules: tuple[Rule, ...] = Field((), description="what must follow what")


class Security(ProfilePart):
    """What the profile declares about its exposure."""

    open_ports: tuple[str, ...] = Field(
        (), description="further open ports, such as tcp/80, besides the bindings'"
    )
    secrets: tuple[str, ...] = Field((), description="texts that must never cross the network in clear")


class Profile(ProfilePart):
    """The declared, expected behaviour of one kind of device."""

    profile: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="its short name")
    title: str = Field(description="the device in a few words")
    format: int = Field(
        FORMAT, ge=1, description="number of the format that this profile is written in; without it, 1"
    )
    version: str = Field("1.0.0", description="version of this profile")
    description: str | None = Field(None, description="longer text for people")
    category: str = Field(description="kind of appliance, such as plug or refrigerator")
    manufacturer: str | None = Field(None, description="its maker")
    model: str | None = Field(None, description="the maker's name of the model")
    firmware: str | None = Field(None, description="version of its firmware")
    unit: str = Field("000000", description="identifier of the unit; stands for {unit} elsewhere")
    capabilities: dict[str, dict[str, Offer]] = Field(
        {},
        description="what it offers to others: clusters of the vocabulary, each with its terms and the own "
        "affordances that mean them",
        # For editors to complete: what is wrong with a name, the consistency checks say better.
        json_schema_extra={"propertyNames": {"anyOf": [{"enum": [*CLUSTERS]}, {"pattern": "/"}]}},
    )
    needs: dict[str, Need] = Field({}, description="what it expects of other devices, by names of its own")
    ratings: Ratings = Field(Ratings(), description="what it draws and supplies")
    ics: tuple[str, ...] = Field((), description="further ICS items that nothing else in the profile implies")
    promises: tuple[str, ...] = Field(
        (),
        description="ids of recommendations (SHOULD) that the maker promises to keep, such as MDNS-14 or "
        "MQTT-DEV-*; a promised one that is broken fails instead of warning",
    )
    properties: dict[str, Property] = Field(
        {}, description="states that can be read or written, by their names"
    )
    actions: dict[str, Action] = Field({}, description="functions that can be invoked, by their names")
    events: dict[str, Event] = Field({}, description="what it tells once, by their names")
    controls: dict[str, Control] = Field(
        {}, description="what a person operates at the device, by their names"
    )
    bindings: Bindings = Field(description="how the affordances travel")
    behaviour: Behaviour = Field(Behaviour(), description="deadlines, habits and rules")
    security: Security = Field(Security(), description="what it exposes")

    def rule(self, rule_id: str) -> Rule:
        """The rule of that id. Raises KeyError."""
        for rule in self.behaviour.rules:
            if rule.id == rule_id:
                return rule
        raise KeyError(rule_id)

    def promises_to_keep(self, requirement_id: str) -> bool:
        """Whether the maker binds itself to a recommendation of a standard."""
        return any(fnmatchcase(requirement_id, pattern) for pattern in self.promises)

    def settle(self, name: str) -> float:
        """Seconds from a command on property ``name`` to the report of its new state."""
        own = self.properties[name].settle if name in self.properties else None
        return self.behaviour.settle if own is None else own
