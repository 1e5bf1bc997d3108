"""How the CoAP checks drive a device: requests, crafted datagrams, observations, changes of state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from harness.checks.bench import Bench, CoapEndpoint, StimulusError
from harness.checks.support.coap.exchanges import exchanges_in
from harness.checks.support.coap.resources import (
    Setting,
    binding_of,
    levers,
    observed_properties,
    other_value,
    plain_path,
)
from harness.model.base import Value
from harness.model.requirement import BenchFeature
from harness.trace.events import Act, CoapDatagram, Direction, Event, Note
from harness.wire import coap

NON_SPACING = "RFC 7641 4.5.1: seconds between non-confirmable notifications"

Get: TypeAlias = tuple[str, dict[str, Any]]
"""A path (with a query) to GET, and further fields of the request."""

ANSWER = 10.0
"""Seconds in which a device on the same link answers, even after two lost datagrams."""

REPEATS = (2.0, 4.0, 6.0)
"""Timeouts in seconds for a crafted datagram that requires an answer; each repeats it, as it may be lost."""

LOST_ONCE = 6.0
"""Seconds until a lost CON message is repeated if the profile declares no parameters (4 s * 1.5)."""

SELF_NOTIFYING = "changes by itself: its own notifications are used"
SELF_NOTIFYING_WITHIN = 60.0
"""Seconds in which a sensor that nobody can stimulate must notify its observers."""

PROBE = "does it notify by itself?"
"""The label of a registration that only finds that out."""


async def ask(
    bench: Bench,
    endpoint: CoapEndpoint,
    code: int,
    path: str,
    *,
    type: coap.Type = coap.Type.CON,
    token: bytes | None = None,
    what: str | None = None,
    within: float = ANSWER,
    **fields: Any,
) -> coap.Message | None:
    """Send a request and wait for its response; ``fields`` are those of :func:`coap.request`.

    ``what`` describes the request in the trace. A NON request without a response is sent again as a new
    message, as it may be lost.
    """
    token = bench.coap.next_token() if token is None else token
    tries = 3 if type is coap.Type.NON else 1
    for _ in range(tries):
        message = coap.request(code, path, mid=bench.coap.next_mid(), token=token, type=type, **fields)
        if what is not None:
            bench.stimulus(Act.RAW, what, transport="coap")
        response = await endpoint.request(message, within=within / tries)
        if response is not None:
            return response
    return None


async def provoke(bench: Bench, endpoint: CoapEndpoint, raw: bytes, what: str) -> Event | None:
    """Send a crafted datagram that requires an answer to its Message ID, and wait for the answer.

    It is repeated as in RFC 7252 4.2, so that a lost datagram is not taken for silence.
    """
    mid = coap.decode(raw).mid
    since = bench.mark()
    for pause in REPEATS:
        endpoint.send(raw, what)
        answer = await bench.wait_for(
            arrives(endpoint, lambda message: message.mid == mid),
            within=pause,
            what=f"an answer to: {what}",
            since=since,
        )
        if answer is not None:
            return answer
    return None


async def provoke_each(bench: Bench, endpoint: CoapEndpoint, crafted: Iterable[tuple[str, bytes]]) -> None:
    """Send datagrams one after the other, each with its description; stops at the first without an answer."""
    for what, raw in crafted:
        if await provoke(bench, endpoint, raw, what) is None:
            return


async def fence(bench: Bench, endpoint: CoapEndpoint) -> bool:
    """Send an ordinary request; its answer shows that all earlier messages of this endpoint were handled.

    Returns whether it was answered.
    """
    return await ask(bench, endpoint, coap.Code.GET, plain_path(bench.profile)) is not None


async def put(
    bench: Bench, endpoint: CoapEndpoint, setting: Setting, value: Value, **fields: Any
) -> coap.Message | None:
    """Write a legal value by PUT, recorded as a stimulus."""
    bench.stimulus(Act.WRITE, setting.name, value, transport="coap", legal=True)
    return await ask(
        bench,
        endpoint,
        coap.Code.PUT,
        setting.path,
        payload=setting.payload(value),
        content_format=setting.format,
        **fields,
    )


async def present_and_other(bench: Bench, setting: Setting) -> tuple[Value, Value]:
    """The current value of a setting, and another legal value. Raises StimulusError."""
    present = await bench.read(setting.name, transport="coap")
    other = other_value(setting.schema, present)
    if other is None:
        raise StimulusError(f"{setting.name} is {present!r}, and no other legal value is known")
    return present, other


def arrives(endpoint: CoapEndpoint, wanted: Callable[[coap.Message], bool]) -> Callable[[Event], bool]:
    """A predicate: whether an event is a datagram from the device to ``endpoint`` that ``wanted`` accepts."""

    def accepted(event: Event) -> bool:
        body = event.body
        return (
            isinstance(body, CoapDatagram)
            and body.direction is Direction.FROM_DUT
            and body.local == endpoint.local
            and wanted(coap.decode(body.raw))
        )

    return accepted


async def get_all(bench: Bench, requests: Sequence[Get]) -> None:
    """GET many paths. Slow resources are read in parallel, and only once in a run."""
    slow = {resource.path for resource in binding_of(bench.profile).resources if resource.takes}
    known = {each.asked.uri_path for each in exchanges_in(bench.trace) if each.response}
    quick = [request for request in requests if request[0] not in slow]
    patient = {path: fields for path, fields in requests if path in slow - known}

    async def one_after_the_other() -> None:
        endpoint = await bench.coap.endpoint()
        for path, fields in quick:
            await ask(bench, endpoint, coap.Code.GET, path, **fields)

    async def patiently(path: str, fields: dict[str, Any]) -> None:
        endpoint = await bench.coap.endpoint()
        asking = asyncio.ensure_future(ask(bench, endpoint, coap.Code.GET, path, **fields))
        await bench.wait_for(
            arrives(endpoint, lambda message: message.is_response),
            within=ANSWER,
            imposed_by="profile: bindings.coap.resources: takes",
            what=f"the answer of {path}",
        )
        await asking

    await asyncio.gather(one_after_the_other(), *(patiently(*each) for each in patient.items()))


@dataclass(frozen=True)
class Observation:
    """An observation by the harness."""

    endpoint: CoapEndpoint
    path: str
    token: bytes
    response: coap.Message | None

    def notified(self, wanted: Callable[[coap.Message], bool] = lambda _: True) -> Callable[[Event], bool]:
        """A predicate: whether an event is a notification of this observation that ``wanted`` accepts."""
        return arrives(
            self.endpoint,
            lambda message: (
                message.is_response
                and message.token == self.token
                and message.observe is not None
                and wanted(message)
            ),
        )


async def observe(
    bench: Bench,
    path: str,
    *,
    endpoint: CoapEndpoint | None = None,
    token: bytes | None = None,
    **fields: Any,
) -> Observation:
    """Register for a resource, by default from a new endpoint."""
    endpoint = endpoint or await bench.coap.endpoint()
    token = bench.coap.next_token() if token is None else token
    response = await ask(bench, endpoint, coap.Code.GET, path, token=token, observe=0, **fields)
    return Observation(endpoint, path, token, response)


@asynccontextmanager
async def observing(bench: Bench, path: str, **fields: Any) -> AsyncIterator[Observation]:
    """Observe a resource, and deregister at the end, since a device has few places for observers."""
    observation = await observe(bench, path, **fields)
    try:
        yield observation
    finally:
        if observation.response is not None and observation.response.observe is not None:
            await cancel(bench, observation)


async def cancel(
    bench: Bench, observation: Observation, token: bytes | None = None, what: str | None = None
) -> None:
    """Deregister (RFC 7641, 3.6); ``token`` replaces the token of the registration."""
    await ask(
        bench,
        observation.endpoint,
        coap.Code.GET,
        observation.path,
        token=observation.token if token is None else token,
        what=what,
        observe=1,
    )


@dataclass(frozen=True)
class Lever:
    """An observed property that the harness switches between two values, or that changes by itself."""

    setting: Setting
    values: tuple[Value, Value] | None  # the original value, and another; None: it changes by itself

    async def move(self, bench: Bench, to: int) -> int:
        """Set the property to value 0 or 1, if the harness can; returns the mark from before."""
        since, name = bench.mark(), self.setting.name
        if self.values is None:
            return since
        if self.setting.schema.read_only:
            await bench.local.sense(name, self.values[to])
        else:
            await bench.write(name, self.values[to], transport="coap")
        return since

    def within(self, bench: Bench) -> float:
        """Seconds for a notification."""
        return SELF_NOTIFYING_WITHIN if self.values is None else deadline(bench, self.setting)

    async def wait_notified(
        self, bench: Bench, observation: Observation, to: int, since: int
    ) -> Event | None:
        """Wait until an observer is notified of value 0 or 1, or by the device itself."""
        spaced = not binding_of(bench.profile).confirmable_notifications
        return await bench.wait_for(
            observation.notified(lambda message: self.shows(message, to)),
            within=self.within(bench),
            imposed_by=SELF_NOTIFYING if self.values is None else NON_SPACING if spaced else None,
            what=f"a notification of {self.setting.name}",
            since=since,
        )

    async def change(self, bench: Bench, to: int, *observers: Observation) -> None:
        """Set the property, and wait until each observer is notified."""
        since = await self.move(bench, to)
        for observer in observers:
            await self.wait_notified(bench, observer, to, since)

    def shows(self, message: coap.Message, which: int) -> bool:
        """Whether a message contains value 0 or 1; any value will do if it changes by itself."""
        return self.values is None or self.setting.schema.agrees(
            self.setting.decode(message), self.values[which]
        )


def deadline(bench: Bench, setting: Setting) -> float:
    """Seconds for a notification: the time that the profile allows, and one lost datagram."""
    behaviour = bench.profile.behaviour
    promised = behaviour.report_local if setting.schema.read_only else bench.profile.settle(setting.name)
    declared = binding_of(bench.profile).transmission
    return promised + (declared.first_timeout if declared else LOST_ONCE)


async def find_levers(bench: Bench, count: int = 1) -> list[Lever]:
    """``count`` observed properties of different resources that change, by the harness or by themselves.

    Raises StimulusError if there are fewer.
    """
    found: dict[str, Lever] = {}
    for setting in levers(bench.profile):
        if len(found) == count:
            break
        if setting.path in found or (setting.schema.read_only and not bench.offers(BenchFeature.LOCAL)):
            continue
        present = await bench.read(setting.name, transport="coap")
        other = other_value(setting.schema, present)
        if other is not None:
            found[setting.path] = Lever(setting, (present, other))
    for setting in observed_properties(bench.profile):
        if len(found) < count and setting.path not in found and await _notifies_by_itself(bench, setting):
            found[setting.path] = Lever(setting, None)
    if len(found) < count:
        raise StimulusError(
            f"{count} observed propert{'y' if count == 1 else 'ies'} must change, but only {len(found)} can "
            f"be changed from here or are notified by themselves within {SELF_NOTIFYING_WITHIN:g} s"
        )
    return list(found.values())


async def _notifies_by_itself(bench: Bench, setting: Setting) -> bool:
    """Whether the device notifies a property without a stimulus; tried once in a run."""
    yes, no = f"{setting.name} {SELF_NOTIFYING}", f"{setting.name} was not notified by itself"
    known = [event.body.text for event in bench.trace if isinstance(event.body, Note)]
    if no in known:
        return False
    if yes not in known:
        since = bench.mark()
        observation = await observe(bench, setting.path, what=PROBE)
        event = await bench.wait_for(
            observation.notified(),
            within=SELF_NOTIFYING_WITHIN,
            imposed_by=SELF_NOTIFYING,
            what=f"a notification of {setting.name} without a stimulus",
            since=since,
        )
        await cancel(bench, observation, what=PROBE)
        if event is None:
            bench.note(no)
            return False
    bench.note(yes)
    return True
