"""Goodbye on an orderly stop (RFC 6762, 10.1)."""

from __future__ import annotations

from harness.checks.bench import Bench
from harness.checks.case import (
    Case,
    Decoded,
    Evidence,
    failed,
    first,
    inconclusive,
    passed,
    run_so_far,
    seen_by,
)
from harness.checks.catalogue import Check, requirement
from harness.checks.support.mdns.names import names_of
from harness.checks.support.mdns.queries import (
    ready_again,
    restarted,
)
from harness.checks.support.mdns.records_seen import (
    RecordSeen,
    readable,
    target_of,
    told,
)
from harness.checks.support.mdns.startups import (
    Boot,
    boots,
)
from harness.model.requirement import Area, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act, Stimulus
from harness.wire.mdns.codec import (
    RecordType,
    same_name,
)


@requirement(
    "MDNS-14",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="10.1, 8.4",
    level=Level.SHOULD,
    purpose="ensure that the IUT says goodbye on the link when it is stopped in order",
    stimulus="Stop the DUT as its menu or a reboot does; stops earlier in the run count, too",
    expect="The PTR records of its services are told once more, with a TTL of zero",
    ics="MDNS.GRACEFUL & DNSSD.SERVICE",
    needs=(BenchFeature.MDNS, BenchFeature.POWER),
    usual_cause="The network is switched off before the responder is told; apps then show the device for "
    "another 75 minutes.",
)
class SaysGoodbye(Check):
    """What the device multicasts between the stop and the next start."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        if not _stops(seen_by(bench)):
            await restarted(bench)
            await ready_again(bench)

    def judge(self, case: Case) -> Outcome:
        run = run_so_far(case)
        evidence: list[Evidence] = []
        for boot, stop in _stops(run):
            back = first(told(run, after=stop.line))  # what it tells once it is started again
            gone = told(run, after=stop.line, before=back.line if back else None, gone=True)
            for service in names_of(boot.case).services:
                pointer = _pointer(told(boot.case, service.type, RecordType.PTR), service.name)
                if pointer is None:
                    continue
                withdrawn = _pointer(gone, service.name)
                if withdrawn is None:
                    return failed(
                        f"the device was stopped in order without a goodbye for {readable(service.name)}",
                        pointer.packet,
                        stop,
                    )
                evidence += [stop, withdrawn.packet]
        if not evidence:
            return inconclusive("the device was not seen to be stopped after it had announced itself")
        return passed("the device says goodbye when it is stopped", evidence)


def _stops(case: Case) -> list[tuple[Boot, Decoded[Stimulus, Stimulus]]]:
    """The orderly stops of the window, with what went before since the start."""
    return [
        (boot, boot.ended_by)
        for boot in boots(case)
        if boot.ended_by and boot.ended_by.value.act is Act.STOP and boot.announcement()
    ]


def _pointer(pointers: list[RecordSeen], instance: str) -> RecordSeen | None:
    return first(reversed(pointers), lambda found: same_name(target_of(found), instance))
