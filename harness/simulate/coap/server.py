"""The simulated device as a CoAP server (RFC 7252, RFC 7641, RFC 7959, RFC 6690)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from random import Random
from typing import Any

from aiocoap import Code, Message

from harness.model.bindings.coap import CoapBinding, Transmission
from harness.model.profile import Profile
from harness.simulate.coap.blockwise import (
    Failure,
    Uploads,
    check_block_fields,
    cut,
)
from harness.simulate.coap.codec import Request
from harness.simulate.coap.deviations import CoapDeviations
from harness.simulate.coap.endpoint import (
    Address,
    DatagramFilter,
    Messages,
    Peer,
    SimulatedCoapEndpoint,
)
from harness.simulate.coap.links import LinkEntry
from harness.simulate.coap.observe import Observers
from harness.simulate.coap.resources import (
    EventResource,
    LinksResource,
    PropertyResource,
    Resource,
)
from harness.simulate.coap.resources import resources_of as _resources_of
from harness.simulate.firmware.core import (
    Change,
    Core,
    DeviceEvent,
)

__all__ = ["CoapDeviations", "SimulatedCoapServer"]

_REGISTER, _DEREGISTER = 0, 1  # values of Observe in requests (RFC 7641, 2)


class SimulatedCoapServer:
    """Serves one device's affordances over CoAP, on ``host`` (an IPv4 address of its own)."""

    def __init__(self, profile: Profile, core: Core, *, host: str, random: Random) -> None:
        self.deviations = CoapDeviations()
        # Filters for faults: each turns one datagram into those that are really sent or received.
        self.outgoing: list[DatagramFilter] = []
        self.incoming: list[DatagramFilter] = []
        self.resources = _resources_of(profile, core)
        self._core = core
        self._binding = profile.bindings.coap or CoapBinding()
        self.transmission = self._binding.transmission or Transmission()
        self._host = host
        self._random = random
        self._port = self._binding.port
        self._endpoint: SimulatedCoapEndpoint | None = None
        self._messages: Messages
        self._observers: Observers
        self._uploads = Uploads(lambda: self.deviations)
        self._answering: set[asyncio.Task[None]] = set()
        self._events = dict(
            zip(
                self._binding.events,
                (resource for resource in self.resources if isinstance(resource, EventResource)),
                strict=True,
            )
        )
        core.on_change(self._changed)
        core.on_event(self._happened)

    def deviate(self, **deviations: Any) -> None:
        """Deviate from the standard or the profile in the given ways."""
        self.deviations = replace(self.deviations, **deviations)

    @property
    def address(self) -> Address:
        """Address and port; the declared port if it was free, otherwise the port used instead."""
        return (self._host, self._port)

    async def start(self) -> None:
        """Opens the port and serves."""
        self._messages = Messages(self, self._random)
        self._observers = Observers(
            self._messages,
            lambda: self.deviations,
            limit=self._binding.observers,
            confirmable=self._binding.confirmable_notifications,
            random=self._random,
        )
        self._endpoint = await self._open()
        self._port = self._endpoint.address[1]

    async def _open(self) -> SimulatedCoapEndpoint:
        loop = asyncio.get_running_loop()
        endpoint = SimulatedCoapEndpoint(self._messages, self.incoming, self.outgoing)
        # The declared port may be taken or not permitted; then the previous one, or any.
        for port in (self._binding.port, self._port):
            try:
                await loop.create_datagram_endpoint(lambda: endpoint, local_addr=(self._host, port))
                return endpoint
            except OSError:
                continue
        await loop.create_datagram_endpoint(lambda: endpoint, local_addr=(self._host, 0))
        return endpoint

    async def stop(self) -> None:
        """Stops serving. CoAP has no goodbye."""
        await self.kill()

    async def kill(self) -> None:
        """Stops immediately."""
        if self._endpoint is None:
            return
        endpoint, self._endpoint = self._endpoint, None
        for task in self._answering:
            task.cancel()
        self._observers.clear()
        self._uploads.clear()
        self._messages.stop_timers()
        await endpoint.close()
        await asyncio.gather(*self._answering, return_exceptions=True)

    # Changes and events of the device

    def _changed(self, change: Change) -> None:
        if self._endpoint is None or not change.changed:
            return
        for resource in self.resources:
            if isinstance(resource, PropertyResource) and change.name in resource.names:
                self._observers.notify(resource)

    def _happened(self, event: DeviceEvent) -> None:
        resource = self._events.get(event.name)
        if resource is not None:
            body = resource.happened(event.data)
            if self._endpoint is not None:
                self._observers.notify(resource, body)

    # Reports from the message layer

    def was_reset(self, remote: Peer, message_id: int) -> None:
        """A client rejected a message."""
        self._observers.was_reset(remote, message_id)

    def may_send(self, remote: Peer) -> None:
        """A client is ready for a confirmable message."""
        self._observers.may_send(remote)

    def was_lost(self, remote: Peer) -> None:
        """A client did not acknowledge."""
        self._observers.was_lost(remote)

    def newer(self, message: Message) -> Message | None:
        """The notification that replaces an outdated one."""
        return self._observers.newer(message)

    def process_request(self, request: Request) -> None:
        """Answers a request: at once, or from a task if the answer takes time."""
        work = self._prepare(request)
        if isinstance(work, Message):
            self._messages.respond(request, work)
            return
        task = asyncio.create_task(self._answer_later(request, work))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer_later(self, request: Request, work: Awaitable[Message]) -> None:
        self._messages.respond(request, await work)

    # Requests

    def _prepare(self, request: Request) -> Message | Awaitable[Message]:
        try:
            resource = self._resource_for(request)
            if resource.takes:
                return self._slowly(resource, request)
            return self._answer(resource, request)
        except Failure as failure:
            return self._error(failure)

    async def _slowly(self, resource: Resource, request: Request) -> Message:
        await asyncio.sleep(resource.takes)
        try:
            return self._answer(resource, request)
        except Failure as failure:
            return self._error(failure)

    def _error(self, failure: Failure) -> Message:
        code = failure.code if self.deviations.errors_as is None else Code(self.deviations.errors_as)
        # RFC 7252, 5.5.2: a diagnostic payload is readable text without a Content-Format.
        response = Message(code=code, payload=str(failure).encode())
        response.opt.size1 = failure.size1
        return response

    def _resource_for(self, request: Request) -> Resource:
        if request.refused is not None:
            raise Failure(Code.BAD_OPTION, f"option {request.refused} is not understood")
        proxying = request.opt.proxy_uri is not None or request.opt.proxy_scheme is not None
        if proxying and self.deviations.refuse_proxying:
            raise Failure(Code.PROXYING_NOT_SUPPORTED, "this is not a proxy")
        path = tuple(request.opt.uri_path)
        for resource in self.resources:
            if resource.segments == path:
                break
        else:
            if not self.deviations.unknown_paths_found:
                raise Failure(Code.NOT_FOUND, "there is no such resource")
            resource = self.resources[0]
        if request.code not in resource.methods:
            raise Failure(Code.METHOD_NOT_ALLOWED, "the resource does not have this method")
        if self.deviations.check_block_fields:
            check_block_fields(request)
        return resource

    def _answer(self, resource: Resource, request: Request) -> Message:
        if request.code == Code.GET:
            return self._get(resource, request)
        self._check_content_format(resource, request)
        self._check_preconditions(resource, request)
        body = self._uploads.take(request)
        if body is None:
            if not self.deviations.atomic_upload:
                self._write(resource, request, request.payload)
            response = Message(code=Code.CONTINUE)
        else:
            response = self._write(resource, request, body)
        response.opt.block1 = request.opt.block1
        return response

    def _write(self, resource: Resource, request: Request, body: bytes) -> Message:
        if request.code == Code.PUT:
            if self.deviations.put_toggles and (flipped := _flipped(resource)):
                body = flipped
            resource.put(body)
            return Message(code=Code.CHANGED)
        self._check_accept(resource, request)
        output = resource.post(body)
        if output is None:
            return Message(code=Code.CHANGED)
        return Message(code=Code.CHANGED, payload=output, content_format=resource.content_format)

    def _get(self, resource: Resource, request: Request) -> Message:
        self._check_accept(resource, request)
        if self.deviations.get_has_side_effect and (flipped := _flipped(resource)):
            resource.put(flipped)
        if isinstance(resource, LinksResource):
            self._alter_links(resource)
        block = request.opt.block2
        first_block = block is None or block.block_number == 0
        number = self._observe(resource, request) if first_block else None
        response = resource.represent(request)
        response.opt.observe = number
        if number is None and resource.etag(response.payload) in request.opt.etags:
            response.code, response.payload, response.opt.content_format = Code.VALID, b"", None
            return response
        self._cut(response, request)
        return response

    def _cut(self, response: Message, request: Request) -> None:
        body = response.payload
        if self.deviations.body_changes_between_blocks and request.opt.block2 is not None:
            shift = request.opt.block2.block_number % max(len(body), 1)
            body = body[shift:] + body[:shift]
        cut(body, request, response, self.deviations)
        if not self.deviations.block_etag and response.opt.block2 is not None:
            response.opt.etag = None

    def _observe(self, resource: Resource, request: Request) -> int | None:
        """The value of Observe in the response; None if nothing is observed (RFC 7641, 4.1)."""
        observe = request.opt.observe
        if observe == _DEREGISTER and self.deviations.obey_deregistration:
            self._observers.cancel(request)
        if observe is None and self.deviations.plain_get_cancels:
            self._observers.cancel_all(request.remote, resource)
        if observe != _REGISTER or not resource.observable:
            return None
        return self._observers.register(request, resource)

    def _check_accept(self, resource: Resource, request: Request) -> None:
        accept = request.opt.accept
        if accept is not None and int(accept) != resource.content_format and self.deviations.obey_accept:
            raise Failure(Code.NOT_ACCEPTABLE, f"only Content-Format {resource.content_format}")

    def _check_content_format(self, resource: Resource, request: Request) -> None:
        given = request.opt.content_format
        if (
            given is not None
            and int(given) != resource.content_format
            and self.deviations.check_content_format
        ):
            raise Failure(Code.UNSUPPORTED_CONTENT_FORMAT, f"only Content-Format {resource.content_format}")

    def _check_preconditions(self, resource: Resource, request: Request) -> None:
        if not self.deviations.obey_preconditions:
            return
        if request.opt.if_none_match:
            raise Failure(Code.PRECONDITION_FAILED, "the resource exists")
        wanted = request.opt.if_match
        if wanted and b"" not in wanted and self._present_etag(resource) not in wanted:
            raise Failure(Code.PRECONDITION_FAILED, "the resource has changed")

    def _present_etag(self, resource: Resource) -> bytes | None:
        return resource.etag(resource.read()) if Code.GET in resource.methods else None

    def _alter_links(self, links: LinksResource) -> None:
        links.filters = self.deviations.filter_links
        links.prefixes = self.deviations.filter_prefixes
        links.separator = self.deviations.link_separator
        links.alter = self.deviations.alter_link
        links.extra = (
            [] if self.deviations.links_match else [LinkEntry("/removed", (("ct", "50"), ("obs", None)))]
        )


def _flipped(resource: Resource) -> bytes | None:
    """The payload that toggles a switch; None if the resource is not a switch."""
    if isinstance(resource, PropertyResource) and Code.PUT in resource.methods:
        return {b"true": b"false", b"false": b"true"}.get(resource.read())
    return None
