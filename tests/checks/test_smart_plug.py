"""The smart plug promises every recommendation: whatever breaks it, a run fails and names the check."""

from __future__ import annotations

import pytest

from harness.model.loading.profiles import load_profile
from harness.model.verdict import Verdict
from harness.simulate.faults import Fault, faults_for
from tests.checks.driving import ROOT, check_simulated

PLUG = ROOT / "profiles" / "smart-plug.yaml"
FAULTS = [fault for fault in faults_for(load_profile(PLUG)) if not fault.is_stress]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_fault_of_its_list_fails_a_run(fault: Fault) -> None:
    result = check_simulated(PLUG, faults=[fault.name], select=fault.breaks)
    failed = {item.result.check for item in result.judgements if item.result.outcome.verdict is Verdict.FAIL}
    assert failed, f"none of {fault.breaks} failed"
