"""A broker that does only what a test tells it to, packet by packet."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator

from harness.wire.mqtt.codec import (
    Connect,
    Framer,
    Packet,
    decode,
    encode_connack,
)


class Conversation:
    """The broker's end of one TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._framer = Framer()
        self._packets: deque[Packet] = deque()
        self.level = 4

    async def next(self) -> Packet | None:
        """The client's next packet; None at the end of its stream. A lost connection raises OSError."""
        while not self._packets:
            data = await self._reader.read(65536)
            if not data:
                return None
            for raw in self._framer.feed(data):
                packet = decode(raw, self.level)
                if isinstance(packet, Connect):
                    self.level = packet.level
                assert packet.problems == ()
                self._packets.append(packet)
        return self._packets.popleft()

    async def rest(self) -> list[Packet]:
        """All packets until the client closes."""
        packets = []
        while packet := await self.next():
            packets.append(packet)
        return packets

    def send(self, raw: bytes) -> None:
        self._writer.write(raw)

    def close(self) -> None:
        self._writer.close()


class ScriptedBroker:
    """Listens on a free port of loopback."""

    port: int

    def __init__(self) -> None:
        self._conversations: asyncio.Queue[Conversation] = asyncio.Queue()

    async def next_connection(self) -> Conversation:
        return await self._conversations.get()

    async def accept(self, session_present: bool = False) -> tuple[Conversation, Connect]:
        """Take the next connection and accept its CONNECT."""
        conversation = await self.next_connection()
        connect = await conversation.next()
        assert isinstance(connect, Connect)
        conversation.send(encode_connack(0, session_present, level=connect.level))
        return conversation, connect

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._conversations.put_nowait(Conversation(reader, writer))


@contextlib.asynccontextmanager
async def scripted_broker() -> AsyncIterator[ScriptedBroker]:
    broker = ScriptedBroker()
    server = await asyncio.start_server(broker._connected, "127.0.0.1", 0)
    broker.port = server.sockets[0].getsockname()[1]
    async with server:
        yield broker
