"""An MQTT client on the running loop: paho-mqtt without its thread.

Used by the simulated device and the harness's own controller. Connecting, the TLS handshake and pings never
block the loop and use its clock.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any

from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from harness.links.errors import reason_of
from harness.links.mqtt.paho_loop import LoopedPaho
from harness.links.mqtt.paho_types import (
    ClientWill,
    ClosedError,
    Connected,
    ConnectError,
    MqttError,
    ReceivedMessage,
    RefusedError,
)
from harness.links.net.stream import (
    Stream,
    Watch,
    open_stream,
)

__all__ = [
    "ClientWill",
    "ClosedError",
    "ConnectError",
    "Connected",
    "MqttError",
    "PahoClient",
    "ReceivedMessage",
    "RefusedError",
]

LEVEL_5 = 5

REFUSALS = {
    1: "unacceptable protocol version",
    2: "client identifier rejected",
    3: "server unavailable",
    4: "bad user name or password",
    5: "not authorized",
}
"""Return codes of CONNACK (MQTT 3.1.1, table 3.1)."""

BAD_LOGIN = frozenset({4, 5, 0x86, 0x87})
"""CONNACK codes about the login; the last two are from MQTT 5.0, 3.2.2.2."""

KEEP_ALIVE_TIMEOUT = 141  # paho's reason code for a missing PINGRESP
PROTOCOL_ERROR = 130


class PahoClient:
    """One MQTT client; :meth:`connect` can be called again after a connection ended.

    ``protocol_level`` is 4 (MQTT 3.1.1) or 5 (5.0), ``keep_alive`` counts seconds, 0 turns it off. With
    ``clean_session`` False the session outlives a connection: unacknowledged publications are sent again
    by the next :meth:`connect` if the broker kept the session, and those made meanwhile (QoS 1 and 2) are
    sent then. ``will``, ``username``, ``password`` and ``keep_alive`` may be changed between connections.

    With ``manual_ack`` messages of QoS 1 and 2 are acknowledged only by :meth:`ack`.

    ``on_message`` and ``on_closed`` are plain functions, called on the loop; ``on_closed`` gets the reason
    as text, and is not called for the client's own :meth:`disconnect` and :meth:`abort`. Both may use any
    method of the client. It never reconnects by itself. ``watch`` sees the bytes of each
    connection.
    """

    def __init__(
        self,
        client_id: str,
        *,
        protocol_level: int = 4,
        keep_alive: int = 60,
        clean_session: bool = True,
        will: ClientWill | None = None,
        username: str | None = None,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
        manual_ack: bool = False,
        on_message: Callable[[ReceivedMessage], None] | None = None,
        on_closed: Callable[[str], None] | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.client_id = client_id
        self.protocol_level = protocol_level
        self.keep_alive = keep_alive
        self.clean_session = clean_session
        self.will = will
        self.username = username
        self.password = password
        self.on_message = on_message
        self.on_closed = on_closed
        self._tls = tls
        self._watch = watch
        self._where = ""
        self._connected = False
        self._connection = 0
        self._answer: asyncio.Future[Connected] | None = None
        self._left: asyncio.Future[None] | None = None
        self._publications: dict[int, tuple[int, asyncio.Future[None]]] = {}  # by mid: QoS, who waits
        self._requests: dict[int, asyncio.Future[tuple[int, ...]]] = {}
        self._due_callbacks: deque[Callable[[], None]] = deque()
        self._running_callbacks = False
        self._paho = LoopedPaho(client_id, protocol_level, clean_session, manual_ack)
        self._paho.after_io = self._run_callbacks
        self._paho.on_connect = self._on_connect
        self._paho.on_disconnect = self._on_disconnect
        self._paho.on_message = self._on_message
        self._paho.on_publish = self._on_publish
        self._paho.on_subscribe = self._on_answer
        self._paho.on_unsubscribe = self._on_answer

    @property
    def connected(self) -> bool:
        """Whether there is a connection that the broker has accepted."""
        return self._connected

    async def connect(self, host: str, port: int, *, timeout: float) -> Connected:  # noqa: ASYNC109
        """Connect, and return the broker's acceptance.

        Raises ConnectError when the broker cannot be reached, refuses, or does not answer within
        ``timeout`` seconds.
        """
        if self._paho.socket():
            raise ConnectError(f"MQTT client {self.client_id!r} is already connected to {self._where}")
        self._where = f"{host}:{port}"
        missing = "the TCP connection was not accepted"
        try:
            async with asyncio.timeout(timeout):
                stream = await open_stream(host, port, self._tls)
                if self._watch:
                    stream.watch(self._watch)
                missing = "no CONNACK was received after CONNECT"
                return await self._introduce(stream, host, port)
        except ssl.SSLCertVerificationError as error:
            text = f"the certificate of the MQTT broker {self._where} is not trusted: {error.verify_message}"
            raise ConnectError(text) from None
        except TimeoutError:
            raise ConnectError(f"MQTT broker {self._where}: {missing} within {timeout:g} s") from None
        except OSError as error:
            text = f"MQTT broker {self._where} cannot be reached: {reason_of(error)}"
            raise ConnectError(text) from None

    async def _introduce(self, stream: Stream, host: str, port: int) -> Connected:
        """Send CONNECT and wait for its answer."""
        paho = self._paho
        if self.will:
            paho.will_set(self.will.topic, self.will.payload, self.will.qos, self.will.retain)
        else:
            paho.will_clear()
        paho.username_pw_set(self.username, self.password)
        self._connection += 1
        self._left = None
        answer: asyncio.Future[Connected] = asyncio.get_running_loop().create_future()
        self._answer = answer
        try:
            paho.start(stream, host, port, self.keep_alive)
            return await answer
        except BaseException:
            self.abort()
            stream.close()
            raise
        finally:
            self._answer = None

    def ignore_missing_pong(self) -> None:
        """From now on ignore a missing PINGRESP, as a faulty client does."""
        self._paho.minds_silence = False

    async def subscribe(self, *filters: tuple[str, int]) -> tuple[int, ...]:
        """Subscribe to (topic filter, QoS) pairs; return the codes of the SUBACK, 0x80 and above a refusal.

        Raises ClosedError when there is no connection or it ends before the answer.
        """
        self._need_connection("subscribe")
        return await self._request(*self._paho.subscribe(list(filters)))

    async def unsubscribe(self, *filters: str) -> None:
        """Unsubscribe from topic filters. Raises ClosedError as :meth:`subscribe` does."""
        self._need_connection("unsubscribe")
        await self._request(*self._paho.unsubscribe(list(filters)))

    def publish(self, topic: str, payload: bytes, qos: int = 0, retain: bool = False) -> asyncio.Future[None]:
        """Publish; the future is done when the bytes are handed over (QoS 0) or acknowledged (QoS 1, 2).

        It fails with ClosedError when the message is lost with its connection, and with RefusedError when
        a 5.0 broker refuses it. It need not be awaited.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self._connected and (qos == 0 or self.clean_session):
            _fail(future, ClosedError(f"not connected: {topic} cannot be published"))
            return future
        info = self._paho.publish(topic, payload, qos, retain)
        if info.rc not in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN):
            _fail(future, ClosedError(f"{topic} cannot be published: too many messages are in flight"))
            return future
        self._publications[info.mid] = qos, future
        self._paho.flush()
        return future

    def ack(self, message: ReceivedMessage) -> None:
        """Acknowledge a QoS 1 or 2 message; no effect once its connection has ended."""
        if message.qos and self._connected and message.connection == self._connection:
            self._paho.ack(message.mid, message.qos)
            self._paho.flush()

    async def disconnect(self, *, within: float = 2.0) -> None:
        """End the connection in an orderly way: DISCONNECT, so that the broker discards the will, then FIN.

        Gives the other side ``within`` seconds to receive it and close, then closes regardless.
        """
        stream = self._paho.stream
        if not self._connected or not stream:
            self.abort()
            return
        self._left = asyncio.get_running_loop().create_future()
        stream.keep_open = True
        try:
            self._paho.disconnect()
            self._paho.flush()
            async with asyncio.timeout(within):
                await self._left
        except TimeoutError:
            pass  # the other side accepts no more bytes: just close
        finally:
            self.abort()
            await stream.close_in_order(within)

    def abort(self) -> None:
        """Close without DISCONNECT, as after a power loss: the broker publishes the will."""
        self._ended(None)
        self._paho.drop()

    # -- paho's callbacks: they only note what happened, see LoopedPaho

    def _on_connect(self, *_: Any) -> None:
        if self._paho.connack is None or self._paho.connack[0] != 0:
            return  # refused; paho closes next, see _on_disconnect
        code, session_present = self._paho.connack
        if not session_present:
            for mid in self._paho.forget_sent():
                self._give_up(mid, "the broker has lost the session")
        self._connected = True
        self._paho.keep_alive_from_now()
        if self._answer and not self._answer.done():
            self._answer.set_result(Connected(code, session_present))

    def _on_disconnect(
        self, _client: Any, _userdata: Any, flags: Any, reason: ReasonCode, _more: Any
    ) -> None:
        ending = self._paho.stream.ending if self._paho.stream else ""
        if reason.value == KEEP_ALIVE_TIMEOUT:
            ending = f"no PINGRESP within the keep-alive of {self.keep_alive} s"
        elif flags.is_disconnect_packet_from_server:
            ending = f"the broker sent DISCONNECT: {reason}"
        elif reason.value == PROTOCOL_ERROR:
            ending = "the broker broke the protocol"
        self._ended(ending or str(reason))

    def _on_message(self, _client: Any, _userdata: Any, message: Any) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            self._due_callbacks.append(lambda: self._break_off("the broker sent a topic that is not UTF-8"))
            return
        payload = bytes(message.payload)
        received = ReceivedMessage(
            topic,
            payload,
            message.qos,
            bool(message.retain),
            bool(message.dup),
            message.mid,
            self._connection,
        )
        self._due_callbacks.append(lambda: self.on_message(received) if self.on_message else None)

    def _on_publish(self, _client: Any, _userdata: Any, mid: int, reason: ReasonCode, _more: Any) -> None:
        _, future = self._publications.pop(mid, (0, None))
        if not future or future.done():
            return
        if reason.is_failure:
            _fail(future, RefusedError(f"the broker refused a publication: {reason}", reason.value))
        else:
            future.set_result(None)

    def _on_answer(self, _client: Any, _userdata: Any, mid: int, codes: Any, _more: Any) -> None:
        self._paho.awaited.discard(mid)
        future = self._requests.pop(mid, None)
        if future and not future.done():
            future.set_result(tuple(code.value for code in codes))

    # -- bookkeeping

    def _run_callbacks(self) -> None:
        """Call the owner's callbacks, in order, outside of paho."""
        if self._running_callbacks:
            return
        self._running_callbacks = True
        while self._due_callbacks:
            callback = self._due_callbacks.popleft()
            try:
                callback()
            except Exception as error:  # an error of the owner must not stop the connection
                received = {"message": "a callback of an MQTT client failed", "exception": error}
                asyncio.get_running_loop().call_exception_handler(received)
        self._running_callbacks = False

    def _ended(self, reason: str | None) -> None:
        """The connection has ended; ``reason`` None means that we ended it. Safe to call twice."""
        was_connected, self._connected = self._connected, False
        if self._left and not self._left.done():
            self._left.set_result(None)
        if self._answer and not self._answer.done():
            _fail(self._answer, self._refusal(reason))
        if not was_connected:
            return
        text = reason or "the client ended the connection"
        for future in self._requests.values():
            _fail(future, ClosedError(f"MQTT broker {self._where}: {text}"))
        self._requests.clear()
        self._paho.awaited.clear()
        for mid, (qos, _) in list(self._publications.items()):
            if qos == 0 or self.clean_session:
                self._give_up(mid, text)
        if self.clean_session:
            self._paho.drop_out_messages()
        if reason and not self._left:
            self._due_callbacks.append(lambda: self.on_closed(reason) if self.on_closed else None)

    def _break_off(self, reason: str) -> None:
        self._ended(reason)
        self._paho.drop()

    def _refusal(self, reason: str | None) -> ConnectError:
        code = self._paho.connack[0] if self._paho.connack else 0
        if not code:
            text = reason or "the client gave up"
            return ConnectError(f"MQTT broker {self._where} did not accept the connection: {text}")
        words = None if self.protocol_level == LEVEL_5 else REFUSALS.get(code)
        text = f"MQTT broker {self._where} refused the connection: {words or 'reason'} (code {code})"
        if code in BAD_LOGIN:
            text += f"; check the user name and password of {self.username or 'nobody (none given)'}"
        return ConnectError(text, code)

    def _need_connection(self, act: str) -> None:
        if not self._connected:
            raise ClosedError(f"MQTT client {self.client_id!r} cannot {act}: it is not connected")

    async def _request(self, result: MQTTErrorCode, mid: int | None) -> tuple[int, ...]:
        """Wait for the answer to the SUBSCRIBE or UNSUBSCRIBE ``mid``."""
        if result != MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None:
            raise ClosedError(f"MQTT broker {self._where}: the connection is closed")
        future: asyncio.Future[tuple[int, ...]] = asyncio.get_running_loop().create_future()
        self._requests[mid] = future
        self._paho.awaited.add(mid)
        self._paho.flush()
        return await future

    def _give_up(self, mid: int, reason: str) -> None:
        _, future = self._publications.pop(mid, (0, None))
        if future:
            _fail(future, ClosedError(f"a publication was not delivered: {reason}"))


def _fail(future: asyncio.Future[Any], error: MqttError) -> None:
    """Let ``future`` fail, without a warning from asyncio when nobody looks."""
    if not future.done():
        future.set_exception(error)
        future.exception()
