"""Runs with a console attached: what a line has to stand changes no verdict; a crash names its check."""

from __future__ import annotations

import pytest

from harness.model.verdict import Verdict
from tests.checks.driving import ROOT, check_simulated

COOLER = ROOT / "profiles" / "air-conditioner.yaml"
WANTED = ("SERIAL-04", "SERIAL-10", "SERIAL-11", "SERIAL-12", "SERIAL-14", "SERIAL-18", "SERIAL-19")


@pytest.mark.parametrize("fault", ["console-noise", "console-half-lines", "console-line-feeds"])
def test_what_a_line_has_to_stand_changes_no_verdict(fault: str) -> None:
    result = check_simulated(COOLER, faults=[fault], select=WANTED)
    bad = {item.result.id: item.result.outcome for item in result.judgements}
    assert {outcome.verdict for outcome in bad.values()} == {Verdict.PASS}, bad
    assert len(bad) == len(WANTED)


def test_a_cable_that_comes_and_goes_fails_nothing_and_leaves_no_board_without_its_network() -> None:
    result = check_simulated(COOLER, faults=["cable-vanishes"], select=["serial", "DEV-01[power/mqtt]"])
    outcomes = [item.result.outcome for item in result.judgements]
    assert not [outcome for outcome in outcomes if outcome.verdict in (Verdict.FAIL, Verdict.WARN)]
    assert not [outcome for outcome in outcomes if "the device is not there" in outcome.message]
    assert any("the serial port was gone for" in outcome.message for outcome in outcomes)


def test_a_crash_is_told_with_the_check_that_was_running() -> None:
    result = check_simulated(COOLER, faults=["crashes-when-asked"], select=["SERIAL-11", "SERIAL-26"])
    told = {item.result.check: item.result.outcome.message for item in result.judgements}
    assert told["SERIAL-11"].startswith("panic during SERIAL-26: ")
    assert "the last line before it" in told["SERIAL-11"]


def test_a_board_that_differs_from_its_network_already_is_commanded_what_it_does_not_show() -> None:
    """Keys that were pressed before leave the switch off at the board, and on for the network."""
    select = ["SERIAL-01", "SERIAL-02[power/mqtt]", "SERIAL-02[power/coap]"]
    result = check_simulated(COOLER, faults=["command-stops-at-module"], select=select)
    judged = {item.result.id: item.result.outcome for item in result.judgements}
    for item in select[1:]:
        assert judged[item].verdict is Verdict.FAIL, judged[item]
        assert "power = true was commanded" in judged[item].message
