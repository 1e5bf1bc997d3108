"""Defending the device's names against a host that probes for them (RFC 6762, 6 and 8.1)."""

from __future__ import annotations

from harness.checks.bench import Bench
from harness.checks.case import (
    Case,
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
    ATTEMPTS,
    ask,
    settled_names,
)
from harness.checks.support.mdns.records_seen import (
    Packet,
    multicasts,
    queries,
    readable,
    sent_records,
)
from harness.checks.support.mdns.rival import rival_of
from harness.model.requirement import Area, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Event, MdnsPacket
from harness.wire.mdns.codec import (
    Question,
    RecordType,
)

_IN_TIME = 0.25  # seconds between two probes (RFC 6762, 8.1)
_WAY = 0.05  # seconds for the transmission of probe and answer
_TOO_LATE = 1.2  # seconds to wait for a slow defence


@requirement(
    "MDNS-13",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="6, 8.1",
    level=Level.SHOULD,
    purpose="ensure that the device defends its names before another host's probing ends",
    stimulus="Probe for the host name and the instance names with other records, with and without the "
    "unicast-response bit",
    expect="Each time the device sends its own records within 250 ms",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS,),
    usual_cause="Probes are answered like ordinary queries, with a random delay and at most once a second, "
    "or not at all because their type is ANY.",
    phase=Phase.REFUSAL,
)
class DefendsNames(Check):
    """Probes like a new device with the same names."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        names = await settled_names(bench)
        rival = rival_of(bench, names)
        for unicast in (True, False):
            for _ in range(ATTEMPTS):
                if await self._defended(bench, rival.probe(unicast=unicast), names.unique):
                    break
        await ask(bench, Question(names.host, RecordType.A))

    async def _defended(self, bench: Bench, probe: bytes, names: tuple[str, ...]) -> Event | None:
        since = [found.time for found in multicasts(seen_by(bench))][-1:]
        if since and (remaining := since[0] + _IN_TIME + _WAY - bench.now) > 0:
            await bench.watch_silence(
                remaining, imposed_by="RFC 6762 6", what="a defence may come 250 ms after the last multicast"
            )
        begin = bench.mark()
        bench.mdns.send(probe, "a probe for the names of the device")
        return await bench.wait_for(
            lambda event: (
                isinstance(event.body, MdnsPacket)
                and all(sent_records(seen_by(bench, begin), name) for name in names)
            ),
            within=_TOO_LATE,
            what="the device to defend its names",
            since=begin,
        )

    def judge(self, case: Case) -> Outcome:
        names = names_of(run_so_far(case))
        asked = [seen for seen in queries(case, names.host, RecordType.ANY) if seen.value.authorities]
        kinds = {seen.value.questions[0].unicast_response for seen in asked}
        if kinds != {True, False}:
            return inconclusive("the probes were not sent")
        if not sent_records(case, names.host, RecordType.A):
            return inconclusive("the device answers no queries")
        evidence: list[Evidence] = []
        for unicast in (True, False):
            tried = [seen for seen in asked if seen.value.questions[0].unicast_response is unicast]
            for name in names.unique:
                how = "by unicast" if unicast else "by multicast"
                defence = _defence(case, tried, name)
                if defence is None:
                    return failed(f"{readable(name)} was not defended against probes {how}", tried)
                probe, answer = defence
                took = answer.time - probe.time
                if took > _IN_TIME + _WAY:
                    return failed(
                        f"{readable(name)} was defended {1000 * took:.0f} ms after the probe, too late",
                        defence,
                    )
                evidence += defence
        return passed("every name was defended in time", evidence)


def _defence(case: Case, tried: list[Packet], name: str) -> tuple[Packet, Packet] | None:
    """The first probe that was answered, and the answer."""
    ends = [*(seen.line for seen in tried[1:]), None]
    for probe, end in zip(tried, ends, strict=True):
        answer = first(sent_records(case, name, after=probe.line, before=end))
        if answer:
            return probe, answer.packet
    return None
