"""A device profile: the single source for checks, simulation and expected values."""

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

It goes up when an older version of the harness would misread a profile. New optional keys do not change it:
an older version rejects them by name. All older formats are read.
"""


class InvalidValuePolicy(StrEnum):
    """What the device does with a well-formed value outside its range."""

    REFUSE = "refuse"  # the state stays as it was
    CLAMP = "clamp"  # the nearest limit becomes the state, and is reported


class RetainedCommandPolicy(StrEnum):
    """What the device does with a retained command."""

    IGNORE = "ignore"
    APPLY = "apply"


class Effect(ProfilePart):
    """What operating a control does: set or toggle a property, or make an event happen."""

    property_: str | None = Field(None, alias="property", description="the property that changes")
    value: Value = Field(None, description="the value that it is set to")
    toggle: bool = Field(False, description="whether the boolean property is toggled")
    event: str | None = Field(None, description="the event that happens")
    data: Value = Field(None, description="data that is reported with the event")


class Control(ProfilePart):
    """Something at the device that a person operates: a button, a knob, a door."""

    title: str | None = Field(None, description="short text for people")
    effects: tuple[Effect, ...] = Field(description="what operating it does")
    unless: tuple[Condition, ...] = Field(
        (), description="operating it does nothing while all of these are true (a child lock)"
    )


class Behaviour(ProfilePart):
    """Deadlines, policies and rules."""

    settle: Seconds = Field(1.0, description="from a command to the report of the new state")
    report_local: Seconds = Field(1.0, description="from a local change to its report")
    boot: Seconds = Field(10.0, description="from power-on to being ready on the network")
    reconnect: Seconds = Field(30.0, description="from the broker's return to being ready again")
    heartbeat: float | None = Field(
        None,
        gt=0,
        description="seconds; over MQTT every state is reported at least this often; without it only when "
        "it changes",
    )
    invalid_value: InvalidValuePolicy = Field(
        InvalidValuePolicy.REFUSE,
        description="what the device does with a well-formed value outside the range",
    )
    retained_command: RetainedCommandPolicy = Field(
        RetainedCommandPolicy.IGNORE, description="what the device does with a retained command"
    )
    rules: tuple[Rule, ...] = Field((), description="the rules that the device follows")


class Security(ProfilePart):
    """What the profile declares about its exposure."""

    open_ports: tuple[str, ...] = Field(
        (), description="further open ports, such as tcp/80, besides the bindings'"
    )
    secrets: tuple[str, ...] = Field((), description="texts that must never cross the network in clear")


class Profile(ProfilePart):
    """The declared and expected behaviour of one kind of device."""

    profile: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="its short name")
    title: str = Field(description="the device in a few words")
    format: int = Field(FORMAT, ge=1, description="format number of this profile; 1 if left out")
    version: str = Field("1.0.0", description="version of this profile")
    description: str | None = Field(None, description="longer text for people")
    category: str = Field(description="kind of appliance, such as plug or refrigerator")
    manufacturer: str | None = Field(None, description="its maker")
    model: str | None = Field(None, description="the maker's name of the model")
    firmware: str | None = Field(None, description="version of its firmware")
    unit: str = Field("000000", description="identifier of the unit; stands for {unit} elsewhere")
    capabilities: dict[str, dict[str, Offer]] = Field(
        {},
        description="what the device offers to others: clusters of the vocabulary, each with its terms and "
        "the affordances of the device that stand for them",
        # Only for completion in editors: the consistency checks explain wrong names better.
        json_schema_extra={"propertyNames": {"anyOf": [{"enum": [*CLUSTERS]}, {"pattern": "/"}]}},
    )
    needs: dict[str, Need] = Field(
        {}, description="what the device expects of other devices; the names are free"
    )
    ratings: Ratings = Field(Ratings(), description="what the device draws and supplies")
    ics: tuple[str, ...] = Field((), description="further ICS items that nothing else in the profile implies")
    promises: tuple[str, ...] = Field(
        (),
        description="ids of recommendations (SHOULD) that the maker promises to keep, such as MDNS-14 or "
        "MQTT-DEV-*; a broken promise is a fail instead of a warn",
    )
    properties: dict[str, Property] = Field(
        {}, description="states that can be read or written, by their names"
    )
    actions: dict[str, Action] = Field({}, description="functions that can be invoked, by their names")
    events: dict[str, Event] = Field({}, description="what the device reports once, by their names")
    controls: dict[str, Control] = Field(
        {}, description="what a person operates at the device, by their names"
    )
    bindings: Bindings = Field(description="how the affordances map to transports")
    behaviour: Behaviour = Field(Behaviour(), description="deadlines, policies and rules")
    security: Security = Field(Security(), description="open ports and secrets")

    def rule(self, rule_id: str) -> Rule:
        """The rule of that id. Raises KeyError."""
        for rule in self.behaviour.rules:
            if rule.id == rule_id:
                return rule
        raise KeyError(rule_id)

    def promises_to_keep(self, requirement_id: str) -> bool:
        """Whether the maker promises to follow a recommendation of a standard."""
        return any(fnmatchcase(requirement_id, pattern) for pattern in self.promises)

    def settle(self, name: str) -> float:
        """Seconds from a command on property ``name`` to the report of its new state."""
        own = self.properties[name].settle if name in self.properties else None
        return self.behaviour.settle if own is None else own
