"""avahi-daemon with a D-Bus of its own, in a network namespace."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT
from tests.peers.namespaces import Namespace
from tests.peers.programs import Program, output

FIXTURES = ROOT / "fixtures" / "peers"
HOST = "kitchen"  # as avahi-daemon.conf has it


@dataclass(frozen=True)
class Avahi:
    """A running avahi-daemon. ``settings`` is the environment in which its tools find it."""

    inside: Namespace
    settings: dict[str, str]

    async def tool(self, *arguments: str) -> str:
        """What one of its command-line tools prints."""
        return await output(*arguments, inside=self.inside, settings=self.settings)

    def tool_at_work(self, *arguments: str) -> Program:
        """One of its tools that goes on until it is ended."""
        return Program(arguments, inside=self.inside, settings=self.settings)


@contextlib.asynccontextmanager
async def avahi(inside: Namespace, *, service: Path | None = None) -> AsyncIterator[Avahi]:
    """Start both in that namespace; ready once the names of ``service`` are taken, if there is one.

    avahi-daemon reads services at one place only; a file system of the namespace's own is laid over it.
    """
    settings = {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/run/peers-bus"}
    inside.run("mkdir", "/run/avahi-daemon")
    inside.run("mount", "-t", "tmpfs", "tmpfs", "/etc/avahi/services")
    if service is not None:
        inside.run("cp", service, "/etc/avahi/services")
    bus = ["dbus-daemon", f"--config-file={FIXTURES}/dbus.conf", "--nofork", "--nopidfile", "--print-address"]
    daemon = ["avahi-daemon", "--file", FIXTURES / "avahi-daemon.conf", "--no-drop-root", "--no-chroot"]
    async with Program(bus, inside=inside) as messages:
        await messages.says("unix:path=")
        async with Program([*daemon, "--no-rlimits"], inside=inside, settings=settings) as names:
            await names.says("Server startup complete")
            if service is not None:
                await names.says("successfully established")
            yield Avahi(inside, settings)
