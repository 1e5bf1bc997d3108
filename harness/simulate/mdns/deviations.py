"""The behaviour of a simulated mDNS responder, and how faults change it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.simulate.mdns.codec import LARGEST_PAYLOAD


@dataclass(frozen=True, slots=True)
class MdnsDeviations:
    """Settings that faults change; the defaults conform. Times are in seconds."""

    # Claiming names (RFC 6762, 8 and 9)
    probes: int = 3
    probe_interval: float = 0.25
    probe_authorities: bool = True  # probes carry the proposed records
    gives_way: bool = True  # takes another name when a probe is denied
    tie_break_inverted: bool = False  # the loser of simultaneous probes continues
    conflict_pause: float = 5.0  # before further attempts, if conflicts are frequent
    watches_for_conflicts: bool = True  # probes again if another host contradicts its records later
    keeps_old_names: bool = False  # still answers for names that it gave up
    conflicts_with_equals: bool = False  # treats records identical to its own as a conflict
    conflicts_with_itself: bool = False  # treats its own packets as another host's
    defends: bool = True  # answers probes for its names
    defence_delay: float = 0.0
    announcements: int = 2
    announcement_interval: float = 1.0
    services_later: float = 0.0  # announces its services this long after its host; still conforming
    announces_every: float | None = None  # unprompted
    goodbye: bool = True

    # Records (RFC 6762, 10; RFC 6763)
    cache_flush_on_unique: bool = True
    cache_flush_on_shared: bool = False
    host_ttl: int = 120  # of A, SRV and NSEC
    other_ttl: int = 4500  # of PTR and TXT
    address: str | None = None  # announced instead of its own
    more_addresses: tuple[str, ...] = ()  # announced besides its own
    host: str | None = None  # host label instead of the declared one
    srv_port_offset: int = 0
    srv_weight: int = 0
    txt: tuple[bytes, ...] | None = None  # strings instead of the declared ones; () makes empty rdata
    pointer_name: str | None = None  # instance name in the PTR only
    splits_dots: bool = False  # a dot in an instance name ends a label
    label_bytes: Callable[[str], bytes] = str.encode  # encoding of an instance name: UTF-8
    service_type: str | None = None  # instead of the declared one, such as "_too_long_a_name._http"
    subtypes: bool = True
    enumerates: bool = True  # answers _services._dns-sd._udp
    enumerates_instances: bool = False  # … with instance names instead of types

    # Answers (RFC 6762, 6 and 7)
    answers_for: float | None = None  # answers nothing after this time
    obeys_known_answers: bool = True
    renews_half_expired: bool = True  # a known answer under half its TTL does not suppress an answer
    negative_answers: bool = True  # NSEC
    question_limit: int | None = None  # questions of one query that it reads
    ignores_case: bool = True
    additional_records: bool = True
    repeat_spacing: float = 1.0  # between two multicasts of a record
    shared_delay: tuple[float, float] = (0.02, 0.12)
    unique_delay: float = 0.0
    unicast_when_asked: bool = True
    largest_packet: int = LARGEST_PAYLOAD  # bytes; a larger answer is split
    legacy_answers: bool = True  # a plain DNS client gets an answer that it understands
