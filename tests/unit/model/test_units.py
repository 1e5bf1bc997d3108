from __future__ import annotations

from pathlib import Path

import pytest
from profile_files import LAMP, SHIPPED, write

from harness.model.loading.profiles import (
    ProfileError,
    load_profile,
)
from harness.model.loading.units import (
    load_units,
    numbered_units,
)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_each_unit_is_what_loading_it_alone_gives(path: Path) -> None:
    units = ["1", *numbered_units(load_profile(path).unit, 3), "lab-7", "A-LONG-IDENTIFIER"]
    assert load_units(path, units) == [load_profile(path, unit=unit) for unit in units]


def test_a_text_that_happens_to_be_like_a_unit_stays(tmp_path: Path) -> None:
    path = write(tmp_path, LAMP.replace("title: Lamp", "title: z0 z00 z1 u1 u2 of {unit}"))
    assert [profile.title for profile in load_units(path, ["u1", "u2"])] == [
        "z0 z00 z1 u1 u2 of u1",
        "z0 z00 z1 u1 u2 of u2",
    ]


def test_units_share_what_does_not_name_them(tmp_path: Path) -> None:
    one, two = load_units(write(tmp_path, LAMP), ["u1", "u2"])
    assert one.properties is two.properties
    assert one.behaviour is two.behaviour
    assert one.bindings.mqtt is not two.bindings.mqtt


def test_a_unit_that_does_not_fit_is_told_with_its_name(tmp_path: Path) -> None:
    path = write(tmp_path, LAMP)
    with pytest.raises(ProfileError, match="a/b"):
        load_units(path, ["u1", "a/b", "u2222"])


def test_a_unit_that_is_too_long_for_a_name_is_a_mistake() -> None:
    plug = next(path for path in SHIPPED if path.stem == "smart-plug")
    with pytest.raises(ProfileError, match=r"63"):
        load_units(plug, ["a", "b" * 60])


def test_further_units_are_different() -> None:
    assert len(set(numbered_units("a4cf12", 3000)) | {"a4cf12"}) == 3001
