from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from mqtt_peer import DEADLINE, PINGREQ, Peer, run
from tap_rig import (
    FROM,
    TO,
    WILL,
    Kind,
    both,
    fates,
    rig,
    scripted,
)

from harness.links.errors import LinkError
from harness.links.mqtt.brokers.address import BrokerAddress
from harness.links.mqtt.paho_client import PahoClient
from harness.links.mqtt.tap.tap import (
    FIRST_PACKET_ID,
    Tap,
)
from harness.trace.events import (
    Fate,
)
from harness.wire.mqtt.codec import (
    PacketType,
    Publish,
    decode,
    encode_ack,
    encode_pingresp,
    encode_publish,
)


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
        tap = Tap(BrokerAddress("127.0.0.1", 1))
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
            async with Tap(BrokerAddress(host, port)) as faulty, await Peer.open(*faulty.address) as device:
                await device.connect("device", will=WILL)
                faulty.rewrite(without_qos, FROM)
                device.send(encode_publish("state/x", b"hello"))
                await device.ended()
                await bench.will()
            last = [packet for packet in bench.packets if packet.direction is FROM][-1]
            assert last.raw[0] == 0x36
            assert last.fate is Fate.FORWARDED

    run(main())
