from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from profile_files import LAMP, SHIPPED, load_over_lamp, problems_of, write

from harness.model.loading.profiles import (
    load_profile,
    profile_from_json,
    profile_to_json,
)
from harness.model.problems import ProfileError
from harness.model.profile import InvalidValuePolicy

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_a_profile_is_read_with_its_defaults(tmp_path: Path) -> None:
    profile = load_profile(write(tmp_path, LAMP))
    assert profile.properties["level"].maximum == 100
    assert profile.properties["heat"].read_only
    assert profile.behaviour.invalid_value is InvalidValuePolicy.REFUSE
    assert profile.bindings.coap is None


def test_the_unit_stands_in_every_text_and_can_be_given(tmp_path: Path) -> None:
    path = write(tmp_path, LAMP)
    assert load_profile(path).bindings.mqtt.client_id == "lamp-u1"
    other = load_profile(path, unit="u2")
    assert (other.unit, other.bindings.mqtt.client_id) == ("u2", "lamp-u2")
    assert other.bindings.mqtt.properties["heat"].state == "lamp/u2/heat"


def test_on_and_off_are_texts_as_keys_and_as_members(tmp_path: Path) -> None:
    profile = load_profile(write(tmp_path, LAMP.replace('"on", "off", eco', "on, off, eco")))
    assert profile.properties["mode"].enum == ("on", "off", "eco")
    assert profile.bindings.mqtt.properties["power"].values == {"on": True, "off": False}


def test_keys_are_texts_whatever_they_look_like(tmp_path: Path) -> None:
    values = (
        "bindings: { mqtt: { properties: { power: { values: { on: null, off: null, 1: true, 0: false }}}}}"
    )
    assert load_over_lamp(tmp_path, values).bindings.mqtt.properties["power"].values == {
        "1": True,
        "0": False,
    }


def test_every_mistake_is_reported_with_its_line_key_and_what_is_allowed(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """\
        profile: Big Lamp
        title: 7
        colour: red
        properties:
          power: { type: bool, defualt: true }
          level:
            type: integer
            minimum: low
        bindings:
          mqtt:
            base: lamp
            keep_alive: 70000
            version: 3.1
            properties:
              power: { state: lamp/power, qos: 3, retain: on }
        behaviour:
          invalid_value: ignore
          rules:
            - { id: r, purpose: p, when: [{ event: hot, property: power }], then: [{ event: hot }] }
        """,
    )
    problems = problems_of(path)
    assert [(problem.line, problem.key) for problem in problems] == [
        (1, "profile"),
        (1, "category"),
        (2, "title"),
        (3, "colour"),
        (5, "properties.power.type"),
        (5, "properties.power.defualt"),
        (8, "properties.level.minimum"),
        (10, "bindings.mqtt.client_id"),
        (12, "bindings.mqtt.keep_alive"),
        (13, "bindings.mqtt.version"),
        (15, "bindings.mqtt.properties.power.qos"),
        (15, "bindings.mqtt.properties.power.retain"),
        (17, "behaviour.invalid_value"),
        (19, "behaviour.rules[0].when[0]"),
    ]
    assert {problem.file for problem in problems} == {path}
    by_key = {problem.key: problem for problem in problems}
    qos = by_key["bindings.mqtt.properties.power.qos"]
    assert (qos.found, qos.allowed) == ("3", "a whole number from 0 to 2 (MQTT quality of service)")
    assert "default" in by_key["properties.power.defualt"].allowed
    assert "boolean, integer, number" in by_key["properties.power.type"].allowed
    assert "refuse, clamp" in by_key["behaviour.invalid_value"].allowed
    assert "quotes" in by_key["bindings.mqtt.version"].found
    assert str(qos).startswith(f"{path}:15: bindings.mqtt.properties.power.qos: ")


def test_what_does_not_fit_is_reported_together_with_what_is_malformed(tmp_path: Path) -> None:
    with pytest.raises(ProfileError) as caught:
        load_over_lamp(
            tmp_path,
            """\
            bindings:
              mqtt:
                keep_alive: -1
                properties:
                  level: { retain: 1 }
                  heat: { state: elsewhere }
                  mode: { stat: x }
            capabilities: { LevelControl: { CurrentLevel: { property: levle } } }
            """,
        )
    assert {(problem.file.name, problem.line, problem.key) for problem in caught.value.problems} == {
        ("device.yaml", 4, "bindings.mqtt.keep_alive"),
        ("device.yaml", 6, "bindings.mqtt.properties.level.retain"),
        ("device.yaml", 7, "bindings.mqtt.properties.heat.state"),
        ("device.yaml", 8, "bindings.mqtt.properties.mode.stat"),
        ("device.yaml", 9, "capabilities.LevelControl.CurrentLevel.property"),
    }


def test_leaving_out_what_is_malformed_does_not_make_further_mistakes(tmp_path: Path) -> None:
    changes = "properties: { level: { type: whole } }\nactions: { blink: 3 }\nevents: { hot: 4 }\n"
    with pytest.raises(ProfileError) as caught:
        load_over_lamp(tmp_path, changes)
    assert {problem.key for problem in caught.value.problems} == {
        "properties.level.type",
        "actions.blink",
        "events.hot",
    }


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"", 0, "empty"),
        (b"# nothing\n", 0, "empty"),
        (b"- a\n", 1, "a list"),
        (b"just text\n", 1, "a single value"),
        (b"a:\n\tb: 1\n", 2, "tab"),
        (b"a: [1, 2\n", 2, "not YAML"),
        (b"a: 1\nb: caf\xe9\n", 2, "not UTF-8"),
        ("a: 1\n".encode("utf-16"), 1, "not UTF-8"),
        (b"a: 1\nb: \x07\n", 2, "control character 0x07"),
        (b"a: 1\n---\nb: 1\n", 2, "document"),
        (b"a: &x\n  b: *x\n", 2, "alias"),
    ],
)
def test_a_file_that_is_no_profile_is_one_clear_problem(
    tmp_path: Path, content: bytes, line: int, message: str
) -> None:
    path = tmp_path / "device.yaml"
    path.write_bytes(content)
    (problem,) = problems_of(path)
    assert (problem.file, problem.line) == (path, line)
    assert message in str(problem)


def test_a_small_file_that_unfolds_into_a_giant_is_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    (problem,) = problems_of(write(tmp_path, "\n".join(lines)))
    assert "aliases" in problem.message


def test_a_missing_file_and_a_folder_are_problems_too(tmp_path: Path) -> None:
    assert "no such file" in problems_of(tmp_path / "none.yaml")[0].message
    assert "cannot be read" in problems_of(tmp_path)[0].message


def test_a_doubled_key_is_reported_where_it_stands_again(tmp_path: Path) -> None:
    (problem,) = problems_of(write(tmp_path, LAMP + "title: Another\n"))
    assert (problem.line, problem.key) == (LAMP.count("\n") + 1, "title")
    assert "line 2" in problem.message


@pytest.mark.parametrize("number", [".inf", "-.inf", ".nan"])
def test_numbers_that_json_cannot_hold_are_refused(tmp_path: Path, number: str) -> None:
    path = write(tmp_path, LAMP.replace("default: 50", f"default: {number}"))
    assert [problem.key for problem in problems_of(path)] == ["properties.level.default"]


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "device.yaml"
    path.write_text(LAMP, encoding="utf-8-sig")
    assert load_profile(path).profile == "lamp"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_profiles_survive_the_way_through_a_trace(path: Path) -> None:
    profile = load_profile(path, unit="9f")
    text = profile_to_json(profile)
    assert "\n" not in text
    assert profile_from_json(text) == profile
    assert profile_to_json(profile_from_json(text)) == text


@given(JSON, JSON)
def test_any_json_value_survives_the_way_through_a_trace(default: object, data: object) -> None:
    base = load_profile(SHIPPED[0])
    level = next(iter(base.properties.values())).model_copy(update={"default": default, "enum": (data,)})
    profile = base.model_copy(update={"properties": {"level": level}})
    assert profile_from_json(profile_to_json(profile)) == profile


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"profile": 3}'])
def test_a_broken_profile_in_a_trace_is_a_profile_error(text: str) -> None:
    with pytest.raises(ProfileError):
        profile_from_json(text)
