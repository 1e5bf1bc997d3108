"""Eclipse Mosquitto as the broker, in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import hashlib
import os
import shutil
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from base64 import b64encode
from pathlib import Path

from harness.links.mqtt.brokers.address import (
    BrokerError,
    User,
)
from harness.links.mqtt.brokers.local import (
    START_LIMIT,
    STOP_LIMIT,
    LocalBroker,
)

PROGRAM = "mosquitto"
_ITERATIONS = 101  # of PBKDF2, Mosquitto's own number


class MosquittoBroker(LocalBroker):
    """A Mosquitto process with a configuration of its own in a temporary directory."""

    _process: Process | None = None
    _directory: tempfile.TemporaryDirectory[str] | None = None
    _log: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when Mosquitto says that it runs.

        Raises BrokerError when it is not installed, the port is in use, or it ends at once: then with
        the last line of its log.
        """
        if self._process is not None:
            return
        program = find_program(PROGRAM)
        try:
            await self._launch(program)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End Mosquitto and remove its files."""
        await self._end(kill=False)
        if self._directory:
            self._directory.cleanup()
            self._directory = None
        self._release()

    async def restart(self, *, wipe: bool) -> None:
        """End Mosquitto and start it again.

        It is killed and loses what it knew, or ends in order and comes back with it.
        """
        await self._end(kill=wipe)
        if wipe and self._directory:
            (Path(self._directory.name) / "mosquitto.db").unlink(missing_ok=True)
        await self.start()

    async def _launch(self, program: str) -> None:
        self._reserve()
        if self._directory is None:
            self._directory = tempfile.TemporaryDirectory(prefix="harness-mosquitto-")
        configuration = self._write_configuration(Path(self._directory.name))
        self._process = await asyncio.create_subprocess_exec(
            program, "-c", str(configuration), stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
        )
        running: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._log = asyncio.create_task(_follow(self._process, running))
        try:
            async with asyncio.timeout(START_LIMIT):
                await running
                await self._await_loop()
        except TimeoutError as problem:
            raise BrokerError(f"mosquitto does not run after {START_LIMIT:g} s") from problem

    async def _await_loop(self) -> None:
        """Wait until Mosquitto ends a connection over bad bytes: before that it may overlook a SIGTERM."""
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            writer.write(b"\0\0")
            with contextlib.suppress(OSError):
                writer.write_eof()
                await reader.read()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _write_configuration(self, directory: Path) -> Path:
        lines = [
            f"listener {self._port} {self._host}",
            f"allow_anonymous {'false' if self._users else 'true'}",
            "set_tcp_nodelay true",
            "sys_interval 0",  # nothing is published under $SYS
            "persistence true",  # on SIGTERM only: what restart() without wipe brings back
            "autosave_interval 0",
            f"persistence_location {directory}{os.sep}",
            "log_dest stderr",
            *(f"log_type {kind}" for kind in ("error", "warning", "notice", "information")),
            "connection_messages false",
            f"user {getpass.getuser()}",  # started by root it would drop to a user who cannot read the files
        ]
        if self._users:
            passwords = directory / "passwords"
            passwords.touch(mode=0o600)
            passwords.write_text("".join(map(_password_line, self._users)), encoding="utf-8")
            lines.append(f"password_file {passwords}")
        if self._tls_files:
            self._tls_files.server_context()  # has better error messages than Mosquitto
            lines.append(f"certfile {self._tls_files.certificate.resolve()}")
            lines.append(f"keyfile {self._tls_files.key.resolve()}")
        path = directory / "mosquitto.conf"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    async def _end(self, *, kill: bool) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill() if kill else process.terminate()
        try:
            async with asyncio.timeout(STOP_LIMIT):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        if self._log:
            await asyncio.gather(self._log, return_exceptions=True)
            self._log = None


def _password_line(user: User) -> str:
    """A line of Mosquitto's password file; its own program for that takes no colon in a password."""
    salt = os.urandom(12)
    key = hashlib.pbkdf2_hmac("sha512", user.password.encode(), salt, _ITERATIONS)
    return f"{user.name}:$7${_ITERATIONS}${b64encode(salt).decode()}${b64encode(key).decode()}\n"


def find_program(program: str) -> str:
    """Full path of a program of the Mosquitto package; Debian keeps the broker where users do not look."""
    places = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which(program, path=places)
    if found is None:
        raise BrokerError(
            f"{program} is not installed; install Mosquitto (Debian: apt install mosquitto) "
            "or use the embedded broker"
        )
    return found


async def _follow(process: Process, running: asyncio.Future[None]) -> None:
    """Read Mosquitto's log to its end, so that it never blocks; settle ``running`` by what it says."""
    assert process.stderr is not None
    last = "it said nothing"
    async for line in process.stderr:
        last = line.decode(errors="replace").strip() or last
        if last.endswith(" running") and not running.done():
            running.set_result(None)
    if not running.done():
        status = await process.wait()
        running.set_exception(BrokerError(f"mosquitto ended at once with status {status}: {last}"))
