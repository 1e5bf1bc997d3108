"""A raw CoAP client for tests: datagrams out, decoded messages in."""

import asyncio
import contextlib
import itertools
import os
import random
from collections.abc import AsyncIterator
from typing import Any

from harness.links.clock import loop as clock
from harness.model.profile import Profile
from harness.simulate.coap.server import SimulatedCoapServer
from harness.simulate.firmware.core import Core
from harness.wire.coap.codec import (
    Code,
    Message,
    Type,
    decode,
    empty,
    encode,
    request,
)

# An address of this process's own, so that test runs side by side do not take each other's port.
HOST = f"127.{128 + (os.getpid() >> 16) % 64}.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"

PROFILE = Profile.model_validate(
    {
        "profile": "tested",
        "title": "A device for tests",
        "category": "test",
        "properties": {
            "power": {"type": "boolean", "default": False},
            "target": {"type": "number", "minimum": 16, "maximum": 30, "multipleOf": 0.5, "default": 20},
            "mode": {"type": "string", "enum": ["auto", "cool"], "default": "auto"},
            "room": {"type": "number", "readOnly": True, "default": 21},
        },
        "actions": {"restart": {}, "beep": {"input": {"type": "integer", "minimum": 1}}},
        "events": {"key": {"data": {"type": "string"}}},
        "controls": {"key": {"effects": [{"event": "key", "data": "up"}]}},
        "bindings": {
            "coap": {
                "port": 5683,
                "observers": 2,
                "properties": {
                    "power": {"path": "/power", "observe": True, "resource_type": "switch"},
                    "target": {"path": "/target", "format": "text", "observe": True},
                    "mode": {"path": "/mode", "format": "cbor", "observe": True},
                    "room": {"path": "/sensors/room", "observe": True, "interface": "core.s"},
                },
                "actions": {"restart": {"path": "/restart"}, "beep": {"path": "/beep"}},
                "events": {"key": {"path": "/events/key"}},
                "resources": [
                    {"path": "/log", "size": 3000, "title": 'The "log"'},
                    {"path": "/slow", "takes": 2},
                ],
            }
        },
        "behaviour": {
            "rules": [
                {
                    "id": "no-auto-off",
                    "purpose": "mode stays while the power is off",
                    "while": [{"property": "power", "equals": False}],
                    "refuse": [{"property": "mode", "equals": "cool"}],
                }
            ]
        },
    }
)

_ports = itertools.count(1)


class Client:
    """One endpoint; ``inbox`` holds what came, in order."""

    def __init__(self, front: SimulatedCoapServer) -> None:
        self.front = front
        self.inbox: asyncio.Queue[Message] = asyncio.Queue()
        self.raw: list[bytes] = []
        self.acknowledges = True
        self._mids = itertools.count(random.Random(1).randrange(1000))
        self._transport: asyncio.DatagramTransport

    async def open(self) -> None:
        class Receiver(asyncio.DatagramProtocol):
            def datagram_received(_, data: bytes, addr: Any) -> None:
                assert addr == self.front.address
                self._received(data)

        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            Receiver, local_addr=("127.0.0.1", 0), remote_addr=self.front.address
        )

    def close(self) -> None:
        self._transport.close()

    def _received(self, data: bytes) -> None:
        self.raw.append(data)
        message = decode(data)
        assert not message.problems, message
        if message.type is Type.CON and self.acknowledges:
            self.send(empty(Type.ACK, message.mid))
        self.inbox.put_nowait(message)

    def send(self, message: Message | bytes) -> None:
        self._transport.sendto(message if isinstance(message, bytes) else encode(message))

    def request(self, code: int, path: str, **fields: Any) -> Message:
        fields.setdefault("mid", next(self._mids))
        fields.setdefault("token", fields["mid"].to_bytes(2, "big"))
        return request(code, path, **fields)

    async def next(self, within: float = 1.0) -> Message:
        async with asyncio.timeout(within):
            return await self.inbox.get()

    def drain(self) -> None:
        """Forget what came so far."""
        while not self.inbox.empty():
            self.inbox.get_nowait()

    async def silent(self, within: float = 10.0) -> bool:
        """Whether nothing comes for so long."""
        try:
            await self.next(within)
        except TimeoutError:
            return True
        return False

    async def ask(self, code: int, path: str, **fields: Any) -> Message:
        """The answer to a request, wherever it comes among notifications."""
        asked = self.request(code, path, **fields)
        self.send(asked)
        while True:
            answer = await self.next()
            if (answer.token == asked.token and answer.observe is None) or answer.mid == asked.mid:
                return answer

    async def get(self, path: str, **fields: Any) -> Message:
        return await self.ask(Code.GET, path, **fields)

    async def put(self, path: str, payload: bytes, **fields: Any) -> Message:
        return await self.ask(Code.PUT, path, payload=payload, **fields)

    async def observe(self, path: str, token: bytes = b"ob", **fields: Any) -> Message:
        self.send(self.request(Code.GET, path, observe=0, token=token, **fields))
        return await self.next()


class Bench:
    """A running front and its core."""

    def __init__(self, profile: Profile = PROFILE, seed: int = 0) -> None:
        self.core = Core(profile)
        self.front = SimulatedCoapServer(profile, self.core, host=HOST, random=random.Random(seed))
        self.clients: list[Client] = []

    async def client(self) -> Client:
        client = Client(self.front)
        await client.open()
        self.clients.append(client)
        return client


@contextlib.asynccontextmanager
async def bench(profile: Profile = PROFILE, **habits: Any) -> AsyncIterator[tuple[Bench, Client]]:
    """A device's CoAP front, and a client of it."""
    device = Bench(profile)
    device.front.deviate(**habits)
    problems: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: problems.append(str(context)))
    device.core.power_on()
    await device.front.start()
    try:
        yield device, await device.client()
    finally:
        for client in device.clients:
            client.close()
        device.core.power_off()
        await device.front.kill()
        loop.set_exception_handler(None)
    assert not problems


def run(main: Any) -> Any:
    """Run in virtual time, so that waits cost nothing."""
    return clock.run(main, virtual=True)
