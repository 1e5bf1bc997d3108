"""Every check passes on a conforming device, and fails on a device with a fault: by name, and as a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.checks.catalogue import all_checks
from harness.model.ics import ics_of, satisfies
from harness.model.loading import load_profile
from harness.model.verdict import Verdict
from harness.simulate.faults import Fault, all_faults
from tests.checks.conftest import MATRIX
from tests.checks.driving import FURTHER, SHIPPED, check_simulated

ALL = [*SHIPPED, *FURTHER]
BROKEN = (Verdict.FAIL, Verdict.WARN)


def subject_of_fault(fault: Fault) -> Path:
    """The first profile on which the fault can break all that it names; else the first it applies to."""
    applicable = [path for path in ALL if fault.applies(load_profile(path))]
    for path in applicable:
        items = ics_of(load_profile(path))
        checks = [check for check in all_checks() if check.requirement.id in fault.breaks]
        if all(satisfies(check.requirement.ics, items) for check in checks):
            return path
    return applicable[0]


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_a_conforming_device_passes_every_check(path: Path) -> None:
    result = check_simulated(path)
    bad = [
        f"{item.result.id}: {item.result.outcome.verdict} {item.result.outcome.message}"
        for item in result.judgements
        if item.result.outcome.verdict not in (Verdict.PASS, Verdict.NOT_APPLICABLE)
    ]
    assert bad == []
    MATRIX.passed |= {
        item.result.check for item in result.judgements if item.result.outcome.verdict is Verdict.PASS
    }


@pytest.mark.parametrize("fault", all_faults(), ids=lambda fault: fault.name)
def test_a_fault_breaks_the_checks_that_it_names(fault: Fault) -> None:
    path = subject_of_fault(fault)
    result = check_simulated(path, faults=[fault.name], select=list(fault.breaks))
    verdicts: dict[str, list[str]] = {check: [] for check in fault.breaks}
    for item in result.judgements:
        verdicts[item.result.check].append(item.result.outcome.verdict)
        MATRIX.note(fault.name, path.stem, item)
    unbroken = {check: seen for check, seen in verdicts.items() if not set(seen) & set(BROKEN)}
    assert unbroken == {}, f"on {path.stem}"


def test_every_check_has_a_fault() -> None:
    broken = {check for fault in all_faults() for check in fault.breaks}
    assert [check.requirement.id for check in all_checks() if check.requirement.id not in broken] == []


def test_every_fault_breaks_a_check_that_exists() -> None:
    known = {check.requirement.id for check in all_checks()}
    unknown = {fault.name: set(fault.breaks) - known for fault in all_faults() if set(fault.breaks) - known}
    assert unknown == {}
