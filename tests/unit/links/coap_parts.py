"""What the tests of the CoAP link share: resources to serve, messages, and a look at the trace."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import replace

import aiocoap
from aiocoap.resource import ObservableResource, Resource, Site

from harness.links.coap.link import (
    CoapClientEndpoint,
    CoapLink,
)
from harness.trace.events import CoapDatagram, Direction
from harness.trace.recorder import Recorder
from harness.wire import coap
from harness.wire.coap.codec import (
    Code,
    Message,
    Option,
    OptionNumber,
    Type,
)


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
async def link_to(
    recorder: Recorder, remote: tuple[str, int]
) -> AsyncIterator[tuple[CoapLink, CoapClientEndpoint]]:
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
