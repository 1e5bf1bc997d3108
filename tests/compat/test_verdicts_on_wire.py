"""Verdicts on pairs in which something cannot be seen, is so already, or is claimed by both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.links.clock.loop import run
from harness.model.loading.units import load_units
from harness.model.verdict import Outcome, Verdict
from harness.prediction.device import Device
from harness.session.compat.group_session import GroupMember
from harness.session.compat.judging import result_of_group_trace
from harness.session.compat.loop_guard import MOST_ROUNDS
from harness.session.compat.pair import (
    Observed,
    observe_pair,
    observe_together,
)
from harness.session.compat.setup import (
    ConnectionOptions,
    members_of,
    roles_of,
)
from harness.session.result import RunResult
from harness.session.target import Target
from harness.trace.events import Act, CheckStarted, Event, MqttPacket, Note, Point, Stimulus
from harness.wire import mqtt
from tests.compat.seeds import COMPATIBLE, OFFERER, SEEDS, Change, base, changed

PROFILES = Path(__file__).parents[2] / "profiles"
FOLLOWS = "COMPAT-01[room-panel.{}/thermostat-plug]"
AGREES = "COMPAT-02[room-panel.{}/thermostat-plug]"


def observed(devices: Sequence[Device], *select: str, faults: Sequence[str] = ()) -> RunResult:
    """A run of these devices; the last one has the faults."""
    members = [
        GroupMember(each.name, each.profile, "", Target(simulate=True, faults=given))
        for each, given in zip(devices, [()] * (len(devices) - 1) + [tuple(faults)], strict=True)
    ]
    return run(observe_together(members, select=select), virtual=True)


def outcomes(result: RunResult) -> dict[str, Outcome]:
    return {each.result.id: each.result.outcome for each in result.judgements}


def pair(plug: Change | None = None, panel: Change | None = None) -> tuple[Device, Device]:
    """The pair that works, panel first, with changes."""
    one, other = base()
    return changed(other, panel or {}), changed(one, plug or {})


def switched_by_actions() -> tuple[Device, Device]:
    plug, panel = COMPATIBLE["other names"]
    return pair(plug, panel)


def test_what_an_action_does_unseen_is_not_judged() -> None:
    found = outcomes(observed(pair({"behaviour": {"rules": []}}), "COMPAT-0[12]"))
    for check in (FOLLOWS, AGREES):
        note = found.pop(check.format("note"))
        assert note.verdict is Verdict.NOT_APPLICABLE
        assert "shows whether it reacted" in note.message
    assert {each.verdict for each in found.values()} == {Verdict.PASS}


def test_a_pair_of_which_nothing_is_seen_is_undecided() -> None:
    others = {name: None for name in base()[1].profile.needs if name != "note"}
    devices = pair({"behaviour": {"rules": []}}, {"needs": others})
    members = [GroupMember(each.name, each.profile, "", Target(simulate=True)) for each in devices]
    found = run(observe_pair(*members, select=["COMPAT-0*"], both=False), virtual=True)
    assert found.outcome is Observed.UNDECIDED


def test_an_action_is_invoked_when_it_has_something_to_change() -> None:
    found = outcomes(observed(switched_by_actions(), "COMPAT-0[12]"))
    assert found[FOLLOWS.format("output")].verdict is Verdict.PASS
    assert found[AGREES.format("output")].verdict is Verdict.PASS
    assert "each of 2 times" in found[AGREES.format("output")].message


def test_an_action_that_does_nothing_fails() -> None:
    found = outcomes(observed(switched_by_actions(), "COMPAT-0[12]", faults=["action-ignored"]))
    assert found[FOLLOWS.format("output")].verdict is Verdict.FAIL


def test_a_sensor_that_does_not_tell_what_it_sees_fails() -> None:
    found = outcomes(observed(pair(), "COMPAT-01", faults=["sensor-change-unreported"]))
    for need in ("temperature", "load"):
        assert found[FOLLOWS.format(need)].verdict is Verdict.FAIL
        assert "did not report" in found[FOLLOWS.format(need)].message
    assert found[FOLLOWS.format("output")].verdict is Verdict.PASS


def test_a_topic_of_both_is_told_by_compat_11_and_ends_no_run() -> None:
    topic = "home/tplug-0a1b2c/target"
    result = observed(pair(panel={"bindings": {"mqtt": {"events": {"knob": {"topic": topic}}}}}))
    found = outcomes(result)
    assert found["COMPAT-11"].verdict is Verdict.FAIL
    assert topic in found["COMPAT-11"].message
    for check in (FOLLOWS, AGREES):
        assert found[check.format("warmth")].verdict is Verdict.INCONCLUSIVE
        assert "see COMPAT-11" in found[check.format("warmth")].message
    assert found[FOLLOWS.format("temperature")].verdict is Verdict.PASS, "the rest of the run goes on"
    notes = [event for event in result.events if isinstance(event.body, Note)]
    assert any("loop stopped after" in str(event.body) for event in notes)


def test_the_hub_goes_round_no_longer_than_its_limit() -> None:
    topic = "home/tplug-0a1b2c/target"
    devices = pair(panel={"bindings": {"mqtt": {"events": {"knob": {"topic": topic}}}}})
    rows, row = [], 0
    for event in observed(devices, "COMPAT-01").events:
        if isinstance(event.body, Stimulus):
            row = row + 1 if event.body.act is Act.AUTOMATE else 0
            rows.append(row)
    needs = len(devices[0].profile.needs)
    assert MOST_ROUNDS <= max(rows) <= MOST_ROUNDS * needs


def seeded(name: str) -> tuple[Device, Device]:
    return next(seed for seed in SEEDS if seed.name == name).pair()


def test_devices_that_obey_on_one_topic_obey_each_other() -> None:
    found = outcomes(observed(seeded("one-command-topic"), "COMPAT-12", "COMPAT-15"))
    assert found["COMPAT-12"].verdict is Verdict.FAIL
    assert "home/set" in found["COMPAT-12"].message
    disturbed = found["COMPAT-15[thermostat-plug]"]
    assert disturbed.verdict is Verdict.FAIL, "seen in what they do, too"
    assert "warning of room-panel" in disturbed.message


def group(*, with_panel: bool) -> RunResult:
    """Two plugs that obey on one topic, and the panel that publishes there."""
    knob = "home/knob"
    panel = pair(panel={"bindings": {"mqtt": {"events": {"knob": {"topic": knob}}}}})[0]
    shared: Change = {"bindings": {"mqtt": {"properties": {"target": {"command": knob}}}}}
    plugs = [
        changed(Device(profile, base()[0].tree), shared)
        for profile in load_units(OFFERER, ["0a1b2c", "0a1b2d"])
    ]
    members = [
        GroupMember(role, profile, "", Target(simulate=True))
        for role, profile in (
            ("plug", plugs[0].profile),
            ("plug-2", plugs[1].profile),
            ("panel", panel.profile),
        )
    ]
    return run(observe_together(members[: 3 if with_panel else 2], select=["COMPAT-12"]), virtual=True)


def test_a_group_that_a_third_device_commands_is_no_collision() -> None:
    assert outcomes(group(with_panel=True))["COMPAT-12"].verdict is Verdict.PASS
    assert outcomes(group(with_panel=False))["COMPAT-12"].verdict is Verdict.FAIL


def test_who_has_to_give_way_does_not_have_the_name_of_its_profile() -> None:
    result = observed(seeded("one-host-name"), "COMPAT-13")
    found = outcomes(result)["COMPAT-13"]
    assert found.verdict is Verdict.WARN
    assert "esp-device.local" in found.message
    devices = [result.events[line - 1].device for line in found.events]
    assert set(devices) == {"room-panel", "thermostat-plug"}, "the claim of both is shown"


def test_names_of_their_own_pass() -> None:
    services = [{"type": "_http._tcp", "instance": "Panel", "port": 80, "speaks": "http", "txt": {}}]
    own: Change = {"bindings": {"mdns": {"host": "panel", "services": services}}}
    assert outcomes(observed(pair(panel=own), "COMPAT-13"))["COMPAT-13"].verdict is Verdict.PASS


def test_an_empty_client_identifier_is_nobodys() -> None:
    empty: Change = {"bindings": {"mqtt": {"client_id": ""}}}
    found = outcomes(observed(pair(empty, empty), "COMPAT-10"))
    assert found["COMPAT-10"].verdict is Verdict.PASS, found


def test_a_topic_that_both_have_and_nobody_used_is_not_passed() -> None:
    topic = "home/alarm"
    plug: Change = {"bindings": {"mqtt": {"events": {"tripped": {"topic": topic}}}}}
    panel: Change = {"bindings": {"mqtt": {"events": {"knob": {"topic": topic}}}}}
    found = outcomes(observed(pair(plug, panel), "COMPAT-11"))
    assert found["COMPAT-11"].verdict is Verdict.INCONCLUSIVE
    assert topic in found["COMPAT-11"].message


def sent(event: Event, role: str, kind: mqtt.PacketType) -> bool:
    body = event.body
    is_its = event.device == role and isinstance(body, MqttPacket) and body.point is Point.TAP
    return is_its and isinstance(body, MqttPacket) and body.raw[0] >> 4 == kind


def judged_without(result: RunResult, unwanted: Callable[[Event], bool]) -> dict[str, Outcome]:
    """The verdicts on a run of which the trace lacks some events."""
    kept = [event for event in result.events if not unwanted(event)]
    trace = [replace(event, line=line) for line, event in enumerate(kept, start=1)]
    return outcomes(result_of_group_trace(trace, Path("trace.jsonl")))


def test_subscriptions_that_nobody_saw_are_not_passed() -> None:
    result = observed(pair(), "COMPAT-12")
    assert outcomes(result)["COMPAT-12"].verdict is Verdict.PASS
    found = judged_without(result, lambda event: sent(event, "thermostat-plug", mqtt.PacketType.SUBSCRIBE))
    assert found["COMPAT-12"].verdict is Verdict.INCONCLUSIVE
    assert "thermostat-plug did not subscribe" in found["COMPAT-12"].message


REMOTE = "remote-control"


@pytest.fixture(scope="module")
def restarts() -> RunResult:
    """A remote control, which only tells events, beside a plug: each restarted, and the broker."""
    cast = roles_of([str(PROFILES / f"{name}.yaml") for name in (REMOTE, "smart-plug")])
    members = members_of(cast, ConnectionOptions(simulate=True))
    result = run(observe_together(members, select=["COMPAT-1[67]"]), virtual=True)
    assert {each.verdict for each in outcomes(result).values()} == {Verdict.PASS}
    return result


OF_REMOTE = (f"COMPAT-16[{REMOTE}]", "COMPAT-17")


def is_told(event: Event, role: str = REMOTE) -> bool:
    body = event.body
    return event.device == role and isinstance(body, MqttPacket) and body.raw[0] >> 4 == 3


def test_who_tells_nothing_before_or_after_is_back_when_it_connects(restarts: RunResult) -> None:
    found = judged_without(restarts, is_told)
    assert [found[check].verdict for check in OF_REMOTE] == [Verdict.PASS, Verdict.PASS]
    others = found["COMPAT-16[smart-plug]"]
    assert others.verdict is Verdict.INCONCLUSIVE, "nothing shows that the remote went on"


@pytest.mark.parametrize(
    ("role", "verdict"),
    [("smart-plug", Verdict.FAIL), (REMOTE, Verdict.INCONCLUSIVE)],  # the remote may be asleep
)
def test_who_does_not_connect_again_is_not_back(role: str, verdict: Verdict, restarts: RunResult) -> None:
    first = next(event.line for event in restarts.events if isinstance(event.body, CheckStarted))

    def is_life(event: Event) -> bool:
        again = event.line > first and sent(event, role, mqtt.PacketType.CONNECT)
        return is_told(event, role) or again

    found = judged_without(restarts, is_life)
    assert found[f"COMPAT-16[{role}]"].verdict is verdict
    assert found["COMPAT-17"].verdict is verdict


def test_who_told_something_before_and_nothing_after_is_not_back(restarts: RunResult) -> None:
    ends = [
        e.line
        for e in restarts.events
        if isinstance(e.body, Stimulus) and e.body.act in (Act.KILL, Act.RESTART_BROKER)
    ]
    starts = [e.line for e in restarts.events if isinstance(e.body, CheckStarted)]
    silent = [(end, next((s for s in starts if s > end), len(restarts.events))) for end in ends]
    found = judged_without(
        restarts, lambda event: is_told(event) and any(a < event.line < b for a, b in silent)
    )
    assert [found[check].verdict for check in OF_REMOTE] == [Verdict.FAIL, Verdict.FAIL]
    assert found["COMPAT-16[smart-plug]"].verdict is Verdict.FAIL
