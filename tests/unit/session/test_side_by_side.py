"""Many lanes on one loop: no device changes what is said about another, and every lane has an end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.checks.bench import Bench
from harness.checks.case import Case, inconclusive, passed
from harness.checks.catalogue import Check, check_named
from harness.model.loading.profiles import load_profile
from harness.model.loading.units import (
    load_units,
    numbered_units,
)
from harness.model.profile import Profile
from harness.model.verdict import Outcome, Subject, Verdict
from harness.session.result import RunResult
from harness.session.run import execution
from harness.session.run.plan import (
    PlannedCheck,
    plan,
)
from harness.session.run.runner import (
    LaneSpec,
    Runner,
)
from harness.session.target import Target, needs_met
from harness.trace.events import Judged, RunEnded, Wait

PROFILES = Path(__file__).parents[3] / "profiles"
PLUG = PROFILES / "smart-plug.yaml"
CONDITIONER = PROFILES / "air-conditioner.yaml"
SELECT = ("MQTT-DEV-0*", "DEV-0*", "MDNS-1*", "COAP-CORE-0*", "PROFILE-0*")

Work = dict[str, Sequence[PlannedCheck]]


def lanes(path: Path, *faults: str | None) -> list[LaneSpec]:
    """A lane for each fault, None being a conforming device; each a unit of its own, named by its number."""
    profiles = load_units(path, numbered_units(load_profile(path).unit, len(faults)))
    return [
        LaneSpec(
            name=str(number),
            profile=profile,
            profile_path=str(path),
            target=Target(simulate=True, faults=(fault,) if fault else ()),
            seed=1,
            number=number,
        )
        for number, (profile, fault) in enumerate(zip(profiles, faults, strict=True))
    ]


def planned_for(specs: Sequence[LaneSpec], select: Sequence[str]) -> Work:
    return {spec.name: plan(spec.profile, needs_met(spec.profile, spec.target), select) for spec in specs}


def run(specs: Sequence[LaneSpec], work: Work, *, at_once: int | None = None) -> dict[str, RunResult]:
    """All that the lanes have to do, in virtual time."""
    runner = Runner(specs, virtual=True, at_once=at_once)
    try:
        for name, checks in work.items():
            for planned in checks:
                runner.enqueue(name, planned)
            runner.seal(name)
        for name, checks in work.items():
            for planned in checks:
                runner.result(name, planned)
    finally:
        results = runner.close()
    return results


def verdicts(result: RunResult) -> dict[str, str]:
    return {item.result.id: item.result.outcome.verdict.value for item in result.judgements}


def alone(spec: LaneSpec, select: Sequence[str] = SELECT) -> dict[str, str]:
    return verdicts(run([spec], planned_for([spec], select))[spec.name])


def together(specs: Sequence[LaneSpec], select: Sequence[str] = SELECT) -> dict[str, dict[str, str]]:
    results = run(specs, planned_for(specs, select), at_once=len(specs))
    return {name: verdicts(result) for name, result in results.items()}


@pytest.mark.parametrize(
    "path", [PLUG, pytest.param(CONDITIONER, marks=pytest.mark.nightly)], ids=lambda path: path.stem
)
def test_devices_with_opposite_faults_are_judged_as_if_each_were_alone(path: Path) -> None:
    specs = lanes(path, "range-unchecked", None, "executes-duplicates", "obeys-retained-commands")
    side_by_side = together(specs)
    assert side_by_side == {spec.name: alone(spec) for spec in specs}
    # It would be no wonder if nobody had failed.
    failing = [
        {check for check, verdict in told.items() if verdict == "fail"} for told in side_by_side.values()
    ]
    assert not failing[1]
    assert failing[0]
    assert failing[0] != failing[2]


def test_one_that_hangs_and_one_that_floods_cost_the_others_nothing() -> None:
    specs = lanes(PLUG, None, "hangs", None, "floods", None)
    select = ("MQTT-DEV-00*", "DEV-0*", "MDNS-1*")
    side_by_side = together(specs, select)
    for spec in specs[::2]:
        assert side_by_side[spec.name] == alone(spec, select)
    assert "inconclusive" in side_by_side["1"].values()


class Endless(Check):
    """Waits for what never comes."""

    declaration = check_named("DEV-01").declaration
    requirement = declaration.requirement
    needs = declaration.needs

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await bench.wait_for(lambda _: False, within=1e9, what="the end of the world")

    def judge(self, case: Case) -> Outcome:
        return passed("it came", case.window)


def endless(count: int) -> list[PlannedCheck]:
    return [PlannedCheck(Endless(), Subject(str(number))) for number in range(count)]


def test_a_lane_whose_time_is_over_says_what_it_waited_for_and_the_others_go_on() -> None:
    stuck, healthy = specs = lanes(PLUG, None, None)
    work = {stuck.name: endless(30), healthy.name: planned_for([healthy], ["MQTT-DEV-00*"])["1"]}
    results = run(specs, work)
    outcomes = [item.result.outcome for item in results[stuck.name].judgements]
    assert {outcome.verdict for outcome in outcomes} == {Verdict.INCONCLUSIVE}
    assert all("the end of the world" in outcome.message for outcome in outcomes[:3])
    first_not_begun = next(index for index, outcome in enumerate(outcomes) if "not begun" in outcome.message)
    assert "time allowed for all checks" in outcomes[first_not_begun - 1].message
    assert "the end of the world" in outcomes[first_not_begun - 1].message
    assert all("not begun" in outcome.message for outcome in outcomes[first_not_begun:])
    assert set(verdicts(results[healthy.name]).values()) <= {"pass", "not-applicable"}


def test_a_device_that_crashes_again_and_again_is_judged_before_its_time_is_over() -> None:
    """A check that has seen it twice does not wait for it a third time."""
    (spec,) = lanes(PROFILES / "door-lock.yaml", "large-message-crashes")
    profile, mqtt = spec.profile, spec.profile.bindings.mqtt
    assert mqtt is not None
    slow = mqtt.model_copy(
        update={"keep_alive": 5, "reconnect": mqtt.reconnect.model_copy(update={"maximum": 60})}
    )
    late = profile.model_copy(
        update={
            "bindings": profile.bindings.model_copy(update={"mqtt": slow}),
            "behaviour": profile.behaviour.model_copy(update={"reconnect": 60}),
        }
    )
    assert alone(replace(spec, profile=late), ["MQTT-DEV-017"]) == {"MQTT-DEV-017": "warn"}


def test_a_lane_whose_trace_is_full_says_so_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "EVENT_LIMIT", 1500)
    flooding, healthy = specs = lanes(PLUG, "floods", None)
    work = {flooding.name: endless(3), healthy.name: planned_for([healthy], ["MQTT-DEV-00*"])["1"]}
    results = run(specs, work)
    messages = [item.result.outcome.message for item in results[flooding.name].judgements]
    assert "the device floods" in messages[0]
    assert "the end of the world" in messages[0]
    assert all("not begun: the device floods" in message for message in messages[1:])
    assert set(verdicts(results[healthy.name]).values()) <= {"pass", "not-applicable"}


def test_a_board_that_floods_its_serial_line_comes_to_an_end_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A chatty log is allowed more events than the network is, and the end says where they came from."""
    monkeypatch.setattr(execution, "EVENT_LIMIT", 1500)
    monkeypatch.setattr(execution, "LINE_LIMIT", 8000)
    flooding, healthy = (
        replace(spec, target=replace(spec.target, serial="pty"))
        for spec in lanes(CONDITIONER, "console-floods", None)
    )
    work = {flooding.name: endless(3), healthy.name: planned_for([healthy], ["MQTT-DEV-00*"])["1"]}
    results = run([flooding, healthy], work)
    messages = [item.result.outcome.message for item in results[flooding.name].judgements]
    assert "8000 of them from its serial line" in messages[0]
    assert all("not begun: the device floods" in message for message in messages[1:])
    assert set(verdicts(results[healthy.name]).values()) <= {"pass", "not-applicable"}


class Broken(Endless):
    """Fails in a way that no check may."""

    def judge(self, case: Case) -> Outcome:
        return inconclusive("not yet")

    def max_extension(self, profile: Profile) -> float:
        return 1.0

    def max_extension_imposed_by(self, profile: Profile) -> str:
        raise ZeroDivisionError("a mistake of ours")

    @property
    def passive(self) -> bool:
        return True


class Undecided(Endless):
    """Waits for what the device might do by itself, and never sees it."""

    def __init__(self, patience: float) -> None:
        self._patience = patience

    def judge(self, case: Case) -> Outcome:
        return inconclusive("it did nothing of the kind")

    def max_extension(self, profile: Profile) -> float:
        return self._patience

    @property
    def passive(self) -> bool:
        return True


def undecided(*patience: float) -> list[PlannedCheck]:
    return [PlannedCheck(Undecided(each), Subject(f"{number}")) for number, each in enumerate(patience)]


def waited(result: RunResult, check: str) -> float:
    """Seconds for which the run was prolonged for a check, from when the device was there for it."""
    waits = [event.body for event in result.events if isinstance(event.body, Wait)]
    return sum(wait.seconds for wait in waits if check in wait.what)


def test_all_passive_checks_of_a_device_look_at_the_same_time() -> None:
    (spec,) = lanes(PLUG, None)
    work = {spec.name: undecided(7.0, 20.0, 0.0, 13.0, 20.0)}
    result = run([spec], work)[spec.name]
    judged = [event.time for event in result.events if isinstance(event.body, Judged)]
    assert judged[-1] - judged[0] == pytest.approx(20.0 - 7.0)
    assert waited(result, "DEV-01") == pytest.approx(20.0)


def test_passive_checks_look_again_after_the_device_was_made_to_do_something() -> None:
    (spec,) = lanes(PLUG, None)
    first, second = undecided(10.0, 10.0)
    (between,) = planned_for([spec], ["MQTT-DEV-030"])[spec.name]
    result = run([spec], {spec.name: [first, between, second]})[spec.name]
    assert verdicts(result)["MQTT-DEV-030"] == "pass"
    assert waited(result, "DEV-01") == pytest.approx(20.0)


def test_a_mistake_of_the_harness_is_an_error_of_that_check_alone() -> None:
    (spec,) = lanes(PLUG, None)
    following = planned_for([spec], ["MQTT-DEV-001"])["0"]
    runner = Runner([spec], virtual=True)
    broken = PlannedCheck(Broken(), Subject())
    for planned in (broken, *following):
        runner.enqueue(spec.name, planned)
    outcome = runner.result(spec.name, broken).result.outcome
    assert outcome.verdict is Verdict.ERROR
    assert "a mistake of ours" in outcome.message
    assert runner.result(spec.name, following[0]).result.outcome.verdict is Verdict.PASS
    runner.close()


def test_no_more_lanes_are_at_work_than_asked_for_and_the_results_are_the_same() -> None:
    specs = lanes(PLUG, *[None] * 6)
    work = planned_for(specs, ["MQTT-DEV-00*", "DEV-01"])
    order: list[str] = []
    runner = Runner(specs, virtual=True, at_once=2, on_started=lambda name, _: order.append(name))
    for name, checks in work.items():
        for planned in checks:
            runner.enqueue(name, planned)
        runner.seal(name)
    for name, checks in work.items():
        for planned in checks:
            runner.result(name, planned)
    results = runner.close()
    for index, name in enumerate(order):
        unfinished = {other for other in order[: index + 1] if other in order[index:]}
        assert name in unfinished
        assert len(unfinished) <= 2
    assert list(results) == [spec.name for spec in specs]
    assert {name: verdicts(result) for name, result in results.items()} == together(
        specs, ["MQTT-DEV-00*", "DEV-01"]
    )


def test_a_lane_that_is_done_is_closed_while_others_go_on() -> None:
    first, second = specs = lanes(PLUG, None, None)
    work = planned_for(specs, ["MQTT-DEV-001"])
    runner = Runner(specs, virtual=True)
    for spec in specs:
        runner.enqueue(spec.name, work[spec.name][0])
    runner.seal(first.name)
    runner.result(second.name, work[second.name][0])
    runner.result(first.name, work[first.name][0])
    runner.wait(asyncio.sleep(60))
    assert isinstance(runner.events(first.name)[-1].body, RunEnded)
    assert not isinstance(runner.events(second.name)[-1].body, RunEnded)
    results = runner.close()
    assert all(result.complete for result in results.values())
