"""The harness's own lateness is not held against the device."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.links.clock.loop import run
from harness.model.loading.profiles import load_profile
from harness.model.verdict import Outcome, Verdict
from harness.report.run.timing import timing_of
from harness.session.bench.recording import RecordingBench, lateness
from harness.session.run import lane as lanes
from harness.session.run.judging import LATE, result_of_trace
from harness.session.run.lane import Lane
from harness.session.run.lateness import LoopWatch, extended
from harness.session.run.plan import plan
from harness.session.target import Target, needs_met
from harness.trace.events import CheckStarted, Event, Judged, LoopLate, MqttPacket, Note, Point
from harness.trace.recorder import Recorder
from harness.wire import mqtt
from tests.checks.driving import ROOT, check_simulated

PLUG = ROOT / "profiles" / "smart-plug.yaml"


def test_a_loop_that_was_blocked_says_by_how_much() -> None:
    async def blocked() -> list[Event]:
        recorder = Recorder(asyncio.get_running_loop().time)
        watch = LoopWatch(recorder)
        watch.start()
        await asyncio.sleep(0.1)
        time.sleep(0.3)  # noqa: ASYNC251 - this is what the test is about
        await asyncio.sleep(0.1)
        watch.stop()
        return list(recorder.events)

    events = run(blocked(), virtual=False)
    assert lateness(events) >= 0.2
    assert timing_of(events).lateness == lateness(events)


def test_virtual_time_is_never_late() -> None:
    result = check_simulated(PLUG, select=["DEV-06"])
    assert not [event for event in result.events if isinstance(event.body, LoopLate)]


def test_a_wait_goes_on_for_as_long_as_the_loop_was_late() -> None:
    async def waited() -> Event | None:
        recorder = Recorder(asyncio.get_running_loop().time)
        bench = RecordingBench(recorder)
        loop = asyncio.get_running_loop()
        loop.call_later(0.5, recorder.record, LoopLate(0.4))
        loop.call_later(1.2, recorder.record, Note("the report"))
        return await bench.wait_for(lambda event: isinstance(event.body, Note), within=1.0)

    assert run(waited(), virtual=True) is not None


def delayed(events: list[Event], by: float, late: float) -> list[Event]:
    """The trace of a check in which every report came later, the loop having been late once."""
    changed: list[Event] = []
    for event in events:
        if isinstance(event.body, Judged):
            continue
        shift = by if any(isinstance(e.body, CheckStarted) for e in changed) and _is_report(event) else 0.0
        changed.append(replace(event, time=event.time + shift))
        if isinstance(event.body, CheckStarted) and late:
            changed.append(replace(event, body=LoopLate(late)))
    return [replace(event, line=line) for line, event in enumerate(changed, start=1)]


def _is_report(event: Event) -> bool:
    body = event.body
    if not isinstance(body, MqttPacket) or body.point is not Point.TAP or body.direction != "from-dut":
        return False
    return isinstance(mqtt.decode(body.raw, body.level), mqtt.Publish)


@pytest.mark.parametrize(
    ("late", "expected"), [(0.0, Verdict.FAIL), (0.1, Verdict.FAIL), (5.0, Verdict.INCONCLUSIVE)]
)
def test_a_deadline_missed_by_less_than_that_is_undecided(late: float, expected: Verdict) -> None:
    result = check_simulated(PLUG, select=["DEV-08*"])
    settle = max(result.profile.behaviour.settle, result.profile.behaviour.report_local)
    judged = result_of_trace(delayed(list(result.events), settle + 0.5, late), Path("trace.jsonl"))
    (outcome,) = [item.result.outcome for item in judged.judgements]
    assert outcome.verdict is expected, outcome.message
    assert (LATE in outcome.message) is (expected is Verdict.INCONCLUSIVE)


def test_such_a_check_is_tried_again_and_the_trace_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first try is spoilt by the harness, the second one is not."""
    profile = load_profile(PLUG)
    target = Target(simulate=True)
    met = frozenset(needs_met(profile, target))
    (planned,) = plan(profile, met, ["DEV-06[relay]"])
    real = lanes.judge
    spoilt = [True]

    async def drive() -> tuple[Lane, Verdict]:
        lane = Lane(profile, PLUG, target, seed=1)
        await lane.open()

        def judged(*arguments: object) -> object:
            found = real(*arguments)  # type: ignore[arg-type]
            if spoilt:
                spoilt.clear()
                outcome = Outcome(Verdict.INCONCLUSIVE, f"too late; {LATE} 0.5 s")
                return replace(found, result=replace(found.result, outcome=outcome))
            return found

        monkeypatch.setattr(lanes, "judge", judged)
        monkeypatch.setattr(lanes, "lateness", lambda events: 0.5)
        judgement = await lane.run(planned)
        await lane.close()
        return lane, judgement.result.outcome.verdict

    lane, verdict = run(drive(), virtual=True)
    assert verdict is Verdict.PASS
    assert sum(isinstance(event.body, CheckStarted) for event in lane.events) == 2
    assert [e for e in lane.events if isinstance(e.body, Note) and "is tried again" in e.body.text]


def test_every_deadline_of_a_profile_is_extended() -> None:
    profile = load_profile(PLUG)
    longer = extended(profile, 2.0)
    assert longer.behaviour.settle == profile.behaviour.settle + 2.0
    assert all(longer.settle(name) == profile.settle(name) + 2.0 for name in profile.properties)
    assert [rule.within for rule in longer.behaviour.rules] == [
        rule.within + 2.0 for rule in profile.behaviour.rules
    ]
