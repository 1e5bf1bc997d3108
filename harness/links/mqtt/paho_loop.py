"""paho-mqtt's client, served by an asyncio loop in place of paho's own network thread.

paho has hooks for a foreign loop, but blocks while it connects, and must be polled once a second for pings.
:class:`LoopedPaho` gets a connected socket and sets its own timers. All use of paho's private members is in
this file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from harness.links.net.stream import Stream

PING_AT = 0.9
"""Share of the keep-alive after which an idle client pings: the full interval would be too late (MQTT 3.1.1
[MQTT-3.1.2-23])."""

SHORTEST_TIMER = 0.001
"""Seconds; rounding may fire a timer just before it is due, and it must not spin."""

KEPT_FOREVER = 0xFFFFFFFF  # MQTT 5.0, 3.1.2.11.2: the session does not expire

FAILURE = 0x80  # MQTT 5.0: reason codes from here on are failures


MOST_UNDER_WAY = 5000
"""Limit of unacknowledged messages. With all 65535 packet identifiers in use, the search for a free one would
never end."""


class LoopedPaho(mqtt.Client):
    """A paho client on a running loop.

    The owner calls :meth:`start` with an open stream and sets paho's callbacks, which must neither raise
    nor call back into paho: paho holds a lock around them. ``after_io`` is called after each exchange
    with the socket, when that lock is free; there the owner does its work.
    """

    def __init__(self, client_id: str, level: int, clean_session: bool, manual_ack: bool) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if level == MQTTProtocolVersion.MQTTv5 else clean_session,
            protocol=MQTTProtocolVersion(level),
            reconnect_on_failure=False,
            manual_ack=manual_ack,
        )
        self.max_queued_messages_set(MOST_UNDER_WAY)
        self._new_session = clean_session
        self._asyncio: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._awaits_room = False
        self.stream: Stream | None = None
        self.connack: tuple[int, bool] | None = None  # code, session present; as on the wire
        self.minds_silence = True  # a missing PINGRESP ends the connection
        self.awaited: set[int] = set()  # packet identifiers of SUBSCRIBE and UNSUBSCRIBE under way
        self.after_io: Callable[[], None] = lambda: None
        self.on_socket_open = self._opened
        self.on_socket_close = self._closing
        self.on_socket_register_write = lambda *_: None  # stops paho from writing by itself
        self.on_socket_unregister_write = self._all_written

    def start(self, stream: Stream, host: str, port: int, keep_alive: int) -> None:
        """Send CONNECT on ``stream`` and serve it from the running loop until it closes."""
        self._asyncio = asyncio.get_running_loop()
        self.stream = stream
        self.connack = None
        if self._protocol == MQTTProtocolVersion.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            if not self._new_session:
                properties.SessionExpiryInterval = KEPT_FOREVER
            self.connect_async(host, port, keep_alive, clean_start=self._new_session, properties=properties)
        else:
            self.connect_async(host, port, keep_alive)
        self.reconnect()
        self.flush()

    def flush(self) -> None:
        """Write what is queued; the rest follows when the kernel has room."""
        if self.want_write():
            self.loop_write()
        if self.want_write() and not self._awaits_room and self._asyncio and self.stream and self._sock:
            self._awaits_room = True
            self._asyncio.add_writer(self.stream.fileno(), self._room)
        self.after_io()

    def drop(self) -> None:
        """Close the socket without a word."""
        self._sock_close()

    def forget_sent(self) -> list[int]:
        """Discard the unacknowledged messages of a lost session; return their ids."""
        self._in_messages.clear()
        sent = [
            mid
            for mid, message in self._out_messages.items()
            if message.dup or message.state == mqtt.mqtt_ms_resend_pubrel
        ]
        for mid in sent:
            del self._out_messages[mid]
        return sent

    def keep_alive_from_now(self) -> None:
        """Start the ping timer; call it once the broker has accepted the connection."""
        self._arm()

    # -- the socket, as the loop sees it

    def _create_socket(self) -> Any:
        return self.stream

    def _opened(self, _client: mqtt.Client, _userdata: Any, stream: Any) -> None:
        assert self._asyncio
        self._asyncio.add_reader(stream.fileno(), self._input)

    def _closing(self, _client: mqtt.Client, _userdata: Any, stream: Any) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._asyncio and not self._asyncio.is_closed():
            self._asyncio.remove_reader(stream.fileno())
            self._all_written()

    def _all_written(self, *_: Any) -> None:
        if self._awaits_room and self._asyncio and self.stream:
            self._asyncio.remove_writer(self.stream.fileno())
            self._awaits_room = False

    def _room(self) -> None:
        self.loop_write()
        self.after_io()

    def _input(self) -> None:
        stream = self.stream
        while self._sock and self._sock is stream:
            self.loop_read()
            self.flush()
            if not stream.pending:
                break

    # -- time

    def _arm(self) -> None:
        """Set the timer for the moment at which a ping is due, or its answer overdue."""
        self._timer = None
        if self._asyncio and self._sock and self._keepalive:
            due = max(self._due(), self._asyncio.time() + SHORTEST_TIMER)
            self._timer = self._asyncio.call_at(due, self._tick)

    def _due(self) -> float:
        if self._ping_t and self.minds_silence:
            return self._ping_t + self._keepalive
        ping_due = self._last_msg_out + PING_AT * self._keepalive
        return min(ping_due, self._last_bytes_received + self._keepalive) if self.minds_silence else ping_due

    def _tick(self) -> None:
        assert self._asyncio
        if self._asyncio.time() >= self._due():
            if self._ping_t and self.minds_silence:
                self.loop_misc()  # closes the connection: the PINGRESP did not come
            else:
                self._send_pingreq()
        self.flush()
        self._arm()

    # -- what paho gets wrong, or does not tell

    def _sock_send(self, buf: bytes | bytearray) -> int:
        """Note the time, from which the next ping counts; paho does so only for a packet sent in pieces."""
        count = super()._sock_send(buf)
        if self._asyncio:
            self._last_msg_out = self._asyncio.time()
        return count

    def _mid_generate(self) -> int:
        """Next packet identifier that is free ([MQTT-2.3.1-2]); paho's counter wraps into those in use."""
        mid = super()._mid_generate()
        while mid in self._out_messages or mid in self.awaited:
            mid = super()._mid_generate()
        return mid

    def _packet_handle(self) -> MQTTErrorCode:
        """Refuse what a receiver has to close the connection over; paho looks at neither of the two.

        Reserved flags ([MQTT-2.2.2-2]) and U+0000 in a topic name ([MQTT-1.5.3-2]).
        """
        kind, flags = self._in_packet["command"] & 0xF0, self._in_packet["command"] & 0x0F
        if kind == mqtt.PUBLISH:
            packet = self._in_packet["packet"]
            malformed = 0 in packet[2 : 2 + int.from_bytes(packet[:2], "big")]
        else:
            malformed = flags != (0b0010 if kind == mqtt.PUBREL else 0)
        return MQTTErrorCode.MQTT_ERR_PROTOCOL if malformed else super()._packet_handle()

    def _handle_connack(self) -> MQTTErrorCode:
        """Keep the return code: for two of them paho closes without telling its callback."""
        packet = self._in_packet["packet"]
        if len(packet) >= 2:
            self.connack = packet[1], bool(packet[0] & 1)
        return super()._handle_connack()

    def _handle_pubrel(self) -> MQTTErrorCode:
        """Complete the handshake of a message delivered earlier: with manual_ack paho would leave it open."""
        known = int.from_bytes(self._in_packet["packet"][:2], "big") in self._in_messages
        result = super()._handle_pubrel()
        if self._manual_ack and not known and result == MQTTErrorCode.MQTT_ERR_SUCCESS:
            mid = int.from_bytes(self._in_packet["packet"][:2], "big")
            return self._send_pubcomp(mid)
        return result

    def _handle_pubrec(self) -> MQTTErrorCode:
        """End a message that the PUBREC refuses ([MQTT-4.3.3-4] of 5.0): paho would go on with PUBREL."""
        packet = self._in_packet["packet"]
        mid = int.from_bytes(packet[:2], "big")
        if len(packet) > 2 and packet[2] >= FAILURE and mid in self._out_messages:
            try:
                reason = ReasonCode(PacketTypes.PUBREC, identifier=packet[2])
            except KeyError:
                return MQTTErrorCode.MQTT_ERR_PROTOCOL
            more = Properties(PacketTypes.PUBREC)  # type: ignore[no-untyped-call]
            return self._do_on_publish(mid, reason, more)
        return super()._handle_pubrec()
