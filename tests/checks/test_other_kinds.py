"""Faults on kinds of devices that make a check's work harder: what shows on a plug shows on them, too."""

from __future__ import annotations

import pytest

from harness.model.verdict import Verdict
from tests.checks.driving import ROOT, check_simulated

SEEN = [
    # Its session is kept: what crashed it once is waiting for it each time that it comes back.
    ("door-lock", "large-message-crashes", "MQTT-DEV-017"),
    # Nothing was relayed before the run, so that the first states are still on their way.
    ("door-lock", "changes-not-retained", "PROFILE-02"),
    # It locks itself and tells that with the event that its key tells.
    ("door-lock", "event-doubled", "DEV-26"),
    # Its action is given a text, and makes an event happen.
    ("phone-app", "action-ignored", "PROFILE-62"),
    # It has one setting, of two values.
    ("phone-app", "executes-duplicates", "PROFILE-04"),
    # What its action does depends on its state.
    ("light-zeta", "action-ignored", "PROFILE-62"),
    # It may limit values, and so random ones too.
    ("light-zeta", "malformed-crashes", "SEC-10"),
    # A control of it does nothing but tell an event, which sets off a rule.
    ("motion-sensor", "responses-missing", "PROFILE-61"),
    # The words of its payloads are its own values in other letters.
    ("washing-machine", "range-unchecked", "DEV-03"),
]


@pytest.mark.parametrize(("device", "fault", "check"), SEEN, ids=" ".join)
def test_a_fault_shows_on_it(device: str, fault: str, check: str) -> None:
    result = check_simulated(ROOT / "profiles" / f"{device}.yaml", faults=[fault], select=[check])
    verdicts = {item.result.outcome.verdict for item in result.judgements}
    assert verdicts & {Verdict.FAIL, Verdict.WARN}
