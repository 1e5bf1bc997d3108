"""TCP and TLS sockets on the running loop, for protocol stacks that need a plain socket.

Nothing here blocks, since the loop that waits for the connection may also serve its other end. That is
why the loop also drives the TLS handshake, without a thread.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable
from typing import Protocol

from harness.links.clock.loop import segments
from harness.links.errors import reason_of as reason_of  # re-exported

CHUNK = 65536  # bytes to read at once
GATHERED = 8192  # bytes at most that wait for the end of the loop iteration; beyond that, send reports less


class Watch(Protocol):
    """Sees the bytes that a connection sends and receives (with TLS: the plain text)."""

    def opened(self) -> None:
        """The connection was opened."""

    def sent(self, data: bytes) -> None:
        """These bytes were sent."""

    def received(self, data: bytes) -> None:
        """These bytes were received."""

    def closed(self) -> None:
        """The connection was closed, by either side."""


class Stream:
    """A connected, non-blocking socket with a read buffer.

    paho reads a packet in at least three pieces; the buffer saves two of three system calls. ``ending`` says
    how the other side ended the connection; empty as long as it has not.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = bytearray()
        self.ending = ""
        self.keep_open = False  # for close(): the owner closes the socket itself
        self._watch: Watch | None = None
        self._kept = bytearray()  # written, waiting for the end of the loop iteration
        self._segments = segments()
        if self._segments:
            self._segments.joined(sock)

    def watch(self, watch: Watch) -> None:
        """Report all bytes to ``watch`` from now on."""
        self._watch = watch
        watch.opened()

    @property
    def pending(self) -> bool:
        """Whether bytes are buffered that the kernel will not report again."""
        return bool(self._buffer) or (isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0)

    def recv(self, size: int) -> bytes:
        """Return at most ``size`` bytes, b"" at the end; BlockingIOError (or ssl's) if there are none."""
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
        """Pass bytes to the kernel; return how many it took."""
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
        """Send at the end of the loop iteration; the rest waits for the next one."""
        try:
            while self._kept:
                del self._kept[: self._send(self._kept)]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if self._segments:
                self._segments.keeps(self._socket, self._send_kept)
        except OSError:
            self._kept.clear()  # reading will report that the connection is closed

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
        """Send FIN, read until the other side's FIN, at most ``within`` seconds, and close.

        Closing a socket with unread input makes TCP send a reset, which may overtake the last bytes that were
        sent: the other side would see a broken connection instead of an orderly end.
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
            except OSError:  # including TimeoutError: the other side is gone already, or does not close
                pass

    def fileno(self) -> int:
        """File descriptor for the loop's selector."""
        return self._socket.fileno()

    def setblocking(self, flag: bool) -> None:
        """Required by paho; a stream never blocks."""
        if flag:
            raise ValueError("a stream on the loop cannot block")


async def open_stream(host: str, port: int, tls: ssl.SSLContext | None = None) -> Stream:
    """Connect to ``host``, trying its addresses in turn; TCP_NODELAY is set.

    Raises OSError (including ssl.SSLError) if no address accepts the connection. Has no timeout.
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
    """Socket addresses of ``host``; a numeric one is used directly, without a resolver thread."""
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
