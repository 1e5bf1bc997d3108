"""Requests and their answers, found in a trace: the input of the CoAP judges."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from harness.checks.case import Case, Decoded
from harness.trace.events import (
    Act,
    CheckEnded,
    CheckStarted,
    CoapDatagram,
    Direction,
    Event,
    Stimulus,
)
from harness.wire import coap

Datagram: TypeAlias = Decoded[coap.Message, CoapDatagram]


@dataclass(eq=False)
class Exchange:
    """One message of ours, with its repetitions, and every datagram of the device that refers to it.

    A datagram refers to it by its Message ID (ACK, RST) or by its token (responses, notifications), and only
    if it came to the same endpoint. ``what`` is the name from the stimulus, otherwise the request.
    """

    what: str
    sent: list[Datagram] = field(default_factory=list)
    replies: list[Datagram] = field(default_factory=list)

    @property
    def asked(self) -> coap.Message:
        """The message that was sent."""
        return self.sent[0].value

    @property
    def local(self) -> str:
        """The endpoint that sent it."""
        return self.sent[0].body.local

    @property
    def response(self) -> Datagram | None:
        """The first response."""
        return next((seen for seen in self.replies if seen.value.is_response), None)

    @property
    def reset(self) -> Datagram | None:
        """The first Reset."""
        return next((seen for seen in self.replies if seen.value.type is coap.Type.RST), None)

    @property
    def notifications(self) -> list[Datagram]:
        """The later responses with the same token, without retransmissions."""
        first, found, known = self.response, [], set[int]()
        for seen in self.replies:
            if seen is first:
                known.add(seen.value.mid)
            elif first is not None and seen.value.is_response and seen.value.mid not in known:
                known.add(seen.value.mid)
                found.append(seen)
        return found

    @property
    def evidence(self) -> list[Datagram]:
        """The request and the first replies."""
        return [self.sent[0], *self.replies[:3]]

    def answered(self, *codes: int) -> bool:
        """Whether the response has one of these codes."""
        return self.response is not None and self.response.value.code in codes

    def outcome(self) -> str:
        """A short description of the answer, for messages."""
        if not self.replies:
            return "nothing"
        reply = self.response or self.replies[0]
        if reply.value.is_empty:
            return f"an empty {reply.value.type.name}"
        return f"{coap.code_name(reply.value.code)} in a {reply.value.type.name}"


def exchanges(case: Case) -> list[Exchange]:
    """The exchanges in the check's window, in order."""
    return exchanges_in(case.window)


def exchanges_in(events: Sequence[Event]) -> list[Exchange]:
    """The exchanges in a part of a trace, in order.

    Acknowledgements and resets of our endpoints are not exchanges, unless a stimulus sent them.
    """
    found: list[Exchange] = []
    by_datagram: dict[tuple[str, bytes], Exchange] = {}
    by_message_id: dict[tuple[str, int], Exchange] = {}
    by_token: dict[tuple[str, bytes], Exchange] = {}
    label: str | None = None
    for event in events:
        body = event.body
        if isinstance(body, Stimulus) and body.act is Act.RAW and body.transport == "coap":
            label = body.name
        if not isinstance(body, CoapDatagram):
            continue
        seen = Decoded(event, body, coap.decode(body.raw))
        message, local = seen.value, body.local
        if body.direction is Direction.FROM_DUT:
            exchange = None
            if message.type in (coap.Type.ACK, coap.Type.RST):
                exchange = by_message_id.get((local, message.mid))
            if exchange is None and message.is_response:
                exchange = by_token.get((local, message.token))
            if exchange is not None:
                exchange.replies.append(seen)
        elif body.direction is Direction.TO_DUT:
            reply = message.type in (coap.Type.ACK, coap.Type.RST) and message.is_empty and not label
            exchange = by_datagram.get((local, body.raw))
            if exchange is None and not reply:
                exchange = Exchange(label or _request_name(message))
                found.append(exchange)
                by_datagram[local, body.raw] = by_message_id[local, message.mid] = exchange
                if message.is_request:
                    by_token[local, message.token] = exchange
            if exchange is not None:
                exchange.sent.append(seen)
            label = None
    return found


def whole_run(case: Case) -> Case:
    """The same case with the whole run so far as its window."""
    return replace(case, window=case.trace)


def windows_of(trace: Sequence[Event], checks: Collection[str]) -> list[Sequence[Event]]:
    """The finished windows of these checks in a trace."""
    found: list[Sequence[Event]] = []
    begin: int | None = None
    for at, event in enumerate(trace):
        body = event.body
        if isinstance(body, CheckStarted) and body.check in checks:
            begin = at
        elif isinstance(body, CheckEnded) and body.check in checks and begin is not None:
            found.append(trace[begin : at + 1])
            begin = None
    return found


def from_device(case: Case, local: str | None = None) -> Iterator[Datagram]:
    """The device's datagrams in the window, or only those to one endpoint."""
    for seen in case.coap():
        if local is None or seen.body.local == local:
            yield seen


def unrelated(case: Case, wanted: Collection[Exchange], local: str) -> list[Datagram]:
    """The device's datagrams to ``local`` that belong to none of the ``wanted`` exchanges."""
    lines = {reply.line for exchange in wanted for reply in exchange.replies}
    return [seen for seen in from_device(case, local) if seen.line not in lines]


def _request_name(message: coap.Message) -> str:
    if message.is_request:
        return f"{coap.code_name(message.code)} {message.uri_path}"
    return f"{message.type.name} {coap.code_name(message.code)}"
