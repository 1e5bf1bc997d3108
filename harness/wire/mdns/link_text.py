"""What a trace says about the link of the device, as text: its IPv4 network and its MTU."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

_TEXT = re.compile(r"mDNS: the link is (\S+) with an MTU of (\d+) bytes")


@dataclass(frozen=True, slots=True)
class LinkProperties:
    """The IPv4 network of a link, and its MTU in bytes."""

    network: ipaddress.IPv4Network
    mtu: int


def link_text(network: ipaddress.IPv4Network, mtu: int) -> str:
    """The text of a note about the link."""
    return f"mDNS: the link is {network} with an MTU of {mtu} bytes"


def parse_link_text(text: str) -> LinkProperties | None:
    """What such a note says; None for any other text."""
    found = _TEXT.fullmatch(text)
    try:
        return LinkProperties(ipaddress.IPv4Network(found[1]), int(found[2])) if found else None
    except ValueError:
        return None
