"""UDP sockets on the loop that report more than asyncio's: sender and ICMP errors, without losses.

asyncio's datagram transport drops a datagram if an ICMP error of an earlier one is pending, and reports
such errors only on connected sockets, which hide datagrams from other addresses.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import itertools
import os
import socket
import struct
import sys
from collections.abc import Callable, Collection
from typing import Any, TypeAlias, TypeVar

from harness.links.errors import LinkError
from harness.links.net.stream import reason_of

Address: TypeAlias = tuple[Any, ...]
"""A socket address: host and port, for IPv6 followed by flow and scope."""

_LARGEST = 65536
# Linux only; the socket module does not name them in Python 3.11.
_RECEIVE_ERRORS = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}
_FILTER = 26  # SO_ATTACH_FILTER of Linux
_SOURCE_ADDRESS = 0xFFFFFFFF - 0x100000 + 1 + 12  # Linux: in the IPv4 header, as a socket filter sees it
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06

Opened = TypeVar("Opened")


class UdpSocket:
    """A bound, non-blocking socket that the running loop reads.

    ``arrived`` gets each datagram and its source; ``rejected`` gets each error that the network reports for
    an earlier datagram.
    """

    def __init__(
        self,
        family: socket.AddressFamily,
        bind: Address,
        arrived: Callable[[bytes, Address], None],
        rejected: Callable[[OSError], None] | None = None,
        prepare: Callable[[socket.socket], None] | None = None,
    ) -> None:
        """Open and bind; ``prepare`` may set options first. Raises OSError."""
        self._arrived = arrived
        self._rejected = rejected
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self.closed = False
        try:
            self._socket.setblocking(False)
            if rejected and sys.platform == "linux":
                self._socket.setsockopt(*_RECEIVE_ERRORS[family], 1)
            if prepare:
                prepare(self._socket)
            self._socket.bind(bind)
        except BaseException:
            self._socket.close()
            raise
        self.address: Address = self._socket.getsockname()
        self._loop.add_reader(self._socket, self._readable)

    def send(self, raw: bytes, to: Address) -> None:
        """Send now. Raises LinkError if the system refuses."""
        if self.closed:
            raise LinkError(f"{address_text(self.address)} is closed, so nothing can be sent from it")
        try:
            try:
                self._socket.sendto(raw, to)
            except ConnectionRefusedError:  # reports an earlier datagram and prevents this one
                self._read_errors()
                self._socket.sendto(raw, to)
        except BlockingIOError:
            raise LinkError(
                f"{len(raw)} bytes to {address_text(to)} were not sent: the send buffer is full; "
                "send more slowly"
            ) from None
        except OSError as problem:
            raise LinkError(
                f"{len(raw)} bytes to {address_text(to)} were not sent: {reason_of(problem)}"
            ) from problem

    def close(self) -> None:
        """Close the socket; nothing is reported afterwards."""
        if not self.closed:
            self.closed = True
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def _readable(self) -> None:
        try:
            raw, source = self._socket.recvfrom(_LARGEST)
        except OSError:  # nothing to read, or an error that the error queue describes
            self._read_errors()
        else:
            self._arrived(raw, source)  # the loop calls again if there is more

    def _read_errors(self) -> None:
        """Empty the error queue, or the kernel would report it again and again."""
        while self._rejected and sys.platform == "linux" and not self.closed:
            try:
                _, ancillary, _, _ = self._socket.recvmsg(0, 512, socket.MSG_ERRQUEUE)
            except OSError:
                return
            for _, _, data in ancillary:
                number: int = struct.unpack_from("=I", data)[0]
                # OSError picks its own subclass for the number.
                self._rejected(OSError(number, os.strerror(number)))


def address_text(address: Address) -> str:
    """Host and port as in a trace: "192.0.2.7:5683", "[2001:db8::7]:5683", "[fe80::7%eth0]:5683"."""
    host, port, *scope = address
    if scope and scope[-1] and "%" not in host:
        host = f"{host}%{_interface_name(scope[-1])}"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _interface_name(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return str(index)


class PortAllocator:
    """The UDP ports of an address that only the harness uses; all are used once before one is reused.

    A repeated run has the same ports, and late datagrams for one socket do not reach the next one. Linux does
    not choose these ports itself.
    """

    PORTS = range(61000, 65536)

    def __init__(self, host: str) -> None:
        self.host = host
        self._next = itertools.cycle(self.PORTS)

    def open(self, opening: Callable[[Address], Opened]) -> Opened:
        """The result of ``opening`` for the next free address. Raises its OSError."""
        for port in itertools.islice(self._next, len(self.PORTS)):
            try:
                return opening((self.host, port))
            except OSError as problem:
                if problem.errno != errno.EADDRINUSE:
                    raise
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def hear_only(sock: socket.socket, sources: Collection[str]) -> None:
    """Make an IPv4 socket receive only datagrams from these addresses.

    The kernel drops the rest (on Linux; elsewhere this does nothing): hundreds of devices on one multicast
    group would otherwise wake each other with every packet.
    """
    if sys.platform != "linux":
        return
    wanted = [int.from_bytes(socket.inet_aton(source), "big") for source in sources]
    code = [(_LOAD, 0, 0, _SOURCE_ADDRESS)]
    # A jump is relative to the next instruction: "accept" comes after the last comparison and "drop".
    code += [(_JUMP_IF_EQUAL, len(wanted) - at, 0, source) for at, source in enumerate(wanted)]
    code += [(_RETURN, 0, 0, 0), (_RETURN, 0, 0, _LARGEST)]
    instructions = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in code))
    program = struct.pack("HP", len(code), ctypes.addressof(instructions))
    sock.setsockopt(socket.SOL_SOCKET, _FILTER, program)


async def resolve(host: str, port: int) -> Address:
    """The socket address of a UDP port. Raises LinkError if the host has none."""
    loop = asyncio.get_running_loop()
    try:
        socket.inet_pton(socket.AF_INET, host)
        return (host, port)
    except OSError:
        pass  # a name, or IPv6, whose scope the resolver can read
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as problem:
        reason = reason_of(problem) if isinstance(problem, OSError) else "not a host name"
        raise LinkError(
            f"{host}: no address found ({reason}); check the name, or give an IP address"
        ) from problem
    return found[0][4]


def local_address_towards(remote: Address) -> str:
    """Our own IP address on the route to ``remote``. Sends nothing. Raises LinkError if there is no route."""
    own: str = local_endpoint_towards(remote)[0]
    return own


def local_endpoint_towards(remote: Address) -> Address:
    """A socket address with our own IP address on the route to ``remote`` and port 0; IPv6 with its scope.

    Sends nothing. Raises LinkError if there is no route.
    """
    family = socket.AF_INET6 if ":" in remote[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(remote)
        except OSError as problem:
            raise LinkError(
                f"there is no route to {address_text(remote)} from this machine ({reason_of(problem)}); "
                "check the address and the network"
            ) from problem
        host, _, *scope = probe.getsockname()
        return (host, 0, *scope)
