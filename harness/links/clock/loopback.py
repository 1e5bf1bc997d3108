"""What the kernel does on a clock of its own with bytes between our sockets, kept out of virtual time.

A loop in virtual time has to know when nothing is under way any more, and two runs that do the same have to
see the same. Two things stand in the way, and both are dealt with here:

- Whether a packet has arrived. A :class:`Fence` is sent after it the same way; the loopback interface keeps
  the order, so what has not arrived when the fence has was never sent.
- TCP may hold bytes back: it sends no more segments than its congestion window allows before they are
  acknowledged, and both the window and the acknowledgements depend on real milliseconds (RFC 5681, 4.1 and
  4.2). :class:`Segments` stays below the window, and asks for the acknowledgements that are missing.

Linux only, as far as TCP is concerned: elsewhere the options are not there and nothing is done.

And :func:`own_network` has loopback addresses that other processes do not use.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import os
import socket
import sys
import weakref
from collections.abc import Callable
from functools import cache
from typing import Any

FENCE_LIMIT = 1.0
"""Real seconds for a fence to come back, which takes microseconds; a system that loses it is not trusted."""

AT_ONCE = 3
"""Writes to one socket in one turn of the loop that go out at once, each a segment of its own; further ones
wait for the end of the turn, and go out together.

No congestion window of Linux is below 10 segments where nothing is lost, and two that were read are
acknowledged at once: so what two turns write is never held back.
"""

_QUICK_ACKNOWLEDGEMENT: int | None = getattr(socket, "TCP_QUICKACK", None)
_BYTES_NOT_SENT = 0x894B  # SIOCOUTQNSD of Linux

_Ends = tuple[Any, Any]  # socket addresses: ours and theirs


NETWORKS = range(16, 250)  # of 127/8, for the processes of this machine


@cache
def own_network() -> int:
    """The lowest network that no other process on this machine has; ours until this process ends.

    A run on its own always has the same addresses; several at the same time (pytest-xdist) never share any.
    """
    for network in NETWORKS if sys.platform == "linux" else ():
        # Names beginning with a null byte are not files: they are gone with their socket, and like addresses
        # they belong to a network namespace.
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0harness-network-{network}")
        except OSError:
            claim.close()
        else:
            atexit.register(claim.close)
            return network
    return NETWORKS[os.getpid() % len(NETWORKS)]


class Fence:
    """A datagram of our own to ourselves: when it has come, so has all that was sent before it."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.connect(self._socket.getsockname())
        self._socket.settimeout(FENCE_LIMIT)

    def wait(self) -> bool:
        """Return when everything sent so far has arrived; False when that cannot be told."""
        try:
            self._socket.send(b"fence")
            return bool(self._socket.recv(16))
        except OSError:
            return False

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class Segments:
    """Keeps what the sockets of a loop write below the smallest congestion window that TCP may have."""

    def __init__(self) -> None:
        # Dictionaries keep the order: sets would be walked in another order in each process.
        self._written: dict[socket.socket, int] = {}  # writes in this turn of the loop
        self._kept: dict[socket.socket, Callable[[], None]] = {}  # who has gathered something to send
        self._held_back: list[socket.socket] = []
        self._sockets: weakref.WeakValueDictionary[_Ends, socket.socket] = weakref.WeakValueDictionary()

    def joined(self, sock: socket.socket) -> None:
        """Call with each TCP connection that the loop serves."""
        with contextlib.suppress(OSError):  # it has ended already
            self._sockets[sock.getsockname()[:2], sock.getpeername()[:2]] = sock

    def has_to_wait(self, sock: socket.socket, send_kept: Callable[[], None]) -> bool:
        """Call before each write. Whoever has to wait keeps the bytes until ``send_kept`` is called.

        The kernel could gather them, too (TCP_CORK), but gives up after 200 real milliseconds.
        """
        count = self._written[sock] = self._written.get(sock, 0) + 1
        if count <= AT_ONCE:
            return False
        self.keeps(sock, send_kept)
        return True

    def keeps(self, sock: socket.socket, send_kept: Callable[[], None]) -> None:
        """Somebody has bytes left to send."""
        self._kept[sock] = send_kept

    def forget(self, sock: socket.socket) -> None:
        """Call before closing, with nothing left to send."""
        self._written.pop(sock, None)
        self._kept.pop(sock, None)

    def turn_ends(self) -> None:
        """Send what was gathered in this turn of the loop."""
        kept, self._kept = self._kept, {}
        for send_kept in kept.values():
            send_kept()
        written, self._written = self._written, {}
        self._held_back += [sock for sock in written if _not_sent(sock)]
        if self._held_back:
            self._ask_for_acknowledgements()

    def _ask_for_acknowledgements(self) -> None:
        """Let whoever has read what came acknowledge it, until TCP sends no more for that.

        What is left then is held back by a peer that does not read, or is not ours.
        """
        left, before = self._waiting(), None
        while left and left != before:
            for sock in self._held_back:
                self._ask_for_acknowledgement(sock)
            left, before = self._waiting(), left

    def _ask_for_acknowledgement(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            peer = self._sockets.get((sock.getpeername()[:2], sock.getsockname()[:2]))
            if peer is not None and _QUICK_ACKNOWLEDGEMENT is not None:
                peer.setsockopt(socket.IPPROTO_TCP, _QUICK_ACKNOWLEDGEMENT, 1)

    def _waiting(self) -> int:
        """Bytes that TCP holds back; sockets with none are forgotten."""
        left = [(sock, count) for sock in dict.fromkeys(self._held_back) if (count := _not_sent(sock))]
        self._held_back = [sock for sock, _ in left]
        return sum(count for _, count in left)


def _not_sent(sock: socket.socket) -> int:
    """Bytes written to ``sock`` that TCP has not sent; 0 where the system does not tell."""
    if sys.platform != "linux":
        return 0
    import fcntl

    count = array.array("i", [0])
    try:
        fcntl.ioctl(sock, _BYTES_NOT_SENT, count)
    except (OSError, ValueError):  # closed meanwhile
        return 0
    return count[0]
