"""Answering multicast DNS queries: records, destination and timing (RFC 6762, 5 to 7)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from random import Random

from harness.simulate.mdns.codec import (
    Packet,
    Question,
    Record,
    responses,
)
from harness.simulate.mdns.deviations import MdnsDeviations
from harness.simulate.mdns.records import (
    RecordSet,
    for_legacy,
)
from harness.simulate.mdns.sockets import (
    PORT,
    Address,
    Received,
    ResponderSockets,
)

_PROBE_SPACING = 0.25  # between two multicasts of a record that defends a name (RFC 6762, 6)
_MORE_KNOWN_ANSWERS = (0.4, 0.5)  # wait after a truncated query (7.2)
_IMMEDIATELY = 0.001  # records due within the same millisecond share a packet


class Outbox:
    """Multicast answers that wait for their time, so that no record is sent more than once a second."""

    def __init__(
        self,
        link: ResponderSockets,
        deviations: Callable[[], MdnsDeviations],
        records: Callable[[], RecordSet],
    ) -> None:
        self._link = link
        self._deviations = deviations
        self._records = records
        self._loop = asyncio.get_running_loop()
        self._due: dict[Record, float] = {}
        self._sent: dict[Record, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, records: Iterable[Record], delay: float, *, spacing: float | None = None) -> None:
        """Sends the records after ``delay`` seconds, or later if they may not be repeated yet."""
        now = self._loop.time()
        spacing = self._deviations().repeat_spacing if spacing is None else spacing
        for record in records:
            sent = self._sent.get(record)
            due = now + delay if sent is None else max(now + delay, sent + spacing)
            self._due[record] = min(due, self._due.get(record, due))
        self._schedule()

    def send(self, records: list[Record], additionals: Iterable[Record] = ()) -> None:
        """Multicasts immediately."""
        extra = [record for record in additionals if self._may_repeat(record)]
        for packet in responses(records, extra, largest=self._deviations().largest_packet):
            self._link.send(packet)
        now = self._loop.time()
        for record in (*records, *extra):
            self._due.pop(record, None)
            self._sent[record] = now

    def age(self, record: Record) -> float | None:
        """Seconds since the record was last multicast; None if it never was."""
        sent = self._sent.get(record)
        return None if sent is None else self._loop.time() - sent

    def clear(self) -> None:
        """Discards all pending answers, and forgets what was sent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due.clear()
        self._sent.clear()

    def _may_repeat(self, record: Record) -> bool:
        age = self.age(record)
        return age is None or age >= self._deviations().repeat_spacing

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._due:
            self._timer = self._loop.call_at(min(self._due.values()), self._flush)

    def _flush(self) -> None:
        self._timer = None
        limit = self._loop.time() + _IMMEDIATELY
        ready = [record for record, due in self._due.items() if due <= limit]
        if ready:
            self.send(ready, self._records().additionals(ready))
        self._schedule()


@dataclass
class _Truncated:
    """A query whose known answers continue in further packets."""

    questions: list[Question]
    known: dict[Record, int]
    received: Received
    timer: asyncio.TimerHandle = field(init=False)


class Answerer:
    """Answers queries for one device's records."""

    def __init__(
        self,
        link: ResponderSockets,
        outbox: Outbox,
        deviations: Callable[[], MdnsDeviations],
        records: Callable[[], RecordSet],
        random: Random,
    ) -> None:
        self._link = link
        self._outbox = outbox
        self._deviations = deviations
        self._records = records
        self._random = random
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self._truncated: dict[Address, _Truncated] = {}

    def take(self, packet: Packet, received: Received) -> None:
        """Processes a query."""
        deviations = self._deviations()
        if deviations.answers_for is not None and self._loop.time() - self._started > deviations.answers_for:
            return
        if received.source[1] != PORT and deviations.legacy_answers:
            self._answer_legacy(packet, received.source)
        elif packet.authorities:
            self._defend(packet, received)
        elif packet.is_truncated or received.source in self._truncated:
            self._collect(packet, received)
        else:
            self._answer(packet.questions, _known(packet), received)

    def clear(self) -> None:
        """Discards all pending queries."""
        for waiting in self._truncated.values():
            waiting.timer.cancel()
        self._truncated.clear()

    def _collect(self, packet: Packet, received: Received) -> None:
        waiting = self._truncated.get(received.source)
        if waiting is None:
            waiting = _Truncated([], {}, received)
            self._truncated[received.source] = waiting
        else:
            waiting.timer.cancel()
        waiting.questions += packet.questions
        waiting.known |= _known(packet)
        delay = self._random.uniform(*_MORE_KNOWN_ANSWERS) if packet.is_truncated else 0
        waiting.timer = self._loop.call_later(delay, self._answer_collected, received.source)

    def _answer_collected(self, source: Address) -> None:
        waiting = self._truncated.pop(source)
        self._answer(tuple(waiting.questions), waiting.known, waiting.received)

    def _answer(self, questions: tuple[Question, ...], known: dict[Record, int], received: Received) -> None:
        deviations = self._deviations()
        multicast: dict[Record, None] = {}
        unicast: dict[Record, None] = {}
        for question in questions[: deviations.question_limit]:
            for record in self._records().answers(question):
                if self._is_known(record, known):
                    continue
                by_unicast = deviations.unicast_when_asked and self._by_unicast(question, record, received)
                (unicast if by_unicast else multicast)[record] = None
        if unicast:
            self._send_unicast(list(unicast), received.source)
        if multicast:
            self._outbox.add(multicast, self._delay(multicast))

    def _by_unicast(self, question: Question, record: Record, received: Received) -> bool:
        """Whether to answer by unicast (RFC 6762, 5.4 and 5.5)."""
        if not received.multicast:
            return True
        age = self._outbox.age(record)
        return question.unicast and age is not None and age < record.ttl / 4

    def _is_known(self, record: Record, known: dict[Record, int]) -> bool:
        """Whether the querier has the record, for at least half its time to live (RFC 6762, 7.1)."""
        deviations = self._deviations()
        if not deviations.obeys_known_answers or record not in known:
            return False
        return known[record] * 2 >= record.ttl or not deviations.renews_half_expired

    def _delay(self, records: Collection[Record]) -> float:
        """Shared records are delayed, since other hosts may answer as well (RFC 6762, 6)."""
        deviations = self._deviations()
        if all(record.unique for record in records):
            return deviations.unique_delay
        return self._random.uniform(*deviations.shared_delay)

    def _send_unicast(self, records: list[Record], destination: Address) -> None:
        for packet in responses(records, self._records().additionals(records)):
            self._link.send(packet, destination)

    def _answer_legacy(self, packet: Packet, source: Address) -> None:
        """Answers a plain DNS client with plain DNS (RFC 6762, 6.7)."""
        known = _known(packet)
        questions = packet.questions[: self._deviations().question_limit]
        found = dict.fromkeys(
            record
            for question in questions
            for record in self._records().answers(question)
            if not self._is_known(record, known)
        )
        if not found:
            return
        additionals = map(for_legacy, self._records().additionals(found))
        answers = [for_legacy(record) for record in found]
        for answer in responses(answers, additionals, id=packet.id, questions=packet.questions):
            self._link.send(answer, source)

    def _defend(self, packet: Packet, received: Received) -> None:
        """Answers a probe for one of the device's names without delay (RFC 6762, 6 and 8.1)."""
        deviations = self._deviations()
        records = self._records()
        if deviations.defends:
            if deviations.defence_delay:
                self._loop.call_later(deviations.defence_delay, self._answer_probe, packet, received)
            else:
                self._answer_probe(packet, received)
        others = tuple(q for q in packet.questions if q.name not in records.claims)
        if others:
            self._answer(others, {}, received)

    def _answer_probe(self, packet: Packet, received: Received) -> None:
        records = self._records()
        questions = [question for question in packet.questions if question.name in records.claims]
        for question in questions[: self._deviations().question_limit]:
            answers = records.answers(question)
            stale = [record for record in answers if not self._was_sent_recently(record)]
            if question.unicast and self._deviations().unicast_when_asked:
                self._send_unicast(answers, received.source)
            else:
                stale = answers
            self._outbox.add(stale, 0, spacing=_PROBE_SPACING)

    def _was_sent_recently(self, record: Record) -> bool:
        age = self._outbox.age(record)
        return age is not None and age < record.ttl / 4


def _known(packet: Packet) -> dict[Record, int]:
    return {record: record.ttl for record in packet.answers}
