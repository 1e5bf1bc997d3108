"""Whether two devices can be in one home at all: names that both claim."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.model.bindings.mqtt import MqttBinding
from harness.model.problems import Path
from harness.model.profile import Profile
from harness.prediction.device import Conflict
from harness.prediction.findings import (
    FindingKind,
    Severity,
)

# What a name is claimed for: two of a kind collide.
_Claims = dict[tuple[FindingKind, str, str], Path]

_WHAT = {
    FindingKind.CLIENT_ID: (
        Severity.BLOCKS,
        "have the client id {name}: each connection throws the other one off the broker",
        "a client id with {unit} in it",
    ),
    FindingKind.TOPIC: (
        Severity.BLOCKS,
        "{use} {name}: what is meant for one of them is taken for the other's",
        "topics with {unit} in them",
    ),
    FindingKind.HOST_NAME: (
        Severity.DEGRADES,
        "claim the name {name}: one of them has to take another one, by which nobody knows it",
        "a name with {unit} in it",
    ),
}


@dataclass(frozen=True, slots=True)
class Claims:
    """The names that a device claims for itself, each with its key."""

    names: _Claims = field(default_factory=dict)


def claims_of(profile: Profile) -> Claims:
    """Everything that a device claims for itself in the home that it comes to."""
    found: _Claims = {}
    bindings = profile.bindings
    if (mqtt := bindings.mqtt) is not None:
        found[FindingKind.CLIENT_ID, "", mqtt.client_id] = ("bindings", "mqtt", "client_id")
        for use, topic, path in _topics(mqtt):
            found.setdefault((FindingKind.TOPIC, use, topic), ("bindings", "mqtt", *path))
    if (mdns := bindings.mdns) is not None:
        found[FindingKind.HOST_NAME, "", f"{mdns.host}.local"] = ("bindings", "mdns", "host")
        for index, service in enumerate(mdns.services):
            name = f"{service.instance}.{service.type}.local"
            found[FindingKind.HOST_NAME, "", name] = ("bindings", "mdns", "services", index, "instance")
    return Claims(found)


def collisions(left: Claims, right: Claims) -> Iterator[Conflict]:
    """The names that both claim."""
    for claim in left.names.keys() & right.names.keys():
        kind, use, name = claim
        severity, what, proposal = _WHAT[kind]
        text = "both " + what.format(use=use, name=name, unit="{unit}")
        yield Conflict(kind, severity, text, left.names[claim], right.names[claim], proposal)


def _topics(mqtt: MqttBinding) -> Iterator[tuple[str, str, Path]]:
    tells, obeys = "publish to", "take commands from"
    if mqtt.availability is not None:
        yield tells, mqtt.availability.topic, ("availability", "topic")
    for name, each in mqtt.properties.items():
        yield tells, each.state, ("properties", name, "state")
        if each.command is not None:
            yield obeys, each.command, ("properties", name, "command")
    for name, action in mqtt.actions.items():
        yield obeys, action.command, ("actions", name, "command")
    for name, event in mqtt.events.items():
        yield tells, event.topic, ("events", name, "topic")
