"""A command of the lab, such as one that switches a port of a USB hub or an outlet of a power strip."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Collection
from string import Formatter

from harness.links.actuators import (
    OPERATING,
    POWER,
    ActuatorCommand,
    ActuatorError,
    Task,
)

LIMIT = 60.0
"""Timeout of a command in seconds."""

KEPT = 400
"""Characters of its output that are recorded."""

FIELDS = ("action", "name", "value", "device")


class CommandActuator:
    """Runs the words of a template; ``{action}``, ``{name}``, ``{value}`` and ``{device}`` are filled in.

    No shell is involved, so no value is taken for a command. Raises ActuatorError for a wrong template.
    """

    def __init__(self, template: str, *, limit: float = LIMIT) -> None:
        self._limit = limit
        try:
            self._words = shlex.split(template)
            named = {
                name for word in self._words for _, name, _, _ in Formatter().parse(word) if name is not None
            }
        except ValueError as problem:
            raise ActuatorError(f"the command {template!r} is malformed: {problem}") from None
        if not self._words:
            raise ActuatorError("the command is empty; name a program, such as: uhubctl -p 2 -a {action}")
        unknown = sorted(named - set(FIELDS))
        if unknown:
            known = ", ".join(f"{{{name}}}" for name in FIELDS)
            raise ActuatorError(f"the command {template!r} has {{{unknown[0]}}}; known are {known}")
        self._named = named

    @property
    def can(self) -> Collection[ActuatorCommand]:
        """The commands that its template can distinguish."""
        if "action" not in self._named:
            return frozenset()
        return POWER | OPERATING if "name" in self._named else POWER

    async def perform(self, task: Task) -> str:
        """Run the command. Raises ActuatorError if it fails, times out or cannot be started."""
        filled = {
            "action": task.command.value,
            "name": task.name or "",
            "value": task.value or "",
            "device": task.device,
        }
        words = [word.format(**filled) for word in self._words]
        shown = shlex.join(words)
        try:
            process = await asyncio.create_subprocess_exec(
                *words, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, start_new_session=True
            )
        except OSError as problem:
            raise ActuatorError(f"{shown}: cannot be started: {problem.strerror}") from problem
        try:
            async with asyncio.timeout(self._limit):
                output, _ = await process.communicate()
        except TimeoutError:
            raise ActuatorError(f"{shown}: did not end within {self._limit:g} s and was stopped") from None
        finally:
            await _end(process)
        said = _shortened(output)
        if process.returncode:
            raise ActuatorError(
                f"{shown}: ended with status {process.returncode}{f': {said}' if said else ''}"
            )
        return f"{shown}{f': {said}' if said else ''}"

    async def close(self) -> None:
        """Nothing to release."""


async def _end(process: Process) -> None:
    """Kill a command that is still running, and its children."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _shortened(output: bytes) -> str:
    text = " ".join(output.decode(errors="replace").split())
    return text if len(text) <= KEPT else text[: KEPT - 1] + "…"
