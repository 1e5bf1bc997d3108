"""Several devices on one bus: side by side, ended early, judged again, never passed for nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.links.clock.loop import run
from harness.model.loading.scenes import load_scene
from harness.model.verdict import Verdict
from harness.session.compat.group_session import (
    GroupMember,
    GroupSession,
    Purpose,
)
from harness.session.compat.judging import result_of_group_trace
from harness.session.compat.pair import (
    Observed,
    PairResult,
    observe_pair,
    observe_together,
)
from harness.session.compat.scene import play_scene
from harness.session.compat.setup import (
    ConnectionOptions,
    members_of,
    roles_of,
)
from harness.session.result import RunResult
from harness.session.target import Target, UsageError
from harness.trace.events import (
    Act,
    CheckEnded,
    Event,
    MqttPacket,
    Point,
    RunEnded,
    RunStarted,
    Stimulus,
    TogetherStarted,
)
from harness.trace.lines import read
from harness.wire import mqtt

PROFILES = Path(__file__).parents[3] / "profiles"
FOLLOWS = "COMPAT-01[remote-control.switched/smart-plug]"
AGREES = FOLLOWS.replace("-01", "-02")


def members(*names: str, faults: tuple[str, ...] = ()) -> tuple[GroupMember, ...]:
    cast = roles_of([str(PROFILES / f"{name}.yaml") for name in names])
    return members_of(cast, ConnectionOptions(simulate=True, faults=faults))


def verdicts(result: RunResult) -> dict[str, str]:
    return {each.result.id: each.result.outcome.verdict.value for each in result.judgements}


PAIRS = [
    (("remote-control", "smart-plug"), Observed.WORKS),
    (("remote-control", "smart-plug-nord"), Observed.WORKS),  # by a bridge from MQTT to CoAP
    (("wall-thermostat", "air-conditioner-us"), Observed.DEGRADED),  # there is no heating in it
    (("motion-sensor", "refrigerator"), Observed.UNRELATED),
    (("curtain", "motion-sensor"), Observed.BLOCKED),  # it is told of the light too seldom
]


def test_pairs_side_by_side_are_seen_as_they_are_alone() -> None:
    async def both_ways() -> tuple[list[PairResult], list[PairResult]]:
        alone = [await observe_pair(*members(*names), both=False) for names, _ in PAIRS]
        together = await asyncio.gather(*(observe_pair(*members(*names), both=False) for names, _ in PAIRS))
        return alone, list(together)

    alone, together = run(both_ways(), virtual=True)
    assert [pair.outcome for pair in alone] == [outcome for _, outcome in PAIRS], alone
    for one, other in zip(alone, together, strict=True):
        assert one.outcome is other.outcome
        assert verdicts(one.run) == verdicts(other.run)


@pytest.fixture(scope="module")
def trace() -> list[Event]:
    result = run(
        observe_together(members("remote-control", "smart-plug"), select=["COMPAT-0*"]), virtual=True
    )
    assert set(verdicts(result).values()) == {"pass"}
    return list(result.events)


def judged(events: list[Event]) -> dict[str, Verdict]:
    result = result_of_group_trace(events, Path("trace.jsonl"))
    return {each.result.id: each.result.outcome.verdict for each in result.judgements}


def without(events: list[Event], unwanted: Callable[[Event], bool]) -> list[Event]:
    """The trace without some events, its lines counted anew."""
    kept = [event for event in events if not unwanted(event)]
    return [replace(event, line=line) for line, event in enumerate(kept, start=1)]


def tells_the_relay(event: Event) -> bool:
    body = event.body
    if event.device != "smart-plug" or not isinstance(body, MqttPacket) or body.point is not Point.TAP:
        return False
    packet = mqtt.decode(body.raw, body.level)
    return isinstance(packet, mqtt.Publish) and packet.topic.endswith("/relay/state")


def test_what_was_recorded_is_judged_again_in_the_same_way(trace: list[Event]) -> None:
    assert set(judged(trace).values()) == {Verdict.PASS}


def test_a_device_that_reports_nothing_has_not_followed(trace: list[Event]) -> None:
    found = judged(without(trace, tells_the_relay))
    assert found[FOLLOWS] is not Verdict.PASS
    assert found[AGREES] is not Verdict.PASS


def test_a_key_that_is_not_pressed_shows_nothing(trace: list[Event]) -> None:
    def tells_the_key(event: Event) -> bool:
        body = event.body
        return event.device == "remote-control" and isinstance(body, MqttPacket) and body.raw[0] >> 4 == 3

    def pressed(event: Event) -> bool:
        return isinstance(event.body, Stimulus) and event.body.act is Act.LOCAL

    unheard = without(trace, tells_the_key)
    assert judged(unheard)[FOLLOWS] is Verdict.INCONCLUSIVE, "nobody waited for it"
    end = next(event.line for event in unheard if isinstance(event.body, CheckEnded))
    waited = [replace(each, time=each.time + 5 * (each.line >= end)) for each in unheard]
    assert judged(waited)[FOLLOWS] is Verdict.FAIL
    silent = without(trace, lambda event: tells_the_key(event) or pressed(event))
    assert judged(silent)[FOLLOWS] is Verdict.INCONCLUSIVE


def test_a_report_that_comes_too_late_fails(trace: list[Event]) -> None:
    late = 2.5  # the remote's need gives two seconds
    delayed = [replace(event, time=event.time + late) if tells_the_relay(event) else event for event in trace]
    end = delayed[-1].time + late
    delayed = [replace(event, time=end) if isinstance(event.body, RunEnded) else event for event in delayed]
    assert judged(delayed)[FOLLOWS] is Verdict.FAIL


@pytest.fixture(scope="module")
def played() -> list[Event]:
    cast = [("door", "door-lock"), ("light", "light"), ("climate", "air-conditioner-us")]
    devices = members_of(
        [(role, PROFILES / f"{name}.yaml") for role, name in cast], ConnectionOptions(simulate=True)
    )
    scene = load_scene(PROFILES / "scenes" / "coming-home.yaml")
    return list(run(play_scene(scene, devices), virtual=True).events)


def is_frame(event: Event) -> bool:
    return isinstance(event.body, TogetherStarted | RunStarted | RunEnded)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_no_trace_makes_a_judge_fail_itself(
    trace: list[Event], played: list[Event], data: st.DataObject
) -> None:
    events = data.draw(st.sampled_from([trace, played]))
    begin = data.draw(st.integers(0, len(events)))
    lost = range(begin, begin + data.draw(st.integers(0, 60)))
    every = data.draw(st.sampled_from([1, 2, 5]))
    found = judged(without(events, lambda event: event.line in lost[::every] and not is_frame(event)))
    assert Verdict.ERROR not in found.values()


def test_a_light_that_tells_nothing_lets_no_step_pass(played: list[Event]) -> None:
    assert set(judged(played).values()) == {Verdict.PASS}

    def tells(event: Event) -> bool:
        body = event.body
        is_publish = isinstance(body, MqttPacket) and body.point is Point.TAP and body.raw[0] >> 4 == 3
        return event.device == "light" and is_publish

    found = judged(without(played, tells))
    assert found["COMPAT-30[unlock]"] is Verdict.INCONCLUSIVE  # the run went on at once, and did not wait
    assert found["COMPAT-31[no-dark-hall]"] is Verdict.INCONCLUSIVE


def test_a_run_that_is_interrupted_leaves_its_trace(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"

    async def interrupted() -> None:
        task = asyncio.create_task(
            observe_together(
                members("remote-control", "smart-plug"),
                trace=path,
                on_result=lambda _: task.cancel(),
            )
        )
        with pytest.raises(asyncio.CancelledError):
            await task

    run(interrupted(), virtual=True)
    events = list(read(path))
    assert isinstance(events[-1].body, RunEnded)
    assert events[-1].body.reason == "interrupted"
    assert judged(events)[FOLLOWS] is Verdict.PASS


def test_all_come_back_to_one_broker_that_was_away() -> None:
    async def restarted() -> tuple[bool, set[str | None]]:
        session = GroupSession(members("smart-plug", "light", "air-conditioner"), Purpose("pair"), seed=1)
        await session.open()
        mark = len(session.events)
        await session.restart_broker(wipe=True)
        back = await session.ready()
        told = {event.device for event in session.events[mark:] if isinstance(event.body, MqttPacket)}
        await session.close()
        return back, told

    assert run(restarted(), virtual=True) == (True, {"smart-plug", "light", "air-conditioner"})


def test_devices_on_two_brokers_share_no_bus() -> None:
    plug, light = members("smart-plug", "light")
    apart = [
        replace(plug, target=Target(mqtt="mqtt://192.0.2.1")),
        replace(light, target=Target(mqtt="mqtt://192.0.2.2")),
    ]

    async def opened() -> None:
        GroupSession(apart, Purpose("pair"), seed=1)

    with pytest.raises(UsageError, match="share one broker"):
        run(opened(), virtual=True)


def test_devices_with_an_address_in_common_are_left_to_themselves() -> None:
    remote, plug = members("remote-control", "smart-plug")
    mqtt_of = remote.profile.bindings.mqtt
    assert mqtt_of is not None and plug.profile.bindings.mqtt is not None
    command = plug.profile.bindings.mqtt.properties["relay"].command
    assert command is not None
    spoken = mqtt_of.events["key"].model_copy(
        update={"topic": command, "member": None, "values": {"ON": "on", "OFF": "off"}}
    )
    bindings = remote.profile.bindings.model_copy(
        update={"mqtt": mqtt_of.model_copy(update={"events": {"key": spoken}})}
    )
    remote = replace(remote, profile=remote.profile.model_copy(update={"bindings": bindings}))
    result = run(observe_together([remote, plug], select=["COMPAT-0*", "COMPAT-11"]), virtual=True)
    found = verdicts(result)
    assert found[FOLLOWS] == found[AGREES] == "pass", found
    assert found["COMPAT-11"] == "pass", "that topic is meant to be shared"
    assert not [event for event in result.events if _is_the_hub(event) and event.device == "smart-plug"]


def _is_the_hub(event: Event) -> bool:
    return isinstance(event.body, Stimulus) and event.body.act is Act.AUTOMATE


def test_of_two_devices_with_one_name_the_second_gives_way() -> None:
    (plug,) = members("smart-plug")
    twin = replace(plug, role="twin")
    found = verdicts(run(observe_together([plug, twin], select=["COMPAT-1[0-4]"]), virtual=True))
    assert found["COMPAT-10"] == found["COMPAT-11"] == "fail"
    assert found["COMPAT-13"] == "warn"  # RFC 6762, 9 lets it take another name, its profile does not say so


def test_a_profile_named_twice_stands_for_two_units_unless_they_are_named() -> None:
    first, second = members("smart-plug", "smart-plug")
    assert (first.role, second.role) == ("smart-plug", "smart-plug-2")
    assert first.profile.unit != second.profile.unit
    cast = roles_of([str(PROFILES / "smart-plug.yaml")] * 2)
    named = members_of(cast, ConnectionOptions(simulate=True, duts=["smart-plug-2=simulate,unit:b5d013"]))
    assert [member.profile.unit for member in named] == ["a4cf12", "b5d013"]
    assert named[1].profile.bindings.mqtt is not None
    assert named[1].profile.bindings.mqtt.client_id == "plug-b5d013"
