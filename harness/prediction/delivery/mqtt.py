"""Whether MQTT delivers what is relied on: versions, QoS, retain, availability, sizes."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.capability import Access, Transport
from harness.prediction.candidate import Candidate
from harness.prediction.device import Conflict
from harness.prediction.findings import (
    FindingKind,
    Severity,
)


def version_clash(meeting: Candidate, transport: Transport | None) -> Iterator[Conflict]:
    """Two versions of MQTT on one broker."""
    left, right = meeting.offerer.profile.bindings.mqtt, meeting.needer.profile.bindings.mqtt
    if left is not None and right is not None and left.version != right.version:
        yield Conflict(
            FindingKind.MQTT_VERSION,
            Severity.NOTE,
            f"{meeting.offerer.name} speaks MQTT {left.version}, {meeting.needer.name} {right.version}",
            ("bindings", "mqtt", "version"),
            ("bindings", "mqtt", "version"),
            "a broker that speaks both; properties of MQTT 5 do not reach the older one",
        )


def quality_clashes(meeting: Candidate, transport: Transport | None) -> Iterator[Conflict]:
    """Less reliable than the needer relies on."""
    wanted = meeting.needed.need.qos
    found = _quality(meeting)
    if found is None:
        return
    key, quality = found
    if quality < wanted:
        lost = "commands" if meeting.commands else "reports"
        yield Conflict(
            FindingKind.QOS,
            Severity.DEGRADES,
            f"{meeting.needer.name} relies on QoS {wanted}, "
            f"{meeting.offerer.name} has QoS {quality}: {lost} can be lost",
            (*meeting.binding(Transport.MQTT), key),
            (*meeting.need, "qos"),
            f"QoS {wanted} at {meeting.offerer.name}",
        )


def _quality(meeting: Candidate) -> tuple[str, int] | None:
    mqtt = meeting.offerer.profile.bindings.mqtt
    assert mqtt is not None, "it is offered over MQTT"
    name = meeting.offered.affordance
    if meeting.offered.offer.availability and mqtt.availability is not None:
        return "qos", mqtt.availability.qos
    if name in mqtt.properties:
        bound = mqtt.properties[name]
        return ("command_qos", bound.command_qos) if meeting.commands else ("qos", bound.qos)
    if name in mqtt.actions:
        return "command_qos", mqtt.actions[name].command_qos
    return ("qos", mqtt.events[name].qos) if name in mqtt.events else None


def retain_clashes(meeting: Candidate, transport: Transport | None) -> Iterator[Conflict]:
    """What the broker keeps, and should not, or the other way round."""
    if meeting.commands:
        return
    mqtt = meeting.offerer.profile.bindings.mqtt
    assert mqtt is not None, "it is offered over MQTT"
    name, need = meeting.offered.affordance, meeting.needed.need
    retained = mqtt.availability.retain if mqtt.availability is not None else True
    if name in mqtt.properties:
        retained = mqtt.properties[name].retain
    elif name in mqtt.events:
        if mqtt.events[name].retain:
            yield Conflict(
                FindingKind.RETAIN,
                Severity.DEGRADES,
                f"the broker keeps this event of {meeting.offerer.name}: {meeting.needer.name} gets it again "
                "after each reconnection, as if it had just happened",
                (*meeting.binding(Transport.MQTT), "retain"),
                meeting.need,
                "events without retain",
            )
        return
    if retained or not (need.retained or need.access is Access.READ):
        return
    every = meeting.offerer.told_every
    waits = f"until the next report, up to {every:g} s later" if every else "until the next change"
    yield Conflict(
        FindingKind.RETAIN,
        Severity.DEGRADES if every else Severity.BLOCKS,
        f"{meeting.needer.name} relies on the broker to keep the state, {meeting.offerer.name} publishes it "
        f"without retain: after a restart it knows nothing {waits}",
        (*meeting.binding(Transport.MQTT), "retain"),
        (*meeting.need, "retained" if need.retained else "access"),
        f"retain: true at {meeting.offerer.name}",
    )


def availability_clash(meeting: Candidate, transport: Transport | None) -> Iterator[Conflict]:
    """Nobody tells that the device has gone."""
    mqtt = meeting.offerer.profile.bindings.mqtt
    assert mqtt is not None, "it is offered over MQTT"
    if meeting.needed.need.availability and mqtt.availability is None:
        yield Conflict(
            FindingKind.AVAILABILITY,
            Severity.DEGRADES,
            f"{meeting.needer.name} relies on being told when the other one has gone, "
            f"{meeting.offerer.name} has no availability topic",
            ("bindings", "mqtt", "availability"),
            (*meeting.need, "availability"),
            "an availability topic with a last will",
        )


def size_clash(meeting: Candidate, transport: Transport | None) -> Iterator[Conflict]:
    """Commands that are larger than what is understood."""
    mqtt = meeting.offerer.profile.bindings.mqtt
    assert mqtt is not None, "it is offered over MQTT"
    for index, sending in enumerate(meeting.needed.sendings):
        schema = sending.schema
        if sending.cause.sends is not None or schema is None or schema.max_length is None:
            continue
        largest = schema.max_length + 2  # in quotes, if all of its characters take one byte
        if largest > mqtt.maximum_payload:
            yield Conflict(
                FindingKind.PAYLOAD_SIZE,
                Severity.DEGRADES,
                f"{meeting.needer.name} sends up to {largest} bytes and more, {meeting.offerer.name} "
                f"understands {mqtt.maximum_payload} at most",
                ("bindings", "mqtt", "maximum_payload"),
                (*meeting.need, "by", index),
                f"shorter texts, or room for {largest} bytes",
            )
