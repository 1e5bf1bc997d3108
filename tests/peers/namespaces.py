"""Network namespaces for tests: links of their own between programs, gone when the test ends.

Each namespace lives as long as a process that holds it open, so nothing is left behind, whatever happens
to the tests. They are mount namespaces, too: avahi-daemon keeps its files at fixed places below /run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

OURS = "192.0.2.1"  # RFC 5737: addresses that belong to nobody
THEIRS = "192.0.2.2"

_PROGRAMS = ("unshare", "nsenter", "ip", "mount")
_NEW = ("unshare", "--net", "--mount")
_NEW_FOR_USERS = ("unshare", "--user", "--map-root-user", "--net", "--mount")
_HOLD = "ip link set lo up && mount -t tmpfs tmpfs /run && echo ready && read -r _"


class Namespace:
    """A network of its own, with loopback only. ``inside``: the namespace whose user owns it, too."""

    def __init__(self, inside: Namespace | None = None) -> None:
        command = [*(_new() if inside is None else _NEW), "sh", "-c", _HOLD]
        if inside is not None:
            command = inside.command(command)
        # It ends when its standard input does: with us at the latest.
        self._holder = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._holder.stdout is not None and self._holder.stderr is not None
        if self._holder.stdout.readline() != "ready\n":
            self._holder.wait()
            raise OSError(f"no network namespace: {self._holder.stderr.read().strip()}")

    @property
    def holder(self) -> int:
        """The process that holds it open."""
        return self._holder.pid

    def command(self, arguments: Sequence[str | Path]) -> list[str]:
        """The command that runs ``arguments`` here."""
        user = ["--user", "--preserve-credentials"] if os.getuid() else []
        enter = ["nsenter", "--target", str(self.holder), *user, "--net", "--mount", "--"]
        return [*enter, *map(str, arguments)]

    def run(self, *arguments: str | Path) -> str:
        """Run a program here to its end; returns what it printed."""
        done = subprocess.run(self.command(arguments), capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout

    def close(self) -> None:
        """End it, and with it its interfaces. Programs in it have to be ended before."""
        self._holder.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()


class Link:
    """Two namespaces on one Ethernet: ``ours`` has the address 192.0.2.1, ``theirs`` 192.0.2.2."""

    def __init__(self) -> None:
        self.ours = Namespace()
        self.theirs = Namespace(inside=self.ours)
        self.ours.run(
            *("ip", "link", "add", "lab", "type", "veth"),
            *("peer", "name", "device", "netns", str(self.theirs.holder)),
        )
        for namespace, name, address in ((self.ours, "lab", OURS), (self.theirs, "device", THEIRS)):
            namespace.run("ip", "address", "add", f"{address}/24", "dev", name)
            namespace.run("ip", "link", "set", name, "up")

    def close(self) -> None:
        """End both."""
        self.theirs.close()
        self.ours.close()


def _new() -> Sequence[str]:
    return _NEW if os.getuid() == 0 else _NEW_FOR_USERS


@cache
def why_not() -> str | None:
    """Why there are no network namespaces to be had here; None when there are."""
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"{', '.join(missing)} not installed (Debian packages util-linux and iproute2)"
    try:
        Link().close()
    except (OSError, AssertionError) as problem:
        return f"no network namespaces with a veth link here (they need root, or user namespaces): {problem}"
    return None


def needs_namespaces() -> pytest.MarkDecorator:
    """Skip, with the reason, where this system lets us have no network namespaces."""
    reason = why_not()
    return pytest.mark.skipif(reason is not None, reason=reason or "")
