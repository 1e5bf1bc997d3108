"""Queries that a conforming device must answer, repeated in case a packet is lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.checks.bench import Bench, StimulusError
from harness.checks.case import first, seen_by
from harness.checks.support.mdns.names import (
    Names,
    names_of,
)
from harness.checks.support.mdns.records_seen import (
    SERVICE_TYPES,
    advertised,
    is_multicast_response,
    message_of,
    sent_records,
    target_of,
)
from harness.trace.events import Act, Event, MdnsPacket, Stimulus
from harness.wire.mdns.codec import (
    Question,
    Record,
    RecordType,
    encode_query,
)

ANSWER = 1.0  # seconds for an answer: up to 120 ms of delay, and a slow network
SPACING = 1.0  # between two multicasts of a record (RFC 6762, 6)
ATTEMPTS = 3  # multicast packets may get lost, so queriers repeat them (RFC 6762, 5.2)

REPEATED = 1.0  # between the first two announcements (RFC 6762, 8.3)
SERVICES_LATER = 5.0  # seconds by which services may be announced after the host (RFC 6762, 8.3)
REPEATED_LATE = 0.5  # tolerance for a late second announcement
_EARLY = 0.25  # tolerance for an early one, if the first was delayed

_TICK = 0.001  # seconds; shorter waits are not worth it
_SLACK = 0.05  # difference between the device's clock and ours


async def settled_names(bench: Bench) -> Names:
    """Wait until the device has announced itself twice since its last start; returns its names.

    An announcement during a query would look like an answer.
    """
    announced = await _first_announcement(bench)
    if announced:
        announced = await _services_announced(bench, announced)
        again = announced.time + REPEATED
        await _announcement(bench, announced.line, not_before=again - _EARLY, at_latest=again + REPEATED_LATE)
    return names_of(seen_by(bench))


async def announced_names(bench: Bench) -> Names:
    """Wait until the device has announced itself since its last start; returns its names."""
    await _first_announcement(bench)
    return names_of(seen_by(bench))


async def _first_announcement(bench: Bench) -> Event | None:
    start = next((event for event in reversed(bench.trace) if _is_act(event, Act.START)), None)
    if start is None:
        return None
    latest = start.time + bench.profile.behaviour.boot
    return await _announcement(bench, start.line, not_before=0, at_latest=latest)


async def _services_announced(bench: Bench, host: Event) -> Event:
    """The announcement with the services, which may follow that of the host; the host's if none comes."""
    binding = bench.profile.bindings.mdns
    if binding is None or not binding.services:
        return host

    def wanted(event: Event) -> bool:
        return is_multicast_response(event) and any(
            record.type == RecordType.SRV for record in message_of(event).answers
        )

    seen, remaining = first(bench.trace[host.line - 1 :], wanted), host.time + SERVICES_LATER - bench.now
    if seen is None and remaining > 0:
        seen = await bench.wait_for(
            wanted,
            within=remaining,
            imposed_by="RFC 6762 8.3",
            what="the device to announce its services",
            since=host.line,
        )
    return seen or host


async def _announcement(bench: Bench, since: int, *, not_before: float, at_latest: float) -> Event | None:
    """Wait for a multicast response between two times of the trace."""

    def wanted(event: Event) -> bool:
        return event.time >= not_before and is_multicast_response(event)

    seen = first(bench.trace[since:], wanted)
    if seen or at_latest <= bench.now:
        return seen
    return await bench.wait_for(
        wanted,
        within=at_latest - bench.now,
        imposed_by="RFC 6762 8.1 and 8.3, profile: behaviour.boot",
        what="the device to announce itself",
    )


async def ask(
    bench: Bench, *questions: Question, foreign: Sequence[Question] = (), multicast: bool = False
) -> bool:
    """Ask all questions in one packet until the device has answered each; returns whether it did.

    The first attempt asks for a unicast answer, which no earlier multicast can suppress; with ``multicast``
    none does. Gives up after :data:`ATTEMPTS`. ``foreign`` questions follow the first question and are for
    other hosts to answer. The device should have announced itself before.
    """
    begin = bench.mark()
    for attempt in range(ATTEMPTS):
        unicast = attempt == 0 and not multicast
        if not unicast:
            await wait_for_spacing(bench, questions)
        asked = [*questions[:1], *foreign, *questions[1:]]
        bench.mdns.send(encode_query([replace(question, unicast_response=unicast) for question in asked]))
        if await answer_to(bench, questions, since=begin):
            return True
    return False


async def answer_to(bench: Bench, questions: Sequence[Question], *, since: int) -> Event | None:
    """Wait until each question is answered after the mark ``since``; a negative answer counts."""

    def answered(event: Event) -> bool:
        return isinstance(event.body, MdnsPacket) and all(
            has_answer(bench, question, since) for question in questions
        )

    asked_for = ", ".join(f"{question.name} {RecordType(question.type).name}" for question in questions)
    return await bench.wait_for(answered, within=ANSWER, what=f"an answer to {asked_for}", since=since)


def has_answer(bench: Bench, question: Question, since: int) -> bool:
    """Whether the device sent such a record after the mark, or denied that it exists."""
    case = seen_by(bench, since)
    return bool(
        sent_records(case, question.name, question.type) or sent_records(case, question.name, RecordType.NSEC)
    )


async def wait_for_spacing(bench: Bench, questions: Sequence[Question]) -> None:
    """Wait until the device may multicast the answers to these questions again.

    It must not repeat a record that it multicast less than a second ago (RFC 6762, 6).
    """
    for _ in range(ATTEMPTS):  # limited, since a device that breaks this rule may never be silent
        remaining = _last_multicast(bench, questions) + SPACING + _SLACK - bench.now
        if remaining < _TICK:
            return
        await bench.watch_silence(
            remaining, imposed_by="RFC 6762 6", what="the device may multicast the same records again"
        )


def _last_multicast(bench: Bench, questions: Sequence[Question]) -> float:
    """When the device last multicast an answer to one of the questions."""
    run = seen_by(bench)
    return max(
        (
            found.time
            for question in questions
            for type in (question.type, RecordType.NSEC)
            for found in sent_records(run, question.name, type)
            if not found.unicast
        ),
        default=-SPACING,
    )


async def restart(bench: Bench) -> int:
    """Shut the device down and start it; returns the mark of the start without waiting for the device.

    Its goodbyes are in the trace.
    """
    await announced_names(bench)
    begin = bench.mark()
    await bench.power.stop()
    await bench.wait_for(
        lambda _: bool(sent_records(seen_by(bench, begin), gone=True)),
        within=ANSWER if bench.profile.bindings.mdns and bench.profile.bindings.mdns.goodbye else 0,
        what="the device's goodbye",
        since=begin,
    )
    start = bench.mark()
    await bench.power.start()
    return start


async def wait_ready_again(bench: Bench) -> None:
    """After a start: wait until the device is ready on all transports. Raises StimulusError."""
    await announced_names(bench)
    if not await bench.ready():
        raise StimulusError("the device did not come back after it was started")


def known_answer_query(question: Question, answers: Sequence[Record], *, ttl: int) -> bytes:
    """A query with answers that the querier already has, for ``ttl`` more seconds (RFC 6762, 7.1)."""
    # The cache-flush bit is never set in known answers (RFC 6762, 10.2).
    return encode_query(
        [question], known_answers=[replace(record, ttl=ttl, cache_flush=False) for record in answers]
    )


def _is_act(event: Event, act: Act) -> bool:
    return isinstance(event.body, Stimulus) and event.body.act is act


async def resolve(bench: Bench) -> None:
    """Make sure that the run has seen the device's services; records seen before are not queried again."""
    names = await settled_names(bench)
    for type in dict.fromkeys(service.type for service in names.services):
        if not sent_records(seen_by(bench), type, RecordType.PTR) and not await ask(
            bench, Question(type, RecordType.PTR)
        ):
            await ask(bench, Question(SERVICE_TYPES, RecordType.PTR))  # it may have another type
    for found in advertised(seen_by(bench)):
        for kind in (RecordType.SRV, RecordType.TXT):
            if not sent_records(seen_by(bench), target_of(found), kind):
                await ask(bench, Question(target_of(found), kind))
