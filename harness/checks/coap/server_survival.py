"""Whether the server survives malformed datagrams of all kinds."""

from __future__ import annotations

from harness.checks.bench import Bench
from harness.checks.case import Case, failed, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.support.coap.client import fence
from harness.checks.support.coap.crafted import (
    UNREADABLE_OPTIONS,
    crafted_get,
    dead_before,
    with_version,
)
from harness.checks.support.coap.exchanges import (
    exchanges,
    whole_run,
)
from harness.checks.support.coap.resources import steady_settings
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Direction
from harness.wire import coap

LARGEST_DATAGRAM = 1280  # bytes that every IPv6 link carries


@requirement(
    "PROFILE-21",
    area=Area.COAP,
    standard="profile",
    clause="bindings.coap",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the device survives malformed datagrams of all kinds and keeps its state",
    stimulus="Read all settings; send truncated, overlong and random datagrams, wrong versions and "
    "unreadable options without a pause; then an ordinary request; read all settings again",
    expect="The ordinary request is answered; all settings keep their values",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="A length from the network is used before it is checked, and memory behind the buffer "
    "is read or written.",
    phase=Phase.MALFORMED,
)
class Survival(Check):
    """Anyone who can reach the port can send anything."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        settings = steady_settings(bench.profile)
        for setting in settings:
            await bench.read(setting.name, transport="coap")
        endpoint = await bench.coap.endpoint()
        if not await fence(bench, endpoint):
            return
        for what, raw in malformed(bench):
            endpoint.send(raw, what)
        if not await fence(bench, endpoint):
            return
        for setting in settings:
            await bench.read(setting.name, transport="coap")

    def judge(self, case: Case) -> Outcome:
        crafted = [seen for seen in case.coap(Direction.TO_DUT) if seen.value.problems]
        ordinary = [each for each in exchanges(case) if each.asked.is_request and not each.asked.problems]
        if not crafted:
            return inconclusive("no malformed datagram was sent, because the server did not answer before")
        if silent := dead_before(case, crafted[0].line):
            return inconclusive("the server did not answer before the malformed datagrams", *silent.evidence)
        afterwards = [each for each in ordinary if each.sent[0].line > crafted[-1].line]
        if not any(each.response for each in afterwards):
            return failed(
                "an ordinary request after malformed datagrams was not answered",
                crafted[-1:],
                [each.sent[0] for each in afterwards],
            )
        for setting in steady_settings(case.profile):
            reported = [report for report in case.reports(setting.name, "coap") if report.asked]
            before = [report for report in reported if report.event.line < crafted[0].line]
            later = [report for report in reported if report.event.line > crafted[-1].line]
            if not before or not later:
                return inconclusive(f"{setting.name} was not reported before and after", crafted[-1:])
            if not setting.schema.agrees(later[-1].value, before[-1].value):
                change = f"from {before[-1].value!r} to {later[-1].value!r}"
                message = f"malformed datagrams changed {setting.name} {change}"
                return failed(message, before[-1], crafted[0], crafted[-1], later[-1])
        total = sum(bool(seen.value.problems) for seen in whole_run(case).coap(Direction.TO_DUT))
        return passed(
            f"alive with unchanged state after {len(crafted)} malformed datagrams, {total} in the whole run",
            crafted[0],
            crafted[-1],
            afterwards[0].evidence,
        )


def malformed(bench: Bench) -> list[tuple[str, bytes]]:
    """Datagrams that are not CoAP messages, each with what is wrong with it."""
    ordinary = crafted_get(bench)
    found = [(f"the first {size} bytes of a GET", ordinary[:size]) for size in range(1, 4)]
    found += [(f"a GET of version {version}", with_version(ordinary, version)) for version in (0, 2, 3)]
    for length in (9, 15):
        found.append(
            (f"a token length of {length}", crafted_get(bench, token=bench.random.randbytes(length)))
        )
    found.append(("a truncated token", bytes([0x48, 1]) + ordinary[2:6]))
    found += [
        (f"a GET with an {what}", crafted_get(bench) + tail) for what, tail in UNREADABLE_OPTIONS.items()
    ]
    found.append(("a marker without payload", crafted_get(bench) + b"\xff"))
    # An option whose length exceeds the datagram.
    claim = b"\xde\x00" + (LARGEST_DATAGRAM * 2).to_bytes(2, "big")
    found.append(("an option longer than any datagram", crafted_get(bench) + claim + b"x" * 1000))
    found.append(("an Empty message with trailing bytes", b"\x40\x00" + b"\x2a" * LARGEST_DATAGRAM))
    for _ in range(8):
        # A version other than 1 makes any random bytes malformed.
        noise = bench.random.randbytes(bench.random.randrange(4, 200))
        found.append(("random bytes", with_version(noise, 3)))
    return [(what, raw) for what, raw in found if coap.decode(raw).problems]
