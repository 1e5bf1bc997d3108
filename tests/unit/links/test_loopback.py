"""What the kernel does in its own time stays out of virtual time; addresses and ports come again."""

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable

import pytest

from harness.links.clock.loop import run
from harness.links.clock.loopback import (
    Fence,
    own_network,
)
from harness.links.net.stream import open_stream
from harness.links.net.udp import (
    Address,
    PortAllocator,
    hear_only,
)

LOOPBACK = "127.0.0.1"
MESSAGE = b"x" * 40

linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's TCP can be steered on Linux only")


class Reader(asyncio.Protocol):
    """Notes the size of every piece that it gets."""

    def __init__(self) -> None:
        self.pieces: list[int] = []
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.pieces.append(len(data))

    def connection_lost(self, error: Exception | None) -> None:
        self.closed.set_result(error)


@contextlib.asynccontextmanager
async def listening() -> AsyncIterator[tuple[Reader, Address]]:
    reader = Reader()
    server = await asyncio.get_running_loop().create_server(lambda: reader, LOOPBACK, 0)
    async with server:
        yield reader, server.sockets[0].getsockname()


Send = Callable[[bytes], object]


async def burst(send: Send, reader: Reader, messages: int) -> None:
    """Write many messages in one turn of the loop, and let no time pass until they are there."""
    before = len(reader.pieces)
    sent_before = sum(reader.pieces)
    for _ in range(messages):
        send(MESSAGE)
    async with asyncio.timeout(1e-6):
        while sum(reader.pieces) - sent_before < messages * len(MESSAGE):  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert len(reader.pieces) - before == 1, "TCP has held some of it back"


@linux
@pytest.mark.parametrize("messages", [1, 4, 40, 400])
def test_what_one_turn_writes_arrives_together(messages: int) -> None:
    async def by_transport() -> list[int]:
        async with listening() as (reader, address):
            transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, *address[:2])
            for _ in range(5):
                await burst(transport.write, reader, messages)
            transport.close()
            return reader.pieces

    async def by_stream() -> list[int]:
        async with listening() as (reader, address):
            stream = await open_stream(*address[:2])
            for _ in range(5):
                await burst(stream.send, reader, messages)
            stream.close()
            return reader.pieces

    for main in (by_transport, by_stream):
        assert run(main(), virtual=True) == run(main(), virtual=True)


@pytest.mark.parametrize("messages", [1, 40])
def test_what_is_written_before_the_end_is_not_lost(messages: int) -> None:
    async def by_transport() -> int:
        async with listening() as (reader, address):
            transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, *address[:2])
            for _ in range(messages):
                transport.write(MESSAGE)
            transport.abort()
            transport.write(MESSAGE)  # goes nowhere, and harms nobody
            await reader.closed
            return sum(reader.pieces)

    async def by_stream() -> int:
        async with listening() as (reader, address):
            stream = await open_stream(*address[:2])
            for _ in range(messages):
                stream.send(MESSAGE)
            stream.close()
            await reader.closed
            return sum(reader.pieces)

    for virtual in (False, True):
        for main in (by_transport, by_stream):
            assert run(main(), virtual=virtual) == messages * len(MESSAGE)


def test_a_peer_that_does_not_read_stops_no_clock() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with listening() as (reader, address):
            transport, _ = await loop.create_connection(asyncio.Protocol, *address[:2])
            reader.transport.pause_reading()
            start = loop.time()
            for _ in range(3):
                for _ in range(20):
                    transport.write(bytes(1_000_000))
                await asyncio.sleep(3600)
            assert loop.time() - start == pytest.approx(3 * 3600)
            transport.abort()

    run(main(), virtual=True)


def test_a_fence_comes_after_all_that_was_sent_before() -> None:
    fence = Fence()
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as reader:
            reader.bind((LOOPBACK, 0))
            reader.setblocking(False)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for number in range(200):
                    sender.sendto(b"%d" % number, reader.getsockname())
                    assert fence.wait()
                    assert reader.recv(10) == b"%d" % number
    finally:
        fence.close()
    assert not fence.wait(), "a fence that cannot be sent shows nothing"


# -- addresses and ports


def test_ports_come_in_turn_and_past_what_is_taken() -> None:
    def opened(address: Address) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.bind(address)
        except OSError:
            sock.close()
            raise
        return sock

    host = f"127.{own_network()}.255.1" if sys.platform == "linux" else LOOPBACK
    with contextlib.ExitStack() as stack:
        first = [stack.enter_context(PortAllocator(host).open(opened)).getsockname()[1] for _ in range(3)]
        assert first[1:] == [port + 1 for port in first[:-1]], "a taken port is passed over"
    ports = PortAllocator(host)
    for expected in first:
        with ports.open(opened) as sock:
            assert sock.getsockname()[1] == expected, "a free one comes in its turn, and not twice"
    with pytest.raises(OSError, match="assign"):
        PortAllocator("192.0.2.1").open(opened)


@linux
def test_a_socket_can_be_deaf_to_strangers() -> None:
    friends = [f"127.{own_network()}.255.{number}" for number in (2, 3)]
    stranger = f"127.{own_network()}.255.4"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ears:
        hear_only(ears, friends)
        ears.bind((LOOPBACK, 0))
        ears.setblocking(False)
        for speaker in (stranger, *friends, stranger):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
                mouth.bind((speaker, 0))
                mouth.sendto(speaker.encode(), ears.getsockname())
        heard = []
        with contextlib.suppress(BlockingIOError):
            while True:
                heard.append(ears.recv(100).decode())
        assert heard == friends


@linux
def test_processes_have_networks_of_their_own() -> None:
    script = "from harness.links.clock.loopback import own_network; print(own_network(), flush=True); input()"

    def another() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    with another() as first, another() as second:
        assert first.stdout and second.stdout
        numbers = {own_network(), int(first.stdout.readline()), int(second.stdout.readline())}
        first.communicate("\n")
        second.communicate("\n")
    assert len(numbers) == 3
    assert own_network() in numbers
