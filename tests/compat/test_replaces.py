"""One device in the place of another one, and a new version of a profile in the place of the old one."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.prediction.device import read_device
from harness.prediction.findings import (
    FindingKind,
    PairOutcome,
    Severity,
)
from harness.prediction.replacement.predict import replaces
from tests.compat.seeds import Change, base, changed

K, BLOCKS, DEGRADES, NOTE = FindingKind, Severity.BLOCKS, Severity.DEGRADES, Severity.NOTE
OUTCOMES = {BLOCKS: PairOutcome.BLOCKED, DEGRADES: PairOutcome.DEGRADED, NOTE: PairOutcome.WORKS}
SHIPPED = sorted((Path(__file__).parents[2] / "profiles").glob("*.yaml"))


def prop(name: str, **keys: object) -> Change:
    return {"properties": {name: keys}}


def mqtt(**keys: object) -> Change:
    return {"bindings": {"mqtt": keys}}


def supply(**keys: object) -> Change:
    rating = {
        "connector": "CEE 7/3",
        "voltage": {"minimum": 220, "maximum": 240},
        "frequency": {"minimum": 50, "maximum": 50},
        "current": 16,
        "power": 3680,
        "earthed": True,
    }
    return {"ratings": {"supplies": [{**rating, **keys}]}}


# name: (what changes from the old to the new plug, kind, severity, key that it is about)
LOSSES: dict[str, tuple[Change, FindingKind, Severity, str]] = {
    "capability gone": (
        {"capabilities": {"Messages": None}},
        K.ABSENT,
        BLOCKS,
        "capabilities.Messages.PresentMessagesRequest",
    ),
    "range narrower": (prop("target", maximum=25), K.RANGE, BLOCKS, "properties.target.maximum"),
    "range moved": (prop("target", minimum=10), K.RANGE, BLOCKS, "properties.target.minimum"),
    "step coarser": (prop("target", multipleOf=1), K.STEP, BLOCKS, "properties.target.multipleOf"),
    "value gone": (
        {"capabilities": {"Thermostat": {"SystemMode": {"values": {"Sleep": None}}}}},
        K.VALUES,
        BLOCKS,
        "properties.mode.enum",
    ),
    "read-only now": (prop("target", readOnly=True), K.READ_ONLY, BLOCKS, "properties.target.readOnly"),
    "not told now": (prop("room", writeOnly=True), K.WRITE_ONLY, BLOCKS, "properties.room.writeOnly"),
    "sees less": (prop("room", maximum=40), K.RANGE, DEGRADES, "properties.room.maximum"),
    "tells more": (prop("load", maximum=6000), K.RANGE, DEGRADES, "properties.load.maximum"),
    "less accurate": (prop("room", tolerance=1), K.ACCURACY, DEGRADES, "properties.room.tolerance"),
    "other unit": (
        prop("target", unit="[degF]", minimum=41, maximum=86, multipleOf=0.1),
        K.CONVERSION,
        DEGRADES,
        "properties.target.unit",
    ),
    "other unit of a sensor": (
        prop("room", unit="[degF]", minimum=14, maximum=122),
        K.CONVERSION,
        DEGRADES,
        "properties.room.unit",
    ),
    "event value gone": (
        {
            "events": {"tripped": {"data": {"enum": ["short"]}}},
            "capabilities": {"ElectricalProtectionAlarm": {"Notify": {"values": {"OverLoadFault": None}}}},
        },
        K.VALUES,
        DEGRADES,
        "events.tripped.enum",
    ),
    "lower QoS": (mqtt(events={"tripped": {"qos": 0}}), K.QOS, DEGRADES, "events.tripped"),
    "commands with lower QoS": (
        mqtt(properties={"output": {"command_qos": 0}}),
        K.QOS,
        DEGRADES,
        "properties.output",
    ),
    "not retained": (mqtt(properties={"room": {"retain": False}}), K.RETAIN, DEGRADES, "properties.room"),
    "event retained": (mqtt(events={"tripped": {"retain": True}}), K.RETAIN, DEGRADES, "events.tripped"),
    "slower to obey": ({"behaviour": {"settle": 3}}, K.DEADLINE, DEGRADES, "behaviour.settle"),
    "slower to tell": ({"behaviour": {"report_local": 3}}, K.DEADLINE, DEGRADES, "behaviour.report_local"),
    "slower to boot": ({"behaviour": {"boot": 60}}, K.DEADLINE, NOTE, "behaviour.boot"),
    "heartbeat gone": ({"behaviour": {"heartbeat": None}}, K.DEADLINE, DEGRADES, "behaviour.heartbeat"),
    "sleeps now": (mqtt(sleep={"awake": 2, "wakes_every": 30}), K.SLEEP, BLOCKS, "bindings.mqtt.sleep"),
    "clamps now": ({"behaviour": {"invalid_value": "clamp"}}, K.POLICY, NOTE, "behaviour.invalid_value"),
    "payload smaller": (
        mqtt(maximum_payload=64),
        K.PAYLOAD_SIZE,
        DEGRADES,
        "bindings.mqtt.maximum_payload",
    ),
    "availability gone": (
        mqtt(availability=None),
        K.AVAILABILITY,
        DEGRADES,
        "bindings.mqtt.availability",
    ),
    "service gone": ({"bindings": {"mdns": None}}, K.DISCOVERY, DEGRADES, "bindings.mdns.services"),
    "other MQTT": (mqtt(version="5.0"), K.MQTT_VERSION, NOTE, "bindings.mqtt.version"),
    "login needed": (mqtt(login=True), K.SECURITY, NOTE, "bindings.mqtt.login"),
    "less current": (supply(current=10), K.CURRENT, BLOCKS, "ratings.supplies[0].current"),
    "less power": (supply(power=2300), K.POWER, BLOCKS, "ratings.supplies[0].power"),
    "other socket": (supply(connector="BS 1363"), K.CONNECTOR, BLOCKS, "ratings.supplies[0].connector"),
    "no earth": (supply(earthed=False), K.EARTH, BLOCKS, "ratings.supplies[0].earthed"),
    "other voltage": (
        supply(voltage={"minimum": 100, "maximum": 120}),
        K.VOLTAGE,
        BLOCKS,
        "ratings.supplies[0].voltage",
    ),
    "no outlet": ({"ratings": {"supplies": []}}, K.CONNECTOR, BLOCKS, "ratings.supplies[0]"),
    "other topic": (
        mqtt(properties={"output": {"state": "home/tplug-0a1b2c/on"}}),
        K.NAMES,
        DEGRADES,
        "properties.output",
    ),
    "other availability": (
        mqtt(availability={"online": "1"}),
        K.NAMES,
        DEGRADES,
        "bindings.mqtt.availability",
    ),
    "availability not kept": (
        mqtt(availability={"retain": False}),
        K.AVAILABILITY,
        DEGRADES,
        "bindings.mqtt.availability",
    ),
    "over CoAP only": (
        {
            "bindings": {
                "mqtt": {"properties": {"room": None}},
                "coap": {"properties": {"room": {"path": "/room", "observe": True}}},
            }
        },
        K.TRANSPORT,
        BLOCKS,
        "properties.room",
    ),
}
HARMLESS: dict[str, Change] = {
    "nothing": {},
    "wider range": prop("target", minimum=0, maximum=35),
    "finer step": prop("target", multipleOf=0.25),
    "faster": {"behaviour": {"settle": 0.1, "report_local": 0.1, "heartbeat": 10}},
    "more accurate": prop("room", tolerance=0.1),
    "higher QoS": mqtt(events={"tripped": {"qos": 2}}),
    "more current": supply(current=20, power=4600),
    "another event": {"events": {"pressed": {}}},
    "another transport": {"bindings": {"coap": {"properties": {"room": {"path": "/room", "observe": True}}}}},
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_found_where_another_device_takes_the_place(name: str) -> None:
    change, kind, severity, key = LOSSES[name]
    old, _ = base()
    found = replaces(old, changed(old, {"profile": "another-plug", **change}))
    hits = [each for each in found.findings if each.kind is kind]
    assert severity in [each.severity for each in hits]
    assert key in [place.key for each in hits for place in (each.left, each.right) if place is not None]
    assert found.outcome is OUTCOMES[severity]


@pytest.mark.parametrize("name", HARMLESS)
def test_nothing_is_held_against_a_device_that_does_all_that_the_old_one_did(name: str) -> None:
    old, _ = base()
    found = replaces(old, changed(old, {"profile": "another-plug", **HARMLESS[name]}))
    assert found.outcome is PairOutcome.WORKS
    assert {each.severity for each in found.findings} <= {NOTE}


@pytest.mark.parametrize("name", HARMLESS)
def test_nor_against_a_new_version_of_it(name: str) -> None:
    old, _ = base()
    assert replaces(old, changed(old, {"version": "1.1.0", **HARMLESS[name]})).outcome is PairOutcome.WORKS


def test_a_release_breaks_users_by_renaming_what_another_maker_may_name_as_he_likes() -> None:
    old, _ = base()
    renamed = mqtt(properties={"output": {"state": "home/tplug-0a1b2c/on"}})
    assert replaces(old, changed(old, {"profile": "another-plug", **renamed})).outcome is PairOutcome.DEGRADED
    found = replaces(old, changed(old, {"version": "1.1.0", **renamed}))
    assert found.outcome is PairOutcome.BLOCKED
    (release,) = (each for each in found.findings if each.kind is K.RELEASE)
    assert release.proposal == "2.0.0"
    major = replaces(old, changed(old, {"version": "2.0.0", **renamed}))
    assert K.RELEASE not in {each.kind for each in major.findings}


def test_a_release_breaks_users_of_what_the_vocabulary_does_not_name() -> None:
    old, _ = base()
    before = changed(old, {"properties": {"led": {"type": "integer", "minimum": 0, "maximum": 100}}})
    assert replaces(before, changed(old, {"version": "1.1.0"})).outcome is PairOutcome.BLOCKED
    narrower = changed(before, {"properties": {"led": {"maximum": 50}}})
    assert replaces(before, narrower).outcome is PairOutcome.BLOCKED
    assert replaces(before, changed(old, {"profile": "another-plug"})).outcome is PairOutcome.WORKS


@pytest.mark.parametrize(
    ("change", "kind", "severity"),
    [
        ({"needs": {"output": None}}, K.ABSENT, BLOCKS),
        ({"needs": {"temperature": None}}, K.ABSENT, BLOCKS),
        ({"needs": {"output": {"by": [{"event": "key", "data": "on", "sends": True}]}}}, K.VALUES, BLOCKS),
        (
            {
                "needs": {
                    "blind": {
                        "uses": "WindowCovering.UpOrOpen",
                        "access": "command",
                        "by": [{"event": "key", "data": "on"}],
                    }
                }
            },
            K.NEEDS,
            DEGRADES,
        ),
    ],
)
def test_what_the_old_one_did_with_others_the_new_one_has_to_do(
    change: Change, kind: FindingKind, severity: Severity
) -> None:
    _, old = base()
    found = replaces(old, changed(old, {"profile": "another-panel", **change}))
    assert [(each.kind, each.severity) for each in found.findings if each.severity is not NOTE] == [
        (kind, severity)
    ]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_device_can_take_its_own_place(path: Path) -> None:

    found = replaces(read_device(path), read_device(path, unit="ffee01"))
    assert found.findings == ()


RULE = {
    "id": "trips",
    "purpose": "ensure that it trips",
    "when": [{"property": "load", "above": 3680}],
    "then": [{"property": "output", "equals": False}],
    "within": 1,
}
REFUSAL = {
    "id": "stays-off",
    "purpose": "ensure that it stays off",
    "while": [{"property": "load", "above": 3680}],
    "refuse": [{"property": "output", "equals": True}],
}


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ([RULE], [], "the rule trips was removed"),
        ([RULE], [{**RULE, "within": 5}], "within 5 s instead of 1 s"),
        ([RULE], [{**RULE, "for": 5}], "after 5 s instead of 0 s"),
        ([{**RULE, "holds": 5}], [RULE], "for 0 s instead of 5 s"),
        ([RULE], [{**RULE, "then": [{"event": "tripped"}]}], "other conditions"),
        ([], [REFUSAL], "refuses commands after which output is true; they were accepted"),
        ([RULE], [{**RULE, "within": 0.5}], ""),
        ([], [RULE], ""),
        ([REFUSAL], [REFUSAL], ""),
    ],
)
def test_a_release_may_not_weaken_the_rules_that_users_rely_on(
    before: list[Change], after: list[Change], text: str
) -> None:
    device, _ = base()
    old = changed(device, {"behaviour": {"rules": before}})
    new = changed(device, {"version": "1.1.0", "behaviour": {"rules": after}})
    found = replaces(old, new)
    assert found.outcome is (PairOutcome.DEGRADED if text else PairOutcome.WORKS)
    assert [text in each.what for each in found.findings if each.kind is K.RULES] == ([True] if text else [])
    assert replaces(old, changed(new, {"profile": "another-plug"})).outcome is PairOutcome.WORKS


COMMANDS: Change = {
    "actions": {"up": {}, "down": {}},
    **mqtt(actions={"up": {"command": "home/tplug-0a1b2c/up"}, "down": {"command": "tplug-0a1b2c/down"}}),
}
ON_OFF = {"On": {"action": "up"}, "Off": {"action": "down"}}


def test_commands_and_the_attribute_that_they_set_stand_for_each_other() -> None:
    device, _ = base()
    both = {"capabilities": {"OnOff": ON_OFF}, **prop("output", readOnly=True), **COMMANDS}
    found = replaces(device, changed(device, {"profile": "another-plug", **both}))
    assert [each.kind for each in found.findings if each.severity is DEGRADES] == [K.NAMES]
    assert found.outcome is PairOutcome.DEGRADED
    only = {"capabilities": {"OnOff": {"OnOff": None, **ON_OFF}}, **COMMANDS}
    old = changed(device, only)
    found = replaces(old, changed(device, {"profile": "another-plug"}))
    assert found.outcome is PairOutcome.DEGRADED
    assert {each.kind for each in found.findings} == {K.NAMES}
    one_of_two = {
        "capabilities": {"OnOff": {"On": {"action": "up"}}},
        **prop("output", readOnly=True),
        **COMMANDS,
    }
    found = replaces(device, changed(device, {"profile": "another-plug", **one_of_two}))
    assert found.outcome is PairOutcome.BLOCKED


def thermometers(*labels: str) -> Change:
    offers = {f"TemperatureMeasurement/{label}": {"MeasuredValue": {"property": "room"}} for label in labels}
    return {"capabilities": offers}


@pytest.mark.parametrize(
    ("before", "after", "outcome"),
    [
        (("fridge", "freezer"), ("freezer", "fridge"), PairOutcome.WORKS),
        (("fridge", "freezer"), ("fridge",), PairOutcome.BLOCKED),
        (("fridge", "freezer"), ("fridge", "drawer"), PairOutcome.BLOCKED),
        (("fridge", "freezer"), ("upper", "lower"), PairOutcome.DEGRADED),
        (("fridge",), ("fridge", "freezer"), PairOutcome.WORKS),
    ],
)
def test_one_part_does_not_stand_for_another(
    before: tuple[str, ...], after: tuple[str, ...], outcome: PairOutcome
) -> None:
    device, _ = base()
    old = changed(device, thermometers(*before))
    new = changed(device, {"profile": "another-plug", **thermometers(*after)})
    assert replaces(old, new).outcome is outcome
