from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from pathlib import Path

import pytest
from mqtt_peer import (
    BROKERS,
    DISCONNECT,
    Peer,
    certificate,
    connect,
    needs_mosquitto,
    open_sockets,
    run,
    subscribe,
)

from harness.links.mqtt.brokers.broker import (
    Broker,
    BrokerError,
    EmbeddedBroker,
    ExternalBroker,
    MosquittoBroker,
    TlsFiles,
    User,
    broker_for,
)
from harness.links.mqtt.brokers.local import LocalBroker
from harness.wire.mqtt.codec import (
    Packet,
    PacketType,
    Publish,
    encode_ack,
    encode_packet,
    encode_publish,
)

Kind = type[LocalBroker]
ANNA = User("anna", "s3cret: p@ss")

MALFORMED = [
    encode_publish("a/#", b""),
    encode_publish(b"\xff", b""),
    encode_publish("t", b"", 3, packet_id=1),
    encode_packet(PacketType.SUBSCRIBE, 2, b"\0"),
    encode_packet(PacketType.SUBSCRIBE, 2, b"\0\1"),
    encode_packet(PacketType.SUBSCRIBE, 0, b"\0\1\0\1t\0"),
    b"\xf0\x00",
    b"\x30\xff\xff\xff\xff\x01",
]

both = pytest.mark.parametrize("kind", BROKERS)


@both
def test_message_comes_with_the_lower_of_both_qos(kind: Kind) -> None:
    async def main() -> None:
        async with kind() as broker, await Peer.to(broker) as sender, await Peer.to(broker) as receiver:
            await sender.connect("sender")
            await receiver.connect("receiver")
            assert await receiver.subscribe(("low", 0), ("high", 1)) == (0, 1)
            for topic, qos in [("low", 0), ("low", 1), ("high", 0), ("high", 1)]:
                await sender.publish(topic, b"x", qos)
            got = [await receiver.message() for _ in range(4)]
            assert [(message.topic, message.qos) for message in got] == [
                ("low", 0),
                ("low", 0),
                ("high", 0),
                ("high", 1),
            ]
            await receiver.silence()

    run(main())


@both
def test_retained_messages_come_on_subscribing_only_and_until_cleared(kind: Kind) -> None:
    async def main() -> None:
        async with kind() as broker, await Peer.to(broker) as sender:
            await sender.connect("sender")
            await sender.subscribe(("state/#", 1))
            await sender.publish("state/a", b"on", 0, retain=True)
            live = await sender.message()
            assert not live.retain
            async with await Peer.to(broker) as late:
                await late.connect("late")
                await late.silence()
                await late.subscribe(("state/#", 1))
                kept = await late.message()
                assert (kept.topic, kept.payload, kept.qos, kept.retain) == ("state/a", b"on", 0, True)
                await late.subscribe(("state/#", 1))
                assert (await late.message()).retain
            await sender.publish("state/a", b"", 0, retain=True)
            assert not (await sender.message()).retain
            async with await Peer.to(broker) as later:
                await later.connect("later")
                await later.subscribe(("state/#", 1))
                await later.silence()

    run(main())


@both
@pytest.mark.parametrize("ending", ["reset", "fin", "disconnect"])
def test_will_comes_on_abrupt_loss_only(kind: Kind, ending: str) -> None:
    async def main() -> None:
        async with kind() as broker, await Peer.to(broker) as watcher, await Peer.to(broker) as lost:
            await watcher.connect("watcher")
            await watcher.subscribe(("will", 1), ("bye", 1))
            await lost.connect("lost", will=("will", b"gone", 1, True))
            if ending == "reset":
                lost.reset()
            elif ending == "fin":
                lost.writer.close()
            else:
                lost.send(encode_publish("bye", b"1"), encode_publish("bye", b"2"), DISCONNECT)
                assert [(await watcher.message()).payload for _ in range(2)] == [b"1", b"2"]
                await lost.ended()
                await watcher.silence()
                return
            will = await watcher.message()
            assert (will.topic, will.payload, will.qos, will.retain) == ("will", b"gone", 1, False)
            await watcher.subscribe(("will", 1))
            assert (await watcher.message()).retain

    run(main())


@both
@pytest.mark.parametrize("keep_alive", [0, 60])
def test_nothing_is_lost_of_a_client_that_sends_all_in_one_go(kind: Kind, keep_alive: int) -> None:
    async def main() -> None:
        async with kind() as broker, await Peer.to(broker) as watcher:
            await watcher.connect("watcher")
            await watcher.subscribe(("t", 1), ("will", 0))
            async with await Peer.to(broker) as brief:
                hello = connect("brief", keep_alive=keep_alive, will=("will", b"gone", 0, False))
                messages = [encode_publish("t", bytes([n]), 1, packet_id=n + 1) for n in range(20)]
                brief.send(hello, *messages, DISCONNECT)
                brief.finish()
                got = [(await watcher.message()).payload[0] for _ in range(20)]
                assert got == list(range(20))
                await brief.ended()
            await watcher.silence()

    run(main())


@both
@pytest.mark.parametrize("clean", [True, False])
def test_second_connection_takes_over_and_the_will_is_that_of_the_first(kind: Kind, clean: bool) -> None:
    async def main() -> None:
        async with kind() as broker, await Peer.to(broker) as watcher:
            await watcher.connect("watcher")
            await watcher.subscribe(("will/#", 0), ("said", 0))
            async with await Peer.to(broker) as first, await Peer.to(broker) as second:
                await first.connect("same", clean=clean, will=("will/1", b"", 0, False))
                await first.subscribe(("order", 0))
                answer = await second.connect("same", clean=clean, will=("will/2", b"", 0, False))
                assert (answer.code, answer.session_present) == (0, not clean)
                await first.ended()
                if clean or kind is EmbeddedBroker:  # Mosquitto 2.0 keeps the will where the session goes on
                    assert (await watcher.message()).topic == "will/1"
                await second.publish("said", b"still here")
                assert (await watcher.message()).payload == b"still here"
                await second.subscribe(("order", 0))
                await watcher.publish("order", b"on")
                assert (await second.message()).payload == b"on"
                await second.silence()
            assert (await watcher.message()).topic == "will/2"

    run(main())


@both
def test_session_keeps_what_came_while_its_client_was_away(kind: Kind) -> None:
    async def main() -> None:
        async with kind() as broker, await Peer.to(broker) as sender:
            await sender.connect("sender")
            await sender.subscribe(("gone", 0))
            async with await Peer.to(broker) as sleeper:
                will = ("gone", b"", 0, False)
                assert not (await sleeper.connect("sleeper", clean=False, will=will)).session_present
                await sleeper.subscribe(("t", 1))
                await sender.publish("t", b"unacknowledged", 1)
                await sleeper.message(acknowledge=False)
            await sender.message()
            await sender.publish("t", b"missed", 1)
            async with await Peer.to(broker) as sleeper:
                assert (await sleeper.connect("sleeper", clean=False)).session_present
                first, second = await sleeper.message(), await sleeper.message()
                assert (first.payload, first.dup) == (b"unacknowledged", True)
                assert (second.payload, second.dup, second.retain) == (b"missed", False, False)
            async with await Peer.to(broker) as sleeper:
                assert not (await sleeper.connect("sleeper", clean=True)).session_present
                await sleeper.silence()
            async with await Peer.to(broker) as sleeper:
                assert not (await sleeper.connect("sleeper", clean=False)).session_present

    run(main())


@both
def test_client_that_acknowledges_nothing_is_still_served(kind: Kind) -> None:
    async def main() -> None:
        async with kind() as broker, await Peer.to(broker) as client:
            await client.connect("client")
            await client.publish("t", b"kept", 1, retain=True)
            await client.subscribe(("t", 1))
            await client.message(acknowledge=False)
            assert await client.subscribe(("other", 0)) == (0,)
            await client.silence()

    run(main())


@both
def test_client_silent_for_longer_than_its_keep_alive_is_dropped(kind: Kind) -> None:
    async def main() -> None:
        async with kind() as broker, await Peer.to(broker) as watcher, await Peer.to(broker) as silent:
            await watcher.connect("watcher")
            await watcher.subscribe(("will", 0))
            await silent.connect("silent", keep_alive=1, will=("will", b"gone", 0, False))
            assert (await watcher.message()).payload == b"gone"
            await silent.ended()

    run(main())


@both
def test_exactly_once_both_ways(kind: Kind) -> None:
    async def main() -> None:
        async with kind() as broker, await Peer.to(broker) as client:
            await client.connect("client")
            await client.subscribe(("t", 2))
            client.send(encode_publish("t", b"x", 2, packet_id=5))
            seen: list[Packet] = []
            while len(seen) < 4:  # PUBREC and PUBCOMP for ours, PUBLISH and PUBREL of the broker's
                packet = await client.next()
                assert packet is not None
                seen.append(packet)
                if packet.type is PacketType.PUBREC:
                    client.send(encode_ack(PacketType.PUBREL, 5))
                elif isinstance(packet, Publish):
                    client.send(encode_ack(PacketType.PUBREC, packet.packet_id or 0))
                elif packet.type is PacketType.PUBREL:
                    client.send(encode_ack(PacketType.PUBCOMP, int.from_bytes(packet.raw[2:])))
            assert sorted(packet.type for packet in seen) == sorted(
                [PacketType.PUBLISH, PacketType.PUBREC, PacketType.PUBREL, PacketType.PUBCOMP]
            )
            await client.silence()

    run(main())


@both
def test_large_messages_and_no_statistics(kind: Kind) -> None:
    async def main() -> None:
        async with kind() as broker, await Peer.to(broker) as client:
            await client.connect("client")
            await client.subscribe(("$SYS/#", 0))
            await client.silence()
            await client.subscribe(("#", 0))
            await client.publish("big", bytes(1_000_000))
            assert (await client.message()).payload == bytes(1_000_000)

    run(main())


@both
def test_bad_bytes_cost_only_their_own_connection(kind: Kind) -> None:
    async def main() -> None:
        async with kind() as broker, await Peer.to(broker) as watcher:
            await watcher.connect("watcher")
            await watcher.subscribe(("will", 0))
            for bad in [
                b"GET / HTTP/1.1\r\n\r\n",
                encode_publish("t", b"before CONNECT"),
                b"\x10\xff\xff\xff\xff",
            ]:
                async with await Peer.to(broker) as peer:
                    peer.send(bad)
                    peer.finish()
                    await peer.ended()
            for bad in MALFORMED:
                async with await Peer.to(broker) as peer:
                    await peer.connect("bad", will=("will", b"gone", 0, False))
                    peer.send(bad)
                    await peer.ended()
                assert (await watcher.message()).payload == b"gone", bad
            await watcher.silence()

    run(main())


@both
def test_second_connect_on_a_connection_ends_it(kind: Kind) -> None:
    async def main() -> None:
        async with kind() as broker, await Peer.to(broker) as peer:
            await peer.connect("peer")
            peer.send(connect("peer"))
            await peer.ended()

    run(main())


@both
def test_login(kind: Kind) -> None:
    async def main() -> None:
        async with kind(users=[ANNA, User("bob", "b")]) as broker:
            assert broker.endpoint.user == ANNA
            async with await Peer.to(broker) as anna:
                assert (await anna.connect("anna", user=ANNA)).code == 0
                for user in [None, User("anna", "wrong"), User("nobody", "b"), User("bob", ANNA.password)]:
                    async with await Peer.to(broker) as stranger:
                        assert (await stranger.connect("anna", user=user)).code in (4, 5)
                        await stranger.ended()
                await anna.silence()
            async with await Peer.to(broker) as bob:
                assert (await bob.connect("bob", user=User("bob", "b"))).code == 0

    run(main())


@both
def test_tls(kind: Kind, tmp_path: Path) -> None:
    files = certificate(tmp_path)

    async def main() -> None:
        async with kind(tls=files) as broker, await Peer.to(broker) as client:
            assert broker.endpoint.url.startswith("mqtts://127.0.0.1:")
            assert (await client.connect("client")).code == 0
            async with ExternalBroker(broker.endpoint.url, ca=files.certificate):
                pass
            with pytest.raises(BrokerError, match=r"no TLS connection: self.signed certificate"):
                await ExternalBroker(broker.endpoint.url).start()

    run(main())


@both
@pytest.mark.parametrize("wipe", [True, False])
def test_restart_cuts_everybody_and_comes_back_on_its_port(kind: Kind, wipe: bool) -> None:
    async def main() -> None:
        async with kind() as broker:
            port = broker.endpoint.port
            async with await Peer.to(broker) as client, await Peer.to(broker) as mute:
                await client.connect("client", clean=False)
                await client.subscribe(("t", 1))
                await client.publish("state", b"on", 1, retain=True)
                await broker.restart(wipe=wipe)
                await client.ended()
                await mute.ended()
            assert broker.endpoint.port == port
            async with await Peer.to(broker) as client:
                assert (await client.connect("client", clean=False)).session_present is not wipe
                await client.subscribe(("state", 0))
                if not wipe:
                    assert (await client.message()).payload == b"on"
                await client.silence()

    run(main())


@both
def test_stopped_broker_can_start_again(kind: Kind) -> None:
    async def main() -> None:
        broker = kind()
        await broker.stop()
        await broker.start()
        await broker.stop()
        port = broker.endpoint.port
        with pytest.raises(OSError):
            await Peer.to(broker)
        async with broker, await Peer.to(broker) as client:
            assert broker.endpoint.port == port
            assert (await client.connect("client")).code == 0

    run(main())


@pytest.mark.parametrize("steps", range(6))
def test_a_client_that_comes_while_the_broker_goes_is_cut_off_without_a_word(steps: int) -> None:
    async def main() -> None:
        problems: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, told: problems.append(str(told)))
        broker = EmbeddedBroker()
        await broker.start()
        where = (broker.endpoint.host, broker.endpoint.port)
        with socket.create_connection(where) as client:
            for _ in range(steps):  # of the loop, on the way from a connection to its first packet
                await asyncio.sleep(0)
            await broker.stop()
            client.setblocking(False)
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 1), 10) == b""
        assert problems == []

    run(main())


@both
def test_stop_does_not_wait_for_peers_that_hang(kind: Kind) -> None:
    async def main() -> None:
        async with kind() as broker, await Peer.to(broker) as hanging, await Peer.to(broker) as sender:
            hanging.writer.transport.pause_reading()
            hanging.send(connect("hanging"), subscribe(1, ("t", 0)))
            await sender.connect("sender")
            for _ in range(50):
                await sender.publish("t", bytes(200_000))
            await sender.silence()
            await broker.stop()

    run(main())


@both
def test_port_in_use(kind: Kind) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            said = f"port {port} on 127.0.0.1 is in use; stop the program that listens"
            with pytest.raises(BrokerError, match=said):
                await kind(port=port).start()

    run(main())


@both
def test_unusable_certificate(kind: Kind, tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(BrokerError, match=f"cannot use certificate {tmp_path}/none.pem"):
            await kind(tls=TlsFiles(tmp_path / "none.pem", tmp_path / "none.key")).start()

    run(main())


def test_address_that_is_not_ours() -> None:
    async def main() -> None:
        with pytest.raises(BrokerError, match=r"cannot listen on 192.0.2.1 port 0"):
            await EmbeddedBroker("192.0.2.1").start()

    run(main())


def test_embedded_broker_says_nothing_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with EmbeddedBroker() as broker:
            async with await Peer.to(broker) as peer:
                peer.send(b"GET / HTTP/1.1\r\n\r\n")
                peer.finish()
                await peer.ended()
            async with await Peer.to(broker) as peer:
                await peer.connect("peer")
                peer.send(encode_packet(PacketType.SUBSCRIBE, 2, b"\0"))
                await peer.ended()

    with caplog.at_level(logging.INFO, logger="root"):
        run(main())
    assert not [record for record in caplog.records if record.name.startswith("amqtt")]


@pytest.mark.peer
@needs_mosquitto
def test_mosquitto_that_ends_at_once_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def main() -> None:
        program = tmp_path / "mosquitto"
        program.write_text("#!/bin/sh\necho starting >&2\necho 'Error: no luck today' >&2\nexit 3\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        with pytest.raises(BrokerError, match="ended at once with status 3: Error: no luck today"):
            await MosquittoBroker().start()

    run(main())


def test_mosquitto_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *arguments, **named: None)
    with pytest.raises(BrokerError, match=r"mosquitto is not installed; .* or use the embedded broker"):
        broker_for("mosquitto")


def test_cancelled_start_leaves_nothing() -> None:
    async def main() -> None:
        for kind in (EmbeddedBroker, MosquittoBroker):
            task = asyncio.create_task(kind().start())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises((asyncio.CancelledError, BrokerError)):
                await task

    before = open_sockets()
    run(main())
    assert open_sockets() == before


@pytest.mark.parametrize(
    ("url", "shown", "user"),
    [
        ("mqtt://broker.example", "mqtt://broker.example:1883", None),
        ("mqtts://broker.example", "mqtts://broker.example:8883", None),
        ("mqtt://anna:s3cret%3A%20p%40ss@10.0.0.7:1884/", "mqtt://10.0.0.7:1884", ANNA),
        ("mqtt://anna@[::1]:1884", "mqtt://[::1]:1884", User("anna", "")),
    ],
)
def test_url_is_understood(url: str, shown: str, user: User | None) -> None:
    endpoint = broker_for(url).endpoint
    assert (endpoint.url, endpoint.user) == (shown, user)


@pytest.mark.parametrize(
    ("choice", "text"),
    [
        ("amqp", "broker 'amqp' is not known; expected embedded, mosquitto or a URL"),
        ("http://host", "scheme 'http' is not known; expected mqtt://"),
        ("mqtt://", "the host is missing"),
        ("mqtt://:1883", "the host is missing"),
        ("mqtt://host:port", "Port could not be cast"),
        ("mqtt://host:70000", "Port out of range"),
        ("mqtt://host:0", "nothing listens on port 0"),
        ("mqtt://host/topic", "nothing may follow the port"),
        ("mqtt://host?x=1", "nothing may follow the port"),
        ("mqtt://:hush@host", "a password without a user name"),
    ],
)
def test_choice_that_is_none(choice: str, text: str) -> None:
    with pytest.raises(BrokerError) as caught:
        broker_for(choice)
    assert text in str(caught.value)
    assert "hush" not in str(caught.value)


def test_ca_without_tls_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="only of use with mqtts://"):
        broker_for("mqtt://host", ca=tmp_path / "ca.pem")


def test_external_broker_that_is_not_there() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            url = f"mqtt://anna:hush@127.0.0.1:{closed.getsockname()[1]}"
        broker: Broker = broker_for(url)
        with pytest.raises(BrokerError, match=r"cannot be reached: .*refused") as caught:
            await broker.start()
        assert "hush" not in str(caught.value)
        with pytest.raises(BrokerError, match="not ours to restart"):
            await broker.restart(wipe=True)

    run(main())


@both
def test_external_broker_is_left_running(kind: Kind) -> None:
    async def main() -> None:
        async with kind() as broker:
            async with broker_for(broker.endpoint.url) as external:
                assert external.tls is None
            async with await Peer.to(broker) as client:
                assert (await client.connect("client")).code == 0

    run(main())
