"""Whether two devices can share a home: names that both of them use."""

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

# Kind, use and name: equal claims of two devices collide.
_Claims = dict[tuple[FindingKind, str, str], Path]

_WHAT = {
    FindingKind.CLIENT_ID: (
        Severity.BLOCKS,
        "use the client id {name}: the broker disconnects one whenever the other one connects",
        "a client id that contains {unit}",
    ),
    FindingKind.TOPIC: (
        Severity.BLOCKS,
        "{use} {name}: messages of the two cannot be told apart",
        "topics that contain {unit}",
    ),
    FindingKind.HOST_NAME: (
        Severity.DEGRADES,
        "use the name {name}: one of them has to choose another name, under which it is not known",
        "a name that contains {unit}",
    ),
}


@dataclass(frozen=True, slots=True)
class Claims:
    """The names that a device uses, each with its key in the profile."""

    names: _Claims = field(default_factory=dict)


def claims_of(profile: Profile) -> Claims:
    """All names that a device uses for itself."""
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
    """A conflict for each name that both devices use."""
    for claim in left.names.keys() & right.names.keys():
        kind, use, name = claim
        severity, what, proposal = _WHAT[kind]
        text = "both " + what.format(use=use, name=name, unit="{unit}")
        yield Conflict(kind, severity, text, left.names[claim], right.names[claim], proposal)


def _topics(mqtt: MqttBinding) -> Iterator[tuple[str, str, Path]]:
    publishes, subscribes = "publish to", "take commands from"
    if mqtt.availability is not None:
        yield publishes, mqtt.availability.topic, ("availability", "topic")
    for name, each in mqtt.properties.items():
        yield publishes, each.state, ("properties", name, "state")
        if each.command is not None:
            yield subscribes, each.command, ("properties", name, "command")
    for name, action in mqtt.actions.items():
        yield subscribes, action.command, ("actions", name, "command")
    for name, event in mqtt.events.items():
        yield publishes, event.topic, ("events", name, "topic")
