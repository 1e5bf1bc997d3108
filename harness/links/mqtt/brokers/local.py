"""The common base of the brokers that we start: a fixed address."""

from __future__ import annotations

import socket
import ssl
import sys
from collections.abc import Sequence
from typing import Self

from harness.links.errors import listen_failure
from harness.links.mqtt.brokers.address import (
    BrokerAddress,
    BrokerError,
    TlsFiles,
    User,
)

START_LIMIT = 10.0  # seconds for a broker to accept connections
STOP_LIMIT = 5.0  # seconds for it to end in order before it is killed


class LocalBroker:
    """What brokers on a port of our own have in common: the address and the certificates."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        users: Sequence[User] = (),
        tls: TlsFiles | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._users = tuple(users)
        self._tls_files = tls
        self._reservation: socket.socket | None = None

    @property
    def endpoint(self) -> BrokerAddress:
        """Where clients connect, and the first of the users."""
        return BrokerAddress(
            self._host, self._port, self._tls_files is not None, self._users[0] if self._users else None
        )

    @property
    def tls(self) -> ssl.SSLContext | None:
        """What a client needs to connect; None: plain TCP."""
        return self._tls_files.client_context() if self._tls_files else None

    async def start(self) -> None:
        """Return when connections are accepted. Raises BrokerError."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Close every connection and end. Does nothing when not started."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *problem: object) -> None:
        await self.stop()

    def _reserve(self) -> None:
        """Reserve the port: Linux lets a listener share it with a socket that does not listen."""
        if self._reservation is None:
            self._reservation = self._bound_socket()
            self._port = self._reservation.getsockname()[1]
        if sys.platform != "linux":
            self._release()

    def _release(self) -> None:
        if self._reservation:
            self._reservation.close()
            self._reservation = None

    def _bound_socket(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        # asyncio sets TCP_NODELAY only on sockets that say that they are TCP. Without it Nagle's algorithm
        # and delayed acknowledgements keep each message back for 40 ms, and virtual time would not wait.
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((self._host, self._port))
        except OSError as problem:
            sock.close()
            raise self._unusable(problem) from problem
        return sock

    def _unusable(self, problem: OSError) -> BrokerError:
        return BrokerError(listen_failure("broker", self._host, self._port, problem))
