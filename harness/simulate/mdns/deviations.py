"""What the mDNS responder of a simulated device does well unless a fault bends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.simulate.mdns.codec import LARGEST_PAYLOAD


@dataclass(frozen=True, slots=True)
class MdnsDeviations:
    """What a fault may bend; as it stands, the front conforms. Times are in seconds."""

    # Claiming names (RFC 6762, 8 and 9)
    probes: int = 3
    probe_interval: float = 0.25
    probe_authorities: bool = True  # probes carry the proposed records
    gives_way: bool = True  # takes another name when a probe is denied
    tie_break_inverted: bool = False  # the loser of simultaneous probes goes on
    conflict_pause: float = 5.0  # before further attempts, once conflicts have become frequent
    watches_for_conflicts: bool = True  # probes again when its records are contradicted later
    keeps_old_names: bool = False  # still answers for names that it had to give up
    conflicts_with_equals: bool = False  # takes others' records that are the same as its own for a conflict
    conflicts_with_itself: bool = False  # takes its own packets for another host's
    defends: bool = True  # answers probes for its names
    defence_delay: float = 0.0
    announcements: int = 2
    announcement_interval: float = 1.0
    announces_every: float | None = None  # without any cause
    goodbye: bool = True

    # Records (RFC 6762, 10; RFC 6763)
    cache_flush_on_unique: bool = True
    cache_flush_on_shared: bool = False
    host_ttl: int = 120  # of A, SRV and NSEC
    other_ttl: int = 4500  # of PTR and TXT
    address: str | None = None  # announced in place of its own
    host: str | None = None  # host label in place of the declared one
    srv_port_offset: int = 0
    srv_weight: int = 0
    txt: tuple[bytes, ...] | None = None  # strings in place of the declared ones; () makes empty rdata
    pointer_name: str | None = None  # instance name in the PTR alone
    splits_dots: bool = False  # a dot in an instance name ends a label
    label_bytes: Callable[[str], bytes] = str.encode  # how an instance name is written: UTF-8
    service_type: str | None = None  # in place of the declared one, such as "_too_long_a_name._http"
    subtypes: bool = True
    enumerates: bool = True  # answers _services._dns-sd._udp
    enumerates_instances: bool = False  # … with instance names instead of types

    # Answers (RFC 6762, 6 and 7)
    answers_for: float | None = None  # after so long it answers nothing any more
    obeys_known_answers: bool = True
    renews_half_expired: bool = True  # a known answer under half its TTL does not silence it
    negative_answers: bool = True  # NSEC
    question_limit: int | None = None  # questions of one query that it looks at
    ignores_case: bool = True
    additional_records: bool = True
    repeat_spacing: float = 1.0  # between two multicasts of a record
    shared_delay: tuple[float, float] = (0.02, 0.12)
    unique_delay: float = 0.0
    unicast_when_asked: bool = True
    largest_packet: int = LARGEST_PAYLOAD  # bytes; a larger answer is told in several
    legacy_answers: bool = True  # a plain DNS client gets the answer that it understands
