"""The CoAP endpoint of a simulated device: aiocoap's message layer, with corrections.

aiocoap provides the message format, de-duplication, retransmission and NSTART. docs/simulator-notes.md
explains where it differs from what RFC 7252 requires of a server, and why each method is overridden here.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol, cast

from aiocoap import ACK, CON, NON, RST, Message
from aiocoap.credentials import CredentialsMap
from aiocoap.interfaces import EndpointAddress
from aiocoap.messagemanager import MessageManager
from aiocoap.numbers.codes import EMPTY
from aiocoap.numbers.constants import TransportTuning

from harness.model.bindings.coap import Transmission
from harness.simulate.coap.codec import (
    FormatError,
    RawMessage,
    Request,
    is_rejected_with_reset,
    is_request,
    read,
    to_request,
)
from harness.simulate.coap.deviations import (
    CoapDeviations,
    Duplicates,
)

DatagramFilter = Callable[[bytes], Sequence[bytes]]
Address = tuple[str, int]

_log = logging.getLogger(__name__)
_log.addHandler(logging.NullHandler())  # errors of clients are not shown

# RFC 7252, 4.8.2: lifetime of a Message ID of a non-confirmable message.
_NON_LIFETIME = TransportTuning().MAX_TRANSMIT_SPAN + TransportTuning.MAX_LATENCY


@dataclass(frozen=True)
class Peer(EndpointAddress):  # type: ignore[misc]
    """A client's address."""

    address: Address

    scheme = "coap"
    is_multicast = False
    is_multicast_locally = False

    @property
    def hostinfo(self) -> str:
        """Host and port, as in a URI."""
        return f"{self.address[0]}:{self.address[1]}"

    @property
    def hostinfo_local(self) -> str:
        """Unknown: a server never sends requests."""
        return ""

    @property
    def uri_base(self) -> str:
        """The peer as a URI."""
        return f"coap://{self.hostinfo}"

    @property
    def uri_base_local(self) -> str:
        """Unknown: a server never sends requests."""
        return "coap://"

    @property
    def blockwise_key(self) -> Address:
        """Blocks from one address and port belong together."""
        return self.address


class RequestHandler(Protocol):
    """The layer above the message layer."""

    deviations: CoapDeviations
    transmission: Transmission

    def process_request(self, request: Request) -> None:
        """A new request arrived; its answer goes to :meth:`Messages.respond`."""

    def was_reset(self, remote: Peer, message_id: int) -> None:
        """The client rejected a message."""

    def may_send(self, remote: Peer) -> None:
        """No confirmable message to this client is outstanding any more."""

    def was_lost(self, remote: Peer) -> None:
        """The client never acknowledged a confirmable message."""

    def newer(self, message: Message) -> Message | None:
        """A message to send instead of repeating ``message``, if that is outdated; None to repeat it."""


class _Upward:
    """Takes the place of aiocoap's token manager: passes everything on to the server."""

    client_credentials = CredentialsMap()

    def __init__(self, server: RequestHandler, loop: asyncio.AbstractEventLoop) -> None:
        self.log = _log
        self.loop = loop
        self._server = server

    def process_request(self, request: Request) -> None:
        self._server.process_request(request)

    def process_response(self, response: Message) -> bool:
        return False  # a server sends no requests, so it expects no responses

    def dispatch_error(self, error: Exception, remote: Peer) -> None:
        self._server.was_lost(remote)


class Messages(MessageManager):  # type: ignore[misc]
    """The message layer (RFC 7252, 4) of one device."""

    def __init__(self, server: RequestHandler, random: Random) -> None:
        super().__init__(_Upward(server, asyncio.get_running_loop()))
        self._server = server
        self._random = random
        start = server.deviations.message_id_start
        self.message_id = random.randrange(0x10000) if start is None else start
        # Confirmable requests that have neither a response nor an empty ACK yet, by client and Message ID.
        self._unanswered: dict[tuple[Peer, int], asyncio.TimerHandle] = {}
        self._forgetting: dict[tuple[Peer, int], asyncio.TimerHandle] = {}

    # What comes in

    def receive(self, datagram: bytes, address: Address) -> None:
        """Processes one datagram from the network."""
        deviations = self._server.deviations
        remote = Peer(address)
        raw = read(datagram, strict=deviations.strict_parsing)
        if raw is None:
            return
        if isinstance(raw, FormatError):
            self._reject(raw, remote)
        elif raw.code == EMPTY:
            self._take_empty(raw, remote)
        elif raw.type in (CON, NON) and is_request(raw):
            request = to_request(raw, remote, deviations)
            # RFC 7252, 5.4.1: a non-confirmable request with such an option is rejected, not answered.
            if request.refused is None or raw.type is CON:
                self.dispatch_message(request)
        else:
            # Reserved code classes, and responses to requests that were never sent (4.2, 4.3).
            self._reject(raw, remote)

    def _take_empty(self, raw: RawMessage, remote: Peer) -> None:
        if raw.type is CON and not self._server.deviations.answer_ping:
            return
        if raw.type is RST:
            self._server.was_reset(remote, raw.message_id)
        self.dispatch_message(_empty(raw.type, raw.message_id, remote))
        if raw.type in (ACK, RST):
            self._server.may_send(remote)

    def _reject(self, raw: RawMessage | FormatError, remote: Peer) -> None:
        if is_rejected_with_reset(raw) and self._server.deviations.reset_format_errors:
            self._send_via_transport(_empty(RST, raw.message_id, remote))

    def _deduplicate_message(self, message: Request) -> bool:
        # Overridden because aiocoap's timers outlive a shutdown, and for deviations.
        key = (message.remote, message.mid)
        deviations = self._server.deviations
        if deviations.duplicates is Duplicates.EXECUTE:
            return False
        if key in self._recent_messages:
            answer = self._recent_messages[key]
            if (
                message.mtype is CON
                and answer is not None
                and deviations.duplicates is Duplicates.ANSWER_AGAIN
            ):
                self._send_via_transport(answer)
            return True
        self._recent_messages[key] = None
        lifetime = message.transport_tuning.EXCHANGE_LIFETIME if message.mtype is CON else _NON_LIFETIME
        self._forgetting[key] = self.loop.call_later(lifetime, self._forget, key)
        return False

    def _forget(self, key: tuple[Peer, int]) -> None:
        del self._forgetting[key], self._recent_messages[key]

    def _store_response_for_duplicates(self, message: Message) -> None:
        # A message with a Message ID that the client is_event to use as well is not an answer to its request.
        if message.mtype is ACK:
            super()._store_response_for_duplicates(message)

    # Answers

    def _process_request(self, request: Request) -> None:
        # Overridden because aiocoap finds the request of an answer by its token: two requests with one token,
        # such as the empty one, would share an ACK.
        if request.mtype is CON and self._server.deviations.early_acknowledgement:
            key = (request.remote, request.mid)
            delay = request.transport_tuning.EMPTY_ACK_DELAY
            self._unanswered[key] = self.loop.call_later(delay, self._acknowledge, key)
        self._server.process_request(request)

    def _acknowledge(self, key: tuple[Peer, int]) -> None:
        del self._unanswered[key]
        self._send_empty_ack(*key, "the answer takes longer")

    def respond(self, request: Request, response: Message) -> None:
        """Sends the response: in the acknowledgement if that is due, otherwise as a separate message."""
        response.remote = request.remote
        response.token = request.token
        timer = self._unanswered.pop((request.remote, request.mid), None)
        if timer is not None:
            timer.cancel()
        deviations = self._server.deviations
        as_acknowledgement = timer is not None or (
            not deviations.early_acknowledgement
            if request.mtype is CON
            else not deviations.non_confirmable_answers
        )
        if as_acknowledgement:
            response.mtype, response.mid = ACK, request.mid
            self._send_initially(response)
        else:
            self.send(response, CON if request.mtype is CON else NON)

    def send(self, message: Message, kind: int) -> None:
        """Sends a separate response or a notification; a confirmable one waits until the client is free."""
        message.mtype, message.mid = kind, self._next_message_id()
        if kind is CON and self.is_busy(message.remote):
            self._backlogs[message.remote].append((message, _nothing))
        else:
            self._send_initially(message, _nothing)

    def is_busy(self, remote: Peer) -> bool:
        """Whether a confirmable message to the client is outstanding (NSTART is 1; RFC 7252, 4.7)."""
        return remote in self._backlogs and self._server.deviations.one_outstanding

    @property
    def answers_from_other_port(self) -> bool:
        """Whether responses are sent from another socket."""
        return self._server.deviations.answers_from_other_port

    # Retransmission

    def _add_exchange(self, message: Message, messageerror_monitor: Callable[[], None]) -> None:
        # Overridden to use the device's own random numbers and transmission parameters.
        declared, altered = self._server.transmission, self._server.deviations.ack_timeout
        timeout = declared.ack_timeout if altered is None else altered
        timeout *= self._random.uniform(1.0, declared.ack_random_factor)
        self._backlogs.setdefault(message.remote, [])
        timer = self._schedule_retransmit(message, timeout, 0)
        self._active_exchanges[message.remote, message.mid] = (messageerror_monitor, timer)

    def _schedule_retransmit(self, message: Message, timeout: float, retransmission_counter: int) -> Any:
        if retransmission_counter:
            timeout *= self._server.deviations.retransmission_factor / 2  # aiocoap has doubled it already
        return super()._schedule_retransmit(message, timeout, retransmission_counter)

    def _retransmit(self, message: Message, timeout: float, retransmission_counter: int) -> None:
        altered = self._server.deviations.retransmissions
        most = self._server.transmission.max_retransmit if altered is None else altered
        message.transport_tuning.MAX_RETRANSMIT = most
        newer = None
        if retransmission_counter < most:
            newer = self._server.newer(message)
        if newer is None:
            super()._retransmit(message, timeout, retransmission_counter)
            return
        # RFC 7641, 4.5.2: the newer state continues the retransmissions of the old one.
        monitor, _ = self._active_exchanges.pop((message.remote, message.mid))
        newer.mtype, newer.mid = CON, self._next_message_id()
        timer = self._schedule_retransmit(newer, timeout * 2, retransmission_counter + 1)
        self._active_exchanges[newer.remote, newer.mid] = (monitor, timer)
        self._send_via_transport(newer)

    def stop_timers(self) -> None:
        """Cancels everything that is still to be sent."""
        exchanges = (timer for _, timer in self._active_exchanges.values())
        for timer in (*exchanges, *self._unanswered.values(), *self._forgetting.values()):
            timer.cancel()
        for table in (self._active_exchanges, self._backlogs, self._unanswered, self._forgetting):
            table.clear()
        self._recent_messages.clear()


class SimulatedCoapEndpoint(asyncio.DatagramProtocol):
    """The UDP socket of one device, on one unicast address; every datagram passes the filters."""

    def __init__(self, messages: Messages, incoming: list[DatagramFilter], outgoing: list[DatagramFilter]):
        self._messages = messages
        self._incoming, self._outgoing = incoming, outgoing
        self._transport: asyncio.DatagramTransport | None = None
        self._closed = asyncio.Event()
        messages.message_interface = self

    @property
    def address(self) -> Address:
        """Its own address and port."""
        assert self._transport is not None
        host, port = self._transport.get_extra_info("sockname")
        return host, port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is bound."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Processes a datagram from the network."""
        for datagram in passed_through(self._incoming, data):
            self._messages.receive(datagram, addr[:2])

    def send(self, message: Message) -> None:
        """Sends a message; called by aiocoap."""
        if self._transport is None or self._transport.is_closing():
            return
        elsewhere = message.code.is_response() and self._messages.answers_from_other_port
        for datagram in passed_through(self._outgoing, message.encode()):
            if elsewhere:
                self._send_from_other_port(datagram, message.remote.address)
            else:
                self._transport.sendto(datagram, message.remote.address)

    def _send_from_other_port(self, datagram: bytes, address: Address) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind((self.address[0], 0))
            other.sendto(datagram, address)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self._closed.set()

    async def close(self) -> None:
        """Sends nothing more; returns once the port is free."""
        if self._transport is not None:
            self._transport.abort()
            await self._closed.wait()


def passed_through(filters: Iterable[DatagramFilter], data: bytes) -> list[bytes]:
    """The result of all filters on ``data``; each may change, drop or multiply it."""
    datagrams = [data]
    for each in filters:
        datagrams = [result for datagram in datagrams for result in each(datagram)]
    return datagrams


def _empty(kind: int, message_id: int, remote: Peer) -> Message:
    message = Message(code=EMPTY)
    message.mtype, message.mid, message.remote = kind, message_id, remote
    return message


def _nothing() -> None:
    pass
