from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from page_structure import ATTACK, Page
from rich.console import Console
from sample_matrix import NAMES, OBSERVATIONS, PAIRS, ROWS, matrix
from sample_run import PROFILE

from harness.prediction.findings import PairOutcome
from harness.report.matrix import report as matrix_module
from harness.report.matrix.html import matrix_page
from harness.report.matrix.junit import matrix_junit
from harness.report.matrix.report import (
    DeviceRow,
    State,
    matrix_of,
    schema,
    to_json,
)
from harness.report.matrix.terminal import print_matrix
from harness.report.matrix.write import write_matrix

SCHEMA = Path(matrix_module.__file__).with_name("matrix.schema.json")


def test_a_pair_differs_where_the_observation_does_and_else_is_what_was_predicted() -> None:
    states = {(pair.offerer, pair.needer): pair.state for pair in matrix().pairs}
    assert {pair: state for pair, state in states.items() if state is not State.UNRELATED} == {
        ("lamp", "switch"): State.DIFFERS,
        ("heater", "switch"): State.WORKS,
        ("lamp", "heater"): State.DEGRADED,
        ("lamp", "meter"): State.BLOCKED,
    }
    assert all(pair.state == pair.predicted for pair in matrix(seen=False).pairs)


def test_the_exit_status_is_about_differences_not_about_blocked_pairs() -> None:
    assert matrix().status == 1
    assert matrix(seen=False).status == 0  # one pair is blocked
    kept = {pair: seen for pair, seen in OBSERVATIONS.items() if pair != ("lamp", "switch")}
    undecided = matrix_of(ROWS, PAIRS, kept, tool_version="", started="", seed=1)
    assert undecided.status == 3


def test_json_keeps_to_its_schema_which_ships_with_the_package() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == schema(), "write harness.report.matrix.report.schema() to it"
    jsonschema.validate(json.loads(to_json(matrix())), json.loads(schema()))


def test_findings_that_weigh_most_come_first_with_both_keys() -> None:
    pairs = json.loads(to_json(matrix()))["pairs"]
    found = next(pair for pair in pairs if pair["predicted"] == "blocked")["findings"]
    assert [finding["severity"] for finding in found] == ["blocks", "note"]
    assert (found[0]["offerer"]["file"], found[0]["offerer"]["line"]) == ("profiles/lamp.yaml", 12)
    assert found[0]["needer"]["key"] == "needs.switched"


def test_junit_fails_where_they_differ_and_errs_where_nothing_was_decided() -> None:
    root = ElementTree.fromstring(matrix_junit(matrix()))
    cases = {(case.get("classname"), case.get("name")): case for case in root.iter("testcase")}
    assert len(cases) == 16
    assert cases["lamp", "switch"].find("failure") is not None
    assert cases["lamp", "heater"].find("error") is not None
    assert cases["meter", "meter"].find("skipped") is not None
    blocked = cases["lamp", "meter"]
    assert [child.tag for child in blocked] == ["system-out"]
    assert "profiles/lamp.yaml:12: properties.on" in (blocked.findtext("system-out") or "")
    assert (root.get("failures"), root.get("errors")) == ("1", "1")


def test_the_page_is_well_formed_and_every_link_in_it_leads_somewhere() -> None:
    page = Page(matrix_page(matrix()))
    assert len(page.ids) == len(set(page.ids))
    files = {"matrix.json", "junit.xml", "pairs/lamp-switch/trace.jsonl"}
    for target in page.links:
        assert target in files or target.removeprefix("#") in page.ids, target


def test_differences_come_first_and_say_why_with_their_trace() -> None:
    text = matrix_page(matrix())
    page = Page(text)
    assert text.index("Where prediction and observation differ") < text.index("The map")
    assert "COMPAT-01 is fail: the lamp came to fail" in page.text
    assert "They do so nowhere" not in page.text


def test_every_pair_has_a_cell_with_a_sign_and_a_label() -> None:
    text = matrix_page(matrix())
    assert text.count('aria-label="') >= len(NAMES) ** 2
    for label in (
        "switch needs from lamp: differs, observed",
        "meter needs from lamp: blocked, observed",
        "heater needs from lamp: degraded, observed",
        "switch needs from heater: works, observed",
        "lamp needs from meter: unrelated",
    ):
        assert f'aria-label="{label}"' in text, label
    assert 'role="grid"' in text


def test_the_reasons_of_a_pair_stand_at_the_place_that_its_cell_names() -> None:
    page = Page(matrix_page(matrix()))
    reasons = page.part("pair-1-4")  # by the order in which the profiles were given
    assert "nothing makes watts of degrees" in reasons
    assert "profiles/switch.yaml:7: needs.switched" in reasons
    assert "another unit" in reasons


def test_what_profiles_say_is_never_markup() -> None:
    hostile = PROFILE.model_copy(update={"title": ATTACK})
    rows = tuple(DeviceRow(name, hostile, ATTACK) for name in NAMES)
    page = Page(matrix_page(matrix(rows=rows)))
    assert page.scripts == 1


def test_one_page_only_for_devices_without_number(tmp_path: Path) -> None:
    names = [f"device-{at}" for at in range(130)]
    pairs = [type(PAIRS[0])(one, other, PAIRS[-1].prediction) for one in names for other in names]
    rows = [DeviceRow(name, PROFILE, "x.yaml") for name in names]
    text = matrix_page(matrix_of(rows, pairs, tool_version="", started="", seed=1))
    assert "too large to read" in text
    assert len(text) < 200_000


def test_files_of_the_report(tmp_path: Path) -> None:
    page = write_matrix(tmp_path / "out", matrix())
    assert page.name == "matrix.html"
    assert {file.name for file in page.parent.iterdir()} == {"matrix.html", "matrix.json", "junit.xml"}


@pytest.mark.parametrize("seen", [True, False])
def test_the_terminal_tells_differences_reasons_and_counts(seen: bool) -> None:
    output = StringIO()
    print_matrix(Console(file=output, width=200), matrix(seen=seen))
    text = output.getvalue()
    assert "✗ blocked  lamp → meter  switched: nothing makes watts of degrees" in text
    assert ("≠ differs  lamp → switch" in text) == seen
    assert ("4 of 16 ordered pairs observed, 12 left out" in text) == seen
    assert ("1.50 × that for each round of 2 runs" in text) == seen


def test_outcomes_are_states_too() -> None:
    assert {State(outcome) for outcome in PairOutcome} | {State.DIFFERS} == set(State)
