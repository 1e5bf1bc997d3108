"""Habits of CoAP servers and mDNS responders get no bad verdict, and hide no fault."""

from __future__ import annotations

import pytest

from harness.model.verdict import Verdict
from tests.checks.driving import ROOT, check_simulated

REFRIGERATOR = ROOT / "profiles" / "refrigerator.yaml"
OBSERVE_CON = ("COAP-CORE-12", "COAP-OBS-*", "PROFILE-2?")


@pytest.mark.parametrize(
    ("habit", "select"),
    [
        ("habit-slow-ack-timeout", OBSERVE_CON),
        ("habit-host-before-services", ("MDNS-*", "DNSSD-*", "PROFILE-4?")),
    ],
)
def test_a_habit_breaks_no_check(habit: str, select: tuple[str, ...]) -> None:
    run = check_simulated(REFRIGERATOR, faults=[habit], select=select)
    verdicts = {item.result.id: item.result.outcome for item in run.judgements}
    bad = {
        name: outcome.message
        for name, outcome in verdicts.items()
        if outcome.verdict not in (Verdict.PASS, Verdict.NOT_APPLICABLE)
    }
    assert len(verdicts) > 10
    assert bad == {}


@pytest.mark.parametrize(
    ("habit", "fault", "check"),
    [
        ("habit-slow-ack-timeout", "coap-retransmits-at-constant-pace", "COAP-CORE-12"),
        ("habit-slow-ack-timeout", "coap-silent-observers-kept", "COAP-OBS-08"),
        ("habit-slow-ack-timeout", "coap-notifications-all-at-once", "COAP-OBS-16"),
        ("habit-host-before-services", "mdns-announced-once", "MDNS-06"),
        ("habit-host-before-services", "mdns-probing-skipped", "MDNS-01"),
    ],
)
def test_a_fault_is_found_in_spite_of_a_habit(habit: str, fault: str, check: str) -> None:
    run = check_simulated(REFRIGERATOR, faults=[habit, fault], select=[check])
    assert {item.result.outcome.verdict for item in run.judgements} == {Verdict.FAIL}
