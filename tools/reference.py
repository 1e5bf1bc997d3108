"""Writes docs/reference.md from the docstrings of the public face: ``python tools/reference.py``."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reference.md"
HEAD = """# Reference of the public face

What `import harness` offers to other packages. [What is stable](stability.md) says how long these names stay.
Generated from the docstrings by `python tools/reference.py`; do not edit this page.
"""


def page() -> str:
    """The whole page as Markdown."""
    import harness

    parts = [HEAD]
    for title, names in harness.PUBLIC.items():
        parts.append(f"## {title}\n")
        for name in names:
            parts += described(name, getattr(harness, name))
    return "\n".join(parts).rstrip("\n") + "\n"


def described(name: str, thing: Any) -> Iterator[str]:
    """One public name, with its fields and its methods."""
    yield f"### {name}\n"
    if inspect.isfunction(thing):
        yield f"```python\n{signature(name, thing)}\n```\n"
    yield prose(inspect.getdoc(thing)) + "\n"
    members = [*values(thing), *methods(thing)]
    if members:
        yield "\n".join(members) + "\n"


def signature(name: str, function: Any) -> str:
    """As it is called; over several lines where it is long."""
    found = inspect.signature(function)
    text = plain(f"{name}{found}")
    if len(text) <= 100:
        return text
    arguments, starred = [], False
    for argument in found.parameters.values():
        if argument.kind is argument.KEYWORD_ONLY and not starred:
            arguments.append("*")
            starred = True
        arguments.append(plain(str(argument)))
    returned = "" if found.return_annotation is found.empty else f" -> {found.return_annotation}"
    return f"{name}(\n" + "".join(f"    {each},\n" for each in arguments) + f"){returned}"


def plain(text: str) -> str:
    """A signature without quotes, and without the addresses of functions that are defaults."""
    return re.sub(r"<function .*? at 0x[0-9a-f]+>", "…", text).replace("'", "")


def values(thing: Any) -> Iterator[str]:
    """The members of an enumeration, or the fields of a dataclass or of a part of a profile."""
    if not inspect.isclass(thing):
        return
    if issubclass(thing, Enum):
        yield "Values: " + ", ".join(
            f"`{name}` (`{member.value}`)" for name, member in thing.__members__.items()
        )
    elif is_dataclass(thing):
        yield from (f"- `{field.name}`: `{field.type!s}`" for field in fields(thing))
    elif hasattr(thing, "model_fields"):
        for name, field in thing.model_fields.items():
            yield f"- `{field.alias or name}`: {prose(field.description)}"


def methods(thing: Any) -> Iterator[str]:
    """The public methods and properties that the class itself, or a class of ours above it, defines."""
    if not inspect.isclass(thing) or issubclass(thing, Enum):
        return
    seen = set()
    for cls in thing.__mro__:
        if not cls.__module__.startswith("harness."):
            continue
        for name, member in vars(cls).items():
            raw = member.__func__ if isinstance(member, classmethod | staticmethod) else member
            is_shown = inspect.isfunction(raw) or isinstance(raw, property)
            if name.startswith("_") or name in seen or not is_shown or not (text := inspect.getdoc(raw)):
                continue
            seen.add(name)
            call = (
                "" if isinstance(raw, property) else re.sub(r"\(self(, )?", "(", str(inspect.signature(raw)))
            )
            yield f"- `{plain(name + call)}`: {prose(text)}"


def prose(text: str | None) -> str:
    """A docstring as Markdown: its roles and literals as code."""
    text = inspect.cleandoc(text or "").replace("``", "`")
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", text)
    return text.replace("\n\n", "\0").replace("\n", " ").replace("\0", "\n\n") if "::" not in text else text


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    PAGE.write_text(page(), encoding="utf-8")
