"""A complete simulated device: its state and the transports of its profile."""

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
from harness.simulate.firmware.core import Core
from harness.simulate.http import SimulatedHttpServer
from harness.simulate.mdns.responder import SimulatedMdnsResponder
from harness.simulate.mqtt.client import SimulatedMqttClient
from harness.simulate.serial.board import SimulatedBoard
from harness.simulate.serial.console import Console


class Server(Protocol):
    """A network server of a device."""

    async def start(self) -> None:
        """Open the port."""

    async def stop(self) -> None:
        """Stop in order."""

    async def kill(self) -> None:
        """Stop at once, without a word to peers."""


class Applicable(Protocol):
    """A fault or a habit, as a device uses it (:class:`harness.simulate.faults.Fault`)."""

    @property
    def apply(self) -> Callable[[SimulatedDevice], None]:
        """Change the device, once, before it is started for the first time."""


class SimulatedDevice:
    """A device built from its profile alone.

    ``host`` is its loopback address, ``broker`` the (host, port) of the MQTT broker (None: MQTT stays off),
    ``login`` its user name and password for the broker, ``seed`` the seed of all its random decisions. With
    ``console`` its serial line is a pseudo-terminal, which :meth:`Console.open` connects and
    :meth:`Console.close` disconnects.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        host: str = "127.0.0.1",
        broker: tuple[str, int] | None = None,
        login: tuple[str, str] | None = None,
        seed: int = 0,
        faults: Sequence[Applicable] = (),
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
        self.further: list[Server] = []  # undeclared servers
        self.before_joining: list[Callable[[], Awaitable[None]]] = []  # awaited before it joins the network
        self.board = SimulatedBoard(profile, self.core, self)
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
        """The real port of a DNS-SD service of this device."""
        if service.speaks is Speaks.HTTP and self.http is not None:
            return self.http.port
        if service.speaks is Speaks.COAP and self.coap is not None:
            return self.coap.address[1]
        return service.port

    async def start(self) -> None:
        """Switch the power on; returns once the device is ready on every transport.

        While the broker cannot be reached, the device keeps trying and this does not return. Raises the
        error that prevents a transport, such as a port in use; the device is then off again.
        """
        await self.board.settle()
        await self._start()

    async def stop(self) -> None:
        """Shut down in order: send goodbyes, close connections."""
        await self.board.settle()
        await self._stop()

    async def kill(self) -> None:
        """Cut the power: nothing more is sent, not even goodbyes."""
        await self.board.settle()
        await self._kill()

    async def reboot(self) -> None:
        """Shut down in order and start again."""
        await self._stop()
        await self._start()

    def crash(self, kind: CrashKind = CrashKind.PANIC) -> None:
        """Crash: print a crash message on the console, disappear at once, and restart."""
        if self.console is not None:
            self.console.crash(kind)
        self.restart()

    def restart(self) -> None:
        """Restart the firmware without a message."""
        self.board.later(self._restart)

    async def clear_broker(self) -> None:
        """Delete its retained messages on the broker."""
        if self.mqtt is not None:
            await self.mqtt.clear()

    async def plug_network(self, plugged_in: bool) -> None:
        """Disconnect or reconnect its network; the firmware keeps running."""
        await self.board.settle()
        self.board.networked = plugged_in
        await (self.network_on() if plugged_in else self.network_off())

    async def network_off(self) -> None:
        """Leave the network without goodbyes; the firmware keeps running."""
        await self._leave()

    async def network_on(self) -> None:
        """Rejoin the network."""
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
            # Ports first: announced services must be reachable.
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
            await self._leave()  # the firmware keeps running without a network
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
