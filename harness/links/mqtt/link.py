"""The harness's own MQTT client on the device's broker; every packet is recorded in the trace."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from itertools import count

from harness.links.mqtt.brokers.address import BrokerAddress
from harness.links.mqtt.paho_client import (
    PahoClient,
    ReceivedMessage,
)
from harness.trace.events import Connection, ConnectionChange, Direction, MqttPacket, Point
from harness.trace.recorder import Recorder
from harness.wire import mqtt

CONNECT_LIMIT = 10.0  # seconds for the broker to accept us
GRANT_REFUSED = 0x80


class SubscriptionRefusedError(Exception):
    """The broker refused our subscription; the message names filter and broker."""


class MqttController:
    """Our client: commands the device and receives what it publishes, through the broker.

    ``connection`` numbers tell the connections of our clients apart in the trace. Packets to the broker
    are marked TO_DUT, those from the broker FROM_DUT: we talk to the device, the broker is a relay.
    """

    def __init__(
        self, recorder: Recorder, endpoint: BrokerAddress, tls: ssl.SSLContext | None, name: str
    ) -> None:
        self._recorder = recorder
        self._endpoint = endpoint
        self._tls = tls
        self._name = name
        self._numbers = count(1)
        self._client: PahoClient | None = None
        self._filters: dict[str, int] = {}
        self._returning: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect. Raises ConnectError with a readable message."""
        self._client = await self._connect(self._name, on_closed=self._lost)

    async def close(self) -> None:
        """Disconnect in an orderly way."""
        if self._returning:
            self._returning.cancel()
        client, self._client = self._client, None
        if client:
            await client.disconnect()

    async def away_while(self, work: Awaitable[None]) -> None:
        """Stay disconnected while ``work`` runs, such as a broker restart; then reconnect."""
        if self._client:
            self._client.abort()
        await work
        await self._return()

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Publish through the broker; returns when the broker has accepted the message."""
        if self._returning:
            await asyncio.shield(self._returning)
        await self._present.publish(topic, payload, qos, retain)

    async def subscribe(self, filter: str, qos: int = 2) -> None:
        """Subscribe, now and after every reconnection. Raises SubscriptionRefusedError."""
        self._filters[filter] = qos
        await self._subscribe(self._present, filter, qos)

    async def late_subscriber(self, filter: str, *, within: float = 2.0) -> int:
        """Connect one more client, receive what is retained under ``filter``, and disconnect.

        A message of our own, published after the subscription was granted, marks the end of the retained
        messages. All use QoS 0, because acknowledged messages may wait in the broker's queue and be
        overtaken. Returns the number of the connection in the trace.
        """
        fence = f"harness/fence/{self._name}/{self._recorder.now:.6f}"
        arrived = asyncio.get_running_loop().create_future()

        def on_message(message: ReceivedMessage) -> None:
            if message.topic == fence and not arrived.done():
                arrived.set_result(None)

        number = next(self._numbers)
        client = await self._connect(f"{self._name}-late-{number}", number=number, on_message=on_message)
        try:
            await self._subscribe(client, fence, 0)
            await self._subscribe(client, filter, 0)
            await client.publish(fence, b"", 0)
            async with asyncio.timeout(within):
                await arrived
        except TimeoutError:
            pass  # the broker is slow; the trace has what it sent so far
        finally:
            await client.disconnect()
        return number

    @property
    def _present(self) -> PahoClient:
        assert self._client is not None, "start() first"
        return self._client

    async def _connect(
        self,
        client_id: str,
        *,
        number: int | None = None,
        on_message: Callable[[ReceivedMessage], None] | None = None,
        on_closed: Callable[[str], None] | None = None,
    ) -> PahoClient:
        number = next(self._numbers) if number is None else number
        user = self._endpoint.user
        client = PahoClient(
            client_id,
            keep_alive=60,
            username=user.name if user else None,
            password=user.password if user else None,
            tls=self._tls,
            on_message=on_message,
            on_closed=on_closed,
            watch=RecordingWatch(self._recorder, number),
        )
        await client.connect(self._endpoint.host, self._endpoint.port, timeout=CONNECT_LIMIT)
        return client

    async def _subscribe(self, client: PahoClient, filter: str, qos: int) -> None:
        granted = await client.subscribe((filter, qos))
        if any(code >= GRANT_REFUSED for code in granted):
            raise SubscriptionRefusedError(
                f"the broker at {self._endpoint.host}:{self._endpoint.port} does not let the harness "
                f"subscribe to {filter}; allow it in the broker's access list"
            )

    def _lost(self, _reason: str) -> None:
        """The connection was lost: reconnect."""
        self._returning = asyncio.get_running_loop().create_task(self._return())

    async def _return(self) -> None:
        try:
            await self.start()
            for filter, qos in self._filters.items():
                await self._subscribe(self._present, filter, qos)
        finally:
            self._returning = None


class RecordingWatch:
    """Records the packets of one of our connections."""

    def __init__(self, recorder: Recorder, number: int) -> None:
        self._recorder = recorder
        self._number = number
        self._framers = {direction: mqtt.Framer() for direction in Direction}

    def opened(self) -> None:
        """The connection is open."""
        self._change(ConnectionChange.OPENED)

    def closed(self) -> None:
        """The connection has ended."""
        self._change(ConnectionChange.CLOSED)

    def sent(self, data: bytes) -> None:
        """These bytes were sent to the broker."""
        self._packets(data, Direction.TO_DUT)

    def received(self, data: bytes) -> None:
        """These bytes came from the broker."""
        self._packets(data, Direction.FROM_DUT)

    def _packets(self, data: bytes, direction: Direction) -> None:
        for raw in self._framers[direction].feed(data):
            self._recorder.record(MqttPacket(Point.CLIENT, direction, self._number, raw))

    def _change(self, change: ConnectionChange) -> None:
        self._recorder.record(Connection(Point.CLIENT, self._number, change, Direction.TO_DUT))
