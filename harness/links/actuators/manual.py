"""A person at the terminal who does what is asked, or a program in that person's place.

What is to be done is one line on standard error::

    harness asks 3 off: switch the power of plug off, then press Enter (no and Enter if it cannot be done)

The answer is one line on standard input: empty, or a word that agrees, when it is done; ``no``, with the
reason after it, when it cannot be done.
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
"""Seconds that a person has for a task. Nobody may be there at all."""

AGREEING = ("", "y", "yes", "ok", "done")


class Operator:
    """Asks one thing after another, however many devices want something done.

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
        self._is_file = False  # its lines were all written before anything was asked
        with contextlib.suppress(OSError):
            self._is_file = stat.S_ISREG(os.fstat(source).st_mode)
        self._gone = False  # standard input has ended: nobody will ever answer

    async def perform(self, task: Task) -> str:
        """Ask, and wait for the answer. Raises ActuatorError when nobody answers, or the answer is no."""
        async with self._turn:
            if self._gone:
                raise ActuatorError(f"nobody is there to {task}: standard input has ended")
            self._number += 1
            self._discard_early()
            self._say(
                f"harness asks {self._number} {task.deed.value}: {task}, then press Enter "
                "(no and Enter if it cannot be done)"
            )
            try:
                async with asyncio.timeout(self._limit):
                    answer = await self._line()
            except TimeoutError:
                self._say(f"harness asks no more for {self._number}: nobody answered")
                raise ActuatorError(f"nobody did: {task}; no answer within {self._limit:g} s") from None
        if answer is None:
            raise ActuatorError(
                f"nobody is there to {task}: standard input has ended (pytest passes it on with -s only)"
            )
        if answer.lower() not in AGREEING:
            raise ActuatorError(f"the operator did not {task}: {answer}")
        return f"by hand: {task}"

    async def close(self) -> None:
        """Nothing is held: the terminal is not ours."""

    def _discard_early(self) -> None:
        """An Enter too many, before anything was asked, is no answer to what is asked now."""
        if not self._is_file:
            self._read = b""
            with contextlib.suppress(OSError, ValueError):
                while select.select([self._source], [], [], 0)[0] and _take(self._source):
                    pass

    async def _line(self) -> str | None:
        """The next line; None when there will be none."""
        while b"\n" not in self._read:
            data = await _readable(self._source)
            if not data:
                self._gone = True
                return None
            self._read += data
        line, _, self._read = self._read.partition(b"\n")
        return line.decode(errors="replace").strip()


async def _readable(source: int) -> bytes:
    """What can be read now, as soon as there is something; empty at the end."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    try:
        loop.add_reader(source, wake)
    except PermissionError:  # a file: never to be waited for
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
    # Not made non-blocking: the terminal's output shares that setting. Something is there, so this returns.
    try:
        return os.read(source, 4096)
    except OSError:
        return b""


def _to_standard_error(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


_operators: WeakKeyDictionary[asyncio.AbstractEventLoop, Operator] = WeakKeyDictionary()


def the_operator() -> Operator:
    """The one person at this terminal, whoever asks."""
    loop = asyncio.get_running_loop()
    if loop not in _operators:
        _operators[loop] = Operator()
    return _operators[loop]
