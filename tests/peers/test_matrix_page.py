"""The matrix in a real browser: keys, links, what is cut off, and what colour-blind people see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.model.loading.profiles import load_profile
from harness.model.verdict import Verdict
from harness.prediction.comparison import (
    FOLLOWS,
    ObservedCheck,
    PairObservation,
)
from harness.prediction.findings import (
    Finding,
    FindingKind,
    KeyPlace,
    NeedOutcome,
    PairOutcome,
    Prediction,
    Severity,
)
from harness.prediction.matrix import OrderedPair
from harness.report.matrix.report import (
    DeviceRow,
    Selection,
    State,
    matrix_of,
)
from harness.report.matrix.write import write_matrix
from tests.peers.chromium import PROGRAM, Browser, chromium

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed"),
]

PLUG = Path(__file__).parent.parent.parent / "profiles" / "smart-plug.yaml"
NAMES = [f"device-with-a-rather-long-name-{at:02}" for at in range(20)]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of 20 devices, with cells in every state."""
    profile = load_profile(PLUG)
    outcomes = list(PairOutcome)
    place = KeyPlace("smart-plug", "properties.relay.with.a.key.that.is.long", PLUG, 31)
    pairs, seen = [], {}
    for row, one in enumerate(NAMES):
        for column, other in enumerate(NAMES):
            outcome = outcomes[(row // 3 + column // 4) % 4]
            severity = {PairOutcome.BLOCKED: Severity.BLOCKS, PairOutcome.DEGRADED: Severity.DEGRADES}.get(
                outcome
            )
            found = (
                (Finding(FindingKind.UNIT, severity, f"found {one} {other}", place, place, "help", "", "n"),)
                if severity
                else ()
            )
            needs = (NeedOutcome("n", "OnOff.OnOff", "", False, outcome),) if severity else ()
            pairs.append(OrderedPair(one, other, Prediction(one, other, outcome, (), found, needs)))
            if (row, column) == (0, 0):
                check = ObservedCheck("COMPAT-10", "", Verdict.FAIL, "both are called the same", (3,))
                seen[one, other] = PairObservation((check,), "pairs/a/trace.jsonl", 0.1)
            elif outcome is PairOutcome.BLOCKED:
                check = ObservedCheck(FOLLOWS, "", Verdict.FAIL, "does not follow", (3,), "n")
                seen[one, other] = PairObservation((check,), "pairs/a/trace.jsonl", 0.1)
    selection = Selection(
        pairs="covering", observed=len(seen), left_out=400 - len(seen), runs=1, at_once=1, processes=1,
        seconds=1, starting_seconds=0, slowest_seconds=1,
    )  # fmt: skip
    rows = [DeviceRow(name, profile, "profiles/x.yaml") for name in NAMES]
    matrix = matrix_of(rows, pairs, seen, tool_version="1", started="", seed=1, selection=selection)
    return write_matrix(tmp_path_factory.mktemp("matrix"), matrix)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def browser(running: Browser, page: Path) -> Browser:
    """The page, at the size of a desktop."""
    running.open(page)
    return running


FOCUSED = "document.activeElement.getAttribute('aria-label')"
OPENED = "(document.querySelector('.pair:target h3') || {}).textContent"


def test_arrow_keys_move_in_the_grid_which_is_one_stop_for_the_tab_key(browser: Browser) -> None:
    assert browser.tell("document.querySelectorAll('table.map a[tabindex=\"0\"]').length") == 1
    browser.tell("document.querySelector('table.map a[tabindex=\"0\"]').focus()")

    def at(row: int, column: int) -> str:
        rows = f"document.querySelector('table.map').tBodies[0].rows[{row}]"
        label = browser.tell(f"{rows}.querySelectorAll('a')[{column}].getAttribute('aria-label')")
        assert isinstance(label, str)
        return label

    for key, place in (
        ("ArrowRight", (0, 1)),
        ("ArrowDown", (1, 1)),
        ("End", (1, 19)),
        ("ArrowRight", (1, 19)),
        ("ArrowUp", (0, 19)),
        ("Home", (0, 0)),
        ("ArrowLeft", (0, 0)),
    ):
        browser.press(key)
        assert browser.tell(FOCUSED) == at(*place), key


def test_enter_opens_the_reasons_and_escape_goes_back_to_the_cell(browser: Browser) -> None:
    browser.tell("document.querySelector('table.map td.blocked a').focus()")
    label = browser.tell(FOCUSED)
    browser.press("Enter")
    needer, offerer = label.removesuffix(": blocked, observed").split(" needs from ")
    assert browser.tell(OPENED) == f"What {needer} needs from {offerer}"
    panel = browser.tell("document.activeElement.innerText")
    assert f"found {offerer} {needer}" in panel
    assert "properties.relay.with.a.key.that.is.long" in panel
    assert browser.tell("document.querySelector('.pair:target a[href^=pairs]').href").endswith("trace.jsonl")
    browser.press("Escape")
    assert browser.tell(OPENED) is None
    assert browser.tell(FOCUSED) == label


def test_a_link_to_a_pair_opens_it(running: Browser, page: Path) -> None:
    running.open(page, anchor="#pair-1-1")
    assert "Two units of" in running.tell(OPENED)
    assert running.tell("document.querySelectorAll('td.open').length") == 1


@pytest.mark.parametrize("width", [1440, 1024, 390, 320])
def test_nothing_is_cut_off_at_any_width(running: Browser, page: Path, width: int) -> None:
    running.open(page, width=width, anchor="#pair-1-1")
    assert running.tell("document.documentElement.scrollWidth") <= width
    cut = """[...document.querySelectorAll('.map th, .map th span, .pair:target *')].filter(each =>
        each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).overflowX !== 'auto'
        && each.clientWidth > 0).map(each => each.outerHTML.slice(0, 80))"""
    assert running.tell(cut) == []
    frame = "document.querySelector('.frame')"
    assert running.tell(f"getComputedStyle({frame}).overflowX") == "auto"
    names = "[...document.querySelectorAll('.map thead th span')].map(each => each.textContent)"
    assert set(NAMES) <= set(running.tell(names))


def test_names_stay_in_sight_while_the_map_scrolls(running: Browser, page: Path) -> None:
    running.open(page, width=390, height=844)
    running.tell("document.querySelector('.frame').scrollTo(400, 300)")
    places = """(() => {
        const frame = document.querySelector('.frame').getBoundingClientRect();
        const top = document.querySelectorAll('.map thead th')[8].getBoundingClientRect();
        const left = document.querySelectorAll('.map tbody th')[8].getBoundingClientRect();
        return [Math.round(top.top - frame.top), Math.round(left.left - frame.left)];
    })()"""
    assert running.tell(places) == [1, 1]  # beside the border


def test_states_differ_in_sign_and_in_lightness(browser: Browser) -> None:
    looks = {}
    for state in (State.DIFFERS, State.BLOCKED, State.DEGRADED, State.WORKS):
        cell = f"document.querySelector('table.map td.{state} a')"
        colour = browser.tell(f"getComputedStyle({cell}).backgroundColor")
        red, green, blue = (int(part) for part in colour[4:-1].split(","))
        looks[state] = (0.2126 * red + 0.7152 * green + 0.0722 * blue, browser.tell(f"{cell}.textContent"))
    assert len({sign for _, sign in looks.values()}) == len(looks)
    # From works to blocked it gets darker, by enough to be told apart without any colour.
    grey = [looks[state][0] for state in (State.WORKS, State.DEGRADED, State.BLOCKED)]
    assert grey[0] - grey[1] > 30
    assert grey[1] - grey[2] > 30


def test_assistive_technology_is_told_of_a_grid(browser: Browser) -> None:
    nodes = browser.command("Accessibility.getFullAXTree")["nodes"]
    roles = [node.get("role", {}).get("value") for node in nodes]
    assert roles.count("grid") == 1
    assert roles.count("gridcell") == 400
    assert roles.count("columnheader") >= 21
    assert roles.count("rowheader") >= 20
