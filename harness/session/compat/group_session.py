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

    player: GroupMember
    equipment: Equipment
    bench: LabBench
    recovery: Recovery
    absent: str | None = None


def facts_of(players: Sequence[GroupMember]) -> tuple[dict[str, Profile], dict[str, frozenset[BenchFeature]]]:
    """What is known of members before anything is opened: profiles, and what their benches will offer."""
    profiles = {player.role: player.profile for player in players}
    return profiles, {
        player.role: needs_met(player.profile, player.target) for player in _on_one_broker(players)
    }


class GroupSession:
    """Opens and closes everything for the members, and restarts what they share.

    Use: ``open``, then drive the benches, then ``close``.
    """

    def __init__(
        self, players: Sequence[GroupMember], purpose: Purpose, *, seed: int, trace: Path | None = None
    ) -> None:
        """Prepare; the trace is written to ``trace``. Raises UsageError for members that share no bus."""
        self.players = _on_one_broker(players)
        self.seed = seed
        self.started = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        self.ended: str | None = None
        self.recorder = Recorder(asyncio.get_running_loop().time, trace)
        self._purpose = purpose
        self._broker = _broker_of(self.players)
        self._addresses = [address_for(next(_numbers) % _ADDRESSES) for _ in players]
        self.members = {player.role: self._member(at, player) for at, player in enumerate(self.players)}

    @property
    def roles(self) -> tuple[str, ...]:
        """The names of the members, in order."""
        return tuple(self.members)

    @property
    def events(self) -> Sequence[Event]:
        """The trace so far."""
        return self.recorder.events

    def bench(self, role: str) -> LabBench:
        """What can be done to one device. Raises KeyError."""
        return self.members[role].bench

    def profile(self, role: str) -> Profile:
        """The profile of one device. Raises KeyError."""
        return self.members[role].player.profile

    def offers(self, need: BenchFeature, *roles: str) -> bool:
        """Whether the benches of all these roles (by default of all) have what ``need`` names."""
        return all(self.bench(role).offers(need) for role in roles or self.roles)

    async def open(self) -> None:
        """Open the links, start the devices, and wait until they are there.

        Raises the links' errors, whose messages are for people; then everything is closed again.
        """
        self._record_beginning()
        seconds = max(opening_allowance(player.profile) for player in self.players)
        try:
            async with asyncio.timeout(seconds):
                await self._open()
        except asyncio.CancelledError:
            raise  # interrupted: whoever did that closes
        except BaseException as problem:
            why = f"the links to the devices could not be opened within {seconds:g} s"
            await self.close(why if isinstance(problem, TimeoutError) else str(problem))
            raise

    async def close(self, ended: str = "complete") -> None:
        """End the run: the trace gets its last line, everything is closed. Nothing the second time."""
        if self.ended is not None:
            return
        self.ended = ended
        closers = [member.equipment.close for member in self.members.values()]
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
        """Why no check can be carried out now: a device is not there. None when all are.

        ``waits``: wait for each device, and bring back one that does not return by itself.
        """
        for role, member in self.members.items():
            if member.absent is None and waits:
                member.absent = await member.recovery.problem()
            if member.absent is not None:
                return f"{role}: {member.absent}"
        return None

    async def restart_broker(self, *, wipe: bool) -> None:
        """Restart the broker that all share; our own clients come back with it."""
        assert self._broker is not None, "planned without a broker"
        self.recorder.record(Stimulus(Act.RESTART_BROKER, "wiped" if wipe else "kept"))
        work: Awaitable[None] = self._broker.restart(wipe=wipe)
        for member in self.members.values():
            if member.equipment.mqtt_driver is not None:
                work = member.equipment.mqtt_driver.away_while(work)
        await work

    async def _open(self) -> None:
        if self._broker is not None:
            await self._broker.start()
        members = list(self.members.values())
        for member in members:
            await member.equipment.open()
        await asyncio.gather(*(member.equipment.start_device() for member in members))
        for member, there in zip(members, await asyncio.gather(*map(self._ready, self.roles)), strict=True):
            if not there:
                member.absent = member.equipment.absence(member.bench.waiting_for)
                self.recorder.record(Note(member.absent), member.player.role)

    def _member(self, at: int, player: GroupMember) -> OpenMember:
        recorder = DeviceRecorder(self.recorder, player.role)
        hosts = frozenset(address.device for address in self._addresses)
        equipment = Equipment(
            player.profile,
            player.target,
            recorder,
            seed=self.seed + at,
            address=self._addresses[at],
            bus=Bus(self._broker, player.role, hosts - {self._addresses[at].device}),
        )
        readings = Readings(player.profile, self.recorder.events, player.role)
        bench = LabBench(player.profile, equipment, readings, self.seed + at)
        recovery = Recovery(bench, partial(self._ready, player.role), (POWER_CYCLE,))
        return OpenMember(player, equipment, bench, recovery)

    def _record_beginning(self) -> None:
        purpose = self._purpose
        version = harness.__version__
        begin = TogetherStarted(
            purpose.name, self.roles, purpose.plan, purpose.path, self.seed, version, self.started, FORMAT
        )
        self.recorder.record(begin)
        for role, member in self.members.items():
            player, equipment = member.player, member.equipment
            begun = RunStarted(
                profile=profile_to_json(player.profile),
                profile_path=player.path,
                dut=player.target.description,
                seed=self.seed,
                tool_version=version,
                wall_time=self.started,
                needs_met=tuple(sorted(equipment.needs_met)),
                faults=player.target.faults,
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


def _on_one_broker(players: Sequence[GroupMember]) -> tuple[GroupMember, ...]:
    """The members, all on the external broker that one of them uses, if any.

    Raises UsageError if two members use different ones.
    """
    urls = {player.target.mqtt: player for player in players if player.target.mqtt}
    if len(urls) > 1:
        found = " and ".join(f"{player.role} on {url}" for url, player in urls.items())
        raise UsageError(f"the devices have to share one broker, but {found}")
    if not urls:
        return tuple(players)
    (url,) = urls
    return tuple(
        replace(player, target=replace(player.target, broker=url))
        if url and not player.target.mqtt
        else player
        for player in players
    )


def _broker_of(players: Sequence[GroupMember]) -> Broker | None:
    """The broker of all members; None if no member uses MQTT."""
    on_it = [player for player in players if player.profile.bindings.mqtt and player.target.watches_mqtt]
    if not on_it:
        return None
    target = on_it[0].target
    return broker_for(target.mqtt or target.broker, ca=target.ca)
