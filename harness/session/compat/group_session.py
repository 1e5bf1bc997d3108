"""Several devices of one run on one bus, each with a tap and an address of its own."""

from __future__ import annotations

import asyncio
import datetime
import itertools
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import harness
from harness.checks.observations import Readings
from harness.links.mqtt.brokers.broker import (
    Broker,
    broker_for,
)
from harness.model.loading.profiles import profile_to_json
from harness.model.profile import Profile
from harness.model.requirement import BenchFeature
from harness.session.bench.addresses import address_for
from harness.session.bench.equipment import (
    Bus,
    Equipment,
)
from harness.session.bench.lab_bench import LabBench
from harness.session.bench.recovery import POWER_CYCLE, Recovery
from harness.session.run.budget import opening_allowance
from harness.session.target import Target, UsageError, needs_met
from harness.trace.events import FORMAT, Act, Event, Note, RunEnded, RunStarted, Stimulus, TogetherStarted
from harness.trace.recorder import DeviceRecorder, Recorder

_ADDRESSES = 20_000  # loopback addresses until the first one is used again
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class GroupMember:
    """A device of the group. ``role`` is its name in trace and report."""

    role: str
    profile: Profile
    path: str
    target: Target


@dataclass(frozen=True, slots=True)
class Purpose:
    """Why the devices are run together; ``plan`` is the scene as canonical JSON text, if any."""

    name: str
    plan: str = ""
    path: str = ""


@dataclass(slots=True)
class OpenMember:
    """Everything that is open for one member. ``absent`` says why it could not be reached, if so."""

    member: GroupMember
    equipment: Equipment
    bench: LabBench
    recovery: Recovery
    absent: str | None = None


def facts_of(members: Sequence[GroupMember]) -> tuple[dict[str, Profile], dict[str, frozenset[BenchFeature]]]:
    """The profiles of the members, and the features that their benches will offer."""
    profiles = {member.role: member.profile for member in members}
    return profiles, {
        member.role: needs_met(member.profile, member.target) for member in _on_one_broker(members)
    }


class GroupSession:
    """Opens and closes everything for the members, and restarts what they share.

    Use: ``open``, then drive the benches, then ``close``.
    """

    def __init__(
        self, members: Sequence[GroupMember], purpose: Purpose, *, seed: int, trace: Path | None = None
    ) -> None:
        """Prepare; the trace is written to ``trace``. Raises UsageError for members that share no bus."""
        self.members = _on_one_broker(members)
        self.seed = seed
        self.started = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        self.ended: str | None = None
        self.recorder = Recorder(asyncio.get_running_loop().time, trace)
        self._purpose = purpose
        self._broker = _broker_of(self.members)
        self._addresses = [address_for(next(_numbers) % _ADDRESSES) for _ in members]
        self.open_members = {member.role: self._member(at, member) for at, member in enumerate(self.members)}

    @property
    def roles(self) -> tuple[str, ...]:
        """The names of the members, in order."""
        return tuple(self.open_members)

    @property
    def events(self) -> Sequence[Event]:
        """The trace so far."""
        return self.recorder.events

    def bench(self, role: str) -> LabBench:
        """The bench of one device. Raises KeyError."""
        return self.open_members[role].bench

    def profile(self, role: str) -> Profile:
        """The profile of one device. Raises KeyError."""
        return self.open_members[role].member.profile

    def offers(self, need: BenchFeature, *roles: str) -> bool:
        """Whether the benches of all these roles (by default of all) offer that feature."""
        return all(self.bench(role).offers(need) for role in roles or self.roles)

    async def open(self) -> None:
        """Open the links, start the devices, and wait until they are present.

        Raises the links' errors, whose messages are for people; then everything is closed again.
        """
        self._record_beginning()
        seconds = max(opening_allowance(member.profile) for member in self.members)
        try:
            async with asyncio.timeout(seconds):
                await self._open()
        except asyncio.CancelledError:
            raise  # interrupted: the caller closes
        except BaseException as problem:
            why = f"the links to the devices could not be opened within {seconds:g} s"
            await self.close(why if isinstance(problem, TimeoutError) else str(problem))
            raise

    async def close(self, ended: str = "complete") -> None:
        """End the run: write the last line of the trace, close everything. May be called twice."""
        if self.ended is not None:
            return
        self.ended = ended
        closers = [opened.equipment.close for opened in self.open_members.values()]
        problems = []
        for close in [*closers, *([self._broker.stop] if self._broker else [])]:
            try:
                await close()
            except Exception as problem:  # the rest still has to be closed
                problems.append(problem)
        self.recorder.record(RunEnded(ended))
        self.recorder.close()
        if problems:
            raise problems[0]

    async def ready(self, *roles: str) -> bool:
        """Wait until these devices (by default all) are present, and renew our CoAP observations."""
        return all(await asyncio.gather(*(self._ready(role) for role in roles or self.roles)))

    async def problem(self, *, waits: bool = True) -> str | None:
        """Why no check can be run now: a device that is absent. None if all are present.

        ``waits``: wait for each device, and recover one that does not come back by itself.
        """
        for role, opened in self.open_members.items():
            if opened.absent is None and waits:
                opened.absent = await opened.recovery.problem()
            if opened.absent is not None:
                return f"{role}: {opened.absent}"
        return None

    async def restart_broker(self, *, wipe: bool) -> None:
        """Restart the shared broker, and reconnect our own clients."""
        assert self._broker is not None, "planned without a broker"
        self.recorder.record(Stimulus(Act.RESTART_BROKER, "wiped" if wipe else "kept"))
        work: Awaitable[None] = self._broker.restart(wipe=wipe)
        for opened in self.open_members.values():
            if opened.equipment.mqtt_driver is not None:
                work = opened.equipment.mqtt_driver.away_while(work)
        await work

    async def _open(self) -> None:
        if self._broker is not None:
            await self._broker.start()
        open_members = list(self.open_members.values())
        for opened in open_members:
            await opened.equipment.open()
        await asyncio.gather(*(opened.equipment.start_device() for opened in open_members))
        for opened, there in zip(
            open_members, await asyncio.gather(*map(self._ready, self.roles)), strict=True
        ):
            if not there:
                opened.absent = opened.equipment.absence(opened.bench.waiting_for)
                self.recorder.record(Note(opened.absent), opened.member.role)

    def _member(self, at: int, member: GroupMember) -> OpenMember:
        recorder = DeviceRecorder(self.recorder, member.role)
        hosts = frozenset(address.device for address in self._addresses)
        equipment = Equipment(
            member.profile,
            member.target,
            recorder,
            seed=self.seed + at,
            address=self._addresses[at],
            bus=Bus(self._broker, member.role, hosts - {self._addresses[at].device}),
        )
        readings = Readings(member.profile, self.recorder.events, member.role)
        bench = LabBench(member.profile, equipment, readings, self.seed + at)
        recovery = Recovery(bench, partial(self._ready, member.role), (POWER_CYCLE,))
        return OpenMember(member, equipment, bench, recovery)

    def _record_beginning(self) -> None:
        purpose = self._purpose
        version = harness.__version__
        begin = TogetherStarted(
            purpose.name, self.roles, purpose.plan, purpose.path, self.seed, version, self.started, FORMAT
        )
        self.recorder.record(begin)
        for role, opened in self.open_members.items():
            member, equipment = opened.member, opened.equipment
            begun = RunStarted(
                profile=profile_to_json(member.profile),
                profile_path=member.path,
                dut=member.target.description,
                seed=self.seed,
                tool_version=version,
                wall_time=self.started,
                needs_met=tuple(sorted(equipment.needs_met)),
                faults=member.target.faults,
                host=None,
                format=FORMAT,
            )
            self.recorder.record(begun, role)

    async def _ready(self, role: str) -> bool:
        bench = self.bench(role)
        if not await bench.ready():
            return False
        if bench.offers(BenchFeature.COAP):
            await bench.renew_watch()
        return True


def _on_one_broker(members: Sequence[GroupMember]) -> tuple[GroupMember, ...]:
    """The members, all on the external broker that one of them uses, if any.

    Raises UsageError if two members use different ones.
    """
    urls = {member.target.mqtt: member for member in members if member.target.mqtt}
    if len(urls) > 1:
        found = " and ".join(f"{member.role} on {url}" for url, member in urls.items())
        raise UsageError(f"the devices have to share one broker, but {found}")
    if not urls:
        return tuple(members)
    (url,) = urls
    return tuple(
        replace(member, target=replace(member.target, broker=url))
        if url and not member.target.mqtt
        else member
        for member in members
    )


def _broker_of(members: Sequence[GroupMember]) -> Broker | None:
    """The broker of all members; None if no member uses MQTT."""
    on_it = [member for member in members if member.profile.bindings.mqtt and member.target.watches_mqtt]
    if not on_it:
        return None
    target = on_it[0].target
    return broker_for(target.mqtt or target.broker, ca=target.ca)
