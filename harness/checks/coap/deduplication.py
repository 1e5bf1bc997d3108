"""Duplicated requests and separate responses (RFC 7252, 4.5 and 5.2)."""

from __future__ import annotations

from collections.abc import Iterable

from harness.checks.bench import Bench, CoapEndpoint, StimulusError
from harness.checks.case import Case, failed, inconclusive, passed, warned
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.support.coap.client import (
    ANSWER,
    NON_SPACING,
    REPEATS,
    Observation,
    arrives,
    ask,
    fence,
    observing,
)
from harness.checks.support.coap.exchanges import (
    Datagram,
    Exchange,
    exchanges,
)
from harness.checks.support.coap.registrations import (
    admitted,
    registrations,
)
from harness.checks.support.coap.resources import (
    binding_of,
    free_settings,
    plain_path,
    slow_resource,
)
from harness.model.profile import Profile
from harness.model.requirement import Area, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act
from harness.wire import coap

COPIES = 3
SLOW = "profile: bindings.coap.resources: takes"
SETTLE = "profile: behaviour.settle"
GENUINE = "another POST"
SAME_ID = "GET with the same Message ID from another port"


def counted_actions(profile: Profile) -> dict[str, str]:
    """Actions over CoAP that are not idempotent, each with the event that reports every invocation."""
    binding = binding_of(profile)
    return {
        action: event
        for rule in profile.behaviour.rules
        if len(rule.when) == len(rule.then) == 1
        and (action := rule.when[0].action) in binding.actions
        and (event := rule.then[0].event) in binding.events
        and action is not None
        and event is not None
        and not profile.actions[action].idempotent
    }


async def wait_for_event(bench: Bench, listener: Observation, since: int) -> None:
    """Wait for a notification of the event."""
    within = bench.profile.behaviour.settle + ANSWER
    spaced = not binding_of(bench.profile).confirmable_notifications
    await bench.wait_for(
        listener.notified(),
        within=within,
        imposed_by=NON_SPACING if spaced else None,
        what="the event of the action",
        since=since,
    )


async def send_copies(bench: Bench, endpoint: CoapEndpoint, raw: bytes, what: str) -> None:
    """Send one message three times, as a client does when ACKs are lost; wait for an answer to each."""
    mid = coap.decode(raw).mid
    for copy in range(COPIES):
        since = bench.mark()
        endpoint.send(raw, what if not copy else None)
        if coap.decode(raw).type is coap.Type.CON:
            answered = arrives(endpoint, lambda message: message.mid == mid)
            await bench.wait_for(answered, within=REPEATS[0], what=f"an answer to: {what}", since=since)
        # Another request in between: a device must remember more than the last Message ID.
        await fence(bench, endpoint)


def copies_of(case: Case) -> Exchange:
    """The exchange with the copies."""
    return next(each for each in exchanges(case) if len(each.sent) > 1)


async def invoke_again(bench: Bench, endpoint: CoapEndpoint, name: str, listener: Observation) -> None:
    """Invoke an action once more, as a new message, and wait until no more events are reported."""
    since = bench.mark()
    bench.stimulus(Act.INVOKE, name, transport="coap", legal=True)
    path = binding_of(bench.profile).actions[name].path
    await ask(bench, endpoint, coap.Code.POST, path, what=GENUINE)
    await wait_for_event(bench, listener, since)
    spaced = not binding_of(bench.profile).confirmable_notifications
    # A surplus event may come as late as the device may report it, or as the spacing allows.
    within, why = (3.5, NON_SPACING) if spaced else (bench.profile.behaviour.settle, SETTLE)
    for _ in range(2 * COPIES):
        more = listener.notified()
        if not await bench.wait_for(more, within=within, imposed_by=why, what="surplus events"):
            return


def event_notifications(case: Case) -> list[Datagram]:
    """The notifications of the event in this window."""
    return registrations(case)[0].notifications


def executed_more(case: Case, name: str) -> Outcome | None:
    """Failed or inconclusive, unless there was one event for each of two messages."""
    registration = registrations(case)[0]
    if not admitted(registration):
        return inconclusive("the event of the action could not be observed", *registration.evidence)
    reported, copies = event_notifications(case), copies_of(case).sent
    if len(reported) > 2:
        return failed(f"two messages invoked {name}, but it ran {len(reported)} times", copies, reported)
    if len(reported) < 2:
        return inconclusive(
            f"two messages invoked {name}, but {len(reported)} were reported", copies, reported
        )
    return None


@requirement(
    "COAP-CORE-11",
    area=Area.COAP,
    standard="RFC 7252",
    clause="4.5, 5.2.2",
    level=Level.MUST,
    purpose="ensure that after an empty ACK the device sends one separate response, also if the request "
    "is repeated",
    stimulus="GET a slow resource; repeat the same message after its empty ACK",
    expect="No response in an ACK after the empty one (MUST); a second empty ACK, and one separate response "
    "(SHOULD)",
    ics="COAP.SEPARATE",
    needs=(BenchFeature.COAP,),
    usual_cause="The Message ID is kept for the response although the empty ACK used it up; or a "
    "repeated request is dropped silently, or starts the work a second time.",
    phase=Phase.BOUNDARY,
)
class SeparateResponse(Check):
    """An empty ACK ends the exchange; the response is a new message."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        slow = slow_resource(bench.profile)
        if slow is None:
            raise StimulusError("the profile has no slow resource")
        endpoint, mid = await bench.coap.endpoint(), bench.coap.next_mid()
        token, since = bench.coap.next_token(), bench.mark()
        raw = coap.encode(coap.request(coap.Code.GET, slow.path, mid=mid, token=token))
        answer = arrives(endpoint, lambda message: message.mid == mid)
        response = arrives(endpoint, lambda message: message.is_response and message.token == token)
        begin = bench.now
        endpoint.send(raw, f"GET {slow.path}")
        await bench.wait_for(answer, within=ANSWER, imposed_by=SLOW, what="the empty ACK", since=since)
        between, since = bench.now - begin, bench.mark()
        endpoint.send(raw)
        await bench.wait_for(
            response, within=slow.takes + ANSWER, imposed_by=SLOW, what="the separate response", since=since
        )
        # If the repeated request started the work again, its response would be late by the same time.
        await bench.watch_silence(between + 0.25, imposed_by=SLOW, what="a second response to the repetition")

    def judge(self, case: Case) -> Outcome:
        each = next(found for found in exchanges(case) if found.what.startswith("GET"))
        acks = [seen for seen in each.replies if seen.value.type is coap.Type.ACK]
        if not acks or not acks[0].value.is_empty:
            return inconclusive("the response did not come separately", *each.evidence)
        if len(each.sent) < 2 or each.sent[1].line < acks[0].line:
            return inconclusive("the request was not repeated after the empty ACK", *each.evidence)
        piggybacked = [seen for seen in acks if not seen.value.is_empty]
        if piggybacked:
            return failed(
                "the response came in an ACK after an empty ACK", *each.evidence[:2], piggybacked[0]
            )
        separate = {seen.value.mid: seen for seen in reversed(each.replies) if seen.value.is_response}
        if not separate:
            return failed("no response came after the empty ACK", each.sent, acks)
        first = min(separate.values(), key=lambda seen: seen.line)
        if each.sent[1].line < first.line and len(acks) < 2:
            return warned("the repeated request was not acknowledged again", each.sent, acks, first)
        if len(separate) > 1:
            return warned("the repeated request got a second response", each.sent, list(separate.values()))
        return passed("two empty ACKs, then one separate response", each.sent, acks, first)


@requirement(
    "COAP-CORE-13",
    area=Area.COAP,
    standard="RFC 7252",
    clause="4.5",
    level=Level.SHOULD,
    purpose="ensure that the device executes a duplicated CON request once and repeats the same answer",
    stimulus="Send a CON POST of an action whose effect can be counted three times as the same message, and "
    "once as a new message; without such an action, a CON PUT of the current value three times. GET with the "
    "same Message ID from another port",
    expect="One effect per message, not per copy; the same ACK to each copy; the request from the other port "
    "is answered",
    ics="COAP.POST|COAP.PUT",
    needs=(BenchFeature.COAP,),
    usual_cause="Message IDs are not remembered, or only the last one; or a copy is dropped without a new "
    "ACK; or they are remembered without the address of the sender.",
    phase=Phase.BOUNDARY,
)
class DuplicateRequest(Check):
    """A lost ACK must not ring the bell twice."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        counted = [Subject(name) for name in counted_actions(profile)]
        return counted or ([Subject()] if free_settings(profile) else [])

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint = await bench.coap.endpoint()
        if subject.name is None:
            await self._repeat_put(bench, endpoint)
            return
        binding = binding_of(bench.profile)
        action, event = binding.actions[subject.name].path, counted_actions(bench.profile)[subject.name]
        async with observing(bench, binding.events[event].path) as listener:
            since, mid = bench.mark(), bench.coap.next_mid()
            raw = coap.encode(coap.request(coap.Code.POST, action, mid=mid, token=bench.coap.next_token()))
            bench.stimulus(Act.INVOKE, subject.name, transport="coap", legal=True)
            await send_copies(bench, endpoint, raw, f"POST {action}")
            await wait_for_event(bench, listener, since)
            await self._same_id_elsewhere(bench, mid)
            await invoke_again(bench, endpoint, subject.name, listener)

    async def _repeat_put(self, bench: Bench, endpoint: CoapEndpoint) -> None:
        setting = free_settings(bench.profile)[0]
        value = await bench.read(setting.name, transport="coap")
        bench.stimulus(Act.WRITE, setting.name, value, transport="coap", legal=True)
        mid = bench.coap.next_mid()
        message = coap.request(
            coap.Code.PUT,
            setting.path,
            mid=mid,
            token=bench.coap.next_token(),
            payload=setting.payload(value),
            content_format=setting.format,
        )
        await send_copies(bench, endpoint, coap.encode(message), f"PUT {setting.path}")
        await self._same_id_elsewhere(bench, mid)

    async def _same_id_elsewhere(self, bench: Bench, mid: int) -> None:
        endpoint, path = await bench.coap.endpoint(), plain_path(bench.profile)
        message = coap.request(coap.Code.GET, path, mid=mid, token=bench.coap.next_token())
        bench.stimulus(Act.RAW, SAME_ID, transport="coap")
        await endpoint.request(message, within=ANSWER)

    def judge(self, case: Case) -> Outcome:
        each = copies_of(case)
        acks = [seen for seen in each.replies if seen.value.mid == each.asked.mid]
        if case.subject.name is not None and (problem := executed_more(case, case.subject.name)):
            return problem
        if len(acks) < len(each.sent):
            return failed(f"{len(each.sent)} copies got {len(acks)} answers", each.sent, acks)
        if len({seen.body.raw for seen in acks}) > 1:
            return failed("the copies got different answers", each.sent, acks)
        elsewhere = next(other for other in exchanges(case) if other.what == SAME_ID)
        if not elsewhere.answered(coap.Code.CONTENT):
            return failed(
                f"a GET with the same Message ID from another port was answered with {elsewhere.outcome()}",
                each.sent[0],
                *elsewhere.evidence,
            )
        effect = ", and one effect" if case.subject.name is not None else ""
        return passed(f"{len(each.sent)} copies got the same answer{effect}", each.sent, acks)


@requirement(
    "COAP-CORE-14",
    area=Area.COAP,
    standard="RFC 7252",
    clause="4.5",
    level=Level.SHOULD,
    purpose="ensure that the device executes a duplicated NON request once",
    stimulus="Send a NON POST of an action whose effect can be counted three times as the same message, then "
    "once as a new message",
    expect="One effect per message",
    ics="COAP.POST",
    needs=(BenchFeature.COAP,),
    usual_cause="Duplicates are detected only if an ACK is due.",
    phase=Phase.BOUNDARY,
)
class DuplicateNonRequest(Check):
    """Networks may duplicate datagrams."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return [Subject(name) for name in counted_actions(profile)]

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        binding, name = binding_of(bench.profile), subject.name or ""
        event = counted_actions(bench.profile)[name]
        endpoint = await bench.coap.endpoint()
        async with observing(bench, binding.events[event].path) as listener:
            since, path = bench.mark(), binding.actions[name].path
            mid, token = bench.coap.next_mid(), bench.coap.next_token()
            message = coap.request(coap.Code.POST, path, mid=mid, token=token, type=coap.Type.NON)
            bench.stimulus(Act.INVOKE, name, transport="coap", legal=True)
            await send_copies(bench, endpoint, coap.encode(message), f"NON POST {path}")
            await wait_for_event(bench, listener, since)
            await invoke_again(bench, endpoint, name, listener)

    def judge(self, case: Case) -> Outcome:
        each = copies_of(case)
        name = case.subject.name or ""
        return executed_more(case, name) or passed(
            f"{len(each.sent)} copies had one effect", each.sent, event_notifications(case)
        )
