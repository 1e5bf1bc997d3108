"""What a device does not survive: the check that did it fails, and what follows names it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from harness.checks.bench import StimulusError
from harness.model.requirement import Basis, BenchFeature, Level
from harness.model.verdict import Verdict
from harness.session.bench.lab_bench import LabBench
from harness.session.bench.recovery import POWER_CYCLE, Recovery, Remedy
from harness.session.result import Judgement, RunResult
from harness.session.run import lane
from harness.session.run.judging import result_of_trace
from harness.trace.events import Act, CheckEnded, CheckStarted, DeviceLost, Event, Judged, Stimulus
from tests.checks.driving import ROOT, check_simulated

PLUG = ROOT / "profiles" / "smart-plug.yaml"
DUMMY = Path("trace.jsonl")
WAITED_FOR = "the device to be connected and subscribed over MQTT"


def by_check(result: RunResult) -> dict[str, Judgement]:
    return {item.result.id: item for item in result.judgements}


def lost_after(events: list[Event], check: str) -> dict[str, Judgement]:
    """The verdicts on a trace in which the device did not come back after that check."""
    end = next(e for e in events if isinstance(e.body, CheckEnded) and e.body.check == check)
    assert isinstance(end.body, CheckEnded)
    body = DeviceLost(check, end.body.subject, end.body.transport, WAITED_FOR, 25.0)
    changed = [*events[: end.line], replace(end, body=body), *events[end.line :]]
    kept = [event for event in changed if not isinstance(event.body, Judged)]
    return by_check(result_of_trace([replace(e, line=n) for n, e in enumerate(kept, start=1)], DUMMY))


@pytest.fixture(scope="module")
def conforming() -> list[Event]:
    result = check_simulated(PLUG, select=["MQTT-DEV-044", "DEV-05[power]", "DEV-16"])
    assert {item.result.outcome.verdict for item in result.judgements} == {Verdict.PASS}
    assert not [event for event in result.events if isinstance(event.body, DeviceLost)]
    return list(result.events)


def test_the_check_that_a_device_does_not_survive_has_failed(conforming: list[Event]) -> None:
    found = lost_after(conforming, "MQTT-DEV-044")
    judged = found["MQTT-DEV-044"]
    assert judged.result.outcome.verdict is Verdict.FAIL
    assert judged.result.outcome.message == (
        f"the device did not survive this check: waited 25 s for {WAITED_FOR}"
    )
    assert (judged.requirement.basis, judged.requirement.level) == (Basis.PRACTICE, Level.MUST)
    assert judged.result.outcome.events
    assert {item.result.outcome.verdict for name, item in found.items() if name != "MQTT-DEV-044"} == {
        Verdict.PASS
    }


def test_what_is_about_taking_something_well_fails_by_its_own_clause(conforming: list[Event]) -> None:
    judged = lost_after(conforming, "DEV-05")["DEV-05[power]"]
    assert judged.result.outcome.verdict is Verdict.FAIL
    assert judged.requirement.basis is not Basis.PRACTICE


def test_whose_link_was_cut_has_not_broken_the_clause(conforming: list[Event]) -> None:
    judged = lost_after(conforming, "DEV-16")["DEV-16"]
    assert judged.result.outcome.verdict is Verdict.FAIL
    assert judged.requirement.basis is Basis.PRACTICE


def test_a_device_that_never_reconnects_fails_where_its_link_is_cut_and_the_run_goes_on() -> None:
    result = check_simulated(PLUG, faults=["never-reconnects"], select=["PROFILE-05", "DEV-16", "DEV-01*"])
    found = by_check(result)
    for check in ("PROFILE-05", "DEV-16"):
        assert found[check].result.outcome.verdict is Verdict.FAIL
        assert "did not survive this check" in found[check].result.outcome.message
    assert {item.result.outcome.verdict for name, item in found.items() if name.startswith("DEV-01")} == {
        Verdict.PASS
    }
    again = result_of_trace(list(result.events), DUMMY)
    assert [item.result for item in again.judgements] == [item.result for item in result.judgements]


async def nothing(bench: LabBench) -> None: ...


def test_what_nothing_brings_back_is_named_with_its_check_ever_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("POWER_CYCLE", "WIPED_BROKER"):
        monkeypatch.setattr(lane, name, Remedy(BenchFeature.POWER, "prayer", nothing))
    result = check_simulated(PLUG, faults=["never-reconnects"], select=["DEV-01*", "PROFILE-05", "SEC-10*"])
    found = by_check(result)
    assert found["PROFILE-05"].result.outcome.verdict is Verdict.FAIL
    later = [item.result.outcome for name, item in found.items() if name.startswith("SEC-10")]
    assert later
    assert {outcome.verdict for outcome in later} == {Verdict.INCONCLUSIVE}
    assert all("has not come back since PROFILE-05" in outcome.message for outcome in later)


class FakeArrival:
    is_deaf = False


class FakeBench:
    """A bench of which nothing is asked but what recovery needs."""

    def __init__(self, *features: BenchFeature, cut_off: bool = False) -> None:
        self.features, self.is_cut_off = features, cut_off
        self.arrival, self.now, self.waiting_for = FakeArrival(), 0.0, WAITED_FOR
        self.lost: list[str] = []
        self.notes: list[str] = []
        self.power = self

    def offers(self, need: BenchFeature) -> bool:
        return need in self.features

    def note(self, text: str) -> None:
        self.notes.append(text)

    def lose(self, check: str, subject: str | None, transport: str | None, seconds: float) -> None:
        self.lost.append(check)

    async def kill(self) -> None:
        raise StimulusError("the switch is stuck")

    async def start(self) -> None: ...


async def never() -> bool:
    return False


def problem_after(bench: FakeBench) -> str | None:
    async def driven() -> str | None:
        recovery = Recovery(bench, never, (POWER_CYCLE,))  # type: ignore[arg-type]
        await recovery.see_to_it_after("DEV-04", "level", "mqtt")
        return await recovery.problem()

    return asyncio.run(driven())


def test_without_a_power_switch_people_hear_of_it() -> None:
    problem = problem_after(FakeBench())
    assert problem is not None
    assert problem.startswith(f"the device has not come back since DEV-04: waited for {WAITED_FOR}")
    assert "--power" in problem


def test_a_stuck_switch_is_noted_and_nothing_is_raised() -> None:
    bench = FakeBench(BenchFeature.POWER)
    problem = problem_after(bench)
    assert problem is not None and "--power" not in problem
    assert "the switch is stuck" in bench.notes
    assert bench.lost == ["DEV-04"]


def test_what_the_harness_left_without_power_is_no_fault_of_the_device() -> None:
    assert problem_after(bench := FakeBench(cut_off=True)) is not None
    assert bench.lost == []


def test_a_run_that_never_started_the_check_again_does_not_carry_its_loss(conforming: list[Event]) -> None:
    """A loss belongs to the run of the check that it follows."""
    acts = [event.body.act for event in conforming if isinstance(event.body, Stimulus)]
    assert Act.WRITE in acts or Act.RAW in acts
    end = next(e for e in conforming if isinstance(e.body, CheckStarted) and e.body.check == "MQTT-DEV-044")
    body = DeviceLost("MQTT-DEV-044", None, None, WAITED_FOR, 25.0)
    before = [*conforming[: end.line - 1], replace(end, body=body), *conforming[end.line - 1 :]]
    kept = [event for event in before if not isinstance(event.body, Judged)]
    found = by_check(result_of_trace([replace(e, line=n) for n, e in enumerate(kept, start=1)], DUMMY))
    assert found["MQTT-DEV-044"].result.outcome.verdict is Verdict.PASS


@pytest.mark.parametrize("has_power", [True, False])
def test_a_device_that_does_not_subscribe_again_is_there_all_the_same(
    monkeypatch: pytest.MonkeyPatch, has_power: bool
) -> None:
    """With power it is started again; without, only what needs a command stays open."""
    if not has_power:
        monkeypatch.setattr(lane, "POWER_CYCLE", Remedy(BenchFeature.POWER, "prayer", nothing))
    found = by_check(
        check_simulated(PLUG, faults=["subscribes-once"], select=["PROFILE-05", "PROFILE-63", "SEC-10[pay*"])
    )
    outcomes = {name: item.result.outcome for name, item in found.items()}
    assert outcomes["PROFILE-05"].verdict is Verdict.PASS
    assert not [outcome for outcome in outcomes.values() if "is not there" in outcome.message]
    commanded = outcomes["SEC-10[payloads/mqtt]"]
    if has_power:
        assert commanded.verdict is Verdict.PASS
    else:
        assert commanded.verdict is Verdict.INCONCLUSIVE
        assert "has not subscribed" in commanded.message
