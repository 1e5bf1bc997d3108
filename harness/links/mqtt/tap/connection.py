"""One connection of the device through the tap."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import Protocol

from harness.links.errors import reason_of
from harness.links.mqtt.brokers.address import BrokerAddress
from harness.links.mqtt.tap.acknowledgements import AnswerTracker
from harness.links.mqtt.tap.peer import (
    End,
    ForwardingQueue,
    QueuedPacket,
    TapPeer,
    opposite,
)
from harness.trace.events import (
    Connection,
    ConnectionChange,
    Direction,
    Fate,
    MqttPacket,
    Note,
    Point,
    Refusal,
)
from harness.trace.recorder import Recorder
from harness.wire.mqtt.codec import (
    MQTT_5,
    Connect,
    Framer,
    Packet,
    PacketType,
    decode,
    encode_connack,
)

CONNECT_LIMIT = 10.0  # seconds for the broker to take a connection
CLIENT_HELLO = b"\x16\x03"  # a TLS handshake record (RFC 8446, 5.1); no MQTT connection begins so
TLS_ON_PLAIN_PORT = (
    "it speaks TLS to the plain MQTT port of the harness (a TLS ClientHello arrived): "
    "set it to MQTT without TLS"
)
FROM_DUT, TO_DUT = Direction.FROM_DUT, Direction.TO_DUT

Rewrite = Callable[[bytes], Sequence[bytes]]

# Return codes of 3.1.1 and the reason codes of 5.0 that say the same.
_REASONS = {1: 0x84, 2: 0x85, 3: 0x88, 4: 0x86, 5: 0x87}


class PacketHolder(Protocol):
    """Keeps packets that are held back."""

    direction: Direction

    def wants(self, packet: Packet) -> bool:
        """Whether to hold this packet back."""

    def keep(self, link: TapConnection, raw: bytes) -> None:
        """Keep the packet."""


class TapControls(Protocol):
    """Settings of the tap; they apply to every connection from the next packet on."""

    broker: BrokerAddress
    broker_tls: ssl.SSLContext | None
    recorder: Recorder | None
    refusal: Refusal | None
    refusal_code: int
    frozen_directions: frozenset[Direction]
    delays: dict[Direction, float]
    rewrites: dict[Direction, Rewrite]

    @property
    def holds(self) -> Sequence[PacketHolder]:
        """The holds in force, oldest first."""

    def joined(self, link: TapConnection) -> int:
        """Register a new connection; returns its number."""

    def left(self, link: TapConnection) -> None:
        """Both sides of the connection are closed."""

    def introduced(self, link: TapConnection) -> None:
        """The device has sent its CONNECT."""

    def complain(self, text: str) -> None:
        """Something is wrong with how the device is set up."""


class TapConnection:
    """A TCP connection of the device, and the matching one to the broker.

    The trace shows the device's side. A packet from the device is recorded once, on arrival, as FORWARDED or
    DROPPED. A packet to the device is recorded as FORWARDED when it is sent to the device, and as DROPPED
    when it is held back; one that is held and later released has both lines.
    """

    def __init__(self, controls: TapControls) -> None:
        self._controls = controls
        self.number = 0
        self.level = 4
        self.turned_away = controls.refusal
        self.cut_on_thaw = False
        self._dut = TapPeer(self, FROM_DUT)
        self._broker = TapPeer(self, TO_DUT)
        self._framers = {FROM_DUT: Framer(), TO_DUT: Framer()}
        self._queues = {FROM_DUT: ForwardingQueue(self._to_broker), TO_DUT: ForwardingQueue(self._to_dut)}
        self._answers = {FROM_DUT: AnswerTracker(), TO_DUT: AnswerTracker()}
        self._connecting: asyncio.Task[None] | None = None
        self._begun = False  # the device has sent something
        self.client_id: str | None = None
        self._dut.closed.add_done_callback(self._perhaps_left)
        self._broker.closed.add_done_callback(self._perhaps_left)

    @property
    def dut_side(self) -> asyncio.Protocol:
        """The protocol for the connection that the device made."""
        return self._dut

    @property
    def live(self) -> bool:
        """Whether packets can still be sent to the device here."""
        return self._dut.writable

    @property
    def host(self) -> str | None:
        """The address of the device."""
        return self._dut.host

    def reaches(self, direction: Direction) -> bool:
        """Whether packets of this direction can be delivered."""
        return (self._broker if direction is FROM_DUT else self._dut).writable

    def made(self, direction: Direction) -> None:
        """A side is connected."""
        if direction is TO_DUT:
            return
        self.number = self._controls.joined(self)
        self._record_change(ConnectionChange.OPENED, FROM_DUT)
        self.cut_on_thaw = bool(self._controls.frozen_directions)
        if self.turned_away is None and self._controls.frozen_directions == {FROM_DUT, TO_DUT}:
            # A dead network accepts no connections; our kernel accepted this one.
            self.turned_away = Refusal.SILENT
        if self.turned_away is Refusal.RESET:
            self.end_dut(reset=True)
        if self.turned_away is None:
            # Read nothing from the device until it can be forwarded.
            self._dut.listen(False)
            self._connecting = asyncio.create_task(self._connect())
            self._connecting.add_done_callback(self._perhaps_left)

    async def _connect(self) -> None:
        endpoint, tls = self._controls.broker, self._controls.broker_tls
        try:
            async with asyncio.timeout(CONNECT_LIMIT):
                await asyncio.get_running_loop().create_connection(
                    lambda: self._broker, endpoint.host, endpoint.port, ssl=tls
                )
        except OSError as problem:
            late = isinstance(problem, TimeoutError) and problem.errno is None
            reason = f"no answer within {CONNECT_LIMIT:g} s" if late else reason_of(problem)
            self._note(f"tap: broker {endpoint.url} cannot be reached: {reason}")
            self._broker.abort()
            self.end_dut(reset=True)
        else:
            self._dut.listen(True)

    def received(self, direction: Direction, data: bytes) -> None:
        """Bytes arrived; every packet that they complete is forwarded before this returns."""
        side = self._dut if direction is FROM_DUT else self._broker
        late = side.finished
        if direction is FROM_DUT and not self._begun:
            self._begun = True
            if data.startswith(CLIENT_HELLO):
                self._controls.complain(TLS_ON_PLAIN_PORT)
                self.end_dut(reset=True)
                self.cut_broker()
                return
        for raw in self._framers[direction].feed(data):
            self._take(direction, raw)
        if late:
            # A closed socket answers with RST; a peer that keeps sending must notice it.
            side.reset()

    def _take(self, direction: Direction, raw: bytes) -> None:
        controls = self._controls
        packet = self._look_at(direction, raw)
        if isinstance(packet, Connect) and direction is FROM_DUT:
            self.level = packet.level if packet.level == MQTT_5 else 4
            self.client_id = packet.client_id
            self._controls.introduced(self)
        if not self.reaches(direction) or direction in controls.frozen_directions:
            self._record(direction, raw, Fate.DROPPED)
            if self.turned_away is not None and direction is FROM_DUT:
                self._refuse(packet)
            return
        if packet is not None and self._answers[direction].absorbs(packet):
            self._record(direction, raw, Fate.DROPPED)
            return
        if packet is not None:
            for hold in controls.holds:
                if hold.direction is direction and hold.wants(packet):
                    self._record(direction, raw, Fate.DROPPED)
                    hold.keep(self, raw)
                    return
        made = controls.rewrites[direction](raw) if direction in controls.rewrites else (raw,)
        if raw not in made:
            self._record(direction, raw, Fate.DROPPED)
        for piece in made:
            if piece == raw:
                self._pass(direction, QueuedPacket(raw, packet, Fate.FORWARDED))
            else:
                self._pass(direction, QueuedPacket(piece, decode(piece, self.level), Fate.INJECTED))

    def _look_at(self, direction: Direction, raw: bytes) -> Packet | None:
        """Decode a packet unless nothing needs its contents: most PUBLISH packets have QoS 0."""
        if any(hold.direction is direction for hold in self._controls.holds):
            return decode(raw, self.level)
        return None if raw[0] & 0b1111_0110 == PacketType.PUBLISH << 4 else decode(raw, self.level)

    def _pass(self, direction: Direction, queued: QueuedPacket) -> None:
        self._queues[direction].push(queued, self._controls.delays.get(direction, 0.0))
        if direction is FROM_DUT:
            self._record(direction, queued.raw, queued.fate)

    def release(self, direction: Direction, raw: bytes) -> None:
        """Forward a held packet; a packet of the device is already in the trace."""
        queued = QueuedPacket(raw, decode(raw, self.level), Fate.FORWARDED)
        self._queues[direction].push(queued, self._controls.delays.get(direction, 0.0))

    def inject(self, direction: Direction, raw: bytes, segments: Sequence[int] = ()) -> None:
        """Send our own bytes, cut into segments of these sizes, ahead of everything queued."""
        target = self._broker if direction is FROM_DUT else self._dut
        if segments:
            target.write_segments(_cut(raw, segments))
        else:
            target.write(raw)
        framer = Framer()
        for piece in [*framer.feed(raw), framer.pending]:
            if piece:
                self._answers[opposite(direction)].expect(decode(piece, self.level), injected=True)
                self._record(direction, piece, Fate.INJECTED)

    def _to_broker(self, item: QueuedPacket | End) -> None:
        if isinstance(item, QueuedPacket):
            self._broker.write(item.raw)
            if item.packet:
                self._answers[TO_DUT].expect(item.packet, injected=False)
        elif item.reset:
            self._broker.reset()
        else:
            self._broker.close()

    def _to_dut(self, item: QueuedPacket | End) -> None:
        if isinstance(item, End):
            self.end_dut(reset=item.reset)
            return
        fate = item.fate if self._dut.writable else Fate.DROPPED
        self._dut.write(item.raw)
        if item.packet:
            self._answers[FROM_DUT].expect(item.packet, injected=False)
        self._record(TO_DUT, item.raw, fate)

    def _refuse(self, packet: Packet | None) -> None:
        """Answer a CONNECT as the refusal requires; nothing else is answered."""
        if self.turned_away not in (Refusal.CONNACK, Refusal.KICK) or not self._dut.writable:
            return
        if isinstance(packet, Connect):
            code = 0 if self.turned_away is Refusal.KICK else self._controls.refusal_code
            if self.level == MQTT_5:
                code = _REASONS.get(code, code)
            self.inject(TO_DUT, encode_connack(code, level=self.level))
        self.end_dut(reset=False)

    def ended(self, direction: Direction, *, reset: bool) -> None:
        """A peer closed or reset its connection."""
        framer = self._framers[direction]
        if framer.pending:
            rest = framer.pending
            self._framers[direction] = Framer()
            self._take(direction, rest)
        if direction is FROM_DUT:
            self._record_change(ConnectionChange.RESET if reset else ConnectionChange.CLOSED, FROM_DUT)
            self._dut.close()
            self._lose_undelivered()
        else:
            self._broker.close()
        if direction not in self._controls.frozen_directions:
            self._queues[direction].push(End(reset), self._controls.delays.get(direction, 0.0))

    def throttle(self, direction: Direction, *, stop: bool) -> None:
        """A peer accepts no data at present: pause reading from the other one."""
        source = self._broker if direction is FROM_DUT else self._dut
        source.listen(not stop)

    def end_dut(self, *, reset: bool) -> None:
        """Close the device's connection from our side."""
        if self._dut.finished:
            return
        self._record_change(ConnectionChange.RESET if reset else ConnectionChange.CLOSED, TO_DUT)
        if reset:
            self._dut.reset()
        else:
            self._dut.finish()

    def cut(self, *, reset: bool) -> None:
        """Close the device's connection, and reset the broker's, so that it publishes the will."""
        self.cut_broker()
        self._lose_undelivered()
        self.end_dut(reset=reset)

    def _lose_undelivered(self) -> None:
        for queued in self._queues[TO_DUT].clear():
            self._record(TO_DUT, queued.raw, Fate.DROPPED)

    def cut_dut(self) -> None:
        """Reset the device's connection; the broker's stays open and silent (half-open)."""
        self._lose_undelivered()
        self.end_dut(reset=True)

    def cut_broker(self) -> None:
        """Reset the connection to the broker; the device's stays open and silent."""
        if self._connecting:
            self._connecting.cancel()
        self._queues[FROM_DUT].clear()
        self._broker.reset()
        self._dut.listen(True)

    async def close(self) -> None:
        """Close both sides regardless of the peers; returns when they are closed."""
        if not self._dut.finished:
            self._record_change(ConnectionChange.CLOSED, TO_DUT)
        for lane in self._queues.values():
            lane.clear()
        if self._connecting:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        self._dut.abort()
        self._broker.abort()
        await self._dut.closed
        if self._broker.connected:
            await self._broker.closed

    def _perhaps_left(self, _: asyncio.Future[None]) -> None:
        connecting = self._connecting is not None and not self._connecting.done()
        broker_open = self._broker.connected and not self._broker.closed.done()
        if self._dut.closed.done() and not connecting and not broker_open:
            self._controls.left(self)

    def _record(self, direction: Direction, raw: bytes, fate: Fate) -> None:
        if self._controls.recorder:
            packet = MqttPacket(Point.TAP, direction, self.number, raw, self.level, fate)
            self._controls.recorder.record(packet)

    def _record_change(self, change: ConnectionChange, by: Direction) -> None:
        if self._controls.recorder:
            self._controls.recorder.record(Connection(Point.TAP, self.number, change, by))

    def _note(self, text: str) -> None:
        if self._controls.recorder:
            self._controls.recorder.record(Note(text))


def _cut(raw: bytes, sizes: Sequence[int]) -> list[bytes]:
    """Cut into pieces of these sizes; what is left over is a last piece."""
    pieces, at = [], 0
    for size in sizes:
        pieces.append(raw[at : at + size])
        at += size
    pieces.append(raw[at:])
    return [piece for piece in pieces if piece]
