"""The CoAP link against aiocoap, libcoap, scripted devices and a lossy network."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import re
import shutil
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace

import aiocoap
import pytest
from aiocoap.resource import ObservableResource, Resource, Site
from udp_peers import Device, LossyRelay, aiocoap_server, free_port, run

from harness.links.coap import CoapLink, Endpoint
from harness.links.errors import LinkError
from harness.trace import coap
from harness.trace.coap import Code, Message, Option, OptionNumber, Type
from harness.trace.events import Act, CoapDatagram, Direction, Note, Stimulus
from harness.trace.recorder import Recorder


class Prompt(Resource):
    async def render_get(self, request: aiocoap.Message) -> aiocoap.Message:
        return aiocoap.Message(payload=b"21.5")


class Slow(Resource):
    async def render_get(self, request: aiocoap.Message) -> aiocoap.Message:
        await asyncio.sleep(5)
        return aiocoap.Message(payload=b"at last")


class Counting(ObservableResource):
    value = 0

    def count(self) -> None:
        self.value += 1
        self.updated_state()

    async def render_get(self, request: aiocoap.Message) -> aiocoap.Message:
        return aiocoap.Message(payload=str(self.value).encode())


def site() -> tuple[Site, Counting]:
    counting = Counting()
    served = Site()
    for path, resource in [("prompt", Prompt()), ("slow", Slow()), ("counting", counting)]:
        served.add_resource([path], resource)
    return served, counting


@contextlib.asynccontextmanager
async def link_to(recorder: Recorder, remote: tuple[str, int]) -> AsyncIterator[tuple[CoapLink, Endpoint]]:
    link = CoapLink(recorder, remote, random.Random(7))
    try:
        yield link, await link.endpoint()
    finally:
        await link.close()


def get(link: CoapLink, path: str, *, type: Type = Type.CON, observe: int | None = None) -> Message:
    return coap.request(
        Code.GET, path, mid=link.next_mid(), token=link.next_token(), type=type, observe=observe
    )


def content(asked: Message, payload: bytes, type: Type = Type.ACK, mid: int | None = None) -> Message:
    return Message(1, type, Code.CONTENT, asked.mid if mid is None else mid, asked.token, payload=payload)


def notification(asked: Message, sequence: int, mid: int, type: Type = Type.CON) -> Message:
    options = (Option(OptionNumber.OBSERVE, coap.encode_uint(sequence)),)
    return replace(content(asked, b"%d" % sequence, type, mid), options=options)


def datagrams(recorder: Recorder) -> list[tuple[Direction, Message]]:
    bodies = [event.body for event in recorder.events]
    return [(body.direction, coap.decode(body.raw)) for body in bodies if isinstance(body, CoapDatagram)]


def sent_by_us(recorder: Recorder) -> list[Message]:
    return [message for direction, message in datagrams(recorder) if direction is Direction.TO_DUT]


def test_request_is_answered_and_both_datagrams_are_recorded() -> None:
    async def main(recorder: Recorder) -> None:
        async with aiocoap_server(site()[0]) as remote, link_to(recorder, remote) as (link, endpoint):
            asked = get(link, "/prompt")
            answer = await endpoint.request(asked)
            assert answer and (answer.code, answer.payload) == (Code.CONTENT, b"21.5")
            first, second = recorder.events
            there = f"{remote[0]}:{remote[1]}"
            assert first.body == CoapDatagram(Direction.TO_DUT, endpoint.local, there, coap.encode(asked))
            assert second.body == CoapDatagram(Direction.FROM_DUT, endpoint.local, there, coap.encode(answer))

    run(main)


def test_non_request_is_answered_and_never_repeated() -> None:
    async def main(recorder: Recorder) -> None:
        async with aiocoap_server(site()[0]) as remote, link_to(recorder, remote) as (link, endpoint):
            answer = await endpoint.request(get(link, "/prompt", type=Type.NON))
            assert answer and (answer.type, answer.payload) == (Type.NON, b"21.5")
        async with Device.open() as mute, link_to(recorder, mute.address) as (link, endpoint):
            assert await endpoint.request(get(link, "/prompt", type=Type.NON)) is None
            assert len(mute.got) == 1

    run(main, virtual=True)


def test_separate_response_is_acknowledged() -> None:
    async def main(recorder: Recorder) -> None:
        async with aiocoap_server(site()[0]) as remote, link_to(recorder, remote) as (link, endpoint):
            answer = await endpoint.request(get(link, "/slow"))
            assert answer and (answer.type, answer.payload) == (Type.CON, b"at last")
            await asyncio.sleep(300)  # virtual: time enough for the server to repeat itself
            asked, accepted, response, confirmed = datagrams(recorder)
            assert asked[1].type is Type.CON
            assert accepted[1] == coap.empty(Type.ACK, asked[1].mid)
            assert response == (Direction.FROM_DUT, answer)
            assert confirmed == (Direction.TO_DUT, coap.empty(Type.ACK, answer.mid))

    run(main, virtual=True)


def test_separate_response_stands_for_a_lost_acknowledgement() -> None:
    async def main(recorder: Recorder) -> None:
        def answer(message: Message) -> Iterator[Message]:
            if message.is_request:
                yield content(message, b"late", Type.CON, mid=5)

        async with Device.open(answer) as device, link_to(recorder, device.address) as (link, endpoint):
            response = await endpoint.request(get(link, "/"))
            assert response and response.payload == b"late"
            assert (await device.next(2))[1] == coap.empty(Type.ACK, 5)

    run(main)


def gaps(times: Sequence[float]) -> list[float]:
    return [later - earlier for earlier, later in itertools.pairwise(times)]


def test_lost_requests_are_repeated_with_doubled_pauses() -> None:
    async def main(recorder: Recorder) -> None:
        async with (
            aiocoap_server(site()[0]) as server,
            LossyRelay.open(server, lambda count, _: 0 < count < 4) as remote,
            link_to(recorder, remote) as (link, endpoint),
        ):
            answer = await endpoint.request(get(link, "/prompt"))
            assert answer and answer.payload == b"21.5"
            *requests, _ = recorder.events
            assert len({event.body for event in requests}) == 1, "a repetition is the same datagram"
            first, second, third = gaps([event.time for event in requests])
            assert 2 <= first <= 3
            assert second == pytest.approx(2 * first) and third == pytest.approx(4 * first)

    run(main, virtual=True)


def test_silent_device_is_given_up_after_four_repetitions() -> None:
    async def main(recorder: Recorder) -> None:
        loop = asyncio.get_running_loop()
        async with Device.open() as mute, link_to(recorder, mute.address) as (link, endpoint):
            begin = loop.time()
            assert await endpoint.request(get(link, "/prompt")) is None
            assert len(mute.got) == 5
            first, *_ = gaps(mute.times)
            assert loop.time() - begin == pytest.approx(31 * first)

    run(main, virtual=True)


def test_deadline_of_the_caller_ends_the_request() -> None:
    async def main(recorder: Recorder) -> None:
        loop = asyncio.get_running_loop()
        async with Device.open() as mute, link_to(recorder, mute.address) as (link, endpoint):
            begin = loop.time()
            assert await endpoint.request(get(link, "/prompt"), within=4) is None
            assert loop.time() - begin == pytest.approx(4)
            assert len(mute.got) == 2

    run(main, virtual=True)


def test_empty_acknowledgement_ends_the_repetitions_but_not_the_waiting() -> None:
    async def main(recorder: Recorder) -> None:
        loop = asyncio.get_running_loop()
        async with (
            Device.open(lambda message: [coap.empty(Type.ACK, message.mid)]) as device,
            link_to(recorder, device.address) as (link, endpoint),
        ):
            begin = loop.time()
            assert await endpoint.request(get(link, "/prompt")) is None
            assert len(device.got) == 1
            assert loop.time() - begin == pytest.approx(93)

    run(main, virtual=True)


@pytest.mark.parametrize("type", [Type.CON, Type.NON])
def test_reset_ends_the_request_at_once_and_can_be_received(type: Type) -> None:
    async def main(recorder: Recorder) -> None:
        async with (
            Device.open(lambda message: [coap.empty(Type.RST, message.mid)]) as device,
            link_to(recorder, device.address) as (link, endpoint),
        ):
            asked = get(link, "/prompt", type=type)
            assert await endpoint.request(asked) is None
            event = await endpoint.receive(lambda message: message.type is Type.RST, within=0)
            assert event is recorder.events[1]

    run(main)


def test_answer_with_another_token_is_no_response() -> None:
    async def main(recorder: Recorder) -> None:
        async with (
            Device.open(lambda message: [replace(content(message, b"?"), token=b"wrong")]) as device,
            link_to(recorder, device.address) as (link, endpoint),
        ):
            assert await endpoint.request(get(link, "/prompt")) is None
            assert await endpoint.receive(lambda message: message.token == b"wrong", within=0)
            assert len(device.got) == 1

    run(main)


def test_message_of_another_version_is_no_response() -> None:
    async def main(recorder: Recorder) -> None:
        def answer(message: Message) -> Iterator[Message]:
            yield replace(content(message, b"of the future"), version=2)
            yield content(message, b"of today")

        async with Device.open(answer) as device, link_to(recorder, device.address) as (link, endpoint):
            response = await endpoint.request(get(link, "/"))
            assert response and response.payload == b"of today"

    run(main)


def test_duplicate_of_the_response_is_left_for_receive() -> None:
    async def main(recorder: Recorder) -> None:
        def answer(message: Message) -> Iterator[Message]:
            yield from [content(message, b"twice")] * 2

        async with Device.open(answer) as device, link_to(recorder, device.address) as (link, endpoint):
            response = await endpoint.request(get(link, "/"))
            event = await endpoint.receive(lambda message: message == response, within=5)
            assert event is recorder.events[2]
            assert await endpoint.receive(lambda _: True, within=1) is None

    run(main, virtual=True)


def test_response_from_another_address_is_recorded_but_not_taken() -> None:
    async def main(recorder: Recorder) -> None:
        async with (
            Device.open() as device,
            Device.open(host="127.0.0.2") as stranger,
            link_to(recorder, device.address) as (link, endpoint),
        ):
            asked = get(link, "/prompt")
            waiting = asyncio.create_task(endpoint.request(asked))
            await device.next()
            stranger.peer = device.peer
            stranger.send(content(asked, b"from elsewhere"))
            other = await recorder.wait_for(lambda event: isinstance(event.body, CoapDatagram), within=5)
            assert other and isinstance(other.body, CoapDatagram)
            assert other.body.direction is Direction.OTHER
            assert other.body.remote == "{}:{}".format(*stranger.address)
            device.send(content(asked, b"from the device"))
            response = await waiting
            assert response and response.payload == b"from the device"

    run(main)


def test_dead_port_ends_the_request_at_once_with_a_note() -> None:
    async def main(recorder: Recorder) -> None:
        port = free_port()
        async with link_to(recorder, ("127.0.0.1", port)) as (link, endpoint):
            assert await endpoint.request(get(link, "/prompt")) is None
            [note] = [event.body for event in recorder.events if isinstance(event.body, Note)]
            assert f"127.0.0.1:{port}" in note.text and "nothing listens" in note.text

    run(main)


def test_first_datagram_after_a_dead_port_is_not_swallowed() -> None:
    async def main(recorder: Recorder) -> None:
        port = free_port()
        async with link_to(recorder, ("127.0.0.1", port)) as (link, endpoint):
            for _ in range(3):
                endpoint.send(coap.encode(get(link, "/prompt")))
            # No turn of the loop in between: the errors of those three are still in the socket's queue.
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
                device.bind(("127.0.0.1", port))
                device.setblocking(False)
                endpoint.send(b"arrives")
                assert device.recv(100) == b"arrives"
            notes = [event.body for event in recorder.events if isinstance(event.body, Note)]
            assert notes and all("nothing listens" in note.text for note in notes)
        async with link_to(recorder, ("127.0.0.1", port)) as (link, endpoint):
            assert await endpoint.request(get(link, "/prompt")) is None
            async with aiocoap_server(site()[0], port):
                answer = await endpoint.request(get(link, "/prompt"))
                assert answer and answer.payload == b"21.5"

    run(main)


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
async def observed(recorder: Recorder) -> AsyncIterator[tuple[Device, CoapLink, Endpoint, Message]]:
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


def test_each_endpoint_has_a_port_of_its_own() -> None:
    async def main(recorder: Recorder) -> None:
        async with aiocoap_server(site()[0]) as remote, link_to(recorder, remote) as (link, one):
            other = await link.endpoint()
            assert one.local != other.local
            asked = get(link, "/prompt")
            answers = await asyncio.gather(one.request(asked), other.request(asked))
            assert [answer and answer.payload for answer in answers] == [b"21.5", b"21.5"]

    run(main)


def test_concurrent_requests_get_their_own_responses() -> None:
    async def main(recorder: Recorder) -> None:
        held: list[Message] = []

        def answer(message: Message) -> Iterator[Message]:
            held.append(message)
            if len(held) == 3:
                yield from (content(asked, asked.uri_path.encode()) for asked in reversed(held))

        async with Device.open(answer) as device, link_to(recorder, device.address) as (link, endpoint):
            paths = ["/a", "/b", "/c"]
            answers = await asyncio.gather(*(endpoint.request(get(link, path)) for path in paths))
            assert [answer and answer.payload for answer in answers] == [path.encode() for path in paths]

    run(main)


def test_ipv6() -> None:
    async def main(recorder: Recorder) -> None:
        try:
            opened = Device.open(lambda message: [content(message, b"six")], host="::1")
            async with opened as device, link_to(recorder, ("::1", device.address[1])) as (link, endpoint):
                answer = await endpoint.request(get(link, "/"))
                assert answer and answer.payload == b"six"
                assert endpoint.local.startswith("[::1]:")
        except OSError as problem:
            pytest.skip(f"no IPv6 on loopback: {problem}")

    run(main)


def test_message_ids_and_tokens_are_new_until_all_are_used() -> None:
    async def main(recorder: Recorder) -> None:
        link = CoapLink(recorder, ("127.0.0.1", 5683), random.Random(1))
        assert len({link.next_mid() for _ in range(65536)}) == 65536
        assert len({link.next_token(1) for _ in range(256)}) == 256
        for length in range(9):
            assert len(link.next_token(length)) == length
        assert len({link.next_token() for _ in range(5000)}) == 5000
        with pytest.raises(ValueError, match="9"):
            link.next_token(9)

    run(main)


def test_host_that_is_none_is_told_as_such() -> None:
    async def main(recorder: Recorder) -> None:
        link = CoapLink(recorder, ("x" * 70, 5683), random.Random(1))
        with pytest.raises(LinkError, match="no address found"):
            await link.endpoint()

    run(main)


def test_datagram_too_large_for_udp_is_told_as_such() -> None:
    async def main(recorder: Recorder) -> None:
        async with Device.open() as device, link_to(recorder, device.address) as (_, endpoint):
            with pytest.raises(LinkError, match=r"70000 bytes .* were not sent"):
                endpoint.send(bytes(70000))
            assert not datagrams(recorder), "what was not sent is not in the trace"

    run(main)


@contextlib.asynccontextmanager
async def libcoap_server() -> AsyncIterator[tuple[str, int]]:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        "coap-server-notls", "-A", "127.0.0.1", "-p", str(port), "-v", "7",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout
    try:
        while line := await process.stdout.readline():
            if re.search(rb"created UDP\s+endpoint", line):
                break
        reader = asyncio.create_task(process.stdout.read())
        yield "127.0.0.1", port
    finally:
        process.terminate()
        await process.wait()
        await reader


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("coap-server-notls") is None, reason="coap-server-notls is not installed")
def test_libcoap_server() -> None:
    async def main(recorder: Recorder) -> None:
        async with libcoap_server() as remote, link_to(recorder, remote) as (link, endpoint):
            core = await endpoint.request(get(link, "/.well-known/core"))
            assert core and core.content_format == 40 and b"</time>" in core.payload
            slow = await endpoint.request(get(link, "/async?1"))
            assert slow and slow.type is Type.CON and slow.code == Code.CONTENT
            asked = get(link, "/time", observe=0)
            registered = await endpoint.request(asked)
            assert registered and registered.observe is not None
            event = await endpoint.receive(lambda message: message.token == asked.token, within=10)
            assert event, "the clock of the server ticks every second"
            cancelled = await endpoint.request(replace(get(link, "/time", observe=1), token=asked.token))
            assert cancelled and cancelled.observe is None
            endpoint.send(coap.encode(coap.empty(Type.CON, 77)), "ping")
            assert await endpoint.receive(lambda message: message == coap.empty(Type.RST, 77), within=10)

    run(main)
