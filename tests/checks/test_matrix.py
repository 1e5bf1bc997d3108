"""Every check passes on a conforming device, and fails on a device with a fault: by name, and as a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.checks.catalogue import all_checks, check_named
from harness.model.ics import ics_of, satisfies
from harness.model.loading.profiles import load_profile
from harness.model.verdict import Verdict
from harness.simulate.faults import Fault, all_faults
from tests.checks.conftest import MATRIX
from tests.checks.driving import FURTHER, SHIPPED, check_simulated

# The devices that a fault is tried on come first: talkative enough to show it, and idle enough.
SUBJECTS = ["air-conditioner", "refrigerator", "remote-control", "smart-plug"]
ALL = [*sorted(SHIPPED, key=lambda path: path.stem not in SUBJECTS), *FURTHER]
BROKEN = (Verdict.FAIL, Verdict.WARN)


def subjects_of(fault: Fault) -> dict[Path, list[str]]:
    """For each check that the fault names, the first profile on which it applies: profile to checks."""
    subjects: dict[Path, list[str]] = {}
    for name in fault.breaks:
        for path in ALL:
            profile = load_profile(path)
            applies = satisfies(check_named(name).requirement.ics, ics_of(profile))
            if fault.applies(profile) and applies and any(True for _ in check_named(name).subjects(profile)):
                subjects.setdefault(path, []).append(name)
                break
        else:
            pytest.fail(f"{name} applies to no profile that can have the fault {fault.name}")
    return subjects


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


@pytest.mark.parametrize(
    "fault", [fault for fault in all_faults() if not fault.is_stress], ids=lambda fault: fault.name
)
def test_a_fault_breaks_the_checks_that_it_names(fault: Fault) -> None:
    verdicts: dict[str, set[str]] = {check: set() for check in fault.breaks}
    for path, checks in subjects_of(fault).items():
        result = check_simulated(path, faults=[fault.name], select=checks)
        for item in result.judgements:
            verdicts[item.result.check].add(item.result.outcome.verdict)
            MATRIX.note(fault.name, path.stem, item)
    unbroken = {check: seen for check, seen in verdicts.items() if not seen & set(BROKEN)}
    assert unbroken == {}


def test_every_check_has_a_fault() -> None:
    broken = {check for fault in all_faults() for check in fault.breaks}
    assert [check.requirement.id for check in all_checks() if check.requirement.id not in broken] == []


def test_every_fault_breaks_a_check_that_exists() -> None:
    known = {check.requirement.id for check in all_checks()}
    unknown = {fault.name: set(fault.breaks) - known for fault in all_faults() if set(fault.breaks) - known}
    assert unknown == {}
