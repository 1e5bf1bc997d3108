"""The last piece of wire between a simulated device and its broker, where a fault may bend packets."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

from harness.simulate.mqtt_habits import PacketFilter
from harness.trace.mqtt import Framer


class Wire:
    """A relay on a loopback port that passes whole MQTT packets through filters, each way its own."""

    def __init__(
        self, broker: tuple[str, int], outgoing: Sequence[PacketFilter], incoming: Sequence[PacketFilter]
    ) -> None:
        self._broker = broker
        self._outgoing = outgoing
        self._incoming = incoming
        self._server: asyncio.Server | None = None
        self._ends: set[_End] = set()

    async def start(self) -> tuple[str, int]:
        """Begins to listen, unless it does already; returns where."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(self._accept, "127.0.0.1", 0)
        return cast(tuple[str, int], self._server.sockets[0].getsockname()[:2])

    async def stop(self) -> None:
        """Stops listening, and cuts what is connected."""
        if self._server is not None:
            self._server.close()
        for end in list(self._ends):
            end.cut()

    def _accept(self) -> _End:
        near, far = _End(self._outgoing, self._ends), _End(self._incoming, self._ends)
        near.other, far.other = far, near
        host, port = self._broker
        reaching = asyncio.ensure_future(
            asyncio.get_running_loop().create_connection(lambda: far, host, port)
        )
        reaching.add_done_callback(near.reached)
        near.reaching = reaching
        return near


class _End(asyncio.Protocol):
    """One end of a relayed connection; what comes in here goes out at the other end."""

    other: _End
    reaching: asyncio.Future[tuple[asyncio.Transport, _End]] | None = None

    def __init__(self, filters: Sequence[PacketFilter], ends: set[_End]) -> None:
        self._filters = filters
        self._ends = ends
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self._early = b""  # came before the other end was connected

    def reached(self, attempt: asyncio.Future[tuple[asyncio.Transport, _End]]) -> None:
        """The broker was reached, or not; then this end must not seem alive."""
        if attempt.cancelled() or attempt.exception() is not None:
            self.cut()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ends.add(self)
        self._transport.write(self._early)

    def data_received(self, data: bytes) -> None:
        for packet in self._framer.feed(data):
            passed: list[bytes] = [packet]
            for each in self._filters:
                passed = [result for one in passed for result in each(one)]
            self.other.send(b"".join(passed))

    def send(self, data: bytes) -> None:
        if self._transport is None:
            self._early += data
        else:
            self._transport.write(data)

    def pause_writing(self) -> None:
        if self.other._transport is not None:
            self.other._transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other._transport is not None and not self.other._transport.is_closing():
            self.other._transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self._ends.discard(self)
        if error is None:
            self.other.close()
        else:
            self.other.cut()

    def close(self) -> None:
        if self.reaching is not None:
            self.reaching.cancel()
        if self._transport is not None:
            self._transport.close()

    def cut(self) -> None:
        if self.reaching is not None:
            self.reaching.cancel()
        if self._transport is not None:
            self._transport.abort()


def announcing_keep_alive(seconds: int) -> PacketFilter:
    """A filter that lets every CONNECT announce this keep-alive, whatever the client does."""

    def rewrite(packet: bytes) -> list[bytes]:
        if packet[0] >> 4 != 1:
            return [packet]
        start = 1
        while packet[start] & 0x80:
            start += 1
        # After the remaining length: protocol name (two bytes of length, the name), level, flags.
        name = int.from_bytes(packet[start + 1 : start + 3], "big")
        at = start + 1 + 2 + name + 2
        return [packet[:at] + seconds.to_bytes(2, "big") + packet[at + 2 :]]

    return rewrite
