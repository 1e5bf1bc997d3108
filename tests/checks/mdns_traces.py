"""Traces made by hand, packet by packet, for the judges of mDNS."""

from __future__ import annotations

from collections.abc import Iterable

from harness.checks.case import Case
from harness.checks.catalogue import check_named
from harness.model.loading.profiles import (
    load_profile,
    profile_to_json,
)
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act, Body, Direction, Event, MdnsPacket, RunStarted, Stimulus
from harness.wire import mdns
from harness.wire.mdns.codec import (
    Question,
    Record,
    encode_query,
    encode_response,
    record,
)
from tests.checks.driving import ROOT

PROFILE = load_profile(ROOT / "fixtures" / "profiles" / "kitchen-light.yaml")
DEVICE, OURS, NEIGHBOUR = "192.0.2.7", "192.0.2.1", "192.0.2.99"
GROUP = "224.0.0.251:5353"

TYPE = "_http._tcp.local."
HOST = "light-51d0c7.local."
INSTANCE = mdns.join_name("Küche Nr. 2", "_http", "_tcp", "local")


def address(ttl: int = 120, host: str = HOST, text: str = DEVICE) -> Record:
    return record(host, mdns.Address(text), ttl=ttl, cache_flush=True)


def pointer(ttl: int = 4500, name: str = INSTANCE) -> Record:
    return record(TYPE, mdns.Ptr(name), ttl=ttl)


def server(ttl: int = 120, name: str = INSTANCE, host: str = HOST, port: int = 80) -> Record:
    return record(name, mdns.Srv(0, 0, port, host), ttl=ttl, cache_flush=True)


def text(*strings: bytes, name: str = INSTANCE) -> Record:
    return record(name, mdns.Txt(strings or (b"id=light-51d0c7", b"path=/info")), ttl=4500, cache_flush=True)


def everything(ttl: int | None = None) -> list[Record]:
    """What an announcement holds; with a TTL of zero, a goodbye."""
    ttls = {} if ttl is None else {"ttl": ttl}
    return [pointer(**ttls), address(**ttls), server(**ttls), text()]


class Trace:
    """Grows line by line; times are in seconds."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.add(
            0, RunStarted(profile_to_json(PROFILE), "kitchen-light.yaml", "by hand", 1, "0", "", ("mdns",))
        )

    def add(self, time: float, body: Body) -> Event:
        event = Event(len(self.events) + 1, time, body)
        self.events.append(event)
        return event

    def act(self, time: float, act: Act, name: str | None = None) -> None:
        self.add(time, Stimulus(act, name))

    def sent_records(
        self, time: float, *answers: Record, extra: Iterable[Record] = (), unicast: bool = False
    ) -> None:
        """The device tells records, everybody or us alone."""
        raw = encode_response(answers, additionals=extra)
        destination = f"{OURS}:5353" if unicast else GROUP
        self.add(time, MdnsPacket(Direction.FROM_DUT, f"{DEVICE}:5353", destination, raw, unicast))

    def probed(self, time: float, *names: str, records: Iterable[Record] = ()) -> None:
        """The device probes."""
        raw = encode_query([Question(name, 255, True) for name in names], authorities=records)
        self.add(time, MdnsPacket(Direction.FROM_DUT, f"{DEVICE}:5353", GROUP, raw))

    def asked(self, time: float, *questions: Question, known: Iterable[Record] = (), by: str = OURS) -> None:
        """Somebody asks; we, if nobody else is named."""
        direction = Direction.TO_DUT if by == OURS else Direction.OTHER
        raw = encode_query(questions, known_answers=known)
        self.add(time, MdnsPacket(direction, f"{by}:5353", GROUP, raw))

    def claimed(self, time: float, *records: Record) -> None:
        """We tell records of our own."""
        self.add(time, MdnsPacket(Direction.TO_DUT, f"{OURS}:5353", GROUP, encode_response(records)))

    def case(self, since: int = 0) -> Case:
        """Everything so far; the window begins at that index."""
        return Case(PROFILE, Subject(), self.events, self.events[since:])

    def judged(self, check: str, since: int = 0) -> Outcome:
        """What the judge of that check says."""
        return check_named(check).judge(self.case(since))
