"""The catalogue against the map of requirements, and the form that each entry has to have."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from harness.checks.catalogue import Check, all_checks, check_named
from harness.checks.declaration import Phase
from harness.checks.order import ORDER
from harness.model.ics import satisfies
from harness.model.loading.profiles import load_profile
from harness.model.requirement import BenchFeature
from harness.session.run.plan import plan
from harness.session.target import Target, needs_met
from harness.simulate.faults import all_faults

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"
PROFILES = FIXTURES.parent / "profiles"
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


def test_a_run_goes_from_the_harmless_to_the_harmful() -> None:
    """The tested list: where the phase of a check matters most."""
    profile = load_profile(PROFILES / "smart-plug.yaml")
    met = needs_met(profile, Target(simulate=True))
    taken = [item.check for item in plan(profile, met) if not item.check.passive]
    phases = [check.declaration.phase for check in taken]
    assert phases == sorted(phases, key=list(Phase).index)
    order = [check.requirement.id for check in taken]
    first_crafted = next(at for at, phase in enumerate(phases) if phase is Phase.MALFORMED)
    for ordinary in ("DEV-01", "DEV-08", "MQTT-DEV-044", "PROFILE-02", "COAP-OBS-01"):
        assert order.index(ordinary) < first_crafted, ordinary


CRAFTED = ("MQTT-DEV-012", "MQTT-DEV-013", "MQTT-DEV-014", "MQTT-DEV-018", "MQTT-DEV-047", "PROFILE-08",
           "DEV-04", "COAP-CORE-04", "PROFILE-21", "MDNS-32", "SEC-10", "SERIAL-16", "SERIAL-29")  # fmt: skip


@pytest.mark.parametrize("check_id", CRAFTED)
def test_what_breaks_a_rule_is_sent_late(check_id: str) -> None:
    assert check_named(check_id).declaration.phase is Phase.MALFORMED


def test_only_passive_checks_and_mere_reading_come_first() -> None:
    """A check without a phase of its own watches, or uses the device as its owner does."""
    for check in all_checks():
        if check.passive:
            assert check.declaration.phase is Phase.WATCH, check.requirement.id
            continue
        if check.declaration.phase is Phase.WATCH:
            assert not check.needs & {BenchFeature.POWER, BenchFeature.RESTART}, check.requirement.id
        if BenchFeature.POWER in check.needs:
            assert check.declaration.phase in (Phase.OUTAGE, Phase.RESET), check.requirement.id
