"""A tap between a broker and a device, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from mqtt_peer import BROKERS, DEADLINE, Peer

from harness.links.mqtt.brokers.address import BrokerAddress
from harness.links.mqtt.brokers.broker import EmbeddedBroker
from harness.links.mqtt.brokers.local import LocalBroker
from harness.links.mqtt.paho_client import ClientWill
from harness.links.mqtt.tap.tap import Tap
from harness.trace.events import (
    Body,
    Connection,
    ConnectionChange,
    Direction,
    Event,
    Fate,
    MqttPacket,
    Point,
)
from harness.trace.recorder import Recorder
from harness.wire.mqtt.codec import PacketType

FROM, TO = Direction.FROM_DUT, Direction.TO_DUT

OPENED, CLOSED, RESET = ConnectionChange.OPENED, ConnectionChange.CLOSED, ConnectionChange.RESET

WILL = ("will", b"gone", 1, False)

PAHO_WILL = ClientWill("will", b"gone", 1)

Kind = type[LocalBroker]

both = pytest.mark.parametrize("kind", BROKERS)


@dataclass
class Rig:
    """A tap between a broker and a device that is still to come, and a watcher on the broker."""

    broker: LocalBroker
    tap: Tap
    recorder: Recorder
    watcher: Peer

    async def device(self) -> Peer:
        return await Peer.open(*self.tap.address)

    async def connected(self, client_id: str = "device", *filters: tuple[str, int]) -> Peer:
        device = await self.device()
        assert (await device.connect(client_id, will=WILL)).code == 0
        if filters:
            await device.subscribe(*filters)
        return device

    @property
    def lines(self) -> list[tuple[Direction, Fate, PacketType]]:
        return [(packet.direction, packet.fate, PacketType(packet.raw[0] >> 4)) for packet in self.packets]

    @property
    def packets(self) -> list[MqttPacket]:
        return [event.body for event in self.recorder.events if isinstance(event.body, MqttPacket)]

    @property
    def changes(self) -> list[tuple[int, ConnectionChange, Direction]]:
        found = [event.body for event in self.recorder.events if isinstance(event.body, Connection)]
        return [(body.connection, body.change, body.by) for body in found]

    async def seen(self, wanted: Body) -> None:
        def same(event: Event) -> bool:
            return event.body == wanted

        assert await self.recorder.wait_for(same, within=DEADLINE, since=0), wanted

    async def sees_change(self, number: int, change: ConnectionChange, by: Direction) -> None:
        await self.seen(Connection(Point.TAP, number, change, by))

    async def sees_packet(self, direction: Direction, raw: bytes, fate: Fate = Fate.FORWARDED) -> None:
        await self.seen(MqttPacket(Point.TAP, direction, 1, raw, 4, fate))

    async def will(self) -> None:
        message = await self.watcher.message()
        assert (message.topic, message.payload) == ("will", b"gone")


@asynccontextmanager
async def rig(kind: Kind = EmbeddedBroker) -> AsyncIterator[Rig]:
    recorder = Recorder(asyncio.get_running_loop().time)
    async with (
        kind() as broker,
        Tap(broker.endpoint, recorder=recorder) as tap,
        await Peer.to(broker) as peer,
    ):
        await peer.connect("watcher", keep_alive=0)
        await peer.subscribe(("will", 1), ("state/#", 1))
        yield Rig(broker, tap, recorder, peer)


@asynccontextmanager
async def scripted_broker() -> AsyncIterator[tuple[BrokerAddress, asyncio.Queue[Peer]]]:
    """A "broker" whose side of each connection the test plays."""
    accepted: asyncio.Queue[Peer] = asyncio.Queue()
    peers: list[Peer] = []

    def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(Peer(reader, writer))
        accepted.put_nowait(peers[-1])

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield BrokerAddress("127.0.0.1", server.sockets[0].getsockname()[1]), accepted
    finally:
        server.close()
        for peer in peers:
            await peer.__aexit__()
        await server.wait_closed()


@asynccontextmanager
async def scripted() -> AsyncIterator[tuple[Tap, Recorder, Peer, Peer]]:
    """Tap, recorder, device and broker, the last two played by the test."""
    recorder = Recorder(asyncio.get_running_loop().time)
    async with (
        scripted_broker() as (endpoint, accepted),
        Tap(endpoint, recorder=recorder) as tap,
        await Peer.open(*tap.address) as device,
    ):
        yield tap, recorder, device, await accepted.get()


def fates(recorder: Recorder) -> list[tuple[Direction, Fate, bytes]]:
    found = [event.body for event in recorder.events if isinstance(event.body, MqttPacket)]
    return [(body.direction, body.fate, body.raw) for body in found]
