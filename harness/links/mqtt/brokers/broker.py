"""The broker that the device uses: embedded, our own Mosquitto, or an external one.

All share one interface. Our own brokers keep their port from the first start on, so that they can restart
under their clients.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from harness.links.errors import reason_of
from harness.links.mqtt.brokers import mosquitto
from harness.links.mqtt.brokers.address import (
    BrokerAddress,
    BrokerError,
    TlsFiles,
    User,
    client_context,
    parse_url,
)
from harness.links.mqtt.brokers.local import (
    START_LIMIT,
    STOP_LIMIT,
    LocalBroker,
)
from harness.links.mqtt.brokers.mosquitto import MosquittoBroker

if TYPE_CHECKING:
    from harness.links.mqtt.brokers.embedded import ConformingBroker

__all__ = [
    "Broker",
    "BrokerAddress",
    "BrokerError",
    "EmbeddedBroker",
    "ExternalBroker",
    "MosquittoBroker",
    "TlsFiles",
    "User",
    "broker_for",
]

EMBEDDED = "embedded"
ACCEPTING = 3  # loop steps from accept to the connection callback


class Broker(Protocol):
    """What the harness needs of a broker. ``endpoint`` is known once it has started."""

    @property
    def endpoint(self) -> BrokerAddress:
        """Where clients connect, and the user that the harness logs in as."""
        ...

    @property
    def tls(self) -> ssl.SSLContext | None:
        """What a client needs to connect; None: plain TCP."""
        ...

    async def start(self) -> None:
        """Return when connections are accepted. Raises BrokerError."""
        ...

    async def stop(self) -> None:
        """Close every connection and end. Does nothing when not started."""
        ...

    async def restart(self, *, wipe: bool) -> None:
        """Stop, cutting every connection, and start again on the same port.

        ``wipe`` forgets retained messages and sessions, as after a power cut; otherwise they are kept.
        Raises BrokerError.
        """
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *problem: object) -> None: ...


class EmbeddedBroker(LocalBroker):
    """amqtt on the running loop: MQTT 3.1.1, no process, no file, fit for virtual time."""

    _core: ConformingBroker | None = None
    _server: asyncio.Server | None = None

    async def start(self) -> None:
        """Return when connections are accepted. Raises BrokerError, for example when the port is in use."""
        if self._server is not None:
            return
        if self._core is None:
            from harness.links.mqtt.brokers.embedded import ConformingBroker

            self._core = ConformingBroker(self._users)
            await self._core.start()
        try:
            await self._listen()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close every connection and forget everything."""
        await self._disappear()
        core, self._core = self._core, None
        if core:
            await core.shutdown()
        self._release()

    async def restart(self, *, wipe: bool) -> None:
        """Cut every connection and come back, with or without the retained messages and sessions."""
        await self._disappear()
        core = self._core
        if wipe and core:
            self._core = None
            await core.shutdown()
        await self.start()

    async def _listen(self) -> None:
        context = self._tls_files.server_context() if self._tls_files else None
        self._reserve()
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        sock = self._bound_socket()
        try:
            self._server = await asyncio.start_server(
                self._connected,
                sock=sock,
                ssl=context,
                ssl_handshake_timeout=START_LIMIT if context else None,
            )
        except OSError as problem:
            sock.close()
            raise self._unusable(problem) from problem

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from harness.links.mqtt.brokers.embedded import (
            LISTENER,
            Reader,
            Writer,
        )

        if self._server is None or self._core is None:
            writer.transport.abort()  # it arrived while the broker was stopping
            return
        work = self._core.external_connected(Reader(reader, writer), Writer(writer), LISTENER)
        task = asyncio.get_running_loop().create_task(work)
        self._connections[task] = writer
        task.add_done_callback(lambda task: self._connections.pop(task, None))

    async def _disappear(self) -> None:
        """Close the listener and cut every connection; return when their tasks have ended."""
        server, self._server = self._server, None
        if server is None:
            return
        await _accept_no_more(server)
        server.close()
        writers, tasks = list(self._connections.values()), list(self._connections)
        for writer in writers:
            writer.transport.abort()
        if tasks:
            _, hanging = await asyncio.wait(tasks, timeout=STOP_LIMIT)
            for task in hanging:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)
        await server.wait_closed()


async def _accept_no_more(server: asyncio.Server) -> None:
    """Let connections that are being accepted reach the server, so that it can cut them.

    asyncio forgets a connection whose server is closed between accept and the first step of its transport:
    the client would be left hanging.
    """
    loop = asyncio.get_running_loop()
    for sock in server.sockets:
        loop.remove_reader(sock.fileno())
    for _ in range(ACCEPTING):
        await asyncio.sleep(0)


class ExternalBroker:
    """An external broker. ``ca``: PEM file to trust instead of the system's."""

    def __init__(self, url: str, *, ca: Path | None = None) -> None:
        self._endpoint = parse_url(url)
        if ca and not self._endpoint.secure:
            raise BrokerError(f"broker URL {self._endpoint.url!r}: a CA file is only of use with mqtts://")
        self._ca = ca

    @property
    def endpoint(self) -> BrokerAddress:
        """What the URL says."""
        return self._endpoint

    @property
    def tls(self) -> ssl.SSLContext | None:
        """What a client needs to connect; None: plain TCP."""
        return client_context(self._ca) if self._endpoint.secure else None

    async def start(self) -> None:
        """Make sure that something listens there. Raises BrokerError; a login is not tried."""
        where = f"broker {self._endpoint.url}"
        try:
            async with asyncio.timeout(START_LIMIT):
                _, writer = await asyncio.open_connection(
                    self._endpoint.host, self._endpoint.port, ssl=self.tls
                )
        except ssl.SSLError as problem:
            raise BrokerError(f"{where}: no TLS connection: {reason_of(problem)}") from problem
        except TimeoutError as problem:
            raise BrokerError(f"{where}: no answer within {START_LIMIT:g} s") from problem
        except OSError as problem:
            raise BrokerError(f"{where} cannot be reached: {reason_of(problem)}") from problem
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def stop(self) -> None:
        """Leave it running: it is external."""

    async def restart(self, *, wipe: bool) -> None:
        """Always raises BrokerError: it is external."""
        raise BrokerError(f"broker {self._endpoint.url} is not ours to restart")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *problem: object) -> None:
        await self.stop()


def broker_for(
    choice: str,
    *,
    users: Sequence[User] = (),
    tls: TlsFiles | None = None,
    ca: Path | None = None,
) -> Broker:
    """The broker that a user asked for: "embedded", "mosquitto" or a URL.

    ``users`` and ``tls`` are for brokers of our own, ``ca`` for an external one. Raises BrokerError.
    """
    if choice == EMBEDDED:
        return EmbeddedBroker(users=users, tls=tls)
    if choice == mosquitto.PROGRAM:
        mosquitto.find_program(mosquitto.PROGRAM)
        return MosquittoBroker(users=users, tls=tls)
    if "://" not in choice:
        raise BrokerError(
            f"broker {choice!r} is not known; expected {EMBEDDED}, {mosquitto.PROGRAM} "
            "or a URL such as mqtt://host:1883"
        )
    return ExternalBroker(choice, ca=ca)
