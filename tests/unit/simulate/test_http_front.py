"""The info page, asked by an ordinary client and by bad ones."""

import asyncio
import contextlib
import http.client
import json
from collections.abc import AsyncIterator

import pytest

from harness.model.profile import Profile
from harness.simulate.http import SimulatedHttpServer

HOST = "127.9.3.1"
PROFILE = Profile.model_validate(
    {
        "profile": "tested",
        "title": "A device for tests",
        "category": "test",
        "model": "T-1000",
        "firmware": "1.2.3",
        "unit": "4711",
        "bindings": {},
    }
)


@contextlib.asynccontextmanager
async def page(port: int = 0) -> AsyncIterator[SimulatedHttpServer]:
    front = SimulatedHttpServer(PROFILE, host=HOST, port=port)
    await front.start()
    try:
        yield front
    finally:
        await front.kill()


async def talk(front: SimulatedHttpServer, sent: bytes) -> bytes:
    """All that comes back until the server closes."""
    reader, writer = await asyncio.open_connection(HOST, front.port)
    writer.write(sent)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("path", "status"), [("/", 200), ("/info", 200), ("/info?x=1", 200), ("/other", 404)]
)
def test_it_tells_who_the_device_is(path: str, status: int) -> None:
    def ask(port: int) -> tuple[int, object]:
        connection = http.client.HTTPConnection(HOST, port, timeout=5)
        connection.request("GET", path)
        first = connection.getresponse()
        first.read()
        connection.request("GET", path)  # on the same connection
        again = connection.getresponse()
        return again.status, json.loads(again.read())

    async def main() -> None:
        async with page() as front:
            answer = await asyncio.to_thread(ask, front.port)
            if status == 200:
                assert answer == (200, {"id": "4711", "model": "T-1000", "firmware": "1.2.3"})
            assert answer[0] == status

    asyncio.run(main())


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /", b"400"),
        (b"\xff\xfe\r\n\r\n", b"400"),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20000 + b"\r\n\r\n", b"431"),
        (b"PUT / HTTP/1.1\r\nHost: x\r\n\r\n", b"405"),
        (b"", b""),
    ],
    ids=["no host", "nonsense", "cut short", "not ASCII", "version", "too long", "method", "nothing"],
)
def test_bad_requests_get_an_answer_and_do_no_harm(sent: bytes, status: bytes) -> None:
    async def main() -> None:
        async with page() as front:
            answer = await talk(front, sent)
            assert answer[9:12] == status
            good = await talk(front, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert good.startswith(b"HTTP/1.1 200 ")

    asyncio.run(main())


def test_a_taken_port_is_replaced_by_a_free_one() -> None:
    async def main() -> None:
        async with page() as first, page(first.port) as second:
            assert second.port not in (0, first.port)
            assert (await talk(second, b"GET / HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")

    asyncio.run(main())


def test_it_can_be_stopped_and_started_again() -> None:
    async def main() -> None:
        async with page() as front:
            reader, writer = await asyncio.open_connection(HOST, front.port)
            port = front.port
            await front.stop()
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
            with pytest.raises(ConnectionError):
                await asyncio.open_connection(HOST, port)
            await front.start()
            assert (await talk(front, b"GET / HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")

    asyncio.run(main())
