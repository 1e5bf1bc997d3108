from __future__ import annotations

import json
from pathlib import Path

import pytest
from profile_files import LAMP, load_over_lamp, problems_of, write

from harness.model.loading.profiles import load_profile, profile_from_json, profile_to_json
from harness.model.problems import ProfileError
from harness.model.profile import FORMAT


def test_mappings_merge_lists_are_replaced_and_null_removes(tmp_path: Path) -> None:
    profile = load_over_lamp(
        tmp_path,
        """\
        title: Brighter lamp
        properties:
          level: { maximum: 200 }
          mode: { enum: [eco, party] }
        actions: null
        bindings:
          mqtt:
            actions: { blink: null }
        """,
    )
    assert profile.title == "Brighter lamp"
    assert (profile.properties["level"].minimum, profile.properties["level"].maximum) == (1, 200)
    assert profile.properties["mode"].enum == ("eco", "party")
    assert profile.actions == {}
    assert profile.bindings.mqtt.actions == {}
    assert profile.bindings.mqtt.client_id == "lamp-u1"


def test_a_parent_is_found_from_the_folder_of_its_child_over_generations(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    write(tmp_path / "base", LAMP, "lamp.yaml")
    write(tmp_path, "extends: base/lamp.yaml\nproperties: { level: { maximum: 300 } }\n", "middle.yaml")
    (tmp_path / "deep").mkdir()
    child = write(tmp_path / "deep", "extends: ../middle.yaml\nunit: u9\n")
    profile = load_profile(child)
    assert (profile.unit, profile.properties["level"].maximum) == ("u9", 300)
    assert profile.bindings.mqtt.client_id == "lamp-u9"


def test_a_mistake_is_reported_in_the_file_that_it_stands_in(tmp_path: Path) -> None:
    with pytest.raises(ProfileError) as caught:
        load_over_lamp(tmp_path, "properties: { level: { minimum: 60 }, power: { readOnly: true } }\n")
    places = {(problem.file.name, problem.line, problem.key) for problem in caught.value.problems}
    assert places == {
        ("lamp.yaml", 7, "properties.level.default"),
        ("lamp.yaml", 22, "bindings.mqtt.properties.power.command"),
    }


@pytest.mark.parametrize("is_parent", [False, True])
def test_a_newer_format_is_refused_by_one_message(tmp_path: Path, is_parent: bool) -> None:
    newer = f"format: {FORMAT + 1}\nsomething_new: [1]\n{LAMP}"
    path = write(tmp_path, newer, "lamp.yaml")
    if is_parent:
        path = write(tmp_path, "extends: lamp.yaml\nformat: 1\nproperties: { level: { minimum: 60 } }\n")
    (problem,) = problems_of(path)
    assert (problem.file.name, problem.line, problem.key) == ("lamp.yaml", 1, "format")
    assert str(problem).endswith(
        "this version of the harness does not know this format; update the harness; found 2; allowed: 1 to 1"
    )
    lamp = json.loads(profile_to_json(load_profile(write(tmp_path, LAMP, "today.yaml"))))
    assert lamp["format"] == FORMAT
    with pytest.raises(ProfileError) as refused:
        profile_from_json(json.dumps(lamp | {"format": FORMAT + 1, "something_new": 1}))
    assert len(refused.value.problems) == 1


def test_the_first_format_need_not_be_named(tmp_path: Path) -> None:
    with_number = load_profile(write(tmp_path, f"format: 1\n{LAMP}"))
    assert with_number == load_profile(write(tmp_path, LAMP))
    (problem,) = problems_of(write(tmp_path, f"format: 0\n{LAMP}"))
    assert problem.key == "format"


def test_circles_are_told_as_a_whole(tmp_path: Path) -> None:
    write(tmp_path, "extends: b.yaml\n", "a.yaml")
    write(tmp_path, "extends: c.yaml\n", "b.yaml")
    (problem,) = problems_of(write(tmp_path, "profile: x\nextends: a.yaml\n", "c.yaml"))
    assert problem.key == "extends"
    assert problem.message.count("extends") == 3


@pytest.mark.parametrize(
    ("reference", "message"),
    [("nowhere.yaml", "no such file"), ("3", "does not name a file"), ("[a]", "does not name a file")],
)
def test_a_parent_that_cannot_be_is_reported_at_the_reference(
    tmp_path: Path, reference: str, message: str
) -> None:
    (problem,) = problems_of(write(tmp_path, f"profile: x\nextends: {reference}\n"))
    assert (problem.line, problem.key) == (2, "extends")
    assert message in problem.message
