"""CoAP requests through our link, trace written to disk, against a bare aiocoap client.

    python tests/benchmarks/bench_coap.py [requests in a round] [rounds]

Both ask the same aiocoap server in this process, one CON GET after the other, in rounds that take turns; the
first round of each does not count. The conclusion is the ratio of the medians.
"""

from __future__ import annotations

import asyncio
import random
import socket
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiocoap
from aiocoap.resource import Resource, Site

from harness.links.coap.link import (
    CoapClientEndpoint,
    CoapLink,
)
from harness.trace.recorder import Recorder
from harness.wire import coap

TARGET = 0.8
HOST = "127.0.0.1"


class Temperature(Resource):
    """A small resource, as devices have them."""

    async def render_get(self, request: aiocoap.Message) -> aiocoap.Message:
        """Answer with a number in text."""
        return aiocoap.Message(payload=b"21.5")


async def rate(request: Callable[[], Awaitable[bytes]], count: int) -> float:
    """Requests per second, one after the other."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for _ in range(count):
        if await request() != b"21.5":
            raise SystemExit("the server gave a wrong answer: there is nothing to measure")
    return count / (loop.time() - begin)


def through_link(link: CoapLink, endpoint: CoapClientEndpoint) -> Callable[[], Awaitable[bytes]]:
    """A request as a check makes it."""

    async def request() -> bytes:
        answer = await endpoint.request(
            coap.request(coap.Code.GET, "/temperature", mid=link.next_mid(), token=link.next_token())
        )
        return answer.payload if answer else b""

    return request


def through_aiocoap(client: aiocoap.Context, port: int) -> Callable[[], Awaitable[bytes]]:
    """A request as aiocoap's guide shows it."""

    async def request() -> bytes:
        message = aiocoap.Message(code=aiocoap.GET, uri=f"coap://{HOST}:{port}/temperature")
        payload: bytes = (await client.request(message).response).payload
        return payload

    return request


async def measure(count: int, rounds: int, trace: Path) -> None:
    """Print the rates of each round and the ratio of their medians."""
    site = Site()
    site.add_resource(["temperature"], Temperature())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    server = await aiocoap.Context.create_server_context(
        site, bind=(HOST, port), transports=["simplesocketserver"]
    )
    client = await aiocoap.Context.create_client_context()
    recorder = Recorder(asyncio.get_running_loop().time, trace)
    link = CoapLink(recorder, (HOST, port), random.Random(1))
    ours = through_link(link, await link.endpoint())
    bare = through_aiocoap(client, port)
    rates: list[tuple[float, float]] = []
    for _ in range(rounds + 1):
        rates.append((await rate(ours, count), await rate(bare, count)))
    for mine, theirs in rates[1:]:
        print(f"link {mine:7.0f}/s   bare aiocoap {theirs:7.0f}/s")
    link_rate, bare_rate = (statistics.median(column) for column in zip(*rates[1:], strict=True))
    print(f"ratio of the medians: {link_rate / bare_rate:.2f} (target: at least {TARGET})")
    await link.close()
    recorder.close()
    await client.shutdown()
    await server.shutdown()


def main() -> None:
    """Read the arguments and measure."""
    count, rounds = [int(text) for text in sys.argv[1:3]] + [300, 9][len(sys.argv[1:3]) :]
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(measure(count, rounds, Path(directory) / "trace.jsonl"))


if __name__ == "__main__":
    main()
