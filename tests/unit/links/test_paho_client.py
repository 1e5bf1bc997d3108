"""The client with real brokers: amqtt on the same loop, and Mosquitto."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mqtt_peer import BROKERS, certificate, needs_mosquitto, run

from harness.links.clock import loop as clock
from harness.links.mqtt.brokers.broker import (
    Broker,
    EmbeddedBroker,
    MosquittoBroker,
    User,
)
from harness.links.mqtt.brokers.local import LocalBroker
from harness.links.mqtt.paho_client import (
    ClientWill,
    ClosedError,
    ConnectError,
    PahoClient,
    ReceivedMessage,
)
from harness.links.mqtt.paho_loop import MOST_UNDER_WAY

Kind = type[LocalBroker]
both = pytest.mark.parametrize("kind", BROKERS)


class Listener(PahoClient):
    """A client that keeps what it gets."""

    def __init__(self, client_id: str, **settings: Any) -> None:
        self.messages: asyncio.Queue[ReceivedMessage] = asyncio.Queue()
        self.closed: asyncio.Queue[str] = asyncio.Queue()
        super().__init__(
            client_id, on_message=self.messages.put_nowait, on_closed=self.closed.put_nowait, **settings
        )

    async def to(self, broker: Broker) -> bool:
        """Connect; return whether the broker had kept the session."""
        end = broker.endpoint
        return (await self.connect(end.host, end.port, timeout=10)).session_present


@contextlib.asynccontextmanager
async def joined(broker: Broker, client_id: str, **settings: Any) -> AsyncIterator[Listener]:
    client = Listener(client_id, **settings)
    await client.to(broker)
    try:
        yield client
    finally:
        await client.disconnect()


@both
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_messages_arrive_in_order_at_every_qos(kind: Kind, qos: int) -> None:
    async def main() -> None:
        async with kind() as broker, joined(broker, "a") as a, joined(broker, "b") as b:
            assert await a.subscribe(("t/#", qos)) == (qos,)
            payloads = [b"%d" % number for number in range(100)]
            done = [b.publish("t/x", payload, qos) for payload in payloads]
            got = [await a.messages.get() for _ in payloads]
            assert [message.payload for message in got] == payloads
            assert {(m.topic, m.qos, m.retain, m.dup) for m in got} == {("t/x", qos, False, False)}
            assert all((message.mid > 0) == (qos > 0) for message in got)
            await asyncio.gather(*done)

    run(main())


@both
def test_will_comes_after_abort_and_not_after_disconnect(kind: Kind) -> None:
    async def main() -> None:
        async with kind() as broker, joined(broker, "watcher") as watcher:
            await watcher.subscribe(("alive", 1))
            device = Listener("device", will=ClientWill("alive", b"lost", 1))
            for _ in range(5):
                await device.to(broker)
                await device.disconnect()
                await watcher.publish("alive", b"marker", 1)
                assert (await watcher.messages.get()).payload == b"marker"
            await device.to(broker)
            device.abort()
            assert (await watcher.messages.get()).payload == b"lost"

    run(main())


@both
def test_retained_message_is_marked_on_subscribing(kind: Kind) -> None:
    async def main() -> None:
        async with kind() as broker, joined(broker, "a") as a:
            await a.publish("state", b"on", 1, retain=True)
            await a.subscribe(("state", 1))
            kept = await a.messages.get()
            assert (kept.payload, kept.retain) == (b"on", True)
            await a.unsubscribe("state")
            await a.publish("state", b"off", 1)
            await a.publish("marker", b"", 1)
            assert a.messages.empty()

    run(main())


@both
def test_message_without_ack_is_delivered_again(kind: Kind) -> None:
    async def main() -> None:
        async with kind() as broker, joined(broker, "b") as b:
            device = Listener("device", clean_session=False, manual_ack=True)
            assert await device.to(broker) is False
            await device.subscribe(("c", 1))
            for payload in (b"first", b"second"):
                await b.publish("c", payload, 1)
            first, second = await device.messages.get(), await device.messages.get()
            device.ack(first)
            await device.publish("marker", b"", 1)  # acknowledged: the broker has seen that PUBACK
            device.abort()
            assert await device.to(broker) is True
            again = await device.messages.get()
            assert (again.payload, again.dup, again.mid) == (b"second", True, second.mid)
            device.ack(again)
            await device.publish("marker", b"", 1)
            assert device.messages.empty()
            await device.disconnect()

    run(main())


@both
def test_session_outlives_the_connection(kind: Kind) -> None:
    async def main() -> None:
        async with kind() as broker, joined(broker, "b") as b:
            device = Listener("device", clean_session=False)
            await device.to(broker)
            await device.subscribe(("c", 1))
            await device.disconnect()
            await b.publish("c", b"while away", 1)
            assert await device.to(broker) is True
            assert (await device.messages.get()).payload == b"while away"
            await device.disconnect()

    run(main())


@both
def test_broker_goes_away_and_comes_back(kind: Kind) -> None:
    async def main() -> None:
        async with kind() as broker:
            device = Listener("device")
            await device.to(broker)
            await broker.restart(wipe=True)
            assert "connection" in await device.closed.get()
            assert not device.connected
            with pytest.raises(ClosedError, match="not connected"):
                await device.subscribe(("c", 1))
            await device.to(broker)
            await device.publish("t", b"back", 1)
            await device.disconnect()
            assert device.closed.empty()

    run(main())


@both
def test_login(kind: Kind) -> None:
    async def main() -> None:
        async with kind(users=[User("anna", "sesame")]) as broker:
            for login in ({}, {"username": "anna", "password": "wrong"}):
                with pytest.raises(ConnectError, match=r"refused the connection: .*\(code [45]\)") as refused:
                    await Listener("device", **login).to(broker)
                assert refused.value.code in (4, 5)
                assert "wrong" not in str(refused.value)
            async with joined(broker, "device", username="anna", password="sesame") as device:
                await device.publish("t", b"", 1)

    run(main())


def test_nobody_listens() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        for host in ("127.0.0.1", "localhost"):
            message = f"MQTT broker {host}:{port} cannot be reached: Connection refused"
            with pytest.raises(ConnectError, match=message):
                await PahoClient("device").connect(host, port, timeout=10)

    run(main())


def test_name_that_does_not_resolve() -> None:
    async def main() -> None:
        with pytest.raises(ConnectError, match=r"MQTT broker no such host:1883 cannot be reached: .+"):
            await PahoClient("device").connect("no such host", 1883, timeout=10)

    run(main())


def test_second_connect_is_a_mistake_that_costs_nothing() -> None:
    async def main() -> None:
        async with EmbeddedBroker() as broker, joined(broker, "device") as device:
            with pytest.raises(ConnectError, match="already"):
                await device.to(broker)
            await device.publish("t", b"", 1)

    run(main())


def test_more_messages_than_can_wait_for_their_acknowledgement_fail_at_once() -> None:
    async def main() -> None:
        device = PahoClient("device", clean_session=False)
        waiting = [device.publish("t", b"", 1) for _ in range(MOST_UNDER_WAY)]
        with pytest.raises(ClosedError, match="too many"):
            await device.publish("t", b"", 1)
        assert not any(future.done() for future in waiting)
        device.abort()

    run(main())


def test_cancelled_connect_leaves_nothing_behind() -> None:
    async def main() -> None:
        arrived = asyncio.Event()

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            arrived.set()
            while await reader.read(1000):
                pass
            writer.close()
            ended.set()

        ended = asyncio.Event()
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        async with server:
            device = PahoClient("device")
            port = server.sockets[0].getsockname()[1]
            connecting = asyncio.ensure_future(device.connect("127.0.0.1", port, timeout=10))
            await arrived.wait()
            connecting.cancel()
            await ended.wait()
            with pytest.raises(asyncio.CancelledError):
                await connecting

    run(main())


@both
def test_tls(kind: Kind, tmp_path: Path) -> None:
    files = certificate(tmp_path)

    async def main() -> None:
        async with kind(tls=files) as broker, joined(broker, "device", tls=broker.tls) as device:
            await device.subscribe(("t", 1))
            large = bytes(range(256)) * 1000  # many TLS records
            for _ in range(3):
                await device.publish("t", large, 1)
                assert (await device.messages.get()).payload == large

    run(main())


@both
def test_untrusted_certificate(kind: Kind, tmp_path: Path) -> None:
    files = certificate(tmp_path)

    async def main() -> None:
        async with kind(tls=files) as broker:
            with pytest.raises(ConnectError, match="is not trusted: self-signed certificate"):
                await Listener("device", tls=ssl.create_default_context()).to(broker)

    run(main())


@pytest.mark.peer
@needs_mosquitto
def test_version_5_with_a_kept_session() -> None:
    async def main() -> None:
        async with MosquittoBroker() as broker, joined(broker, "b", protocol_level=5) as b:
            device = Listener("device", protocol_level=5, clean_session=False)
            assert await device.to(broker) is False
            assert await device.subscribe(("c/#", 2)) == (2,)
            device.abort()
            for qos in (1, 2):
                await b.publish("c/x", b"while away", qos)
            assert await device.to(broker) is True
            assert [(await device.messages.get()).qos for _ in range(2)] == [1, 2]
            await device.unsubscribe("c/#")
            await device.disconnect()

    run(main())


def test_an_hour_of_keep_alive_in_virtual_time() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with EmbeddedBroker() as broker, joined(broker, "watcher", keep_alive=600) as watcher:
            await watcher.subscribe(("alive", 1))
            async with joined(broker, "device", keep_alive=15, will=ClientWill("alive", b"lost")) as device:
                start = loop.time()
                await asyncio.sleep(3600)
                assert loop.time() - start == pytest.approx(3600)
                assert device.connected and watcher.connected  # this broker cuts off who is late
                await device.publish("alive", b"yes", 1)
                assert (await watcher.messages.get()).payload == b"yes"

    clock.run(main(), virtual=True)
