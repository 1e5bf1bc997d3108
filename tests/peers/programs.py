"""Programs that others wrote, and our own command line, as processes that end with the test."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.cli.running import command, environment
from tests.peers.namespaces import Namespace

ANSWER_LIMIT = 20.0  # seconds for a program to say what it is waited for
CHECK_LIMIT = 1800.0  # seconds for a whole run of checks
END_LIMIT = 10.0


class Program:
    """A program at work: what it prints can be waited for; leaving the context ends it."""

    def __init__(
        self,
        arguments: Sequence[str | Path],
        *,
        inside: Namespace | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._arguments = inside.command(arguments) if inside else [str(part) for part in arguments]
        self._settings = {**environment(), **(settings or {})}
        self._process: Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._told = 0  # lines that were given out by says()
        self.lines: list[str] = []

    async def __aenter__(self) -> Self:
        # Line by line, also into a pipe: what is printed is waited for.
        buffered = ["stdbuf", "--output=L", *self._arguments]
        self._process = await asyncio.create_subprocess_exec(
            *buffered, stdout=PIPE, stderr=STDOUT, env=self._settings, limit=1 << 20
        )
        self._reader = asyncio.create_task(self._read(self._process))
        return self

    async def __aexit__(self, *problem: object) -> None:
        if self._running.returncode is None:
            self._running.terminate()
        try:
            await asyncio.wait_for(self._ended(), END_LIMIT)
        except TimeoutError:
            self._running.kill()
            await self._ended()

    async def says(self, text: str, *, within: float = ANSWER_LIMIT) -> str:
        """Wait for the next line with ``text`` in it, and return that line."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while True:
                    ended = self._has_ended
                    while self._told < len(self.lines):
                        self._told += 1
                        if text in self.lines[self._told - 1]:
                            return self.lines[self._told - 1]
                    if ended:
                        break
                    self._news.clear()
                    await self._news.wait()
        raise AssertionError(f"{self._arguments} did not say {text!r}: {self.lines}")

    async def ends(self, *, within: float = ANSWER_LIMIT) -> str:
        """Wait for its end by itself; returns all that it printed."""
        async with asyncio.timeout(within):
            await self._ended()
        return "\n".join(self.lines)

    @property
    def status(self) -> int | None:
        """Its exit status, once it has ended."""
        return self._running.returncode

    @property
    def _running(self) -> Process:
        assert self._process is not None, "not started"
        return self._process

    @property
    def _has_ended(self) -> bool:
        return self._reader is not None and self._reader.done()

    async def _read(self, process: Process) -> None:
        """Take all that it prints, so that it never waits for us."""
        assert process.stdout is not None
        async for raw in process.stdout:
            self.lines.append(raw.decode(errors="replace").rstrip("\n"))
            self._news.set()
        await process.wait()
        self._news.set()

    async def _ended(self) -> None:
        assert self._reader is not None, "not started"
        await asyncio.shield(self._reader)


async def output(
    *arguments: str | Path, inside: Namespace | None = None, settings: Mapping[str, str] | None = None
) -> str:
    """Run a program to its end, and return what it printed."""
    async with Program(arguments, inside=inside, settings=settings) as program:
        return await program.ends()


@dataclass(frozen=True)
class Verdicts:
    """What a run of ``harness check`` came to."""

    status: int
    printed: str
    report: Mapping[str, Any]

    @property
    def by_name(self) -> dict[str, str]:
        """Verdicts by ``CHECK`` or ``CHECK[subject/transport]``."""
        return {_name(item): item["verdict"] for item in self.report["verdicts"]}

    @property
    def not_passed(self) -> dict[str, str]:
        """Those that applied and are no pass."""
        passed = ("pass", "not-applicable")
        return {name: verdict for name, verdict in self.by_name.items() if verdict not in passed}

    @property
    def told(self) -> str:
        """Everything that did not pass, with its message, for the reader of a failed test."""
        return "\n".join(
            f"{_name(item)}: {item['verdict']}: {item['message']}"
            for item in self.report["verdicts"]
            if _name(item) in self.not_passed
        )

    def passed(self, area: str) -> list[str]:
        """The checks of an area that passed."""
        return [
            _name(item)
            for item in self.report["verdicts"]
            if item["area"] == area and item["verdict"] == "pass"
        ]

    def reasons(self, verdict: str) -> dict[str, str]:
        """The messages of all that have that verdict."""
        return {
            _name(item): item["message"] for item in self.report["verdicts"] if item["verdict"] == verdict
        }


async def check(
    *arguments: str | Path, report: Path, without: str | None = None, inside: Namespace | None = None
) -> Verdicts:
    """``harness check`` with those arguments, in a process of its own; ``without`` leaves out one check."""
    line = ["check", *arguments, "--report", report]
    line += ["--pytest", "-k", f"not {without}"] if without else []
    async with Program(command(*line), inside=inside) as program:
        printed = await program.ends(within=CHECK_LIMIT)
    assert "Traceback" not in printed, printed
    assert program.status is not None
    assert (report / "report.json").exists(), printed
    return Verdicts(program.status, printed, json.loads((report / "report.json").read_text()))


def own_address() -> str:
    """A loopback address that no other test process uses: every port of it is free."""
    return f"127.{230 + os.getpid() % 20}.{os.getpid() // 20 % 250}.9"


def _name(item: Mapping[str, Any]) -> str:
    subject = "/".join(part for part in (item["subject"], item["transport"]) if part)
    return f"{item['check']}[{subject}]" if subject else str(item["check"])
