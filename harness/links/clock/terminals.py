"""Bytes that are on their way through pseudo-terminals, for a loop in virtual time.

Linux hands what is written to a pseudo-terminal over to its other end on a kernel thread. There is no fence
for that: two terminals are served in any order. But both ends are ours, so the bytes can be counted: what has
been written and not been read is under way, and the clock stands still for it.
"""

from __future__ import annotations

import os


class Terminals:
    """Counts the bytes that ends which are being read have not read yet."""

    def __init__(self) -> None:
        self._reading: dict[int, tuple[int, bool]] = {}  # by file descriptor: the end that it is
        self._due: dict[tuple[int, bool], int] = {}  # by the end that is to read them

    def reads(self, fd: int, terminal: int | None = None) -> None:
        """The end ``fd`` is being read from now on; ``terminal`` is its slave where it is a master."""
        if not os.isatty(fd if terminal is None else terminal):
            return
        try:
            end = (os.fstat(fd if terminal is None else terminal).st_rdev, terminal is not None)
        except OSError:
            return
        self._reading[fd] = end
        self._due[end] = 0

    def stops(self, fd: int) -> None:
        """The end is not read any more; what is left is nobody's."""
        end = self._reading.pop(fd, None)
        if end is not None:
            self._due.pop(end, None)

    def written(self, fd: int, count: int) -> None:
        """So many bytes were written to the end ``fd``."""
        end = self._reading.get(fd)
        if end is not None:
            other = (end[0], not end[1])
            if other in self._due:
                self._due[other] += count

    def read(self, fd: int, count: int) -> None:
        """So many bytes were read from the end ``fd``."""
        end = self._reading.get(fd)
        if end is not None:
            self._due[end] = max(0, self._due[end] - count)

    def give_up(self) -> None:
        """They did not come: some flow control keeps them, or nobody reads. They are not waited for again."""
        for end in self._due:
            self._due[end] = 0

    @property
    def under_way(self) -> bool:
        """Whether bytes are due somewhere."""
        return any(self._due.values())
