"""What the client sends, packet by packet, to a broker that does as the test says."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripted_broker import Conversation, ScriptedBroker, scripted_broker

from harness.links.clock.loop import run
from harness.links.mqtt.paho_client import (
    ClientWill,
    ClosedError,
    ConnectError,
    PahoClient,
    ReceivedMessage,
    RefusedError,
)
from harness.wire.mqtt.codec import (
    Ack,
    Connect,
    Packet,
    PacketType,
    Pingreq,
    Publish,
    Subscribe,
    encode_ack,
    encode_connack,
    encode_packet,
    encode_pingresp,
    encode_publish,
    encode_suback,
)


def in_virtual_time(test: Coroutine[Any, Any, None]) -> None:
    """Run a test; a dead end shows after an hour, which takes no time."""

    async def limited() -> None:
        async with asyncio.timeout(3600):
            await test

    run(limited(), virtual=True)


async def connected(
    client: PahoClient, broker: ScriptedBroker, session_present: bool = False
) -> tuple[Conversation, Connect]:
    connecting = asyncio.ensure_future(client.connect("127.0.0.1", broker.port, timeout=10))
    conversation, connect = await broker.accept(session_present)
    assert (await connecting).session_present is session_present
    return conversation, connect


async def cut(client: PahoClient, conversation: Conversation) -> None:
    """Close the broker's end, and wait until the client has noticed."""
    noticed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    client.on_closed = noticed.set_result
    conversation.close()
    await noticed


def publications(packets: list[Packet]) -> list[tuple[bytes, bool, int | None]]:
    return [(p.payload, p.dup, p.packet_id) for p in packets if isinstance(p, Publish)]


@pytest.mark.parametrize("level", [4, 5])
def test_connect_carries_what_was_asked(level: int) -> None:
    async def test() -> None:
        async with scripted_broker() as broker:
            client = PahoClient(
                "plug-1",
                protocol_level=level,
                keep_alive=77,
                clean_session=False,
                will=ClientWill("plug/alive", b"no", 1, True),
                username="anna",
                password="sesame",
            )
            _, connect = await connected(client, broker)
            assert (connect.level, connect.client_id, connect.keep_alive) == (level, "plug-1", 77)
            assert connect.clean_session is False
            assert (connect.username, connect.password) == ("anna", b"sesame")
            assert connect.will is not None
            will = connect.will
            assert (will.topic, will.payload, will.qos, will.retain) == ("plug/alive", b"no", 1, True)
            client.abort()
            client.will = None
            _, connect = await connected(client, broker)
            assert connect.will is None
            client.abort()

    in_virtual_time(test())


def test_unacknowledged_messages_come_again_in_a_kept_session() -> None:
    async def test() -> None:
        async with scripted_broker() as broker:
            client = PahoClient("plug", clean_session=False)
            conversation, _ = await connected(client, broker)
            sent = [client.publish("t", payload, 1) for payload in (b"a", b"b", b"c")]
            first = [await conversation.next() for _ in sent]
            await cut(client, conversation)
            later = client.publish("t", b"made while away", 1)
            conversation, _ = await connected(client, broker, session_present=True)
            again = [await conversation.next() for _ in range(4)]
            ids = [packet.packet_id for packet in first if isinstance(packet, Publish)]
            assert publications([p for p in again if p])[:3] == [
                (b"a", True, ids[0]),
                (b"b", True, ids[1]),
                (b"c", True, ids[2]),
            ]
            payload, dup, new_id = publications([p for p in again if p])[3]
            assert (payload, dup) == (b"made while away", False)
            for packet_id in (*ids, new_id):
                assert packet_id
                conversation.send(encode_ack(PacketType.PUBACK, packet_id))
            await asyncio.gather(*sent, later)
            client.abort()

    in_virtual_time(test())


def test_pubrel_comes_again_in_a_kept_session() -> None:
    async def test() -> None:
        async with scripted_broker() as broker:
            client = PahoClient("plug", clean_session=False)
            conversation, _ = await connected(client, broker)
            sent = client.publish("t", b"once", 2)
            published = await conversation.next()
            assert isinstance(published, Publish) and published.packet_id
            conversation.send(encode_ack(PacketType.PUBREC, published.packet_id))
            assert (await conversation.next()).type is PacketType.PUBREL
            await cut(client, conversation)
            conversation, _ = await connected(client, broker, session_present=True)
            again = await conversation.next()
            assert isinstance(again, Ack)
            assert (again.type, again.packet_id) == (PacketType.PUBREL, published.packet_id)
            assert not sent.done()
            conversation.send(encode_ack(PacketType.PUBCOMP, published.packet_id))
            await sent
            client.abort()

    in_virtual_time(test())


@pytest.mark.parametrize("clean_session", [True, False])
def test_nothing_comes_again_in_a_new_session(clean_session: bool) -> None:
    async def test() -> None:
        async with scripted_broker() as broker:
            client = PahoClient("plug", clean_session=clean_session)
            conversation, _ = await connected(client, broker)
            lost = client.publish("t", b"old", 1)
            await conversation.next()
            await cut(client, conversation)
            conversation, _ = await connected(client, broker, session_present=False)
            client.publish("t", b"new", 0)
            assert publications([await conversation.next()]) == [(b"new", False, None)]
            with pytest.raises(ClosedError):
                await lost
            client.abort()

    in_virtual_time(test())


def test_messages_in_the_queue_end_with_a_clean_session() -> None:
    async def test() -> None:
        async with scripted_broker() as broker:
            client = PahoClient("plug")
            conversation, _ = await connected(client, broker)
            waiting = [client.publish("t", b"old", 1) for _ in range(50)]  # paho sends 20 at a time
            await conversation.next()
            await cut(client, conversation)
            conversation, _ = await connected(client, broker)
            client.publish("t", b"new", 0)
            assert publications([await conversation.next()]) == [(b"new", False, None)]
            for each in waiting:
                with pytest.raises(ClosedError):
                    await each
            client.abort()

    in_virtual_time(test())


def test_an_outstanding_packet_id_is_not_given_away() -> None:
    async def test() -> None:
        async with scripted_broker() as broker:
            client = PahoClient("plug")
            conversation, _ = await connected(client, broker)
            client.publish("t", b"held", 1)
            held = await conversation.next()
            assert isinstance(held, Publish)
            # paho draws an identifier for QoS 0, too: that brings its counter round quickly
            for _ in range(65533):
                client.publish("t", b"")
            client.publish("t", b"x", 1)
            client.publish("t", b"x", 1)
            asking = asyncio.ensure_future(client.subscribe(("t", 0)))
            seen: list[int | None] = []
            while not isinstance(packet := await conversation.next(), Subscribe):
                if isinstance(packet, Publish) and packet.qos:
                    seen.append(packet.packet_id)
            seen.append(packet.packet_id)
            assert held.packet_id not in seen
            assert len(set(seen)) == 3 and 0 not in seen
            assert max(i for i in seen if i) > 65000 > min(i for i in seen if i), "the counter came round"
            asking.cancel()
            client.abort()

    in_virtual_time(test())


def test_manual_ack_is_sent_when_asked_for() -> None:
    async def test() -> None:
        got: asyncio.Queue[ReceivedMessage] = asyncio.Queue()
        async with scripted_broker() as broker:
            client = PahoClient("plug", manual_ack=True, on_message=got.put_nowait)
            conversation, _ = await connected(client, broker)
            conversation.send(encode_publish("c", b"1", 1, packet_id=7))
            first = await got.get()
            client.publish("t", b"still no ack before this")
            assert isinstance(await conversation.next(), Publish)
            client.ack(first)
            acked = await conversation.next()
            assert isinstance(acked, Ack)
            assert (acked.type, acked.packet_id) == (PacketType.PUBACK, 7)
            conversation.send(encode_publish("c", b"2", 2, packet_id=8))
            assert (await conversation.next()).type is PacketType.PUBREC
            conversation.send(encode_ack(PacketType.PUBREL, 8))
            client.ack(await got.get())
            assert (await conversation.next()).type is PacketType.PUBCOMP
            conversation.send(encode_ack(PacketType.PUBREL, 8))  # as after a PUBCOMP that got lost
            assert (await conversation.next()).type is PacketType.PUBCOMP
            client.abort()

    in_virtual_time(test())


def test_an_ack_does_not_outlive_its_connection() -> None:
    async def test() -> None:
        got: asyncio.Queue[ReceivedMessage] = asyncio.Queue()
        async with scripted_broker() as broker:
            client = PahoClient("plug", manual_ack=True, on_message=got.put_nowait)
            conversation, _ = await connected(client, broker)
            conversation.send(encode_publish("c", b"1", 1, packet_id=7))
            message = await got.get()
            client.abort()
            conversation, _ = await connected(client, broker)
            client.ack(message)
            client.publish("t", b"x")
            assert isinstance(await conversation.next(), Publish)
            client.abort()

    in_virtual_time(test())


def test_qos_2_is_delivered_once_though_sent_twice() -> None:
    async def test() -> None:
        got: list[ReceivedMessage] = []
        async with scripted_broker() as broker:
            client = PahoClient("plug", on_message=got.append)
            conversation, _ = await connected(client, broker)
            conversation.send(encode_publish("c", b"toggle", 2, packet_id=9))
            conversation.send(encode_publish("c", b"toggle", 2, packet_id=9, dup=True))
            conversation.send(encode_ack(PacketType.PUBREL, 9))
            answers = [await conversation.next() for _ in range(3)]
            types = [packet.type for packet in answers if packet]
            assert types == [PacketType.PUBREC, PacketType.PUBREC, PacketType.PUBCOMP]
            assert [message.payload for message in got] == [b"toggle"]
            client.abort()

    in_virtual_time(test())


def test_pings_keep_within_the_keep_alive() -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        async with scripted_broker() as broker:
            client = PahoClient("plug", keep_alive=60)
            conversation, _ = await connected(client, broker)
            last = loop.time()
            end = last + 3000
            chatter = asyncio.ensure_future(_chatter(client, conversation))
            while loop.time() < end:
                packet = await conversation.next()
                assert packet
                assert loop.time() - last <= 60
                last = loop.time()
                if isinstance(packet, Pingreq):
                    conversation.send(encode_pingresp())
            assert client.connected
            chatter.cancel()
            client.abort()

    async def _chatter(client: PahoClient, conversation: Conversation) -> None:
        for pause in (10, 59, 200, 53.9999999, 0.1, 1000 / 3):
            await asyncio.sleep(pause)
            client.publish("t", b"x")
            await asyncio.sleep(pause)
            conversation.send(encode_publish("c", b"x"))

    in_virtual_time(test())


def test_a_client_that_talks_does_not_ping() -> None:
    async def test() -> None:
        async with scripted_broker() as broker:
            client = PahoClient("plug", keep_alive=60)
            conversation, _ = await connected(client, broker)
            for _ in range(50):
                await asyncio.sleep(50)
                done = client.publish("t", b"x", 1)
                packet = await conversation.next()
                assert isinstance(packet, Publish) and packet.packet_id
                conversation.send(encode_ack(PacketType.PUBACK, packet.packet_id))
                await done
            client.abort()
            assert await conversation.rest() == []

    in_virtual_time(test())


def test_a_silent_broker_is_given_up() -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        closed: asyncio.Future[str] = loop.create_future()
        async with scripted_broker() as broker:
            client = PahoClient("plug", keep_alive=60, on_closed=closed.set_result)
            conversation, _ = await connected(client, broker)
            start = loop.time()
            assert "PINGRESP" in await closed
            assert 60 <= loop.time() - start <= 120
            assert [packet.type for packet in await conversation.rest()] == [PacketType.PINGREQ]
            assert not client.connected

    in_virtual_time(test())


def test_keep_alive_0_sends_no_ping() -> None:
    async def test() -> None:
        async with scripted_broker() as broker:
            client = PahoClient("plug", keep_alive=0)
            conversation, _ = await connected(client, broker)
            await asyncio.sleep(1800)
            client.abort()
            assert await conversation.rest() == []

    in_virtual_time(test())


def test_disconnect_reaches_a_broker_that_is_still_sending() -> None:
    async def test() -> None:
        async with scripted_broker() as broker:
            client = PahoClient("plug")
            conversation, _ = await connected(client, broker)
            for _ in range(2000):
                conversation.send(encode_publish("flood", b"x" * 500))
            leaving = asyncio.ensure_future(client.disconnect())
            assert [packet.type for packet in await conversation.rest()] == [PacketType.DISCONNECT]
            conversation.close()
            await leaving
            assert not client.connected

    in_virtual_time(test())


def test_disconnect_does_not_wait_for_ever() -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        async with scripted_broker() as broker:
            client = PahoClient("plug")
            await connected(client, broker)
            # more than the sockets take: this broker does not read
            waiting = [client.publish("t", bytes(1_000_000)) for _ in range(40)]
            start = loop.time()
            await client.disconnect(within=3)
            assert loop.time() - start <= 6
            with pytest.raises(ClosedError):
                await waiting[-1]

    in_virtual_time(test())


def test_end_of_connection_is_told_to_everyone_who_waits() -> None:
    async def test() -> None:
        closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        async with scripted_broker() as broker:
            client = PahoClient("plug", on_closed=closed.set_result)
            conversation, _ = await connected(client, broker)
            subscribing = asyncio.ensure_future(client.subscribe(("c", 1)))
            publishing = client.publish("t", b"x", 1)
            await conversation.next()
            conversation.close()
            assert "closed the connection" in await closed
            for waiting in (subscribing, publishing):
                with pytest.raises(ClosedError):
                    await waiting
            with pytest.raises(ClosedError):
                await client.publish("t", b"x")
            with pytest.raises(ClosedError):
                await client.unsubscribe("c")

    in_virtual_time(test())


def test_own_endings_are_not_reported() -> None:
    async def test() -> None:
        closed: list[str] = []
        async with scripted_broker() as broker:
            client = PahoClient("plug", on_closed=closed.append)
            conversation, _ = await connected(client, broker)
            client.abort()
            assert await conversation.rest() == []
            conversation, _ = await connected(client, broker)
            leaving = asyncio.ensure_future(client.disconnect())
            await conversation.rest()
            conversation.close()
            await leaving
            assert closed == []

    in_virtual_time(test())


def test_callbacks_may_use_the_client() -> None:
    async def test() -> None:
        async with scripted_broker() as broker:
            seen: list[bytes] = []

            def answer(message: ReceivedMessage) -> None:
                seen.append(message.payload)
                client.publish("answer", message.payload)
                if message.payload == b"die":
                    client.abort()

            client = PahoClient("plug", on_message=answer)
            conversation, _ = await connected(client, broker)
            conversation.send(encode_publish("c", b"live", 2, packet_id=1))
            conversation.send(encode_ack(PacketType.PUBREL, 1))
            conversation.send(encode_publish("c", b"die", 1, packet_id=2) + encode_publish("c", b"never"))
            assert [p[0] for p in publications(await conversation.rest())] == [b"live", b"die"]
            assert seen == [b"live", b"die"]

    in_virtual_time(test())


def test_a_failing_callback_does_not_stop_the_client() -> None:
    async def test() -> None:
        problems: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        got: list[bytes] = []

        def fail_first(message: ReceivedMessage) -> None:
            got.append(message.payload)
            if len(got) == 1:
                raise RuntimeError("mine")

        async with scripted_broker() as broker:
            client = PahoClient("plug", on_message=fail_first)
            conversation, _ = await connected(client, broker)
            conversation.send(encode_publish("c", b"1") + encode_publish("c", b"2", 1, packet_id=1))
            assert (await conversation.next()).type is PacketType.PUBACK
            assert got == [b"1", b"2"]
            assert [str(problem["exception"]) for problem in problems] == ["mine"]
            client.abort()

    in_virtual_time(test())


@pytest.mark.parametrize(("level", "code"), [(4, 1), (4, 2), (4, 5), (5, 0x87)])
def test_refusal_names_its_code(level: int, code: int) -> None:
    async def test() -> None:
        async with scripted_broker() as broker:
            client = PahoClient("plug", protocol_level=level)
            connecting = asyncio.ensure_future(client.connect("127.0.0.1", broker.port, timeout=10))
            conversation = await broker.next_connection()
            await conversation.next()
            conversation.send(encode_connack(code, level=level))
            with pytest.raises(ConnectError, match=f"refused the connection.*{code}") as refused:
                await connecting
            assert refused.value.code == code
            assert await conversation.rest() == []
            await connected(client, broker)  # and it can try again
            client.abort()

    in_virtual_time(test())


def test_no_answer_to_connect() -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        async with scripted_broker() as broker:
            client = PahoClient("plug")
            start = loop.time()
            with pytest.raises(ConnectError, match="CONNACK") as failed:
                await client.connect("127.0.0.1", broker.port, timeout=30)
            assert loop.time() - start == pytest.approx(30)
            assert failed.value.code is None
            conversation = await broker.next_connection()
            assert [packet.type for packet in await conversation.rest()] == [PacketType.CONNECT]

    in_virtual_time(test())


def test_closed_in_place_of_connack() -> None:
    async def test() -> None:
        async with scripted_broker() as broker:
            connecting = asyncio.ensure_future(
                PahoClient("plug").connect("127.0.0.1", broker.port, timeout=30)
            )
            conversation = await broker.next_connection()
            await conversation.next()
            conversation.close()
            with pytest.raises(ConnectError, match="closed the connection"):
                await connecting

    in_virtual_time(test())


def test_version_5_refusals_of_publications() -> None:
    async def test() -> None:
        async with scripted_broker() as broker:
            client = PahoClient("plug", protocol_level=5)
            conversation, _ = await connected(client, broker)
            for qos, answer in ((1, PacketType.PUBACK), (2, PacketType.PUBREC)):
                refused = client.publish("t", b"x", qos)
                published = await conversation.next()
                assert isinstance(published, Publish) and published.packet_id
                conversation.send(encode_packet(answer, 0, published.packet_id.to_bytes(2, "big") + b"\x97"))
                with pytest.raises(RefusedError) as failure:
                    await refused
                assert failure.value.code == 0x97
            client.publish("t", b"no PUBREL before this")
            assert isinstance(await conversation.next(), Publish)
            client.abort()

    in_virtual_time(test())


def test_subscription_codes() -> None:
    async def test() -> None:
        async with scripted_broker() as broker:
            client = PahoClient("plug")
            conversation, _ = await connected(client, broker)
            asking = asyncio.ensure_future(client.subscribe(("a/+", 1), ("b", 2)))
            asked = await conversation.next()
            assert isinstance(asked, Subscribe)
            assert [(each.filter, each.qos) for each in asked.filters] == [("a/+", 1), ("b", 2)]
            conversation.send(encode_suback(asked.packet_id or 0, (1, 0x80)))
            assert await asking == (1, 0x80)
            client.abort()

    in_virtual_time(test())


def test_large_message_both_ways() -> None:
    async def test() -> None:
        got: asyncio.Queue[ReceivedMessage] = asyncio.Queue()
        large = bytes(range(256)) * 8000
        async with scripted_broker() as broker:
            client = PahoClient("plug", on_message=got.put_nowait)
            conversation, _ = await connected(client, broker)
            handed_over = client.publish("t", large)
            published = await conversation.next()
            assert isinstance(published, Publish) and published.payload == large
            await handed_over
            conversation.send(encode_publish("t", large))
            assert (await got.get()).payload == large
            client.abort()

    in_virtual_time(test())


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=30),
            st.builds(
                encode_packet,
                st.sampled_from([kind for kind in PacketType if kind]),
                st.integers(0, 15),
                st.binary(max_size=12),
            ),
        ),
        max_size=6,
    ),
    st.sampled_from([4, 5]),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_a_broker_sends_the_client_stays_in_order(chunks: list[bytes], level: int) -> None:
    """It goes on or closes with a reason: no exception, no hang, and it can connect again."""

    async def test() -> None:
        problems: list[Any] = []
        closed: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        async with scripted_broker() as broker:
            client = PahoClient("plug", protocol_level=level, on_closed=closed.append)
            conversation, _ = await connected(client, broker)
            client.publish("t", b"x", 2)
            for chunk in chunks:
                conversation.send(chunk)
            conversation.close()
            await conversation.rest()
            await asyncio.sleep(200)
            assert not client.connected
            assert len(closed) == 1 and closed[0]
            conversation, _ = await connected(client, broker)
            client.abort()
        assert problems == []

    in_virtual_time(test())


@pytest.mark.parametrize(
    "malformed",
    [
        encode_packet(PacketType.PINGRESP, 0b0001, b""),
        encode_packet(PacketType.PUBREL, 0b0000, b"\0\1"),
        encode_publish(b"plug/\0set", b"ON"),
        encode_publish(b"plug/\xc0\x80set", b"ON"),
        encode_packet(PacketType.PUBLISH, 0b0110, b"\0\1t\0\1ON"),
    ],
    ids=["flags-of-PINGRESP", "flags-of-PUBREL", "U+0000", "not-UTF-8", "QoS-3"],
)
def test_a_malformed_packet_costs_the_connection(malformed: bytes) -> None:
    async def test() -> None:
        messages: list[ReceivedMessage] = []
        async with scripted_broker() as broker:
            client = PahoClient("plug-1", on_message=messages.append)
            conversation, _ = await connected(client, broker)
            conversation.send(malformed + encode_publish("plug/set", b"OFF"))
            assert await conversation.rest() == []
            assert messages == []
            assert not client.connected

    in_virtual_time(test())
