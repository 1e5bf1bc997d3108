"""The template, profiles told in words, and the guide's examples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from profile_files import SHIPPED, load_over_lamp, write

from harness.model.explain import describe
from harness.model.ics import ics_of
from harness.model.loading.json_schema import (
    known_keys,
    profile_schema,
)
from harness.model.loading.profiles import load_profile
from harness.model.loading.template import new_profile_text
from harness.model.problems import ProfileError
from harness.model.semantics.mapping import (
    needed,
    offered,
)

GUIDE = (Path(__file__).parents[3] / "docs" / "writing-a-profile.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
FILES = {match[1]: text for text in EXAMPLES if (match := re.match(r"# ([\w-]+\.yaml)\n", text))}
FRAGMENTS = [text for text in EXAMPLES if re.match(r"\w+:", text)]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("my-lamp", "lamp"),
        ("Kitchen: plug #3", "plug"),
        ("true", "no"),
        ('The "KIND" TITLE', "a: b"),
        ("3", "7"),
    ],
)
def test_a_new_profile_is_valid_and_has_its_name_and_kind(tmp_path: Path, name: str, kind: str) -> None:
    profile = load_profile(write(tmp_path, new_profile_text(name, kind)))
    assert (profile.title, profile.category) == (name, kind)
    assert re.fullmatch("[a-z0-9-]+", profile.profile)
    assert profile.bindings.mqtt.base.startswith(profile.profile)


def test_the_transports_that_a_new_profile_offers_are_valid_too(tmp_path: Path) -> None:
    text = new_profile_text("my-lamp", "lamp")
    offered = re.sub(r"^  # (?=coap:|mdns:|  )", "  ", text, flags=re.MULTILINE)
    profile = load_profile(write(tmp_path, offered))
    assert profile.bindings.coap is not None
    assert profile.bindings.mdns is not None


def test_a_name_of_nothing_is_refused() -> None:
    with pytest.raises(ProfileError, match="short name"):
        new_profile_text("—", "lamp")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_profile_in_words_names_everything_in_it(path: Path) -> None:
    profile = load_profile(path)
    text = describe(profile)
    mqtt, coap = profile.bindings.mqtt, profile.bindings.coap
    topics = [bound.state for bound in mqtt.properties.values()] if mqtt else []
    topics += [bound.command for bound in mqtt.properties.values() if bound.command] if mqtt else []
    paths = [bound.path for bound in coap.properties.values()] if coap else []
    names = [*profile.properties, *profile.actions, *profile.events, *profile.controls]
    rules = [rule.id for rule in profile.behaviour.rules]
    terms = [f".{offer.term.name}: " for offer in offered(profile)] + [need.name for need in needed(profile)]
    words = (*names, *topics, *paths, *rules, *terms, *ics_of(profile))
    assert [word for word in words if word not in text] == []


def test_capabilities_needs_and_ratings_are_told_as_sentences(tmp_path: Path) -> None:
    changes = """\
        capabilities:
          FanControl/left: { FanMode: { property: mode, values: { High: "on", Low: ["off", eco] } } }
        needs:
          room:
            title: A thermometer
            uses: TemperatureMeasurement.MeasuredValue
            access: follow
            takes: { type: number, unit: Cel, minimum: 0, maximum: 50 }
            reactions: [{ above: 30, then: [{ property: power, equals: false }], within: 5 }]
            every: 60
            retained: true
            security: login
        ratings:
          draws:
            - connector: CEE 7/7
              voltage: { minimum: 220, maximum: 240 }
              frequency: { minimum: 50, maximum: 50 }
              current: 2
              earthed: true
    """
    text = describe(load_over_lamp(tmp_path, changes))
    assert "FanControl/left.FanMode: mode (High is on, Low is off or eco), can be set" in text
    assert (
        "room: A thermometer: follows TemperatureMeasurement.MeasuredValue (takes number 0 to 50 Cel; when "
        "the value is above 30, then power is false within 5 s; at least every 60 s; retained; "
        "security login at least)"
    ) in text
    assert "draws 220 to 240 V, 50 Hz, up to 2 A (CEE 7/7, earthed)" in text


def test_rules_are_told_as_sentences() -> None:
    text = describe(load_profile(next(path for path in SHIPPED if path.stem == "refrigerator")))
    assert (
        "when door_open is true for 120 s, then door_alarm is true and event door_left_open within 2 s"
        in text
    )
    assert "while fault is freezer_sensor, the device refuses that fast_freeze is true" in text


def guide_files(folder: Path) -> None:
    for name, text in FILES.items():
        write(folder, text, name)


@pytest.mark.parametrize("name", [name for name in FILES if name != "broken.yaml"])
def test_the_profiles_of_the_guide_are_valid(tmp_path: Path, name: str) -> None:
    guide_files(tmp_path)
    assert load_profile(tmp_path / name).profile == name.removesuffix(".yaml")


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_the_fragments_of_the_guide_are_valid_parts_of_its_profile(tmp_path: Path, fragment: str) -> None:
    guide_files(tmp_path)
    load_profile(write(tmp_path, f"extends: lamp.yaml\n{fragment}"))


def test_the_mistakes_in_the_guide_are_those_that_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ProfileError) as caught:
        load_profile(Path("broken.yaml"))
    (expected,) = re.findall(r"```text\n(.*?)```", GUIDE, re.DOTALL)
    assert str(caught.value) == expected.strip()


def test_the_guide_has_examples_and_names_every_key() -> None:
    assert len(FILES) == 3
    assert len(FRAGMENTS) == 11
    reference = GUIDE.partition("## Reference")[2]
    definitions = [
        value for name, value in profile_schema()["$defs"].items() if not name.endswith(".partial")
    ]
    keys = {key for definition in definitions for key in definition.get("properties", {})}
    assert keys >= set(known_keys(()))
    assert [key for key in sorted(keys) if f"`{key}`" not in reference] == []
