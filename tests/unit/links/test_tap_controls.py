from __future__ import annotations

import asyncio

import pytest
from mqtt_peer import DEADLINE, DISCONNECT, PINGREQ, connect, run, subscribe
from tap_rig import (
    CLOSED,
    FROM,
    OPENED,
    PAHO_WILL,
    RESET,
    TO,
    WILL,
    Kind,
    both,
    fates,
    rig,
    scripted,
)

from harness.links.mqtt.brokers.address import BrokerAddress
from harness.links.mqtt.paho_client import PahoClient
from harness.links.mqtt.tap.peer import TapPeer
from harness.links.mqtt.tap.tap import Tap
from harness.trace.events import (
    Direction,
    Fate,
    MqttPacket,
    Note,
    Point,
    Refusal,
)
from harness.wire.mqtt.codec import (
    Connack,
    Packet,
    PacketType,
    decode,
    encode_ack,
    encode_pingresp,
    encode_publish,
)


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
def test_end_that_the_broker_does_not_notice(kind: Kind) -> None:
    async def main() -> None:
        async with rig(kind) as bench, await bench.connected() as device:
            left = bench.tap.drop_unnoticed()
            await device.ended()
            assert bench.changes == [(1, OPENED, FROM), (1, RESET, TO)]
            assert bench.tap.connections == ()
            async with await bench.connected("another") as second:
                # The broker answers in order: a will that was due would be here by now.
                await bench.watcher.silence()
                left.release()
                await bench.will()
                await second.silence()

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
            assert notes == ["tap: forwarded 2 held packets of the device"]

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


def test_bytes_that_arrive_in_spite_of_the_pause_are_kept() -> None:
    """Before Python 3.11.4 asyncio ignores pause_reading() in connection_made() (CPython PR 17425)."""

    class Keeping:
        def __init__(self) -> None:
            self.seen: list[bytes | str] = []
            self.side = TapPeer(self, FROM)

        def made(self, direction: Direction) -> None:
            self.side.listen(False)

        def received(self, direction: Direction, data: bytes) -> None:
            self.seen.append(data)

        def ended(self, direction: Direction, *, reset: bool) -> None:
            self.seen.append("reset" if reset else "end")

        def throttle(self, direction: Direction, *, stop: bool) -> None:
            raise AssertionError("nothing is written")

    class LeakyTransport(asyncio.Transport):
        def pause_reading(self) -> None:
            """Ignored."""

        def resume_reading(self) -> None:
            """Nothing was paused."""

        def can_write_eof(self) -> bool:
            return True

    async def main() -> None:
        owner = Keeping()
        owner.side.connection_made(LeakyTransport())
        owner.side.data_received(b"\x10\x00")
        owner.side.data_received(b"\xc0\x00")
        owner.side.eof_received()
        assert owner.seen == []
        owner.side.listen(True)
        assert owner.seen == [b"\x10\x00", b"\xc0\x00", "end"]

    run(main())


@both
def test_tls_at_the_plain_port_is_named(kind: Kind) -> None:
    async def main() -> None:
        async with rig(kind) as bench:
            device = await bench.device()
            device.send(bytes.fromhex("160301020001"))
            await device.ended()
            assert "TLS ClientHello" in str(bench.tap.complaint)
            assert not bench.packets

    run(main())


def test_two_devices_of_one_client_identifier_are_named() -> None:
    class OneOf:
        def __init__(self, host: str, client_id: str) -> None:
            self.host, self.client_id = host, client_id
            self.live, self.turned_away = True, None

    def complaint(*devices: tuple[str, str]) -> str | None:
        tap = Tap(BrokerAddress("127.0.0.1", 1))
        for device in devices:
            link = OneOf(*device)
            tap.joined(link)  # type: ignore[arg-type]
            tap.introduced(link)  # type: ignore[arg-type]
        return tap.complaint

    assert complaint(("10.0.0.1", "lamp"), ("10.0.0.1", "lamp")) is None
    assert complaint(("10.0.0.1", "lamp"), ("10.0.0.2", "plug")) is None
    assert "10.0.0.2" in str(complaint(("10.0.0.1", "lamp"), ("10.0.0.2", "lamp")))
