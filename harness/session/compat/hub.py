"""The hub: receives the reports of the devices, and carries out the automations between them.

It sees what a real hub would see: what the broker passes on to its clients, and the CoAP resources that it
observes. Everything that it sends is in the trace, each command with a stimulus of its own.
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

POLL = 1.0  # seconds between two reads of a property that cannot be observed


@dataclass(frozen=True, slots=True)
class HubCommand:
    """A command of the hub to a device: set a property or invoke an action, in the device's own terms."""

    why: str  # the interaction or automation that asks for it
    role: str
    name: str
    value: Value
    is_action: bool


class Automation(Protocol):
    """What the hub does when something is reported."""

    def watched(self) -> frozenset[tuple[str, str]]:
        """The properties and events, each with its role, that it depends on."""

    def heard(self, role: str, report: Report, changed: bool) -> Iterator[HubCommand]:
        """The commands that follow from a report; ``changed``: the value differs from the last one."""

    def availability(self, role: str, there: bool, event: Event) -> Iterator[HubCommand]:
        """The commands that follow when a device comes or goes."""

    def due(self, now: float) -> Iterator[HubCommand]:
        """The commands that follow because time has passed."""

    def next_due(self) -> float | None:
        """When to call :meth:`due` next, in seconds since the start of the run."""


class Hub:
    """Runs automations. Use: ``start`` once the session is open, ``stop`` before it closes."""

    def __init__(self, session: GroupSession, automation: Automation) -> None:
        self._session = session
        self._automation = automation
        self._readers = {
            role: ReportReader(session.profile(role), role, Point.CLIENT) for role in session.roles
        }
        self._loops = LoopGuard()
        self._known: dict[tuple[str, str], Value] = {}
        self._queue: asyncio.Queue[Event] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._pending: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._unlisten: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """Process what was reported already, and everything from now on."""
        for event in list(self._session.events):
            self._take(event, acting=False)
        self._unlisten = self._session.recorder.listen(self._queue.put_nowait)
        self._spawn(self._listen())
        for role, name in sorted(self._automation.watched()):
            if self._is_polled(role, name):
                self._spawn(self._poll(role, name))
        self._set_timer()

    async def stop(self) -> None:
        """Stop all automations."""
        self._unlisten()
        if self._timer is not None:
            self._timer.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def idle(self) -> None:
        """Wait until the hub has reacted to everything reported so far."""
        await self._queue.join()
        while commands := list(self._pending):
            await asyncio.gather(*commands, return_exceptions=True)

    async def _listen(self) -> None:
        while True:
            event = await self._queue.get()
            try:
                self._take(event, acting=True)
            except Exception as problem:  # a defect of the harness; the run continues
                self._session.recorder.record(Note(f"the hub failed: {type(problem).__name__}: {problem}"))
            finally:
                self._queue.task_done()

    def _take(self, event: Event, *, acting: bool) -> None:
        role = event.device
        if isinstance(event.body, Stimulus) and event.body.act is not Act.AUTOMATE:
            self._loops.disturbed()
        if role is None:
            return
        commands: list[HubCommand] = []
        for report in self._readers[role].read(event):
            if report.problem is None and self._is_ours(role, report):
                key = (role, report.name)
                is_event = report.name in self._session.profile(role).events
                if is_event and report.is_stored:
                    continue  # it happened before the hub was started
                changed = is_event or key not in self._known or not same_value(self._known[key], report.value)
                self._known[key] = report.value
                commands += self._automation.heard(role, report, changed)
        there = availability_in(self._session.profile(role), event)
        if there is not None:
            commands += self._automation.availability(role, there, event)
        if acting:
            self._run(commands)

    def _is_ours(self, role: str, report: Report) -> bool:
        """Whether the hub uses this transport: for a value on both transports it uses one."""
        return report.transport is self._reader(role, report.name)

    def _reader(self, role: str, name: str) -> Transport | None:
        bench = self._session.bench(role)
        open_ones = [t for t in reporting_transports(bench.profile, name) if bench.offers(NEED_OF[t])]
        return open_ones[0] if open_ones else None

    def _is_polled(self, role: str, name: str) -> bool:
        binding = self._session.profile(role).bindings.coap
        if self._reader(role, name) is not Transport.COAP or binding is None:
            return False
        return name in binding.properties and not binding.properties[name].observe

    async def _poll(self, role: str, name: str) -> None:
        bench = self._session.bench(role)
        while True:
            with contextlib.suppress(StimulusError, LinkError):  # the device is away: try again later
                await bench.read(name, transport=Transport.COAP.value)
            await asyncio.sleep(POLL)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._automation.next_due()
        if due is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, due - self._session.recorder.now), self._time_passed)

    def _time_passed(self) -> None:
        self._timer = None
        self._run(list(self._automation.due(self._session.recorder.now)))

    def _run(self, commands: list[HubCommand]) -> None:
        for command in commands:
            if self._loops.closes(command.why, self._session.recorder.now):
                self._note_loop(command)
                continue
            task = self._spawn(self._do(command))
            self._pending.add(task)
            task.add_done_callback(self._pending.discard)
        self._set_timer()

    def _note_loop(self, command: HubCommand) -> None:
        if self._loops.is_new(command.why):
            text = f"loop stopped after {MOST_ROUNDS} rounds: the hub would react to its own command again"
            self._session.recorder.record(Note(f"{command.why}: {text}"), command.role)

    async def _do(self, command: HubCommand) -> None:
        bench = self._session.bench(command.role)
        transports = [t for t in command_transports(bench.profile, command.name) if bench.offers(NEED_OF[t])]
        recorder, value = self._session.recorder, command.value
        text = None if value is None else json_text(value)
        transport = transports[0].value if transports else None
        recorder.record(Stimulus(Act.AUTOMATE, command.name, text, transport), command.role)
        if transport is None:
            recorder.record(
                Note(f"{command.why}: the bench has no transport for {command.name}"),
                command.role,
            )
            return
        send = bench.perform if command.is_action else bench.command
        try:
            await send(command.name, value, transport=transport)
        except LinkError as problem:
            recorder.record(Note(f"{command.why}: {problem}"), command.role)

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (problem := task.exception()) is not None:
            self._session.recorder.record(Note(f"the hub failed: {type(problem).__name__}: {problem}"))
