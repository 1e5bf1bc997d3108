from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mqtt_peer import DEADLINE, DISCONNECT, PINGREQ, Peer, certificate, connect, run, subscribe
from tap_rig import (
    CLOSED,
    FROM,
    OPENED,
    PAHO_WILL,
    RESET,
    TO,
    Kind,
    both,
    fates,
    rig,
    scripted,
    scripted_broker,
)

from harness.links.clock import loop as clock
from harness.links.errors import LinkError
from harness.links.mqtt.brokers.address import BrokerAddress
from harness.links.mqtt.brokers.broker import EmbeddedBroker
from harness.links.mqtt.paho_client import PahoClient
from harness.links.mqtt.tap.tap import Tap
from harness.trace.events import (
    Connection,
    Fate,
    MqttPacket,
    Note,
    Point,
)
from harness.trace.recorder import Recorder
from harness.wire.mqtt.codec import (
    PacketType,
    Publish,
    Undecodable,
    decode,
    encode_connack,
    encode_pingresp,
    encode_publish,
)


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


def test_broker_that_cannot_be_reached() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        recorder = Recorder(asyncio.get_running_loop().time)
        async with (
            Tap(BrokerAddress("127.0.0.1", port), recorder=recorder) as tap,
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
                await Tap(BrokerAddress("127.0.0.1", 1), port=port).start()

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
                tap.hold(lambda packet: True, FROM)
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
