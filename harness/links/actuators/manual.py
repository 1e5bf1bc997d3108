"""A person at the terminal who carries out tasks, or a program in that person's place.

A task is one line on standard error::

    harness asks 3 off: switch the power of plug off, then press Enter. Type "no" if you cannot.

The answer is one line on standard input: empty, or ``yes``, when it is done; ``no`` and a reason when it is
not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import stat
import sys
from collections.abc import Callable, Collection
from weakref import WeakKeyDictionary

from harness.links.actuators import (
    OPERATING,
    POWER,
    ActuatorCommand,
    ActuatorError,
    Task,
)

LIMIT = 120.0
"""Seconds that a person has for a task."""

AGREEING = ("", "y", "yes", "ok", "done")


class Operator:
    """Asks for one task at a time, however many devices need one.

    ``say`` writes a line for the person; answers are read from the descriptor ``source``.
    """

    can: Collection[ActuatorCommand] = POWER | OPERATING

    def __init__(
        self, say: Callable[[str], None] | None = None, *, source: int = 0, limit: float = LIMIT
    ) -> None:
        self._say = say or _to_standard_error
        self._source = source
        self._limit = limit
        self._turn = asyncio.Lock()
        self._number = 0
        self._read = b""
        self._is_file = False  # standard input is a file: all answers were written beforehand
        with contextlib.suppress(OSError):
            self._is_file = stat.S_ISREG(os.fstat(source).st_mode)
        self._gone = False  # standard input has ended

    async def perform(self, task: Task) -> str:
        """Ask, and wait for the answer. Raises ActuatorError without an answer, or if the answer is no."""
        async with self._turn:
            if self._gone:
                raise ActuatorError(f"no operator to {task}: standard input has ended")
            self._number += 1
            self._discard_early()
            self._say(
                f"harness asks {self._number} {task.command.value}: {task}, then press Enter. "
                'Type "no" if you cannot.'
            )
            try:
                async with asyncio.timeout(self._limit):
                    answer = await self._line()
            except TimeoutError:
                self._say(f"harness withdraws {self._number}: no answer")
                raise ActuatorError(
                    f"the operator did not {task}: no answer within {self._limit:g} s"
                ) from None
        if answer is None:
            raise ActuatorError(
                f"no operator to {task}: standard input has ended (pytest passes it on only with -s)"
            )
        if answer.lower() not in AGREEING:
            raise ActuatorError(f"the operator did not {task}: {answer}")
        return f"by hand: {task}"

    async def close(self) -> None:
        """Nothing to release."""

    def _discard_early(self) -> None:
        """Discard input from before the question; it is no answer to it."""
        if not self._is_file:
            self._read = b""
            with contextlib.suppress(OSError, ValueError):
                while select.select([self._source], [], [], 0)[0] and _take(self._source):
                    pass

    async def _line(self) -> str | None:
        """The next line; None at the end of input."""
        while b"\n" not in self._read:
            data = await _readable(self._source)
            if not data:
                self._gone = True
                return None
            self._read += data
        line, _, self._read = self._read.partition(b"\n")
        return line.decode(errors="replace").strip()


async def _readable(source: int) -> bytes:
    """Wait for input and return it; empty at the end."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    try:
        loop.add_reader(source, wake)
    except PermissionError:  # a file, which is always readable
        return _take(source)
    except (OSError, ValueError):
        return b""  # closed
    try:
        await ready
    finally:
        with contextlib.suppress(OSError, ValueError):
            loop.remove_reader(source)
    return _take(source)


def _take(source: int) -> bytes:
    # Input is there, so this does not block. Non-blocking mode would affect the terminal's output, too.
    try:
        return os.read(source, 4096)
    except OSError:
        return b""


def _to_standard_error(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


_operators: WeakKeyDictionary[asyncio.AbstractEventLoop, Operator] = WeakKeyDictionary()


def the_operator() -> Operator:
    """The one operator of this event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _operators:
        _operators[loop] = Operator()
    return _operators[loop]
