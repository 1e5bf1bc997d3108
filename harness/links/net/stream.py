"""TCP and TLS sockets that the running loop opens, for protocol stacks that want a plain socket.

Nothing here blocks: the loop that waits for the connection may be the one that serves its other end.
That is why the TLS handshake, too, is driven by the loop and not handed to a thread.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable
from typing import Protocol

from harness.links.clock.loop import segments
from harness.links.errors import reason_of as reason_of  # others take it from here, too

CHUNK = 65536  # bytes asked of the kernel at once
GATHERED = 8192  # bytes at most that wait for the end of a turn; of more, the owner learns what is taken


class Watch(Protocol):
    """Sees the bytes of a connection as the socket takes and gives them (inside TLS: in clear)."""

    def opened(self) -> None:
        """The connection stands."""

    def sent(self, data: bytes) -> None:
        """These went out."""

    def received(self, data: bytes) -> None:
        """These came in."""

    def closed(self) -> None:
        """The connection has ended, by whichever side."""


class Stream:
    """A connected, non-blocking socket with a read buffer.

    paho reads a packet in at least three pieces; from the buffer they cost one system call and not three.
    ``ending`` tells, for people, how the other side ended the connection; empty while it has not.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = bytearray()
        self.ending = ""
        self.keep_open = False  # for close(): the owner ends the connection in its own way
        self._watch: Watch | None = None
        self._kept = bytearray()  # written, and waiting for the end of the turn
        self._segments = segments()
        if self._segments:
            self._segments.joined(sock)

    def watch(self, watch: Watch) -> None:
        """Let ``watch`` see the bytes from now on."""
        self._watch = watch
        watch.opened()

    @property
    def pending(self) -> bool:
        """Whether bytes wait here that the kernel will not announce any more."""
        return bool(self._buffer) or (isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0)

    def recv(self, size: int) -> bytes:
        """Return at most ``size`` bytes, b"" at the end; raises BlockingIOError (or ssl's) for none yet."""
        if not self._buffer:
            try:
                chunk = self._socket.recv(CHUNK)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except OSError as error:
                self.ending = f"the connection broke: {reason_of(error)}"
                raise
            if self._watch and chunk:
                self._watch.received(chunk)
            if len(chunk) <= size:
                if not chunk:
                    self.ending = "the other side closed the connection"
                return chunk
            self._buffer += chunk
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def send(self, data: bytes | bytearray) -> int:
        """Hand bytes to the kernel; return how many it took."""
        if self._has_to_wait(len(data)):
            self._kept += data
            taken = len(data)
        else:
            self._send_kept()
            if self._kept:
                raise BlockingIOError
            taken = self._send(data)
        if self._watch:
            self._watch.sent(bytes(data[:taken]))
        return taken

    def _has_to_wait(self, size: int) -> bool:
        if self._segments is None or not self._segments.has_to_wait(self._socket, self._send_kept):
            return False
        return len(self._kept) + size <= GATHERED

    def _send(self, data: bytes | bytearray) -> int:
        try:
            return self._socket.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError as error:
            self.ending = f"the connection broke: {reason_of(error)}"
            raise

    def _send_kept(self) -> None:
        """At the end of the turn; what the kernel does not take now waits for the end of the next one."""
        try:
            while self._kept:
                del self._kept[: self._send(self._kept)]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if self._segments:
                self._segments.keeps(self._socket, self._send_kept)
        except OSError:
            self._kept.clear()  # reading will tell that the connection is over

    def close(self) -> None:
        """Close the socket at once, unless ``keep_open`` was set."""
        if self._watch:
            self._watch.closed()
            self._watch = None
        self._send_kept()
        if not self.keep_open:
            if self._segments:
                self._segments.forget(self._socket)
            self._socket.close()

    async def close_in_order(self, within: float) -> None:
        """Send FIN, take what still comes until the other side's FIN, at most ``within`` seconds, and close.

        Closing a socket with unread input makes TCP send a reset, and a reset may overtake the last
        bytes that we sent: the other side would see a broken connection instead of an orderly end.
        """
        loop = asyncio.get_running_loop()
        if self._segments:
            self._segments.forget(self._socket)
        family, kind = self._socket.family, self._socket.type
        with socket.socket(family, kind, fileno=self._socket.detach()) as plain:
            plain.setblocking(False)
            try:
                plain.shutdown(socket.SHUT_WR)
                async with asyncio.timeout(within):
                    while await loop.sock_recv(plain, CHUNK):
                        pass
            except OSError:  # TimeoutError is one: the other side is gone already, or will not close
                pass

    def fileno(self) -> int:
        """File descriptor for the loop's selector."""
        return self._socket.fileno()

    def setblocking(self, flag: bool) -> None:
        """Part of what paho asks of a socket; a stream never blocks."""
        if flag:
            raise ValueError("a stream on the loop cannot block")


async def open_stream(host: str, port: int, tls: ssl.SSLContext | None = None) -> Stream:
    """Connect to ``host``, trying its addresses in turn; TCP_NODELAY is set.

    Raises OSError (ssl.SSLError among them) when no address takes the connection. No deadline of its own.
    """
    sock = await _connect(host, port)
    try:
        if tls:
            sock = tls.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
            await _handshake(sock)
    except BaseException:
        sock.close()
        raise
    return Stream(sock)


async def _connect(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    failure: OSError | None = None
    for family, address in await _addresses(host, port):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(sock, address)
            return sock
        except OSError as error:
            sock.close()
            failure = failure or error
        except BaseException:
            sock.close()
            raise
    raise failure or OSError(f"no address found for {host}")


async def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[str, int]]]:
    """Socket addresses of ``host``; a numeric one is used as it is, without asking a resolver thread."""
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [(family, address) for family, _, _, _, address in found]  # type: ignore[misc]
    return [(socket.AF_INET if version == 4 else socket.AF_INET6, (host, port))]


async def _handshake(sock: ssl.SSLSocket) -> None:
    loop = asyncio.get_running_loop()
    while True:
        try:
            sock.do_handshake()
            return
        except ssl.SSLWantReadError:
            await _ready(sock, loop.add_reader, loop.remove_reader)
        except ssl.SSLWantWriteError:
            await _ready(sock, loop.add_writer, loop.remove_writer)


async def _ready(
    sock: socket.socket, watch: Callable[..., object], unwatch: Callable[[socket.socket], object]
) -> None:
    ready = asyncio.Event()
    watch(sock, ready.set)
    try:
        await ready.wait()
    finally:
        unwatch(sock)
