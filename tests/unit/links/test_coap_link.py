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
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from coap_parts import content, datagrams, get, link_to, site
from udp_peers import Device, LossyRelay, aiocoap_server, free_port, run

from harness.links.coap.link import CoapLink
from harness.links.errors import LinkError
from harness.trace.events import CoapDatagram, Direction, Note
from harness.trace.recorder import Recorder
from harness.wire import coap
from harness.wire.coap.codec import (
    Code,
    Message,
    Type,
)


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
            assert f"127.0.0.1:{port}" in note.text and "port is closed" in note.text

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
            assert notes and all("port is closed" in note.text for note in notes)
        async with link_to(recorder, ("127.0.0.1", port)) as (link, endpoint):
            assert await endpoint.request(get(link, "/prompt")) is None
            async with aiocoap_server(site()[0], port):
                answer = await endpoint.request(get(link, "/prompt"))
                assert answer and answer.payload == b"21.5"

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


def link_local_address() -> str | None:
    """A link-local address of this machine with its zone; None if it has none."""
    try:
        lines = Path("/proc/net/if_inet6").read_text().split("\n")
    except OSError:
        return None
    for line in lines:
        if line.startswith("fe80"):
            raw, *_, name = line.split()
            return f"{IPv6Address(int(raw, 16))}%{name}"
    return None


@pytest.mark.skipif(link_local_address() is None, reason="this machine has no link-local address")
def test_a_link_local_address_keeps_its_zone() -> None:
    async def main(recorder: Recorder) -> None:
        host, loop = link_local_address() or "", asyncio.get_running_loop()
        server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        try:
            server.bind(socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM)[0][4])
            server.setblocking(False)
            link = CoapLink(recorder, (host, server.getsockname()[1]), random.Random(1))
            endpoint = await link.endpoint()
            asking = asyncio.ensure_future(endpoint.request(get(link, "/prompt"), within=5))
            raw, client = await loop.sock_recvfrom(server, 2048)
            asked = coap.decode(raw)
            answer = Message(1, Type.ACK, Code.CONTENT, asked.mid, asked.token)
            await loop.sock_sendto(server, coap.encode(answer), client)
            response = await asking
            assert response is not None and response.code == Code.CONTENT
            zone = host.partition("%")[2]
            assert f"%{zone}]" in endpoint.remote and f"%{zone}]" in endpoint.local
            await link.close()
        finally:
            server.close()

    run(main)
