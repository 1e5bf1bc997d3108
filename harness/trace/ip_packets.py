"""IP, UDP and TCP headers around recorded payloads, for packet tools."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntFlag
from ipaddress import IPv4Address, IPv6Address, ip_address

Address = IPv4Address | IPv6Address

_TCP, _UDP = 6, 17
_SEGMENT = 1400
_WINDOW = 65535
# The other side acknowledges at the latest after so many bytes, so that no window is full.
_UNACKNOWLEDGED = 32_000


@dataclass(frozen=True, slots=True)
class IpEndpoint:
    """An address and a port."""

    address: Address
    port: int

    @classmethod
    def parse(cls, text: str, otherwise: Address) -> IpEndpoint:
        """Read "192.0.2.7:5353" or "[::1]:5683"; a host that is not an address becomes ``otherwise``."""
        host, _, port = text.rpartition(":")
        try:
            number = int(port)
        except ValueError:
            host, number = text, 0
        return cls(address_of(host, otherwise), number if 0 <= number <= 0xFFFF else 0)


def address_of(text: str | None, otherwise: Address) -> Address:
    """Read an IP address, with or without brackets and zone; ``otherwise`` if it is not one."""
    try:
        return ip_address((text or "").strip("[]").partition("%")[0])
    except ValueError:
        return otherwise


def udp_packet(source: IpEndpoint, destination: IpEndpoint, payload: bytes) -> bytes:
    """An IP packet that holds one UDP datagram; ``payload`` has at most 65507 bytes, as on any wire."""
    length = 8 + len(payload)
    header = struct.pack("!HHHH", source.port, destination.port, length, 0)
    checksum = (
        _transport_checksum(source, destination, _UDP, header + payload) or 0xFFFF
    )  # RFC 768: 0 is "none"
    return _ip_packet(source, destination, _UDP, header[:6] + struct.pack("!H", checksum) + payload)


class Flags(IntFlag):
    """TCP control bits (RFC 9293, 3.1)."""

    FIN = 0x01
    SYN = 0x02
    RST = 0x04
    PSH = 0x08
    ACK = 0x10


@dataclass(slots=True)
class _Side:
    endpoint: IpEndpoint
    sequence: int  # of the next byte to send
    unacknowledged: int = 0  # bytes sent that the other side has not acknowledged
    closed: bool = False


@dataclass(slots=True)
class TcpStream:
    """The packets of one TCP connection, built from the payloads of both ends.

    Every method gives the IP packets for one happening, in order.
    """

    client: IpEndpoint
    server: IpEndpoint
    number: int = 0  # makes the initial sequence numbers of streams differ
    _sides: dict[bool, _Side] = field(init=False)

    def __post_init__(self) -> None:
        base = (self.number * 0x01000193) & 0x7FFFFFFF
        self._sides = {True: _Side(self.client, base), False: _Side(self.server, base + 0x40000000)}

    def open(self) -> Iterator[bytes]:
        """The three packets of the opening handshake."""
        yield self._packet(True, Flags.SYN, acknowledges=False)
        yield self._packet(False, Flags.SYN | Flags.ACK)
        yield self._packet(True, Flags.ACK)

    def refuse(self) -> Iterator[bytes]:
        """An attempt to connect that the server resets."""
        yield self._packet(True, Flags.SYN, acknowledges=False)
        yield self._packet(False, Flags.RST | Flags.ACK)

    def send(self, by_client: bool, payload: bytes) -> Iterator[bytes]:
        """Payload from one side, cut into segments."""
        sender = self._sides[by_client]
        for start in range(0, len(payload), _SEGMENT):
            if sender.unacknowledged > _UNACKNOWLEDGED:
                yield self._packet(not by_client, Flags.ACK)
            yield self._packet(by_client, Flags.PSH | Flags.ACK, payload[start : start + _SEGMENT])

    def close(self, by_client: bool) -> Iterator[bytes]:
        """Both sides close, the named one first."""
        for side in (by_client, not by_client):
            yield self._packet(side, Flags.FIN | Flags.ACK)
        yield self._packet(by_client, Flags.ACK)

    def reset(self, by_client: bool) -> Iterator[bytes]:
        """The named side resets the connection."""
        yield self._packet(by_client, Flags.RST | Flags.ACK)

    def _packet(
        self, by_client: bool, flags: Flags, payload: bytes = b"", *, acknowledges: bool = True
    ) -> bytes:
        sender, receiver = self._sides[by_client], self._sides[not by_client]
        header = struct.pack(
            "!HHIIBBHHH",
            sender.endpoint.port,
            receiver.endpoint.port,
            sender.sequence,
            receiver.sequence if acknowledges else 0,
            5 << 4,  # header length in words
            flags,
            _WINDOW,
            0,
            0,
        )
        checksum = _transport_checksum(sender.endpoint, receiver.endpoint, _TCP, header + payload)
        segment = header[:16] + struct.pack("!H", checksum) + header[18:] + payload
        sender.sequence = (
            sender.sequence + len(payload) + bool(flags & (Flags.SYN | Flags.FIN))
        ) & 0xFFFFFFFF
        sender.unacknowledged += len(payload)
        receiver.unacknowledged = 0
        return _ip_packet(sender.endpoint, receiver.endpoint, _TCP, segment)


def _ip_packet(source: IpEndpoint, destination: IpEndpoint, protocol: int, content: bytes) -> bytes:
    addresses = source.address.packed + destination.address.packed
    if source.address.version == 6:
        return struct.pack("!IHBB", 6 << 28, len(content), protocol, 64) + addresses + content
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(content), 0, 0x4000, 64, protocol, 0) + addresses
    return header[:10] + struct.pack("!H", _checksum(header)) + header[12:] + content


def _transport_checksum(source: IpEndpoint, destination: IpEndpoint, protocol: int, content: bytes) -> int:
    """Checksum over the pseudo-header (RFC 9293, 3.1; RFC 8200, 8.1) and ``content``."""
    addresses = source.address.packed + destination.address.packed
    if source.address.version == 6:
        return _checksum(addresses + struct.pack("!IxxxB", len(content), protocol) + content)
    return _checksum(addresses + struct.pack("!xBH", protocol, len(content)) + content)


def _checksum(data: bytes) -> int:
    """Internet checksum (RFC 1071)."""
    padded = data + b"\0" if len(data) % 2 else data
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
