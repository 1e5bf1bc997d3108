"""What only the board knows: the firmware version that is running, its free memory, its clock."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from itertools import pairwise

from harness.checks.bench import Bench, StimulusError
from harness.checks.case import (
    Case,
    Evidence,
    failed,
    first,
    inconclusive,
    not_applicable,
    passed,
    run_so_far,
)
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.support.behaviour.arrange import precondition
from harness.checks.support.behaviour.commands import command_and_wait
from harness.checks.support.behaviour.outages import settings
from harness.checks.support.behaviour.transports import open_writers
from harness.checks.support.behaviour.trial_values import other_value
from harness.checks.support.identity import (
    MEANINGS,
    claims,
    pages_of,
    read_resources,
)
from harness.checks.support.networks import resolve
from harness.checks.support.serial.board import (
    answers,
    ask,
    binding_of,
    good,
    reboot,
)
from harness.model.bindings.serial import SerialCommand
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act, Event

CYCLES = 12
"""Rounds of commands, with the memory read after each; the first few rounds fill the caches."""

WARMING_UP = 4
LEAK = 0.02
"""Share of the free memory that may be lost between the end of the warm-up and the last reading."""

CLOCK_ERROR = 5.0  # seconds by which a clock may be off after it was set: it answers in whole seconds
NETWORK_ERROR = 120.0  # seconds by which this machine and the device's time server may differ
SHIFT = 86_400  # seconds
LEAST_TIME = 1_600_000_000  # seconds since 1970; an earlier time is wrong, no device was made before


@requirement(
    "SERIAL-26",
    area=Area.SERIAL,
    standard=("ETSI EN 303 645 V2.1.1 / TS 103 701 V1.1.1"),
    clause="5.3-16, 5.4-2, TC 5.3-16-2; profile: firmware",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that the device reports the same firmware version over its serial line, mDNS, HTTP "
    "and CoAP",
    stimulus="Ask the board for its version; resolve its services; read its info page and resources",
    expect="All report the same version, and the profile's where it declares one",
    ics="SERIAL.VERSION",
    needs=(BenchFeature.SERIAL,),
    usual_cause="The version is a constant in two repositories: the network module's and the main "
    "controller's.",
)
class OneVersion(Check):
    """Finds updates that reached only one of two processors."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await ask(bench, SerialCommand.FIRMWARE_VERSION)
        if bench.offers(BenchFeature.MDNS):
            await resolve(bench)
        await read_resources(bench)

    def judge(self, case: Case) -> Outcome:
        answered = good(answers(case, SerialCommand.FIRMWARE_VERSION))
        if not answered:
            return inconclusive("the board did not report its version")
        version, evidence = str(answered[0].value).strip(), list[Evidence]([answered[0].event])
        declared = case.profile.firmware or None  # an empty one is none
        if declared is not None and version != declared:
            return failed(
                f"the board reports version {version}, the profile declares {declared}", answered[0].event
            )
        for where, text, event in _elsewhere(case):
            if text.strip() != version:
                return failed(
                    f"the board reports version {version}, {where} reports {text}", answered[0].event, event
                )
            evidence.append(event)
        if len(evidence) == 1 and declared is None:
            return not_applicable(
                "nothing to compare: neither the profile nor another interface of the device has a version"
            )
        others = len(evidence) - 1
        ways = f"by the board and in {others} other places" if others else "by the board, as declared"
        return passed(f"version {version} is reported {ways}", evidence)


def _elsewhere(case: Case) -> Iterator[tuple[str, str, Event]]:
    """The versions that other interfaces report: name of the interface, version, and event."""
    keys = MEANINGS["firmware"]
    if case.profile.bindings.mdns is not None:
        for claim in claims(run_so_far(case)):
            if claim.key in keys:
                yield f"mDNS ({claim.key})", claim.value, claim.packet.event
    for page in pages_of(case):
        for key, value in page.members.items():
            if key.lower() in keys:
                yield f"the info page or resource ({key})", str(value), page.event


@requirement(
    "SERIAL-27",
    area=Area.SERIAL,
    standard="good practice (profile)",
    clause="profile: bindings.serial, memory",
    level=Level.MUST,
    basis=Basis.PRACTICE,
    purpose="ensure that the device does not lose free memory over repeated work",
    stimulus=f"Read the free memory in each of {CYCLES} rounds of commands and lost connections",
    expect="After the first rounds the figure goes up and down, and does not fall from round to round",
    ics="SERIAL.MEMORY",
    needs=(BenchFeature.SERIAL,),
    usual_cause="A buffer is allocated for each connection or message and freed on the good path only: the "
    "device runs for three weeks.",
    phase=Phase.OUTAGE,
)
class MemoryStays(Check):
    """Judges the trend, not a limit: some noise is allowed."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await ask(bench, SerialCommand.MEMORY)
        async with precondition(bench) as arranger:
            for _ in range(CYCLES):
                for name in settings(bench.profile):
                    for transport in open_writers(bench, name):
                        try:
                            value = await other_value(bench, arranger, name)
                        except StimulusError:
                            continue
                        await command_and_wait(bench, name, value, transport)
                        await arranger.look([name])
                if bench.offers(BenchFeature.TAP) and bench.tap.connected:
                    bench.tap.drop()
                    await bench.ready()
                await ask(bench, SerialCommand.MEMORY)

    def judge(self, case: Case) -> Outcome:
        answered = [
            each for each in good(answers(case, SerialCommand.MEMORY)) if isinstance(each.value, int | float)
        ]
        if len(answered) < CYCLES:
            return inconclusive(
                f"the board reported its free memory only {len(answered)} times", [e.event for e in answered]
            )
        figures = [float(each.value) for each in answered]
        steady = figures[WARMING_UP:]
        if not any(steady):
            return inconclusive(
                "the board always reports 0 bytes of free memory", [e.event for e in answered]
            )
        half = len(steady) // 2
        # The maximum of each half: memory that is in use for a moment does not count.
        earlier, later = max(steady[:half]), max(steady[half:])
        lost = earlier - later
        if lost > LEAK * earlier:
            return failed(
                f"free memory went from {earlier:g} to {later:g} bytes in {len(steady)} rounds",
                [each.event for each in answered[WARMING_UP:]],
            )
        if _always_falls(steady):
            return failed(
                f"free memory fell in every one of {len(steady)} rounds, from {steady[0]:g} to "
                f"{steady[-1]:g}",
                [each.event for each in answered[WARMING_UP:]],
            )
        return passed(
            f"free memory stayed between {min(steady):g} and {max(steady):g} bytes",
            [e.event for e in answered],
        )


def _always_falls(figures: list[float]) -> bool:
    return all(later < earlier for earlier, later in pairwise(figures))


@requirement(
    "SERIAL-28",
    area=Area.SERIAL,
    standard="profile",
    clause="bindings.serial: read_clock, set_clock",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the device has the right time after a reboot, or reports that it has none",
    stimulus="Set the clock a day ahead, reboot, and read it at once and again when the network is back",
    expect="The clock continues from the time that was set, or is set again from the network; never an old "
    "or invented time",
    ics="SERIAL.CLOCK & SERIAL.REBOOT",
    needs=(BenchFeature.SERIAL,),
    usual_cause="The clock starts at the build time, or at 1970 plus the time since power-on, and timers and "
    "certificates are evaluated with it.",
    phase=Phase.OUTAGE,
)
class ClockIsRight(Check):
    """0 means that the board knows no time, and is allowed; a wrong time is not."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        before = await ask(bench, SerialCommand.READ_CLOCK)
        if binding_of(bench.profile).knows(SerialCommand.SET_CLOCK):
            # Not the time of the network, so that the two can be told apart.
            other = (before if _is_time(before) else LEAST_TIME) + SHIFT
            await ask(bench, SerialCommand.SET_CLOCK, None, other)
            await ask(bench, SerialCommand.READ_CLOCK)
        await reboot(bench)
        await ask(bench, SerialCommand.READ_CLOCK)
        if not await bench.ready():
            raise StimulusError("the device did not come back to the network")
        await ask(bench, SerialCommand.READ_CLOCK)

    def judge(self, case: Case) -> Outcome:
        act = first(case.stimuli(Act.REBOOT))
        answered = good(answers(case, SerialCommand.READ_CLOCK))
        before = [each for each in answered if act is not None and each.line < act.line]
        after = [each for each in answered if act is not None and each.line > act.line]
        if act is None or not before or not after:
            return inconclusive("the clock was not read both before and after a reboot")
        last = before[-1]
        for each in after:
            kept = float(last.value) + each.event.time - last.event.time if _is_time(last.value) else None
            real = wall_time(case) + each.event.time
            if each.value == 0 or (kept is not None and abs(float(each.value) - kept) <= CLOCK_ERROR):
                continue  # it reports that it has no time, or it kept the time with a battery
            if not _is_time(each.value) or abs(float(each.value) - real) > NETWORK_ERROR:
                return failed(
                    f"the clock was {last.text} before the reboot and {each.text} after it: it neither "
                    "continued nor was set again",
                    last.event,
                    act,
                    each.event,
                )
        if after[-1].value == 0 and not _is_time(before[0].value):
            return inconclusive(
                "the board had no time before the reboot either: no network here provides it", act
            )
        if after[-1].value == 0:
            return failed(
                "the clock has no time after the reboot and was not set again from the network",
                before[0].event,
                act,
                after[-1].event,
            )
        return passed("the clock is right after the reboot", last.event, act, [e.event for e in after])


def wall_time(case: Case) -> float:
    """When the run began, in seconds since 1970 by the clock of the machine that ran it."""
    return datetime.datetime.fromisoformat(case.run.wall_time).timestamp()


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= LEAST_TIME
