"""Loopback addresses for simulated devices: one each, as on a real network.

With its own address, a device can use the ports that its profile declares, and its multicast packets can be
distinguished from those of its neighbours.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass

from harness.links.clock.loopback import own_network

PER_NETWORK = 250


@dataclass(frozen=True, slots=True)
class DeviceAddress:
    """The address of a simulated device, and the one from which the harness talks to it."""

    device: str
    harness: str


SIMULATION = 10  # network of `harness simulate`: the same in every run


def address_for(lane: int, network: int | None = None) -> DeviceAddress:
    """The addresses of lane number ``lane`` (from 0) of this process, in 127.``network``/16.

    By default, the network is one that no other process uses. On systems other than Linux, where only
    127.0.0.1 exists, everybody shares that.
    """
    network = own_network() if network is None else network
    third, fourth = divmod(lane, PER_NETWORK)
    address = DeviceAddress(
        f"127.{network}.{2 * third}.{fourth + 1}", f"127.{network}.{2 * third + 1}.{fourth + 1}"
    )
    return address if _usable(address.device) else DeviceAddress("127.0.0.1", "127.0.0.1")


def _usable(host: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((host, 0))
        except OSError:
            return False
    return True
