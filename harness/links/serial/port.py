"""A serial port on the event loop, which is opened again when its cable returns."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import serial

from harness.links.clock.loop import terminals
from harness.links.serial.opening import (
    SerialError,
    is_url,
    open_port,
)
from harness.model.bindings.serial import LineSettings
from harness.trace.events import PortChange

AT_ONCE = 4096
"""Bytes to read in one iteration of the loop, so that a flooding port does not block others.

The rest waits in the system, which slows down a peer behind a pty or a socket.
"""

LOOK_AGAIN = 0.25  # seconds between two attempts to open a port that vanished

MOST_UNSENT = 1 << 20  # bytes; with more, the peer counts as gone

Receive = Callable[[bytes], None]


class SerialConnection:
    """One port. ``on_data`` gets the bytes received, ``on_change`` the changes of the port."""

    def __init__(
        self,
        url: str,
        settings: LineSettings,
        *,
        on_data: Receive,
        on_change: Callable[[PortChange, str | None], None],
    ) -> None:
        self.url = url
        self._settings = settings
        self._on_data = on_data
        self._on_change = on_change
        self._wire: _Wire | None = None
        self._returning: asyncio.Task[None] | None = None
        self._closed = True

    @property
    def present(self) -> bool:
        """Whether the port is open now."""
        return self._wire is not None

    async def open(self) -> None:
        """Open the port. Raises SerialError."""
        self._wire = await self._open()
        self._closed = False
        self._on_change(PortChange.OPENED, None)

    def write(self, data: bytes) -> None:
        """Send bytes in order, as the port accepts them. Raises SerialError if it is gone."""
        if self._wire is None:
            raise SerialError(f"the serial port {self.url} is gone; plug it in again")
        self._wire.write(data)

    async def close(self) -> None:
        """Close the port and stop receiving."""
        was_open, self._closed = not self._closed, True
        if self._returning is not None:
            self._returning.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._returning
            self._returning = None
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()
        if was_open:
            self._on_change(PortChange.CLOSED, None)

    async def _open(self) -> _Wire:
        if is_url(self.url):
            # Connecting, and RFC 2217's negotiation, block inside pyserial.
            opened = await asyncio.to_thread(open_port, self.url, self._settings)
        else:
            opened = open_port(self.url, self._settings)
        kind = _DescriptorWire if _descriptor_of(opened) is not None else _ThreadWire
        return kind(opened, self._on_data, self._lost)

    def _lost(self, why: str) -> None:
        wire, self._wire = self._wire, None
        if wire is None or self._closed:
            return
        loop = asyncio.get_running_loop()
        self._on_change(PortChange.VANISHED, why)
        self._returning = loop.create_task(self._come_back(wire), name=f"waiting for {self.url}")

    async def _come_back(self, old: _Wire) -> None:
        """Try to open the port again until it succeeds; the system has no event for that."""
        await old.close()
        while self._wire is None:
            await asyncio.sleep(LOOK_AGAIN)
            with contextlib.suppress(SerialError):
                self._wire = await self._open()
        self._on_change(PortChange.RETURNED, None)


class _Wire(Protocol):
    """An open port."""

    def write(self, data: bytes) -> None: ...

    async def close(self) -> None: ...


def _descriptor_of(opened: Any) -> int | None:
    """The file descriptor that the loop can watch, of a device, pty or socket."""
    try:
        return int(opened.fileno())
    except (OSError, AttributeError):  # io.UnsupportedOperation is an OSError
        return None


class _DescriptorWire:
    """A port with a file descriptor, which the loop watches."""

    def __init__(self, opened: Any, on_data: Receive, on_lost: Callable[[str], None]) -> None:
        self._opened = opened
        self._fd = int(opened.fileno())
        self._on_data = on_data
        self._on_lost = on_lost
        self._unsent = bytearray()
        self._open = True
        self._loop = asyncio.get_running_loop()
        os.set_blocking(self._fd, False)
        self._terminals = terminals()
        if self._terminals is not None:
            self._terminals.reads(self._fd)
        self._loop.add_reader(self._fd, self._readable)

    def write(self, data: bytes) -> None:
        if len(self._unsent) > MOST_UNSENT:
            raise SerialError("the serial port accepts no bytes; check its flow control")
        self._unsent += data
        self._writable()

    async def close(self) -> None:
        self._stop()
        with contextlib.suppress(OSError, serial.SerialException):
            self._opened.close()

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, AT_ONCE)
        except BlockingIOError:
            return
        except OSError as problem:
            self._lose(problem.strerror or str(problem))
            return
        if not data:
            self._lose("the other end closed the connection")
            return
        if self._terminals is not None:
            self._terminals.read(self._fd, len(data))
        self._on_data(data)

    def _writable(self) -> None:
        try:
            while self._unsent and self._open:
                written = os.write(self._fd, self._unsent)
                if self._terminals is not None:
                    self._terminals.written(self._fd, written)
                del self._unsent[:written]
        except BlockingIOError:
            self._loop.add_writer(self._fd, self._writable)
            return
        except OSError as problem:
            self._lose(problem.strerror or str(problem))
            return
        if self._open:
            self._loop.remove_writer(self._fd)

    def _lose(self, why: str) -> None:
        self._stop()
        self._on_lost(why)

    def _stop(self) -> None:
        if self._open:
            self._open = False
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)
            if self._terminals is not None:
                self._terminals.stops(self._fd)


class _ThreadWire:
    """A port without a file descriptor, such as ``rfc2217://``: pyserial's calls, in a thread each way."""

    PATIENCE = 0.2  # seconds of a read, so that closing does not wait for long

    def __init__(self, opened: Any, on_data: Receive, on_lost: Callable[[str], None]) -> None:
        self._opened = opened
        self._on_data = on_data
        self._on_lost = on_lost
        self._open = True
        self._loop = asyncio.get_running_loop()
        opened.timeout = self.PATIENCE
        self._threads = ThreadPoolExecutor(2, "serial")
        self._unsent: asyncio.Queue[bytes] = asyncio.Queue()
        self._tasks = [self._loop.create_task(self._read()), self._loop.create_task(self._write())]

    def write(self, data: bytes) -> None:
        self._unsent.put_nowait(data)

    async def close(self) -> None:
        self._open = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # Running calls end before the port is closed.
        await asyncio.to_thread(self._threads.shutdown)
        with contextlib.suppress(OSError, serial.SerialException):
            await asyncio.to_thread(self._opened.close)

    async def _read(self) -> None:
        while self._open:
            try:
                data = await self._loop.run_in_executor(self._threads, self._read_some)
            except (OSError, serial.SerialException) as problem:
                self._lose(str(problem))
                return
            if data and self._open:
                self._on_data(data)

    def _read_some(self) -> bytes:
        first = self._opened.read(1)
        waiting = min(self._opened.in_waiting, AT_ONCE) if first else 0
        return bytes(first + (self._opened.read(waiting) if waiting else b""))

    async def _write(self) -> None:
        while self._open:
            data = await self._unsent.get()
            try:
                await self._loop.run_in_executor(self._threads, self._opened.write, data)
            except (OSError, serial.SerialException) as problem:
                self._lose(str(problem))
                return

    def _lose(self, why: str) -> None:
        if self._open:
            self._open = False
            self._on_lost(why)
