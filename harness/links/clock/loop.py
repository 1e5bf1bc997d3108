"""The one clock of a run: the loop's, in real time or in virtual time.

In virtual time the loop's clock stands still while anything is ready, and advances to the next timer when
nothing is. Waits take no time, and protocol stacks notice no difference as long as all peers are on this
loop: a peer in another process or thread keeps real time, and would seem infinitely slow.
:mod:`harness.links.clock.loopback` explains how the loop knows that no packet is on its way.

Libraries that read clocks of their own get the loop's clock for the time of the run
(:mod:`harness.links.clock.library_clocks`).
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import math
import selectors
import socket
import sys
from asyncio import selector_events
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Executor
from contextvars import Context
from typing import Any, TypeVar

from harness.links.clock import library_clocks as foreign_clocks
from harness.links.clock.library_clocks import ClockError as ClockError  # others take it from here
from harness.links.clock.loopback import (
    Fence,
    Segments,
)
from harness.links.clock.terminals import Terminals

Result = TypeVar("Result")

START = float(2**20)
"""First reading of a virtual clock, in seconds. Not 0, because for paho a time of 0 means "never"."""

TICK = 2.0**-24
"""Seconds, sixteen to a microsecond: every virtual timer is due at a whole number of ticks.

Sums and differences of times are therefore exact, and a device's times do not depend on other devices.
"""

FENCELESS_QUIET = 0.05
"""The same as :data:`QUIET` if the fence did not return: a system that drops packets is overloaded."""

QUIET = 0.0 if sys.platform == "linux" else 0.0005
"""Real seconds without input after the fence until a virtual loop assumes that no packet is on its way.

Linux needs none: on its loopback interface a packet has arrived when the call that sends it returns, or at
the latest when the fence has arrived.
"""

TERMINAL_LIMIT = 0.25
"""Real seconds to wait for bytes on a pseudo-terminal, which usually take microseconds."""


class _PatientSelector(selectors.DefaultSelector):
    """Advances the clock instead of waiting, but only when there is no input."""

    def __init__(self) -> None:
        super().__init__()
        self.may_jump: Callable[[], bool] = lambda: False
        self.jump: Callable[[float], None] = lambda _: None
        self.segments = Segments()
        self.terminals = Terminals()
        self._fence = Fence()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.segments.turn_ends()
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            return super().select(None)
        # Executor threads work in real time; while they do, the loop really waits.
        wait = QUIET if self.may_jump() else timeout
        if self.may_jump() and not self._fence.wait():
            wait = FENCELESS_QUIET
        if self.terminals.under_way:
            wait = max(wait, TERMINAL_LIMIT)
        ready = super().select(wait)
        if not ready:
            self.terminals.give_up()
            self.jump(timeout)
        return ready

    def close(self) -> None:
        self._fence.close()
        super().close()


class _Transport(selector_events._SelectorSocketTransport):  # type: ignore[name-defined,misc]
    """asyncio's TCP transport, with writes that may be deferred to the end of the iteration."""

    def __init__(self, loop: VirtualLoop, sock: socket.socket, *arguments: Any, **named: Any) -> None:
        self._segments = loop.segments
        self._segments.joined(sock)
        self._kept = bytearray()
        super().__init__(loop, sock, *arguments, **named)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write now, or defer to the end of the loop iteration."""
        is_open = self._sock is not None and not self._conn_lost and not self._eof
        if is_open and self._segments.has_to_wait(self._sock, self._send_kept):
            self._kept += data
        else:
            super().write(data)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """As in asyncio."""
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        """As in asyncio."""
        self._send_kept()
        super().write_eof()

    def close(self) -> None:
        """As in asyncio."""
        self._send_kept()
        super().close()

    def abort(self) -> None:
        """As in asyncio; deferred bytes are written first."""
        self._send_kept()
        super().abort()

    def get_write_buffer_size(self) -> int:
        """The size with deferred bytes included."""
        return int(super().get_write_buffer_size()) + len(self._kept)

    def _send_kept(self) -> None:
        kept, self._kept = bytes(self._kept), bytearray()
        if kept and self._sock is not None and not self._conn_lost:
            super().write(kept)


class _Timer(asyncio.TimerHandle):
    """A timer that fires after those set before it for the same time.

    asyncio leaves the order open; it would depend on the timers of all other devices.
    """

    __slots__ = ("number",)
    number: int
    _when: float
    _scheduled: bool

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, _Timer):
            return NotImplemented
        return (self._when, self.number) < (other._when, other.number)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop over real sockets whose clock advances to the next timer when nothing is ready."""

    def __init__(self) -> None:
        selector = _PatientSelector()
        self._now = START
        self._jobs = 0  # running calls in executor threads
        self._timers = itertools.count()
        self._disagreement: str | None = None
        self.segments = selector.segments
        self.terminals = selector.terminals
        super().__init__(selector)
        self._clock_resolution = TICK / 2  # asyncio's own is below the precision of such times
        selector.may_jump = lambda: self._jobs == 0
        selector.jump = self._jump

    def time(self) -> float:
        """Virtual seconds."""
        return self._now

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As in asyncio, at the next tick; all other timers are set through this, too."""
        self._check_closed()  # type: ignore[attr-defined]
        timer = _Timer(math.ceil(when / TICK) * TICK, callback, args, self, context)
        timer.number = next(self._timers)
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]
        timer._scheduled = True
        return timer

    def clock_drift_reason(self) -> str | None:
        """Which library was seen with another time than this loop, as text; None for none."""
        self._disagreement = self._disagreement or foreign_clocks.clock_drift_reason(self.time)
        return self._disagreement

    def _jump(self, seconds: float) -> None:
        self._now += seconds

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Result], *args: Any
    ) -> asyncio.Future[Result]:
        """As in asyncio; the clock does not advance before the call returns. getaddrinfo uses this, too."""
        future = super().run_in_executor(executor, func, *args)
        self._jobs += 1
        future.add_done_callback(self._job_done)
        return future

    def _job_done(self, _future: object) -> None:
        self._jobs -= 1

    def _make_socket_transport(self, *arguments: Any, **named: Any) -> Any:
        """asyncio's factory of the transports of all TCP connections."""
        return _Transport(self, *arguments, **named)


def segments() -> Segments | None:
    """Must be informed of TCP sockets that bypass asyncio's transports; None in real time."""
    loop = asyncio.get_running_loop()
    return loop.segments if isinstance(loop, VirtualLoop) else None


def terminals() -> Terminals | None:
    """Must be informed of reads and writes on pseudo-terminals; None in real time."""
    loop = asyncio.get_running_loop()
    return loop.terminals if isinstance(loop, VirtualLoop) else None


def new_loop(virtual: bool) -> asyncio.AbstractEventLoop:
    """A new loop: the ordinary one, or one in virtual time. The caller closes it; prefer :func:`run`."""
    return VirtualLoop() if virtual else asyncio.new_event_loop()


def use_loop_clock(loop: asyncio.AbstractEventLoop) -> contextlib.AbstractContextManager[None]:
    """Give the libraries the clock of ``loop``, and restore theirs at the end.

    Raises ClockError when a stack of this version reads its time elsewhere than known here.
    """
    return foreign_clocks.given(loop.time)


def clock_drift_reason() -> str | None:
    """Which library no longer has the clock of the running loop, as text; None if all have it.

    In virtual time only: in real time nobody is given a clock. What was seen once is said for good.
    """
    loop = asyncio.get_running_loop()
    return loop.clock_drift_reason() if isinstance(loop, VirtualLoop) else None


def run(main: Coroutine[Any, Any, Result], *, virtual: bool = False) -> Result:
    """Run ``main`` on a new loop, as asyncio.run does; with ``virtual`` in virtual time.

    Raises what ``main`` raises, and ClockError before it starts when virtual time is not to be had.
    """
    loop = new_loop(virtual)
    try:
        with contextlib.ExitStack() as stack:
            if virtual:
                stack.enter_context(use_loop_clock(loop))
            runner = stack.enter_context(asyncio.Runner(loop_factory=lambda: loop))
            return runner.run(main)
    finally:
        main.close()
        loop.close()
