"""Loopback addresses for simulated devices: each has one of its own, as devices on a network have.

With an address of its own every device keeps the ports that its profile declares, and its multicast
packets can be told from those of its neighbours.
"""

from __future__ import annotations

import atexit
import os
import socket
import sys
from dataclasses import dataclass
from functools import cache

PER_NETWORK = 250
NETWORKS = range(16, 216)  # of 127/8, for the processes of this machine


@dataclass(frozen=True, slots=True)
class DeviceAddress:
    """Where a simulated device lives, and the address from which the harness speaks to it."""

    device: str
    harness: str


SIMULATION = 10  # network of `harness simulate`: the same in every run, for people's own settings


def address_for(lane: int, network: int | None = None) -> DeviceAddress:
    """The addresses of lane number ``lane`` (from 0) of this process, in 127.``network``/16.

    By default that is a network which no other process has. Linux takes all of 127/8 as its own. Where the
    system does not, everybody shares 127.0.0.1.
    """
    network = own_network() if network is None else network
    third, fourth = divmod(lane, PER_NETWORK)
    address = DeviceAddress(
        f"127.{network}.{2 * third}.{fourth + 1}", f"127.{network}.{2 * third + 1}.{fourth + 1}"
    )
    return address if _usable(address.device) else DeviceAddress("127.0.0.1", "127.0.0.1")


@cache
def own_network() -> int:
    """The lowest network that no other process on this machine has; ours until this process ends.

    A run on its own always has the same addresses; several at the same time (pytest-xdist) never share any.
    """
    for network in NETWORKS if sys.platform == "linux" else ():
        # Names beginning with a null byte are not files: they are gone with their socket, and like addresses
        # they belong to a network namespace.
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0harness-network-{network}")
        except OSError:
            claim.close()
        else:
            atexit.register(claim.close)
            return network
    return NETWORKS[os.getpid() % len(NETWORKS)]


def _usable(host: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((host, 0))
        except OSError:
            return False
    return True
