from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mqtt_peer import BROKERS, DEADLINE, DISCONNECT, PINGREQ, Peer, certificate, connect, run, subscribe

from harness.links import clock
from harness.links.broker import EmbeddedBroker
from harness.links.endpoint import Endpoint
from harness.links.errors import LinkError
from harness.links.local_broker import LocalBroker
from harness.links.paho_client import PahoClient, Will
from harness.links.tap import FIRST_PACKET_ID, Refusal, Tap
from harness.trace.events import (
    Body,
    Connection,
    ConnectionChange,
    Direction,
    Event,
    Fate,
    MqttPacket,
    Note,
    Point,
)
from harness.trace.mqtt import (
    Connack,
    Packet,
    PacketType,
    Publish,
    Undecodable,
    decode,
    encode_ack,
    encode_connack,
    encode_pingresp,
    encode_publish,
)
from harness.trace.recorder import Recorder

FROM, TO = Direction.FROM_DUT, Direction.TO_DUT
OPENED, CLOSED, RESET = ConnectionChange.OPENED, ConnectionChange.CLOSED, ConnectionChange.RESET
WILL = ("will", b"gone", 1, False)
PAHO_WILL = Will("will", b"gone", 1)
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


def pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    places = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[a:b] for a, b in pairwise(places)]


@both
def test_everything_is_recorded_in_order_for_real_clients(kind: Kind) -> None:
    async def main() -> None:
        async with rig(kind) as bench:
            got: asyncio.Queue[bytes] = asyncio.Queue()
            device = PahoClient("device", on_message=lambda message: got.put_nowait(message.payload))
            await device.connect(*bench.tap.address, timeout=DEADLINE)
            await device.subscribe(("order", 1))
            for number in range(30):
                await device.publish("readings", bytes([number]), number % 3)
                await bench.watcher.publish("order", bytes([number]), 1)
                assert await got.get() == bytes([number])
            await device.disconnect()
            await bench.sees_change(1, CLOSED, FROM)
        decoded = [(packet, decode(packet.raw)) for packet in bench.packets]
        assert {packet.fate for packet, _ in decoded} == {Fate.FORWARDED}
        sent = [p.payload[0] for packet, p in decoded if packet.direction is FROM and isinstance(p, Publish)]
        taken = [p.payload[0] for packet, p in decoded if packet.direction is TO and isinstance(p, Publish)]
        assert sent == taken == list(range(30))
        order = [(p.type, packet.direction) for packet, p in decoded]
        assert order[:4] == [
            (PacketType.CONNECT, FROM),
            (PacketType.CONNACK, TO),
            (PacketType.SUBSCRIBE, FROM),
            (PacketType.SUBACK, TO),
        ]
        assert order[-1] == (PacketType.DISCONNECT, FROM)
        kinds = [kind for kind, _ in order]
        for asked, answered in [
            (PacketType.PUBREC, PacketType.PUBREL),
            (PacketType.PUBREL, PacketType.PUBCOMP),
        ]:
            assert kinds.count(asked) == kinds.count(answered) == 10
        assert bench.changes[0] == (1, OPENED, FROM)
        assert (1, CLOSED, FROM) in bench.changes

    run(main())


def test_hours_pass_in_virtual_time() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with rig() as bench:
            lost: asyncio.Future[str] = loop.create_future()
            device = PahoClient("device", keep_alive=600, will=PAHO_WILL, on_closed=lost.set_result)
            await device.connect(*bench.tap.address, timeout=DEADLINE)
            start = loop.time()
            await asyncio.sleep(3 * 3600)
            assert not lost.done()
            pings = [packet for packet in bench.packets if packet.raw == PINGREQ]
            assert len(pings) == len([packet for packet in bench.packets if packet.raw == encode_pingresp()])
            assert 3 * 3600 / 600 - 1 <= len(pings) <= 3 * 3600 / 300
            bench.tap.hold(lambda packet: packet.type is PacketType.PINGRESP, TO)
            assert "PINGRESP" in await lost
            assert loop.time() - start < 3 * 3600 + 1200
            await bench.will()

    clock.run(main(), virtual=True)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 5000)), st.lists(st.integers(0, 5000)), st.randoms(use_true_random=False))
def test_any_segmentation_is_passed_and_recorded_packet_by_packet(
    up: list[int], down: list[int], chance: random.Random
) -> None:
    async def main() -> None:
        async with scripted_broker() as (endpoint, accepted):
            recorder = Recorder(asyncio.get_running_loop().time)
            async with Tap(endpoint, recorder=recorder) as tap, await Peer.open(*tap.address) as device:
                broker = await accepted.get()
                ours = [connect("device"), PINGREQ, subscribe(1, ("t", 1)), DISCONNECT]
                ours[1:1] = [
                    encode_publish("t", chance.randbytes(chance.choice((0, 130, 900)))) for _ in range(3)
                ]
                theirs = [encode_connack(0), encode_pingresp(), encode_publish("t", chance.randbytes(300))]
                both_ways: list[tuple[Peer, Peer, list[bytes], list[int]]] = [
                    (device, broker, ours, up),
                    (broker, device, theirs, down),
                ]
                for sender, receiver, packets, cuts in both_ways:
                    for piece in pieces(b"".join(packets), cuts):
                        sender.send(piece)
                        await asyncio.sleep(0)
                        await asyncio.sleep(0)
                    for packet in packets:
                        assert (await receiver.next()) == decode(packet)
                seen = [event.body for event in recorder.events if isinstance(event.body, MqttPacket)]
                assert [body.raw for body in seen if body.direction is FROM] == ours
                assert [body.raw for body in seen if body.direction is TO] == theirs

    run(main())


@asynccontextmanager
async def scripted_broker() -> AsyncIterator[tuple[Endpoint, asyncio.Queue[Peer]]]:
    """A "broker" whose side of each connection the test plays."""
    accepted: asyncio.Queue[Peer] = asyncio.Queue()
    peers: list[Peer] = []

    def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(Peer(reader, writer))
        accepted.put_nowait(peers[-1])

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield Endpoint("127.0.0.1", server.sockets[0].getsockname()[1]), accepted
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


def test_bytes_that_are_no_mqtt_are_passed_and_recorded() -> None:
    async def main() -> None:
        async with scripted() as (_, recorder, device, broker):
            malformed = b"\x00\xff\xff\xff\xff and more"
            device.send(malformed)
            assert await broker.reader.readexactly(len(malformed)) == malformed
            device.send(b"still more")
            assert await broker.reader.readexactly(10) == b"still more"
            broker.send(b"HTTP/1.1 400 Bad Request")  # reads as the beginning of a PUBACK
            broker.finish()
            assert await device.reader.read() == b"HTTP/1.1 400 Bad Request"
            assert b"".join(raw for direction, _, raw in fates(recorder) if direction is FROM) == (
                malformed + b"still more"
            )
            assert (TO, Fate.FORWARDED, b"HTTP/1.1 400 Bad Request") in fates(recorder)
            assert isinstance(decode(fates(recorder)[0][2]), Undecodable)

    run(main())


def test_level_is_learnt_from_connect() -> None:
    async def main() -> None:
        async with scripted() as (_, recorder, device, broker):
            device.send(connect("device", level=5))
            await broker.next()
            broker.send(encode_connack(0, level=5))
            await device.next()
            bodies = [event.body for event in recorder.events if isinstance(event.body, MqttPacket)]
            assert [body.level for body in bodies] == [5, 5]
            assert not decode(bodies[1].raw, bodies[1].level).problems

    run(main())


def test_a_peer_that_does_not_read_slows_the_other_down() -> None:
    async def main() -> None:
        async with scripted() as (_, _, device, broker):
            device.writer.transport.set_write_buffer_limits(high=0)
            broker.writer.transport.pause_reading()
            chunk = encode_publish("t", bytes(1 << 20))
            sent = 0
            stuck = False
            while not stuck:
                device.send(chunk)
                sent += 1
                try:
                    await asyncio.wait_for(device.writer.drain(), 0.3)
                except TimeoutError:
                    stuck = True
                assert sent < 64, "the tap takes whatever comes"
            broker.writer.transport.resume_reading()
            for _ in range(sent):
                assert (await broker.next()) == decode(chunk)

    run(main())


@both
@pytest.mark.parametrize("reset", [True, False])
def test_drop_ends_the_connection_and_fires_the_will(kind: Kind, reset: bool) -> None:
    async def main() -> None:
        async with rig(kind) as bench:
            lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            device = PahoClient("device", will=PAHO_WILL, on_closed=lost.set_result)
            await device.connect(*bench.tap.address, timeout=DEADLINE)
            assert bench.tap.connections == (1,)
            bench.tap.drop(reset=reset)
            assert bench.tap.connections == ()
            assert "reset" in await lost if reset else await lost
            await bench.will()
            assert bench.changes[:2] == [(1, OPENED, FROM), (1, RESET if reset else CLOSED, TO)]
            await device.connect(*bench.tap.address, timeout=DEADLINE)
            assert bench.tap.connections == (2,)
            await device.disconnect()

    run(main())


def test_drop_of_one_connection_leaves_the_other() -> None:
    async def main() -> None:
        async with rig() as bench, await bench.connected("one") as one, await bench.connected("two") as two:
            bench.tap.drop(1)
            await one.ended()
            await two.silence()
            assert bench.tap.connections == (2,)

    run(main())


@pytest.mark.parametrize("way", ["fin", "reset"])
def test_end_by_the_device_is_recorded_and_passed_on(way: str) -> None:
    async def main() -> None:
        async with rig() as bench, await bench.connected() as device:
            device.finish() if way == "fin" else device.reset()
            await bench.sees_change(1, CLOSED if way == "fin" else RESET, FROM)
            await bench.will()
            assert bench.changes == [(1, OPENED, FROM), (1, CLOSED if way == "fin" else RESET, FROM)]

    run(main())


@pytest.mark.parametrize("way", ["fin", "reset"])
def test_end_by_the_broker_is_recorded_and_passed_on(way: str) -> None:
    async def main() -> None:
        async with scripted() as (_, recorder, device, broker):
            broker.send(encode_publish("t", b"last"))
            assert (await device.message()).payload == b"last"
            broker.finish() if way == "fin" else broker.reset()
            assert await device.next() is None
            changes = [event.body for event in recorder.events if isinstance(event.body, Connection)]
            assert [(body.change, body.by) for body in changes] == [
                (OPENED, FROM),
                (CLOSED if way == "fin" else RESET, TO),
            ]

    run(main())


def test_device_that_closes_after_the_broker_is_seen_to() -> None:
    async def main() -> None:
        async with rig() as bench, await bench.connected() as device:
            device.send(DISCONNECT)
            await device.ended()
            assert bench.changes == [(1, OPENED, FROM), (1, CLOSED, TO)]
            device.finish()
            await bench.sees_change(1, CLOSED, FROM)

    run(main())


def test_device_that_goes_on_sending_after_the_end_is_reset() -> None:
    async def main() -> None:
        async with scripted() as (_, recorder, device, broker):
            broker.finish()
            assert await device.next() is None
            device.send(PINGREQ)
            with pytest.raises(ConnectionResetError):
                while True:
                    device.send(PINGREQ)
                    await device.writer.drain()
                    await asyncio.sleep(0)
            assert (FROM, Fate.DROPPED, PINGREQ) in fates(recorder)

    run(main())


@both
def test_half_open_connection(kind: Kind) -> None:
    async def main() -> None:
        async with rig(kind) as bench, await bench.connected() as device:
            bench.tap.drop_broker_side()
            await bench.will()
            device.send(PINGREQ)
            await bench.sees_packet(FROM, PINGREQ, Fate.DROPPED)
            assert bench.changes == [(1, OPENED, FROM)]
            bench.tap.drop()
            await device.ended()

    run(main())


@both
def test_frozen_link_swallows_everything_and_is_cut_when_thawed(kind: Kind) -> None:
    async def main() -> None:
        async with rig(kind) as bench, await bench.connected("device", ("order", 0)) as device:
            bench.tap.freeze()
            assert bench.tap.frozen
            device.send(PINGREQ)
            await bench.sees_packet(FROM, PINGREQ, Fate.DROPPED)
            order = encode_publish("order", b"on")
            await bench.watcher.publish("order", b"on")
            await bench.sees_packet(TO, order, Fate.DROPPED)
            async with await bench.device() as second:
                second.send(connect("device"))
                dropped = MqttPacket(Point.TAP, FROM, 2, connect("device"), 4, Fate.DROPPED)
                await bench.seen(dropped)
                bench.tap.thaw()
                await bench.will()
                await second.ended()
            await device.ended()
            assert (TO, Fate.FORWARDED, PacketType.PINGRESP) not in bench.lines
            async with await bench.connected() as third:
                await third.silence()

    run(main())


def test_end_of_a_frozen_connection_is_hidden_from_the_broker_until_thawed() -> None:
    async def main() -> None:
        async with scripted() as (tap, recorder, device, broker):
            tap.freeze(FROM)
            device.send(PINGREQ)
            device.finish()
            assert await device.next() is None
            broker.send(PINGREQ)
            assert not broker.reader.at_eof()
            assert [body[:2] for body in fates(recorder)] == [(FROM, Fate.DROPPED)]
            tap.thaw()
            assert await broker.next() is None

    run(main())


@pytest.mark.parametrize("direction", [FROM, TO])
def test_freezing_one_direction_leaves_the_other(direction: Direction) -> None:
    async def main() -> None:
        async with scripted() as (tap, recorder, device, broker):
            tap.freeze(direction)
            dead, alive = (device, broker) if direction is FROM else (broker, device)
            dead.send(PINGREQ)
            alive.send(encode_pingresp())
            packet = await dead.next()
            assert packet is not None and packet.type is PacketType.PINGRESP
            assert (direction, Fate.DROPPED, PINGREQ) in fates(recorder)

    run(main())


@both
@pytest.mark.parametrize("level", [4, 5])
def test_refusal_by_return_code(kind: Kind, level: int) -> None:
    async def main() -> None:
        async with rig(kind) as bench:
            bench.tap.refuse(Refusal.CONNACK, 3)
            async with await bench.device() as device:
                assert bench.tap.connections == ()
                device.send(connect("device", level=level, will=WILL), subscribe(1, ("t", 0)))
                raw = await device.reader.read()  # to the end
                answer = decode(raw, level)
                assert isinstance(answer, Connack) and not answer.problems
                assert answer.code == (3 if level == 4 else 0x88)
                device.finish()
                await bench.sees_change(1, CLOSED, FROM)
            assert bench.lines == [
                (FROM, Fate.DROPPED, PacketType.CONNECT),
                (TO, Fate.INJECTED, PacketType.CONNACK),
                (FROM, Fate.DROPPED, PacketType.SUBSCRIBE),
            ]
            assert bench.changes == [(1, OPENED, FROM), (1, CLOSED, TO), (1, CLOSED, FROM)]
            bench.tap.accept()
            async with await bench.connected():
                assert bench.tap.connections == (2,)

    run(main())


def test_refusal_by_reset() -> None:
    async def main() -> None:
        async with rig() as bench, await bench.connected("earlier") as earlier:
            bench.tap.refuse(Refusal.RESET)
            async with await bench.device() as device:
                await device.ended()
            assert bench.changes[1:] == [(2, OPENED, FROM), (2, RESET, TO)]
            await earlier.silence()

    run(main())


def test_refusal_by_silence_until_accepting_again() -> None:
    async def main() -> None:
        async with rig() as bench:
            bench.tap.refuse(Refusal.SILENT)
            async with await bench.device() as device:
                device.send(connect("device"))
                await bench.sees_packet(FROM, connect("device"), Fate.DROPPED)
                assert bench.tap.connections == ()
                bench.tap.accept()
                await device.ended()
            assert bench.changes == [(1, OPENED, FROM), (1, RESET, TO)]
            assert bench.lines == [(FROM, Fate.DROPPED, PacketType.CONNECT)]

    run(main())


def test_refusal_after_a_good_connack() -> None:
    async def main() -> None:
        async with rig() as bench:
            bench.tap.refuse(Refusal.KICK)
            async with await bench.device() as device:
                assert (await device.connect("device", will=WILL)).code == 0
                assert await device.next() is None
            assert bench.changes[:2] == [(1, OPENED, FROM), (1, CLOSED, TO)]
            await bench.watcher.silence()  # the broker never had that client: no will

    run(main())


def puback(packet: Packet) -> bool:
    return packet.type is PacketType.PUBACK


@both
def test_held_answers_reach_the_device_when_released(kind: Kind) -> None:
    async def main() -> None:
        async with rig(kind) as bench, await bench.connected() as device:
            hold = bench.tap.hold(lambda packet: packet.type is PacketType.PINGRESP, TO)
            device.send(PINGREQ)
            await bench.sees_packet(TO, encode_pingresp(), Fate.DROPPED)
            assert hold.packets == [encode_pingresp()]
            await device.publish("state/x", b"1", 1)  # all else passes
            hold.release()
            answer = await device.next()
            assert answer is not None and answer.type is PacketType.PINGRESP
            await device.silence()
            lines = [line for line in bench.lines if line[2] is PacketType.PINGRESP]
            assert lines == [
                (TO, Fate.DROPPED, PacketType.PINGRESP),
                (TO, Fate.FORWARDED, PacketType.PINGRESP),
                (TO, Fate.FORWARDED, PacketType.PINGRESP),
            ]

    run(main())


@both
def test_held_packets_of_the_device_have_one_line_each(kind: Kind) -> None:
    async def main() -> None:
        async with rig(kind) as bench, await bench.connected() as device:
            hold = bench.tap.hold(lambda packet: packet.type is PacketType.PUBLISH, FROM)
            for payload in (b"1", b"2"):
                device.send(encode_publish("state/x", payload))
            await device.silence()
            await bench.watcher.silence()
            hold.release()
            assert [(await bench.watcher.message()).payload for _ in range(2)] == [b"1", b"2"]
            await device.publish("state/x", b"3")
            assert (await bench.watcher.message()).payload == b"3"
            lines = [line for line in bench.lines if line[2] is PacketType.PUBLISH]
            assert [fate for _, fate, _ in lines] == [Fate.DROPPED, Fate.DROPPED, Fate.FORWARDED]
            notes = [event.body.text for event in bench.recorder.events if isinstance(event.body, Note)]
            assert notes == ["tap: passed on 2 packets of the device that were held"]

    run(main())


def test_discarded_packets_are_gone() -> None:
    async def main() -> None:
        async with rig() as bench, await bench.connected("device", ("order", 1)) as device:
            hold = bench.tap.hold(puback, FROM)
            await bench.watcher.publish("order", b"on", 1)
            message = await device.message()
            assert message.packet_id is not None
            await bench.sees_packet(FROM, encode_ack(PacketType.PUBACK, message.packet_id), Fate.DROPPED)
            hold.discard()
            assert hold.packets == []
            await device.silence()
            assert [line for line in bench.lines if line[2] is PacketType.PUBACK] == [
                (FROM, Fate.DROPPED, PacketType.PUBACK)
            ]

    run(main())


def test_release_after_the_connection_is_gone_does_nothing() -> None:
    async def main() -> None:
        async with rig() as bench:
            hold = bench.tap.hold(lambda packet: packet.type is PacketType.PINGRESP, TO)
            async with await bench.connected() as device:
                device.send(PINGREQ)
                await bench.sees_packet(TO, encode_pingresp(), Fate.DROPPED)
            await bench.will()
            async with await bench.connected() as second:
                hold.release()
                await second.silence()
            lines = [line for line in bench.lines if line[2] is PacketType.PINGRESP]
            assert [fate for _, fate, _ in lines].count(Fate.FORWARDED) == 1

    run(main())


@both
def test_injected_messages_reach_the_device_and_its_answers_are_absorbed(kind: Kind) -> None:
    async def main() -> None:
        async with rig(kind) as bench:
            got: asyncio.Queue[bytes] = asyncio.Queue()
            device = PahoClient("device", on_message=lambda message: got.put_nowait(message.payload))
            await device.connect(*bench.tap.address, timeout=DEADLINE)
            packet_id = bench.tap.next_packet_id()
            assert FIRST_PACKET_ID <= packet_id < bench.tap.next_packet_id()
            first = encode_publish("order", b"1", 1, packet_id=packet_id)
            again = encode_publish("order", b"1", 1, packet_id=packet_id, dup=True)
            twice = encode_publish("order", b"2", 2, packet_id=packet_id + 2)
            bench.tap.inject(first + again)
            bench.tap.inject(twice)
            assert [await got.get() for _ in range(2)] == [b"1", b"1"]
            await bench.sees_packet(FROM, encode_ack(PacketType.PUBREC, packet_id + 2), Fate.DROPPED)
            bench.tap.inject(encode_ack(PacketType.PUBREL, packet_id + 2))
            assert await got.get() == b"2"
            await bench.sees_packet(FROM, encode_ack(PacketType.PUBCOMP, packet_id + 2), Fate.DROPPED)
            await device.publish("state/x", b"fine", 1)
            acks = [line for line in bench.lines if line[2] is PacketType.PUBACK]
            assert acks == [(FROM, Fate.DROPPED, PacketType.PUBACK)] * 2 + [
                (TO, Fate.FORWARDED, PacketType.PUBACK)
            ]
            await device.disconnect()
            injected = [packet.raw for packet in bench.packets if packet.fate is Fate.INJECTED]
            assert injected == [first, again, twice, encode_ack(PacketType.PUBREL, packet_id + 2)]

    run(main())


def test_answer_that_the_broker_waits_for_is_never_absorbed() -> None:
    async def main() -> None:
        async with scripted() as (tap, recorder, device, broker):
            real = encode_publish("order", b"1", 1, packet_id=5)
            ack = encode_ack(PacketType.PUBACK, 5)
            broker.send(real)
            await device.message(acknowledge=False)
            tap.inject(encode_publish("order", b"1", 1, packet_id=5, dup=True))
            await device.message(acknowledge=False)
            device.send(ack, ack)  # one for each
            device.send(PINGREQ)
            assert [await broker.next(), await broker.next()] == [decode(ack), decode(PINGREQ)]
            broker.send(real)
            await device.message()
            assert await broker.next() == decode(ack)
            assert [fate for direction, fate, raw in fates(recorder) if raw == ack] == [
                Fate.FORWARDED,
                Fate.DROPPED,
                Fate.FORWARDED,
            ]

    run(main())


def test_injection_towards_the_broker() -> None:
    async def main() -> None:
        async with rig() as bench, await bench.connected() as device:
            packet_id = bench.tap.next_packet_id()
            bench.tap.inject(encode_publish("state/x", b"forged", 1, packet_id=packet_id), FROM)
            bench.tap.inject(PINGREQ, FROM)
            assert (await bench.watcher.message()).payload == b"forged"
            await bench.sees_packet(TO, encode_ack(PacketType.PUBACK, packet_id), Fate.DROPPED)
            await bench.sees_packet(TO, encode_pingresp(), Fate.DROPPED)
            await device.silence()

    run(main())


def test_injection_in_segments_of_given_sizes() -> None:
    async def main() -> None:
        async with scripted() as (tap, recorder, device, broker):
            first = encode_publish("order", b"0123456789")
            second = encode_publish("order", b"more")
            tap.inject(first + second, segments=[1, 1, 7, 12])
            broker.send(encode_pingresp())  # has to wait for the last piece
            chunks = []
            while sum(map(len, chunks)) < len(first + second) + 2:
                chunks.append(await device.reader.read(1000))
            assert [len(chunk) for chunk in chunks[:4]] == [1, 1, 7, 12]
            assert b"".join(chunks) == first + second + encode_pingresp()
            assert [(fate, raw) for _, fate, raw in fates(recorder)] == [
                (Fate.INJECTED, first),
                (Fate.INJECTED, second),
                (Fate.FORWARDED, encode_pingresp()),
            ]

    run(main())


def test_injection_of_what_is_no_packet_is_recorded_whole() -> None:
    async def main() -> None:
        async with scripted() as (tap, recorder, device, _):
            tap.inject(PINGREQ + b"\x30\x7fcut short")
            assert await device.reader.readexactly(13) == PINGREQ + b"\x30\x7fcut short"
            assert [raw for _, _, raw in fates(recorder)] == [PINGREQ, b"\x30\x7fcut short"]

    run(main())


def test_injection_needs_a_connection() -> None:
    async def main() -> None:
        async with rig() as bench:
            with pytest.raises(LinkError, match="the device has no MQTT connection to inject packets on"):
                bench.tap.inject(PINGREQ)
            async with await bench.connected("one") as one, await bench.connected("two") as two:
                with pytest.raises(LinkError, match="no MQTT connection 3"):
                    bench.tap.inject(PINGREQ, connection=3)
                bench.tap.inject(encode_publish("t", b"1"), connection=1)
                bench.tap.inject(encode_publish("t", b"2"))
                assert (await one.message()).payload == b"1"
                assert (await two.message()).payload == b"2"
                bench.tap.drop_broker_side()
                with pytest.raises(LinkError):
                    bench.tap.inject(PINGREQ, FROM)

    run(main())


def test_packet_ids_stay_in_their_range() -> None:
    async def main() -> None:
        tap = Tap(Endpoint("127.0.0.1", 1))
        ids = [tap.next_packet_id() for _ in range(0x1001)]
        assert (min(ids), max(ids), ids[0], ids[-1]) == (
            FIRST_PACKET_ID,
            0xFFFF,
            FIRST_PACKET_ID,
            FIRST_PACKET_ID,
        )

    run(main())


def test_rewriting_both_ways() -> None:
    def louder(raw: bytes) -> Sequence[bytes]:
        packet = decode(raw)
        if not isinstance(packet, Publish):
            return (raw,)
        if packet.payload == b"hush":
            return ()
        return (encode_publish(packet.topic, packet.payload.upper(), packet.qos, packet_id=packet.packet_id),)

    async def main() -> None:
        async with rig() as bench, await bench.connected("device", ("order", 1)) as device:
            bench.tap.rewrite(louder, FROM)
            bench.tap.rewrite(louder, TO)
            await device.publish("state/x", b"hush")
            await device.publish("state/x", b"on", 1)
            assert (await bench.watcher.message()).payload == b"ON"
            await bench.watcher.publish("order", b"off", 1)
            message = await device.message()
            assert message.payload == b"OFF"
            ack = encode_ack(PacketType.PUBACK, message.packet_id or 0)
            await bench.sees_packet(FROM, ack)  # the broker waits for it
            publications = [line for line in bench.lines if line[2] is PacketType.PUBLISH]
            assert [line[:2] for line in publications] == [
                (FROM, Fate.DROPPED),
                (FROM, Fate.DROPPED),
                (FROM, Fate.INJECTED),
                (TO, Fate.DROPPED),
                (TO, Fate.INJECTED),
            ]
            bench.tap.rewrite(None, FROM)
            await device.publish("state/x", b"plain")
            assert (await bench.watcher.message()).payload == b"plain"

    run(main())


def test_two_taps_in_a_chain() -> None:
    def without_qos(raw: bytes) -> Sequence[bytes]:
        return (raw[:1].replace(b"\x30", b"\x36") + raw[1:],)

    async def main() -> None:
        async with rig() as bench:
            host, port = bench.tap.address
            async with Tap(Endpoint(host, port)) as faulty, await Peer.open(*faulty.address) as device:
                await device.connect("device", will=WILL)
                faulty.rewrite(without_qos, FROM)
                device.send(encode_publish("state/x", b"hello"))
                await device.ended()
                await bench.will()
            last = [packet for packet in bench.packets if packet.direction is FROM][-1]
            assert last.raw[0] == 0x36
            assert last.fate is Fate.FORWARDED

    run(main())


def test_delay_keeps_the_order_and_is_seen_from_the_device() -> None:
    async def main() -> None:
        async with rig() as bench, await bench.connected("device", ("order", 0)) as device:
            loop = asyncio.get_running_loop()
            bench.tap.delay(0.2, TO)
            start = loop.time()
            await bench.watcher.publish("order", b"1")
            await bench.watcher.publish("order", b"2")
            await bench.watcher.silence()
            assert [(await device.message()).payload for _ in range(2)] == [b"1", b"2"]
            assert loop.time() - start >= 0.2
            bench.tap.delay(0, TO)
            event = bench.recorder.events[-1]
            assert isinstance(event.body, MqttPacket) and event.time >= 0.2
            bench.tap.delay(0.2, FROM)
            start = loop.time()
            device.send(encode_publish("state/x", b"late"), DISCONNECT)
            device.finish()
            await bench.sees_change(1, CLOSED, FROM)
            assert (await bench.watcher.message()).payload == b"late"
            assert loop.time() - start >= 0.2
            await bench.watcher.silence()  # DISCONNECT came before the end: no will

    run(main())


def test_packets_under_way_to_a_device_that_is_gone_are_dropped() -> None:
    async def main() -> None:
        async with rig() as bench, await bench.connected("device", ("order", 0)) as device:
            bench.tap.delay(3600, TO)
            await bench.watcher.publish("order", b"1")
            device.send(PINGREQ)
            await bench.sees_packet(FROM, PINGREQ)
            await bench.watcher.silence()
            device.finish()
            await bench.sees_packet(TO, encode_publish("order", b"1"), Fate.DROPPED)

    run(main())


def test_broker_that_cannot_be_reached() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        recorder = Recorder(asyncio.get_running_loop().time)
        async with (
            Tap(Endpoint("127.0.0.1", port), recorder=recorder) as tap,
            await Peer.open(*tap.address) as device,
        ):
            device.send(connect("device"))
            await device.ended()
        bodies = [event.body for event in recorder.events]
        assert bodies == [
            Connection(Point.TAP, 1, OPENED, FROM),
            Note(f"tap: broker mqtt://127.0.0.1:{port} cannot be reached: Connection refused"),
            Connection(Point.TAP, 1, RESET, TO),
        ]

    run(main())


@both
def test_broker_that_restarts(kind: Kind) -> None:
    async def main() -> None:
        async with rig(kind) as bench, await bench.connected() as device:
            await bench.broker.restart(wipe=True)
            await device.ended()
            async with await bench.connected() as again:
                await again.silence()

    run(main())


def test_port_in_use() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(LinkError, match=f"tap: port {port} on .* is in use"):
                await Tap(Endpoint("127.0.0.1", 1), port=port).start()

    run(main())


def test_stop_closes_everything_even_where_peers_hang() -> None:
    async def main() -> None:
        async with scripted_broker() as (endpoint, accepted):
            recorder = Recorder(asyncio.get_running_loop().time)
            tap = Tap(endpoint, recorder=recorder)
            await tap.stop()
            await tap.start()
            async with await Peer.open(*tap.address) as device, await Peer.open(*tap.address) as other:
                broker = await accepted.get()
                broker.writer.transport.pause_reading()
                device.writer.transport.pause_reading()
                for _ in range(20):
                    device.send(encode_publish("t", bytes(1 << 20)))
                tap.delay(3600, TO)
                broker.send(encode_pingresp())
                tap.hold(puback, FROM)
                other.send(b"\x10")
                await accepted.get()
                await tap.stop()
                with pytest.raises(OSError):
                    await Peer.open(*tap.address)
                await other.ended()

    run(main())


def test_tls_on_both_sides(tmp_path: Path) -> None:
    files = certificate(tmp_path)

    async def main() -> None:
        recorder = Recorder(asyncio.get_running_loop().time)
        async with (
            EmbeddedBroker(tls=files) as broker,
            Tap(broker.endpoint, recorder=recorder, tls=files.server_context(), broker_tls=broker.tls) as tap,
        ):
            async with await Peer.open(*tap.address, files.client_context()) as device:
                await device.connect("device")
                await device.silence()
                device.send(DISCONNECT)
                await device.ended()
            async with await Peer.open(*tap.address, files.client_context()) as device:
                await device.connect("device")
                tap.drop()
                await device.ended()
        changes = [event.body for event in recorder.events if isinstance(event.body, Connection)]
        assert [(body.connection, body.change, body.by) for body in changes] == [
            (1, OPENED, FROM),
            (1, CLOSED, TO),
            (2, OPENED, FROM),
            (2, RESET, TO),
        ]

    run(main())


def test_broker_certificate_that_is_not_trusted(tmp_path: Path) -> None:
    files = certificate(tmp_path)

    async def main() -> None:
        recorder = Recorder(asyncio.get_running_loop().time)
        strict = certificate_of_somebody_else(tmp_path).client_context()
        async with (
            EmbeddedBroker(tls=files) as broker,
            Tap(broker.endpoint, recorder=recorder, broker_tls=strict) as tap,
            await Peer.open(*tap.address) as device,
        ):
            await device.ended()
        notes = [event.body.text for event in recorder.events if isinstance(event.body, Note)]
        assert len(notes) == 1
        assert "cannot be reached: self-signed certificate" in notes[0].replace("self signed", "self-signed")

    def certificate_of_somebody_else(directory: Path):  # type: ignore[no-untyped-def]
        (directory / "other").mkdir()
        return certificate(directory / "other")

    run(main())
