"""A pseudo-terminal whose master end is ours; the other end behaves like a serial port."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness.links.clock.loop import terminals

AT_ONCE = 4096  # bytes to read in one iteration of the loop


class PseudoTerminal:
    """Keeps its name when it is unplugged and plugged in again.

    ``on_data`` gets what the other end writes. Bytes that the other end does not read wait here, up to
    :attr:`MOST`; further bytes are lost, as in a UART.
    """

    MOST = 1 << 16

    def __init__(self, on_data: Callable[[bytes], None]) -> None:
        self._on_data = on_data
        self._folder: Path | None = None
        self._master = self._slave = -1
        self._unsent = bytearray()
        self._loop = asyncio.get_running_loop()
        self._terminals = terminals()
        self.lost = 0  # bytes that were not read in time
        self.drained = asyncio.Event()  # set while nothing waits to be written
        self.drained.set()

    @property
    def is_open(self) -> bool:
        """Whether it is plugged in."""
        return self._master >= 0

    @property
    def name(self) -> str:
        """The path to open."""
        assert self._folder is not None, "open() first"
        return str(self._folder / "port")

    def open(self) -> None:
        """Plug it in."""
        if self.is_open:
            return
        import tty  # POSIX only

        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)  # bytes pass unchanged
        os.set_blocking(self._master, False)
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="harness-serial-"))
        link = Path(self.name)
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(self._slave))
        if self._terminals is not None:
            self._terminals.reads(self._master, self._slave)
        self._loop.add_reader(self._master, self._readable)

    def unplug(self) -> None:
        """Vanish like a pulled cable; :meth:`open` brings it back under the same name."""
        if not self.is_open:
            return
        self._loop.remove_reader(self._master)
        self._loop.remove_writer(self._master)
        if self._terminals is not None:
            self._terminals.stops(self._master)
        Path(self.name).unlink(missing_ok=True)
        os.close(self._slave)
        os.close(self._master)
        self._master = self._slave = -1
        self._unsent.clear()
        self.drained.set()

    def close(self) -> None:
        """Remove it for good."""
        self.unplug()
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self._folder.rmdir()
            self._folder = None

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if not self.is_open:
            return
        room = self.MOST - len(self._unsent)
        self.lost += max(0, len(data) - room)
        self._unsent += data[:room]
        self._writable()

    def _writable(self) -> None:
        try:
            while self._unsent:
                written = os.write(self._master, self._unsent)
                if self._terminals is not None:
                    self._terminals.written(self._master, written)
                del self._unsent[:written]
        except BlockingIOError:
            self.drained.clear()
            self._loop.add_writer(self._master, self._writable)
            return
        except OSError:
            self._unsent.clear()
        self._loop.remove_writer(self._master)
        self.drained.set()

    def _readable(self) -> None:
        try:
            data = os.read(self._master, AT_ONCE)
        except OSError:
            return
        if self._terminals is not None:
            self._terminals.read(self._master, len(data))
        if data:
            self._on_data(data)
