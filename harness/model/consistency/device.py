"""The device as a whole: its unit, controls, and whether its affordances can be reached."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.model.consistency.mistake import CheckedProfile, Mistake, unknown_name, wrong_value
from harness.model.ics import known_ics
from harness.model.problems import Path
from harness.model.profile import Effect
from harness.model.schema import DataType
from harness.registry import near_names

_PORT = re.compile(r"(tcp|udp)/([1-9][0-9]{0,4})")


def mistakes(subject: CheckedProfile) -> Iterator[Mistake]:
    """Mistakes that concern the device as a whole."""
    profile = subject.profile
    if not re.fullmatch(r"[^\s/+#{}\x00]+", profile.unit):
        message = "cannot stand in topics and names"
        yield Mistake(("unit",), message, repr(profile.unit), "text without spaces, /, +, #, { and }")
    for index, item in enumerate(profile.ics):
        if item not in known_ics():
            near = near_names(item, known_ics()) or sorted(known_ics())
            yield Mistake(("ics", index), "is not a known ICS item", item, ", ".join(near))
    for index, port in enumerate(profile.security.open_ports):
        match = _PORT.fullmatch(port)
        if match is None or int(match[2]) > 65535:
            yield Mistake(
                ("security", "open_ports", index), "is not a port", port, "such as tcp/80 or udp/5683"
            )
    for index, secret in enumerate(profile.security.secrets):
        if not secret:
            yield Mistake(("security", "secrets", index), "an empty text would match everything")
    for name, control in profile.controls.items():
        for index, effect in enumerate(control.effects):
            yield from _of_effect(subject, effect, ("controls", name, "effects", index))
    if subject.whole:
        yield from _unreachable(subject)


def _of_effect(subject: CheckedProfile, effect: Effect, path: Path) -> Iterator[Mistake]:
    profile = subject.profile
    if (effect.property_ is None) == (effect.event is None):
        yield Mistake(path, "an effect names either a property or an event")
    if effect.event is not None:
        if mistake := unknown_name((*path, "event"), "event", effect.event, subject.names.events):
            yield mistake
        event = profile.events.get(effect.event)
        if event is not None and event.data is not None:
            yield from wrong_value((*path, "data"), effect.data, event.data)
        elif event is not None and effect.data is not None:
            yield Mistake((*path, "data"), f"the event {effect.event} has no data")
    if effect.property_ is None:
        return
    if mistake := unknown_name((*path, "property"), "property", effect.property_, subject.names.properties):
        yield mistake
    if effect.toggle == (effect.value is not None):
        yield Mistake(path, "an effect on a property has either a value or toggle: true")
    schema = profile.properties.get(effect.property_)
    if schema is None:
        return
    if effect.toggle and schema.type is not DataType.BOOLEAN:
        yield Mistake((*path, "toggle"), "only a boolean can be toggled", str(schema.type))
    if effect.value is not None:
        yield from wrong_value((*path, "value"), effect.value, schema)


def _unreachable(subject: CheckedProfile) -> Iterator[Mistake]:
    profile = subject.profile
    mqtt, coap, mdns = profile.bindings.mqtt, profile.bindings.coap, profile.bindings.mdns
    serial = profile.bindings.serial
    if mqtt is None and coap is None and mdns is None and serial is None:
        allowed = "mqtt, coap, mdns or serial, or several"
        yield Mistake(("bindings",), "the device has no transport", None, allowed)
    commanded = {name for name, bound in mqtt.properties.items() if bound.command} if mqtt else set()
    written = commanded | (set(coap.properties) if coap else set())
    if serial is not None and mqtt is None and coap is None:
        # A board without a network can be written only over its serial line.
        written |= {name for name in profile.properties if serial.can_write(name)}
    for name, schema in profile.properties.items():
        if schema.writable and name not in written:
            message = "no transport can write it: it has no MQTT command topic and no CoAP resource"
            yield Mistake(("properties", name), message, None, "readOnly: true, or one of those bindings")
    invoked = (set(mqtt.actions) if mqtt else set()) | (set(coap.actions) if coap else set())
    for name in profile.actions:
        if name not in invoked:
            yield Mistake(
                ("actions", name), "no transport can invoke it", None, "a binding over MQTT or CoAP"
            )
    reported = (set(mqtt.events) if mqtt else set()) | (set(coap.events) if coap else set())
    for name in profile.events:
        if name not in reported:
            yield Mistake(("events", name), "no transport reports it", None, "a binding over MQTT or CoAP")
