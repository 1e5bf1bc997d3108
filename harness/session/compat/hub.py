"""The hub of the home: hears what devices tell over the bus, and does what has been set up between them.

It knows what a hub would know: what the broker passes on to its clients, and the CoAP resources that it
observes. Everything that it sends is in the trace, each act with a line that says so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Protocol

from harness.checks.bench import StimulusError
from harness.checks.observations import Report, ReportReader, Transport
from harness.checks.payloads import json_text
from harness.checks.support.behaviour.transports import (
    NEED_OF,
    command_transports,
    reporting_transports,
)
from harness.checks.support.compat.home_state import availability_in
from harness.links.errors import LinkError
from harness.model.base import Value
from harness.model.schema import same_value
from harness.session.compat.group_session import GroupSession
from harness.session.compat.loop_guard import (
    MOST_ROUNDS,
    LoopGuard,
)
from harness.trace.events import Act, Event, Note, Point, Stimulus

POLL = 1.0  # seconds between two readings of what can be read, but not observed


@dataclass(frozen=True, slots=True)
class HubCommand:
    """One thing that the hub does: it sets a property of a device, or invokes an action, in its own words."""

    why: str  # the bond or automation that asks for it
    role: str
    name: str
    value: Value
    is_action: bool


class Automation(Protocol):
    """What has been set up between the devices."""

    def watched(self) -> frozenset[tuple[str, str]]:
        """The properties and events, each with its role, that it wants to hear of."""

    def heard(self, role: str, report: Report, changed: bool) -> Iterator[HubCommand]:
        """What is to be done about something that was told; ``changed``: it was something else before."""

    def availability(self, role: str, there: bool, event: Event) -> Iterator[HubCommand]:
        """What is to be done about a device that comes or goes."""

    def due(self, now: float) -> Iterator[HubCommand]:
        """What is to be done because time has passed."""

    def next_due(self) -> float | None:
        """When :meth:`due` is to be asked next, in seconds since the start of the run."""


class Hub:
    """Runs a program for a company. Use: ``start`` once the company is open, ``stop`` before it is closed."""

    def __init__(self, company: GroupSession, program: Automation) -> None:
        self._company = company
        self._program = program
        self._readers = {
            role: ReportReader(company.profile(role), role, Point.CLIENT) for role in company.roles
        }
        self._circles = LoopGuard()
        self._known: dict[tuple[str, str], Value] = {}
        self._queue: asyncio.Queue[Event] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._errands: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._unlisten: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """Take notice of what was told already, and of everything from now on."""
        for event in list(self._company.events):
            self._take(event, acting=False)
        self._unlisten = self._company.recorder.listen(self._queue.put_nowait)
        self._spawn(self._listen())
        for role, name in sorted(self._program.watched()):
            if self._is_polled(role, name):
                self._spawn(self._poll(role, name))
        self._set_timer()

    async def stop(self) -> None:
        """Do nothing any more."""
        self._unlisten()
        if self._timer is not None:
            self._timer.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def idle(self) -> None:
        """Wait until the hub has done everything that it has heard of up to now."""
        await self._queue.join()
        while errands := list(self._errands):
            await asyncio.gather(*errands, return_exceptions=True)

    async def _listen(self) -> None:
        while True:
            event = await self._queue.get()
            try:
                self._take(event, acting=True)
            except Exception as problem:  # the harness's own fault; the home goes on
                self._company.recorder.record(Note(f"the hub failed: {type(problem).__name__}: {problem}"))
            finally:
                self._queue.task_done()

    def _take(self, event: Event, *, acting: bool) -> None:
        role = event.device
        if isinstance(event.body, Stimulus) and event.body.act is not Act.AUTOMATE:
            self._circles.disturbed()
        if role is None:
            return
        errands: list[HubCommand] = []
        for report in self._readers[role].read(event):
            if report.problem is None and self._is_ours(role, report):
                key = (role, report.name)
                is_event = report.name in self._company.profile(role).events
                if is_event and report.is_stored:
                    continue  # it happened when nobody was here
                changed = is_event or key not in self._known or not same_value(self._known[key], report.value)
                self._known[key] = report.value
                errands += self._program.heard(role, report, changed)
        there = availability_in(self._company.profile(role), event)
        if there is not None:
            errands += self._program.availability(role, there, event)
        if acting:
            self._run(errands)

    def _is_ours(self, role: str, report: Report) -> bool:
        """Whether the hub hears of it this way: of what travels over both transports it takes one."""
        return report.transport is self._reader(role, report.name)

    def _reader(self, role: str, name: str) -> Transport | None:
        bench = self._company.bench(role)
        open_ones = [t for t in reporting_transports(bench.profile, name) if bench.offers(NEED_OF[t])]
        return open_ones[0] if open_ones else None

    def _is_polled(self, role: str, name: str) -> bool:
        binding = self._company.profile(role).bindings.coap
        if self._reader(role, name) is not Transport.COAP or binding is None:
            return False
        return name in binding.properties and not binding.properties[name].observe

    async def _poll(self, role: str, name: str) -> None:
        bench = self._company.bench(role)
        while True:
            with contextlib.suppress(StimulusError, LinkError):  # it is away: the hub goes on asking
                await bench.read(name, transport=Transport.COAP.value)
            await asyncio.sleep(POLL)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._program.next_due()
        if due is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, due - self._company.recorder.now), self._time_passed)

    def _time_passed(self) -> None:
        self._timer = None
        self._run(list(self._program.due(self._company.recorder.now)))

    def _run(self, errands: list[HubCommand]) -> None:
        for errand in errands:
            if self._circles.closes(errand.why, self._company.recorder.now):
                self._tell_of_circle(errand)
                continue
            task = self._spawn(self._do(errand))
            self._errands.add(task)
            task.add_done_callback(self._errands.discard)
        self._set_timer()

    def _tell_of_circle(self, errand: HubCommand) -> None:
        if self._circles.is_new(errand.why):
            text = f"the hub was about to answer itself after {MOST_ROUNDS} rounds, and stopped"
            self._company.recorder.record(Note(f"{errand.why}: {text}"), errand.role)

    async def _do(self, errand: HubCommand) -> None:
        bench = self._company.bench(errand.role)
        transports = [t for t in command_transports(bench.profile, errand.name) if bench.offers(NEED_OF[t])]
        recorder, value = self._company.recorder, errand.value
        told = None if value is None else json_text(value)
        transport = transports[0].value if transports else None
        recorder.record(Stimulus(Act.AUTOMATE, errand.name, told, transport), errand.role)
        if transport is None:
            recorder.record(
                Note(f"{errand.why}: this bench has no transport to command {errand.name}"), errand.role
            )
            return
        send = bench.perform if errand.is_action else bench.command
        try:
            await send(errand.name, value, transport=transport)
        except LinkError as problem:
            recorder.record(Note(f"{errand.why}: {problem}"), errand.role)

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (problem := task.exception()) is not None:
            self._company.recorder.record(Note(f"the hub failed: {type(problem).__name__}: {problem}"))
