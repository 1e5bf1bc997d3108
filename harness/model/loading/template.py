"""Starting a new profile."""

from __future__ import annotations

import json
import re
from pathlib import Path

from harness.model.loading.json_schema import SCHEMA_FILE
from harness.model.problems import ProfileError, ProfileProblem

_TEMPLATE = Path(__file__).with_name("template.yaml")


def new_profile_text(name: str, kind: str) -> str:
    """A commented profile that is valid without changes.

    ``name`` is any text that a short name can be made from, such as ``Kitchen plug``; ``kind`` is the
    category of the device, such as ``plug``. Raises :class:`ProfileError` where ``name`` has neither letter
    nor digit.
    """
    short = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not short:
        message = "no short name can be made from this"
        allowed = "a name with letters a to z or digits"
        raise ProfileError((ProfileProblem(_TEMPLATE, 0, "profile", message, repr(name), allowed),))
    words = {
        "SCHEMA": SCHEMA_FILE.as_posix(),
        "profile: NAME": f"profile: {_quoted(short)}",
        "NAME": short,
        "TITLE": _quoted(name),
        "KIND": _quoted(kind),
    }
    text = _TEMPLATE.read_text(encoding="utf-8")
    return re.sub("|".join(words), lambda match: words[match[0]], text)


def _quoted(text: str) -> str:
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9 -]*[A-Za-z0-9]", text)
    # Every JSON string is also valid YAML.
    return text if plain and text.lower() not in ("null", "true", "false") else json.dumps(text)
