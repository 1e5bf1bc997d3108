"""Verdicts on pairs in which something cannot be seen, is so already, or is claimed by both."""

from __future__ import annotations

from collections.abc import Sequence

from harness.compat.device import Device
from harness.links.clock import run
from harness.model.verdict import Outcome, Verdict
from harness.session.result import RunResult
from harness.session.target import Target
from harness.session.together.circles import MOST_ROUNDS
from harness.session.together.company import Player
from harness.session.together.pair import observe_together
from harness.trace.events import Act, Note, Stimulus
from tests.compat.seeds import COMPATIBLE, Change, base, changed

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
