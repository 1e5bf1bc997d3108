"""A whole simulated device: its state, and every transport that its profile binds."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Protocol

from harness.model.binding import MdnsService, Speaks
from harness.model.profile import Profile
from harness.simulate.coap import CoapFront
from harness.simulate.core import Core
from harness.simulate.faults import Fault
from harness.simulate.http import HttpFront
from harness.simulate.mdns import MdnsFront
from harness.simulate.mqtt import MqttFront


class Server(Protocol):
    """A part of a device that listens to the network."""

    async def start(self) -> None:
        """Opens its port."""

    async def stop(self) -> None:
        """Ends in order."""

    async def kill(self) -> None:
        """Is gone at once."""


class SimulatedDevice:
    """A device built from its profile alone.

    ``host`` is the loopback address it lives on, ``broker`` the (host, port) of the MQTT broker (None: the
    device has no broker and its MQTT side stays off), ``login`` the user name and password that it shows
    to the broker, ``seed`` starts all its random decisions.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        host: str = "127.0.0.1",
        broker: tuple[str, int] | None = None,
        login: tuple[str, str] | None = None,
        seed: int = 0,
        faults: Sequence[Fault] = (),
    ) -> None:
        self.profile = profile
        self.host = host
        self.random = random.Random(seed)
        self.core = Core(profile)
        bindings = profile.bindings
        self.mqtt: MqttFront | None = None
        self.coap: CoapFront | None = None
        self.http: HttpFront | None = None
        self.mdns: MdnsFront | None = None
        self.further: list[Server] = []  # servers that no profile declares
        if bindings.mqtt is not None and broker is not None:
            self.mqtt = MqttFront(profile, self.core, broker=broker, random=self.random, login=login)
        if bindings.coap is not None:
            self.coap = CoapFront(profile, self.core, host=host, random=self.random)
        services = bindings.mdns.services if bindings.mdns is not None else ()
        web = [service for service in services if service.speaks is Speaks.HTTP]
        if web:
            self.http = HttpFront(profile, host=host, port=web[0].port)
        if bindings.mdns is not None:
            self.mdns = MdnsFront(profile, host=host, port_of=self.port_of, random=self.random)
        for fault in faults:
            fault.bend(self)

    @property
    def coap_address(self) -> tuple[str, int] | None:
        """Address and port of the CoAP server while it runs."""
        return self.coap.address if self.coap is not None else None

    @property
    def http_port(self) -> int | None:
        """TCP port of the HTTP server while it runs."""
        return self.http.port if self.http is not None else None

    def port_of(self, service: MdnsService) -> int:
        """The port that a DNS-SD service of this device is really served on."""
        if service.speaks is Speaks.HTTP and self.http is not None:
            return self.http.port
        if service.speaks is Speaks.COAP and self.coap is not None:
            return self.coap.address[1]
        return service.port

    async def start(self) -> None:
        """Power on; returns once the device is ready on every transport.

        While the broker cannot be reached it keeps trying, and does not return. Raises what makes a
        transport impossible, such as a port that is taken; the device is off again then.
        """
        self.core.power_on()
        try:
            # The ports come first: what is announced must be there.
            for server in (self.http, self.coap, *self.further):
                if server is not None:
                    await server.start()
            async with asyncio.TaskGroup() as joining:
                for front in (self.mdns, self.mqtt):
                    if front is not None:
                        joining.create_task(front.start())
        except ExceptionGroup as problems:
            await self.kill()
            raise problems.exceptions[0] from None
        except BaseException:
            await self.kill()
            raise

    async def stop(self) -> None:
        """Switched off in order: goodbyes are said, connections closed."""
        for front in (self.mqtt, self.mdns, self.coap, self.http, *self.further):
            if front is not None:
                await front.stop()
        self.core.power_off()

    async def kill(self) -> None:
        """Power cut: nothing more is sent, not even a goodbye."""
        self.core.power_off()
        for front in (self.mqtt, self.mdns, self.coap, self.http, *self.further):
            if front is not None:
                await front.kill()
