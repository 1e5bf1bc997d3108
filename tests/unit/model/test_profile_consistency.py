from __future__ import annotations

from pathlib import Path

import pytest
from profile_files import LAMP, load_over_lamp, problems_of, write

from harness.model.loading.profiles import load_profile
from harness.model.problems import ProfileError

MQTT = "bindings.mqtt"


# A restart delay, and what it delays.
OFF = "[{ property: power, equals: false }]"
REST = f"id: rest, when: {OFF}, then: {OFF}, within: 1, holds: 60"
WORK = "id: work, while: [{ property: mode, equals: 'on' }], then: [{ property: power, equals: true }]"


def mqtt(changes: str) -> str:
    return f"bindings: {{ mqtt: {{ {changes} }} }}"


def rules(*texts: str) -> str:
    return "behaviour: { rules: [" + ", ".join(f"{{ purpose: p, {text} }}" for text in texts) + "] }"


def coap(changes: str) -> str:
    return f"bindings: {{ coap: {{ {changes} }} }}"


def service(changes: str) -> str:
    text = f"{{ type: _http._tcp, instance: Lamp, port: 80, speaks: http, {changes} }}"
    return f"bindings: {{ mdns: {{ host: lamp, services: [{text}] }} }}"


MISTAKES = {
    # Names that there are not.
    mqtt("properties: { levle: { state: lamp/u1/x } }"): (f"{MQTT}.properties.levle", "level"),
    mqtt("actions: { blnik: { command: lamp/u1/x } }"): (f"{MQTT}.actions.blnik", "blink"),
    mqtt("events: { cold: { topic: lamp/u1/x } }"): (f"{MQTT}.events.cold", "hot"),
    coap("properties: { levle: { path: /x } }"): ("bindings.coap.properties.levle", "level"),
    "ics: [MQTT.WIL]": ("ics[0]", "MQTT.WILL"),
    "controls: { b: { effects: [{ property: powr, toggle: true }] } }": (
        "controls.b.effects[0].property",
        "power",
    ),
    "controls: { b: { effects: [{ event: cold, data: warn }] } }": ("controls.b.effects[0].event", "hot"),
    "controls: { b: { effects: [{ event: hot, data: warn }], unless: [{ property: lok, equals: 1 }] } }": (
        "controls.b.unless[0].property",
        "power",
    ),
    # Values and schemas.
    "properties: { level: { default: 0 } }": ("properties.level.default", "below the minimum"),
    "properties: { mode: { default: disco } }": ("properties.mode.default", "none of"),
    "properties: { heat: { default: 20.3 } }": ("properties.heat.default", "multiple"),
    "properties: { level: { minimum: 101 } }": ("properties.level.minimum", "above maximum"),
    "properties: { heat: { minimum: 1, maximum: 4, multipleOf: 5, default: null } }": (
        "properties.heat.minimum",
        "no value",
    ),
    "properties: { mode: { enum: [eco, eco] } }": ("properties.mode.enum[1]", "twice"),
    "properties: { mode: { enum: [eco, 3] } }": ("properties.mode.enum[1]", "type"),
    "properties: { mode: { enum: [], default: null } }": ("properties.mode.enum", "no value"),
    "properties: { power: { minimum: 3 } }": ("properties.power.minimum", "boolean"),
    "properties: { mode: { pattern: '(' } }": ("properties.mode.pattern", "regular expression"),
    "properties: { heat: { writeOnly: true } }": ("properties.heat.writeOnly", "both"),
    "properties: { mode: { counter: true } }": ("properties.mode.counter", "number"),
    "properties: { heat: { integral_of: level, counter: true, unit: kW.h } }": (
        "properties.heat.integral_of",
        "not a power",
    ),
    "properties: { heat: { power_up: default, default: null } }": (
        "properties.heat.power_up",
        "needs a default",
    ),
    "controls: { b: { effects: [{ property: level, value: 0 }] } }": ("controls.b.effects[0].value", "below"),
    "controls: { b: { effects: [{ property: level, toggle: true }] } }": (
        "controls.b.effects[0].toggle",
        "boolean",
    ),
    "controls: { b: { effects: [{ property: level }] } }": ("controls.b.effects[0]", "either"),
    "controls: { b: { effects: [{ event: hot, data: huge }] } }": ("controls.b.effects[0].data", "none of"),
    "unit: a/b": ("unit", "without spaces"),
    # What no transport reaches.
    "properties: { extra: { type: boolean } }": ("properties.extra", "no transport can write"),
    "actions: { extra: {} }": ("actions.extra", "no transport can invoke"),
    "events: { extra: {} }": ("events.extra", "no transport reports"),
    # MQTT.
    mqtt("properties: { heat: { command: lamp/u1/x } }"): (f"{MQTT}.properties.heat.command", "readOnly"),
    mqtt("properties: { heat: { state: lamp/u11/heat } }"): (f"{MQTT}.properties.heat.state", "outside"),
    mqtt("properties: { heat: { state: lamp/+/heat } }"): (f"{MQTT}.properties.heat.state", "not allowed"),
    mqtt("properties: { heat: { state: lamp/# } }"): (f"{MQTT}.properties.heat.state", "not allowed"),
    mqtt("properties: { heat: { state: lamp/u1/level } }"): (f"{MQTT}.properties.heat.state", "member"),
    mqtt("properties: { heat: { state: lamp/u1/level, member: a }, level: { member: a } }"): (
        f"{MQTT}.properties.heat.member",
        "same member",
    ),
    mqtt("properties: { heat: { state: lamp/u1/level, member: a, qos: 1 }, level: { member: b } }"): (
        f"{MQTT}.properties.heat.state",
        "different QoS",
    ),
    mqtt("properties: { mode: { command: lamp/u1/level/set } }"): (
        f"{MQTT}.properties.mode.command",
        "member",
    ),
    mqtt("actions: { blink: { command: lamp/u1/level/set } }"): (
        f"{MQTT}.actions.blink.command",
        "already uses",
    ),
    mqtt("properties: { mode: { state: lamp/u1/level/set } }"): (
        f"{MQTT}.properties.mode.state",
        "its own messages",
    ),
    mqtt("properties: { heat: { state: lamp/u1/there } }"): (f"{MQTT}.properties.heat.state", "already uses"),
    mqtt("properties: { heat: { command_member: x } }"): (
        f"{MQTT}.properties.heat.command_member",
        "no command",
    ),
    mqtt("availability: { offline: online }"): (f"{MQTT}.availability.offline", "same payload"),
    mqtt("properties: { mode: { values: { a: eco } } }"): (f"{MQTT}.properties.mode.values", "on, off"),
    mqtt("properties: { power: { values: { also: true } } }"): (
        f"{MQTT}.properties.power.values.also",
        "same value",
    ),
    mqtt("properties: { power: { values: { maybe: 3 } } }"): (
        f"{MQTT}.properties.power.values.maybe",
        "type",
    ),
    mqtt("properties: { level: { values: { low: 1 } } }"): (
        f"{MQTT}.properties.level.values",
        "boolean or an enum",
    ),
    mqtt("events: { hot: { values: { w: warn } } }"): (f"{MQTT}.events.hot.values", "stop"),
    mqtt("client_id: '', clean_session: false"): (f"{MQTT}.client_id", "3.1.3-7"),
    mqtt("reconnect: { first: 9, maximum: 3 }"): (f"{MQTT}.reconnect.first", "maximum"),
    "behaviour: { reconnect: 20 }": ("behaviour.reconnect", "more than 25"),
    # CoAP.
    coap("properties: { level: { path: /x }, heat: { path: /x } }"): (
        "bindings.coap.properties.heat.path",
        "same path",
    ),
    coap("properties: { level: { path: /x } }, resources: [{ path: /x }]"): (
        "bindings.coap.resources[0].path",
        "same path",
    ),
    coap("properties: { level: { path: /.well-known/core } }"): (
        "bindings.coap.properties.level.path",
        "reserved",
    ),
    coap("properties: { level: { path: /x, format: text, member: a } }"): (
        "bindings.coap.properties.level.member",
        "no members",
    ),
    "properties: { heat: { observable: false } }\n"
    + coap("properties: { heat: { path: /x, observe: true } }"): (
        "bindings.coap.properties.heat.observe",
        "observable",
    ),
    # mDNS.
    service("subtypes: ['']"): ("bindings.mdns.services[0].subtypes[0]", "instance name"),
    service("txt: { '': x }"): ("bindings.mdns.services[0].txt.", "TXT key"),
    service("txt: { 'a=b': x }"): ("bindings.mdns.services[0].txt.a=b", "US-ASCII"),
    service("txt: { clé: x }"): ("bindings.mdns.services[0].txt.clé", "US-ASCII"),
    service("txt: { id: x, ID: y }"): ("bindings.mdns.services[0].txt.ID", "case-insensitive"),
    service(f"txt: {{ id: {'x' * 253} }}"): ("bindings.mdns.services[0].txt.id", "256 bytes"),
    service("speaks: coap").replace("speaks: http, ", "").replace("_http._tcp", "_coap._udp"): (
        "bindings.mdns.services[0].speaks",
        "no CoAP binding",
    ),
    service("txt: {}").replace("_http", "_a-very-long-name"): ("bindings.mdns.services[0].type", "15"),
    service("txt: {}").replace("_http", "_a--b"): ("bindings.mdns.services[0].type", "hyphens"),
    service("txt: {}").replace("_http", "_1234"): ("bindings.mdns.services[0].type", "letter"),
    service("txt: {}").replace("_http._tcp", "_http._udp"): ("bindings.mdns.services[0].type", "_tcp"),
    service("txt: {}").replace("instance: Lamp", f"instance: {'é' * 32}"): (
        "bindings.mdns.services[0].instance",
        "63 bytes",
    ),
    service("txt: {}").replace("host: lamp", "host: lamp.local"): ("bindings.mdns.host", "without .local"),
    # Rules.
    rules("id: r, when: [{ property: haet, above: 3 }], then: [{ property: power, equals: true }]"): (
        "behaviour.rules[0].when[0].property",
        "heat",
    ),
    rules("id: r, when: [{ property: heat, above: levle }], then: [{ property: power, equals: true }]"): (
        "behaviour.rules[0].when[0].above",
        "level",
    ),
    rules("id: r, when: [{ property: heat, above: mode }], then: [{ property: power, equals: true }]"): (
        "behaviour.rules[0].when[0].above",
        "numbers",
    ),
    rules("id: r, when: [{ property: mode, above: 3 }], then: [{ property: power, equals: true }]"): (
        "behaviour.rules[0].when[0].above",
        "numbers",
    ),
    rules("id: r, when: [{ property: heat, above: 120 }], then: [{ property: power, equals: true }]"): (
        "behaviour.rules[0].when[0].above",
        "never",
    ),
    rules("id: r, when: [{ property: mode, equals: disco }], then: [{ property: power, equals: true }]"): (
        "behaviour.rules[0].when[0].equals",
        "none of",
    ),
    rules("id: r, when: [{ event: hot, data: huge }], then: [{ property: power, equals: true }]"): (
        "behaviour.rules[0].when[0].data",
        "none of",
    ),
    rules("id: r, when: [{ action: blink, data: 0 }], then: [{ property: power, equals: true }]"): (
        "behaviour.rules[0].when[0].data",
        "below",
    ),
    rules("id: r, when: [{ property: power, equals: true }], then: [{ action: blink }]"): (
        "behaviour.rules[0].then[0].action",
        "invoked from outside",
    ),
    rules("id: r, while: [{ property: power, equals: true }], refuse: [{ property: heat, above: 3 }]"): (
        "behaviour.rules[0].refuse",
        "refuses nothing",
    ),
    rules("id: r, while: [{ property: power, equals: false }], refuse: [{ property: level, above: 3 }]"): (
        "behaviour.rules[0].refuse",
        "default values",
    ),
    "properties: { inner: { type: boolean, readOnly: true } }\n"
    + rules("id: r, when: [{ event: hot }], then: [{ property: inner, equals: true }]"): (
        "behaviour.rules[0].then[0].property",
        "cannot be checked",
    ),
    rules(
        "id: r, when: [{ event: hot }], then: [{ property: power, equals: true }]",
        "id: r, when: [{ event: hot }], then: [{ property: level, equals: 5 }]",
    ): ("behaviour.rules[1].id", "already"),
    "behaviour: { heartbeat: 60 }\nbindings: { mqtt: { sleep: { awake: 2 } } }": (
        "behaviour.heartbeat",
        "wakes_every",
    ),
    # Rules against each other.
    rules(
        "id: a, while: [{ property: power, equals: true }], then: [{ property: heat, above: 50 }]",
        "id: b, while: [{ property: mode, equals: eco }], then: [{ property: heat, below: 40 }]",
    ): ("behaviour.rules[1].then", "contradicts the rule a"),
    rules(
        "id: a, when: [{ property: power, equals: true }], then: [{ property: heat, equals: 50 }]",
        "id: b, while: [{ property: mode, equals: eco }], then: [{ property: heat, below: 40 }]",
    ): ("behaviour.rules[1].then", "contradicts the rule a"),
    rules(
        "id: a, when: [{ event: hot }], then: [{ property: power, equals: true }]",
        "id: b, when: [{ event: hot }], then: [{ property: power, equals: false }]",
    ): ("behaviour.rules[1].then", "contradicts the rule a"),
    rules("id: a, while: [{ property: power, equals: true }], then: [{ property: power, equals: false }]"): (
        "behaviour.rules[0].then",
        "cannot be true while",
    ),
}


@pytest.mark.parametrize("changes", MISTAKES)
def test_what_does_not_fit_is_one_mistake_at_its_key(tmp_path: Path, changes: str) -> None:
    key, words = MISTAKES[changes]
    with pytest.raises(ProfileError) as caught:
        load_over_lamp(tmp_path, changes)
    (problem,) = caught.value.problems
    assert problem.key == key
    assert words in str(problem)
    assert problem.line > 0


@pytest.mark.parametrize(
    "changes",
    [
        # Distinct members may share a topic, and distinct conditions may ask for different things.
        mqtt("properties: { heat: { state: lamp/u1/a, member: h }, level: { state: lamp/u1/a, member: l } }"),
        mqtt("client_id: a-client-identifier-of-more-than-23-characters"),
        mqtt("properties: { heat: { state: lamp/u1 } }"),
        mqtt("reconnect: { first: 5, maximum: 5 }"),
        service(f"txt: {{ id: {'x' * 252}, A key: '', b: 'c=d' }}"),
        service("txt: {}").replace("_http", "_exactly-15char"),
        rules(
            "id: a, while: [{ property: power, equals: true }], then: [{ property: heat, above: 50 }]",
            "id: b, while: [{ property: power, equals: false }], then: [{ property: heat, below: 40 }]",
        ),
        rules(
            "id: a, while: [{ property: heat, above: level }], then: [{ property: power, equals: false }]",
            "id: b, while: [{ property: heat, below: level }], then: [{ property: power, equals: true }]",
        ),
        rules(
            "id: a, when: [{ event: hot, data: warn }], then: [{ property: mode, equals: eco }]",
            "id: b, when: [{ event: hot, data: stop }], then: [{ property: mode, equals: 'off' }]",
        ),
        rules(
            REST,
            f"{WORK}, within: 61",
        ),
        rules(
            "id: trip, when: [{ property: power, equals: true }], then: [{ property: power, equals: false }]"
        ),
    ],
)
def test_what_fits_is_accepted(tmp_path: Path, changes: str) -> None:
    load_over_lamp(tmp_path, changes)


def test_topics_of_the_broker_are_not_for_devices(tmp_path: Path) -> None:
    (problem,) = problems_of(write(tmp_path, LAMP.replace("lamp/{unit}", "$SYS/{unit}")))
    assert (problem.line, problem.key) == (16, f"{MQTT}.base")
    assert "belong to the broker" in problem.message


def test_a_hold_that_leaves_the_other_rule_no_time_is_a_contradiction(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="contradicts the rule rest"):
        load_over_lamp(
            tmp_path,
            rules(
                REST,
                f"{WORK}, within: 60",
            ),
        )


BOARD = """\
profile: board
title: A board without a network
category: lamp
properties:
  power: { type: boolean }
bindings:
  serial:
    text:
      commands:
        write_property: { send: "set {property} {value}" }
"""


def test_a_board_without_a_network_is_written_over_its_line_or_not_at_all(tmp_path: Path) -> None:
    known = BOARD + "      properties: { power: {} }\n"
    assert load_profile(write(tmp_path, known)).properties["power"].writable
    (problem,) = problems_of(write(tmp_path, BOARD))
    assert (problem.key, problem.line) == ("properties.power", 5)
