from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from profile_files import LAMP, SHIPPED
from ruamel.yaml import YAML

from harness.model.loading.json_schema import (
    SCHEMA_FILE,
    profile_schema,
    profile_schema_text,
)
from harness.model.loading.template import new_profile_text

jsonschema = pytest.importorskip("jsonschema")


def errors(text: str) -> list[str]:
    document: Any = YAML(typ="safe", pure=True).load(text)
    return [
        error.json_path for error in jsonschema.Draft202012Validator(profile_schema()).iter_errors(document)
    ]


def test_the_schema_that_is_shipped_is_the_one_of_the_model() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == profile_schema_text(), (
        "write it anew: python -c 'from harness.model.loading.json_schema import *; "
        'SCHEMA_FILE.write_text(profile_schema_text(), encoding="utf-8")\''
    )


def test_it_is_a_schema_of_its_draft() -> None:
    jsonschema.Draft202012Validator.check_schema(profile_schema())


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_profiles_keep_it_and_name_it_for_editors(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert errors(text) == []
    reference = text.partition("\n")[0].removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / reference).resolve() == SCHEMA_FILE.resolve()


def test_a_new_profile_keeps_it() -> None:
    assert errors(new_profile_text("my-lamp", "lamp")) == []


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("title: Lamp\n", "", "$"),
        ("title: Lamp", "titel: Lamp", "$"),
        ("keep_alive: 30", "keep_alive: 70000", "$.bindings.mqtt.keep_alive"),
        ("type: integer, minimum: 1, maximum", "type: whole, maximum", "$.properties.level.type"),
        ("readOnly: true", "read_only: true", "$.properties.heat"),
        ("base: lamp/{unit}", "base: lamp/#", "$.bindings.mqtt.base"),
    ],
)
def test_mistakes_break_it(old: str, new: str, place: str) -> None:
    assert old in LAMP
    assert place in errors(LAMP.replace(old, new))


@pytest.mark.parametrize(
    "rule",
    [
        "{ id: r, purpose: p, when: [{ event: hot }] }",
        "{ id: r, purpose: p, when: [{ event: hot }], while: [{ event: hot }], then: [{ event: hot }] }",
        "{ id: r, purpose: p, when: [{ event: hot, property: power }], then: [{ event: hot }] }",
    ],
)
def test_rules_have_one_form_and_conditions_one_subject(rule: str) -> None:
    assert errors(LAMP) == []
    assert errors(LAMP + f"behaviour: {{ rules: [{rule}] }}\n")


def test_a_child_may_leave_out_and_remove_but_not_misspell() -> None:
    assert errors("extends: a.yaml\nproperties: { level: { maximum: 3 }, heat: null }\n") == []
    assert (
        errors("extends: a.yaml\nbindings: { mqtt: { events: null, properties: { power: { qos: 1 } } } }\n")
        == []
    )
    assert errors("extends: a.yaml\nproperties: { level: { maxmum: 3 } }\n")
    assert errors("extends: a.yaml\ncontrols: { b: { effects: [{ porperty: power }] } }\n")
    assert errors("properties: { level: { maximum: 3 } }\n")


def test_keys_have_descriptions() -> None:
    definitions = profile_schema()["$defs"]
    silent = [
        f"{name}.{key}"
        for name, definition in definitions.items()
        for key, member in definition.get("properties", {}).items()
        if "description" not in member
    ]
    assert silent == []
