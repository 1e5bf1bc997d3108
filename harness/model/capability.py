"""What a device offers to others, and what it expects of them, in the words of the shared vocabulary.

A capability says which of the device's own affordances means a term of the vocabulary. A need says which
term the device expects of another one, and what for: it commands it, follows it, or reads it. Values and
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

# Several parts of one kind in a device are told apart as Matter's endpoints are, by a label of the maker's:
# the key of a capability is OnOff or OnOff/left.
LABELLED = re.compile(r"[A-Za-z][A-Za-z0-9]*(/[a-z0-9][a-z0-9_-]*)?")
Names = Annotated[
    dict[str, Value] | None,
    Field(
        description="name in the vocabulary to the own value that means it; where several mean it, a list, "
        "of which the first is used for commands"
    ),
]


class Transport(StrEnum):
    """How affordances travel."""

    MQTT = "mqtt"
    COAP = "coap"


class Access(StrEnum):
    """What a device does with the term of another one."""

    COMMAND = "command"  # it sets the attribute, or invokes the command
    FOLLOW = "follow"  # it is told of every change or event, and does something about it
    READ = "read"  # it asks for the state when it needs it


class SecurityLevel(StrEnum):
    """What protects the traffic of a device."""

    OPEN = "open"
    LOGIN = "login"  # a user name and a password, in clear
    TLS = "tls"  # encrypted: TLS, or DTLS with CoAP

    @property
    def rank(self) -> int:
        """The higher, the safer."""
        return list(SecurityLevel).index(self)


class Offer(ProfilePart):
    """The affordance of the device that means a term of the vocabulary."""

    property_: str | None = Field(None, alias="property", description="the property that means an attribute")
    action: str | None = Field(None, description="the action that means a command")
    event: str | None = Field(None, description="the event that means an event")
    availability: bool = Field(
        False, description="the availability topic means it: BasicInformation.Reachable"
    )
    member: str | None = Field(None, description="member of an object that has the value")
    data: Value = Field(None, description="the event means it only with this data, or one of these in a list")
    values: Names = None


class Cause(ProfilePart):
    """What happens at the device for it to send something: an event, or a property that changes."""

    event: str | None = Field(None, description="the event on which it sends")
    data: Value = Field(None, description="only with this data; left out: with any")
    property_: str | None = Field(None, alias="property", description="the property on whose change it sends")
    member: str | None = Field(None, description="member of an object that has the value")
    sends: Value = Field(
        None,
        description="what it sends, in the vocabulary; left out: the event's data or the property's value",
    )


class Reaction(ProfilePart):
    """What the device does about a value that it is told. Values and units are the vocabulary's."""

    equals: Value = Field(None, description="only when it is told this value")
    one_of: tuple[Value, ...] | None = Field(None, description="only when it is told one of these")
    above: float | None = Field(None, description="only when it is told a number above this")
    below: float | None = Field(None, description="only when it is told a number below this")
    then: tuple[Condition, ...] = Field(description="what follows at the device")
    within: Seconds | None = Field(None, description="deadline; left out: behaviour.settle")


class Need(ProfilePart):
    """What the device expects of another one."""

    title: str | None = Field(None, description="short text for people")
    uses: str = Field(
        description="the term that it expects: cluster and name, such as OnOff.OnOff",
        examples=[term.path for cluster in CLUSTERS.values() for term in cluster.terms.values()],
    )
    access: Access = Field(description="what it does with it")
    optional: bool = Field(False, description="it is of use without it too")
    by: tuple[Cause, ...] = Field((), description="of a command: what makes it send which value")
    into: str | None = Field(None, description="the own property that becomes what it is told")
    takes: DataSchema | None = Field(
        None, description="the values that it can take when it is told; left out: those of `into`, or any"
    )
    values: Names = None
    reactions: tuple[Reaction, ...] = Field((), description="what it does about what it is told")
    transports: tuple[Transport, ...] = Field(
        (), description="how it can reach the other one; left out: as it is reached itself"
    )
    within: Seconds | None = Field(
        None, description="it gives up unless the other one has obeyed, or has told a change, by then"
    )
    every: Seconds | None = Field(None, description="it takes the other one for lost unless told this often")
    qos: Quality = 0
    retained: bool = Field(False, description="it relies on the broker to keep the state for it")
    availability: bool = Field(False, description="it relies on being told when the other one has gone")
    discovery: str | None = Field(
        None,
        pattern=r"^_[^.]+\._(tcp|udp)$",
        description="it finds the other one by this DNS-SD service only",
    )
    security: SecurityLevel = Field(SecurityLevel.OPEN, description="less than this it refuses to talk to")
