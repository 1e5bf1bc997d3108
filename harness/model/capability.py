"""What a device offers to others and expects of them, in terms of the shared vocabulary.

A capability names the device's own affordance that stands for a term of the vocabulary. A need names a
term that the device expects of another device, and how it is used: commanded, followed or read. Values and
units are translated by ``values`` and by the units of the schemas; see ``harness.model.semantics.mapping``.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from harness.model.base import ProfilePart, Quality, Seconds, Value
from harness.model.rule import Condition
from harness.model.schema import DataSchema
from harness.model.vocabulary import CLUSTERS

# Several parts of one kind in a device are distinguished, like Matter endpoints, by a label of the maker:
# the key of a capability is OnOff or OnOff/left.
LABELLED = re.compile(r"[A-Za-z][A-Za-z0-9]*(/[a-z0-9][a-z0-9_-]*)?")
Names = Annotated[
    dict[str, Value] | None,
    Field(
        description="maps a name in the vocabulary to the device's value, or to a list of values; the first "
        "of a list is used for commands"
    ),
]


class CapabilityTransport(StrEnum):
    """The transports that carry affordances."""

    MQTT = "mqtt"
    COAP = "coap"


class Access(StrEnum):
    """How a device uses the term of another device."""

    COMMAND = "command"  # it sets the attribute, or invokes the command
    FOLLOW = "follow"  # it receives every change or event, and reacts
    READ = "read"  # it reads the state when it needs it


class SecurityLevel(StrEnum):
    """What protects the traffic of a device."""

    OPEN = "open"
    LOGIN = "login"  # a user name and a password, in clear
    TLS = "tls"  # encrypted: TLS, or DTLS with CoAP

    @property
    def rank(self) -> int:
        """A number that grows with the protection."""
        return list(SecurityLevel).index(self)


class Offer(ProfilePart):
    """The affordance of the device that stands for a term of the vocabulary."""

    property_: str | None = Field(
        None, alias="property", description="the property that stands for an attribute"
    )
    action: str | None = Field(None, description="the action that stands for a command")
    event: str | None = Field(None, description="the event that stands for an event")
    availability: bool = Field(
        False, description="true: the availability topic stands for BasicInformation.Reachable"
    )
    member: str | None = Field(None, description="member of the object that holds the value")
    data: Value = Field(
        None, description="the event counts only with this data, or with one of the values in this list"
    )
    values: Names = None


class Cause(ProfilePart):
    """What makes the device send something: an event, or a property that changes."""

    event: str | None = Field(None, description="the event on which it sends")
    data: Value = Field(None, description="only with this data; left out: any data")
    property_: str | None = Field(None, alias="property", description="the property on whose change it sends")
    member: str | None = Field(None, description="member of the object that holds the value")
    sends: Value = Field(
        None,
        description="vocabulary value that it sends; left out: the event's data or the property's value",
    )


class Reaction(ProfilePart):
    """How the device reacts to a value that it receives. Values and units are the vocabulary's."""

    equals: Value = Field(None, description="only for this value")
    one_of: tuple[Value, ...] | None = Field(None, description="only for one of these values")
    above: float | None = Field(None, description="only for a number above this")
    below: float | None = Field(None, description="only for a number below this")
    then: tuple[Condition, ...] = Field(description="the outcome at the device")
    within: Seconds | None = Field(None, description="deadline; left out: behaviour.settle")


class Need(ProfilePart):
    """What the device expects of another device."""

    title: str | None = Field(None, description="short text for people")
    uses: str = Field(
        description="the term that it expects: cluster and name, such as OnOff.OnOff",
        examples=[term.path for cluster in CLUSTERS.values() for term in cluster.terms.values()],
    )
    access: Access = Field(description="how the device uses the term")
    optional: bool = Field(False, description="whether the device is useful without it too")
    by: tuple[Cause, ...] = Field((), description="for a command: what triggers it, and with which value")
    into: str | None = Field(None, description="the device's own property that takes the received value")
    takes: DataSchema | None = Field(
        None, description="schema of the values that it accepts; left out: those of `into`, or any"
    )
    values: Names = None
    reactions: tuple[Reaction, ...] = Field((), description="how it reacts to what it receives")
    transports: tuple[CapabilityTransport, ...] = Field(
        (), description="how it can reach the other device; left out: over its own transports"
    )
    within: Seconds | None = Field(
        None, description="seconds that it waits for the other device to act, or to report a change"
    )
    every: Seconds | None = Field(
        None, description="it treats the other device as lost without a report this often"
    )
    qos: Quality = 0
    retained: bool = Field(False, description="it relies on retained messages for the state")
    availability: bool = Field(False, description="it relies on a message when the other device goes offline")
    discovery: str | None = Field(
        None,
        pattern=r"^_[^.]+\._(tcp|udp)$",
        description="it finds the other device only by this DNS-SD service",
    )
    security: SecurityLevel = Field(SecurityLevel.OPEN, description="the least security that it accepts")
