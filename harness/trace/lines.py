"""One event as one line of JSON, and back.

``raw`` bytes are written as hexadecimal text, with a decoded form beside them for people and other
tools; on reading only the raw bytes count.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import fields
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_type_hints

from harness.trace import events, readable
from harness.trace.events import Body, Event


class TraceError(Exception):
    """A trace that cannot be read: the message names file and line."""


_CLASSES = {cls.__name__: cls for cls in get_args(Body)}


def to_line(event: Event) -> str:
    """The JSON line of an event, newline included."""
    record: dict[str, Any] = {"n": event.line, "t": event.time, "kind": type(event.body).__name__}
    for field in fields(event.body):
        value = getattr(event.body, field.name)
        record[field.name] = value.hex() if isinstance(value, bytes) else value
    decoded = readable.describe(event.body)
    if decoded is not None:
        record["decoded"] = decoded
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n"


def from_line(text: str) -> Event:
    """Read one line back. Raises ValueError or KeyError when it is not an event."""
    record = json.loads(text)
    cls = _CLASSES[record["kind"]]
    values = {name: convert(record[name]) for name, convert in _converters(cls) if name in record}
    return Event(record["n"], record["t"], cls(**values))


@cache
def _converters(cls: type[Any]) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    hints = get_type_hints(cls, vars(events))
    return tuple((field.name, _converter(hints[field.name])) for field in fields(cls))


def _converter(hint: Any) -> Callable[[Any], Any]:
    if hint is bytes:
        return bytes.fromhex
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint
    if getattr(hint, "__origin__", None) is tuple:
        return tuple
    if isinstance(hint, UnionType):
        inner = _converter(next(arg for arg in get_args(hint) if arg is not type(None)))
        return lambda value: None if value is None else inner(value)
    return lambda value: value


def read(path: Path) -> Iterator[Event]:
    """The events of a trace file. A last line cut short by a killed run is left out.

    Raises TraceError when the file is missing or a line before the last one is not an event.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise TraceError(f"{path}: cannot be read as a trace: {problem}") from problem
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        try:
            yield from_line(line)
        except (ValueError, KeyError, TypeError) as problem:
            if number == len(lines) and not line.endswith("\n"):
                return
            raise TraceError(f"{path}:{number}: not an event of a trace ({problem!r})") from problem
