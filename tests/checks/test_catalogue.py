"""The catalogue against the map of requirements, and the form that each entry has to have."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from harness.checks.catalogue import Check, all_checks
from harness.checks.order import ORDER
from harness.model.ics import satisfies
from harness.simulate.faults import all_faults

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"
MAP = {item["id"]: item for item in YAML(typ="safe").load(FIXTURES / "requirements.yaml")}
FIELD_FAULTS = {item["id"] for item in YAML(typ="safe").load(FIXTURES / "faults.yaml")}

# Where a check departs from the map on purpose, and why.
DEPARTURES = {
    "COAP-CORE-10": "graded by its stronger half: an ACK is against a MUST; another type than NON only warns",
}

of_the_map = [check for check in all_checks() if not check.requirement.id.startswith("PROFILE-")]


@pytest.mark.parametrize("check", of_the_map, ids=lambda check: check.requirement.id)
def test_id_level_and_basis_are_those_of_the_map(check: Check) -> None:
    known = MAP[check.requirement.id]
    if check.requirement.id in DEPARTURES:
        return
    assert check.requirement.level == known["level"]
    assert check.requirement.basis == known["basis"]


@pytest.mark.parametrize("check", all_checks(), ids=lambda check: check.requirement.id)
def test_every_entry_is_complete(check: Check) -> None:
    requirement = check.requirement
    assert requirement.purpose.startswith("ensure that ")
    for text in (requirement.standard, requirement.clause, requirement.stimulus, requirement.expect):
        assert text.strip()
    assert len(requirement.usual_cause) > 30
    assert type(check).__doc__, "how it is judged is not told"
    satisfies(requirement.ics, frozenset())  # raises where an item is unknown


def test_there_are_checks_in_every_area() -> None:
    assert len(all_checks()) >= 60
    areas = {check.requirement.area for check in all_checks()}
    assert {"mqtt", "coap", "mdns", "behaviour", "cross", "security"} <= areas


def test_faults_known_from_the_field_exist_there() -> None:
    unknown = {
        fault.name: fault.seen_as for fault in all_faults() if fault.seen_as not in {None, *FIELD_FAULTS}
    }
    assert unknown == {}


def test_checks_are_taken_in_the_order_that_is_written_down() -> None:
    assert [check.requirement.id for check in all_checks()] == list(ORDER)
    assert len(set(ORDER)) == len(ORDER)
