"""The two halves of a tapped connection, and the queues between them."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.trace.events import Direction, Fate
from harness.wire.mqtt.codec import Packet

_NO_LINGER = struct.pack("ii", 1, 0)  # makes close() send RST


def opposite(direction: Direction) -> Direction:
    """The other way."""
    return Direction.TO_DUT if direction is Direction.FROM_DUT else Direction.FROM_DUT


class Owner(Protocol):
    """Gets what a side receives; ``direction`` is the direction of that side's bytes."""

    def made(self, direction: Direction) -> None:
        """The connection is there."""

    def received(self, direction: Direction, data: bytes) -> None:
        """Bytes came."""

    def ended(self, direction: Direction, *, reset: bool) -> None:
        """The peer closed its half (FIN), or broke the connection off. Called once."""

    def throttle(self, direction: Direction, *, stop: bool) -> None:
        """Our buffer towards this side's peer is full, or has room again."""


class TapPeer(asyncio.Protocol):
    """One TCP connection: towards the device, or towards the broker. asyncio sets TCP_NODELAY on both."""

    def __init__(self, owner: Owner, direction: Direction) -> None:
        self._owner = owner
        self._direction = direction
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._segments: deque[bytes] = deque()
        self._segmenting = False
        self._peer_ended = False
        self._quiet = False  # we ended this connection ourselves, or its end was reported already
        self._listening = True
        self._early: deque[bytes] = deque()  # arrived while not listening
        self._early_end = False  # … and then FIN
        self.finished = False  # we sent FIN or RST
        self.closed: asyncio.Future[None] = self._loop.create_future()

    @property
    def connected(self) -> bool:
        """Whether there is, or was, a connection."""
        return self._transport is not None

    @property
    def host(self) -> str | None:
        """The address of the peer; None before it is connected."""
        peer = self._transport.get_extra_info("peername") if self._transport else None
        return str(peer[0]) if peer else None

    @property
    def writable(self) -> bool:
        """Whether bytes can still be sent to the peer."""
        return self._transport is not None and not self.finished and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._owner.made(self._direction)

    def data_received(self, data: bytes) -> None:
        """Called by the loop, before Python 3.11.4 also after pause_reading() in connection_made()."""
        if self._listening:
            self._owner.received(self._direction, data)
        else:
            self._early.append(data)

    def eof_received(self) -> bool:
        """Called by the loop. TLS cannot stay half open."""
        if self._listening:
            self._report_end(reset=False)
        else:
            self._early_end = True
        return self._transport is not None and self._transport.can_write_eof()

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the loop, once, however the connection ended."""
        if not self.closed.done():
            self.closed.set_result(None)
        self._segments.clear()
        self._early.clear()
        self._report_end(reset=error is not None)

    def _report_end(self, *, reset: bool) -> None:
        if not self._peer_ended:
            self._peer_ended = True
            if not self._quiet:
                self._owner.ended(self._direction, reset=reset)

    def pause_writing(self) -> None:
        """Called by the loop."""
        self._owner.throttle(self._direction, stop=True)

    def resume_writing(self) -> None:
        """Called by the loop."""
        self._owner.throttle(self._direction, stop=False)

    def listen(self, wanted: bool) -> None:
        """Read bytes from the peer, or leave them in the kernel as far as asyncio does."""
        if self._transport:
            self._listening = wanted
            if wanted:
                self._transport.resume_reading()
                self._deliver_early()
            else:
                self._transport.pause_reading()

    def _deliver_early(self) -> None:
        """Deliver what arrived while nobody listened; the owner may stop listening again meanwhile."""
        while self._listening and self._early:
            self._owner.received(self._direction, self._early.popleft())
        if self._listening and self._early_end:
            self._early_end = False
            self._report_end(reset=False)

    def write(self, data: bytes) -> None:
        """Send. What is sent after segments waits for them."""
        if not self.writable:
            return
        assert self._transport is not None
        if self._segmenting:
            self._segments.append(data)
        else:
            self._transport.write(data)

    def write_segments(self, segments: Sequence[bytes]) -> None:
        """Send each piece by a write of its own, with time for a peer on the same loop to read in between."""
        self._segments.extend(segments)
        if not self._segmenting:
            self._segmenting = True
            self._next_segment()

    def _next_segment(self) -> None:
        self._segmenting = bool(self._segments)
        if not self._segmenting:
            return
        if self.writable:
            assert self._transport is not None
            self._transport.write(self._segments.popleft())
        # One turn for the loop to see the peer's socket readable, one for the peer to read.
        self._loop.call_soon(self._loop.call_soon, self._next_segment)

    def finish(self) -> None:
        """Send FIN, after all that is written. A plain connection is still read, to see the peer's FIN."""
        if self.finished or self._transport is None:
            return
        self._flush_segments()
        self.finished = True
        if self._transport.can_write_eof() and not self._peer_ended:
            self._transport.write_eof()
        else:
            self._quiet = True
            self._close_transport()

    def close(self) -> None:
        """Send FIN, after all that is written, and report nothing more."""
        self._flush_segments()
        self.finished = self._quiet = True
        self._close_transport()

    def _close_transport(self) -> None:
        """Close once: before Python 3.11.4 a TLS transport that is closed twice cannot be aborted."""
        if self._transport and not self._transport.is_closing():
            self._transport.close()

    def reset(self) -> None:
        """Send RST; what was not sent yet is lost."""
        if self._transport and not self.closed.done():
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.abort()

    def abort(self) -> None:
        """End at once, whatever the peer does."""
        self.finished = self._quiet = True
        self._segments.clear()
        if self._transport:
            self._transport.abort()

    def _flush_segments(self) -> None:
        if self._transport and self.writable:
            while self._segments:
                self._transport.write(self._segments.popleft())


@dataclass(frozen=True, slots=True)
class QueuedPacket:
    """A packet under way; ``packet`` is its decoded form where somebody had to look at it."""

    raw: bytes
    packet: Packet | None
    fate: Fate


@dataclass(frozen=True, slots=True)
class End:
    """Behind the last packet of a direction: how its sender ended the connection."""

    reset: bool


class ForwardingQueue:
    """The packets under way in one direction, each handed to ``deliver`` when its delay is over."""

    def __init__(self, deliver: Callable[[QueuedPacket | End], None]) -> None:
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[float, QueuedPacket | End]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def push(self, item: QueuedPacket | End, delay: float) -> None:
        """Deliver ``item`` after ``delay`` seconds and after all before it: at once where that is now."""
        if delay <= 0 and not self._waiting:
            self._deliver(item)
            return
        due = self._loop.time() + delay
        if self._waiting:
            due = max(due, self._waiting[-1][0])
        self._waiting.append((due, item))
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        # The item that the timer was for goes even where the clock is a hair before its time.
        self._deliver(self._waiting.popleft()[1])
        while self._waiting and self._waiting[0][0] <= self._loop.time():
            self._deliver(self._waiting.popleft()[1])
        if self._waiting and self._timer is None:
            self._timer = self._loop.call_at(self._waiting[0][0], self._on_time)

    def clear(self) -> list[QueuedPacket]:
        """Forget all that is under way, and return its packets."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        lost = [item for _, item in self._waiting if isinstance(item, QueuedPacket)]
        self._waiting.clear()
        return lost
