"""A pair that works together, and the ways in which it can be made not to: each a small change of a profile.

``SEEDS`` is plain data. ``seed.pair()`` gives the two devices with the change in them; the offerer is the
thermostat plug, the needer the room panel.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from harness.model.profile import Profile
from harness.prediction.device import (
    Device,
    read_device,
)
from harness.prediction.findings import (
    FindingKind,
    Severity,
)

FOLDER = Path(__file__).parent / "profiles"
OFFERER, NEEDER = FOLDER / "thermostat-plug.yaml", FOLDER / "room-panel.yaml"

Change = dict[str, Any]
"""Laid over a profile as a child over its parent: mappings are merged, None removes, the rest replaces."""

K, BLOCKS, DEGRADES, NOTE = FindingKind, Severity.BLOCKS, Severity.DEGRADES, Severity.NOTE


@dataclass(frozen=True)
class Seed:
    """One incompatibility: what prediction has to find, and where.

    ``key`` is the key in the profile of the offerer, or, where it begins with ``needs`` or ``needer:``, in
    that of the needer. ``shown_by`` is the check that fails when the two are brought together, empty where
    none does: nothing is sent, a hub mends it on the way, or it shows only when something goes wrong.
    """

    name: str
    kind: FindingKind
    severity: Severity
    key: str
    offerer: Change = field(default_factory=dict)
    needer: Change = field(default_factory=dict)
    shown_by: str = ""

    def pair(self) -> tuple[Device, Device]:
        """Offerer and needer with the change in them."""
        one, other = base()
        return changed(one, self.offerer), changed(other, self.needer)


@cache
def base() -> tuple[Device, Device]:
    """The pair as it works."""
    return read_device(OFFERER), read_device(NEEDER)


def changed(device: Device, change: Change) -> Device:
    """The device with a change in its profile; its places stay those of the file."""
    data = device.profile.model_dump(mode="json", by_alias=True, exclude_none=True)
    # Not checked for consistency: some of these mistakes are what a validation would find.
    text = json.dumps(_merged(data, change))
    return Device(Profile.model_validate_json(text, strict=True, by_alias=True, by_name=False), device.tree)


def _merged(data: Change, change: Change) -> Change:
    merged = dict(data)
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merged(merged[key], value)
        else:
            merged[key] = value
    return merged


def _rules(*rules: Change) -> Change:
    """Rules beside the one that the plug has."""
    shows = {
        "id": "a-text-is-shown",
        "purpose": "ensure that a text is shown, and that this is told",
        "when": [{"action": "show"}],
        "then": [{"event": "shown"}],
    }
    return {"behaviour": {"rules": [*rules, shows]}}


def _stays_cool(above: float) -> Change:
    return {
        "id": "eco-stays-cool",
        "purpose": "ensure that no high target is accepted while saving",
        "while": [{"property": "mode", "equals": "eco"}],
        "refuse": [{"property": "target", "above": above}],
    }


def _switches(action: str, on: bool) -> Change:
    return {
        "id": f"{action}-switches",
        "purpose": "ensure that the output follows",
        "when": [{"action": action}],
        "then": [{"property": "output", "equals": on}],
    }


def _property(name: str, **keys: Any) -> Change:
    return {"properties": {name: keys}}


def _mqtt(**keys: Any) -> Change:
    return {"bindings": {"mqtt": keys}}


def _need(name: str, **keys: Any) -> Change:
    return {"needs": {name: keys}}


def _supply(**keys: Any) -> Change:
    rating = {
        "connector": "CEE 7/3",
        "voltage": {"minimum": 220, "maximum": 240},
        "frequency": {"minimum": 50, "maximum": 50},
        "current": 16,
        "power": 3680,
        "earthed": True,
    }
    return {"ratings": {"supplies": [{name: value for name, value in {**rating, **keys}.items() if value}]}}


def _draw(**keys: Any) -> Change:
    rating = {
        "connector": "CEE 7/16",
        "voltage": {"minimum": 100, "maximum": 240},
        "frequency": {"minimum": 50, "maximum": 60},
        "current": 0.1,
        "power": 6,
    }
    return {"ratings": {"draws": [{**rating, **keys}]}}


_ON_COAP: Change = {
    "bindings": {
        "mqtt": {"properties": {"room": None}},
        "coap": {"properties": {"room": {"path": "/room", "observe": True}}},
    }
}
_FOLLOWS_ON_COAP = _need("temperature", transports=["coap"], every=None, retained=None)

SEEDS: tuple[Seed, ...] = (
    # What they say to each other
    Seed(
        "capability-missing",
        K.ABSENT,
        BLOCKS,
        "capabilities.Thermostat",
        {"capabilities": {"Thermostat": {"SystemMode": None}}},
    ),
    Seed(
        "read-only",
        K.READ_ONLY,
        BLOCKS,
        "properties.target.readOnly",
        {**_property("target", readOnly=True), **_mqtt(properties={"target": {"command": None}})},
    ),
    Seed("write-only", K.WRITE_ONLY, BLOCKS, "properties.room.writeOnly", _property("room", writeOnly=True)),
    Seed(
        "other-type",
        K.TYPE,
        BLOCKS,
        "properties.room.type",
        {
            "properties": {
                "room": {
                    "type": "string",
                    "unit": None,
                    "minimum": None,
                    "maximum": None,
                    "multipleOf": None,
                    "tolerance": None,
                    "default": "mild",
                }
            }
        },
    ),
    Seed(
        "action-without-input",
        K.TYPE,
        BLOCKS,
        "needs.note.by[0]",
        {"actions": {"show": {"input": None}}},
    ),
    Seed(
        "action-with-input",
        K.TYPE,
        BLOCKS,
        "actions.up.input.type",
        {
            "capabilities": {
                "OnOff": {"OnOff": None, "On": {"action": "up"}, "Off": {"action": "down"}},
            },
            "actions": {"up": {"input": {"type": "integer"}}, "down": {"input": {"type": "integer"}}},
            **_mqtt(
                actions={
                    "up": {"command": "home/tplug-0a1b2c/up"},
                    "down": {"command": "home/tplug-0a1b2c/down"},
                }
            ),
        },
    ),
    Seed(
        "range-narrower",
        K.RANGE,
        DEGRADES,
        "properties.target.maximum",
        _property("target", maximum=20),
        shown_by="COMPAT-02",
    ),
    Seed(
        "range-elsewhere",
        K.RANGE,
        BLOCKS,
        "properties.target.minimum",
        _property("target", minimum=26, default=26),
        shown_by="COMPAT-01",
    ),
    Seed(
        "range-of-reports",
        K.RANGE,
        DEGRADES,
        "needs.temperature.into",
        needer=_property("shown_temperature", maximum=30),
        shown_by="COMPAT-02",
    ),
    Seed(
        "reaction-out-of-range",
        K.RANGE,
        BLOCKS,
        "needs.temperature.reactions[0]",
        _property("room", maximum=28),
    ),
    Seed(
        "step-coarser",
        K.STEP,
        DEGRADES,
        "properties.target.multipleOf",
        _property("target", multipleOf=2),
    ),
    Seed(
        "value-missing",
        K.VALUES,
        DEGRADES,
        "properties.mode.enum",
        {
            "properties": {"mode": {"enum": ["heat", "auto"]}},
            "capabilities": {"Thermostat": {"SystemMode": {"values": {"Sleep": None}}}},
        },
    ),
    Seed(
        "reaction-never-told",
        K.VALUES,
        BLOCKS,
        "needs.overload.reactions[0]",
        {
            "controls": {"overload": {"effects": [{"event": "tripped", "data": "short"}]}},
            "events": {"tripped": {"data": {"enum": ["short"]}}},
            "capabilities": {"ElectricalProtectionAlarm": {"Notify": {"values": {"OverLoadFault": None}}}},
        },
    ),
    Seed(
        "text-too-long",
        K.LENGTH,
        DEGRADES,
        "actions.show.input.maxLength",
        {"actions": {"show": {"input": {"maxLength": 8}}}},
        shown_by="COMPAT-01",
    ),
    Seed(
        "text-of-other-form",
        K.PATTERN,
        DEGRADES,
        "actions.show.input.pattern",
        {"actions": {"show": {"input": {"pattern": "^[A-Z ]*$"}}}},
        shown_by="COMPAT-01",
    ),
    Seed(
        "patterns-undecided",
        K.UNDECIDED,
        DEGRADES,
        "actions.show.input",
        {"actions": {"show": {"input": {"pattern": "^[A-Za-z ]*$"}}}},
        {"events": {"typed": {"data": {"pattern": "^[A-Z]+$"}}}},
    ),
    Seed("unit-without-conversion", K.UNIT, BLOCKS, "properties.target.unit", _property("target", unit="W")),
    Seed(
        "unit-blurred",
        K.CONVERSION,
        DEGRADES,
        "properties.target.unit",
        _property("target", unit="[degF]", minimum=41, maximum=86, multipleOf=1, default=68),
    ),
    Seed(
        "refused-at-times",
        K.REFUSAL,
        NOTE,
        "behaviour.rules[0]",
        _rules(_stays_cool(22)),
    ),
    # How it travels
    Seed(
        "not-bound",
        K.TRANSPORT,
        BLOCKS,
        "capabilities.Thermostat.OccupiedHeatingSetpoint",
        _mqtt(properties={"target": None}),
    ),
    Seed(
        "other-transport",
        K.BRIDGE,
        DEGRADES,
        "needs.warmth.transports",
        needer=_need("warmth", transports=["coap"]),
    ),
    Seed("mqtt-version", K.MQTT_VERSION, NOTE, "bindings.mqtt.version", _mqtt(version="5.0")),
    Seed(
        "qos-of-reports",
        K.QOS,
        DEGRADES,
        "bindings.mqtt.events.tripped.qos",
        _mqtt(events={"tripped": {"qos": 0}}),
    ),
    Seed(
        "qos-of-commands",
        K.QOS,
        DEGRADES,
        "bindings.mqtt.properties.output.command_qos",
        _mqtt(properties={"output": {"command_qos": 0}}),
    ),
    Seed(
        "not-retained",
        K.RETAIN,
        DEGRADES,
        "bindings.mqtt.properties.room.retain",
        _mqtt(properties={"room": {"retain": False}}),
    ),
    Seed(
        "neither-retained-nor-repeated",
        K.RETAIN,
        BLOCKS,
        "bindings.mqtt.properties.load.retain",
        _mqtt(properties={"load": {"retain": False}}) | {"behaviour": {"heartbeat": None}},
        _need("temperature", every=None),
    ),
    Seed(
        "event-retained",
        K.RETAIN,
        DEGRADES,
        "bindings.mqtt.events.tripped.retain",
        _mqtt(events={"tripped": {"retain": True}}),
    ),
    Seed(
        "no-availability",
        K.AVAILABILITY,
        DEGRADES,
        "bindings.mqtt.availability",
        {
            **_mqtt(availability=None),
            "capabilities": {
                "BasicInformation": {"Reachable": {"availability": False, "property": "output"}}
            },
        },
    ),
    Seed(
        "payload-too-large",
        K.PAYLOAD_SIZE,
        DEGRADES,
        "bindings.mqtt.maximum_payload",
        _mqtt(maximum_payload=20),
        shown_by="COMPAT-01",
    ),
    Seed(
        "not-observable",
        K.NOT_TOLD,
        BLOCKS,
        "bindings.coap.properties.room.observe",
        {
            "bindings": {
                "coap": {"properties": {"room": {"path": "/room"}}},
                "mqtt": {"properties": {"room": None}},
            }
        },
        _FOLLOWS_ON_COAP,
    ),
    # When it arrives
    Seed("obeys-too-late", K.DEADLINE, DEGRADES, "behaviour.settle", {"behaviour": {"settle": 5}}),
    Seed(
        "tells-too-late",
        K.DEADLINE,
        DEGRADES,
        "behaviour.report_local",
        {"behaviour": {"report_local": 10}},
    ),
    Seed(
        "tells-too-seldom",
        K.DEADLINE,
        BLOCKS,
        "behaviour.heartbeat",
        {"behaviour": {"heartbeat": 300}},
        shown_by="COMPAT-03",
    ),
    Seed(
        "sleeps-through-commands",
        K.SLEEP,
        BLOCKS,
        "bindings.mqtt.sleep",
        {**_mqtt(sleep={"awake": 2, "wakes_every": 30}), "behaviour": {"heartbeat": None}},
        shown_by="COMPAT-01",
    ),
    Seed(
        "sleeps-through-events",
        K.SLEEP,
        BLOCKS,
        "needer:bindings.mqtt.sleep",
        needer=_mqtt(sleep={"awake": 2, "wakes_every": 30}),
        shown_by="COMPAT-01",
    ),
    # How they find and trust each other
    Seed("not-announced", K.DISCOVERY, BLOCKS, "bindings", {"bindings": {"mdns": None}}),
    Seed(
        "announced-otherwise",
        K.DISCOVERY,
        BLOCKS,
        "needs.output.discovery",
        needer=_need("output", discovery="_matter._tcp"),
    ),
    Seed(
        "no-encryption", K.SECURITY, BLOCKS, "needs.output.security", needer=_need("output", security="tls")
    ),
    Seed("no-login", K.SECURITY, BLOCKS, "bindings.mqtt.login", needer=_need("output", security="login")),
    # What flows besides messages
    Seed("connector", K.CONNECTOR, BLOCKS, "ratings.draws[0].connector", needer=_draw(connector="BS 1363")),
    Seed(
        "voltage",
        K.VOLTAGE,
        BLOCKS,
        "ratings.supplies[0].voltage",
        _supply(voltage={"minimum": 100, "maximum": 120}),
        _draw(voltage={"minimum": 220, "maximum": 240}),
    ),
    Seed(
        "voltage-somewhere",
        K.VOLTAGE,
        NOTE,
        "ratings.supplies[0].voltage",
        _supply(voltage={"minimum": 100, "maximum": 240}),
        _draw(voltage={"minimum": 220, "maximum": 240}),
    ),
    Seed(
        "frequency",
        K.FREQUENCY,
        BLOCKS,
        "ratings.supplies[0].frequency",
        needer=_draw(frequency={"minimum": 60, "maximum": 60}),
    ),
    Seed("direct-current", K.FREQUENCY, BLOCKS, "ratings.supplies[0].frequency", _supply(frequency=None)),
    Seed("current", K.CURRENT, BLOCKS, "ratings.supplies[0].current", needer=_draw(current=20)),
    Seed("power", K.POWER, BLOCKS, "ratings.supplies[0].power", needer=_draw(power=4000)),
    Seed("phases", K.PHASES, BLOCKS, "ratings.supplies[0].phases", needer=_draw(phases=3)),
    Seed(
        "earth", K.EARTH, BLOCKS, "ratings.supplies[0].earthed", _supply(earthed=False), _draw(earthed=True)
    ),
    # Whether they can be in one home at all
    Seed(
        "one-client-id",
        K.CLIENT_ID,
        BLOCKS,
        "bindings.mqtt.client_id",
        _mqtt(client_id="esp-device"),
        _mqtt(client_id="esp-device"),
        shown_by="COMPAT-10",
    ),
    Seed(
        "one-topic",
        K.TOPIC,
        BLOCKS,
        "bindings.mqtt.properties.mode.state",
        _mqtt(properties={"mode": {"state": "home/state"}}),
        _mqtt(properties={"warning": {"state": "home/state"}}),
        shown_by="COMPAT-11",
    ),
    Seed(
        "one-command-topic",
        K.TOPIC,
        BLOCKS,
        "bindings.mqtt.properties.output.command",
        _mqtt(properties={"output": {"command": "home/set"}}),
        _mqtt(properties={"warning": {"command": "home/set"}}),
        shown_by="COMPAT-12",
    ),
    Seed(
        "one-host-name",
        K.HOST_NAME,
        DEGRADES,
        "bindings.mdns.host",
        {"bindings": {"mdns": {"host": "esp-device"}}},
        {
            "bindings": {
                "mdns": {
                    "host": "esp-device",
                    "services": [
                        {"type": "_http._tcp", "instance": "Panel", "port": 80, "speaks": "http", "txt": {}}
                    ],
                }
            }
        },
    ),
)

COMPATIBLE: dict[str, tuple[Change, Change]] = {
    "as they are": ({}, {}),
    "wider range": (_property("target", minimum=0, maximum=40), {}),
    "finer step": (_property("target", multipleOf=0.1), {}),
    "no step": ({"properties": {"target": {"multipleOf": None}}}, {}),
    "more values": ({"properties": {"mode": {"enum": ["heat", "auto", "eco", "frost"]}}}, {}),
    "other names": (
        {
            "capabilities": {"OnOff": {"OnOff": None, "On": {"action": "up"}, "Off": {"action": "down"}}},
            "actions": {"up": {}, "down": {}},
            **_rules(_switches("up", True), _switches("down", False)),
            **_mqtt(
                actions={
                    "up": {"command": "home/tplug-0a1b2c/up"},
                    "down": {"command": "home/tplug-0a1b2c/down"},
                }
            ),
        },
        {},
    ),
    "Fahrenheit in fine steps": (
        _property("target", unit="[degF]", minimum=41, maximum=86, multipleOf=0.1, default=68),
        {},
    ),
    "Fahrenheit reports": (
        _property("room", unit="[degF]", minimum=14, maximum=122, multipleOf=0.1, default=66),
        {},
    ),
    "kilowatts": (_property("load", unit="kW", maximum=4, multipleOf=0.001, default=0.9), {}),
    "over CoAP": (_ON_COAP, _FOLLOWS_ON_COAP),
    "refuses what nobody sends": (
        _rules(_stays_cool(25)),
        {},
    ),
    "faster": ({"behaviour": {"settle": 0.1, "report_local": 0.1, "heartbeat": 10}}, {}),
    "QoS 2": (_mqtt(properties={"output": {"command_qos": 2}}, events={"tripped": {"qos": 2}}), {}),
    "a longer text": ({"actions": {"show": {"input": {"maxLength": 200}}}}, {}),
    "more power": (_supply(current=20, power=4600), {}),
    "another socket": (_supply(connector="CEE 7/5"), {}),
    "both with a login": (_mqtt(login=True), _mqtt(login=True)),
    "more services": (
        {
            "bindings": {
                "mdns": {
                    "services": [
                        {"type": "_http._tcp", "instance": "a", "port": 80, "speaks": "http"},
                        {"type": "_coap._udp", "instance": "b", "port": 5683, "speaks": "coap"},
                    ]
                }
            }
        },
        {},
    ),
    "MQTT 5 both": (_mqtt(version="5.0"), _mqtt(version="5.0")),
}
"""Changes that do no harm: nothing may block, and nothing may degrade."""
