"""The form of the device's multicasts: bits, lifetimes, names, sizes (RFC 6762, 10, 16 and 17)."""

from __future__ import annotations

import unicodedata

from harness.checks.case import Case, failed, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.support.mdns.names import own_names
from harness.checks.support.mdns.records_seen import (
    ADDRESSES,
    UNIQUE_TYPES,
    RecordSeen,
    is_simulated,
    link_of,
    multicasts,
    readable,
    records_of,
    target_of,
)
from harness.model.requirement import Area, BenchFeature, Level
from harness.model.verdict import Outcome
from harness.wire import mdns
from harness.wire.mdns.codec import (
    RecordType,
    split_name,
    type_name,
)

_HEADERS = 20 + 8  # bytes of the smallest IPv4 and UDP headers
_LARGEST = 9000 - _HEADERS  # bytes of a message (RFC 6762, 17)
_ETHERNET = 1500  # bytes: the MTU of a link of which the trace says nothing

_HOST_TTL, _OTHER_TTL = 120, 4500  # seconds (RFC 6762, 10)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def _multicast_records(case: Case) -> list[RecordSeen]:
    """The records of the device's own names that it multicast, without goodbyes."""
    own = own_names(case)
    return [
        found
        for packet in multicasts(case)
        for found in records_of(packet)
        if found.record.ttl and (found.record.name.lower() in own or target_of(found).lower() in own)
    ]


def _is_service_pointer(found: RecordSeen) -> bool:
    labels = [label.lower() for label in split_name(found.record.name)]
    return found.record.type == RecordType.PTR and labels[-2:-1] in ([b"_tcp"], [b"_udp"])


def _one_packet(case: Case) -> int:
    """Bytes of a message that needs no fragments on the link of the device."""
    link = link_of(case)
    if link is not None:
        return link.mtu - _HEADERS
    on_loopback = all(seen.body.source.startswith("127.") for seen in case.mdns())
    return _LARGEST if on_loopback and not is_simulated(case) else _ETHERNET - _HEADERS


def _kinds(found: list[RecordSeen]) -> list[RecordSeen]:
    """The first record of each type, as evidence."""
    return list({item.record.type: item for item in reversed(found)}.values())


@requirement(
    "MDNS-08",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="10.2, 8.3",
    level=Level.MUST,
    purpose="ensure that the device sets the cache-flush bit on unique records, and never on shared ones",
    stimulus="All records that the device multicasts in the run count",
    expect="Set on A, AAAA, SRV and TXT; clear on the PTR records of services",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS,),
    usual_cause="One function writes all records with the bit set; each device then removes all others of "
    "its type from every cache.",
)
class CacheFlush(Check):
    """Passive: the top bit of the class of each record."""

    def judge(self, case: Case) -> Outcome:
        found = _multicast_records(case)
        unique = [item for item in found if item.record.type in UNIQUE_TYPES]
        shared = [item for item in found if _is_service_pointer(item)]
        for item in unique:
            if not item.record.cache_flush:
                return failed(
                    f"{readable(item.record.name)} {type_name(item.record.type)} was multicast without the "
                    "cache-flush bit",
                    item.packet,
                )
        for item in shared:
            if item.record.cache_flush:
                return failed(
                    f"the shared PTR record of {readable(item.record.name)} has the cache-flush bit",
                    item.packet,
                )
        if not unique:
            return inconclusive("the device multicast none of its records")
        evidence = [item.packet for item in (*_kinds(unique), *shared[:1])]
        return passed(f"{len(unique)} unique and {len(shared)} shared records", evidence)


@requirement(
    "MDNS-30",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="16",
    level=Level.MUST,
    purpose="ensure that the device writes names in UTF-8 without byte order mark, not in Punycode",
    stimulus="All names that the device multicasts in the run count; names with non-ASCII letters show most",
    expect="Labels in well-formed UTF-8, precomposed (NFC), without byte order mark, none in Punycode",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS,),
    usual_cause="The name keeps the character set of the web form that it was typed into, or passes "
    "through a library that converts it to an internet domain name.",
)
class NamesInUtf8(Check):
    """Passive: the bytes of each label."""

    def judge(self, case: Case) -> Outcome:
        found = _multicast_records(case)
        for item in found:
            for name in (item.record.name, *_names_in(item.record.data)):
                for label in split_name(name):
                    if problem := _unfit_label(label):
                        return failed(f"the label {label!r} {problem}", item.packet)
        if not found:
            return inconclusive("the device multicast none of its records")
        return passed("all names are in UTF-8", [item.packet for item in _kinds(found)])


def _names_in(data: mdns.Data) -> tuple[str, ...]:
    match data:
        case mdns.Ptr(target) | mdns.Srv(target=target):
            return (target,)
    return ()


def _unfit_label(label: bytes) -> str | None:
    if label.startswith(_BYTE_ORDER_MARK):
        return "begins with a byte order mark"
    if label.lower().startswith(b"xn--"):
        return "is Punycode"
    try:
        text = label.decode()
    except UnicodeDecodeError:
        return "is not UTF-8"
    return None if unicodedata.is_normalized("NFC", text) else "is not precomposed (NFC)"


@requirement(
    "MDNS-31",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="10",
    level=Level.SHOULD,
    purpose="ensure that the device's records have the recommended lifetimes",
    stimulus="All records that the device multicasts in the run count",
    expect="120 s for records with the host name in name or data (A, AAAA, SRV), 75 minutes for PTR and TXT",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS,),
    usual_cause="All records have the same TTL: too long for addresses, which then survive a change of "
    "network, or too short for the rest, which is then queried over and over.",
)
class Lifetimes(Check):
    """Passive: the TTL of each record."""

    def judge(self, case: Case) -> Outcome:
        judged = []
        for item in _multicast_records(case):
            record = item.record
            if record.type in (*ADDRESSES, RecordType.SRV):
                wanted = _HOST_TTL
            elif record.type == RecordType.TXT or _is_service_pointer(item):
                wanted = _OTHER_TTL
            else:
                continue
            if record.ttl != wanted:
                return failed(
                    f"{readable(record.name)} {type_name(record.type)} has a TTL of {record.ttl} s, "
                    f"not {wanted}",
                    item.packet,
                )
            judged.append(item)
        if not judged:
            return inconclusive("the device multicast none of its records")
        return passed(f"{len(judged)} records", [item.packet for item in _kinds(judged)])


@requirement(
    "MDNS-34",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="17",
    level=Level.MUST,
    purpose="ensure that the device's messages fit the link, unless a single record is too large",
    stimulus="All multicast DNS messages that the device sends in the run count",
    expect="At most 9000 bytes with headers; more than the MTU of the link only for a single record",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS,),
    usual_cause="All answers are put into one packet, however large; its fragments get lost on Wi-Fi, where "
    "multicast is not repeated.",
)
class MessageSizes(Check):
    """Passive: the size of each message."""

    def judge(self, case: Case) -> Outcome:
        sent = case.mdns()
        one_packet = _one_packet(case)
        for seen in sent:
            size, records = len(seen.body.raw), seen.value.records
            if size > _LARGEST:
                return failed(f"a message has {size} bytes, more than {_LARGEST}", seen)
            if size > one_packet and len(records) > 1:
                return failed(
                    f"{len(records)} records in one message have {size} bytes, more than the {one_packet} "
                    "that fit one packet",
                    seen,
                )
        if not sent:
            return inconclusive("the device sent no multicast DNS message")
        largest = max(sent, key=lambda seen: len(seen.body.raw))
        return passed(f"{len(sent)} messages of up to {len(largest.body.raw)} bytes", largest)
