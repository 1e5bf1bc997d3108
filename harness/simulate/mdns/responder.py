"""The simulated device as a multicast DNS responder with services (RFC 6762, RFC 6763)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from random import Random
from typing import Any

from dns.name import Name

from harness.model.bindings.mdns import (
    MdnsBinding,
    MdnsService,
)
from harness.model.profile import Profile
from harness.simulate.mdns.answering import (
    Answerer,
    Outbox,
)
from harness.simulate.mdns.codec import read
from harness.simulate.mdns.deviations import MdnsDeviations
from harness.simulate.mdns.probing import Claimer
from harness.simulate.mdns.records import RecordSet
from harness.simulate.mdns.sockets import (
    PacketFilter,
    Received,
    ResponderSockets,
)

__all__ = ["MdnsDeviations", "SimulatedMdnsResponder"]


class SimulatedMdnsResponder:
    """Announces one device on the link of ``host``, an IPv4 address that should be its own.

    ``port_of`` returns the port that really serves a service.
    """

    def __init__(
        self, profile: Profile, *, host: str, port_of: Callable[[MdnsService], int], random: Random
    ) -> None:
        self.deviations = MdnsDeviations()
        # Filters for faults: each turns one packet into those that are really sent or received.
        self.outgoing: list[PacketFilter] = []
        self.incoming: list[PacketFilter] = []
        # The addresses whose packets it receives, as if they were alone on the link; None: all.
        self.neighbours: Collection[str] | None = None
        self._binding = profile.bindings.mdns or MdnsBinding(host=profile.profile)
        self._host = host
        self._port_of = port_of
        self._random = random
        self._link: ResponderSockets | None = None
        self._outbox: Outbox
        self._claimer: Claimer
        self._answerer: Answerer
        # Kept over restarts: a device that had to take another name keeps it (RFC 6762, 9).
        self._host_label = self._binding.host
        self._instances = tuple(service.instance for service in self._binding.services)

    def deviate(self, **deviations: Any) -> None:
        """Deviate from the standard or the profile in the given ways."""
        self.deviations = replace(self.deviations, **deviations)

    @property
    def host_name(self) -> str:
        """Its current host name, such as ``plug-2.local.``; conflicts change it."""
        return f"{self._host_label}.local."

    @property
    def instances(self) -> tuple[str, ...]:
        """The current instance names of its services, in the order of the profile."""
        return self._instances

    async def start(self) -> None:
        """Claims its names; returns after the first announcement."""
        self._link = ResponderSockets(self._host, self._arrived, self.incoming, self.outgoing)
        self._link.hears_itself = self.deviations.conflicts_with_itself
        self._link.neighbours = self.neighbours
        records = self._record_set()
        self._outbox = Outbox(self._link, self._deviations, self._records)
        self._claimer = Claimer(
            self._link, self._outbox, self._deviations, records, self._renamed, self._random
        )
        self._answerer = Answerer(self._link, self._outbox, self._deviations, self._records, self._random)
        await self._link.open()
        self._claimer.start()
        await self._claimer.wait_announced()

    async def stop(self) -> None:
        """Says goodbye, if the profile declares that, and leaves the link."""
        if self._link is not None and self._binding.goodbye and self.deviations.goodbye:
            self._claimer.goodbye()
        await self.kill()

    async def kill(self) -> None:
        """Stops immediately, without a goodbye."""
        if self._link is None:
            return
        self._claimer.stop()
        self._answerer.clear()
        self._outbox.clear()
        link, self._link = self._link, None
        await link.close()

    def _deviations(self) -> MdnsDeviations:
        return self.deviations

    def _records(self) -> RecordSet:
        return self._claimer.records

    def _record_set(self) -> RecordSet:
        return RecordSet(
            self._binding,
            self.deviations,
            address=self._host,
            port_of=self._port_of,
            host=self.deviations.host or self._host_label,
            instances=self._instances,
        )

    def _renamed(self, records: RecordSet, lost: set[Name]) -> RecordSet:
        self._host_label, self._instances = records.renamed(lost)
        renewed = self._record_set()
        if self.deviations.keeps_old_names:
            renewed.keep(records)
        return renewed

    def _arrived(self, received: Received) -> None:
        packet = read(received.data) if self._claimer.records.concerns(received.data) else None
        if packet is None:
            return
        if packet.is_response:
            self._claimer.take_response(packet)
        elif self._claimer.established:
            self._answerer.take(packet, received)
        elif packet.authorities:
            self._claimer.take_probe(packet)
