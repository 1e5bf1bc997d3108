"""MQTT delivery: versions, QoS, retain, availability, sizes."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.capability import Access, CapabilityTransport
from harness.prediction.candidate import Candidate
from harness.prediction.device import Conflict
from harness.prediction.findings import (
    FindingKind,
    Severity,
)


def version_conflict(candidate: Candidate, transport: CapabilityTransport | None) -> Iterator[Conflict]:
    """The devices use different versions of MQTT."""
    left, right = candidate.offerer.profile.bindings.mqtt, candidate.needer.profile.bindings.mqtt
    if left is not None and right is not None and left.version != right.version:
        yield Conflict(
            FindingKind.MQTT_VERSION,
            Severity.NOTE,
            f"{candidate.offerer.name} speaks MQTT {left.version}, {candidate.needer.name} {right.version}",
            ("bindings", "mqtt", "version"),
            ("bindings", "mqtt", "version"),
            "a broker that supports both; MQTT 5 properties do not reach the older version",
        )


def quality_conflicts(candidate: Candidate, transport: CapabilityTransport | None) -> Iterator[Conflict]:
    """The QoS is lower than the needer requires."""
    wanted = candidate.needed.need.qos
    found = _quality(candidate)
    if found is None:
        return
    key, quality = found
    if quality < wanted:
        lost = "commands" if candidate.commands else "reports"
        yield Conflict(
            FindingKind.QOS,
            Severity.DEGRADES,
            f"{candidate.needer.name} requires QoS {wanted}, "
            f"{candidate.offerer.name} uses QoS {quality}: {lost} can be lost",
            (*candidate.binding(CapabilityTransport.MQTT), key),
            (*candidate.need, "qos"),
            f"QoS {wanted} at {candidate.offerer.name}",
        )


def _quality(candidate: Candidate) -> tuple[str, int] | None:
    mqtt = candidate.offerer.profile.bindings.mqtt
    assert mqtt is not None, "it is offered over MQTT"
    name = candidate.offered.affordance
    if candidate.offered.offer.availability and mqtt.availability is not None:
        return "qos", mqtt.availability.qos
    if name in mqtt.properties:
        bound = mqtt.properties[name]
        return ("command_qos", bound.command_qos) if candidate.commands else ("qos", bound.qos)
    if name in mqtt.actions:
        return "command_qos", mqtt.actions[name].command_qos
    return ("qos", mqtt.events[name].qos) if name in mqtt.events else None


def retain_conflicts(candidate: Candidate, transport: CapabilityTransport | None) -> Iterator[Conflict]:
    """A state is not retained although it is needed, or an event is retained."""
    if candidate.commands:
        return
    mqtt = candidate.offerer.profile.bindings.mqtt
    assert mqtt is not None, "it is offered over MQTT"
    name, need = candidate.offered.affordance, candidate.needed.need
    retained = mqtt.availability.retain if mqtt.availability is not None else True
    if name in mqtt.properties:
        retained = mqtt.properties[name].retain
    elif name in mqtt.events:
        if mqtt.events[name].retain:
            yield Conflict(
                FindingKind.RETAIN,
                Severity.DEGRADES,
                f"{candidate.offerer.name} publishes this event with retain: {candidate.needer.name} "
                "receives it again "
                "after each reconnection, as if it had just happened",
                (*candidate.binding(CapabilityTransport.MQTT), "retain"),
                candidate.need,
                "events without retain",
            )
        return
    if retained or not (need.retained or need.access is Access.READ):
        return
    every = candidate.offerer.reports_every
    waits = f"until the next report, up to {every:g} s later" if every else "until the next change"
    yield Conflict(
        FindingKind.RETAIN,
        Severity.DEGRADES if every else Severity.BLOCKS,
        f"{candidate.needer.name} relies on a retained state, {candidate.offerer.name} publishes it "
        f"without retain: after a restart {candidate.needer.name} has no state {waits}",
        (*candidate.binding(CapabilityTransport.MQTT), "retain"),
        (*candidate.need, "retained" if need.retained else "access"),
        f"retain: true at {candidate.offerer.name}",
    )


def availability_conflict(candidate: Candidate, transport: CapabilityTransport | None) -> Iterator[Conflict]:
    """The device has no availability topic although one is needed."""
    mqtt = candidate.offerer.profile.bindings.mqtt
    assert mqtt is not None, "it is offered over MQTT"
    if candidate.needed.need.availability and mqtt.availability is None:
        yield Conflict(
            FindingKind.AVAILABILITY,
            Severity.DEGRADES,
            f"{candidate.needer.name} has to know when the other device is gone, "
            f"{candidate.offerer.name} has no availability topic",
            ("bindings", "mqtt", "availability"),
            (*candidate.need, "availability"),
            "an availability topic with a last will",
        )


def size_conflict(candidate: Candidate, transport: CapabilityTransport | None) -> Iterator[Conflict]:
    """Commands can be larger than the maximum payload."""
    mqtt = candidate.offerer.profile.bindings.mqtt
    assert mqtt is not None, "it is offered over MQTT"
    for index, sending in enumerate(candidate.needed.sendings):
        schema = sending.schema
        if sending.cause.sends is not None or schema is None or schema.max_length is None:
            continue
        largest = schema.max_length + 2  # in quotes, if all of its characters take one byte
        if largest > mqtt.maximum_payload:
            yield Conflict(
                FindingKind.PAYLOAD_SIZE,
                Severity.DEGRADES,
                f"{candidate.needer.name} can send {largest} bytes and more, {candidate.offerer.name} "
                f"accepts {mqtt.maximum_payload} bytes at most",
                ("bindings", "mqtt", "maximum_payload"),
                (*candidate.need, "by", index),
                f"shorter texts, or a maximum payload of {largest} bytes",
            )
