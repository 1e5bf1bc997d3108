"""Faults in how the mDNS responder answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.simulate.faults import fault
from harness.simulate.faults.mdns._rewriting import (
    OPCODE,
    RCODE,
    announces,
    declared_txt,
    flags_of,
    named_beyond_ascii,
    offers_services,
    only_responses,
    points_to_itself,
    responder,
    with_flags,
)
from harness.simulate.mdns.codec import (
    AUTHORITATIVE,
    RESPONSE,
    Question,
    read,
    responses,
)

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice


@fault(
    name="mdns-not-authoritative",
    title="answers without the AA bit, like a caching DNS server",
    breaks=("MDNS-26",),
    applies=announces,
)
def mdns_not_authoritative(device: SimulatedDevice) -> None:
    """A unicast DNS encoder is reused."""
    responder(device).outgoing.append(
        only_responses(lambda packet: with_flags(packet, flags_of(packet) & ~AUTHORITATIVE))
    )


@fault(
    name="mdns-question-repeated",
    title="repeats the question in its multicast answers",
    breaks=("MDNS-15",),
    applies=announces,
)
def mdns_question_repeated(device: SimulatedDevice) -> None:
    """Every unicast DNS answer does."""

    def repeat(data: bytes) -> bytes:
        packet = read(data)
        if packet is None or packet.questions or not packet.answers:
            return data
        asked = Question(packet.answers[0].name, packet.answers[0].type)
        return responses(packet.answers, packet.additionals, id=packet.id, questions=[asked])[0]

    responder(device).outgoing.append(only_responses(repeat))


@fault(
    name="mdns-first-question-only",
    title="answers only the first question of a query",
    breaks=("MDNS-19",),
    seen_as="F-MDNS-18",
    applies=announces,
)
def mdns_first_question_only(device: SimulatedDevice) -> None:
    """A querier with several questions gets only a part of the answers."""
    responder(device).deviate(question_limit=1)


@fault(
    name="mdns-no-negative-answers",
    title="does not answer a query for a type that its name does not have",
    breaks=("MDNS-16",),
    seen_as="F-MDNS-06",
    applies=announces,
)
def mdns_no_negative_answers(device: SimulatedDevice) -> None:
    """Queriers for its IPv6 address must wait for a timeout."""
    responder(device).deviate(negative_answers=False)


@fault(
    name="mdns-no-address-yet",
    title="announces the address 0.0.0.0",
    breaks=("MDNS-17",),
    seen_as="F-MDNS-04",
    applies=announces,
)
def mdns_no_address_yet(device: SimulatedDevice) -> None:
    """The records were made before DHCP had an address."""
    responder(device).deviate(address="0.0.0.0")


@fault(
    name="mdns-stale-address",
    title="announces its link-local address from before DHCP",
    breaks=("MDNS-17",),
    seen_as="F-MDNS-05",
    applies=announces,
)
def mdns_stale_address(device: SimulatedDevice) -> None:
    """The record is never updated."""
    responder(device).deviate(address="169.254.17.4")


@fault(
    name="mdns-off-link-address",
    title="announces an address of another network besides its own",
    breaks=("MDNS-17",),
    seen_as="F-MDNS-05",
    applies=announces,
)
def mdns_off_link_address(device: SimulatedDevice) -> None:
    """That of its second interface, such as its own access point."""
    responder(device).deviate(more_addresses=("192.168.4.1",))


@fault(
    name="mdns-case-sensitive",
    title="compares names byte by byte",
    breaks=("MDNS-29",),
    applies=announces,
)
def mdns_case_sensitive(device: SimulatedDevice) -> None:
    """Names in other case are not found."""
    responder(device).deviate(ignores_case=False)


@fault(
    name="mdns-known-answers-ignored",
    title="sends answers that the querier already has",
    breaks=("MDNS-20",),
    seen_as="F-MDNS-16",
    applies=offers_services,
)
def mdns_known_answers_ignored(device: SimulatedDevice) -> None:
    """The answer section of queries is ignored."""
    responder(device).deviate(obeys_known_answers=False)


@fault(
    name="mdns-expiring-answers-honoured",
    title="does not refresh known answers that are about to expire",
    breaks=("MDNS-20",),
    seen_as="F-MDNS-17",
    applies=offers_services,
)
def mdns_expiring_answers_honoured(device: SimulatedDevice) -> None:
    """It disappears from caches."""
    responder(device).deviate(renews_half_expired=False)


@fault(
    name="mdns-shared-not-delayed",
    title="answers browsers without a delay",
    breaks=("MDNS-18",),
    seen_as="F-MDNS-23",
    applies=offers_services,
)
def mdns_shared_not_delayed(device: SimulatedDevice) -> None:
    """A hundred devices answer in the same millisecond."""
    responder(device).deviate(shared_delay=(0.0, 0.0))


@fault(
    name="mdns-unique-delayed",
    title="delays answers that only it can give",
    breaks=("MDNS-18",),
    seen_as="F-MDNS-23",
    applies=offers_services,
)
def mdns_unique_delayed(device: SimulatedDevice) -> None:
    """All answers have the same delay."""
    responder(device).deviate(unique_delay=0.25)


@fault(
    name="mdns-repeats-within-second",
    title="multicasts the same records for every query, however quickly queries come",
    breaks=("MDNS-23",),
    seen_as="F-MDNS-11",
    applies=announces,
)
def mdns_repeats_within_second(device: SimulatedDevice) -> None:
    """It does not check when a record was last sent."""
    responder(device).deviate(repeat_spacing=0.0)


@fault(
    name="mdns-never-by-unicast",
    title="multicasts answers that were requested by unicast",
    breaks=("MDNS-24",),
    applies=announces,
)
def mdns_never_by_unicast(device: SimulatedDevice) -> None:
    """The unicast-response bit is masked out."""
    responder(device).deviate(unicast_when_asked=False)


@fault(
    name="mdns-legacy-as-multicast",
    title="answers plain DNS clients as if they supported multicast DNS",
    breaks=("MDNS-25",),
    seen_as="F-MDNS-09",
    applies=announces,
)
def mdns_legacy_as_multicast(device: SimulatedDevice) -> None:
    """They get no answer at their port."""
    responder(device).deviate(legacy_answers=False)


@fault(
    name="mdns-flush-on-shared",
    title="sets the cache-flush bit on shared records",
    breaks=("MDNS-08",),
    seen_as="F-MDNS-08",
    applies=offers_services,
)
def mdns_flush_on_shared(device: SimulatedDevice) -> None:
    """Each device removes all others of its kind from every cache."""
    responder(device).deviate(cache_flush_on_shared=True)


@fault(
    name="mdns-flush-missing",
    title="never sets the cache-flush bit",
    breaks=("MDNS-08",),
    applies=announces,
)
def mdns_flush_missing(device: SimulatedDevice) -> None:
    """Caches keep old addresses beside the new one."""
    responder(device).deviate(cache_flush_on_unique=False)


@fault(
    name="mdns-short-lived",
    title="announces its address with a lifetime of ten seconds",
    breaks=("MDNS-31",),
    applies=announces,
)
def mdns_short_lived(device: SimulatedDevice) -> None:
    """It is queried again and again."""
    responder(device).deviate(host_ttl=10)


@fault(
    name="mdns-byte-order-mark",
    title="puts a byte order mark in front of its name",
    breaks=("MDNS-30",),
    seen_as="F-MDNS-25",
    applies=offers_services,
)
def mdns_byte_order_mark(device: SimulatedDevice) -> None:
    """The name is kept in a text file that starts with one."""
    responder(device).deviate(label_bytes=lambda label: label.encode("utf-8-sig"))


@fault(
    name="mdns-name-in-latin-1",
    title="writes its name in Latin-1",
    breaks=("MDNS-30",),
    seen_as="F-MDNS-25",
    applies=named_beyond_ascii,
)
def mdns_name_in_latin_1(device: SimulatedDevice) -> None:
    """Every umlaut becomes a byte that is not UTF-8."""
    responder(device).deviate(label_bytes=lambda label: label.encode("latin-1", "replace"))


@fault(
    name="mdns-one-large-packet",
    title="puts all its records into one packet, however large",
    breaks=("MDNS-34",),
    applies=offers_services,
)
def mdns_one_large_packet(device: SimulatedDevice) -> None:
    """Its TXT record holds half of its configuration."""
    texts = tuple(f"s{number}=".encode() + 200 * b"-" for number in range(8))
    responder(device).deviate(largest_packet=9000, txt=(*declared_txt(device.profile), *texts))


@fault(
    name="mdns-header-unread",
    title="treats every packet as a query, whatever its opcode",
    breaks=("MDNS-27",),
    applies=announces,
)
def mdns_header_unread(device: SimulatedDevice) -> None:
    """Only the QR bit is checked."""
    responder(device).incoming.append(
        lambda packet: [with_flags(packet, flags_of(packet) & ~(OPCODE | RCODE))]
    )


@fault(
    name="mdns-parser-hangs",
    title="hangs in a name that points to itself",
    breaks=("MDNS-32",),
    applies=announces,
)
def mdns_parser_hangs(device: SimulatedDevice) -> None:
    """The responder loops for ever; the rest of the device works."""
    front = responder(device)
    hangs = False

    def hang(packet: bytes) -> list[bytes]:
        nonlocal hangs
        hangs = hangs or points_to_itself(packet)
        return [] if hangs else [packet]

    def restart(packet: bytes) -> list[bytes]:
        nonlocal hangs
        if not flags_of(packet) & RESPONSE:  # a probe: it has just been started
            hangs = False
        return [] if hangs else [packet]

    front.incoming.append(hang)
    front.outgoing.append(restart)


@fault(
    name="mdns-compression-unknown",
    title="drops queries with compressed names",
    breaks=("MDNS-32",),
    applies=announces,
)
def mdns_compression_unknown(device: SimulatedDevice) -> None:
    """Its parser knows only labels."""
    responder(device).incoming.append(lambda packet: [] if b"\xc0" in packet[12:] else [packet])
