"""What the shipped profiles have to have, so that they show what the harness can do."""

from __future__ import annotations

import pytest
from profile_files import SHIPPED

from harness.model.affordance import Property
from harness.model.ics import ics_of
from harness.model.loading.profiles import load_profile
from harness.model.profile import Profile
from harness.model.semantics.mapping import (
    Needed,
    needed,
    offered,
)

PROFILES = {path.stem: load_profile(path) for path in SHIPPED}


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_a_simulator_knows_where_to_start(profile: Profile) -> None:
    assert [name for name, schema in profile.properties.items() if schema.default is None] == []


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_names_are_those_of_the_unit(profile: Profile) -> None:
    mqtt, mdns = profile.bindings.mqtt, profile.bindings.mdns
    assert mqtt is None or (profile.unit in mqtt.client_id and profile.unit in mqtt.base)
    assert mdns is None or profile.unit in mdns.host
    assert mdns is None or all(profile.unit in service.instance for service in mdns.services)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_no_rule_is_broken_as_delivered(profile: Profile) -> None:
    state = {name: schema.default for name, schema in profile.properties.items()}
    for rule in profile.behaviour.rules:
        if rule.while_ and all(condition.holds(state) for condition in rule.while_):
            assert all(condition.holds(state) for condition in rule.then), rule.id
            assert not rule.refuse or not all(condition.holds(state) for condition in rule.refuse), rule.id


@pytest.mark.parametrize(
    ("name", "items"),
    [
        (
            "smart-plug",
            "MQTT.WILL MQTT.SUB MQTT.RETAIN MQTT.QOS1_SUB MQTT.GRACEFUL_STOP DNSSD.SERVICE DEV.ENERGY "
            "DEV.EVENTS DEV.LOCAL_UI DEV.RANGE DEV.RULES",
        ),
        (
            "air-conditioner",
            "MQTT.WILL COAP.OBSERVE COAP.PUT COAP.POST DNSSD.SERVICE MULTI.STATE DEV.ENERGY DEV.RULES",
        ),
        (
            "refrigerator",
            "COAP.OBSERVE COAP.BLOCK2 COAP.SEPARATE COAP.POST DNSSD.SERVICE DEV.LOCAL_UI DEV.RULES",
        ),
        ("remote-control", "MQTT.CLIENT MQTT.SLEEP DEV.EVENTS DEV.LOCAL_UI DEV.SENSOR"),
    ],
)
def test_each_has_what_it_is_there_for(name: str, items: str) -> None:
    assert set(items.split()) <= ics_of(PROFILES[name])


def test_the_air_conditioner_shows_all_its_state_over_both_transports() -> None:
    bindings = PROFILES["air-conditioner"].bindings
    assert bindings.mqtt.properties.keys() == bindings.coap.properties.keys()
    assert bindings.mqtt.properties.keys() == PROFILES["air-conditioner"].properties.keys()


def test_sensors_have_tolerances_where_they_measure() -> None:
    def measures(schema: Property) -> bool:
        return schema.read_only and not schema.counter and schema.type == "number"

    silent = [
        f"{profile.profile}.{name}"
        for profile in PROFILES.values()
        for name, schema in profile.properties.items()
        if measures(schema) and not schema.tolerance
    ]
    assert silent == []


def test_devices_of_one_home_do_not_meet_in_names() -> None:
    units = [profile.unit for profile in PROFILES.values()]
    assert len(set(units)) == len(units)
    bindings = [profile.bindings.mqtt for profile in PROFILES.values() if profile.bindings.mqtt is not None]
    for key in ("client_id", "base"):
        names = [getattr(binding, key) for binding in bindings]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_each_offers_something_to_others(profile: Profile) -> None:
    assert offered(profile)


def test_what_one_needs_some_other_offers() -> None:
    on_offer = {offer.term.path for profile in PROFILES.values() for offer in offered(profile)}

    def is_served(need: Needed) -> bool:
        sets = need.term.sets
        return need.term.path in on_offer or (
            sets is not None and f"{need.term.cluster}.{sets.attribute}" in on_offer
        )

    wanting = [
        f"{profile.profile}: {need.key}"
        for profile in PROFILES.values()
        for need in needed(profile)
        if not is_served(need)
    ]
    assert wanting == []


def test_second_makers_differ_in_what_homes_stumble_over() -> None:
    plug, light = PROFILES["smart-plug-nord"], PROFILES["light-zeta"]
    cooler = PROFILES["air-conditioner-us"]
    assert plug.bindings.mqtt is None
    assert plug.bindings.coap is not None
    assert plug.properties["load"].unit == "kW"
    assert cooler.properties["setpoint"].unit == "[degF]"
    assert not cooler.ratings.draws[0].connector.fits(PROFILES["smart-plug"].ratings.supplies[0].connector)
    assert not any(bound.retain for bound in light.bindings.mqtt.properties.values())
    assert (light.properties["kelvin"].unit, PROFILES["light"].properties["color_temperature"].unit) == (
        "K",
        "MK-1",
    )
