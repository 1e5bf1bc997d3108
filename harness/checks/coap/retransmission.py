"""How the device repeats unacknowledged messages (RFC 7252, 4.2)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from harness.checks.bench import Bench, CoapEndpoint, StimulusError
from harness.checks.case import Case, failed, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.support.coap.client import (
    ANSWER,
    SELF_NOTIFYING,
    arrives,
    find_levers,
)
from harness.checks.support.coap.exchanges import windows_of
from harness.checks.support.coap.resources import slow_resource
from harness.checks.support.coap.silence import (
    DEFAULTS,
    Series,
    declared_transmission,
    deregister_in_silence,
    fall_silent,
    ignore_until_given_up,
    series_in,
)
from harness.model.bindings.coap import Transmission
from harness.model.ics import ics_of
from harness.model.profile import Profile
from harness.model.requirement import Area, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Event, Note
from harness.wire import coap

SHORTEST_ACK_TIMEOUT = 1.0  # seconds: less is not allowed without further measures (RFC 7252, 4.8.1)
INACCURACY = 0.3  # seconds: timers of small devices are coarse, and transmission times vary
SILENT_CHECKS = ("COAP-OBS-08", "COAP-CORE-12")
"""In the windows of these checks, clients acknowledge nothing."""


@requirement(
    "COAP-CORE-12",
    area=Area.COAP,
    standard="RFC 7252",
    clause="4.2, 4.8, 4.8.1, 4.8.2, 5.2.2",
    level=Level.MUST,
    purpose="ensure that the device repeats confirmable messages with growing timeouts until ACK or RST",
    stimulus="Acknowledge nothing until the device gives up; other clients answer the first retransmission "
    "with ACK and RST (the clients of COAP-OBS-08 count)",
    expect="The first retransmission after the declared ACK_TIMEOUT to ACK_TIMEOUT * ACK_RANDOM_FACTOR; if "
    "none is declared, after at least 1 s (4.8.1); each further timeout twice the previous one; at most "
    "MAX_RETRANSMIT (4) retransmissions, all identical; none after ACK or RST",
    ics="COAP.SEPARATE|COAP.OBSERVE_CON",
    needs=(BenchFeature.COAP,),
    usual_cause="The timer repeats at a constant interval, or is not stopped by RST.",
    phase=Phase.OUTAGE,
)
class Retransmission(Check):
    """These timeouts are CoAP's congestion control."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        if any(each.answers == [] for each in observed_series(bench.profile, bench.trace)):
            return  # COAP-OBS-08 has just shown it
        if "COAP.OBSERVE_CON" in ics_of(bench.profile):
            (lever,) = await find_levers(bench)
            silent = await fall_silent(bench, lever)
            await lever.move(bench, 0)
            await deregister_in_silence(bench, silent)
        else:
            await ignore_separate_responses(bench)

    def judge(self, case: Case) -> Outcome:
        declared = declared_transmission(case.profile)
        series = observed_series(case.profile, case.trace)
        silent = [each for each in series if not each.answers]
        answered = [each for each in series if each.answers]
        for each in answered:
            if len(each.late) > 1:  # one may be due to a lost answer
                how = each.answers[0].value.type.name
                return failed(
                    f"repeated {len(each.late)} times after {how}", each.transmissions, each.answers[:1]
                )
        problems = [irregularity(each, declared) for each in silent]
        # A lost datagram makes one series irregular, not all of them.
        if silent and all(problems):
            return failed(problems[0] or "", silent[0].transmissions)
        if not silent:
            return inconclusive("no confirmable message was left unacknowledged until the device gave up")
        regular = silent[problems.index(None)]
        pauses = ", ".join(f"{gap:.1f}" for gap in regular.gaps)
        endings = ", ".join(sorted({each.answers[0].value.type.name for each in answered})) or "nothing else"
        return passed(
            f"repeated after {pauses} s, then given up; stopped by {endings}",
            regular.transmissions,
            [seen for each in answered for seen in (*each.transmissions, each.answers[0])],
        )


def observed_series(profile: Profile, trace: Sequence[Event]) -> list[Series]:
    """The confirmable messages that were watched to their end, in windows of silent clients."""
    declared = declared_transmission(profile)
    found: list[Series] = []
    for window in windows_of(trace, SILENT_CHECKS):
        series = series_in(window)
        if changes_by_itself(window):
            # What newer states did to the timeouts is not known, so only a regular series says something.
            series = [each for each in _chained(series) if irregularity(each, declared) is None]
        found += [each for each in series if each.observed_to(window[-1].time, declared)]
    return found


def _chained(series: Sequence[Series]) -> list[Series]:
    """One series per client that answered nothing: newer states continue the timeouts (RFC 7641, 4.5.2)."""
    chains: dict[str, Series] = {}
    for each in series:
        chain = chains.setdefault(each.transmissions[0].body.local, Series())
        chain.transmissions += each.transmissions
        chain.answers += each.answers
    for chain in chains.values():
        chain.transmissions.sort(key=lambda seen: seen.line)
    return [chain for chain in chains.values() if not chain.answers]


def changes_by_itself(window: Sequence[Event]) -> bool:
    """Whether the state changed without the harness: a newer notification may then replace an older one."""
    return any(isinstance(event.body, Note) and SELF_NOTIFYING in event.body.text for event in window)


def irregularity(series: Series, declared: Transmission | None) -> str | None:
    """What is wrong with the retransmissions of an unanswered message; None if nothing is."""
    gaps = series.gaps
    if len({seen.body.raw for seen in series.transmissions}) > len(
        {seen.value.mid for seen in series.transmissions}
    ):
        return "a retransmission differs from the first transmission"
    if not gaps:
        return "an unacknowledged confirmable message was never repeated"
    parameters = declared or DEFAULTS
    most = parameters.max_retransmit
    if len(gaps) > most:
        advice = (
            "" if declared else "; a profile can declare another bindings.coap.transmission.max_retransmit"
        )
        return f"an unacknowledged message was repeated {len(gaps)} times, more than {most}{advice}"
    if declared is None and gaps[0] < SHORTEST_ACK_TIMEOUT - INACCURACY:
        return f"the first retransmission came after {gaps[0]:.2f} s, sooner than {SHORTEST_ACK_TIMEOUT:g} s"
    least, latest = parameters.ack_timeout, parameters.first_timeout
    if declared and not least - INACCURACY <= gaps[0] <= latest + INACCURACY:
        return f"the first retransmission came after {gaps[0]:.2f} s, not after {least:g} to {latest:g} s"
    for earlier, later in pairwise(gaps):
        if abs(later - 2 * earlier) > 2 * INACCURACY:
            return f"a timeout of {later:.2f} s followed one of {earlier:.2f} s, which is not twice as long"
    return None


async def ignore_separate_responses(bench: Bench) -> None:
    """The same with separate responses, for a device without confirmable notifications."""
    slow = slow_resource(bench.profile)
    if slow is None:
        raise StimulusError("the device sends no confirmable messages")
    firsts: list[tuple[CoapEndpoint, Event]] = []
    endpoints = [await bench.coap.endpoint() for _ in range(3)]
    since = bench.mark()
    for endpoint in endpoints:
        endpoint.acknowledges = False
        mid, token = bench.coap.next_mid(), bench.coap.next_token()
        endpoint.send(coap.encode(coap.request(coap.Code.GET, slow.path, mid=mid, token=token)))
    for endpoint in endpoints:
        event = await bench.wait_for(
            arrives(endpoint, lambda message: message.is_response and message.type is coap.Type.CON),
            within=slow.takes + ANSWER,
            imposed_by="profile: bindings.coap.resources: takes",
            what=f"the separate response of {slow.path}",
            since=since,
        )
        if event is not None:
            firsts.append((endpoint, event))
    await ignore_until_given_up(bench, firsts)
