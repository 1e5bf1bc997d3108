"""Bytes on their way through pseudo-terminals, for a loop in virtual time.

Linux passes bytes to the other end of a pseudo-terminal in a kernel thread, and serves terminals in any
order, so there is no fence. Both ends are ours, so the bytes can be counted: the clock stands still while
bytes have been written but not read.
"""

from __future__ import annotations

import os


class Terminals:
    """Counts the unread bytes of each end that is being read."""

    def __init__(self) -> None:
        self._reading: dict[int, tuple[int, bool]] = {}  # end by file descriptor
        self._due: dict[tuple[int, bool], int] = {}  # unread bytes by the end that reads them

    def reads(self, fd: int, terminal: int | None = None) -> None:
        """The end ``fd`` is read from now on; ``terminal`` is its slave if it is a master."""
        if not os.isatty(fd if terminal is None else terminal):
            return
        try:
            end = (os.fstat(fd if terminal is None else terminal).st_rdev, terminal is not None)
        except OSError:
            return
        self._reading[fd] = end
        self._due[end] = 0

    def stops(self, fd: int) -> None:
        """The end is no longer read."""
        end = self._reading.pop(fd, None)
        if end is not None:
            self._due.pop(end, None)

    def written(self, fd: int, count: int) -> None:
        """``count`` bytes were written to the end ``fd``."""
        end = self._reading.get(fd)
        if end is not None:
            other = (end[0], not end[1])
            if other in self._due:
                self._due[other] += count

    def read(self, fd: int, count: int) -> None:
        """``count`` bytes were read from the end ``fd``."""
        end = self._reading.get(fd)
        if end is not None:
            self._due[end] = max(0, self._due[end] - count)

    def give_up(self) -> None:
        """Stop waiting for unread bytes: flow control holds them back, or nothing reads them."""
        for end in self._due:
            self._due[end] = 0

    @property
    def under_way(self) -> bool:
        """Whether unread bytes are expected."""
        return any(self._due.values())
