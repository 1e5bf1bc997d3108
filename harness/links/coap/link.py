"""The harness's CoAP client: it sends and receives raw datagrams and records each in the trace.

It uses no CoAP library, so that the trace shows exactly what a device sends, and how often. The link
itself does only what RFC 7252 requires of a client: it repeats CON requests (4.2), acknowledges expected
CON messages, and rejects all others.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass

from harness.links.errors import LinkError
from harness.links.net.udp import (
    Address,
    PortAllocator,
    UdpSocket,
    address_text,
    local_endpoint_towards,
    resolve,
)
from harness.trace.events import Act, CoapDatagram, Direction, Event, Note, Stimulus
from harness.trace.recorder import Recorder
from harness.wire import coap

ACK_TIMEOUT = 2.0  # RFC 7252 4.8: seconds
ACK_RANDOM_FACTOR = 1.5
MAX_RETRANSMIT = 4
MAX_TRANSMIT_WAIT = 93.0  # 4.8.2: from the first transmission until a client gives up
EXCHANGE_LIFETIME = 247.0  # seconds in which a CON message may be repeated with its message id

_TOKEN_STEP = 0x9E3779B97F4A7C15
"""Odd, so that counting in these steps uses all tokens of a length before one is repeated."""


class CoapLink:
    """The harness's endpoints for one CoAP server at ``remote`` (host and port, IPv4 or IPv6).

    ``random`` decides message ids, tokens and retransmission timeouts. ``ports`` allocates ports of the
    harness's address; by default the system chooses address and port.
    """

    def __init__(
        self,
        recorder: Recorder,
        remote: tuple[str, int],
        random: random.Random,
        ports: PortAllocator | None = None,
    ) -> None:
        self._recorder = recorder
        self._remote = remote
        self._random = random
        self._ports = ports
        self._mid = random.getrandbits(16)
        self._tokens: dict[int, int] = {}
        self._endpoints: list[CoapClientEndpoint] = []

    async def endpoint(self, remote: tuple[str, int] | None = None) -> CoapClientEndpoint:
        """A new endpoint on its own port. Raises LinkError if there is no route to the host.

        ``remote`` (host and port) selects another server of the same device.
        """
        resolved = await resolve(*(remote or self._remote))
        endpoint = CoapClientEndpoint(self._recorder, resolved, self._random, self._ports)
        self._endpoints = [other for other in self._endpoints if not other.closed]
        self._endpoints.append(endpoint)
        return endpoint

    def next_mid(self) -> int:
        """The next message id; ids repeat after 65536."""
        self._mid = (self._mid + 1) & 0xFFFF
        return self._mid

    def next_token(self, length: int = 4) -> bytes:
        """An unused token of ``length`` bytes (0 to 8), as long as there is one."""
        if not 0 <= length <= 8:
            raise ValueError(f"a token has 0 to 8 bytes, not {length}")
        value = self._tokens.get(length, self._random.getrandbits(64)) + _TOKEN_STEP
        self._tokens[length] = value
        return (value & ((1 << 8 * length) - 1)).to_bytes(length, "big")

    async def close(self) -> None:
        """Close all endpoints; new ones can be opened afterwards."""
        for endpoint in self._endpoints:
            endpoint.close()
        self._endpoints.clear()


@dataclass(slots=True, eq=False)
class _Exchange:
    """A request that waits for its response. ``result`` gets None if no response can come any more.

    ``repeats`` is the number of retransmissions left; None if the request is not repeated, because it is NON
    or the device has it.
    """

    raw: bytes
    message: coap.Message
    result: asyncio.Future[coap.Message | None]
    deadline: float
    pause: float  # seconds from the last transmission to the next one, or to giving up
    repeats: int | None
    timer: asyncio.TimerHandle | None = None

    def settle(self, response: coap.Message | None) -> None:
        if not self.result.done():
            self.result.set_result(response)


@dataclass(slots=True, eq=False)
class _Waiter:
    """A pending call of :meth:`CoapClientEndpoint.receive`."""

    wanted: Callable[[coap.Message], bool]
    result: asyncio.Future[Event]

    def takes(self, event: Event, message: coap.Message) -> bool:
        if self.result.done():
            return False
        try:
            if self.wanted(message):
                self.result.set_result(event)
        except Exception as problem:  # goes to the caller, not to the loop
            self.result.set_exception(problem)
        return self.result.done()


class CoapClientEndpoint:
    """A UDP socket of the harness for the device's CoAP port.

    It is not connected, so that answers from a wrong address are seen as well (``Direction.OTHER``).
    """

    def __init__(
        self, recorder: Recorder, remote: Address, random: random.Random, ports: PortAllocator | None = None
    ) -> None:
        self._recorder = recorder
        self._remote = remote
        self._remote_text = address_text(remote)
        self._random = random
        self._loop = asyncio.get_running_loop()
        self._acknowledges = True
        self._exchanges: list[_Exchange] = []
        self._waiters: list[_Waiter] = []
        self._inbox: list[tuple[Event, coap.Message]] = []  # received since the last send, not yet returned
        self._open_tokens: set[bytes] = set()  # of requests that await responses
        self._replies: dict[int, tuple[float, bytes]] = {}  # replies to CON messages, by message id
        family = socket.AF_INET6 if ":" in remote[0] else socket.AF_INET

        def opening(own: Address) -> UdpSocket:
            return UdpSocket(family, own, self._arrived, self._rejected)

        self._socket = ports.open(opening) if ports else opening(local_endpoint_towards(remote))
        self._local = address_text(self._socket.address)

    @property
    def local(self) -> str:
        """The harness's address and port, as in the trace."""
        return self._local

    @property
    def remote(self) -> str:
        """The device's address and port, as in the trace."""
        return self._remote_text

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._socket.closed

    @property
    def acknowledges(self) -> bool:
        """Whether CON messages are answered automatically: ACK if expected, otherwise RST."""
        return self._acknowledges

    @acknowledges.setter
    def acknowledges(self, value: bool) -> None:
        self._acknowledges = value

    def send(self, raw: bytes, what: str | None = None) -> Event:
        """Send one datagram as it is; returns its event. Raises LinkError if it cannot be sent."""
        if what is not None:
            self._recorder.record(Stimulus(Act.RAW, what, transport="coap"))
        self._inbox.clear()
        self._expect(coap.decode(raw))
        return self._transmit(raw)

    async def request(self, message: coap.Message, *, within: float | None = None) -> coap.Message | None:
        """Send a request and return the response to its token, or None if none came.

        Returns None early if the device resets the request, answers its message id with another token, or its
        host reports that the port is closed; the trace shows which. A CON request is repeated up to four
        times and given up 62 to 93 s after the first transmission (RFC 7252 4.2); for a separate response
        this waits 93 s. ``within`` (seconds) limits all that. Raises LinkError if the request cannot be sent.
        """
        raw = coap.encode(message)
        limit = MAX_TRANSMIT_WAIT if within is None else within
        exchange = _Exchange(
            raw,
            message,
            self._loop.create_future(),
            deadline=self._loop.time() + limit,
            pause=ACK_TIMEOUT * self._random.uniform(1, ACK_RANDOM_FACTOR),
            repeats=MAX_RETRANSMIT if message.type is coap.Type.CON else None,
        )
        self._inbox.clear()
        self._expect(message)
        self._transmit(raw)
        self._exchanges.append(exchange)
        self._arm(exchange)
        try:
            return await exchange.result
        finally:
            self._exchanges.remove(exchange)
            if exchange.timer:
                exchange.timer.cancel()

    async def receive(self, wanted: Callable[[coap.Message], bool], *, within: float) -> Event | None:
        """Wait for a datagram from the device that ``wanted`` accepts and that came after the last send.

        Each datagram is returned only once: the next call waits for the next one. A response that
        :meth:`request` returned is not returned again.
        """
        for at, (event, message) in enumerate(self._inbox):
            if wanted(message):
                del self._inbox[at]
                return event
        waiter = _Waiter(wanted, self._loop.create_future())
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(max(within, 0)):
                return await waiter.result
        except TimeoutError:
            return None
        finally:
            self._waiters.remove(waiter)

    def acknowledge(self, notification: coap.Message) -> None:
        """Send the empty ACK for a CON message."""
        self._reply(coap.Type.ACK, notification)

    def reset(self, message: coap.Message) -> None:
        """Send RST for a CON or NON message; its token is no longer expected (RFC 7641 3.6)."""
        self._open_tokens.discard(message.token)
        self._reply(coap.Type.RST, message)

    def close(self) -> None:
        """Close the socket; pending requests end without a response."""
        self._socket.close()
        for exchange in self._exchanges:
            exchange.settle(None)
        for waiter in self._waiters:
            if not waiter.result.done():
                waiter.result.set_exception(LinkError(f"CoAP endpoint {self._local} was closed"))

    def _expect(self, message: coap.Message) -> None:
        if message.is_request:
            self._open_tokens.add(message.token)

    def _transmit(self, raw: bytes) -> Event:
        self._socket.send(raw, self._remote)
        return self._recorder.record(CoapDatagram(Direction.TO_DUT, self._local, self._remote_text, raw))

    def _reply(self, type: coap.Type, message: coap.Message) -> None:
        raw = coap.encode(coap.empty(type, message.mid))
        if message.type is coap.Type.CON:
            self._replies[message.mid] = (self._loop.time() + EXCHANGE_LIFETIME, raw)
        self._transmit(raw)

    def _arm(self, exchange: _Exchange) -> None:
        """Set the timer to the next retransmission, or to the deadline if that is earlier."""
        when = exchange.deadline
        if exchange.repeats is not None:
            when = min(when, self._loop.time() + exchange.pause)
        exchange.timer = self._loop.call_at(when, self._overdue, exchange)

    def _overdue(self, exchange: _Exchange) -> None:
        if not exchange.repeats or self._loop.time() >= exchange.deadline:
            exchange.settle(None)
            return
        exchange.repeats -= 1
        exchange.pause *= 2
        try:
            self._transmit(exchange.raw)
        except LinkError as problem:  # the network may come back before the request is given up
            self._recorder.record(Note(f"CoAP: {problem}"))
        self._arm(exchange)

    def _arrived(self, raw: bytes, source: Address) -> None:
        if source[:2] != self._remote[:2]:
            body = CoapDatagram(Direction.OTHER, self._local, address_text(source), raw)
            self._recorder.record(body)
            return
        event = self._recorder.record(CoapDatagram(Direction.FROM_DUT, self._local, self._remote_text, raw))
        message = coap.decode(raw)
        if not self._settles(message) and not any(waiter.takes(event, message) for waiter in self._waiters):
            self._inbox.append((event, message))
        if message.type is coap.Type.CON and self._acknowledges and message.version == 1 and len(raw) >= 4:
            self._answer(message)
        if message.is_response and message.observe is None:
            self._open_tokens.discard(message.token)

    def _settles(self, message: coap.Message) -> bool:
        """Match a message to a pending request; returns whether it was its response."""
        if message.version != 1:  # must be ignored (RFC 7252 3)
            return False
        for exchange in self._exchanges:
            if exchange.result.done():
                continue
            asked = exchange.message
            to_this = message.type in (coap.Type.ACK, coap.Type.RST) and message.mid == asked.mid
            if message.is_response and message.type is not coap.Type.RST and message.token == asked.token:
                # While an observation is being cancelled, a notification may still arrive.
                if to_this or asked.observe != 1 or message.observe is None:
                    exchange.settle(message)
                    return True
            elif to_this and message.type is coap.Type.ACK and message.is_empty:
                self._await_separate_response(exchange)
            elif to_this:  # a reset, or an answer that does not match the request
                exchange.settle(None)
        return False

    def _await_separate_response(self, exchange: _Exchange) -> None:
        if exchange.repeats is not None and exchange.timer:
            exchange.repeats = None
            exchange.timer.cancel()
            self._arm(exchange)

    def _answer(self, message: coap.Message) -> None:
        """ACK expected messages, RST others (RFC 7252 4.2); a duplicate gets the same reply again."""
        now = self._loop.time()
        if len(self._replies) > 1000:
            self._replies = {mid: reply for mid, reply in self._replies.items() if reply[0] > now}
        until, raw = self._replies.get(message.mid, (0.0, b""))
        try:
            if until > now:
                self._transmit(raw)
            elif message.is_response and message.token in self._open_tokens:
                self._reply(coap.Type.ACK, message)
            else:
                self._reply(coap.Type.RST, message)
        except LinkError as problem:  # no caller to report it to
            self._recorder.record(Note(f"CoAP: {problem}"))

    def _rejected(self, problem: OSError) -> None:
        """The network reported an ICMP error."""
        if isinstance(problem, ConnectionRefusedError):
            text = f"{self._remote_text} reported that its port is closed (ICMP)"
            for exchange in self._exchanges:
                exchange.settle(None)
        else:
            text = f"{self._remote_text} cannot be reached at present: {problem.strerror} (ICMP)"
        self._recorder.record(Note(f"CoAP: {text}"))
