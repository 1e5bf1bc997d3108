"""Capabilities, needs and ratings: what they refer to, how values are translated, and mistakes in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from profile_files import load_over_lamp, problems_of, write

from harness.model.capability import Access, CapabilityTransport, SecurityLevel
from harness.model.loading.profiles import (
    load_profile,
    profile_from_json,
    profile_to_json,
)
from harness.model.problems import ProfileError
from harness.model.ratings import Connector
from harness.model.semantics.mapping import (
    UntranslatableError,
    needed,
    offered,
    security_level,
)
from harness.model.vocabulary import CLUSTERS, TermKind, term_named
from harness.model.vocabulary.table import vocabulary_table

OFFERS = """\
properties:
  heat: { unit: "[degF]" }
  level: { unit: "/254" }
capabilities:
  OnOff: { OnOff: { property: power } }
  TemperatureMeasurement/bulb: { MeasuredValue: { property: heat } }
  LevelControl: { CurrentLevel: { property: level } }
  FanControl: { FanMode: { property: mode, values: { High: "on", Low: ["off", eco] } } }
  BooleanState: { StateValue: { property: power, values: { "true": false, "false": true } } }
  BasicInformation: { Reachable: { availability: true } }
  Switch: { LongPress: { event: hot, data: stop } }
"""

NEEDS = """\
needs:
  fan:
    uses: FanControl/left.FanMode
    access: command
    by: [{ event: hot, data: warn, sends: High }, { property: mode }]
    values: { Auto: eco, High: "on", "Off": "off" }
    transports: [coap]
  room:
    uses: TemperatureMeasurement.MeasuredValue
    access: follow
    into: heat
    reactions: [{ above: 30, then: [{ property: power, equals: false }] }]
properties: { heat: { unit: Cel, readOnly: false } }
bindings: { mqtt: { properties: { heat: { command: "lamp/{unit}/heat/set" } } } }
"""


def test_offers_know_their_term_and_how_they_travel(tmp_path: Path) -> None:
    found = {offer.key: offer for offer in offered(load_over_lamp(tmp_path, OFFERS))}
    on = found["capabilities.OnOff.OnOff"]
    assert (on.term.path, on.affordance, on.writable, on.readable) == ("OnOff.OnOff", "power", True, True)
    assert on.transports == {CapabilityTransport.MQTT}
    bulb = found["capabilities.TemperatureMeasurement/bulb.MeasuredValue"]
    assert (bulb.label, bulb.writable) == ("bulb", False)
    there = found["capabilities.BasicInformation.Reachable"]
    assert (there.affordance, there.readable, there.transports) == ("", True, {CapabilityTransport.MQTT})


@pytest.mark.parametrize(
    ("key", "own", "common"),
    [
        ("OnOff.OnOff", True, True),
        ("TemperatureMeasurement/bulb.MeasuredValue", 68, 20),
        ("LevelControl.CurrentLevel", 127, 50),
        ("FanControl.FanMode", "on", "High"),
        ("BooleanState.StateValue", True, False),
    ],
)
def test_values_are_translated_both_ways(tmp_path: Path, key: str, own: object, common: object) -> None:
    found = {offer.key: offer for offer in offered(load_over_lamp(tmp_path, OFFERS))}
    translation = found[f"capabilities.{key}"].translation
    assert translation.to_common(own) == common
    assert translation.to_own(common) == own


def test_several_own_values_may_mean_the_same(tmp_path: Path) -> None:
    found = {offer.key: offer for offer in offered(load_over_lamp(tmp_path, OFFERS))}
    translation = found["capabilities.FanControl.FanMode"].translation
    assert [translation.to_common(own) for own in ("off", "eco")] == ["Low", "Low"]
    assert translation.to_own("Low") == "off"
    with pytest.raises(UntranslatableError, match="Auto"):
        translation.to_own("Auto")


def test_needs_know_what_they_send(tmp_path: Path) -> None:
    fan, room = needed(load_over_lamp(tmp_path, NEEDS))
    assert (fan.term.path, fan.label, fan.transports) == (
        "FanControl.FanMode",
        "left",
        {CapabilityTransport.COAP},
    )
    assert fan.need.access is Access.COMMAND
    assert [sending.key for sending in fan.sendings] == ["needs.fan.by[0]", "needs.fan.by[1]"]
    assert fan.sendings[0].cause.sends == "High"
    assert fan.sendings[1].translation.to_common("eco") == "Auto"
    assert (room.schema.unit, room.transports) == ("Cel", {CapabilityTransport.MQTT})


def test_security_is_what_the_profile_says_already(tmp_path: Path) -> None:
    levels = {
        SecurityLevel.OPEN: "title: x",
        SecurityLevel.LOGIN: "bindings: { mqtt: { login: true } }",
        SecurityLevel.TLS: "ics: [MQTT.TLS]",
    }
    for level, changes in levels.items():
        assert security_level(load_over_lamp(tmp_path, changes)) is level
    assert SecurityLevel.OPEN.rank < SecurityLevel.LOGIN.rank < SecurityLevel.TLS.rank


def offer(text: str) -> str:
    return f"capabilities: {{ {text} }}"


def need(text: str) -> str:
    return f"needs: {{ n: {{ {text} }} }}"


COMMAND = "uses: OnOff.OnOff, access: command"
FOLLOW = "uses: OnOff.OnOff, access: follow"
HEAT = "TemperatureMeasurement: { MeasuredValue: { property: heat } }"
RATING = "connector: USB-C, voltage: { minimum: 5, maximum: 20 }, current: 3"

MISTAKES = {
    offer("OnOf: { OnOff: { property: power } }"): ("capabilities.OnOf", "OnOff"),
    offer("On-Off: { OnOff: { property: power } }"): ("capabilities.On-Off", "OnOff/left"),
    offer("OnOff: { OnOf: { property: power } }"): ("capabilities.OnOff.OnOf", "OnOff"),
    offer("OnOff: { OnOff: { property: pwer } }"): ("capabilities.OnOff.OnOff.property", "power"),
    offer("OnOff: { OnOff: {} }"): ("capabilities.OnOff.OnOff", "exactly one"),
    offer("OnOff: { OnOff: { property: power, event: hot } }"): ("capabilities.OnOff.OnOff", "exactly one"),
    offer("OnOff: { OnOff: { action: blink } }"): ("capabilities.OnOff.OnOff.action", "an attribute"),
    offer("OnOff: { Toggle: { property: power } }"): ("capabilities.OnOff.Toggle.property", "a command"),
    offer("OnOff: { OnOff: { availability: true } }"): ("capabilities.OnOff.OnOff.availability", "Reachable"),
    offer("BasicInformation: { Reachable: { availability: true } }")
    + "\nbindings: { mqtt: { availability: null } }": (
        "capabilities.BasicInformation.Reachable.availability",
        "no availability topic",
    ),
    offer("OnOff: { OnOff: { property: level } }"): ("capabilities.OnOff.OnOff", "type boolean"),
    offer("OnOff: { OnOff: { property: mode } }"): ("capabilities.OnOff.OnOff", "type boolean"),
    offer("FanControl: { FanMode: { property: mode } }"): ("capabilities.FanControl.FanMode", "eco"),
    offer("FanControl: { FanMode: { property: mode, values: { Hihg: eco } } }"): (
        "capabilities.FanControl.FanMode.values.Hihg",
        "High",
    ),
    offer("FanControl: { FanMode: { property: mode, values: { High: ecco } } }"): (
        "capabilities.FanControl.FanMode.values.High",
        "none of",
    ),
    offer("FanControl: { FanMode: { property: mode, values: { High: eco, Low: eco } } }"): (
        "capabilities.FanControl.FanMode.values.Low",
        "already stands for High",
    ),
    offer("OnOff: { Toggle: { action: blink, values: { High: eco } } }"): (
        "capabilities.OnOff.Toggle.values",
        "no values",
    ),
    offer(HEAT): ("capabilities.TemperatureMeasurement.MeasuredValue", "does not convert"),
    offer(HEAT) + "\nproperties: { heat: { unit: W } }": (
        "capabilities.TemperatureMeasurement.MeasuredValue",
        "does not convert",
    ),
    "properties: { heat: { unit: °C } }": ("properties.heat.unit", "UCUM"),
    offer("Switch: { InitialPress: { event: hot, data: [stop, huge] } }"): (
        "capabilities.Switch.InitialPress.data",
        "none of",
    ),
    offer("OnOff: { OnOff: { property: power, data: stop } }"): ("capabilities.OnOff.OnOff.data", "event"),
    offer("OnOff: { OnOff: { property: power, member: x } }"): ("capabilities.OnOff.OnOff.member", "member"),
    need("uses: OnOff, access: read"): ("needs.n.uses", "OnOff.OnOff"),
    need("uses: Onoff.OnOff, access: read"): ("needs.n.uses", "OnOff"),
    need("uses: OnOff.Onoff, access: read"): ("needs.n.uses", "OnOff"),
    need("uses: OnOff.Toggle, access: follow"): ("needs.n.access", "command"),
    need("uses: Switch.InitialPress, access: read"): ("needs.n.access", "follow"),
    need("uses: Switch.InitialPress, access: command"): ("needs.n.access", "follow"),
    need("uses: BooleanState.StateValue, access: command"): ("needs.n.access", "cannot be set"),
    need(COMMAND): ("needs.n", "nothing triggers"),
    need(f"{COMMAND}, by: [{{ property: power }}], into: power"): ("needs.n.into", "follow or read"),
    need(f"{COMMAND}, by: [{{ property: power }}], every: 3"): ("needs.n.every", "follow"),
    need(f"{FOLLOW}, by: [{{ property: power }}]"): ("needs.n.by", "command"),
    need(f"{COMMAND}, by: [{{}}]"): ("needs.n.by[0]", "either"),
    need(f"{COMMAND}, by: [{{ event: hit, sends: true }}]"): ("needs.n.by[0].event", "hot"),
    need(f"{COMMAND}, by: [{{ event: hot, data: x, sends: true }}]"): ("needs.n.by[0].data", "none of"),
    need(f"{COMMAND}, by: [{{ event: hot, sends: 1 }}]"): ("needs.n.by[0].sends", "boolean"),
    need(f"{COMMAND}, by: [{{ event: hot }}]"): ("needs.n.by[0]", "type boolean"),
    need("uses: OnOff.Toggle, access: command, by: [{ event: hot, sends: 1 }]"): (
        "needs.n.by[0].sends",
        "no value",
    ),
    need(f"{FOLLOW}, into: pwer"): ("needs.n.into", "power"),
    need(f"{FOLLOW}, into: level"): ("needs.n", "type boolean"),
    need(f"{FOLLOW}, takes: {{ type: string }}"): ("needs.n", "type boolean"),
    need(f"{FOLLOW}, reactions: [{{ then: [] }}]"): ("needs.n.reactions[0].then", "no outcome"),
    need(f"{FOLLOW}, reactions: [{{ equals: 3, then: [{{ event: hot }}] }}]"): (
        "needs.n.reactions[0].equals",
        "boolean",
    ),
    need(f"{FOLLOW}, reactions: [{{ above: 3, then: [{{ event: hot }}] }}]"): (
        "needs.n.reactions[0].above",
        "no numbers",
    ),
    need(f"{FOLLOW}, reactions: [{{ then: [{{ property: pwer, equals: true }}] }}]"): (
        "needs.n.reactions[0].then[0].property",
        "power",
    ),
    f"ratings: {{ draws: [{{ {RATING}, power: 70 }}] }}": ("ratings.draws[0].power", "60"),
    f"ratings: {{ draws: [{{ {RATING}, phases: 3 }}] }}": ("ratings.draws[0].phases", "direct current"),
    "ratings: { supplies: [{ connector: USB-C, voltage: { minimum: 9, maximum: 5 }, current: 3 }] }": (
        "ratings.supplies[0].voltage.minimum",
        "maximum",
    ),
    "ratings: { supplies: [{ connector: USB-D, voltage: { minimum: 5, maximum: 5 }, current: 3 }] }": (
        "ratings.supplies[0].connector",
        "USB-C",
    ),
}


@pytest.mark.parametrize("changes", MISTAKES)
def test_a_mistake_is_named_with_its_place_and_what_would_be_right(tmp_path: Path, changes: str) -> None:
    key, hint = MISTAKES[changes]
    with pytest.raises(ProfileError) as caught:
        load_over_lamp(tmp_path, changes)
    assert [problem.key for problem in caught.value.problems] == [key]
    assert hint in str(caught.value)


def test_a_device_without_a_transport_of_its_own_says_how_it_reaches_others(tmp_path: Path) -> None:
    text = """\
        profile: app
        title: App
        category: app
        bindings: { mdns: { host: app } }
        needs: { n: { uses: OnOff.OnOff, access: read } }
    """
    (problem,) = problems_of(write(tmp_path, text))
    assert problem.key == "needs.n"
    assert "transports" in str(problem)
    load_profile(write(tmp_path, text.replace("access: read", "access: read, transports: [coap]")))


def test_a_child_changes_one_need_and_removes_another(tmp_path: Path) -> None:
    load_over_lamp(tmp_path, NEEDS)
    child = "extends: device.yaml\nneeds: { fan: null, room: { every: 60 } }\n"
    (room,) = needed(load_profile(write(tmp_path, child, "child.yaml")))
    assert (room.name, room.need.every, room.need.into) == ("room", 60, "heat")


def test_a_profile_survives_being_written_into_a_trace(tmp_path: Path) -> None:
    for changes in (OFFERS, NEEDS):
        profile = load_over_lamp(tmp_path, changes)
        assert profile_from_json(profile_to_json(profile)) == profile


def test_labels_of_earlier_traces_are_passed_over(tmp_path: Path) -> None:
    text = profile_to_json(load_over_lamp(tmp_path, "title: x"))
    old = text.replace('"capabilities":{}', '"capabilities":["switch:power"]')
    assert old != text
    assert profile_from_json(old).capabilities == {}


def test_plugs_fit_the_sockets_of_their_standard() -> None:
    assert Connector.CEE_7_7.fits(Connector.CEE_7_3)
    assert Connector.CEE_7_16.fits(Connector.CEE_7_5)
    assert Connector.NEMA_5_15.fits(Connector.NEMA_5_20)
    assert Connector.USB_C.fits(Connector.USB_C)
    assert not Connector.CEE_7_4.fits(Connector.CEE_7_5)
    assert not Connector.CEE_7_7.fits(Connector.BS_1363)
    assert not Connector.NEMA_5_20.fits(Connector.NEMA_5_15)
    assert not Connector.CEE_7_3.fits(Connector.CEE_7_3)


TERMS = [term for cluster in CLUSTERS.values() for term in cluster.terms.values()]


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.path)
def test_terms_are_what_they_are_used_as(term: object) -> None:
    assert term_named(term.path) is term
    assert term.meaning
    if term.kind is TermKind.ATTRIBUTE:
        assert term.schema is not None
    else:
        assert not term.writable
    if term.sets is not None:
        target = term_named(f"{term.cluster}.{term.sets.attribute}")
        assert target.writable
        assert target.schema.accepts(term.sets.value) or target.schema == term.schema


def test_every_cluster_has_a_number_of_its_own() -> None:
    numbers = [cluster.matter for cluster in CLUSTERS.values()]
    assert len(set(numbers)) == len(numbers)
    assert term_named("OnOff.Nothing") is None
    assert term_named("Nothing.OnOff") is None
    assert term_named("") is None


def test_the_table_of_terms_in_the_documentation_is_up_to_date() -> None:
    text = (Path(__file__).parents[3] / "docs" / "vocabulary.md").read_text(encoding="utf-8")
    table = vocabulary_table()
    assert text.endswith(f"\n\n{table}\n"), (
        "replace what follows ## Terms by what python -c 'from harness.model.vocabulary.table import "
        "vocabulary_table; print(vocabulary_table())' prints"
    )
