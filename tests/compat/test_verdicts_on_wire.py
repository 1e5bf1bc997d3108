"""Verdicts on pairs in which something cannot be seen, is so already, or is claimed by both."""

from __future__ import annotations

from collections.abc import Sequence

from harness.compat.device import Device
from harness.links.clock import run
from harness.model.units import load_units
from harness.model.verdict import Outcome, Verdict
from harness.session.result import RunResult
from harness.session.target import Target
from harness.session.together.circles import MOST_ROUNDS
from harness.session.together.company import Player
from harness.session.together.pair import observe_together
from harness.trace.events import Act, Note, Stimulus
from tests.compat.seeds import COMPATIBLE, OFFERER, SEEDS, Change, base, changed

FOLLOWS = "COMPAT-01[room-panel.{}/thermostat-plug]"
AGREES = "COMPAT-02[room-panel.{}/thermostat-plug]"


def observed(devices: Sequence[Device], *select: str, faults: Sequence[str] = ()) -> RunResult:
    """A run of these devices; the last one has the faults."""
    players = [
        Player(each.name, each.profile, "", Target(simulate=True, faults=given))
        for each, given in zip(devices, [()] * (len(devices) - 1) + [tuple(faults)], strict=True)
    ]
    return run(observe_together(players, select=select), virtual=True)


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
        assert "shows whether it did" in note.message
    assert {each.verdict for each in found.values()} == {Verdict.PASS}


def test_an_action_is_invoked_when_it_has_something_to_change() -> None:
    found = outcomes(observed(switched_by_actions(), "COMPAT-0[12]"))
    assert found[FOLLOWS.format("output")].verdict is Verdict.PASS
    assert found[AGREES.format("output")].verdict is Verdict.PASS
    assert "each of 2 times" in found[AGREES.format("output")].message


def test_an_action_that_does_nothing_fails() -> None:
    found = outcomes(observed(switched_by_actions(), "COMPAT-0[12]", faults=["action-ignored"]))
    assert found[FOLLOWS.format("output")].verdict is Verdict.FAIL


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
    assert any("the hub was about to answer itself" in str(event.body) for event in notes)


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
    players = [
        Player(role, profile, "", Target(simulate=True))
        for role, profile in (
            ("plug", plugs[0].profile),
            ("plug-2", plugs[1].profile),
            ("panel", panel.profile),
        )
    ]
    return run(observe_together(players[: 3 if with_panel else 2], select=["COMPAT-12"]), virtual=True)


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
