"""Observes a device over CoAP during a check, as far as the device accepts our registrations."""

from __future__ import annotations

from harness.links.coap.link import CoapClientEndpoint
from harness.model.bindings.coap import CoapBinding
from harness.session.bench.drivers import RecordingCoapDriver
from harness.wire import coap

DEREGISTER_LIMIT = 2.0  # seconds for the answer to a deregistration


class CoapWatch:
    """Observes every observable CoAP property and event. Use: ``begin``, then ``end``."""

    def __init__(self, driver: RecordingCoapDriver, binding: CoapBinding) -> None:
        self._driver = driver
        observed = [bound.path for bound in binding.properties.values() if bound.observe]
        self._paths = dict.fromkeys([*observed, *(bound.path for bound in binding.events.values())])
        self._registrations: dict[str, coap.Message] = {}
        self._accepted: set[str] = set()
        self._endpoint: CoapClientEndpoint | None = None

    def observes(self, path: str) -> bool:
        """Whether the device has accepted our registration for that path."""
        return path in self._accepted

    async def begin(self) -> None:
        """Register for each path. A server that refuses answers as to any GET (RFC 7641, 4.1)."""
        self._endpoint = await self._driver.endpoint()
        for path in self._paths:
            registration = self._request(path, self._driver.next_token(), observe=0)
            self._registrations[path] = registration
            response = await self._endpoint.request(registration)
            if response is not None and response.observe is not None:
                self._accepted.add(path)

    async def end(self) -> None:
        """Deregister: a device has room for few observers (RFC 7641, 3.6 and 4.1)."""
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is None or endpoint.closed:
            return
        for path, registration in self._registrations.items():
            leave = self._request(path, registration.token, observe=1)
            if await endpoint.request(leave, within=DEREGISTER_LIMIT) is None:
                return  # the device does not answer: further requests are useless

    def _request(self, path: str, token: bytes, *, observe: int) -> coap.Message:
        return coap.request(coap.Code.GET, path, mid=self._driver.next_mid(), token=token, observe=observe)
