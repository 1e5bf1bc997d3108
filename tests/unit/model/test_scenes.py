"""Scenes: what is wrong with one is told, any device that offers what a role needs plays it, and no other."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from harness.model.loading.profiles import load_profile
from harness.model.loading.scenes import (
    SCHEMA_FILE,
    load_scene,
    scene_from_json,
    scene_schema_text,
    scene_to_json,
)
from harness.model.loading.yaml_tree import read_tree
from harness.model.problems import ProfileError
from harness.model.semantics.casting import (
    lacking,
    ways_to_command,
)
from harness.model.semantics.translator import (
    ProfileTranslator,
    UnofferedError,
)

ROOT = Path(__file__).parents[3]
SHIPPED = sorted((ROOT / "profiles" / "scenes").glob("*.yaml"))

NIGHT = """
scene: night
title: Night
roles:
  motion: { offers: [OccupancySensing.Occupancy] }
  light: { offers: [OnOff.OnOff] }
automations:
  - id: light
    purpose: ensure that there is light
    when: [{ property: motion.OccupancySensing.Occupancy, equals: true }]
    then: [{ property: light.OnOff.OnOff, equals: true }]
steps:
  - id: up
    purpose: ensure that there is light
    do: [{ set: motion.OccupancySensing.Occupancy, to: true }]
    then: [{ property: light.OnOff.OnOff, equals: true }]
"""


def profile(name: str) -> Path:
    return ROOT / "profiles" / f"{name}.yaml"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_scenes_are_valid_and_survive_a_trace(path: Path) -> None:
    scene = load_scene(path)
    assert scene.scene == path.stem
    assert scene_from_json(scene_to_json(scene)) == scene
    schema = json.loads(SCHEMA_FILE.read_text())
    Draft202012Validator(schema).validate(read_tree(path, "scene")[0].plain)


def test_the_schema_that_ships_is_that_of_the_model() -> None:
    assert SCHEMA_FILE.read_text() == scene_schema_text()


def test_the_scene_of_the_guide_is_one(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "scenes.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    path = tmp_path / "guide.yaml"
    path.write_text(example)
    assert load_scene(path).scene == "night-light"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("scene: night", "scene: Night out", ":2: scene: is not allowed"),
        ("title: Night", "titel: Night", "titel: unknown key"),
        ("[OnOff.OnOff] }", "[OnOff.Onn] }", "roles.light.offers[0]: is not a term of the cluster OnOff"),
        ("[OnOff.OnOff] }", "[Light.On] }", "roles.light.offers[0]: is not a cluster of the vocabulary"),
        ("[OnOff.OnOff] }", "[] }", "roles.light: offers and commands nothing"),
        ("property: motion.", "property: sensor.", "automations[0].when[0].property: does not begin with"),
        ("light.OnOff.OnOff, equals: true }]\nsteps", "light.OnOff.On, equals: true }]\nsteps",
         "is a command, but an attribute is needed here"),
        ("to: true", "to: 3", "steps[0].do[0].to: is not a value of OccupancySensing.Occupancy"),
        ("    do: [{ set: motion.OccupancySensing.Occupancy, to: true }]\n", "", "needs an action"),
        ("light.OnOff.OnOff, equals: true }]\nsteps", "light.LevelControl.CurrentLevel, equals: 3 }]\nsteps",
         "is not listed under `offers` of the role light"),
        ("to: true", "", "`set` needs `to`"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "scene.yaml"
    assert old in NIGHT
    path.write_text(NIGHT.replace(old, new, 1))
    with pytest.raises(ProfileError) as raised:
        load_scene(path)
    assert said in str(raised.value)
    assert all(problem.line for problem in raised.value.problems)


def test_any_device_that_offers_the_terms_plays_the_role() -> None:
    scene = load_scene(ROOT / "profiles" / "scenes" / "coming-home.yaml")
    for role, names in {
        "door": ["door-lock"],
        "light": ["light", "light-zeta", "smart-plug", "smart-plug-nord"],
        "climate": ["air-conditioner", "air-conditioner-us"],
    }.items():
        for name in names:
            assert lacking(scene, role, load_profile(profile(name))) == ()


def test_what_a_device_lacks_is_said() -> None:
    scene = load_scene(ROOT / "profiles" / "scenes" / "coming-home.yaml")
    (lack,) = lacking(scene, "door", load_profile(profile("light")))
    assert lack == "it does not offer DoorLock.LockState"
    controllers = load_scene(ROOT / "profiles" / "scenes" / "several-controllers.yaml")
    assert "it has no need to command OnOff.OnOff" in lacking(
        controllers, "remote", load_profile(profile("refrigerator"))
    )


def test_a_state_and_the_commands_that_set_it_do_for_each_other() -> None:
    light = ProfileTranslator(load_profile(profile("light")))
    assert (light.order("OnOff.On", None).name, light.order("OnOff.On", None).value) == ("lit", True)
    assert light.order("OnOff.Toggle", None, present=True).value is False
    lock = ProfileTranslator(load_profile(profile("door-lock")))
    assert lock.order("DoorLock.LockDoor", None).value is True
    with pytest.raises(UnofferedError, match="does not offer DoorLock"):
        light.order("DoorLock.LockState", "Locked")
    with pytest.raises(UnofferedError, match="cannot be set from outside"):
        ProfileTranslator(load_profile(profile("smart-plug"))).order(
            "ElectricalPowerMeasurement.ActivePower", 5
        )


def test_values_are_translated_and_lie_on_the_steps_of_the_device() -> None:
    american = ProfileTranslator(load_profile(profile("air-conditioner-us")))
    assert american.own_value("Thermostat.OccupiedCoolingSetpoint", 24) == 75
    assert abs(24 - (75 - 32) / 1.8) <= american.tolerance("Thermostat.OccupiedCoolingSetpoint")
    assert american.tolerance("Thermostat.OccupiedCoolingSetpoint") < 0.3
    (told,) = american.terms_reported_by("setpoint", 77)
    assert (told.path, told.value) == ("Thermostat.OccupiedCoolingSetpoint", 25)


def test_a_label_names_one_of_several_and_none_the_first() -> None:
    fridge = ProfileTranslator(load_profile(profile("refrigerator")))
    labelled = fridge.find("TemperatureMeasurement/freezer.MeasuredValue")
    plain = fridge.find("TemperatureMeasurement.MeasuredValue")
    assert labelled is not None and plain is not None
    assert (labelled.label, plain.label) == ("freezer", "fridge")
    assert fridge.find("TemperatureMeasurement/cellar.MeasuredValue") is None


def test_controllers_are_operated_so_that_they_command() -> None:
    remote = load_profile(profile("remote-control"))
    assert [way.control for way in ways_to_command(remote, "OnOff.OnOff", True)] == ["key_on"]
    switch = load_profile(profile("wall-switch"))
    first = next(iter(ways_to_command(switch, "OnOff.OnOff", True)))
    assert (first.property_, first.value) == ("left", True)
    assert list(ways_to_command(remote, "DoorLock.LockState", "Locked")) == []
