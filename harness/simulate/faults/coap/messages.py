"""Faults in the CoAP message layer: format, types, Message IDs, tokens, retransmission (RFC 7252)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from harness.model.base import Value
from harness.simulate.coap.deviations import Duplicates
from harness.simulate.faults import fault
from harness.simulate.faults.coap._rewriting import (
    ACK,
    CON,
    RST,
    counts_actions,
    front,
    has_coap,
    has_setting,
    has_slow_resource,
    is_request,
    kind_of,
    observes_confirmably,
    token_of,
    with_type,
)
from harness.simulate.firmware.values import another

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice

LONGEST_MESSAGE = 1152  # bytes of the receive buffer (RFC 7252, 4.6)
WATCHDOG = 60.0  # seconds


@fault(
    name="coap-ping-ignored",
    title="does not answer CoAP pings",
    breaks=("COAP-CORE-05",),
    applies=has_coap,
)
def ping_ignored(device: SimulatedDevice) -> None:
    """An empty message is not a request, so it reaches no handler."""
    front(device).deviate(answer_ping=False)


@fault(
    name="coap-lenient-parser",
    title="accepts malformed CoAP messages",
    breaks=("COAP-CORE-01", "COAP-CORE-02", "COAP-CORE-03", "COAP-CORE-04"),
    seen_as="F-COAP-40",
    applies=has_coap,
)
def lenient_parser(device: SimulatedDevice) -> None:
    """It reads what it can and ignores the rest."""
    front(device).deviate(strict_parsing=False)


@fault(
    name="coap-broken-messages-dropped",
    title="drops malformed confirmable messages without a Reset",
    breaks=("COAP-CORE-02", "COAP-CORE-03", "COAP-CORE-04", "COAP-CORE-06", "COAP-CORE-07"),
    applies=has_coap,
)
def broken_messages_dropped(device: SimulatedDevice) -> None:
    """The sender repeats them until it gives up."""
    front(device).deviate(reset_format_errors=False)


@fault(
    name="coap-reset-keeps-token",
    title="builds a Reset from the rejected message and keeps its token",
    breaks=("COAP-CORE-06",),
    seen_as="F-COAP-20",
    applies=has_coap,
)
def reset_keeps_token(device: SimulatedDevice) -> None:
    """The Empty message is not empty."""
    tokens: dict[bytes, bytes] = {}

    def remember(datagram: bytes) -> list[bytes]:
        tokens[datagram[2:4]] = token_of(datagram)
        return [datagram]

    def keep(datagram: bytes) -> list[bytes]:
        if kind_of(datagram) != RST:
            return [datagram]
        token = tokens.get(datagram[2:4], b"")[:8]
        return [bytes([datagram[0] | len(token)]) + datagram[1:4] + token]

    front(device).incoming.append(remember)
    front(device).outgoing.append(keep)


@fault(
    name="coap-acknowledged-request-served",
    title="serves a request that comes in an ACK",
    breaks=("COAP-CORE-08",),
    seen_as="F-COAP-25",
    applies=has_coap,
)
def acknowledged_request_served(device: SimulatedDevice) -> None:
    """The dispatcher checks only the code."""

    def by_code(datagram: bytes) -> list[bytes]:
        served = is_request(datagram) and kind_of(datagram) == ACK
        return [with_type(datagram, CON) if served else datagram]

    front(device).incoming.append(by_code)


@fault(
    name="coap-token-as-text",
    title="handles tokens as text that ends at a zero byte",
    breaks=("COAP-CORE-09",),
    seen_as="F-COAP-20",
    applies=has_coap,
)
def token_as_text(device: SimulatedDevice) -> None:
    """Clients with zero bytes in their tokens get no matching response."""

    def cut(datagram: bytes) -> list[bytes]:
        token = token_of(datagram)
        text = token.split(b"\0")[0]
        head = bytes([datagram[0] & 0xF0 | len(text)]) + datagram[1:4]
        return [head + text + datagram[4 + len(token) :]]

    front(device).outgoing.append(cut)


@fault(
    name="coap-non-acknowledged",
    title="answers non-confirmable requests with an ACK",
    breaks=("COAP-CORE-10",),
    seen_as="F-COAP-42",
    applies=has_coap,
)
def non_acknowledged(device: SimulatedDevice) -> None:
    """The type of every answer is fixed."""
    front(device).deviate(non_confirmable_answers=False)


@fault(
    name="coap-late-answer-piggybacked",
    title="sends the response in an ACK after an empty ACK",
    breaks=("COAP-CORE-11",),
    seen_as="F-COAP-25",
    applies=has_slow_resource,
)
def late_answer_piggybacked(device: SimulatedDevice) -> None:
    """The empty ACK ended the exchange, so a client that forgot the Message ID drops the response."""
    requests: dict[bytes, bytes] = {}  # Message IDs by token

    def remember(datagram: bytes) -> list[bytes]:
        if is_request(datagram) and kind_of(datagram) == CON:
            requests[token_of(datagram)] = datagram[2:4]
        return [datagram]

    def piggyback(datagram: bytes) -> list[bytes]:
        message_id = requests.pop(token_of(datagram), None)
        if kind_of(datagram) != CON or message_id is None:
            return [datagram]
        return [with_type(datagram[:2] + message_id + datagram[4:], ACK)]

    front(device).incoming.append(remember)
    front(device).outgoing.append(piggyback)


@fault(
    name="coap-duplicates-executed",
    title="carries out a repeated request again",
    breaks=("COAP-CORE-13", "COAP-CORE-14"),
    seen_as="F-COAP-01",
    applies=counts_actions,
)
def duplicates_executed(device: SimulatedDevice) -> None:
    """After a lost ACK the bell rings twice."""
    front(device).deviate(duplicates=Duplicates.EXECUTE)


@fault(
    name="coap-duplicates-unanswered",
    title="drops repeated requests without acknowledging them again",
    breaks=("COAP-CORE-11", "COAP-CORE-13"),
    seen_as="F-COAP-02",
    applies=has_slow_resource,
)
def duplicates_unanswered(device: SimulatedDevice) -> None:
    """After a lost ACK the client reports a failure although the request was carried out."""
    front(device).deviate(duplicates=Duplicates.SILENT)


@fault(
    name="coap-answers-from-other-port",
    title="sends its responses from another port than the requests were sent to",
    breaks=("COAP-CORE-16",),
    seen_as="F-COAP-32",
    applies=has_coap,
)
def answers_from_other_port(device: SimulatedDevice) -> None:
    """The task that answers opened a second socket. Clients drop messages from there."""
    front(device).deviate(answers_from_other_port=True)


@fault(
    name="coap-retransmits-at-constant-pace",
    title="repeats unacknowledged messages at a constant interval",
    breaks=("COAP-CORE-12",),
    seen_as="F-COAP-31",
    applies=observes_confirmably,
)
def retransmits_at_constant_pace(device: SimulatedDevice) -> None:
    """Without doubling, CoAP has no congestion control."""
    front(device).deviate(retransmission_factor=1.0)


@fault(
    name="coap-retransmits-too-often",
    title="repeats unacknowledged messages eight times",
    breaks=("COAP-CORE-12",),
    seen_as="F-COAP-31",
    applies=observes_confirmably,
)
def retransmits_too_often(device: SimulatedDevice) -> None:
    """It does not give up."""
    front(device).deviate(retransmissions=8)


@fault(
    name="coap-never-retransmits",
    title="sends confirmable messages only once",
    breaks=("COAP-CORE-12",),
    applies=observes_confirmably,
)
def never_retransmits(device: SimulatedDevice) -> None:
    """A lost message is never repeated."""
    front(device).deviate(retransmissions=0)


@fault(
    name="coap-malformed-hangs",
    title="hangs for a minute after an option that runs past the end of the datagram",
    breaks=("PROFILE-21",),
    applies=has_coap,
)
def malformed_hangs(device: SimulatedDevice) -> None:
    """A watchdog restarts it."""
    until = float("-inf")

    def hang(datagram: bytes) -> list[bytes]:
        nonlocal until
        now = asyncio.get_running_loop().time()
        if len(datagram) > LONGEST_MESSAGE:
            until = now + WATCHDOG
        return [] if now < until else [datagram]

    front(device).incoming.append(hang)


@fault(
    name="coap-buffer-overrun",
    title="overwrites its settings when a datagram is too long",
    breaks=("PROFILE-21",),
    applies=has_setting,
)
def buffer_overrun(device: SimulatedDevice) -> None:
    """The settings lie behind the buffer and always get the same values."""
    left: dict[str, Value] = {}

    def overrun(datagram: bytes) -> list[bytes]:
        if len(datagram) > LONGEST_MESSAGE:
            for name, schema in device.profile.properties.items():
                if schema.writable and name not in left:
                    left[name] = another(schema, device.core.truth(name))
            for name, value in left.items():
                device.core.command(name, value)
        return [datagram]

    front(device).incoming.append(overrun)
