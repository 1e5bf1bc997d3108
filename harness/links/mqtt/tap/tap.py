"""The tap: where the device connects in place of the broker, and every MQTT packet is seen, both ways.

Each TCP connection of the device gets one to the broker. A packet goes on in the callback in which its last
byte came, and is recorded. What the tap can do to the traffic besides is a method each; all may be called
at any time, and hold for present and future connections.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence

from harness.links.errors import LinkError, listen_failure
from harness.links.mqtt.brokers.address import BrokerAddress
from harness.links.mqtt.tap.connection import (
    CONNECT_LIMIT,
    FROM_DUT,
    TO_DUT,
    Rewrite,
    TapConnection,
)
from harness.trace.events import Direction, Note, Refusal
from harness.trace.recorder import Recorder
from harness.wire.mqtt.codec import Packet

__all__ = ["FIRST_PACKET_ID", "HalfOpen", "PacketHold", "Refusal", "Tap"]

FIRST_PACKET_ID = 0xF000  # brokers count from 1 and do not reach this number in a test
_BOTH = frozenset({FROM_DUT, TO_DUT})


class PacketHold:
    """Held packets. Released packets are forwarded in order; releasing or discarding ends the hold."""

    def __init__(self, tap: Tap, wanted: Callable[[Packet], bool], direction: Direction) -> None:
        self.direction = direction
        self.wants = wanted
        self._tap = tap
        self._kept: list[tuple[TapConnection, bytes]] = []

    @property
    def packets(self) -> Sequence[bytes]:
        """The packets held at present."""
        return [raw for _, raw in self._kept]

    def keep(self, link: TapConnection, raw: bytes) -> None:
        """Called by the tap."""
        self._kept.append((link, raw))

    def release(self) -> None:
        """Forward the held packets whose connection still exists, and end the hold."""
        self._tap.unhold(self)
        kept, self._kept = self._kept, []
        if kept and self.direction is FROM_DUT and self._tap.recorder:
            # These are in the trace as DROPPED, at the time the device sent them.
            text = f"tap: forwarded {len(kept)} held packets of the device"
            self._tap.recorder.record(Note(text))
        for link, raw in kept:
            link.release(self.direction, raw)

    def discard(self) -> None:
        """Discard the held packets, and end the hold."""
        self._tap.unhold(self)
        self._kept.clear()


class HalfOpen:
    """Connections whose end the broker has not noticed: it considers the device connected.

    Releasing or discarding it ends them for the broker as after a keep-alive timeout.
    """

    def __init__(self, links: Sequence[TapConnection]) -> None:
        self._links = links

    def release(self) -> None:
        """Reset the connections to the broker that are still open."""
        for link in self._links:
            link.cut_broker()

    def discard(self) -> None:
        """The same as :meth:`release`: an end cannot be undone."""
        self.release()


class Tap:
    """Listens for the device at ``host`` and ``port`` (0: any free one), and forwards to ``broker``.

    ``recorder`` None: nothing is recorded, for a tap that only injects faults. ``tls`` terminates the
    device's TLS here; ``broker_tls`` is for the connections to the broker.
    """

    def __init__(
        self,
        broker: BrokerAddress,
        *,
        recorder: Recorder | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        broker_tls: ssl.SSLContext | None = None,
    ) -> None:
        self.broker = broker
        self.broker_tls = broker_tls
        self.recorder = recorder
        self.refusal: Refusal | None = None
        self.refusal_code = 0
        self.frozen_directions: frozenset[Direction] = frozenset()
        self.holds: list[PacketHold] = []
        self.delays: dict[Direction, float] = {}
        self.rewrites: dict[Direction, Rewrite] = {}
        self._host = host
        self._port = port
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._links: list[TapConnection] = []
        self._count = 0
        self._packet_id = FIRST_PACKET_ID - 1
        self.complaint: str | None = None  # what seems wrong with how the device is set up, for messages

    async def __aenter__(self) -> Tap:
        await self.start()
        return self

    async def __aexit__(self, *problem: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen. Raises LinkError when the address cannot be bound."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: TapConnection(self).dut_side,
                self._host,
                self._port,
                ssl=self._tls,
                ssl_handshake_timeout=CONNECT_LIMIT if self._tls else None,
            )
        except OSError as problem:
            raise LinkError(listen_failure("tap", self._host, self._port, problem)) from problem
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close every connection, whatever the peers do. Does nothing when not started."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        await asyncio.gather(*(link.close() for link in self._links))
        await server.wait_closed()

    @property
    def address(self) -> tuple[str, int]:
        """Where the device connects; the port is known once started."""
        return self._host, self._port

    @property
    def connections(self) -> tuple[int, ...]:
        """Numbers of the connections on which packets can be sent to the device, oldest first."""
        return tuple(link.number for link in self._live())

    @property
    def frozen(self) -> bool:
        """Whether traffic is discarded."""
        return bool(self.frozen_directions)

    def drop(self, connection: int | None = None, *, reset: bool = True) -> None:
        """Cut one connection of the device, or all: with RST, otherwise with FIN.

        The broker sees RST in both cases, and publishes the will.
        """
        for link in list(self._links):
            if connection in (None, link.number):
                link.cut(reset=reset)

    def drop_broker_side(self) -> None:
        """Cut all connections to the broker; the device's stay open and silent (half-open)."""
        for link in list(self._links):
            link.cut_broker()

    def drop_unnoticed(self) -> HalfOpen:
        """Cut the device's side of all connections; the broker's stay open, and silent, until the release."""
        links = list(self._links)
        for link in links:
            link.cut_dut()
        return HalfOpen(links)

    def freeze(self, direction: Direction | None = None) -> None:
        """Freeze the link silently: traffic, by default of both directions, is discarded.

        TCP stays open on both sides; a close is not forwarded either. New connections are accepted, and
        frozen as well.
        """
        self.frozen_directions |= _BOTH if direction is None else {direction}
        for link in self._links:
            link.cut_on_thaw = True

    def thaw(self) -> None:
        """End all freezing. Connections that were frozen are cut, since their streams have gaps."""
        self.frozen_directions = frozenset()
        self._cut_where(lambda link: link.cut_on_thaw)

    def refuse(self, how: Refusal, code: int = 5) -> None:
        """Refuse new connections until :meth:`accept`; ``code`` is the return code of 3.1.1 for CONNACK.

        Connections that are open stay; use :meth:`drop` for them.
        """
        self.refusal, self.refusal_code = how, code

    def accept(self) -> None:
        """Accept new connections again. Those left without an answer are cut."""
        self.refusal = None
        self._cut_where(lambda link: link.turned_away is Refusal.SILENT and not link.cut_on_thaw)

    def hold(self, wanted: Callable[[Packet], bool], direction: Direction) -> PacketHold:
        """Hold the packets of this direction that ``wanted`` selects, until the hold ends."""
        hold = PacketHold(self, wanted, direction)
        self.holds.append(hold)
        return hold

    def unhold(self, hold: PacketHold) -> None:
        """Called by a hold that ends."""
        if hold in self.holds:
            self.holds.remove(hold)

    def inject(
        self,
        raw: bytes,
        direction: Direction = TO_DUT,
        connection: int | None = None,
        segments: Sequence[int] | None = None,
    ) -> None:
        """Send our own bytes to the device, or as if from it to the broker, ahead of held or delayed packets.

        ``connection`` None: the newest. ``segments``: sizes of the pieces to write one by one; what they
        leave over is one more. Answers to what was injected are absorbed; of QoS 2, PUBREL is up to the
        caller. Raises LinkError when there is no such connection.
        """
        links = [
            link for link in self._live() if connection in (None, link.number) and link.reaches(direction)
        ]
        if not links:
            which = "no MQTT connection" if connection is None else f"no MQTT connection {connection}"
            raise LinkError(f"tap: the device has {which} to inject packets on")
        links[-1].inject(direction, raw, segments or ())

    def next_packet_id(self) -> int:
        """A packet id that the broker does not use, for packets to be injected."""
        self._packet_id = FIRST_PACKET_ID if self._packet_id >= 0xFFFF else self._packet_id + 1
        return self._packet_id

    def rewrite(self, function: Rewrite | None, direction: Direction) -> None:
        """Replace each packet by those that ``function`` returns; None ends this.

        A packet that is not among them counts as DROPPED, new ones as INJECTED.
        """
        if function is None:
            self.rewrites.pop(direction, None)
        else:
            self.rewrites[direction] = function

    def delay(self, seconds: float, direction: Direction) -> None:
        """Delay packets and connection ends from now on. Their order is kept."""
        self.delays[direction] = seconds

    def joined(self, link: TapConnection) -> int:
        """Called for a connection that the device opened."""
        self._links.append(link)
        self._count += 1
        return self._count

    def introduced(self, link: TapConnection) -> None:
        """Called when a device sends CONNECT: two of one name throw each other out (MQTT-3.1.4-2)."""
        for other in self._live():
            is_same = other is not link and bool(link.client_id) and other.client_id == link.client_id
            if is_same and other.host != link.host:
                self.complain(
                    f"two devices use the client identifier {link.client_id!r}, at {other.host} and "
                    f"{link.host}: give each its own"
                )

    def complain(self, text: str) -> None:
        """Keep a complaint about the device for messages, and note it in the trace, once."""
        if text != self.complaint and self.recorder:
            self.recorder.record(Note(f"tap: {text}"))
        self.complaint = text

    def left(self, link: TapConnection) -> None:
        """Called by a link whose sides are closed."""
        if link in self._links:
            self._links.remove(link)

    def _live(self) -> list[TapConnection]:
        return [link for link in self._links if link.live and link.turned_away is None]

    def _cut_where(self, condition: Callable[[TapConnection], bool]) -> None:
        for link in list(self._links):
            if condition(link):
                link.cut(reset=True)
