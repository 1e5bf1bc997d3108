"""A lab for the tests: labgrid's own coordinator and exporter, one place, a board on a pseudo-terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import sys
import tty
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.peers.programs import Program, output

TOOLS = Path(sys.executable).parent
PLACE = "ac-1"
CHANGE_LIMIT = 60.0  # seconds for a place to be taken or released


@contextlib.contextmanager
def echoing_port() -> Iterator[str]:
    """The name of a serial port whose other end says everything back."""
    board, port = pty.openpty()
    tty.setraw(port)
    loop = asyncio.get_running_loop()
    loop.add_reader(board, lambda: os.write(board, os.read(board, 1024)))
    try:
        yield os.ttyname(port)
    finally:
        loop.remove_reader(board)
        os.close(board)
        os.close(port)


@dataclass(frozen=True)
class Lab:
    """The lab; ``environment`` is what a user of it has, ``switched`` what its power switch was told."""

    coordinator: str
    environment: Path
    switched: Path

    async def client(self, *words: str, user: str | None = None) -> str:
        """What ``labgrid-client`` says."""
        settings = {"LG_USERNAME": user} if user else {}
        line = [TOOLS / "labgrid-client", "-x", self.coordinator, *words]
        return await output(*line, settings=settings)

    async def holder(self) -> str:
        """Who has the place: ``None``, or a host and a user."""
        shown = await self.client("-p", PLACE, "show")
        return next(line.split(": ")[1] for line in shown.splitlines() if "acquired: " in line)

    async def is_free(self) -> None:
        """Wait until nobody has the place."""
        async with asyncio.timeout(CHANGE_LIMIT):
            while await self.holder() != "None":  # as often as the client can be asked
                pass

    async def is_switched(self, word: str) -> None:
        """Wait until the power is switched so."""
        self.switched.touch()
        async with Program(["tail", "--follow", "--lines=+1", self.switched]) as lines:
            await lines.says(word, within=CHANGE_LIMIT)


@contextlib.asynccontextmanager
async def lab_in(folder: Path, board: str | None = None) -> AsyncIterator[Lab]:
    """Start the lab, with its files in that folder; ``board`` is the port of a board, or it echoes."""
    switched = folder / "switched"
    unbuffered = {"PYTHONUNBUFFERED": "1"}
    # The coordinator keeps its places in the folder that it is started in.
    start = ["env", "-C", str(folder), TOOLS / "labgrid-coordinator", "-l", "127.0.0.1:0"]
    with contextlib.nullcontext(board) if board is not None else echoing_port() as port:
        exports = folder / "exports.yaml"
        exports.write_text(f"desk: {{ RawSerialPort: {{ port: {port} }} }}\n")
        async with Program(start, settings=unbuffered) as coordinator:
            address = (await coordinator.says("listening on ")).split()[-1]
            export = [TOOLS / "labgrid-exporter", "-c", address, "--name", "bench", "--hostname", "127.0.0.1"]
            async with Program([*export, exports], settings=unbuffered) as exporter:
                await exporter.says("connected to coordinator")
                lab = Lab(address, folder / "environment.yaml", switched)
                lab.environment.write_text(_ENVIRONMENT.format(lab=lab, place=PLACE))
                await lab.client("-p", PLACE, "create")
                await lab.client("-p", PLACE, "add-match", "bench/desk/*")
                yield lab


_ENVIRONMENT = """\
targets:
  main:
    resources:
      RemotePlace: {{ name: {place} }}
    drivers:
      SerialDriver: {{}}
      ExternalPowerDriver:
        cmd_on: 'sh -c "echo on >> {lab.switched}"'
        cmd_off: 'sh -c "echo off >> {lab.switched}"'
  local:
    resources:
      RawSerialPort: {{ port: /dev/null }}
    drivers:
      SerialDriver: {{}}
  nowhere:
    resources:
      RemotePlace: {{ name: no-such-place }}
options: {{ coordinator_address: "{lab.coordinator}" }}
"""
