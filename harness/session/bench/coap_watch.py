"""Observing a device over CoAP while a check goes on, as far as the device takes us for an observer."""

from __future__ import annotations

from harness.links.coap.link import CoapClientEndpoint
from harness.model.bindings.coap import CoapBinding
from harness.session.bench.drivers import RecordingCoapDriver
from harness.wire import coap

DEREGISTER_LIMIT = 2.0  # seconds for the answer to a deregistration


class CoapWatch:
    """An observer of every CoAP property and event that can be observed. Use: ``begin``, then ``end``."""

    def __init__(self, doors: RecordingCoapDriver, binding: CoapBinding) -> None:
        self._doors = doors
        observed = [bound.path for bound in binding.properties.values() if bound.observe]
        self._paths = dict.fromkeys([*observed, *(bound.path for bound in binding.events.values())])
        self._registrations: dict[str, coap.Message] = {}
        self._told: set[str] = set()
        self._endpoint: CoapClientEndpoint | None = None

    def is_told(self, path: str) -> bool:
        """Whether the device has taken us for an observer of that path."""
        return path in self._told

    async def begin(self) -> None:
        """Register for each path. A server may refuse: it answers like any GET then (RFC 7641, 4.1)."""
        self._endpoint = await self._doors.endpoint()
        for path in self._paths:
            registration = self._request(path, self._doors.next_token(), observe=0)
            self._registrations[path] = registration
            response = await self._endpoint.request(registration)
            if response is not None and response.observe is not None:
                self._told.add(path)

    async def end(self) -> None:
        """Deregister: a device has room for a few observers only (RFC 7641, 3.6 and 4.1)."""
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is None or endpoint.closed:
            return
        for path, registration in self._registrations.items():
            leave = self._request(path, registration.token, observe=1)
            if await endpoint.request(leave, within=DEREGISTER_LIMIT) is None:
                return  # it is gone, or does not answer: nothing to be gained by asking on

    def _request(self, path: str, token: bytes, *, observe: int) -> coap.Message:
        return coap.request(coap.Code.GET, path, mid=self._doors.next_mid(), token=token, observe=observe)
