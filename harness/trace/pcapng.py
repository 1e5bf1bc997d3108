"""Export of a trace to pcapng, for Wireshark, tshark and other packet tools.

A trace holds messages, not the packets that carried them, so IP, UDP and TCP around them are made up:
addresses and ports are the real ones where the trace has them, except that the broker is always at port
1883 and the DUT's CoAP endpoint at 5683, by which packet tools know the protocols. What the harness did
is written as comments on the packets that follow, verdicts on the packets that prove them.

Format: https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcapng/ (blocks SHB, IDB and EPB).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import BinaryIO, TypeAlias

from harness.errors import HarnessError
from harness.trace import readable
from harness.trace.events import (
    CheckEnded,
    CheckStarted,
    CoapDatagram,
    Connection,
    ConnectionChange,
    DeviceLost,
    Direction,
    Event,
    Fate,
    Judged,
    MdnsPacket,
    MqttPacket,
    Note,
    Point,
    RunStarted,
    SerialAnswer,
    SerialData,
    SerialPort,
    Stimulus,
    TcpProbe,
    TogetherStarted,
    Wait,
)
from harness.trace.ip_packets import (
    Address,
    IpEndpoint,
    TcpStream,
    address_of,
    udp_packet,
)

MQTT_PORT = 1883
COAP_PORT = 5683

# Addresses for documentation (RFC 5737) stand for hosts that the trace does not name.
_DEVICE = IPv4Address("192.0.2.1")
_BROKER = IPv4Address("192.0.2.2")
_CLIENT = IPv4Address("192.0.2.3")
_FURTHER = IPv4Address("192.0.2.10")  # … and those after it, where a run has several devices
_FIRST_PORT = 49152
_PORTS_EACH = 1000  # of our clients for each device

_ABOUT = (
    "Made from a trace of messages: IP, UDP and TCP headers are made up. The broker is shown at port 1883 "
    "and the DUT's CoAP endpoint at port 5683, whatever their ports were. 192.0.2.1 stands for a DUT of "
    "unknown address (192.0.2.11 and on for further ones), 192.0.2.2 for the broker, 192.0.2.3 for the "
    "harness's own MQTT client."
)

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_COMMENT, _INTERFACE_NAME, _APPLICATION, _RESOLUTION = 1, 2, 4, 9
_RAW_IP = 101  # LINKTYPE_RAW: packets begin with an IPv4 or IPv6 header
_NANOSECONDS = 9
_COMMENT_LENGTH = 2000


class ExportError(HarnessError):
    """A capture file that cannot be written: the message names it and says why."""


def export(events: Iterable[Event], path: Path) -> int:
    """Write the packets of a trace to ``path`` and return how many.

    Serial data has no packets and becomes comments. Raises ExportError when the file cannot be written.
    """
    known = list(events)
    start = _wall_clock(known)
    count = 0
    try:
        with path.open("wb") as file:
            _write_head(file)
            for frame in _frames(known):
                _write_packet(file, start, frame)
                count += 1
    except OSError as problem:
        raise ExportError(
            f"{path}: the capture cannot be written: {problem.strerror or problem}"
        ) from problem
    return count


@dataclass(frozen=True, slots=True)
class _Frame:
    """One IP packet; ``time`` in seconds since the start of the run."""

    time: float
    packet: bytes
    comments: tuple[str, ...] = ()


def _frames(events: Sequence[Event]) -> Iterator[_Frame]:
    exporter = _Exporter(events)
    for event in events:
        yield from exporter.frames(event)


class _Exporter:
    """Turns events into frames, one by one, keeping account of TCP connections and pending comments."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._devices = _device_addresses(events)
        self._streams: dict[_Key, TcpStream] = {}
        self._ends = _ends(events)
        self._verdicts = _verdicts(events)
        self._pending: list[str] = []
        self._probes = 0

    def frames(self, event: Event) -> Iterator[_Frame]:
        packets = list(self._packets(event))
        if not packets:
            comment = _comment(event)
            if comment:
                self._pending.append(comment)
            return
        comments = (*self._pending, *_remarks(event), *self._verdicts.get(event.line, ()))
        self._pending.clear()
        frames = [_Frame(event.time, packet) for packet in packets]
        # The first packet of an event may be a handshake; the one with its payload is the last.
        place = -1 if isinstance(event.body, MqttPacket) else 0
        frames[place] = replace(frames[place], comments=comments)
        yield from frames
        if isinstance(event.body, MqttPacket):
            yield from (_Frame(event.time, packet) for packet in self._delayed_end(event))

    def _packets(self, event: Event) -> Iterator[bytes]:
        device = self._devices[event.device]
        match event.body:
            case MqttPacket(point=point, raw=raw, direction=direction):
                key = _key(event, event.body)
                yield from self._opened(key)
                yield from self._streams[key].send(_by_client(point, direction), raw)
            case Connection():
                yield from self._connection(event.line, _key(event, event.body), event.body)
            case CoapDatagram(direction=direction, local=local, remote=remote, raw=raw):
                ours = IpEndpoint.parse(local, _CLIENT)
                theirs = replace(IpEndpoint.parse(remote, device), port=COAP_PORT)
                yield (
                    _datagram(theirs, ours, raw)
                    if direction is Direction.FROM_DUT
                    else _datagram(ours, theirs, raw)
                )
            case MdnsPacket(source=source, destination=destination, raw=raw):
                yield _datagram(IpEndpoint.parse(source, device), IpEndpoint.parse(destination, device), raw)
            case TcpProbe():
                yield from self._probe(event.body, device)

    def _connection(self, line: int, key: _Key, body: Connection) -> Iterator[bytes]:
        if body.change is ConnectionChange.OPENED:
            yield from self._opened(key)
        elif self._ends[key].line == line and self._ends[key].last_packet < line:
            yield from self._opened(key)
            yield from self._end(key, body)

    def _delayed_end(self, event: Event) -> Iterator[bytes]:
        """The end of a connection that was recorded before its last packet, as a tap may do."""
        assert isinstance(event.body, MqttPacket)
        key = _key(event, event.body)
        end = self._ends[key]
        if end.body and end.line < event.line == end.last_packet:
            yield from self._end(key, end.body)

    def _end(self, key: _Key, body: Connection) -> Iterator[bytes]:
        by_client = _by_client(body.point, body.by)
        stream = self._streams[key]
        yield from (
            stream.reset(by_client) if body.change is ConnectionChange.RESET else stream.close(by_client)
        )

    def _opened(self, key: _Key) -> Iterator[bytes]:
        """The handshake of a connection that is not open yet."""
        if key not in self._streams:
            device, point, connection = key
            address = self._devices[device] if point is Point.TAP else _CLIENT
            # Our clients for the devices of a run share an address, and so the ports of it.
            place = connection + list(self._devices).index(device) * _PORTS_EACH
            port = _FIRST_PORT + place % (0x10000 - _FIRST_PORT)
            broker = _BROKER if address.version == 4 else address
            stream = TcpStream(
                IpEndpoint(address, port), IpEndpoint(broker, MQTT_PORT), len(self._streams) + 1
            )
            self._streams[key] = stream
            yield from stream.open()

    def _probe(self, probe: TcpProbe, device: Address) -> Iterator[bytes]:
        self._probes += 1
        server = IpEndpoint(address_of(probe.host, device), probe.port)
        client_address = _CLIENT if server.address.version == 4 else server.address
        client = IpEndpoint(client_address, _FIRST_PORT + self._probes % (0x10000 - _FIRST_PORT))
        stream = TcpStream(client, server, len(self._streams) + 0x10000 + self._probes)
        if not probe.connected:
            yield from stream.refuse()
            return
        yield from stream.open()
        yield from stream.send(True, probe.sent)
        yield from stream.send(False, probe.answer)
        yield from stream.close(True)


def _device_addresses(events: Sequence[Event]) -> dict[str | None, Address]:
    """The address of each device; where there is but one, its name is None."""
    devices = dict.fromkeys([None, *(event.device for event in events)])
    return {
        device: _device_address(
            [event for event in events if event.device == device], _DEVICE if not at else _FURTHER + at
        )
        for at, device in enumerate(devices)
    }


def _device_address(events: Iterable[Event], unknown: Address) -> Address:
    """The DUT's address: as the run declares it, or as its first datagram shows it."""
    for event in events:
        found = unknown
        match event.body:
            case RunStarted(host=host):
                found = address_of(host, unknown)
            case CoapDatagram(remote=remote):
                found = IpEndpoint.parse(remote, unknown).address
            case MdnsPacket(direction=Direction.FROM_DUT, source=source):
                found = IpEndpoint.parse(source, unknown).address
        if found != unknown:
            return found
    return unknown


_Key: TypeAlias = tuple[str | None, Point, int]
"""A TCP connection: whose it is, where it was seen, and its number there."""


def _key(event: Event, body: MqttPacket | Connection) -> _Key:
    return event.device, body.point, body.connection


@dataclass(frozen=True, slots=True)
class _End:
    """How a TCP connection ended (``body`` at ``line``, if it did), and the line of its last packet."""

    body: Connection | None = None
    line: int = 0
    last_packet: int = 0


def _ends(events: Iterable[Event]) -> dict[_Key, _End]:
    ends: dict[_Key, _End] = {}
    for event in events:
        if isinstance(event.body, MqttPacket | Connection):
            key = _key(event, event.body)
            end = ends.setdefault(key, _End())
            if isinstance(event.body, MqttPacket):
                ends[key] = replace(end, last_packet=event.line)
            elif event.body.change is not ConnectionChange.OPENED and end.body is None:
                ends[key] = replace(end, body=event.body, line=event.line)
            else:
                ends[key] = end
    return ends


def _by_client(point: Point, direction: Direction) -> bool:
    """Whether the TCP client spoke: the DUT at the tap, our own client on its connection."""
    return (direction is Direction.FROM_DUT) if point is Point.TAP else (direction is Direction.TO_DUT)


def _datagram(source: IpEndpoint, destination: IpEndpoint, payload: bytes) -> bytes:
    if source.address.version != destination.address.version:  # one of them was made up
        source = replace(source, address=destination.address)
    return udp_packet(source, destination, payload)


def _verdicts(events: Iterable[Event]) -> dict[int, list[str]]:
    """By line, the verdicts other than a pass that the line is evidence for."""
    found: dict[int, list[str]] = {}
    for event in events:
        if isinstance(event.body, Judged) and event.body.verdict != "pass":
            for line in event.body.events:
                found.setdefault(line, []).append(readable.summary_of(event))
    return found


_COMMENTED = (
    Stimulus | CheckStarted | CheckEnded | DeviceLost | Wait | Note | SerialData | SerialPort | SerialAnswer
)


def _comment(event: Event) -> str | None:
    if isinstance(event.body, _COMMENTED):
        return readable.summary_of(event)
    return None


def _remarks(event: Event) -> Iterator[str]:
    if isinstance(event.body, MqttPacket) and event.body.fate is Fate.DROPPED:
        yield "dropped at the tap: not passed on"
    if isinstance(event.body, MqttPacket) and event.body.fate is Fate.INJECTED:
        yield "injected by the harness"
    if (
        isinstance(event.body, CoapDatagram)
        and IpEndpoint.parse(event.body.remote, _DEVICE).port != COAP_PORT
    ):
        yield f"the DUT's endpoint was {event.body.remote}"


def _wall_clock(events: Iterable[Event]) -> int:
    """Nanoseconds since 1970 at the start of the run; 0 where the trace does not tell."""
    for event in events:
        if isinstance(event.body, RunStarted | TogetherStarted):
            try:
                return round(datetime.fromisoformat(event.body.wall_time).timestamp() * 1e9)
            except ValueError:
                return 0
    return 0


def _write_head(file: BinaryIO) -> None:
    section = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
    _write_block(file, _SECTION, section + _options((_COMMENT, _ABOUT), (_APPLICATION, "appliance-harness")))
    interface = struct.pack("<HHI", _RAW_IP, 0, 0)
    resolution = struct.pack("<HHB3x", _RESOLUTION, 1, _NANOSECONDS)
    _write_block(file, _INTERFACE, interface + resolution + _options((_INTERFACE_NAME, "trace")))


def _write_packet(file: BinaryIO, start: int, frame: _Frame) -> None:
    time = max(0, start + round(frame.time * 1e9))
    size = len(frame.packet)
    head = struct.pack("<IIIII", 0, time >> 32, time & 0xFFFFFFFF, size, size)
    comments = _options(*((_COMMENT, comment) for comment in frame.comments)) if frame.comments else b""
    _write_block(file, _PACKET, head + _padded(frame.packet) + comments)


def _write_block(file: BinaryIO, kind: int, body: bytes) -> None:
    length = struct.pack("<I", 12 + len(body))
    file.write(struct.pack("<I", kind) + length + body + length)


def _options(*options: tuple[int, str]) -> bytes:
    written = b""
    for code, text in options:
        value = text[:_COMMENT_LENGTH].encode("utf-8", "backslashreplace")
        written += struct.pack("<HH", code, len(value)) + _padded(value)
    return written + struct.pack("<HH", 0, 0)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
