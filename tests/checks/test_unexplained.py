"""Changes that nobody asked for, and values on the way that are none: on traces, and on simulated devices."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.checks.support.behaviour.boundary_values import limits
from harness.model.loading.profiles import load_profile
from harness.model.rule import Condition
from harness.model.schema import DataSchema
from harness.model.verdict import Verdict
from harness.session.result import RunResult
from harness.simulate.faults import all_habits
from harness.trace.events import Act
from tests.checks.driving import SHIPPED, check_simulated
from tests.checks.test_behaviour import Scene

PASS, FAIL, WARN, INCONCLUSIVE = Verdict.PASS, Verdict.FAIL, Verdict.WARN, Verdict.INCONCLUSIVE

LAMP = """
profile: reading-lamp
title: Reading lamp
category: lamp
properties:
  level: { type: integer, minimum: 1, maximum: 100, default: 60, settle: 1.5 }
  warmth: { type: integer, minimum: 150, maximum: 450, default: 300%s }
  minutes: { type: integer, minimum: 0, maximum: 90, default: 30%s }
  name: { type: string, pattern: "^[A-Z][a-z]{2,7}$", default: Lamp }
  lit: { type: boolean, readOnly: true, default: false }
controls:
  scene: { effects: [{ event: scene }] }
events:
  scene: {}
bindings:
  mqtt:
    base: reading-lamp
    client_id: reading-lamp
    keep_alive: 30
    availability: { topic: reading-lamp/online }
    properties:
      level: { state: reading-lamp/level, command: reading-lamp/level/set, qos: 1 }
      warmth: { state: reading-lamp/warmth, command: reading-lamp/warmth/set, qos: 1 }
      minutes: { state: reading-lamp/minutes, command: reading-lamp/minutes/set, qos: 1 }
      name: { state: reading-lamp/name, command: reading-lamp/name/set, qos: 1 }
      lit: { state: reading-lamp/lit, qos: 1 }
    events:
      scene: { topic: reading-lamp/scene, qos: 1 }
behaviour: { settle: 0.5, report_local: 0.5, boot: 5, reconnect: 30 }
"""
OF_COMMANDS = ("DEV-01", "DEV-03", "DEV-04", "DEV-06", "DEV-07", "DEV-24", "SEC-10")
NEW = ("PROFILE-66", "PROFILE-67", "PROFILE-68", "PROFILE-69")


def lamp(folder: Path, warmth: str = "", minutes: str = "") -> Path:
    path = folder / "reading-lamp.yaml"
    path.write_text(LAMP % (warmth, minutes))
    load_profile(path)
    return path


def verdicts(result: RunResult) -> dict[str, Verdict]:
    return {item.result.id: item.result.outcome.verdict for item in result.judgements}


def bad(result: RunResult) -> list[str]:
    return [
        f"{item.result.id}: {item.result.outcome.message}"
        for item in result.judgements
        if item.result.outcome.verdict not in (PASS, Verdict.NOT_APPLICABLE)
    ]


def test_a_device_without_surprises_passes(tmp_path: Path) -> None:
    result = check_simulated(lamp(tmp_path), select=[*NEW, *OF_COMMANDS])
    assert bad(result) == []
    assert set(NEW) <= {item.split("[")[0] for item in verdicts(result)}


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ("setting-falls-back", "PROFILE-66"),
        ("command-changes-another", "PROFILE-67[level]"),
        ("old-value-first", "PROFILE-68[temperature]"),
        ("key-does-more-offline", "PROFILE-69[scene]"),
    ],
)
def test_each_surprise_is_found_by_its_check_alone(tmp_path: Path, fault: str, check: str) -> None:
    path = (
        lamp(tmp_path) if "temperature" not in check else next(p for p in SHIPPED if p.stem == "smart-plug")
    )
    found = verdicts(check_simulated(path, faults=[fault], select=NEW))
    blamed = {name.split("[")[0] for name, verdict in found.items() if verdict in (FAIL, WARN)}
    assert found[check] in (FAIL, WARN) and blamed == {check.split("[")[0]}


def test_a_side_effect_that_is_declared_is_none(tmp_path: Path) -> None:
    path = lamp(tmp_path, warmth=", also_changes: [level]")
    result = check_simulated(path, select=[*NEW, *OF_COMMANDS, "PROFILE-63"])
    assert bad(result) == [] and "PROFILE-67[warmth]" in verdicts(result)


def test_a_value_that_is_declared_to_change_by_itself_may(tmp_path: Path) -> None:
    path = lamp(tmp_path, minutes=", self_changing: true")
    assert bad(check_simulated(path, select=[*NEW, *OF_COMMANDS, "PROFILE-63"])) == []


@pytest.mark.parametrize("habit", [habit.name for habit in all_habits()])
def test_a_habit_is_no_fault(habit: str, tmp_path: Path) -> None:
    plug = next(path for path in SHIPPED if path.stem == "smart-plug")
    for path in (plug, lamp(tmp_path)):
        if next(each for each in all_habits() if each.name == habit).applies(load_profile(path)):
            assert bad(check_simulated(path, faults=[habit], select=[*NEW, *OF_COMMANDS])) == []


def test_a_fall_back_after_the_settle_time_fails() -> None:
    scene = Scene("PROFILE-66").set_led(70).at(0.1).led(70)
    assert scene.at(3).led(38).at(12).judged().verdict is FAIL


def test_a_setting_that_stays_passes_only_if_it_was_watched() -> None:
    assert Scene("PROFILE-66").set_led(70).at(0.1).led(70).at(12).judged().verdict is PASS
    assert Scene("PROFILE-66").set_led(70).at(0.1).led(70).at(3).judged().verdict is INCONCLUSIVE


def test_a_change_after_a_command_to_another_property_is_not_pinned_on_the_device_itself() -> None:
    scene = Scene("PROFILE-66").set_led(70).at(0.1).led(70).at(2)
    assert scene.switch("OFF").at(2.1).relay("OFF").led(5).at(14).judged().verdict is not FAIL


def side_effects(*delays: float) -> Verdict:
    """What is judged where the LED followed the relay so long after the first commands for it."""
    scene = Scene("PROFILE-67", "relay")
    for turn, delay in enumerate((*delays, None)):
        word = "OFF" if turn % 2 else "ON"
        scene.at(4 * turn).set_led(50 + turn).at(4 * turn + 0.1).led(50 + turn)
        scene.at(4 * turn + 1).switch(word).at(4 * turn + 1.01).relay(word)
        if delay is not None:
            scene.at(4 * turn + 1 + delay).led(100)
    return scene.at(20).judged().verdict


def test_a_side_effect_fails_if_it_comes_again() -> None:
    assert side_effects(0.1, 0.1) is FAIL
    assert side_effects(0.1) is INCONCLUSIVE
    assert side_effects() is PASS


def test_a_burst_is_not_judged_before_the_settle_time() -> None:
    scene = Scene("DEV-07", "led_brightness")
    for turn in range(10):
        scene.set_led(70 if turn % 2 else 20)
    scene.at(0.02).led(70)
    outcome = scene.judged()
    assert outcome.verdict is INCONCLUSIVE and "0.5 s to settle" in outcome.message


def test_a_value_that_the_device_had_already_is_no_refusal() -> None:
    scene = Scene("DEV-01", "led_brightness").set_led(38).at(0.7).set_led(70).at(0.8).led(70).at(1.5)
    assert scene.judged().verdict is PASS


def test_a_counter_at_zero_shows_no_loss() -> None:
    scene = Scene("DEV-13", "energy").telemetry(energy=0).act(Act.KILL, "power").act(Act.START, "power")
    assert scene.telemetry(energy=0).judged().verdict is FAIL  # it had fallen from 1.5 before
    scene = Scene("DEV-13", "energy").telemetry(energy=1.6).act(Act.INVOKE, "reset_energy")
    scene.telemetry(energy=0).act(Act.KILL, "power").act(Act.START, "power")
    assert scene.telemetry(energy=0).judged().verdict is INCONCLUSIVE


def test_a_text_in_place_of_a_number_makes_a_condition_neither_true_nor_false() -> None:
    hot = Condition(property="temperature", above=80)
    assert hot.holds({"temperature": "hot"}) is None
    assert hot.holds({"temperature": 81}) is True
    assert Condition(property="a", below="b").holds({"a": 1, "b": None}) is None


def test_texts_with_a_pattern_have_legal_values() -> None:
    schema = DataSchema(type="string", pattern="^[A-F]{3}-\\d$")
    found = limits(schema)
    assert len(found) > 1 and all(schema.accepts(value) for value in found)


@pytest.mark.parametrize(("qos", "verdict"), [(1, PASS), (0, Verdict.NOT_APPLICABLE)])
def test_an_action_without_a_declared_effect_does_not_stay_undecided(
    tmp_path: Path, qos: int, verdict: Verdict
) -> None:
    text = (LAMP % ("", "")).replace("controls:", "actions: { chime: {} }\ncontrols:")
    command = (
        f"    actions: {{ chime: {{ command: reading-lamp/chime, command_qos: {qos} }} }}\n    events:\n"
    )
    path = tmp_path / "reading-lamp.yaml"
    path.write_text(text.replace("    events:\n", command))
    assert verdicts(check_simulated(path, select=["PROFILE-62"])) == {"PROFILE-62[chime]": verdict}
