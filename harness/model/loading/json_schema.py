"""The JSON Schema of profiles, made from the model, and what it allows at a place in a file."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path as FilePath
from typing import Any

from pydantic import BaseModel

from harness.model.problems import Path
from harness.model.profile import Profile

Schema = dict[str, Any]

SCHEMA_FILE = FilePath(__file__).parent.with_name("profile.schema.json")

_PARTIAL = ".partial"
_EXTENDS: Schema = {
    "type": "string",
    "minLength": 1,
    "description": "path of the parent profile, relative to the folder of this one; keys given here "
    "replace those of the parent, and null removes a key",
}


def profile_schema() -> Schema:
    """The JSON Schema (draft 2020-12) of profile files.

    A profile that extends another may leave out what it does not change, and may remove keys by null: for
    those the schema has a second, partial form of every definition.
    """
    full = _for_people(_full(Profile))
    definitions = full.pop("$defs")
    definitions["Profile"] = full
    partial = {name + _PARTIAL: _partial(definition) for name, definition in definitions.items()}
    for definition in (full, partial["Profile" + _PARTIAL]):
        definition["properties"] = {"extends": _EXTENDS, **definition["properties"]}
    partial["Profile" + _PARTIAL]["required"] = ["extends"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:appliance-harness:profile",
        "title": "Device profile",
        "description": "The declared and expected behaviour of one kind of device.",
        "type": "object",
        "if": {"required": ["extends"]},
        "then": {"$ref": "#/$defs/Profile" + _PARTIAL},
        "else": {"$ref": "#/$defs/Profile"},
        "$defs": {**definitions, **partial},
    }


def profile_schema_text() -> str:
    """The schema as it stands in :data:`SCHEMA_FILE`."""
    return json.dumps(profile_schema(), indent=2, ensure_ascii=False) + "\n"


def _for_people(schema: Any) -> Any:
    """A deep copy that is better suited for editors.

    Descriptions from docstrings become plain text, and null is removed: an optional key is left out instead.
    """
    if isinstance(schema, list):
        return [_for_people(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    copy = {key: _for_people(value) for key, value in schema.items() if (key, value) != ("default", None)}
    choices = [choice for choice in copy.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == 1:
        del copy["anyOf"]
        copy = {**choices[0], **copy}
    elif choices:
        copy["anyOf"] = choices
    if isinstance(copy.get("description"), str):
        copy["description"] = " ".join(copy["description"].replace("``", "`").split())
    return copy


def _partial(schema: Schema) -> Schema:
    """The form for a child profile: nothing is required, and null removes a key."""
    if "properties" not in schema:
        return schema
    kept = {key: value for key, value in schema.items() if key not in ("required", "oneOf")}
    members = {key: _removable(value) for key, value in schema["properties"].items()}
    return {**kept, "properties": members}


def _removable(schema: Schema) -> Schema:
    if "$ref" in schema:
        about = {key: value for key, value in schema.items() if key != "$ref"}
        return {**about, "anyOf": [{"$ref": schema["$ref"] + _PARTIAL}, {"type": "null"}]}
    if "anyOf" in schema:
        # References among the choices are followed, lists are not: a child replaces a list as a whole.
        choices = [choice for member in schema["anyOf"] for choice in _removable(member)["anyOf"]]
        return {**schema, "anyOf": [*(c for c in choices if c.get("type") != "null"), {"type": "null"}]}
    about = {key: value for key, value in schema.items() if key in ("title", "description", "default")}
    value = {key: value for key, value in schema.items() if key not in about}
    if isinstance(value.get("additionalProperties"), dict):
        value["additionalProperties"] = _removable(value["additionalProperties"])
    return {**about, "anyOf": [value, {"type": "null"}]}


def schema_for_people(model: type[BaseModel]) -> Schema:
    """The JSON Schema of another kind of file, in a form for editors."""
    return _for_people(_full(model))  # type: ignore[no-any-return]


@cache
def _full(model: type[BaseModel]) -> Schema:
    return model.model_json_schema(by_alias=True)


def schemas_at(path: Path, model: type[BaseModel] = Profile) -> list[Schema]:
    """The schemas allowed for a value at ``path`` of a file; empty where no value is allowed.

    ``model`` is what the file describes.
    """
    root = _full(model)
    found = _alternatives(root, root)
    for part in path:
        found = [
            choice
            for schema in found
            for inner in _inner(schema, part)
            for choice in _alternatives(inner, root)
        ]
    return found


def known_keys(path: Path, model: type[BaseModel] = Profile) -> list[str]:
    """The keys that the mapping at ``path`` may have by name."""
    return [key for schema in schemas_at(path, model) for key in schema.get("properties", {})]


def _inner(schema: Schema, part: str | int) -> list[Schema]:
    if isinstance(part, int):
        return [schema["items"]] if isinstance(schema.get("items"), dict) else []
    if part in schema.get("properties", {}):
        return [schema["properties"][part]]
    extra = schema.get("additionalProperties")
    return [extra] if isinstance(extra, dict) else []


def _alternatives(schema: Schema, root: Schema) -> list[Schema]:
    """The schema with its reference followed, split at ``anyOf``, without null, which means absence."""
    if "$ref" in schema:
        target = root["$defs"][schema["$ref"].rpartition("/")[2]]
        own = {key: value for key, value in schema.items() if key not in ("$ref", "default")}
        # The description of the class is for readers of the code.
        about_class = {key: value for key, value in target.items() if key != "description"}
        return _alternatives({**about_class, **own}, root)
    if "anyOf" in schema:
        about = {key: schema[key] for key in ("description",) if key in schema}
        return [
            {**choice, **about}
            for inner in schema["anyOf"]
            for choice in _alternatives(inner, root)
            if choice.get("type") != "null"
        ]
    return [schema]


def allowed_text(schema: Schema) -> str:
    """What a schema allows, as text."""
    about = schema.get("description")
    text = _kind_text(schema)
    return f"{text} ({about})" if about and "\n" not in about else text


def _kind_text(schema: Schema) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(_plain(value) for value in schema["enum"])
    if "const" in schema:
        return _plain(schema["const"])
    match schema.get("type"):
        case "boolean":
            return "true or false"
        case "integer":
            return "a whole number" + _range_text(schema)
        case "number":
            return "a number" + _range_text(schema)
        case "string":
            pattern = schema.get("pattern")
            return f"text that matches {pattern}" if pattern else "text"
        case "array":
            return "a list"
        case "object":
            return "a mapping" + _keys_text(schema)
    return "any value"


def legal_number(schema: Schema) -> int | None:
    """Some number other than zero that a schema of numbers allows; None for other schemas."""
    if schema.get("type") not in ("integer", "number"):
        return None
    return max(1, int(schema.get("minimum", 1)))


def _keys_text(schema: Schema) -> str:
    keys = schema.get("properties")
    return f" with the keys {', '.join(keys)}" if keys else ""


def _range_text(schema: Schema) -> str:
    low, high, over = schema.get("minimum"), schema.get("maximum"), schema.get("exclusiveMinimum")
    if over is not None:
        return f" above {over}" + (f", up to {high}" if high is not None else "")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if low is not None:
        return f", {low} or more"
    return f", {high} at most" if high is not None else ""


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
