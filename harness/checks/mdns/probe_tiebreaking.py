"""Another host that probes for the same names while the device starts (RFC 6762, 8.1 and 8.2)."""

from __future__ import annotations

from ipaddress import IPv4Address

from harness.checks.bench import Bench, StimulusError
from harness.checks.case import Case, failed, first, inconclusive, passed, seen_by, warned
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.support.mdns.names import (
    Names,
    is_among,
)
from harness.checks.support.mdns.queries import (
    announced_names,
    restart,
    wait_ready_again,
)
from harness.checks.support.mdns.records_seen import (
    Packet,
    is_multicast_response,
    readable,
)
from harness.checks.support.mdns.rival import (
    Rival,
    assertions,
    claims,
    dispute,
    new_names,
    probes,
    rival_of,
)
from harness.model.requirement import Area, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act, Direction, Event, MdnsPacket
from harness.wire import mdns
from harness.wire.mdns.codec import RecordType

_RENAMED = 4.0  # seconds from the first denial to the announcement of other names, with a margin
_DEFERRED = 0.8  # seconds of silence that count as the wait of one second, on a slow link
_LESS, _MORE = "1.0.0.1", "223.255.255.254"  # first bytes below and above 128, to detect signed comparisons
_GREATER, _LESSER = "a probe that wins the tie", "a probe that loses the tie"


@requirement(
    "MDNS-04",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="8.2, 8.2.1",
    level=Level.MUST,
    purpose="ensure that the device resolves simultaneous probes by comparing the records",
    stimulus="Restart the device; answer its first probe with a probe that has a greater address, and the "
    "first probe of its next attempt with one that has a lesser address",
    expect="First the device waits a second and probes again; then it continues and keeps its name",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS, BenchFeature.POWER),
    usual_cause="The comparison is inverted, or treats bytes above 127 as negative: both hosts give way "
    "for ever, or both keep the name.",
    phase=Phase.RESET,
)
class SimultaneousProbes(Check):
    """One restart, two ties."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        names = await announced_names(bench)
        begin = await restart(bench)
        if await _probe_or_announcement(bench, names.host, begin, not_before=0) is None:
            raise StimulusError("the device does not probe after its start")
        proposed = _proposed_address(seen_by(bench, begin), names.host)
        if proposed is None or not IPv4Address(_LESS) < proposed < IPv4Address(_MORE):
            raise StimulusError(f"the device's probes propose no usable address: {proposed}")
        at, line = bench.now, bench.mark()
        bench.mdns.send(Rival(Names(names.host, ()), _MORE).probe(unicast=True), _GREATER)
        again = await _probe_or_announcement(bench, names.host, line, not_before=at + _DEFERRED)
        if again is not None and not is_multicast_response(again):
            line = bench.mark()
            bench.mdns.send(Rival(Names(names.host, ()), _LESS).probe(unicast=True), _LESSER)
            await bench.wait_for(
                is_multicast_response,
                within=2 * _RENAMED,
                imposed_by="RFC 6762 8.1",
                what="the device to announce itself",
                since=line,
            )
        await wait_ready_again(bench)

    def judge(self, case: Case) -> Outcome:
        host = _contested(case)
        greater, lesser = _our_probe(case, _GREATER), _our_probe(case, _LESSER)
        if host is None or greater is None:
            return inconclusive("the device did not probe, or its announcement came first")
        deferred = first(
            probes(case, host, after=greater.line), lambda seen: seen.time >= greater.time + _DEFERRED
        )
        kept = first(claims(case, host, after=greater.line))
        if kept and (deferred is None or kept.line < deferred.line):
            return failed(
                f"the device took {readable(host)} although a greater probe came first",
                greater,
                kept.packet,
            )
        if deferred is None:
            renamed = new_names(case, [host], after=greater.line)
            if not renamed:
                return inconclusive("the device neither probed again nor announced itself")
            return warned(
                "the device took another name at once; the other host may be gone a second later",
                greater,
                renamed[0].packet,
            )
        if lesser is None:
            return inconclusive("the second tie did not occur")
        return _judge_victory(case, host, greater, deferred, lesser)


def _judge_victory(case: Case, host: str, greater: Packet, deferred: Packet, lesser: Packet) -> Outcome:
    """The device must ignore the lesser probe."""
    kept = first(claims(case, host, after=lesser.line))
    last = lesser
    for probe in probes(case, host, after=lesser.line, before=kept.line if kept else None):
        if probe.time - last.time >= _DEFERRED:
            return failed(
                f"a lesser probe for {readable(host)} made the device wait {probe.time - last.time:.1f} s",
                lesser,
                probe,
            )
        last = probe
    if kept is None:
        renamed = new_names(case, [host], after=lesser.line)
        if renamed:
            return failed(
                f"a lesser probe made the device give up {readable(host)}", lesser, renamed[0].packet
            )
        return inconclusive("the device did not announce itself", lesser)
    return passed(
        "the device gave way to a greater probe, but not to a lesser one",
        greater,
        deferred,
        lesser,
        kept.packet,
    )


def _contested(case: Case) -> str | None:
    probe = _our_probe(case, _GREATER)
    return probe.value.questions[0].name if probe else None


def _our_probe(case: Case, what: str) -> Packet | None:
    """Our probe of that kind: the packet after the stimulus."""
    act = first(case.stimuli(Act.RAW), lambda seen: seen.value.name == what)
    if act is None:
        return None
    return first(case.mdns(Direction.TO_DUT), lambda seen: seen.line > act.line)


def _proposed_address(case: Case, host: str) -> IPv4Address | None:
    """The address in the A record of the device's probes; the comparison starts with that record."""
    for probe in probes(case, host):
        for record in probe.value.authorities:
            if record.type == RecordType.A and mdns.same_name(record.name, host) and len(record.rdata) == 4:
                return IPv4Address(record.rdata)
    return None


async def _probe_or_announcement(bench: Bench, host: str, since: int, *, not_before: float) -> Event | None:
    """Wait until the device probes for its host name, not before a given time, or announces anything."""

    def wanted(event: Event) -> bool:
        if not isinstance(event.body, MdnsPacket) or event.body.direction is not Direction.FROM_DUT:
            return False
        message = mdns.decode(event.body.raw)
        if message.response:
            return any(record.ttl for record in message.answers)
        return event.time >= not_before and is_among(host, [each.name for each in message.questions])

    return await bench.wait_for(
        wanted,
        within=bench.profile.behaviour.boot,
        imposed_by="RFC 6762 8.1 and 8.2, profile: behaviour.boot",
        what=f"the device to probe for {readable(host)}",
        since=since,
    )


@requirement(
    "MDNS-03",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="8.1",
    level=Level.MUST,
    purpose="ensure that the device gives way when its probe is denied",
    stimulus="Restart the device, and answer its probes with other records of the same names",
    expect="It never announces the disputed names; it chooses other names (recommended) and announces those",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS, BenchFeature.POWER),
    usual_cause="Probes are sent, but their answers are ignored.",
    phase=Phase.RESET,
)
class GivesWay(Check):
    """Another host owns all the names when the device starts."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        rival = rival_of(bench, await announced_names(bench))
        await dispute(
            bench,
            rival,
            since=await restart(bench),
            within=bench.profile.behaviour.boot + _RENAMED,
            imposed_by="RFC 6762 8.1, profile: behaviour.boot",
        )
        await wait_ready_again(bench)

    def judge(self, case: Case) -> Outcome:
        denials = assertions(case)
        if not denials:
            return inconclusive("the device did not probe after its start, so its names could not be denied")
        start = case.stimuli(Act.START)[0]
        disputed = [record.name for record in denials[0].value.answers]
        asked = [probe for name in disputed for probe in probes(case, name, after=start.line)]
        for name in disputed:
            used = claims(case, name, after=start.line)
            if used and used[0].line < denials[0].line:
                return inconclusive(f"{readable(name)} was announced before it could be denied")
            if used:
                return failed(
                    f"the device announced {readable(name)} although its probe was denied",
                    asked[0],
                    denials[0],
                    used[0].packet,
                )
        others = new_names(case, disputed, after=denials[0].line)
        if not others:
            return warned("the device gave way, but did not announce another name", asked[0], denials[0])
        return passed(
            f"the device gave way, and is {readable(others[0].record.name)} now",
            asked[0],
            denials[0],
            others[0].packet,
        )
