"""How the device claims its names: probing and announcing (RFC 6762, 8)."""

from __future__ import annotations

from harness.checks.case import Case, Evidence, failed, inconclusive, passed, warned
from harness.checks.catalogue import Check, requirement
from harness.checks.support.mdns.names import own_names
from harness.checks.support.mdns.queries import (
    REPEATED,
    REPEATED_LATE,
    SERVICES_LATER,
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
    Startup,
    startups,
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
_SHORTEST = 0.375  # seconds from the first probe to the announcement: half of the required time

_AGAIN = (0.75, REPEATED + REPEATED_LATE)  # seconds after which it is repeated, on a slow link


@requirement(
    "MDNS-01",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="8, 8.1",
    level=Level.MUST,
    purpose="ensure that the device probes for its unique names before it uses them",
    stimulus="All starts of the device in the run count",
    expect="Three queries for host name and instance names, 250 ms apart, before the first announcement; of "
    "type ANY and with the unicast-response bit (recommended)",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS, BenchFeature.POWER),
    usual_cause="The responder announces its records as soon as the network is up: two devices with the same "
    "default name then both answer to it.",
)
class ProbesBeforeUse(Check):
    """Passive: looks at what comes before the first announcement of each name."""

    def judge(self, case: Case) -> Outcome:
        evidence: list[Evidence] = []
        weak: list[Packet] = []
        for boot in startups(case):
            if not boot.was_off:
                continue
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
                        f"{readable(name)} was announced {1000 * took:.0f} ms after the first probe, too "
                        "early for others to object",
                        asked,
                        claim.packet,
                    )
                weak += [seen for seen in asked if not _is_recommended(seen, name)]
                evidence += [*asked[-_PROBES:], claim.packet]
        if not evidence:
            return inconclusive("no announcement after a start was seen")
        if weak:
            return warned("probes have another type than ANY, or no unicast-response bit", weak[:3])
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
    purpose="ensure that the device's probes contain the records that it is about to announce",
    stimulus="All starts of the device in the run count",
    expect="Each unique record of the first announcement is in the authority section of a probe",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS, BenchFeature.POWER),
    usual_cause="Probes are sent as plain queries; two devices that start together then both keep the name.",
)
class ProbesCarryRecords(Check):
    """Passive: compares the probes with the announcement."""

    def judge(self, case: Case) -> Outcome:
        evidence: list[Evidence] = []
        for boot in startups(case):
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
            return inconclusive("no probe and announcement after a start were seen")
        return passed("probes propose the records that are announced later", evidence)


@requirement(
    "MDNS-06",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="8.3",
    level=Level.MUST,
    purpose="ensure that the device announces all its records at least twice, a second apart",
    stimulus="All starts of the device in the run count",
    expect="Unsolicited responses with the PTR, SRV, TXT and address records of the device, and the same "
    "again a second later",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS, BenchFeature.POWER),
    usual_cause="Only one announcement is sent; if that packet is lost, as often happens on Wi-Fi, "
    "nobody notices the device until it is queried.",
)
class AnnouncesTwice(Check):
    """Passive: the first announcement after each start, and its repetition a second later."""

    def max_extension(self, profile: Profile) -> float:
        """Time for the services and the second announcement, which need no stimulus."""
        return SERVICES_LATER + _AGAIN[1]

    def judge(self, case: Case) -> Outcome:
        evidence: list[Evidence] = []
        for boot in startups(case):
            announcement = boot.announcement()
            if announcement is None or not boot.was_off:
                continue
            undisturbed = _undisturbed(boot, announcement)
            announced = _announced(boot, announcement)
            once = [found for found in announced if not _repeated(boot, found, undisturbed)]
            for found in once:
                if found.time + _AGAIN[1] <= undisturbed:
                    return failed(
                        f"{readable(found.record.name)} {type_name(found.record.type)} was announced only "
                        "once",
                        found.packet,
                    )
            missing = _lacks(case.profile, announced)
            if missing and undisturbed >= announcement.time + SERVICES_LATER:
                return failed(f"no {missing} record was announced within {SERVICES_LATER:g} s", announcement)
            if not once and not missing:
                evidence += [*dict.fromkeys(found.packet for found in announced)]
        if not evidence:
            return inconclusive("no start of the device was watched long enough")
        return passed("all records are announced, and again a second later", evidence)


def _announced(boot: Startup, announcement: Packet) -> list[RecordSeen]:
    """The first multicast of each of the device's own records, as long as nobody queried it.

    Hosts may be announced first and services later (RFC 6762, 8.3).
    """
    own, undisturbed = own_names(boot.case), _undisturbed(boot, announcement)
    return distinct(
        [
            found
            for packet in multicasts(boot.case)
            if announcement.line <= packet.line and packet.time <= undisturbed
            for found in records_of(packet)
            if found.section is Section.ANSWER
            and found.record.ttl
            and (found.record.name.lower() in own or target_of(found).lower() in own)
        ]
    )


def _repeated(boot: Startup, found: RecordSeen, undisturbed: float) -> bool:
    """Whether a record is announced again, a second after its first announcement."""
    earliest, latest = (found.time + seconds for seconds in _AGAIN)
    return any(
        found.record.same_data(other.record)
        for packet in multicasts(boot.case)
        if earliest <= packet.time <= min(latest, undisturbed)
        for other in records_of(packet)
        if other.section is Section.ANSWER
    )


def _undisturbed(boot: Startup, announcement: Packet) -> float:
    """Until when nobody queried or contradicted the device, so that its multicasts were unsolicited."""
    said = [
        *boot.case.mdns(Direction.TO_DUT),
        *(packet for packet in boot.case.mdns(Direction.OTHER) if not packet.value.response),
    ]
    return min((packet.time for packet in said if packet.time > announcement.time), default=boot.end)


def _lacks(profile: Profile, announced: list[RecordSeen]) -> str | None:
    """A type of record that an announcement lacks; None if it lacks none."""
    types = {found.record.type for found in announced}
    if not types & {RecordType.A, RecordType.AAAA}:
        return "address"
    services = profile.bindings.mdns.services if profile.bindings.mdns else ()
    wanted = (RecordType.PTR, RecordType.SRV, RecordType.TXT) if services else ()
    return next((kind.name for kind in wanted if kind not in types), None)
