"""Helpers for mDNS faults: the responder of a device, and changes of its packets."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.model.profile import Profile
from harness.simulate.mdns.codec import RESPONSE
from harness.simulate.mdns.sockets import PacketFilter

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice
    from harness.simulate.mdns.responder import SimulatedMdnsResponder

OPCODE, RCODE = 0x7800, 0x000F  # masks in the flags (RFC 6762, 18.3 and 18.11)


def announces(profile: Profile) -> bool:
    """A device with an mDNS binding."""
    return profile.bindings.mdns is not None


def offers_services(profile: Profile) -> bool:
    """A device with a DNS-SD service."""
    return profile.bindings.mdns is not None and bool(profile.bindings.mdns.services)


def responder(device: SimulatedDevice) -> SimulatedMdnsResponder:
    """The mDNS responder of a device that has one."""
    assert device.mdns is not None, "the fault does not apply to this device"
    return device.mdns


def flags_of(packet: bytes) -> int:
    """The flags of a packet (RFC 6762, 18.2 to 18.11)."""
    return int.from_bytes(packet[2:4], "big")


def with_flags(packet: bytes, flags: int) -> bytes:
    """The packet with other flags."""
    return packet[:2] + flags.to_bytes(2, "big") + packet[4:]


def only_responses(change: Callable[[bytes], bytes]) -> PacketFilter:
    """A filter that changes responses and passes queries unchanged."""
    return lambda packet: [change(packet) if flags_of(packet) & RESPONSE else packet]


def offers_subtypes(profile: Profile) -> bool:
    """A device with a subtype of its service."""
    mdns = profile.bindings.mdns
    return mdns is not None and any(service.subtypes for service in mdns.services)


def named_with_dot(profile: Profile) -> bool:
    """A device with a dot in the instance name of a service."""
    mdns = profile.bindings.mdns
    return mdns is not None and any("." in service.instance for service in mdns.services)


def declared_txt(profile: Profile) -> tuple[bytes, ...]:
    """The strings of the TXT record of the first service."""
    services = profile.bindings.mdns.services if profile.bindings.mdns else ()
    return tuple(f"{key}={value}".encode() for service in services[:1] for key, value in service.txt.items())


def named_beyond_ascii(profile: Profile) -> bool:
    """A device with a service whose name has non-ASCII letters."""
    mdns = profile.bindings.mdns
    return mdns is not None and not all(service.instance.isascii() for service in mdns.services)


def points_to_itself(packet: bytes) -> bool:
    """Whether a packet contains a compression pointer to itself."""
    places = range(12, min(len(packet) - 1, 0x3FFF))
    return any(int.from_bytes(packet[at : at + 2], "big") == 0xC000 | at for at in places)


def says_goodbye(profile: Profile) -> bool:
    """A device with a service and a declared goodbye."""
    mdns = profile.bindings.mdns
    return offers_services(profile) and mdns is not None and mdns.goodbye
