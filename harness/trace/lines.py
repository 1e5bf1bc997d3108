"""One event as one line of JSON, and back.

``raw`` bytes are written as hexadecimal text, with a decoded form beside them for people and other
tools; on reading only the raw bytes count.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator
from dataclasses import fields
from enum import StrEnum
from functools import cache, lru_cache, partial
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, cast, get_args, get_type_hints

from harness.errors import HarnessError
from harness.trace import events, readable
from harness.trace.events import Body, CoapDatagram, Event, MdnsPacket, MqttPacket


class TraceError(HarnessError):
    """A trace that cannot be read; the message names file and line."""


class _NewerFormatError(Exception):
    """A line of a trace whose format this version does not know."""


_T = TypeVar("_T")

_CLASSES = {cls.__name__: cls for cls in get_args(Body)}


def to_line(event: Event) -> str:
    """The JSON line of an event, newline included."""
    body = event.body
    if isinstance(body, MqttPacket):
        return _mqtt_line(event, body)
    record: dict[str, Any] = {"n": event.line, "t": event.time, "kind": type(body).__name__}
    if event.device is not None:
        record["device"] = event.device
    for name in _names(cast(Hashable, type(body))):
        value = getattr(body, name)
        record[name] = value.hex() if isinstance(value, bytes) else value
    line = _encode(record)
    if not isinstance(body, CoapDatagram | MdnsPacket):
        return line + "\n"
    return f'{line[:-1]},"decoded":{_encode(readable.describe(body))}}}\n'


def _mqtt_line(event: Event, body: MqttPacket) -> str:
    """The same line, built faster: there are thousands of MQTT packets."""
    device = "" if event.device is None else f'"device":{_encode(event.device)},'
    return (
        f'{{"n":{event.line},"t":{event.time!r},"kind":"MqttPacket",{device}"point":"{body.point}",'
        f'"direction":"{body.direction}","connection":{body.connection},"raw":"{body.raw.hex()}",'
        f'"level":{body.level},"fate":"{body.fate}","decoded":{_decoded_mqtt(body.raw, body.level)}}}\n'
    )


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@cache
def _names(cls: Hashable) -> tuple[str, ...]:
    return tuple(field.name for field in fields(cast(Any, cls)))


@lru_cache(maxsize=4096)
def _decoded_mqtt(raw: bytes, level: int) -> str:
    # Cached: both sides of a broker see the same packets, and devices repeat them.
    return _encode(readable.describe_mqtt(raw, level))


def from_line(text: str | bytes) -> Event:
    """Read one line back. Raises ValueError, KeyError or TypeError when it is not an event."""
    record = json.loads(text)
    kind = record["kind"]
    number = record.get("format")
    if isinstance(number, int) and number > events.FORMAT:
        raise _NewerFormatError(
            f"this trace has format {number}, and this version of the harness reads formats up to "
            f"{events.FORMAT}; update the harness"
        )
    cls = _CLASSES[kind]
    values = {name: convert(record[name]) for name, convert in _converters(cls) if name in record}
    device = record.get("device")
    owner = None if device is None else _of_type(str, device)
    return Event(_of_type(int, record["n"]), _of_type(float, record["t"]), cls(**values), owner)


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
        item = _converter(get_args(hint)[0])
        return lambda value: tuple(item(each) for each in _of_type(list, value))
    if isinstance(hint, UnionType):
        inner = _converter(next(arg for arg in get_args(hint) if arg is not type(None)))
        return lambda value: None if value is None else inner(value)
    return partial(_of_type, hint)


def _of_type(wanted: type[_T], value: Any) -> _T:
    """Check the type of a JSON value; an integer is accepted as a float, a boolean is not a number."""
    allowed = (int, float) if wanted is float else wanted
    if not isinstance(value, allowed) or (isinstance(value, bool) and wanted is not bool):
        raise TypeError(f"{value!r} is not of type {wanted.__name__}")
    return cast("_T", value)


def read(path: Path) -> Iterator[Event]:
    """The events of a trace file. An incomplete last line, of a killed run, is left out.

    Raises TraceError when the file is missing, when its format is newer than :data:`events.FORMAT`, when a
    line before the last one is not an event, or when the lines do not count from 1 on: verdicts name the
    lines that prove them.
    """
    try:
        file = path.open("rb")
    except OSError as problem:
        raise TraceError(f"{path}: cannot be read as a trace: {problem}") from problem
    with file:
        # Only "\n" ends a line; texts may hold other characters that Python counts as line ends.
        for number, line in enumerate(file, start=1):
            try:
                event = from_line(line)
            except _NewerFormatError as problem:
                raise TraceError(f"{path}: {problem}") from None
            except (ValueError, KeyError, TypeError, RecursionError) as problem:
                if not line.endswith(b"\n"):
                    return
                raise TraceError(f"{path}:{number}: not an event of a trace ({problem!r})") from problem
            if event.line != number:
                raise TraceError(
                    f"{path}:{number}: this is line {event.line} of the trace; lines are missing or moved"
                )
            yield event
