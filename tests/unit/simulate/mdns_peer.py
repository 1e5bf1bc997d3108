"""A multicast DNS peer for tests on its own loopback address, and a device to talk to."""

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

from harness.links.clock import loop as clock
from harness.model.profile import Profile
from harness.simulate.mdns.responder import SimulatedMdnsResponder
from harness.simulate.mdns.sockets import (
    Received,
    ResponderSockets,
)
from harness.wire.mdns.codec import (
    Message,
    Question,
    Record,
    decode,
    encode_query,
    same_name,
)

# The link is shared with all other test runs on this machine, so addresses and names are this process's own.
_OWN = os.getpid()
_NET = f"127.{64 + (_OWN >> 16) % 64}.{_OWN >> 8 & 255}"
HOST, PEER, OTHER, THIRD = (f"{_NET}.{4 * (_OWN & 63) + number}" for number in range(4))
HOST_LABEL = f"plug-t{_OWN}"
HOST_NAME = f"{HOST_LABEL}.local."
TYPE = f"_t{_OWN}._tcp.local."
INSTANCE = f"Tested\\032Plug\\0321\\.2.{TYPE}"  # a dot and spaces inside one label
COAP_TYPE = f"_u{_OWN}._udp.local."
COAP_INSTANCE = f"{HOST_LABEL}.{COAP_TYPE}"
A, PTR, TXT, AAAA, SRV, NSEC, ANY = 1, 12, 16, 28, 33, 47, 255

PROFILE = Profile.model_validate(
    {
        "profile": "tested",
        "title": "A device for tests",
        "category": "test",
        "bindings": {
            "mdns": {
                "host": HOST_LABEL,
                "services": [
                    {
                        "type": TYPE.removesuffix(".local."),
                        "instance": "Tested Plug 1.2",
                        "port": 80,
                        "speaks": "tcp",
                        "txt": {"id": "42", "empty": ""},
                        "subtypes": ["_plug"],
                    },
                    {
                        "type": COAP_TYPE.removesuffix(".local."),
                        "instance": HOST_LABEL,
                        "port": 5683,
                        "speaks": "coap",
                    },
                ],
            }
        },
    }
)


@dataclass(frozen=True)
class Seen:
    """A packet of the device: when it came, from where, whether by multicast, and what it says."""

    time: float
    source: tuple[str, int]
    multicast: bool
    message: Message

    def types(self) -> list[int]:
        return [record.type for record in self.message.answers]


class Peer:
    """Sends what tests want and keeps what the device sends."""

    def __init__(self, address: str = PEER) -> None:
        self.link = ResponderSockets(address, self._arrived, [], [])
        self.seen: list[Seen] = []
        self._news = asyncio.Event()

    def _arrived(self, received: Received) -> None:
        if received.source[0] != HOST:
            return
        message = decode(received.data)
        now = asyncio.get_running_loop().time()
        self.seen.append(Seen(now, received.source, received.multicast, message))
        self._news.set()

    def send(self, data: bytes, destination: tuple[str, int] | None = None) -> None:
        if destination is None:
            self.link.send(data)
        else:
            self.link.send(data, destination)

    async def packets(self, within: float) -> list[Seen]:
        """All packets of the device in the next seconds."""
        start = len(self.seen)
        await asyncio.sleep(within)
        return self.seen[start:]

    async def ask(
        self, *questions: Question, known: Iterable[Record] = (), within: float = 5.0, **fields: Any
    ) -> list[Seen]:
        """The device's packets after a query."""
        self.send(encode_query(questions, known_answers=known, **fields))
        return await self.packets(within)

    async def answer(self, *questions: Question, **fields: Any) -> Seen:
        """The one packet that answers a query."""
        (seen,) = await self.ask(*questions, **fields)
        return seen


def records(packets: Iterable[Seen]) -> list[Record]:
    """All answer records of some packets."""
    return [record for packet in packets for record in packet.message.answers]


def only(found: Iterable[Record], name: str, type: int) -> Record:
    """The one record of that name and type."""
    (record,) = {(r.type, r.rdata): r for r in found if same_name(r.name, name) and r.type == type}.values()
    return record


def front(profile: Profile = PROFILE, seed: int = 0, host: str = HOST) -> SimulatedMdnsResponder:
    return SimulatedMdnsResponder(
        profile, host=host, port_of=lambda service: service.port + 1, random=random.Random(seed)
    )


@contextlib.asynccontextmanager
async def listening() -> AsyncIterator[Peer]:
    """A peer, and no loop error while it is there."""
    problems: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: problems.append(str(context)))
    peer = Peer()
    await peer.link.open()
    try:
        yield peer
    finally:
        await peer.link.close()
        loop.set_exception_handler(None)
    assert not problems


@contextlib.asynccontextmanager
async def starting(*devices: SimulatedMdnsResponder) -> AsyncIterator[asyncio.Future[Any]]:
    """Devices while they start and run; the future is done when all have announced themselves."""
    started = asyncio.gather(*(device.start() for device in devices))
    try:
        yield started
    finally:
        started.cancel()
        for device in devices:
            await device.kill()


@contextlib.asynccontextmanager
async def bench(
    profile: Profile = PROFILE, *, quiet: bool = True, **habits: Any
) -> AsyncIterator[tuple[SimulatedMdnsResponder, Peer]]:
    """A device that has announced itself some time ago (``quiet``) or just now."""
    device = front(profile)
    device.deviate(**habits)
    async with listening() as peer, starting(device) as started:
        await started
        if quiet:
            await asyncio.sleep(10)
        yield device, peer


def run(main: Any) -> Any:
    """Run in virtual time, so that waits cost nothing."""
    return clock.run(main, virtual=True)
