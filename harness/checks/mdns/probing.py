"""How the device takes its names on the link: probing and announcing (RFC 6762, 8)."""

from __future__ import annotations

from harness.checks.case import Case, Evidence, failed, inconclusive, passed, warned
from harness.checks.catalogue import Check, requirement
from harness.checks.support.mdns.names import own_names
from harness.checks.support.mdns.queries import (
    REPEATED,
    REPEATED_LATE,
)
from harness.checks.support.mdns.records_seen import (
    UNIQUE_TYPES,
    Packet,
    RecordSeen,
    Section,
    distinct,
    multicasts,
    readable,
    records_of,
    target_of,
)
from harness.checks.support.mdns.rival import probes
from harness.checks.support.mdns.startups import (
    Boot,
    boots,
)
from harness.model.profile import Profile
from harness.model.requirement import Area, BenchFeature, Level
from harness.model.verdict import Outcome
from harness.trace.events import Direction
from harness.wire.mdns.codec import (
    RecordType,
    same_name,
    type_name,
)

_PROBES = 3
_SHORTEST = 0.375  # seconds from the first probe to the announcement: half of what the clause takes

_AT_ONCE = 0.5  # seconds in which the packets of one announcement come
_AGAIN = (0.75, REPEATED + REPEATED_LATE)  # seconds in which it comes again, on a link that delays packets


@requirement(
    "MDNS-01",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="8, 8.1",
    level=Level.MUST,
    purpose="ensure that the IUT probes for its unique names before it uses them",
    stimulus="Every start of the DUT in the run counts",
    expect="Three queries for host name and instance names, 250 ms apart, before the first announcement; of "
    "type ANY and with the unicast-response bit (recommended)",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS, BenchFeature.POWER),
    usual_cause="The responder announces its records as soon as the network is up: two devices with the same "
    "default name then answer for each other.",
)
class ProbesBeforeUse(Check):
    """Passive: what comes before the first announcement of each name."""

    def judge(self, case: Case) -> Outcome:
        evidence: list[Evidence] = []
        weak: list[Packet] = []
        for boot in boots(case):
            for claim in boot.first_claims().values():
                name = claim.record.name
                asked = probes(boot.case, name, before=claim.line)
                if not asked:
                    return failed(f"{readable(name)} was announced without a probe", boot.start, claim.packet)
                if len(asked) < _PROBES:
                    return failed(
                        f"{readable(name)} was announced after {len(asked)} probes, not {_PROBES}",
                        boot.start,
                        asked,
                        claim.packet,
                    )
                took = claim.time - asked[0].time
                if took < _SHORTEST:
                    return failed(
                        f"{readable(name)} was announced {1000 * took:.0f} ms after the first probe, when "
                        "others still had time to object",
                        asked,
                        claim.packet,
                    )
                weak += [seen for seen in asked if not _is_recommended(seen, name)]
                evidence += [*asked[-_PROBES:], claim.packet]
        if not evidence:
            return inconclusive("the device was not seen to announce itself after a start")
        if weak:
            return warned("probes ask for other than type ANY, or without the unicast-response bit", weak[:3])
        return passed("names are probed for before they are announced", evidence)


def _is_recommended(probe: Packet, name: str) -> bool:
    return all(
        question.type == RecordType.ANY and question.unicast_response
        for question in probe.value.questions
        if same_name(question.name, name)
    )


@requirement(
    "MDNS-02",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="8.2, 8.1",
    level=Level.MUST,
    purpose="ensure that probes carry the records that the IUT is about to announce",
    stimulus="Every start of the DUT in the run counts",
    expect="Each unique record of the first announcement stands in the authority section of a probe",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS, BenchFeature.POWER),
    usual_cause="Probes are sent as plain queries; two devices that start together then both keep the name.",
)
class ProbesCarryRecords(Check):
    """Passive: the probes against the announcement."""

    def judge(self, case: Case) -> Outcome:
        evidence: list[Evidence] = []
        for boot in boots(case):
            announcement = boot.announcement()
            if announcement is None:
                continue
            for found in _announced(boot, announcement):
                record = found.record
                asked = probes(boot.case, record.name, before=found.line)
                if record.type not in UNIQUE_TYPES or not asked:
                    continue
                proposed = [other for probe in asked for other in probe.value.authorities]
                if not any(record.same_data(other) for other in proposed):
                    return failed(
                        f"{readable(record.name)} {type_name(record.type)} was announced, but not proposed "
                        "by a probe",
                        asked[-1],
                        found.packet,
                    )
                evidence += [asked[-1], found.packet]
        if not evidence:
            return inconclusive("the device was not seen to probe and to announce itself after a start")
        return passed("probes propose what is announced after them", evidence)


@requirement(
    "MDNS-06",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="8.3",
    level=Level.MUST,
    purpose="ensure that the IUT announces all its records at least twice, a second apart",
    stimulus="Every start of the DUT in the run counts",
    expect="An unsolicited response with the PTR, SRV, TXT and address records of the DUT, and a second "
    "later the same",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS, BenchFeature.POWER),
    usual_cause="A single announcement is sent; where that packet is lost, which on Wi-Fi it often is, "
    "nobody notices the device until it looks for it.",
)
class AnnouncesTwice(Check):
    """Passive: the first announcement after each start, and what comes a second after it."""

    def max_extension(self, profile: Profile) -> float:
        """The second announcement comes by itself."""
        return _AGAIN[1] + _AT_ONCE

    def judge(self, case: Case) -> Outcome:
        evidence: list[Evidence] = []
        for boot in boots(case):
            announcement = boot.announcement()
            if announcement is None:
                continue
            lost = _repeated(boot, announcement)
            if lost and _undisturbed(boot, announcement) < announcement.time + _AGAIN[1]:
                continue
            if missing := _lacks(case.profile, _announced(boot, announcement)):
                return failed(f"the announcement has no {missing} record", announcement)
            if lost:
                return failed(
                    f"{readable(lost.record.name)} {type_name(lost.record.type)} was announced only once",
                    announcement,
                )
            evidence += [announcement, *_second(boot, announcement)[:1]]
        if not evidence:
            return inconclusive("no start of the device was watched for long enough")
        return passed("everything is announced, and a second later again", evidence)


def _announced(boot: Boot, announcement: Packet) -> list[RecordSeen]:
    """The device's own records in the first announcement, which may take several packets."""
    own = own_names(boot.case)
    return distinct(
        [
            found
            for packet in multicasts(boot.case)
            if announcement.time <= packet.time < announcement.time + _AT_ONCE
            for found in records_of(packet)
            if found.section is Section.ANSWER
            and found.record.ttl
            and (found.record.name.lower() in own or target_of(found).lower() in own)
        ]
    )


def _second(boot: Boot, announcement: Packet) -> list[Packet]:
    """The packets in which the announcement would come again."""
    earliest, latest = (announcement.time + seconds for seconds in _AGAIN)
    latest = min(latest, _undisturbed(boot, announcement))
    return [packet for packet in multicasts(boot.case) if earliest <= packet.time <= latest]


def _repeated(boot: Boot, announcement: Packet) -> RecordSeen | None:
    """A record of the first announcement that does not come again; None if all do."""
    again = [found for packet in _second(boot, announcement) for found in records_of(packet)]
    for found in _announced(boot, announcement):
        if not any(
            found.record.same_data(other.record) for other in again if other.section is Section.ANSWER
        ):
            return found
    return None


def _undisturbed(boot: Boot, announcement: Packet) -> float:
    """Until when nobody asked or contradicted the device, so that all it told was of its own accord."""
    said = [
        *boot.case.mdns(Direction.TO_DUT),
        *(packet for packet in boot.case.mdns(Direction.OTHER) if not packet.value.response),
    ]
    return min((packet.time for packet in said if packet.time > announcement.time), default=boot.end)


def _lacks(profile: Profile, announced: list[RecordSeen]) -> str | None:
    """A type of record that is missing in an announcement."""
    types = {found.record.type for found in announced}
    if not types & {RecordType.A, RecordType.AAAA}:
        return "address"
    services = profile.bindings.mdns.services if profile.bindings.mdns else ()
    wanted = (RecordType.PTR, RecordType.SRV, RecordType.TXT) if services else ()
    return next((kind.name for kind in wanted if kind not in types), None)
