"""A place of labgrid with a board: its serial port and its power, reserved for the run.

labgrid's own calls block, so they run in a process of their own (:mod:`harness.links.labgrid.holder`); this
is the harness's end of its pipes. Whatever becomes of the harness, the end of its pipe releases the place.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from harness.links.actuators import (
    POWER,
    ActuatorCommand,
    ActuatorError,
    Task,
)
from harness.links.errors import LinkError
from harness.links.labgrid import holder as labgrid_holder
from harness.links.labgrid.messages import (
    HeldResources,
    HolderProblem,
    HolderReply,
    Message,
    from_line,
    to_line,
)

ANSWER_LIMIT = 60.0  # seconds to acquire a place, or to switch its power
END_LIMIT = 30.0  # seconds to release it


class LabgridError(LinkError):
    """The place cannot be acquired; the message is for people."""


@dataclass(frozen=True, slots=True)
class LabgridTarget:
    """A target in an environment file of labgrid; ``serial``, ``power``: whether it has them."""

    environment: Path
    name: str
    serial: bool
    power: bool

    def __str__(self) -> str:
        return f"{self.name} of {self.environment}"


class LabgridPlace:
    """A target of labgrid, held from :meth:`open` to :meth:`close`."""

    def __init__(self, target: LabgridTarget) -> None:
        self._target = target
        self._process: Process | None = None
        self._turn = asyncio.Lock()

    async def open(self) -> HeldResources:
        """Acquire the place and wait for its resources. Raises LabgridError."""
        self._process = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                labgrid_holder.__name__,
                str(self._target.environment),
                self._target.name,
            ),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            start_new_session=True,  # Ctrl-C is handled by us
        )
        answer = await self._answer()
        if isinstance(answer, HeldResources):
            return answer
        raise LabgridError(f"labgrid, target {self._target}: {answer.text}")

    async def switch(self, word: str) -> str:
        """Switch the power ``on`` or ``off``; returns what labgrid did. Raises ActuatorError."""
        async with self._turn:
            assert self._process is not None and self._process.stdin is not None, "open() first"
            with contextlib.suppress(ConnectionError):  # then the process is gone and will not answer
                self._process.stdin.write(to_line(HolderReply(word)).encode())
                await self._process.stdin.drain()
            answer = await self._answer()
        if isinstance(answer, HolderReply):
            return answer.text
        text = answer.text if isinstance(answer, HolderProblem) else "unexpected answer"
        raise ActuatorError(f"labgrid, target {self._target}, power {word}: {text}")

    async def close(self) -> None:
        """Release the place. Raises LabgridError if it may not be released."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(END_LIMIT):
                rest, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise LabgridError(
                f"labgrid, target {self._target}: did not release the place within {END_LIMIT:g} s; "
                "labgrid-client shows who holds it"
            ) from None
        for line in rest.splitlines():
            if isinstance(last := from_line(line), HolderProblem):
                raise LabgridError(f"labgrid, target {self._target}, releasing the place: {last.text}")

    async def _answer(self) -> Message:
        assert self._process is not None and self._process.stdout is not None
        try:
            async with asyncio.timeout(ANSWER_LIMIT):
                line = await self._process.stdout.readline()
        except TimeoutError:
            return HolderProblem(f"no answer within {ANSWER_LIMIT:g} s")
        if not line:
            return HolderProblem("its process ended unexpectedly")
        return from_line(line)


class PlacePower:
    """Implements :class:`harness.links.actuators.Actuator` with a place, which its owner closes."""

    def __init__(self, place: LabgridPlace) -> None:
        self._place = place

    @property
    def can(self) -> Collection[ActuatorCommand]:
        """Power only."""
        return POWER

    async def perform(self, task: Task) -> str:
        """Switch the power. Raises ActuatorError."""
        return await self._place.switch(task.command.value)

    async def close(self) -> None:
        """Nothing to release."""
