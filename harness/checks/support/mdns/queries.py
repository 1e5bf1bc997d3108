"""Asking the device over multicast DNS, so that a conforming one has every reason to answer."""

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
    target_of,
    told,
)
from harness.trace.events import Act, Event, MdnsPacket, Stimulus
from harness.wire.mdns.codec import (
    Question,
    Record,
    RecordType,
    encode_query,
)

ANSWER = 1.0  # seconds for an answer: 120 ms by which it may be delayed, and a slow network
SPACING = 1.0  # between two multicasts of a record (RFC 6762, 6)
ATTEMPTS = 3  # multicast packets do get lost, which is why queriers repeat theirs (RFC 6762, 5.2)

REPEATED = 1.0  # between the first two announcements (RFC 6762, 8.3)
REPEATED_LATE = 0.5  # by which the second one may be late
_EARLY = 0.25  # … or seem early, where the first one was held up on its way

_TICK = 0.001  # seconds; shorter waits are not worth it
_SLACK = 0.05  # the device's clock and ours do not agree to the millisecond


async def present(bench: Bench) -> Names:
    """Wait until the device has announced itself twice since it was last started; its names then.

    An announcement that comes while we ask would look like an answer.
    """
    announced = await _first_announcement(bench)
    if announced:
        again = announced.time + REPEATED
        await _announcement(bench, announced.line, not_before=again - _EARLY, at_latest=again + REPEATED_LATE)
    return names_of(seen_by(bench))


async def announced(bench: Bench) -> Names:
    """Wait until the device has announced itself since it was last started; its names then."""
    await _first_announcement(bench)
    return names_of(seen_by(bench))


async def _first_announcement(bench: Bench) -> Event | None:
    start = next((event for event in reversed(bench.trace) if _is_act(event, Act.START)), None)
    if start is None:
        return None
    latest = start.time + bench.profile.behaviour.boot
    return await _announcement(bench, start.line, not_before=0, at_latest=latest)


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
    """Ask, all questions in one packet, until the device has answered each; tells whether it did.

    The first time a unicast answer is asked for, which no earlier multicast can forbid; with ``multicast``
    never. Gives up after :data:`ATTEMPTS`. ``foreign`` questions go along behind the first one, and
    are for others to answer. The device should be :func:`present`.
    """
    begin = bench.mark()
    for attempt in range(ATTEMPTS):
        unicast = attempt == 0 and not multicast
        if not unicast:
            await spaced(bench, questions)
        asked = [*questions[:1], *foreign, *questions[1:]]
        bench.mdns.send(encode_query([replace(question, unicast_response=unicast) for question in asked]))
        if await answer_to(bench, questions, since=begin):
            return True
    return False


async def answer_to(bench: Bench, questions: Sequence[Question], *, since: int) -> Event | None:
    """Wait until each question is answered after the mark ``since``, if need be by a negative answer."""

    def answered(event: Event) -> bool:
        return isinstance(event.body, MdnsPacket) and all(
            has_answer(bench, question, since) for question in questions
        )

    asked_for = ", ".join(f"{question.name} {RecordType(question.type).name}" for question in questions)
    return await bench.wait_for(answered, within=ANSWER, what=f"an answer to {asked_for}", since=since)


def has_answer(bench: Bench, question: Question, since: int) -> bool:
    """Whether the device told such a record after the mark, or that there is none."""
    case = seen_by(bench, since)
    return bool(told(case, question.name, question.type) or told(case, question.name, RecordType.NSEC))


async def spaced(bench: Bench, questions: Sequence[Question]) -> None:
    """Wait until the device may multicast again what answers the questions.

    It has to stay silent when the same record went out less than a second ago (RFC 6762, 6).
    """
    for _ in range(ATTEMPTS):  # not for ever: a device that breaks that rule may never be silent
        remaining = _last_multicast(bench, questions) + SPACING + _SLACK - bench.now
        if remaining < _TICK:
            return
        await bench.watch_silence(
            remaining, imposed_by="RFC 6762 6", what="the device may not yet multicast the same records again"
        )


def _last_multicast(bench: Bench, questions: Sequence[Question]) -> float:
    """When the device last told everybody what answers one of the questions."""
    run = seen_by(bench)
    return max(
        (
            found.time
            for question in questions
            for type in (question.type, RecordType.NSEC)
            for found in told(run, question.name, type)
            if not found.unicast
        ),
        default=-SPACING,
    )


async def restarted(bench: Bench) -> int:
    """Stop the device in order and start it; returns at once, with the mark of the start.

    Its goodbyes are in the trace.
    """
    await announced(bench)
    begin = bench.mark()
    await bench.power.stop()
    await bench.wait_for(
        lambda _: bool(told(seen_by(bench, begin), gone=True)),
        within=ANSWER if bench.profile.bindings.mdns and bench.profile.bindings.mdns.goodbye else 0,
        what="the device's goodbye",
        since=begin,
    )
    start = bench.mark()
    await bench.power.start()
    return start


async def ready_again(bench: Bench) -> None:
    """After a start: wait until the device is on all its transports. Raises CannotStimulateError."""
    await announced(bench)
    if not await bench.ready():
        raise StimulusError("the device did not come back after it was started")


def known_answer_query(question: Question, answers: Sequence[Record], *, ttl: int) -> bytes:
    """A query with answers that the asker already has, for ``ttl`` more seconds (RFC 6762, 7.1)."""
    # The cache-flush bit is never set in known answers (RFC 6762, 10.2).
    return encode_query(
        [question], known_answers=[replace(record, ttl=ttl, cache_flush=False) for record in answers]
    )


def _is_act(event: Event, act: Act) -> bool:
    return isinstance(event.body, Stimulus) and event.body.act is act


async def resolve(bench: Bench) -> None:
    """See to it that the run has seen the services of the device: what was told before is not asked again."""
    names = await present(bench)
    for type in dict.fromkeys(service.type for service in names.services):
        if not told(seen_by(bench), type, RecordType.PTR) and not await ask(
            bench, Question(type, RecordType.PTR)
        ):
            await ask(bench, Question(SERVICE_TYPES, RecordType.PTR))  # perhaps it has another type
    for found in advertised(seen_by(bench)):
        for kind in (RecordType.SRV, RecordType.TXT):
            if not told(seen_by(bench), target_of(found), kind):
                await ask(bench, Question(target_of(found), kind))
