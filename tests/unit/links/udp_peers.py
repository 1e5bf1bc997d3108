"""Peers of the UDP links, on real loopback sockets, and the runner around their tests."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

import aiocoap
from aiocoap.resource import Site

from harness.links.clock import loop as clock
from harness.links.clock.loopback import own_network
from harness.trace.recorder import Recorder
from harness.wire import coap

DEADLINE = 60.0  # seconds; only a test that fails waits so long


def run(main: Callable[[Recorder], Coroutine[Any, Any, None]], *, virtual: bool = False) -> None:
    """Run a test on a loop of its own; see that it leaves no task, no socket and no complaint behind."""
    complaints: list[dict[str, Any]] = []

    async def guarded() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        recorder = Recorder(loop.time)
        if virtual:
            await main(recorder)
        else:
            async with asyncio.timeout(DEADLINE):
                await main(recorder)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks left behind: {left}"

    own_network()  # its socket stays open as long as the process lives
    before = _open_sockets()
    clock.run(guarded(), virtual=virtual)
    assert not _open_sockets() - before, "sockets left open"
    assert not complaints


def _open_sockets() -> set[str]:
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            target = str(descriptor.readlink())
            if target.startswith("socket:"):
                found.add(target)
    return found


def free_port(host: str = "127.0.0.1") -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def aiocoap_server(site: Site, port: int = 0) -> AsyncIterator[tuple[str, int]]:
    """An aiocoap server on loopback; gives its address."""
    address = ("127.0.0.1", port or free_port())
    context = await aiocoap.Context.create_server_context(
        site, bind=address, transports=["simplesocketserver"]
    )
    try:
        yield address
    finally:
        await context.shutdown()


Answer = Callable[[coap.Message], Iterable[coap.Message | bytes]]


class Device(asyncio.DatagramProtocol):
    """A CoAP device that does just what the test says, right or wrong.

    ``got`` is all that came. ``answer`` makes the messages to send for each; without it the device is mute.
    """

    def __init__(self, answer: Answer = lambda _: ()) -> None:
        self.answer = answer
        self.got: list[coap.Message] = []
        self.times: list[float] = []
        self.peer: tuple[str, int] = ("", 0)
        self._news = asyncio.Event()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, answer: Answer = lambda _: (), host: str = "127.0.0.1") -> AsyncIterator[Device]:
        loop = asyncio.get_running_loop()
        transport, device = await loop.create_datagram_endpoint(lambda: cls(answer), local_addr=(host, 0))
        try:
            yield device
        finally:
            transport.close()
            await asyncio.sleep(0)  # the socket is closed in the next turn of the loop

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.DatagramTransport = transport
        self.address: tuple[str, int] = transport.get_extra_info("sockname")[:2]

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.peer = addr
        message = coap.decode(data)
        self.got.append(message)
        self.times.append(asyncio.get_running_loop().time())
        self._news.set()
        for reply in self.answer(message):
            self.send(reply)

    def send(self, message: coap.Message | bytes) -> None:
        """To whoever sent last."""
        raw = message if isinstance(message, bytes) else coap.encode(message)
        self._transport.sendto(raw, self.peer)

    async def next(self, count: int = 1) -> list[coap.Message]:
        """Wait until ``count`` messages have come, and take them."""
        while len(self.got) < count:
            self._news.clear()
            await self._news.wait()
        taken, self.got = self.got[:count], self.got[count:]
        return taken


class LossyRelay(asyncio.DatagramProtocol):
    """A network between one client and a server that loses datagrams.

    ``loses`` is asked for each, with what the client sent counted from 1 (0: what the server sent).
    """

    def __init__(self, server: tuple[str, int], loses: Callable[[int, bytes], bool]) -> None:
        self._server = server
        self._loses = loses
        self._client: tuple[str, int] | None = None
        self._count = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, server: tuple[str, int], loses: Callable[[int, bytes], bool]
    ) -> AsyncIterator[tuple[str, int]]:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: cls(server, loses), local_addr=("127.0.0.1", 0)
        )
        try:
            yield transport.get_extra_info("sockname")
        finally:
            transport.close()
            await asyncio.sleep(0)

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.DatagramTransport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if addr == self._server:
            if not self._loses(0, data):
                self._transport.sendto(data, self._client)
            return
        self._client = addr
        self._count += 1
        if not self._loses(self._count, data):
            self._transport.sendto(data, self._server)
