"""What only the board knows: the version that really runs, its free memory, its clock."""

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
"""Rounds of commands between the looks at the memory; the first few fill the caches."""

WARMING_UP = 4
LEAK = 0.02
"""Part of the free memory that may go between the end of warming up and the last look."""

CLOCK_ERROR = 5.0  # seconds that a clock may be wrong by after it was set: the answer comes in whole seconds
NETWORK_ERROR = 120.0  # seconds by which this machine and the device's time server may differ
SHIFT = 86_400  # seconds
LEAST_TIME = 1_600_000_000  # no device of this profile was made before; an earlier time is a wrong one


@requirement(
    "SERIAL-26",
    area=Area.SERIAL,
    standard=("ETSI EN 303 645 V2.1.1 / TS 103 701 V1.1.1"),
    clause="5.3-16, 5.4-2, TC 5.3-16-2; profile: firmware",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that the device tells the same firmware version over its serial line, mDNS, HTTP and "
    "CoAP",
    stimulus="Ask the board for its version; resolve its services; read its info page and resources",
    expect="All tell the same, and that of the profile where it declares one",
    ics="SERIAL.VERSION",
    needs=(BenchFeature.SERIAL,),
    usual_cause="The version is a constant in two repositories: that of the network module, and that of the "
    "main controller.",
)
class OneVersion(Check):
    """An update that only half arrived shows here."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await ask(bench, SerialCommand.FIRMWARE_VERSION)
        if bench.offers(BenchFeature.MDNS):
            await resolve(bench)
        await read_resources(bench)

    def judge(self, case: Case) -> Outcome:
        told = good(answers(case, SerialCommand.FIRMWARE_VERSION))
        if not told:
            return inconclusive("the board did not tell its version")
        version, evidence = str(told[0].value).strip(), list[Evidence]([told[0].event])
        declared = case.profile.firmware or None  # an empty one is none
        if declared is not None and version != declared:
            return failed(f"the board says {version}, the profile {declared}", told[0].event)
        for where, text, event in _elsewhere(case):
            if text.strip() != version:
                return failed(f"the board says {version}, {where} says {text}", told[0].event, event)
            evidence.append(event)
        if len(evidence) == 1 and declared is None:
            return not_applicable("neither the profile nor anything else of the device tells a version")
        others = len(evidence) - 1
        ways = f"the board and {others} other places" if others else "the board, as the profile declares"
        return passed(f"version {version}, says {ways}", evidence)


def _elsewhere(case: Case) -> Iterator[tuple[str, str, Event]]:
    """The versions that are told over other ways: the name of the way, the text, and the event."""
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
    purpose="ensure that free memory does not creep away over repeated work",
    stimulus=f"Ask for the free memory in each of {CYCLES} rounds of commands and lost connections",
    expect="After the first rounds the figure rises and falls, and does not fall from round to round",
    ics="SERIAL.MEMORY",
    needs=(BenchFeature.SERIAL,),
    usual_cause="A buffer is taken for each connection or message and given back on the good path only: the "
    "device runs for three weeks.",
)
class MemoryStays(Check):
    """A slope, not a limit: some noise is allowed."""

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
        told = [
            each for each in good(answers(case, SerialCommand.MEMORY)) if isinstance(each.value, int | float)
        ]
        if len(told) < CYCLES:
            return inconclusive(
                f"the board told its free memory {len(told)} times only", [e.event for e in told]
            )
        figures = [float(each.value) for each in told]
        steady = figures[WARMING_UP:]
        if not any(steady):
            return inconclusive(
                "the board tells 0 bytes of free memory all the time", [e.event for e in told]
            )
        half = len(steady) // 2
        # The best of each half: what is taken for a moment and given back does not count.
        earlier, later = max(steady[:half]), max(steady[half:])
        lost = earlier - later
        if lost > LEAK * earlier:
            return failed(
                f"free memory went from {earlier:g} to {later:g} bytes in {len(steady)} rounds",
                [each.event for each in told[WARMING_UP:]],
            )
        if _always_falls(steady):
            return failed(
                f"free memory fell in every one of {len(steady)} rounds, from {steady[0]:g} to "
                f"{steady[-1]:g}",
                [each.event for each in told[WARMING_UP:]],
            )
        return passed(
            f"free memory stayed between {min(steady):g} and {max(steady):g} bytes", [e.event for e in told]
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
    purpose="ensure that after a reboot the clock is right, or known to be wrong",
    stimulus="Set the clock a day ahead, reboot, and read it at once and when the network is there",
    expect="The time goes on from what was set, or is set again from the network; never an old or invented "
    "time",
    ics="SERIAL.CLOCK & SERIAL.REBOOT",
    needs=(BenchFeature.SERIAL,),
    usual_cause="The clock starts at the time of the build, or at 1970 plus the time since power-on, and "
    "timers and certificates are judged by that.",
)
class ClockIsRight(Check):
    """0 is an honest answer; a wrong time is not."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        before = await ask(bench, SerialCommand.READ_CLOCK)
        if binding_of(bench.profile).knows(SerialCommand.SET_CLOCK):
            # Another time than the network would tell, so that both can be told apart.
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
        told = good(answers(case, SerialCommand.READ_CLOCK))
        before = [each for each in told if act is not None and each.line < act.line]
        after = [each for each in told if act is not None and each.line > act.line]
        if act is None or not before or not after:
            return inconclusive("the clock was not read before and after a reboot")
        last = before[-1]
        for each in after:
            kept = float(last.value) + each.event.time - last.event.time if _is_time(last.value) else None
            real = wall_time(case) + each.event.time
            if each.value == 0 or (kept is not None and abs(float(each.value) - kept) <= CLOCK_ERROR):
                continue  # it knows that it does not know, or has a battery
            if not _is_time(each.value) or abs(float(each.value) - real) > NETWORK_ERROR:
                return failed(
                    f"the clock said {last.text} before the reboot and {each.text} after it: neither did it "
                    "go on, nor was it set",
                    last.event,
                    act,
                    each.event,
                )
        if after[-1].value == 0 and not _is_time(before[0].value):
            return inconclusive("the board knew no time before, either: no network here tells it", act)
        if after[-1].value == 0:
            return failed(
                "the clock knows no time after the reboot, and was not set again from the network",
                before[0].event,
                act,
                after[-1].event,
            )
        return passed("the clock is right after the reboot", last.event, act, [e.event for e in after])


def wall_time(case: Case) -> float:
    """Seconds since 1970 when the run began, by the clock of the machine that ran it."""
    return datetime.datetime.fromisoformat(case.run.wall_time).timestamp()


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= LEAST_TIME
