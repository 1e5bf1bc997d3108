"""UDP sockets on the loop that see more than asyncio's: who sent what, what ICMP says, and nothing lost.

asyncio's own datagram transport drops a datagram where an ICMP error of an earlier one is pending, and tells
of such errors only on connected sockets, which in turn hide datagrams from other addresses.
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
"""A socket address: host and port, for IPv6 with flow and scope behind them."""

_LARGEST = 65536
# Linux only; the socket module does not name them in Python 3.11.
_RECEIVE_ERRORS = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}
_FILTER = 26  # SO_ATTACH_FILTER of Linux
_SOURCE_ADDRESS = 0xFFFFFFFF - 0x100000 + 1 + 12  # Linux: in the IPv4 header, seen from a socket filter
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06

Opened = TypeVar("Opened")


class UdpSocket:
    """A bound, non-blocking socket that the running loop reads.

    ``arrived`` gets each datagram and its source, ``rejected`` each error that the network reported for
    something sent earlier.
    """

    def __init__(
        self,
        family: socket.AddressFamily,
        bind: Address,
        arrived: Callable[[bytes, Address], None],
        rejected: Callable[[OSError], None] | None = None,
        prepare: Callable[[socket.socket], None] | None = None,
    ) -> None:
        """Open and bind; ``prepare`` may set options before. Raises OSError."""
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
        """Send now. Raises LinkError when the system refuses."""
        if self.closed:
            raise LinkError(f"{address_text(self.address)} is closed already: nothing can be sent from it")
        try:
            try:
                self._socket.sendto(raw, to)
            except ConnectionRefusedError:  # the report of an earlier datagram, which stops this one
                self._read_errors()
                self._socket.sendto(raw, to)
        except BlockingIOError:
            raise LinkError(
                f"{len(raw)} bytes to {address_text(to)} were not sent: the network takes no more just now; "
                "send more slowly"
            ) from None
        except OSError as problem:
            raise LinkError(
                f"{len(raw)} bytes to {address_text(to)} were not sent: {reason_of(problem)}"
            ) from problem

    def close(self) -> None:
        """Close the socket; nothing is reported any more."""
        if not self.closed:
            self.closed = True
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def _readable(self) -> None:
        try:
            raw, source = self._socket.recvfrom(_LARGEST)
        except OSError:  # nothing to read after all, or an error that the queue of errors tells about
            self._read_errors()
        else:
            self._arrived(raw, source)  # the loop calls again when there is more

    def _read_errors(self) -> None:
        """Empty the queue of errors, or the kernel would announce it without end."""
        while self._rejected and sys.platform == "linux" and not self.closed:
            try:
                _, ancillary, _, _ = self._socket.recvmsg(0, 512, socket.MSG_ERRQUEUE)
            except OSError:
                return
            for _, _, data in ancillary:
                number: int = struct.unpack_from("=I", data)[0]
                # OSError makes its own subclass out of the number.
                self._rejected(OSError(number, os.strerror(number)))


def address_text(address: Address) -> str:
    """Host and port as they stand in a trace: "192.0.2.7:5683", "[2001:db8::7]:5683"."""
    host, port = address[0], address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class PortAllocator:
    """The UDP ports of an address that is ours alone, each given out once before any comes again.

    A run that is repeated has the same ports, and what is late for one socket does not reach the next one.
    They are those that Linux leaves alone when it chooses ports itself.
    """

    PORTS = range(61000, 65536)

    def __init__(self, host: str) -> None:
        self.host = host
        self._next = itertools.cycle(self.PORTS)

    def open(self, opening: Callable[[Address], Opened]) -> Opened:
        """What ``opening`` makes of the next address that is free. Raises its OSError."""
        for port in itertools.islice(self._next, len(self.PORTS)):
            try:
                return opening((self.host, port))
            except OSError as problem:
                if problem.errno != errno.EADDRINUSE:
                    raise
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def hear_only(sock: socket.socket, sources: Collection[str]) -> None:
    """Let an IPv4 socket receive nothing but what comes from these addresses.

    The kernel drops the rest (on Linux; elsewhere nothing is done): hundreds of devices on one multicast
    group would otherwise wake each other with every packet.
    """
    if sys.platform != "linux":
        return
    wanted = [int.from_bytes(socket.inet_aton(source), "big") for source in sources]
    code = [(_LOAD, 0, 0, _SOURCE_ADDRESS)]
    # A jump is relative to the next instruction: "accept" stands behind the last comparison and "drop".
    code += [(_JUMP_IF_EQUAL, len(wanted) - at, 0, source) for at, source in enumerate(wanted)]
    code += [(_RETURN, 0, 0, 0), (_RETURN, 0, 0, _LARGEST)]
    instructions = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in code))
    program = struct.pack("HP", len(code), ctypes.addressof(instructions))
    sock.setsockopt(socket.SOL_SOCKET, _FILTER, program)


async def resolve(host: str, port: int) -> Address:
    """The socket address of a UDP port. Raises LinkError when the host has none."""
    loop = asyncio.get_running_loop()
    try:
        socket.inet_pton(socket.AF_INET, host)
        return (host, port)
    except OSError:
        pass  # a name or IPv6, whose scope the resolver knows how to read
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as problem:
        reason = reason_of(problem) if isinstance(problem, OSError) else "not a host name"
        raise LinkError(
            f"{host}: no address found ({reason}); check the name, or give an IP address"
        ) from problem
    return found[0][4]


def local_address_towards(remote: Address) -> str:
    """Our own IP address on the way to ``remote``. Nothing is sent. Raises LinkError when there is no way."""
    family = socket.AF_INET6 if ":" in remote[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(remote)
        except OSError as problem:
            raise LinkError(
                f"there is no way to {address_text(remote)} from this machine ({reason_of(problem)}); "
                "check the address and the network"
            ) from problem
        own: str = probe.getsockname()[0]
        return own
