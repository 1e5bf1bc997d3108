"""The harness's Multicast DNS link (RFC 6762): it sends and receives raw packets and records each.

IPv4 only: devices must answer there as well, and one address family is enough to see their behaviour.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable, Iterable

from harness.links.clock.loopback import own_network
from harness.links.errors import LinkError
from harness.links.mdns.search import (
    SERVICE_TYPES,
    Found,
    Search,
)
from harness.links.net.interfaces import interface_of
from harness.links.net.stream import reason_of
from harness.links.net.udp import (
    Address,
    PortAllocator,
    UdpSocket,
    address_text,
    hear_only,
)
from harness.trace.events import Act, Direction, Event, MdnsPacket, Note, Stimulus
from harness.trace.recorder import Recorder
from harness.wire import mdns
from harness.wire.mdns.codec import RecordType
from harness.wire.mdns.link_text import link_text

GROUP = ("224.0.0.251", 5353)
LOOPBACK = "127.0.0.1"

_GROUP_TEXT = address_text(GROUP)
_MULTICAST_ALL = 49  # Linux; the socket module has no name for it
_UNDER_WAY = 4096  # packets of our own that multicast may still loop back
_QUESTIONS = 20  # per packet
_links = itertools.count()

FIRST_OWN = 224
"""Third number of automatically chosen addresses; lower ones are left for explicit choice."""


class MdnsLink:
    """Multicast DNS on the network of one device.

    ``interface`` is the IPv4 address of the network interface. On loopback every link uses its own 127.x
    address unless one is given: if all shared 127.0.0.1, unicast answers would reach the wrong link.

    Every packet from ``dut_address`` is recorded, and every packet that the link sends. Packets of other
    hosts are recorded only if they concern the device: they mention one of ``names`` or query one of its
    service types. ``names`` are domain names with ".local."; the link adds those that the device claims.

    ``ports`` allocates ports of the harness's address for queries that do not come from port 5353; by
    default the system chooses them.
    """

    def __init__(
        self,
        recorder: Recorder,
        interface: str = LOOPBACK,
        dut_address: str | None = None,
        names: Iterable[str] = (),
        ports: PortAllocator | None = None,
    ) -> None:
        self.dut_address = dut_address
        self._ports = ports
        self.hears_others = True  # False: as if only the device and the harness were on the link
        self._recorder = recorder
        self._address = _own_loopback_address() if interface == LOOPBACK else interface
        self._mentions: set[bytes] = set()  # in any packet
        self._asked_for: set[bytes] = set()  # in queries
        self._types: set[str] = set()
        self._sockets: list[UdpSocket] = []
        self._own: UdpSocket | None = None
        self._under_way: deque[tuple[Address, bytes]] = deque(maxlen=_UNDER_WAY)
        self._listeners: list[Callable[[bytes, str], None]] = []
        for name in (SERVICE_TYPES, *names):
            self.follow(name)

    @property
    def address(self) -> str:
        """The harness's own IP address on the link."""
        return self._address

    def follow(self, name: str) -> None:
        """Record other hosts' packets about a name of the device, or queries for its service type."""
        labels = [label.lower() for label in mdns.split_name(name)]
        if not labels:
            return
        # The rest of a name may be compressed; the first label of a reverse address is not significant.
        reverse = labels[-2:] == [b"in-addr", b"arpa"]
        wire = b"".join(bytes([len(label)]) + label for label in (labels[:-2] if reverse else labels[:1]))
        if labels[0].startswith(b"_"):
            self._asked_for.add(wire)
            self._types.add(name)
        else:
            self._mentions.add(wire)

    async def start(self) -> None:
        """Open the sockets. Raises LinkError if port 5353 or multicast is not available."""
        try:
            # Two sockets, to tell unicast from multicast.
            self._sockets.append(UdpSocket(socket.AF_INET, GROUP, self._from_group, prepare=self._join))
            own = UdpSocket(socket.AF_INET, (self._address, GROUP[1]), self._to_us, prepare=self._own_options)
        except OSError as problem:
            await self.close()
            raise LinkError(self._explain(problem)) from problem
        self._own = own
        self._sockets.append(own)
        interface = None if self._address.startswith("127.") else interface_of(self._address)
        if interface:
            self._recorder.record(Note(link_text(interface.network, interface.mtu)))

    async def close(self) -> None:
        """Close all sockets. Sends nothing."""
        for opened in self._sockets:
            opened.close()
        self._sockets.clear()
        self._own = None

    def send(self, raw: bytes, what: str | None = None) -> Event:
        """Multicast a packet from port 5353; returns its event. Raises LinkError if that fails."""
        if self._own is None:
            raise LinkError("the mDNS link is not open, so nothing can be sent")
        return self._multicast(self._own, raw, what)

    def send_legacy(self, raw: bytes, what: str | None = None) -> Event:
        """Multicast a query from another port (RFC 6762 6.7); unicast answers to it are recorded."""
        if self._own is None:
            raise LinkError("the mDNS link is not open, so nothing can be sent")

        def opening(own: Address) -> UdpSocket:
            def arrived(raw: bytes, source: Address) -> None:
                self._take(raw, source, address_text(opened.address), unicast=True)

            opened = UdpSocket(socket.AF_INET, own, arrived, prepare=self._multicast_options)
            return opened

        try:
            legacy = self._ports.open(opening) if self._ports else opening((self._address, 0))
        except OSError as problem:
            raise LinkError(self._explain(problem)) from problem
        self._sockets.append(legacy)
        return self._multicast(legacy, raw, what)

    async def find(self, name: str, within: float) -> Found:
        """Find a device by service instance ("Smart Plug", "Smart Plug._http._tcp.local") or host name.

        Sends queries, and repeats them with doubling intervals (RFC 6762 5.2), until the address is known.
        Raises LinkError if it is not found within ``within`` seconds; the message lists the instances seen.
        """
        search = Search(name, self._types - {SERVICE_TYPES})
        news = asyncio.Event()

        def heard(raw: bytes, source: str) -> None:
            if search.hear(mdns.decode(raw), source):
                news.set()

        self._listeners.append(heard)
        try:
            async with asyncio.timeout(within):
                return await self._search(search, news)
        except TimeoutError:
            raise LinkError(
                f'mDNS: "{name}" was not found within {within:g} s on the network of {self._address}: '
                f"{search.explain()}. Check the name, that the device is on, and that {self._address} is "
                "the address of this machine on its network"
            ) from None
        finally:
            self._listeners.remove(heard)

    async def _search(self, search: Search, news: asyncio.Event) -> Found:
        loop = asyncio.get_running_loop()
        asked: set[mdns.Question] = set()
        pause, again = 1.0, loop.time() + 1.0
        while not (found := search.result()):
            questions = [question for question in search.questions() if question not in asked]
            for at in range(0, len(questions), _QUESTIONS):
                self.send(mdns.encode_query(questions[at : at + _QUESTIONS]))
            asked.update(questions)
            news.clear()
            try:
                async with asyncio.timeout_at(again):
                    await news.wait()
            except TimeoutError:
                search.accept_hearsay()
                asked.clear()
                pause *= 2
                again = loop.time() + pause
        return found

    def _multicast(self, sender: UdpSocket, raw: bytes, what: str | None) -> Event:
        if what is not None:
            self._recorder.record(Stimulus(Act.RAW, what, transport="mdns"))
        sender.send(raw, GROUP)
        self._under_way.append((sender.address, raw))
        body = MdnsPacket(Direction.TO_DUT, address_text(sender.address), _GROUP_TEXT, raw)
        return self._recorder.record(body)

    def _from_group(self, raw: bytes, source: Address) -> None:
        if source[0] == self._address and (source, raw) in self._under_way:
            self._under_way.remove((source, raw))  # our own, looped back
            return
        self._take(raw, source, _GROUP_TEXT, unicast=False)

    def _to_us(self, raw: bytes, source: Address) -> None:
        self._take(raw, source, f"{self._address}:{GROUP[1]}", unicast=True)

    def _take(self, raw: bytes, source: Address, destination: str, *, unicast: bool) -> None:
        direction: Direction | None = None
        if source[0] == self.dut_address or (unicast and self._answers_for_dut(raw, source)):
            direction = Direction.FROM_DUT
            self._learn(mdns.decode(raw))
        elif self.hears_others and self._concerns(raw):
            direction = Direction.OTHER
        if direction:
            self._recorder.record(MdnsPacket(direction, address_text(source), destination, raw, unicast))
        for listener in self._listeners:
            listener(raw, source[0])

    def _answers_for_dut(self, raw: bytes, source: Address) -> bool:
        """Whether a unicast packet is from the device although it comes from another address.

        On loopback a program whose socket is not bound to an address answers from 127.0.0.1, whichever 127.x
        address it uses for multicast. The content shows whose answer it is.
        """
        on_loopback = self.dut_address is not None and self.dut_address.startswith("127.")
        return on_loopback and source == (LOOPBACK, GROUP[1]) and self._mentioned(raw.lower())

    def _concerns(self, raw: bytes) -> bool:
        """A cheap test whether another host's packet concerns the device."""
        text = raw.lower()  # label lengths are below "A" and stay unchanged
        is_query = len(raw) > 2 and not raw[2] & 0x80
        return self._mentioned(text) or (is_query and any(type in text for type in self._asked_for))

    def _mentioned(self, text: bytes) -> bool:
        return any(name in text for name in self._mentions)

    def _learn(self, message: mdns.Message) -> None:
        """Follow the names that the device claims in responses or probes."""
        for record in message.records if message.response else message.authorities:
            if record.type in _CLAIMS:
                self.follow(record.name)

    def _join(self, sock: socket.socket) -> None:
        _share_port(sock)
        if not self.hears_others and self.dut_address:
            hear_only(sock, (self._address, self.dut_address))
        if sys.platform == "linux":
            # Only packets of our interface, not of groups that other programs joined.
            sock.setsockopt(socket.IPPROTO_IP, _MULTICAST_ALL, 0)
        membership = struct.pack("4s4s", socket.inet_aton(GROUP[0]), self._packed_address())
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)

    def _own_options(self, sock: socket.socket) -> None:
        _share_port(sock)
        self._multicast_options(sock)

    def _multicast_options(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, self._packed_address())
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)  # the device may be on this machine
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)  # RFC 6762 11

    def _packed_address(self) -> bytes:
        try:
            return socket.inet_pton(socket.AF_INET, self._address)
        except OSError:
            raise OSError(errno.EINVAL, "not an IPv4 address") from None

    def _explain(self, problem: OSError) -> str:
        match problem.errno:
            case errno.EINVAL:
                return (
                    f"mDNS: {self._address!r} is not an IPv4 address; give the address of this machine on "
                    "the device's network, such as 192.0.2.7 (IPv6 is not supported)"
                )
            case errno.EADDRINUSE:
                return (
                    f"mDNS: another program uses UDP port {GROUP[1]} and does not share it; "
                    f"find it with `ss -ulpn sport = :{GROUP[1]}` and stop it, or make it share the port"
                )
            case errno.EADDRNOTAVAIL | errno.ENODEV:
                return (
                    f"mDNS: no network interface of this machine has the address {self._address}; give its "
                    "address on the device's network (`ip -4 address` lists them)"
                )
        return (
            f"mDNS: multicast is not available on the interface {self._address} ({reason_of(problem)}); "
            "check that the interface is up and allows multicast"
        )


_CLAIMS = frozenset({RecordType.A, RecordType.AAAA, RecordType.SRV, RecordType.TXT, RecordType.PTR})


def _share_port(sock: socket.socket) -> None:
    """Share port 5353 with other responders and browsers on this machine (RFC 6762 15.1)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "SO_REUSEPORT"):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def _own_loopback_address() -> str:
    """A 127.x address that no other link uses, or 127.0.0.1 if the system has no other."""
    third, fourth = divmod(next(_links), 250)
    candidate = f"127.{own_network()}.{FIRST_OWN + third % (256 - FIRST_OWN)}.{fourth + 1}"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((candidate, 0))
        except OSError:
            return LOOPBACK
    return candidate
