from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from profile_files import LAMP, SHIPPED, load_over_lamp, write

from harness.model.ics import ics_of, known_ics, satisfies
from harness.model.loading.profiles import load_profile

ITEMS = st.sampled_from(sorted(known_ics()))
EXPRESSIONS = st.recursive(
    ITEMS | st.just("any"),
    lambda inner: st.tuples(inner, st.sampled_from("&|"), inner).map(lambda parts: f"({' '.join(parts)})"),
    max_leaves=6,
)


def by_python(expression: str, items: set[str]) -> bool:
    text = re.sub(r"[\w.]+", lambda name: str(name[0] == "any" or name[0] in items), expression)
    return bool(eval(text))  # only True, False, &, | and parentheses are left


@given(EXPRESSIONS, st.sets(ITEMS))
def test_expressions_mean_what_they_say(expression: str, items: set[str]) -> None:
    assert satisfies(expression, items) is by_python(expression, items)


@given(st.lists(ITEMS, min_size=3, max_size=3), st.sets(ITEMS))
def test_and_binds_closer_than_or(names: list[str], items: set[str]) -> None:
    first, second, third = names
    text = f"{first}|{second} & {third}"
    assert satisfies(text, items) is ((first in items) or (second in items and third in items))


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "MQTT.WIL",
        "MQTT.WILL |",
        "MQTT.WILL MQTT.SUB",
        "(MQTT.WILL",
        "MQTT.WILL)",
        "MQTT.WILL | MQTT.WIL",
        "&",
    ],
)
def test_an_expression_that_is_none_is_an_error_whatever_the_items(expression: str) -> None:
    with pytest.raises(ValueError, match="ICS"):
        satisfies(expression, frozenset(known_ics()))


def test_an_unknown_item_is_told_with_those_near_it() -> None:
    with pytest.raises(ValueError, match=r"MQTT\.PERSISTENT"):
        satisfies("MQTT.PERSISTANT", frozenset())


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_profiles_have_known_items_only(path: Path) -> None:
    assert ics_of(load_profile(path)) <= known_ics().keys()


@pytest.mark.parametrize(
    ("changes", "gained", "lost"),
    [
        ("bindings: { mqtt: { version: '5.0' } }", {"MQTT.V5"}, {"MQTT.V311"}),
        ("bindings: { mqtt: { availability: null } }", set(), {"MQTT.WILL", "MQTT.QOS1_PUB"}),
        ("bindings: { mqtt: { clean_session: false } }", {"MQTT.PERSISTENT"}, set()),
        ("bindings: { mqtt: { keep_alive: 0 } }", set(), {"MQTT.KEEP_ALIVE"}),
        ("bindings: { mqtt: { login: true } }", {"MQTT.AUTH_USERPASS"}, set()),
        ("bindings: { mqtt: { sleep: { awake: 1 } } }", {"MQTT.SLEEP"}, set()),
        (
            "bindings: { mqtt: { properties: { power: { qos: 2, command_qos: 2 } } } }",
            {"MQTT.QOS2_PUB", "MQTT.QOS2_SUB"},
            set(),
        ),
        (
            "bindings: { coap: { properties: { level: { path: /l, observe: true } } } }",
            {"COAP.SERVER", "COAP.LINK", "COAP.PUT", "COAP.OBSERVE", "COAP.OBSERVE_CON", "COAP.NOSEC"}
            | {"MULTI.PROTOCOL", "MULTI.STATE", "SEC.INTERFACES"},
            set(),
        ),
        (
            "bindings: { coap: { confirmable_notifications: false, events: { hot: { path: /h } } } }",
            {"COAP.SERVER", "COAP.LINK", "COAP.OBSERVE", "COAP.OBSERVE_NON", "COAP.NOSEC"}
            | {"MULTI.PROTOCOL", "SEC.INTERFACES"},
            set(),
        ),
        (
            "ics: [COAP.DTLS]\nbindings: { coap: { actions: { blink: { path: /b } }, "
            "resources: [{ path: /x, size: 1025 }, { path: /y, takes: 3 }] } }",
            {"COAP.SERVER", "COAP.LINK", "COAP.DTLS", "COAP.POST", "COAP.BLOCK2", "COAP.SEPARATE"}
            | {"MULTI.PROTOCOL", "SEC.INTERFACES"},
            set(),
        ),
        (
            "bindings: { mdns: { host: a, services: [{ type: _http._tcp, instance: a, port: 1, speaks: http, "
            "subtypes: [_a] }] } }",
            {
                "MDNS.RESPONDER",
                "MDNS.GRACEFUL",
                "DNSSD.SERVICE",
                "DNSSD.SUBTYPE",
                "MULTI.PROTOCOL",
                "SEC.INTERFACES",
            },
            set(),
        ),
        (
            "bindings: { mdns: { host: a, goodbye: false } }",
            {"MDNS.RESPONDER", "MULTI.PROTOCOL", "SEC.INTERFACES"},
            set(),
        ),
        ("controls: { b: { effects: [{ property: power, toggle: true }] } }", {"DEV.LOCAL_UI"}, set()),
        ("properties: { heat: { counter: true, unit: kW.h } }", {"DEV.ENERGY"}, set()),
        ("properties: { level: { minimum: null, maximum: null } }", set(), {"DEV.RANGE"}),
        ("events: null\nbindings: { mqtt: { events: null } }", set(), {"DEV.EVENTS"}),
        (
            "behaviour: { rules: [{ id: r, purpose: p, when: [{ event: hot }], "
            "then: [{ property: power, equals: true }] }] }",
            {"DEV.RULES"},
            set(),
        ),
        ("security: { secrets: [hush] }", {"SEC.CSP"}, set()),
        ("ics: [MQTT.GRACEFUL_STOP]", {"MQTT.GRACEFUL_STOP"}, set()),
    ],
)
def test_items_follow_from_the_profile(
    tmp_path: Path, changes: str, gained: set[str], lost: set[str]
) -> None:
    before = ics_of(load_profile(write(tmp_path, LAMP)))
    assert before == {
        *("MQTT.CLIENT", "MQTT.V311", "MQTT.KEEP_ALIVE", "MQTT.WILL", "MQTT.SUB", "MQTT.RETAIN"),
        *("MQTT.QOS1_PUB", "MQTT.QOS1_SUB", "SEC.INPUT"),
        *("DEV.ACTUATOR", "DEV.SENSOR", "DEV.RANGE", "DEV.EVENTS"),
    }
    assert ics_of(load_over_lamp(tmp_path, changes)) == (before | gained) - lost


@pytest.mark.parametrize(
    ("name", "there", "missing"),
    [
        (
            "air-conditioner",
            {"SERIAL.LINE", "SERIAL.READ", "SERIAL.WRITE", "SERIAL.PRESS", "SERIAL.SENSE", "SERIAL.READY"},
            set(),
        ),
        ("smart-plug", {"SERIAL.LINE", "SERIAL.LOG", "SERIAL.MEMORY"}, {"SERIAL.CLOCK", "SERIAL.READY"}),
        ("refrigerator", {"SERIAL.LINE", "SERIAL.RESET", "SEC.RESET"}, {"SERIAL.LOG", "SERIAL.NETWORK"}),
        ("remote-control", set(), {"SERIAL.LINE"}),
    ],
)
def test_what_a_board_can_be_told_follows_from_its_serial_line(
    profiles: Path, name: str, there: set[str], missing: set[str]
) -> None:
    items = ics_of(load_profile(profiles / f"{name}.yaml"))
    assert there <= items
    assert not missing & items
