"""The CoAP binding: resources that share a path, formats that cannot hold the value."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.bindings.coap import (
    CoapBinding,
    ContentFormat,
)
from harness.model.consistency.mistake import CheckedProfile, Mistake, unknown_name
from harness.model.problems import Path
from harness.model.schema import DataSchema, DataType

_HERE: Path = ("bindings", "coap")
_WELL_KNOWN = "/.well-known/core"

# RFC 7252, 5.10: a Uri-Path option holds up to 255 bytes.
_LONGEST_SEGMENT = 255


def mistakes(subject: CheckedProfile) -> Iterator[Mistake]:
    """Mistakes in the CoAP binding."""
    coap = subject.profile.bindings.coap
    if coap is None:
        return
    kinds = (
        ("property", "properties", coap.properties, subject.names.properties),
        ("action", "actions", coap.actions, subject.names.actions),
        ("event", "events", coap.events, subject.names.events),
    )
    for kind, key, bound, names in kinds:
        for name in bound:
            if mistake := unknown_name((*_HERE, key, name), kind, name, names):
                yield mistake
    yield from _of_paths(coap)
    yield from _of_properties(subject, coap)
    for name, action in coap.actions.items():
        declared = subject.profile.actions.get(name)
        if declared is not None and declared.input is not None:
            yield from _of_format(action.format, declared.input, (*_HERE, "actions", name, "format"))
    for name, event in coap.events.items():
        reported = subject.profile.events.get(name)
        if reported is not None and reported.data is not None:
            yield from _of_format(event.format, reported.data, (*_HERE, "events", name, "format"))


def _of_paths(coap: CoapBinding) -> Iterator[Mistake]:
    seen: dict[str, tuple[Path, str | None]] = {}
    for path, where, member in _paths(coap):
        if path == _WELL_KNOWN:
            yield Mistake(where, "is reserved for the list of resources (RFC 6690)", path, "another path")
        if any(len(segment.encode()) > _LONGEST_SEGMENT for segment in path.split("/")):
            yield Mistake(where, f"has a segment of more than {_LONGEST_SEGMENT} bytes", path[:40] + "…")
        if path in seen:
            other, other_member = seen[path]
            if member is None or other_member is None or member == other_member:
                yield Mistake(where, f"{'.'.join(map(str, other))} is the same path", path)
        seen.setdefault(path, (where, member))


def _paths(coap: CoapBinding) -> Iterator[tuple[str, Path, str | None]]:
    for name, bound in coap.properties.items():
        yield bound.path, (*_HERE, "properties", name, "path"), bound.member
    for name, action in coap.actions.items():
        yield action.path, (*_HERE, "actions", name, "path"), None
    for name, event in coap.events.items():
        yield event.path, (*_HERE, "events", name, "path"), None
    for index, resource in enumerate(coap.resources):
        yield resource.path, (*_HERE, "resources", index, "path"), None


def _of_properties(subject: CheckedProfile, coap: CoapBinding) -> Iterator[Mistake]:
    for name, bound in coap.properties.items():
        path = (*_HERE, "properties", name)
        if bound.member is not None and bound.format is ContentFormat.TEXT:
            yield Mistake((*path, "member"), "plain text has no members", bound.member, "format json or cbor")
        schema = subject.profile.properties.get(name)
        if schema is None:
            continue
        if bound.observe and not schema.observable:
            yield Mistake((*path, "observe"), f"properties.{name}.observable is false")
        yield from _of_format(bound.format, schema, (*path, "format"))


def _of_format(format_: ContentFormat, schema: DataSchema, path: Path) -> Iterator[Mistake]:
    if format_ is ContentFormat.TEXT and schema.type in (DataType.OBJECT, DataType.ARRAY):
        yield Mistake(path, f"plain text cannot hold a value of type {schema.type}", "text", "json or cbor")
