"""Probing TCP ports on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

from udp_peers import run

from harness.links.net.tcp import probe
from harness.trace.events import TcpProbe
from harness.trace.recorder import Recorder

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
REQUEST = b"GET / HTTP/1.0\r\n\r\n"


@contextlib.asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await handler(reader, writer)
        writer.close()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)
        await listening.wait_closed()
        await asyncio.sleep(0)


def test_answer_is_returned_and_recorded() -> None:
    async def main(recorder: Recorder) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert await reader.readuntil(b"\r\n\r\n") == REQUEST
            writer.write(b"HTTP/1.0 200 OK\r\n\r\n")
            await reader.read()  # stays open: the first bytes are enough

        async with server(answer) as port:
            result = await probe(recorder, "127.0.0.1", port, REQUEST, within=10)
            assert result == TcpProbe("127.0.0.1", port, True, REQUEST, b"HTTP/1.0 200 OK\r\n\r\n")
            assert [event.body for event in recorder.events] == [result]

    run(main)


def test_closed_port() -> None:
    async def main(recorder: Recorder) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # bound, but not listening
            port = taken.getsockname()[1]
            result = await probe(recorder, "127.0.0.1", port, REQUEST, within=10)
        assert result == TcpProbe("127.0.0.1", port, False)
        assert recorder.events[-1].body is result

    run(main)


def test_peer_that_closes_without_a_word() -> None:
    async def main(recorder: Recorder) -> None:
        async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")

        async with server(close) as port:
            result = await probe(recorder, "127.0.0.1", port, REQUEST, within=10)
            assert result.connected and result.answer == b""

    run(main)


def test_silent_peer_costs_the_deadline_and_no_more() -> None:
    async def main(recorder: Recorder) -> None:
        async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

        async with server(say_nothing) as port:
            result = await probe(recorder, "127.0.0.1", port, REQUEST, within=10)
            assert result.connected and result.answer == b""
            assert 10 <= recorder.now < 11

    run(main, virtual=True)


def test_nothing_to_send_needs_no_answer() -> None:
    async def main(recorder: Recorder) -> None:
        async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

        async with server(say_nothing) as port:
            assert await probe(recorder, "127.0.0.1", port, b"", within=10) == TcpProbe(
                "127.0.0.1", port, True
            )
            assert recorder.now < 10

    run(main, virtual=True)


def test_name_that_cannot_be_one() -> None:
    async def main(recorder: Recorder) -> None:
        assert not (await probe(recorder, "x" * 70, 80, REQUEST, within=10)).connected

    run(main)
