"""A run in virtual time whose libraries do not all follow its clock gives errors, not verdicts."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from harness.checks.bench import Bench
from harness.checks.case import Case, passed
from harness.checks.catalogue import Check, check_named
from harness.links.clock.library_clocks import (
    FOREIGN_CLOCKS,
    ForeignClock,
)
from harness.model.loading.profiles import load_profile
from harness.model.verdict import ExitStatus, Outcome, Subject, Verdict
from harness.session.result import Judgement, run_status
from harness.session.run.judging import result_of_trace
from harness.session.run.plan import (
    PlannedCheck,
    plan,
)
from harness.session.run.runner import (
    LaneSpec,
    Runner,
)
from harness.session.target import Target, needs_met
from harness.trace.lines import read

PLUG = Path(__file__).parents[3] / "profiles" / "smart-plug.yaml"
SELECT = ("MQTT-DEV-00*", "DEV-01", "MDNS-26")
OWN = {foreign: getattr(importlib.import_module(foreign.module), foreign.name) for foreign in FOREIGN_CLOCKS}

each_clock = pytest.mark.parametrize("foreign", FOREIGN_CLOCKS, ids=lambda foreign: foreign.module)


def go_back_to_its_own(foreign: ForeignClock) -> None:
    setattr(importlib.import_module(foreign.module), foreign.name, OWN[foreign])


class Tampering(Check):
    """Gives a library its own clock back in the middle of a run."""

    declaration = check_named("DEV-01").declaration
    requirement = declaration.requirement
    needs = declaration.needs

    def __init__(self, foreign: ForeignClock) -> None:
        self._foreign = foreign

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        go_back_to_its_own(self._foreign)
        await bench.wait_for(lambda _: False, within=1.0)

    def judge(self, case: Case) -> Outcome:
        return passed("nothing is wrong", case.window)


def plug(trace: Path) -> tuple[Runner, LaneSpec, list[PlannedCheck]]:
    profile, target = load_profile(PLUG), Target(simulate=True)
    spec = LaneSpec("plug", profile, str(PLUG), target, seed=1, number=0, trace=trace)
    return Runner([spec], virtual=True), spec, list(plan(profile, needs_met(profile, target), SELECT))


def errors(judgements: list[Judgement], library: str) -> bool:
    tested = [item.result.outcome for item in judgements if item.result.outcome.verdict != "not-applicable"]
    return bool(tested) and all(
        outcome.verdict is Verdict.ERROR and library in outcome.message for outcome in tested
    )


@each_clock
def test_a_library_that_keeps_its_own_time_from_the_middle_of_a_run_on_leaves_errors(
    foreign: ForeignClock, tmp_path: Path
) -> None:
    trace = tmp_path / "trace.jsonl"
    runner, spec, planned = plug(trace)
    planned.insert(len(planned) // 2, PlannedCheck(Tampering(foreign), Subject("tampering")))
    for one in planned:
        runner.enqueue(spec.name, one)
    told = [runner.result(spec.name, one) for one in planned]
    result = runner.close()[spec.name]
    assert told[0].result.outcome.verdict is Verdict.PASS
    assert errors(told[len(planned) // 2 :], foreign.library)
    assert len(result.judgements) == len(planned)
    assert errors(list(result.judgements), foreign.library)
    assert run_status(result.judgements) == ExitStatus.UNDECIDED


@each_clock
def test_a_library_found_astray_at_the_end_leaves_errors_also_when_the_trace_is_judged_again(
    foreign: ForeignClock, tmp_path: Path
) -> None:
    trace = tmp_path / "trace.jsonl"
    runner, spec, planned = plug(trace)
    for one in planned:
        runner.enqueue(spec.name, one)
    assert runner.result(spec.name, planned[0]).result.outcome.verdict is Verdict.PASS
    for one in planned:
        runner.result(spec.name, one)
    go_back_to_its_own(foreign)
    result = runner.close()[spec.name]
    assert errors(list(result.judgements), foreign.library)
    again = result_of_trace(list(read(trace)), trace)
    assert again.judgements == result.judgements


def test_a_run_whose_libraries_follow_is_judged(tmp_path: Path) -> None:
    runner, spec, planned = plug(tmp_path / "trace.jsonl")
    for one in planned:
        runner.enqueue(spec.name, one)
    runner.seal(spec.name)
    for one in planned:
        runner.result(spec.name, one)
    result = runner.close()[spec.name]
    assert run_status(result.judgements) == ExitStatus.OK
