"""The network interface that has an address: its IPv4 network and its MTU (Linux)."""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
import sys
from dataclasses import dataclass

_ADDRESS, _NETMASK, _MTU = 0x8915, 0x891B, 0x8921  # SIOCGIFADDR, SIOCGIFNETMASK, SIOCGIFMTU
_IFREQ = 40  # bytes
_IP_AT = 20  # where an IPv4 address stands in an ifreq


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface: its name, the IPv4 network of its first address, and its MTU in bytes."""

    name: str
    network: ipaddress.IPv4Network
    mtu: int


def interface_of(address: str) -> Interface | None:
    """The interface with this IPv4 address; None if there is none or the system cannot say."""
    if sys.platform != "linux":
        return None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, name in socket.if_nameindex():
            request = struct.pack(f"16s{_IFREQ - 16}x", name.encode()[:15])
            try:
                found = fcntl.ioctl(sock, _ADDRESS, request)[_IP_AT : _IP_AT + 4]
                if socket.inet_ntoa(found) != address:
                    continue
                mask = fcntl.ioctl(sock, _NETMASK, request)[_IP_AT : _IP_AT + 4]
                mtu: int = struct.unpack_from("=i", fcntl.ioctl(sock, _MTU, request), 16)[0]
            except OSError:  # no IPv4 address
                continue
            network = ipaddress.IPv4Network((address, socket.inet_ntoa(mask)), strict=False)
            return Interface(name, network, mtu)
    return None
