"""Clients that acknowledge nothing, and what the device sends them (RFC 7252, 4.2; RFC 7641, 4.5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from harness.checks.bench import Bench, CoapEndpoint
from harness.checks.case import Case, Decoded
from harness.checks.support.coap.client import (
    Lever,
    Observation,
    arrives,
    cancel,
    observe,
)
from harness.checks.support.coap.exchanges import (
    Datagram,
    Exchange,
)
from harness.checks.support.coap.registrations import registrations
from harness.checks.support.coap.resources import binding_of
from harness.model.bindings.coap import Transmission
from harness.model.profile import Profile
from harness.trace.events import CoapDatagram, Direction, Event
from harness.wire import coap

DEFAULTS = Transmission()
SLOWEST_TIMEOUT = 20.0  # seconds to wait for the first retransmission if no parameters are declared
MARGIN = 1.0  # seconds for the device's timers and the transmission
RETRANSMISSION = "RFC 7252 4.2, 4.8: ACK_TIMEOUT until the first retransmission"


def declared_transmission(profile: Profile) -> Transmission | None:
    """The transmission parameters that the profile declares; None if they are to be measured."""
    return binding_of(profile).transmission


def first_timeout(profile: Profile) -> float:
    """Seconds in which the first retransmission must come."""
    declared = declared_transmission(profile)
    return (declared.first_timeout if declared else SLOWEST_TIMEOUT) + MARGIN


def given_up_after(declared: Transmission | None, first_gap: float | None) -> float:
    """Seconds until a message is given up, as declared or by its first timeout (None: never repeated)."""
    parameters = declared or DEFAULTS
    if first_gap is None:
        return parameters.max_transmit_wait
    measured = parameters.timeouts * first_gap
    return min(measured, declared.max_transmit_wait) if declared else measured


async def fall_silent(bench: Bench, lever: Lever) -> list[Observation]:
    """Fill the list of observers with clients that acknowledge nothing, and wait until the device gives up.

    With three or more clients, two answer the first retransmission: one with an ACK, one with an RST.
    Returns the clients that a non-conforming device may still have on its list.
    """
    path, count = lever.setting.path, binding_of(bench.profile).observers
    clients = [await observe(bench, path) for _ in range(count)]
    for client in clients:
        client.endpoint.acknowledges = False
    since = await lever.move(bench, 1)
    reported = [(client.endpoint, await lever.wait_notified(bench, client, 1, since)) for client in clients]
    await ignore_until_given_up(
        bench, [(endpoint, event) for endpoint, event in reported if event is not None]
    )
    if count < 3:
        return clients
    acknowledging = clients.pop(-2)
    await deregister(bench, [acknowledging])
    return clients


async def ignore_until_given_up(bench: Bench, firsts: Sequence[tuple[CoapEndpoint, Event]]) -> None:
    """Wait until the device must have stopped repeating these CON messages, each sent to one endpoint.

    With three or more messages, the last but one is acknowledged and the last is rejected, each when it is
    repeated.
    """
    answering = firsts[-2:] if len(firsts) >= 3 else []
    end = bench.now
    for endpoint, event in firsts:
        message = message_of(event)
        again = await bench.wait_for(
            arrives(endpoint, lambda other, mid=message.mid: other.mid == mid),  # type: ignore[misc]
            within=max(0.0, event.time + first_timeout(bench.profile) - bench.now),
            imposed_by=RETRANSMISSION,
            what="a confirmable message to be repeated",
            since=event.line,
        )
        if (endpoint, event) in answering and again is not None:
            endpoint.acknowledges = True
            (endpoint.reset if event is firsts[-1][1] else endpoint.acknowledge)(message)
        gap = again.time - event.time if again else None
        end = max(end, event.time + given_up_after(declared_transmission(bench.profile), gap) + MARGIN)
    if firsts:
        await bench.watch_silence(
            end - bench.now,
            imposed_by="RFC 7252 4.2, 4.8.2: until the last retransmission has timed out",
            what="the device to give up",
        )


async def deregister(bench: Bench, clients: Iterable[Observation]) -> None:
    """Deregister all clients."""
    for client in clients:
        client.endpoint.acknowledges = True
        await cancel(bench, client)


async def deregister_in_silence(bench: Bench, clients: Iterable[Observation]) -> None:
    """Deregister clients that acknowledge nothing, in case they are still registered.

    They still send no acknowledgements, because the judge recognises them by that.
    """
    for client in clients:
        await cancel(bench, client)


def message_of(event: Event) -> coap.Message:
    """The message in a datagram event."""
    assert isinstance(event.body, CoapDatagram)
    return coap.decode(event.body.raw)


def answers_of_ours(case: Case, local: str) -> list[Datagram]:
    """The empty ACKs and RSTs that one of our endpoints sent."""
    return [
        seen
        for seen in case.coap(Direction.TO_DUT)
        if seen.body.local == local
        and seen.value.is_empty
        and seen.value.type in (coap.Type.ACK, coap.Type.RST)
    ]


def silent_observers(case: Case) -> list[Exchange]:
    """The registrations whose clients were notified in CON messages and never answered."""
    return [
        each
        for each in registrations(case)
        if any(seen.value.type is coap.Type.CON for seen in each.notifications)
        and not answers_of_ours(case, each.local)
    ]


@dataclass(eq=False)
class Series:
    """One CON message of the device: its transmissions, and our answers."""

    transmissions: list[Datagram] = field(default_factory=list)
    answers: list[Datagram] = field(default_factory=list)

    @property
    def gaps(self) -> list[float]:
        """Seconds between the transmissions."""
        times = [seen.time for seen in self.transmissions]
        return [later - earlier for earlier, later in pairwise(times)]

    @property
    def late(self) -> list[Datagram]:
        """The transmissions that came after our first answer."""
        return [seen for seen in self.transmissions if self.answers and seen.line > self.answers[0].line]

    def observed_to(self, end: float, declared: Transmission | None) -> bool:
        """Whether by ``end`` the device must have given up or, without our answer, repeated the message."""
        first, gaps = self.transmissions[0].time, self.gaps
        if self.answers:
            return len(gaps) > 0 and end > self.answers[0].time + 2 * gaps[-1] + MARGIN
        return end >= first + given_up_after(declared, gaps[0] if gaps else None)


def series_in(events: Sequence[Event]) -> list[Series]:
    """The confirmable messages that the device sent in a part of a trace."""
    found: dict[tuple[str, int], Series] = {}
    for event in events:
        body = event.body
        if not isinstance(body, CoapDatagram):
            continue
        seen = Decoded(event, body, coap.decode(body.raw))
        key, type = (body.local, seen.value.mid), seen.value.type
        if body.direction is Direction.FROM_DUT and type is coap.Type.CON:
            found.setdefault(key, Series()).transmissions.append(seen)
        elif body.direction is Direction.TO_DUT and type in (coap.Type.ACK, coap.Type.RST) and key in found:
            found[key].answers.append(seen)
    return list(found.values())
