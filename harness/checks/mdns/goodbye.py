"""Goodbye at an orderly stop (RFC 6762, 10.1)."""

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
from harness.checks.declaration import Phase
from harness.checks.support.mdns.names import names_of
from harness.checks.support.mdns.queries import (
    restart,
    wait_ready_again,
)
from harness.checks.support.mdns.records_seen import (
    RecordSeen,
    readable,
    sent_records,
    target_of,
)
from harness.checks.support.mdns.startups import (
    Startup,
    startups,
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
    purpose="ensure that the device says goodbye when it is shut down in order",
    stimulus="Shut the device down, as its menu or a reboot does; earlier shutdowns of the run count",
    expect="The PTR records of its services are sent once more with a TTL of zero",
    ics="MDNS.GRACEFUL & DNSSD.SERVICE",
    needs=(BenchFeature.MDNS, BenchFeature.POWER),
    usual_cause="The network is switched off before the responder is stopped; apps then show the device for "
    "another 75 minutes.",
    phase=Phase.OUTAGE,
)
class SaysGoodbye(Check):
    """The device's multicasts between the stop and the next start."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        if not _stops(seen_by(bench)):
            await restart(bench)
            await wait_ready_again(bench)

    def judge(self, case: Case) -> Outcome:
        run = run_so_far(case)
        evidence: list[Evidence] = []
        for boot, stop in _stops(run):
            back = first(sent_records(run, after=stop.line))  # what it sends once it is started again
            gone = sent_records(run, after=stop.line, before=back.line if back else None, gone=True)
            for service in names_of(boot.case).services:
                pointer = _pointer(sent_records(boot.case, service.type, RecordType.PTR), service.name)
                if pointer is None:
                    continue
                withdrawn = _pointer(gone, service.name)
                if withdrawn is None:
                    return failed(
                        f"the device was shut down without a goodbye for {readable(service.name)}",
                        pointer.packet,
                        stop,
                    )
                evidence += [stop, withdrawn.packet]
        if not evidence:
            return inconclusive("no shutdown after an announcement was seen")
        return passed("the device says goodbye when it is shut down", evidence)


def _stops(case: Case) -> list[tuple[Startup, Decoded[Stimulus, Stimulus]]]:
    """The orderly stops of the window, each with the run time before it."""
    return [
        (boot, boot.ended_by)
        for boot in startups(case)
        if boot.ended_by and boot.ended_by.value.act is Act.STOP and boot.announcement()
    ]


def _pointer(pointers: list[RecordSeen], instance: str) -> RecordSeen | None:
    return first(reversed(pointers), lambda found: same_name(target_of(found), instance))
