"""The sockets of one multicast DNS responder on its own loopback address."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from harness.links.net.udp import hear_only

GROUP = "224.0.0.251"
PORT = 5353
_IP_MULTICAST_ALL = 49  # Linux; the socket module does not name it

Address = tuple[str, int]
PacketFilter = Callable[[bytes], Sequence[bytes]]


@dataclass(frozen=True, slots=True)
class Received:
    """A datagram, its sender, and whether it was multicast."""

    data: bytes
    source: Address
    multicast: bool


Receiver = Callable[[Received], None]


class _Socket(asyncio.DatagramProtocol):
    def __init__(self, receive: Receiver, *, multicast: bool) -> None:
        self._receive = receive
        self._multicast = multicast
        self.closed = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._receive(Received(data, addr[:2], self._multicast))


class ResponderSockets:
    """Listens to the group and to ``host``; sends from ``host``, port 5353 (RFC 6762, 6 and 11).

    Every packet passes the filters. The responder's own packets are not received.
    """

    def __init__(
        self, host: str, receive: Receiver, incoming: list[PacketFilter], outgoing: list[PacketFilter]
    ) -> None:
        self.host = host
        self.hears_itself = False
        self.neighbours: Collection[str] | None = None  # addresses whose packets it receives; None: all
        self._receive = receive
        self._incoming, self._outgoing = incoming, outgoing
        # Own packets that multicast will loop back. The source alone does not identify them: other programs
        # may share the address.
        self._echoes: deque[bytes] = deque(maxlen=64)
        self._sender: asyncio.DatagramTransport | None = None
        self._sockets: list[tuple[asyncio.DatagramTransport, _Socket]] = []

    async def open(self) -> None:
        """Joins the group. Raises OSError if the address does not exist or the port is not shared."""
        try:
            listening = _listening_socket(self.host)
            if self.neighbours is not None:
                hear_only(listening, (self.host, *self.neighbours))
            await self._endpoint(listening, multicast=True)
            self._sender = await self._endpoint(_sending_socket(self.host), multicast=False)
        except OSError as error:
            await self.close()
            raise OSError(error.errno, f"no multicast DNS on {self.host}: {error.strerror}") from error

    async def _endpoint(self, sock: socket.socket, *, multicast: bool) -> asyncio.DatagramTransport:
        transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Socket(self._arrived, multicast=multicast), sock=sock
        )
        self._sockets.append((transport, protocol))
        return transport

    def _arrived(self, received: Received) -> None:
        if self.neighbours is not None and received.source[0] not in (self.host, *self.neighbours):
            return
        if received.source == (self.host, PORT) and received.data in self._echoes:
            self._echoes.remove(received.data)
            if not self.hears_itself:
                return
        datagrams: list[bytes] = [received.data]
        for each in self._incoming:
            datagrams = [result for datagram in datagrams for result in each(datagram)]
        for datagram in datagrams:
            self._receive(Received(datagram, received.source, received.multicast))

    def send(self, data: bytes, destination: Address = (GROUP, PORT)) -> None:
        """Sends a packet, by default to the group."""
        if self._sender is None or self._sender.is_closing():
            return
        datagrams: list[bytes] = [data]
        for each in self._outgoing:
            datagrams = [result for datagram in datagrams for result in each(datagram)]
        for datagram in datagrams:
            if destination[0] == GROUP:
                self._echoes.append(datagram)
            self._sender.sendto(datagram, destination)

    async def close(self) -> None:
        """Leaves the group; returns once the sockets are closed."""
        sockets, self._sockets, self._sender = self._sockets, [], None
        for transport, protocol in sockets:
            transport.abort()
            await protocol.closed.wait()


def _shared_socket(address: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind((address, PORT))
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _listening_socket(host: str) -> socket.socket:
    sock = _shared_socket(GROUP)
    membership = socket.inet_aton(GROUP) + socket.inet_aton(host)
    try:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        if sys.platform == "linux":
            # Otherwise packets of groups that other programs joined on other interfaces arrive as well.
            sock.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
    except OSError:
        sock.close()
        raise
    return sock


def _sending_socket(host: str) -> socket.socket:
    sock = _shared_socket(host)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(host))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
    return sock
