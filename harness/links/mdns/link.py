"""The harness' own Multicast DNS link (RFC 6762): raw packets in and out, each one in the trace.

IPv4 only: devices have to answer there, too, and one address family is enough to see what they do.
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
from harness.links.net.stream import reason_of
from harness.links.net.udp import (
    Address,
    PortAllocator,
    UdpSocket,
    address_text,
    hear_only,
)
from harness.trace.events import Act, Direction, Event, MdnsPacket, Stimulus
from harness.trace.recorder import Recorder
from harness.wire import mdns
from harness.wire.mdns.codec import RecordType

GROUP = ("224.0.0.251", 5353)
LOOPBACK = "127.0.0.1"

_GROUP_TEXT = address_text(GROUP)
_MULTICAST_ALL = 49  # Linux; the socket module has no name for it
_UNDER_WAY = 4096  # packets of our own that may be on their way back to us
_QUESTIONS = 20  # in one packet
_links = itertools.count()

FIRST_OWN = 224
"""Third number of the addresses that links choose themselves; those below are left to whoever names one."""


class MdnsLink:
    """Multicast DNS on the network of one DUT.

    ``interface`` is the IPv4 address of the network interface. On loopback every link takes a 127.x address
    of its own unless one is given: with 127.0.0.1 for all, unicast answers would reach anybody.

    Every packet of ``dut_address`` is recorded, and every packet that we send. Of what others say only that
    is recorded which has to do with the DUT: it mentions one of ``names``, or asks for one of its service
    types. ``names`` are domain names with ".local."; the link adds those that the DUT claims.

    ``ports`` are those of our own address for queries that do not come from port 5353; by default the system
    chooses them.
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
        self.hears_others = True  # False: as if the DUT and we were alone on the link
        self._recorder = recorder
        self._address = _own_loopback_address() if interface == LOOPBACK else interface
        self._mentions: set[bytes] = set()  # in any packet
        self._asked_for: set[bytes] = set()  # in queries
        self._types: set[str] = set()
        self._sockets: list[UdpSocket] = []
        self._own: UdpSocket | None = None
        self._under_way: deque[tuple[Address, bytes]] = deque(maxlen=_UNDER_WAY)
        self._listeners: list[Callable[[bytes], None]] = []
        for name in (SERVICE_TYPES, *names):
            self.follow(name)

    @property
    def address(self) -> str:
        """Our own IP address on the link."""
        return self._address

    def follow(self, name: str) -> None:
        """Record from now on what others say about a name of the DUT, or ask about its service type."""
        labels = [label.lower() for label in mdns.split_name(name)]
        if not labels:
            return
        # The rest of a name may be compressed; an address turned round says nothing by its first label.
        reverse = labels[-2:] == [b"in-addr", b"arpa"]
        wire = b"".join(bytes([len(label)]) + label for label in (labels[:-2] if reverse else labels[:1]))
        if labels[0].startswith(b"_"):
            self._asked_for.add(wire)
            self._types.add(name)
        else:
            self._mentions.add(wire)

    async def start(self) -> None:
        """Open the sockets. Raises LinkError when port 5353 or multicast is not to be had."""
        try:
            # Two sockets, so that what came by unicast is known from what came by multicast.
            self._sockets.append(UdpSocket(socket.AF_INET, GROUP, self._from_group, prepare=self._join))
            own = UdpSocket(socket.AF_INET, (self._address, GROUP[1]), self._to_us, prepare=self._own_options)
        except OSError as problem:
            await self.close()
            raise LinkError(self._explain(problem)) from problem
        self._own = own
        self._sockets.append(own)

    async def close(self) -> None:
        """Close all sockets. Nothing is sent."""
        for opened in self._sockets:
            opened.close()
        self._sockets.clear()
        self._own = None

    def send(self, raw: bytes, what: str | None = None) -> Event:
        """Multicast a packet from port 5353; returns its event. Raises LinkError when that fails."""
        if self._own is None:
            raise LinkError("the mDNS link is not open: nothing can be sent")
        return self._multicast(self._own, raw, what)

    def send_legacy(self, raw: bytes, what: str | None = None) -> Event:
        """Multicast a query from a port of its own (RFC 6762 6.7); unicast answers to it are recorded."""
        if self._own is None:
            raise LinkError("the mDNS link is not open: nothing can be sent")

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

        Asks, and asks again after pauses that double (RFC 6762 5.2), until the address is known. Raises
        LinkError when it is not within ``within`` seconds; the message lists the instances that were seen.
        """
        search = Search(name, self._types - {SERVICE_TYPES})
        news = asyncio.Event()

        def heard(raw: bytes) -> None:
            if search.hear(mdns.decode(raw)):
                news.set()

        self._listeners.append(heard)
        try:
            async with asyncio.timeout(within):
                return await self._search(search, news)
        except TimeoutError:
            raise LinkError(
                f'mDNS: "{name}" was not found within {within:g} s on the network of {self._address}: '
                f"{search.explain()}. Check the name, that the device is on, and that {self._address} is "
                "our address on its network"
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
            listener(raw)

    def _answers_for_dut(self, raw: bytes, source: Address) -> bool:
        """Tell whether a unicast packet is the DUT's although it comes from another address.

        On loopback a program whose socket is bound to no address answers from 127.0.0.1, whichever of the
        127.x addresses it uses for multicast. What it says tells whose answer it is.
        """
        on_loopback = self.dut_address is not None and self.dut_address.startswith("127.")
        return on_loopback and source == (LOOPBACK, GROUP[1]) and self._mentioned(raw.lower())

    def _concerns(self, raw: bytes) -> bool:
        """Tell cheaply whether a packet of somebody else has to do with the DUT."""
        text = raw.lower()  # the lengths of labels are below "A" and stay as they are
        is_query = len(raw) > 2 and not raw[2] & 0x80
        return self._mentioned(text) or (is_query and any(type in text for type in self._asked_for))

    def _mentioned(self, text: bytes) -> bool:
        return any(name in text for name in self._mentions)

    def _learn(self, message: mdns.Message) -> None:
        """Follow the names that the DUT claims, in responses or by probing."""
        for record in message.records if message.response else message.authorities:
            if record.type in _CLAIMS:
                self.follow(record.name)

    def _join(self, sock: socket.socket) -> None:
        _share_port(sock)
        if not self.hears_others and self.dut_address:
            hear_only(sock, (self._address, self.dut_address))
        if sys.platform == "linux":
            # Only what comes over our interface, not what other programs have joined.
            sock.setsockopt(socket.IPPROTO_IP, _MULTICAST_ALL, 0)
        membership = struct.pack("4s4s", socket.inet_aton(GROUP[0]), self._packed_address())
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)

    def _own_options(self, sock: socket.socket) -> None:
        _share_port(sock)
        self._multicast_options(sock)

    def _multicast_options(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, self._packed_address())
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)  # the DUT may be on this machine
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
                    f"mDNS: {self._address!r} is no IPv4 address; give the address that this machine has on "
                    "the device's network, such as 192.0.2.7 (IPv6 is not supported)"
                )
            case errno.EADDRINUSE:
                return (
                    f"mDNS: UDP port {GROUP[1]} is taken by a program that does not share it; "
                    f"find it with `ss -ulpn sport = :{GROUP[1]}` and stop it, or let it share the port"
                )
            case errno.EADDRNOTAVAIL | errno.ENODEV:
                return (
                    f"mDNS: no network interface of this machine has the address {self._address}; give its "
                    "address on the device's network (`ip -4 address` lists them)"
                )
        return (
            f"mDNS: multicast on the interface {self._address} is not to be had ({reason_of(problem)}); "
            "check that the interface is up and allows multicast"
        )


_CLAIMS = frozenset({RecordType.A, RecordType.AAAA, RecordType.SRV, RecordType.TXT, RecordType.PTR})


def _share_port(sock: socket.socket) -> None:
    """Let other responders and browsers on this machine have port 5353, too (RFC 6762 15.1)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "SO_REUSEPORT"):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def _own_loopback_address() -> str:
    """A 127.x address that no other link has, or 127.0.0.1 where the system has no more than that."""
    third, fourth = divmod(next(_links), 250)
    candidate = f"127.{own_network()}.{FIRST_OWN + third % (256 - FIRST_OWN)}.{fourth + 1}"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((candidate, 0))
        except OSError:
            return LOOPBACK
    return candidate
