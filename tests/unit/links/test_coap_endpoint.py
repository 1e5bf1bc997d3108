"""What an endpoint of the CoAP link does with messages that nobody waits for in a request."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from coap_parts import content, get, link_to, notification, sent_by_us, site
from udp_peers import Device, aiocoap_server, run

from harness.links.coap.link import (
    CoapClientEndpoint,
    CoapLink,
)
from harness.links.errors import LinkError
from harness.trace.events import Act, CoapDatagram, Stimulus
from harness.trace.recorder import Recorder
from harness.wire import coap
from harness.wire.coap.codec import (
    Code,
    Message,
    Type,
)


def test_observation_of_a_real_server_is_acknowledged_by_itself() -> None:
    async def main(recorder: Recorder) -> None:
        served, counting = site()
        async with aiocoap_server(served) as remote, link_to(recorder, remote) as (link, endpoint):
            asked = get(link, "/counting", observe=0)
            assert await endpoint.request(asked)
            for value in (b"1", b"2"):
                counting.count()
                event = await endpoint.receive(lambda message: message.token == asked.token, within=10)
                assert event and isinstance(event.body, CoapDatagram)
                told = coap.decode(event.body.raw)
                assert told.payload == value
                if told.type is Type.CON:
                    assert sent_by_us(recorder)[-1] == coap.empty(Type.ACK, told.mid)

    run(main)


@contextlib.asynccontextmanager
async def observed(recorder: Recorder) -> AsyncIterator[tuple[Device, CoapLink, CoapClientEndpoint, Message]]:
    """A scripted device whose resource is being observed."""

    def answer(message: Message) -> Iterator[Message]:
        if message.is_request:
            yield notification(message, 1, message.mid, Type.ACK)

    async with Device.open(answer) as device, link_to(recorder, device.address) as (link, endpoint):
        asked = get(link, "/counting", observe=0)
        assert await endpoint.request(asked)
        await device.next()
        yield device, link, endpoint, asked


def test_notifications_and_their_duplicates_are_acknowledged() -> None:
    async def main(recorder: Recorder) -> None:
        async with observed(recorder) as (device, _, endpoint, asked):
            told = notification(asked, 2, 900)
            for _ in range(2):
                device.send(told)
                assert await device.next() == [coap.empty(Type.ACK, 900)]
                event = await endpoint.receive(lambda message: message.mid == 900, within=5)
                assert event and isinstance(event.body, CoapDatagram) and event.body.raw == coap.encode(told)

    run(main)


def test_con_messages_that_nobody_asked_for_are_rejected() -> None:
    async def main(recorder: Recorder) -> None:
        async with observed(recorder) as (device, _, _, asked):
            unasked = [
                replace(notification(asked, 2, 900), token=b"other"),
                coap.empty(Type.CON, 901),
                coap.request(Code.GET, "/", mid=902, token=asked.token),
            ]
            for message in unasked:
                device.send(message)
                assert await device.next() == [coap.empty(Type.RST, message.mid)]

    run(main)


def test_nothing_is_said_to_what_is_no_message_of_this_version() -> None:
    async def main(recorder: Recorder) -> None:
        async with observed(recorder) as (device, _, _, asked):
            device.send(b"\x40")
            device.send(coap.encode(replace(notification(asked, 2, 900), version=2)))
            device.send(notification(asked, 3, 901))
            assert await device.next() == [coap.empty(Type.ACK, 901)]

    run(main)


def test_reset_rejects_the_notification_and_those_that_follow() -> None:
    async def main(recorder: Recorder) -> None:
        async with observed(recorder) as (device, _, endpoint, asked):
            endpoint.reset(notification(asked, 2, 900, Type.NON))
            device.send(notification(asked, 3, 901))
            assert await device.next(2) == [coap.empty(Type.RST, 900), coap.empty(Type.RST, 901)]

    run(main)


def test_final_response_ends_the_token_but_its_duplicates_are_still_acknowledged() -> None:
    async def main(recorder: Recorder) -> None:
        async with observed(recorder) as (device, _, _, asked):
            gone = replace(content(asked, b"", Type.CON, 900), code=Code.NOT_FOUND)
            for message in (gone, gone, notification(asked, 3, 901)):
                device.send(message)
            replies = await device.next(3)
            assert [reply.type for reply in replies] == [Type.ACK, Type.ACK, Type.RST]

    run(main)


def test_without_acknowledges_only_the_check_answers() -> None:
    async def main(recorder: Recorder) -> None:
        async with observed(recorder) as (device, _, endpoint, asked):
            endpoint.acknowledges = False
            told = notification(asked, 2, 900)
            device.send(told)
            event = await endpoint.receive(lambda message: message.mid == 900, within=5)
            assert event
            assert len(sent_by_us(recorder)) == 1
            endpoint.acknowledge(told)
            assert await device.next() == [coap.empty(Type.ACK, 900)]

    run(main)


def test_notification_under_way_is_not_the_response_to_its_cancellation() -> None:
    async def main(recorder: Recorder) -> None:
        async with observed(recorder) as (device, link, endpoint, asked):

            def answer(message: Message) -> Iterator[Message]:
                if message.observe == 1:
                    yield notification(asked, 2, 900)
                    yield content(message, b"cancelled")

            device.answer = answer
            cancel = replace(get(link, "/counting", observe=1), token=asked.token)
            response = await endpoint.request(cancel)
            assert response and response.payload == b"cancelled"
            assert await endpoint.receive(lambda message: message.mid == 900, within=0)

    run(main)


def test_raw_datagram_goes_out_as_it_is_with_its_purpose_in_the_trace() -> None:
    async def main(recorder: Recorder) -> None:
        async with Device.open() as device, link_to(recorder, device.address) as (_, endpoint):
            event = endpoint.send(b"\x4f\x01\x12\x34", "token length 15")
            assert recorder.events[0].body == Stimulus(Act.RAW, "token length 15", transport="coap")
            assert event is recorder.events[1]
            [got] = await device.next()
            assert got.problems

    run(main)


def test_receive_gives_each_datagram_once_and_forgets_them_at_the_next_sending() -> None:
    async def main(recorder: Recorder) -> None:
        async with observed(recorder) as (device, link, endpoint, asked):
            endpoint.send(coap.encode(coap.empty(Type.CON, link.next_mid())))
            await device.next()
            device.answer = lambda message: ()
            for sequence in (2, 3, 4):
                device.send(notification(asked, sequence, 900 + sequence, Type.NON))
            last = await endpoint.receive(lambda message: message.observe == 4, within=5)
            first = await endpoint.receive(lambda _: True, within=5)
            second = await endpoint.receive(lambda _: True, within=5)
            assert first and second and last
            assert [first.line, second.line] == [last.line - 2, last.line - 1]
            assert await endpoint.receive(lambda _: True, within=1) is None
            device.send(notification(asked, 5, 905, Type.NON))
            await recorder.wait_for(lambda event: isinstance(event.body, CoapDatagram), within=5)
            endpoint.send(coap.encode(coap.empty(Type.CON, link.next_mid())))
            assert await endpoint.receive(lambda _: True, within=1) is None

    run(main, virtual=True)


def test_error_in_a_predicate_is_raised_where_it_was_given() -> None:
    async def main(recorder: Recorder) -> None:
        async with observed(recorder) as (device, _, endpoint, asked):
            device.send(notification(asked, 2, 900))
            with pytest.raises(ZeroDivisionError):
                await endpoint.receive(lambda message: 1 // (message.mid - 900) > 0, within=5)

    run(main)


def test_closing_ends_what_waits() -> None:
    async def main(recorder: Recorder) -> None:
        async with Device.open() as mute, link_to(recorder, mute.address) as (link, endpoint):
            request = asyncio.create_task(endpoint.request(get(link, "/prompt")))
            receive = asyncio.create_task(endpoint.receive(lambda _: True, within=60))
            await mute.next()
            await link.close()
            assert await request is None
            with pytest.raises(LinkError, match="closed"):
                await receive
            with pytest.raises(LinkError, match="closed"):
                endpoint.send(b"")
            again = await link.endpoint()
            again.send(coap.encode(get(link, "/prompt")))
            await mute.next()

    run(main)
