"""What the tests of the multicast DNS link share: names, devices, and a look at the trace.

Other programs may speak on the same loopback interface while they run: names and addresses are of this
test run only, and nothing is concluded from what others may say.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import uuid
from collections.abc import AsyncIterator

from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from harness.links.mdns.link import MdnsLink
from harness.trace.events import Direction, Event, MdnsPacket
from harness.trace.recorder import Recorder
from harness.wire import mdns
from harness.wire.mdns.codec import (
    Address,
    Ptr,
    Question,
    Record,
    RecordType,
    Srv,
    Txt,
)

GROUP = "224.0.0.251:5353"
_numbers = itertools.count(1)


def fresh_address() -> str:
    """A loopback address that nobody else uses."""
    return f"127.{1 + os.getpid() % 14}.{os.getpid() // 14 % 250}.{next(_numbers)}"


class Names:
    """Names that no other test uses."""

    def __init__(self) -> None:
        unique = uuid.uuid4().hex[:8]
        self.type = f"_t{unique}._tcp.local."
        self.label = f"Plug {unique}"
        self.instance = mdns.join_name(self.label, f"_t{unique}", "_tcp", "local")
        self.host = f"plug-{unique}.local."

    def records(self, address: str) -> list[Record]:
        """What a device with these names says of itself."""
        return [
            mdns.record(self.type, Ptr(self.instance), ttl=4500),
            mdns.record(self.instance, Srv(0, 0, 8080, self.host), ttl=120, cache_flush=True),
            mdns.record(self.instance, Txt((b"model=1",)), ttl=4500, cache_flush=True),
            mdns.record(self.host, Address(address), ttl=120, cache_flush=True),
        ]


@contextlib.asynccontextmanager
async def opened(link: MdnsLink) -> AsyncIterator[MdnsLink]:
    await link.start()
    try:
        yield link
    finally:
        await link.close()


@contextlib.asynccontextmanager
async def zeroconf_device(names: Names, address: str) -> AsyncIterator[None]:
    """A device made with python-zeroconf; it is announced when this begins, and says goodbye at the end."""
    device = AsyncZeroconf(interfaces=[address])
    info = AsyncServiceInfo(
        names.type,
        f"{names.label}.{names.type}",
        addresses=[socket.inet_aton(address)],
        port=8080,
        server=names.host,
        properties={"model": "1"},
    )
    try:
        await (await device.async_register_service(info))
        yield
    finally:
        await device.async_close()


def ask(*names: str, type: int = RecordType.PTR, unicast: bool = False, id: int = 0) -> bytes:
    return mdns.encode_query([Question(name, type, unicast) for name in names], id=id)


def packets(recorder: Recorder, *directions: Direction) -> list[tuple[MdnsPacket, mdns.Message]]:
    bodies = [event.body for event in recorder.events]
    return [
        (body, mdns.decode(body.raw))
        for body in bodies
        if isinstance(body, MdnsPacket) and (not directions or body.direction in directions)
    ]


async def seen(recorder: Recorder, direction: Direction, **wanted: object) -> MdnsPacket:
    """Wait for a packet with these fields, if it is not there yet."""

    def matches(event: Event) -> bool:
        body = event.body
        return (
            isinstance(body, MdnsPacket)
            and body.direction is direction
            and all(getattr(body, name) == value for name, value in wanted.items())
        )

    event = await recorder.wait_for(matches, within=20, since=0)
    assert event and isinstance(event.body, MdnsPacket), f"no packet {direction} {wanted}"
    return event.body


class Neighbour:
    """Another host on the link: sends what the test says, from an address of its own."""

    def __init__(self, port: int = 5353) -> None:
        self.address = fresh_address()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(self.address))
        self._socket.bind((self.address, port))

    def __enter__(self) -> Neighbour:
        return self

    def __exit__(self, *problem: object) -> None:
        self._socket.close()

    def send(self, raw: bytes, to: tuple[str, int] = ("224.0.0.251", 5353)) -> None:
        self._socket.sendto(raw, to)
