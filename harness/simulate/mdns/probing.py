"""Claiming names: probing, giving way, announcing, and detecting conflicts (RFC 6762, 8 and 9)."""

from __future__ import annotations

import asyncio
import io
from collections import deque
from collections.abc import Callable
from random import Random

from dns.name import Name
from dns.rdatatype import ANY

from harness.simulate.mdns.answering import Outbox
from harness.simulate.mdns.codec import (
    Packet,
    Question,
    Record,
    query,
)
from harness.simulate.mdns.deviations import MdnsDeviations
from harness.simulate.mdns.records import RecordSet
from harness.simulate.mdns.sockets import ResponderSockets

_FIRST_PROBE_WITHIN = 0.25
_DEFER = 1.0  # after losing against a simultaneous probe (8.2)
_FREQUENT = (15, 10.0)  # this many conflicts in this many seconds are too many (8.1)


class Claimer:
    """Announces a record set, under other names if its own are taken.

    ``rename`` makes a record set without the lost names; ``records`` is the current one.
    """

    def __init__(
        self,
        link: ResponderSockets,
        outbox: Outbox,
        deviations: Callable[[], MdnsDeviations],
        records: RecordSet,
        rename: Callable[[RecordSet, set[Name]], RecordSet],
        random: Random,
    ) -> None:
        self.records = records
        self.established = False  # the names are claimed: queries are answered
        self._link = link
        self._outbox = outbox
        self._deviations = deviations
        self._rename = rename
        self._random = random
        self._loop = asyncio.get_running_loop()
        self._announced: asyncio.Future[None] = self._loop.create_future()
        self._conflicts: deque[float] = deque(maxlen=_FREQUENT[0])
        self._patient = False  # too many conflicts: waits before every further attempt
        self._known_to_link: RecordSet | None = None  # what was announced last
        self._lost: set[Name] = set()
        self._deferred = False
        self._disturbed = asyncio.Event()  # a probe was denied, or lost a tie
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts probing, from the beginning if it was probing before."""
        self.stop()
        self.established = False
        self._disturbed.clear()
        self._task = self._loop.create_task(self._claim())
        self._task.add_done_callback(self._ended)

    async def wait_announced(self) -> None:
        """Returns after the first announcement; raises an error that prevents it."""
        await self._announced

    def stop(self) -> None:
        """Cancels probing and announcing."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _claim(self) -> None:
        while not await self._probe():
            await self._recover()
        self.established = True
        self._patient = False
        await self._announce()

    # Probing

    async def _probe(self) -> bool:
        """Sends three probes; returns whether none was contradicted."""
        deviations = self._deviations()
        if self._patient:
            await asyncio.sleep(deviations.conflict_pause)
        if deviations.probes and await self._disturbed_within(self._random.uniform(0, _FIRST_PROBE_WITHIN)):
            return False
        for _ in range(deviations.probes):
            questions = [Question(name, ANY, unicast=True) for name in self.records.claims]
            self._link.send(query(questions, self.records.unique if deviations.probe_authorities else ()))
            if await self._disturbed_within(deviations.probe_interval):
                return False
        return True

    async def _disturbed_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._disturbed.wait()
        except TimeoutError:
            return False
        return True

    async def _recover(self) -> None:
        """After a lost probe: takes other names, or waits."""
        lost, deferred = self._lost, self._deferred
        self._lost, self._deferred = set(), False
        self._disturbed.clear()
        if lost:
            self._change_names(lost)
        elif deferred:
            await asyncio.sleep(_DEFER)

    def _change_names(self, lost: set[Name]) -> None:
        before = self._known_to_link
        self.records = self._rename(self.records, lost)
        if before is not None:
            # A shared record that is no longer true is withdrawn (8.4).
            gone = [record.with_ttl(0) for record in before.pointers if record not in self.records.pointers]
            if gone:
                self._outbox.send(gone)

    def _count_conflict(self) -> None:
        count, span = _FREQUENT
        now = self._loop.time()
        self._conflicts.append(now)
        if len(self._conflicts) == count and now - self._conflicts[0] < span:
            self._patient = True

    # Announcing

    async def _announce(self) -> None:
        deviations = self._deviations()
        if deviations.services_later:
            await asyncio.gather(
                self._announce_repeatedly(lambda: self.records.claims[self.records.host]),
                self._announce_repeatedly(lambda: self.records.of_services, after=deviations.services_later),
            )
        else:
            await self._announce_repeatedly(lambda: self.records.announced)
        self._set_announced()
        while deviations.announces_every is not None:
            await asyncio.sleep(deviations.announces_every)
            self._outbox.send(self.records.announced)

    async def _announce_repeatedly(self, records: Callable[[], list[Record]], after: float = 0.0) -> None:
        deviations = self._deviations()
        interval = deviations.announcement_interval
        if after:
            await asyncio.sleep(after)
        for number in range(deviations.announcements):
            if number:
                await asyncio.sleep(interval)
                interval *= 2
            self._outbox.send(records())
            self._known_to_link = self.records
            self._set_announced()

    def _set_announced(self) -> None:
        if not self._announced.done():
            self._announced.set_result(None)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self._announced.done() or task.cancelled():
            return
        failure = task.exception()
        if failure is not None:
            self._announced.set_exception(failure)

    def goodbye(self) -> None:
        """Withdraws everything that was announced (10.1)."""
        if self._known_to_link is not None and self.established:
            self._outbox.send([record.with_ttl(0) for record in self._known_to_link.announced])

    # Packets of other hosts

    def take_response(self, packet: Packet) -> None:
        """Looks for other hosts' records of the device's names."""
        for theirs in (*packet.answers, *packet.authorities, *packet.additionals):
            ours = self.records.claims.get(theirs.name)
            if ours is None or theirs.ttl == 0:
                self._rescue(theirs)
                continue
            deviations = self._deviations()
            if theirs in ours and (deviations.conflicts_with_itself or deviations.conflicts_with_equals):
                self._change_names({theirs.name})
                self.start()
                return
            if theirs in ours:
                self._rescue(theirs)
            elif not self.established:
                self._was_denied(theirs.name)
            elif any(theirs.type == record.type for record in ours):
                self._was_contradicted()
                return

    def _rescue(self, theirs: Record) -> None:
        """Announces a record of the device again if others hold it with too short a TTL (6.6)."""
        for record in self.records.by_name.get(theirs.name, ()):
            if self.established and record == theirs and theirs.ttl * 2 < record.ttl:
                self._outbox.add([record], 0)

    def _was_denied(self, name: Name) -> None:
        if self._deviations().gives_way:
            self._count_conflict()
            self._lost.add(name)
            self._disturbed.set()

    def _was_contradicted(self) -> None:
        if self._deviations().watches_for_conflicts:
            self._count_conflict()
            self.start()

    def take_probe(self, packet: Packet) -> None:
        """Another host probes for a name at the same time: the greater records win (8.2, 8.2.1)."""
        if self.established:
            return
        names = {question.name for question in packet.questions} & self.records.claims.keys()
        for name in names:
            ours = sorted(map(_ordering, self.records.claims[name]))
            theirs = sorted(_ordering(record) for record in packet.authorities if record.name == name)
            if theirs and (ours > theirs if self._deviations().tie_break_inverted else ours < theirs):
                self._deferred = True
                self._disturbed.set()


def _ordering(record: Record) -> tuple[int, bytes]:
    """Class, type and uncompressed rdata, compared as unsigned bytes; the class is always IN."""
    file = io.BytesIO()
    record.rdata.to_wire(file)
    return record.type, file.getvalue()
