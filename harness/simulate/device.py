"""A whole simulated device: its state, and every transport that its profile binds."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from harness.model.bindings.mdns import (
    MdnsService,
    Speaks,
)
from harness.model.bindings.serial import CrashKind
from harness.model.profile import Profile
from harness.simulate.coap.server import SimulatedCoapServer
from harness.simulate.faults import Fault
from harness.simulate.firmware.core import Core
from harness.simulate.http import SimulatedHttpServer
from harness.simulate.mdns.responder import SimulatedMdnsResponder
from harness.simulate.mqtt.client import SimulatedMqttClient
from harness.simulate.serial.board import Board
from harness.simulate.serial.console import Console


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
    to the broker, ``seed`` starts all its random decisions. With ``console`` its serial line is on a
    pseudo-terminal, which :meth:`Console.open` plugs in and :meth:`Console.close` takes away.
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
        console: bool = False,
    ) -> None:
        self.profile = profile
        self.host = host
        self.random = random.Random(seed)
        self.core = Core(profile)
        bindings = profile.bindings
        self.mqtt: SimulatedMqttClient | None = None
        self.coap: SimulatedCoapServer | None = None
        self.http: SimulatedHttpServer | None = None
        self.mdns: SimulatedMdnsResponder | None = None
        self.further: list[Server] = []  # servers that no profile declares
        self.before_joining: list[Callable[[], Awaitable[None]]] = []  # what its network has to wait for
        self.board = Board(profile, self.core, self)
        self.console: Console | None = None
        if bindings.serial is not None and console:
            self.console = Console(profile, self.core, self.board)
        if bindings.mqtt is not None and broker is not None:
            self.mqtt = SimulatedMqttClient(
                profile, self.core, broker=broker, random=self.random, login=login
            )
        if bindings.coap is not None:
            self.coap = SimulatedCoapServer(profile, self.core, host=host, random=self.random)
        services = bindings.mdns.services if bindings.mdns is not None else ()
        web = [service for service in services if service.speaks is Speaks.HTTP]
        if web:
            self.http = SimulatedHttpServer(profile, host=host, port=web[0].port)
        if bindings.mdns is not None:
            self.mdns = SimulatedMdnsResponder(profile, host=host, port_of=self.port_of, random=self.random)
        for fault in faults:
            fault.apply(self)

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
        await self.board.settle()
        await self._start()

    async def stop(self) -> None:
        """Switched off in order: goodbyes are said, connections closed."""
        await self.board.settle()
        await self._stop()

    async def kill(self) -> None:
        """Power cut: nothing more is sent, not even a goodbye."""
        await self.board.settle()
        await self._kill()

    async def reboot(self) -> None:
        """Goes down in order and comes up again."""
        await self._stop()
        await self._start()

    def crash(self, kind: CrashKind = CrashKind.PANIC) -> None:
        """The firmware crashes: it says so on its console, is gone at once, and starts anew."""
        if self.console is not None:
            self.console.crash(kind)
        self.restart()

    def restart(self) -> None:
        """The firmware starts anew without a word."""
        self.board.later(self._restart)

    async def clear_broker(self) -> None:
        """Takes back what the broker keeps of it."""
        if self.mqtt is not None:
            await self.mqtt.clear()

    async def plug_network(self, plugged_in: bool) -> None:
        """Somebody takes its network away, or gives it back; the firmware runs on."""
        await self.board.settle()
        self.board.networked = plugged_in
        await (self.network_on() if plugged_in else self.network_off())

    async def network_off(self) -> None:
        """Leaves the network without a word; the firmware runs on."""
        await self._leave()

    async def network_on(self) -> None:
        """Comes back to the network."""
        await self.network_off()
        await self._join()

    @property
    def _fronts(self) -> list[Server]:
        fronts = (self.mqtt, self.mdns, self.coap, self.http, *self.further)
        return [front for front in fronts if front is not None]

    async def _start(self) -> None:
        self.core.power_on()
        self.board.powered_up()
        if self.console is not None:
            self.console.powered_up()
        try:
            await self._join()
        except BaseException:
            await self._kill()
            raise
        if self.console is not None:
            self.console.ready()

    async def _join(self) -> None:
        if not (self.board.provisioned and self.board.networked and self.core.powered):
            return
        try:
            for waited_for in self.before_joining:
                await waited_for()
            self.board.joined()
            # The ports come first: what is announced must be there.
            for server in (self.http, self.coap, *self.further):
                if server is not None:
                    await server.start()
            async with asyncio.TaskGroup() as joining:
                for front in (self.mdns, self.mqtt):
                    if front is not None:
                        joining.create_task(front.start())
        except ExceptionGroup as problems:
            await self._leave()
            raise problems.exceptions[0] from None
        except BaseException:
            await self._leave()  # the firmware runs on without a network
            raise

    async def _restart(self) -> None:
        await self._kill()
        await self._start()

    async def _stop(self) -> None:
        for front in self._fronts:
            await front.stop()
        self._power_off()

    async def _kill(self) -> None:
        self._power_off()
        await self._leave()

    async def _leave(self) -> None:
        for front in self._fronts:
            await front.kill()

    def _power_off(self) -> None:
        if self.console is not None:
            self.console.powered_down()
        self.core.power_off()
