"""Keeps the kernel's real-time handling of loopback packets out of virtual time.

A loop in virtual time has to know when no packet is on its way, and two runs with the same seed have to see
the same. There are two obstacles:

- Whether a packet has arrived. A :class:`Fence` is sent after it; the loopback interface keeps the order, so
  everything sent before the fence has arrived when the fence has.
- TCP may hold bytes back: it sends no more segments than its congestion window allows before they are
  acknowledged, and window and acknowledgements depend on real milliseconds (RFC 5681, 4.1 and 4.2).
  :class:`Segments` stays below the window and requests missing acknowledgements.

The part about TCP works on Linux only; elsewhere nothing is done.

:func:`own_network` finds loopback addresses that no other process uses.
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
"""Real seconds to wait for a fence, which usually takes microseconds."""

AT_ONCE = 3
"""Writes to one socket in one loop iteration that are sent at once, each as a segment; further ones are sent
together at the end of the iteration.

Without losses, a congestion window of Linux is at least 10 segments, and two segments that were read are
acknowledged at once. So the writes of two iterations are never held back.
"""

_QUICK_ACKNOWLEDGEMENT: int | None = getattr(socket, "TCP_QUICKACK", None)
_BYTES_NOT_SENT = 0x894B  # SIOCOUTQNSD of Linux

_Ends = tuple[Any, Any]  # socket addresses: ours and theirs


NETWORKS = range(16, 250)  # of 127/8, for the processes of this machine


@cache
def own_network() -> int:
    """The lowest network that no other process on this machine uses; reserved until this process ends.

    A single run always gets the same addresses; parallel runs (pytest-xdist) never share any.
    """
    for network in NETWORKS if sys.platform == "linux" else ():
        # Names with a leading null byte are not files: they vanish with their socket and belong to a network
        # namespace, like addresses.
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
    """A datagram to ourselves: when it has arrived, everything sent before it has, too."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.connect(self._socket.getsockname())
        self._socket.settimeout(FENCE_LIMIT)

    def wait(self) -> bool:
        """Return True when everything sent so far has arrived; False if the fence is lost."""
        try:
            self._socket.send(b"fence")
            return bool(self._socket.recv(16))
        except OSError:
            return False

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class Segments:
    """Keeps the writes of a loop's sockets below the smallest congestion window of TCP."""

    def __init__(self) -> None:
        # Dictionaries, because the order of sets differs between processes.
        self._written: dict[socket.socket, int] = {}  # writes in this iteration
        self._kept: dict[socket.socket, Callable[[], None]] = {}  # deferred writes
        self._held_back: list[socket.socket] = []
        self._sockets: weakref.WeakValueDictionary[_Ends, socket.socket] = weakref.WeakValueDictionary()

    def joined(self, sock: socket.socket) -> None:
        """Register a TCP connection of the loop."""
        with contextlib.suppress(OSError):  # it has ended already
            self._sockets[sock.getsockname()[:2], sock.getpeername()[:2]] = sock

    def has_to_wait(self, sock: socket.socket, send_kept: Callable[[], None]) -> bool:
        """Call before each write. If True, keep the bytes until ``send_kept`` is called.

        The kernel could do the same (TCP_CORK), but stops after 200 real milliseconds.
        """
        count = self._written[sock] = self._written.get(sock, 0) + 1
        if count <= AT_ONCE:
            return False
        self.keeps(sock, send_kept)
        return True

    def keeps(self, sock: socket.socket, send_kept: Callable[[], None]) -> None:
        """Defer a write."""
        self._kept[sock] = send_kept

    def forget(self, sock: socket.socket) -> None:
        """Call before closing a socket without deferred bytes."""
        self._written.pop(sock, None)
        self._kept.pop(sock, None)

    def turn_ends(self) -> None:
        """Send the deferred writes of this iteration."""
        kept, self._kept = self._kept, {}
        for send_kept in kept.values():
            send_kept()
        written, self._written = self._written, {}
        self._held_back += [sock for sock in written if _not_sent(sock)]
        if self._held_back:
            self._ask_for_acknowledgements()

    def _ask_for_acknowledgements(self) -> None:
        """Make the readers acknowledge, until TCP sends nothing more.

        The rest is held back by a peer that does not read or is not ours.
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
    """Bytes written to ``sock`` that TCP has not sent; 0 if the system cannot say."""
    if sys.platform != "linux":
        return 0
    import fcntl

    count = array.array("i", [0])
    try:
        fcntl.ioctl(sock, _BYTES_NOT_SENT, count)
    except (OSError, ValueError):  # closed meanwhile
        return 0
    return count[0]
