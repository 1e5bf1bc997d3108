"""The messages that prove a verdict, with some context, from the trace."""

from __future__ import annotations

import contextlib
import json
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.report.text import one_line, shortened, showable
from harness.trace import readable
from harness.trace.events import (
    CheckStarted,
    CoapDatagram,
    Connection,
    Direction,
    Event,
    Fate,
    MdnsPacket,
    MqttPacket,
    Point,
    RunStarted,
    SerialAnswer,
    SerialData,
    SerialPort,
    Stimulus,
    TcpProbe,
)
from harness.wire import mqtt

_SUMMARY_LENGTH = 300
_DECODED_LENGTH = 4000
_HEX_BYTES = 512
_CONTEXT = 3
_MARKED = 12
_HEAD = 20  # the first events, which contain RunStarted of every device
_SECRET = "(declared secret, not shown)"
_NOT_SHOWN = "not shown: these bytes contain a password in clear text; the trace has them"


class Protocol(StrEnum):
    """The protocol that an event belongs to, as readers know it."""

    MQTT = "MQTT"
    CLIENT = "MQTT, test client"
    COAP = "CoAP"
    MDNS = "mDNS"
    TCP = "TCP"
    SERIAL = "serial"
    HARNESS = "test"  # actions and notes of the harness


class Way(StrEnum):
    """The direction of an event between the harness (with the broker) and the device."""

    TO_DEVICE = "to-device"
    FROM_DEVICE = "from-device"
    HARNESS = "harness"  # on the side of the harness only
    LINK = "link"  # on the link, between other hosts


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """One event in a timeline. ``since`` is the time since the previous row, in seconds."""

    line: int
    time: float
    since: float | None
    protocol: Protocol
    way: Way
    summary: str
    remark: str | None  # if the harness injected or dropped the packet
    marked: bool  # part of the evidence, not only context
    decoded: str | None
    hexadecimal: str | None


@dataclass(frozen=True, slots=True)
class TimelineGap:
    """Events of the same protocol that are not shown."""

    events: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """Evidence with context. ``left_out`` is the number of lines of evidence that are not shown."""

    rows: tuple[TimelineRow | TimelineGap, ...]
    left_out: int = 0


class ShownTrace:
    """The events of a run, for reports."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = events
        self._index = {event.line: index for index, event in enumerate(events)}
        self._summaries: dict[int, str] = {}
        self._secrets = tuple(_secrets_of(events))
        self._conversations: dict[frozenset[Protocol], list[int]] = {}

    def event(self, line: int) -> Event | None:
        """The event at a line of the trace; None if there is none."""
        index = self._index.get(line)
        return None if index is None else self._events[index]

    def summary(self, event: Event) -> str:
        """The event as one line of text."""
        known = self._summaries.get(event.line)
        if known is None:
            known = shortened(one_line(self._without_secrets(event)), _SUMMARY_LENGTH)
            self._summaries[event.line] = known
        return known

    def _without_secrets(self, event: Event) -> str:
        """The summary of an event, with the declared secrets of the profile masked."""
        text = readable.summary_of(event)
        if isinstance(event.body, SerialData):
            for secret in self._secrets:
                text = text.replace(secret, _SECRET)
        return text

    def _holds_secret(self, event: Event) -> bool:
        body = event.body
        return isinstance(body, SerialData) and any(secret.encode() in body.raw for secret in self._secrets)

    def timeline(self, lines: Sequence[int]) -> Timeline:
        """The events at ``lines``, with some of the same protocol before and after each."""
        marked = sorted({self._index[line] for line in lines if line in self._index})
        shown = marked[:_MARKED]
        conversation = self._conversation(shown)
        indices = set(shown)
        for index in shown:
            place = bisect_left(conversation, index)
            indices.update(conversation[max(0, place - _CONTEXT) : place + _CONTEXT + 1])
        rows = tuple(self._rows(sorted(indices), set(shown), conversation))
        return Timeline(rows, len(marked) - len(shown))

    def _conversation(self, marked: Sequence[int]) -> list[int]:
        """Indices of all stimuli and of all events with the protocols of the marked ones."""
        events = [self._events[index] for index in marked]
        wanted = frozenset(map(protocol_of, events)) - {Protocol.HARNESS}
        if not wanted:  # only actions of the harness are marked: use the protocols that they can affect
            wanted = frozenset(each for event in events for each in _reached_by(event))
        if wanted not in self._conversations:
            self._conversations[wanted] = [
                index
                for index, event in enumerate(self._events)
                if protocol_of(event) in wanted or isinstance(event.body, Stimulus)
            ]
        return self._conversations[wanted]

    def _rows(
        self, indices: Sequence[int], marked: set[int], conversation: Sequence[int]
    ) -> Iterator[TimelineRow | TimelineGap]:
        before: int | None = None
        for index in indices:
            event = self._events[index]
            since = None if before is None else event.time - self._events[before].time
            if before is not None and since is not None:
                hidden = bisect_left(conversation, index) - bisect_left(conversation, before + 1)
                if hidden > 0:
                    yield TimelineGap(hidden, since)
            yield self._row(event, since, index in marked)
            before = index

    def _row(self, event: Event, since: float | None, marked: bool) -> TimelineRow:
        return TimelineRow(
            line=event.line,
            time=event.time,
            since=since,
            protocol=protocol_of(event),
            way=way_of(event),
            summary=self.summary(event),
            remark=_remark(event),
            marked=marked,
            decoded=_decoded(event),
            hexadecimal=_NOT_SHOWN if self._holds_secret(event) else _hexadecimal(event),
        )


def _secrets_of(events: Sequence[Event]) -> Iterator[str]:
    """The texts that the profiles in the trace declare as secrets."""
    for event in events[:_HEAD]:
        if isinstance(event.body, RunStarted):
            with contextlib.suppress(ValueError, AttributeError):  # a trace of another origin
                secrets = json.loads(event.body.profile).get("security", {}).get("secrets", ())
                yield from (secret for secret in secrets if isinstance(secret, str) and secret)


def protocol_of(event: Event) -> Protocol:
    """The protocol that an event belongs to."""
    match event.body:
        case MqttPacket(point=point) | Connection(point=point):
            return Protocol.MQTT if point is Point.TAP else Protocol.CLIENT
        case CoapDatagram():
            return Protocol.COAP
        case MdnsPacket():
            return Protocol.MDNS
        case TcpProbe():
            return Protocol.TCP
        case SerialData() | SerialPort() | SerialAnswer():
            return Protocol.SERIAL
    return Protocol.HARNESS


def way_of(event: Event) -> Way:
    """The direction of an event."""
    match event.body:
        case MqttPacket(point=Point.CLIENT) | Connection(point=Point.CLIENT):
            return Way.HARNESS
        case (
            MqttPacket(direction=direction)
            | Connection(by=direction)
            | CoapDatagram(direction=direction)
            | MdnsPacket(direction=direction)
            | SerialData(direction=direction)
        ):
            return _WAYS[direction]
        case TcpProbe():
            return Way.TO_DEVICE
        case SerialAnswer():
            return Way.FROM_DEVICE
    return Way.HARNESS


_WAYS = {
    Direction.FROM_DUT: Way.FROM_DEVICE,
    Direction.TO_DUT: Way.TO_DEVICE,
    Direction.OTHER: Way.LINK,
}


def _reached_by(event: Event) -> Iterator[Protocol]:
    """The protocols that an action of the harness can affect; all if it names no transport."""
    over = event.body.transport if isinstance(event.body, Stimulus | CheckStarted) else None
    for protocol in (Protocol.MQTT, Protocol.COAP, Protocol.MDNS, Protocol.SERIAL):
        if over is None or protocol.value.lower() == over:
            yield protocol


def _remark(event: Event) -> str | None:
    if not isinstance(event.body, MqttPacket):
        return None
    if event.body.fate is Fate.DROPPED:
        return "dropped by the test, not forwarded"
    return "injected by the test" if event.body.fate is Fate.INJECTED else None


def _decoded(event: Event) -> str | None:
    described = readable.describe(event.body)
    if described is None:
        return None
    text = json.dumps(described, indent=2, ensure_ascii=False, default=str)
    return shortened(showable(text), _DECODED_LENGTH)


def _hexadecimal(event: Event) -> str | None:
    match event.body:
        case TcpProbe(answer=raw):
            return _dump(raw) if raw else None
        case MqttPacket(raw=raw, level=level) if _holds_password(raw, level):
            return _NOT_SHOWN
        case MqttPacket(raw=raw) | CoapDatagram(raw=raw) | MdnsPacket(raw=raw) | SerialData(raw=raw):
            return _dump(raw)
    return None


def _holds_password(raw: bytes, level: int) -> bool:
    if raw[:1] != b"\x10":
        return False
    packet = mqtt.decode(raw, level)
    return not isinstance(packet, mqtt.Connect) or packet.password is not None


def _dump(raw: bytes) -> str:
    """A hex dump: offset, sixteen bytes, and the same as ASCII."""
    lines = []
    for offset in range(0, min(len(raw), _HEX_BYTES), 16):
        chunk = raw[offset : offset + 16]
        ascii_text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in chunk)
        lines.append(f"{offset:04x}  {chunk.hex(' '):<47}  {ascii_text}")
    if len(raw) > _HEX_BYTES:
        lines.append(f"… the first {_HEX_BYTES} of {len(raw)} bytes; the trace has all")
    return "\n".join(lines) or "no bytes"
