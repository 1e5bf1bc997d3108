"""Registrations and changes of state, found in a trace; registering many observers."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AsyncExitStack

from harness.checks.bench import Bench
from harness.checks.case import Case, Decoded
from harness.checks.support.coap.client import (
    PROBE,
    Observation,
    observing,
)
from harness.checks.support.coap.exchanges import (
    Datagram,
    Exchange,
    exchanges,
)
from harness.checks.support.coap.resources import (
    Setting,
    levers,
)
from harness.model.profile import Profile
from harness.trace.events import Act, Stimulus
from harness.wire import coap


def registrations(case: Case) -> list[Exchange]:
    """The registrations in the check's window."""
    return [
        each
        for each in exchanges(case)
        if each.asked.code == coap.Code.GET and each.asked.observe == 0 and each.what != PROBE
    ]


def admitted(registration: Exchange) -> bool:
    """Whether the device accepted it: the response has an Observe option (RFC 7641, 4.1)."""
    return (
        registration.response is not None
        and registration.answered(coap.Code.CONTENT)
        and registration.response.value.observe is not None
    )


def moves(case: Case, name: str | None = None) -> list[Decoded[Stimulus, Stimulus]]:
    """The changes of state that the harness made in the window."""
    acts = case.stimuli(Act.WRITE, Act.LOCAL)
    return [act for act in acts if name is None or act.value.name == name]


def after(datagrams: Iterable[Datagram], line: int) -> list[Datagram]:
    """The datagrams after a line of the trace."""
    return [seen for seen in datagrams if seen.line > line]


def lever_for(profile: Profile, name: str | None) -> Setting:
    """The observed property of that name."""
    return next(each for each in levers(profile) if each.name == name)


async def observe_many(bench: Bench, stack: AsyncExitStack, path: str, count: int) -> list[Observation]:
    """Register ``count`` clients for one resource."""
    return [await stack.enter_async_context(observing(bench, path)) for _ in range(count)]
