"""The resources of a device's CoAP server, built from its profile."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable, Mapping

from aiocoap import Code, Message

from harness.model.base import Value
from harness.model.bindings.coap import (
    CoapBinding,
    CoapEvent,
    CoapProperty,
    CoapResource,
    ContentFormat,
)
from harness.model.profile import Profile
from harness.model.schema import DataSchema
from harness.simulate.coap.blockwise import (
    LARGEST_BLOCK,
    Failure,
)
from harness.simulate.coap.codec import Request
from harness.simulate.coap.links import LinkEntry
from harness.simulate.firmware.core import (
    Core,
    Reason,
    Refused,
)
from harness.simulate.firmware.payloads import (
    PayloadError,
    decode_content,
    encode_content,
)

LINK_FORMAT = 40  # application/link-format, RFC 7252, 12.3

_REFUSALS = {
    Reason.UNKNOWN: Code.NOT_FOUND,
    Reason.READ_ONLY: Code.METHOD_NOT_ALLOWED,
    Reason.WRONG_TYPE: Code.BAD_REQUEST,
    Reason.OUT_OF_RANGE: Code.BAD_REQUEST,
    # The request is in order and would be carried out in another state of the device.
    Reason.RULE: Code.CONFLICT,
}


class Resource:
    """A target of requests. Methods that it lacks are answered with 4.05."""

    observable = False
    is_event = False
    takes = 0.0  # seconds to answer

    def __init__(self, path: str, content_format: int) -> None:
        self.path = path
        self.content_format = content_format

    @property
    def methods(self) -> frozenset[Code]:
        """The methods that it supports."""
        return frozenset({Code.GET})

    @property
    def segments(self) -> tuple[str, ...]:
        """The path as Uri-Path options."""
        return tuple(self.path[1:].split("/")) if self.path != "/" else ()

    def read(self) -> bytes:
        """The current representation, in its format."""
        raise NotImplementedError

    def put(self, body: bytes) -> None:
        """Replaces the state. Raises Failure."""
        raise NotImplementedError

    def post(self, body: bytes) -> bytes | None:
        """Processes the body; returns the output, if any. Raises Failure."""
        raise NotImplementedError

    def etag(self, body: bytes) -> bytes:
        """The tag of one version of the representation."""
        return hashlib.sha256(self.path.encode() + b"\0" + body).digest()[:8]

    def represent(self, request: Request, body: bytes | None = None) -> Message:
        """A 2.05 with the representation, or with ``body``; not yet cut into blocks."""
        body = self.read() if body is None else body
        message = Message(code=Code.CONTENT, payload=body, content_format=self.content_format)
        message.opt.etag = self.etag(body)
        return message

    def link(self) -> LinkEntry:
        """Its entry in the list of resources."""
        return LinkEntry(self.path, tuple(self._attributes()))

    def _attributes(self) -> Iterable[tuple[str, str | None]]:
        if Code.GET in self.methods:
            yield "ct", str(self.content_format)
        if self.observable:
            yield "obs", None


class PropertyResource(Resource):
    """One property, or several as members of one JSON object."""

    def __init__(self, core: Core, path: str, bindings: Mapping[str, CoapProperty]) -> None:
        first = next(iter(bindings.values()))
        super().__init__(path, first.format.number)
        self.core = core
        self.names = frozenset(bindings)
        self._bindings = bindings
        self._format = first.format
        self.observable = any(binding.observe for binding in bindings.values())

    @property
    def methods(self) -> frozenset[Code]:
        """GET unless all are write-only, PUT if one is writable."""
        found = {Code.PUT} if any(map(self._is_writable, self.names)) else set()
        if not all(self.core.profile.properties[name].write_only for name in self.names):
            found.add(Code.GET)
        return frozenset(found)

    def _is_writable(self, name: str) -> bool:
        return self.core.profile.properties[name].writable or not self.core.deviations.guards_read_only

    def read(self) -> bytes:
        """The value, or the object of all members."""
        values = {name: self.core.read(name) for name in self._bindings}
        members = {b.member: values[name] for name, b in self._bindings.items() if b.member is not None}
        return encode_content(self._format, members or next(iter(values.values())))

    def put(self, body: bytes) -> None:
        """Writes the property; of several members all or none."""
        commands = list(self._commands(body))
        for name, _ in commands:
            if not self._is_writable(name):
                raise Failure(Code.METHOD_NOT_ALLOWED, f"{name} cannot be written")
        for name, value in commands:
            result = self.core.command(name, value)
            if isinstance(result, Refused):
                raise Failure(_REFUSALS[result.reason], result.text)

    def _commands(self, body: bytes) -> Iterable[tuple[str, Value]]:
        (first, binding) = next(iter(self._bindings.items()))
        if binding.member is None:
            yield first, _decoded(body, self._format, self.core.profile.properties[first])
            return
        members = _decoded(body, self._format)
        if not isinstance(members, dict):
            raise Failure(Code.BAD_REQUEST, "the payload is not an object")
        names = {b.member: name for name, b in self._bindings.items()}
        unknown = [member for member in members if member not in names]
        if unknown or not members:
            raise Failure(Code.BAD_REQUEST, f"the object has the members {', '.join(map(str, names))}")
        for member, value in members.items():
            yield names[member], value

    def _attributes(self) -> Iterable[tuple[str, str | None]]:
        first = next(iter(self._bindings.values()))
        if first.resource_type:
            yield "rt", first.resource_type
        if first.interface:
            yield "if", first.interface
        yield from super()._attributes()


class ActionResource(Resource):
    """An action: POST invokes it."""

    def __init__(self, core: Core, name: str, path: str, content_format: ContentFormat) -> None:
        super().__init__(path, content_format.number)
        self.core = core
        self.name = name
        self._format = content_format

    @property
    def methods(self) -> frozenset[Code]:
        """Only POST."""
        return frozenset({Code.POST})

    def post(self, body: bytes) -> bytes | None:
        """Invokes the action with the payload as input."""
        schema = self.core.profile.actions[self.name].input
        value = _decoded(body, self._format, schema) if body else None
        result = self.core.invoke(self.name, value)
        if isinstance(result, Refused):
            raise Failure(_REFUSALS[result.reason], result.text)
        return None if result.value is None else encode_content(self._format, result.value)


class EventResource(Resource):
    """An event: its representation is the data of its last occurrence; null before the first."""

    observable = True
    is_event = True

    def __init__(self, binding: CoapEvent) -> None:
        super().__init__(binding.path, binding.format.number)
        self._format = binding.format
        self._last: bytes = self.encoded(None)
        self._count = 0

    def encoded(self, data: Value) -> bytes:
        """The payload for one occurrence."""
        return encode_content(self._format, data)

    def happened(self, data: Value) -> bytes:
        """Records an occurrence; returns its payload."""
        self._last = self.encoded(data)
        self._count += 1
        return self._last

    def read(self) -> bytes:
        """The data of the last occurrence."""
        return self._last

    def etag(self, body: bytes) -> bytes:
        """Differs for each occurrence, even with the same data."""
        return super().etag(body + self._count.to_bytes(8, "big"))


class FixedResource(Resource):
    """Constant content, such as a log or an info page."""

    def __init__(self, binding: CoapResource) -> None:
        super().__init__(binding.path, binding.format.number)
        self.takes = binding.takes
        self._binding = binding
        self._body = _filled(binding)

    def read(self) -> bytes:
        """The content."""
        return self._body

    def _attributes(self) -> Iterable[tuple[str, str | None]]:
        if self._binding.resource_type:
            yield "rt", self._binding.resource_type
        if self._binding.title:
            yield "title", self._binding.title
        yield from super()._attributes()
        if len(self._body) > LARGEST_BLOCK:
            yield "sz", str(len(self._body))


class LinksResource(Resource):
    """``/.well-known/core``: the list of resources (RFC 6690, 4)."""

    def __init__(self, resources: list[Resource]) -> None:
        super().__init__("/.well-known/core", LINK_FORMAT)
        self._resources = resources
        self.extra: list[LinkEntry] = []  # links to resources that do not exist, for a fault
        self.filters = True
        self.prefixes = True
        self.separator = ","
        self.alter: Callable[[LinkEntry], LinkEntry | None] = lambda link: link

    def represent(self, request: Request, body: bytes | None = None) -> Message:
        """The links that the query selects; a query that is not a filter selects all."""
        altered = [self.alter(resource.link()) for resource in self._resources]
        links = [link for link in altered if link is not None] + self.extra
        for query in request.opt.uri_query if self.filters else ():
            name, equals, wanted = query.partition("=")
            if equals:
                links = [link for link in links if link.matches(name, wanted, prefixes=self.prefixes)]
        return super().represent(request, self.separator.join(map(str, links)).encode())


def resources_of(profile: Profile, core: Core) -> list[Resource]:
    """All resources of the profile, in its order; the list of links, if there is one, comes last."""
    binding = profile.bindings.coap or CoapBinding()
    by_path: dict[str, dict[str, CoapProperty]] = {}
    for name, each in binding.properties.items():
        by_path.setdefault(each.path, {})[name] = each
    found: list[Resource] = [PropertyResource(core, path, group) for path, group in by_path.items()]
    for name, action in binding.actions.items():
        found.append(ActionResource(core, name, action.path, action.format))
    found += [EventResource(event) for event in binding.events.values()]
    found += [FixedResource(extra) for extra in binding.resources]
    if binding.links:
        found.append(LinksResource(found))
    return found


def _decoded(body: bytes, content_format: ContentFormat, schema: DataSchema | None = None) -> Value:
    try:
        return decode_content(content_format, body, schema)
    except PayloadError as error:
        raise Failure(Code.BAD_REQUEST, str(error)) from None


def _filled(binding: CoapResource) -> bytes:
    """Content of about the declared size, such as log entries; the same after each start."""
    dice = random.Random(binding.path)
    entries: list[Value] = []
    body = encode_content(binding.format, entries)
    while len(body) < binding.size:
        entries.append({"n": len(entries) + 1, "code": dice.randrange(100, 1000)})
        body = encode_content(binding.format, entries)
    return body
