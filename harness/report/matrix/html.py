"""``matrix.html``: a self-contained page with the heat map and the reasons for each cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment

from harness.model.verdict import Verdict
from harness.prediction.findings import (
    FindingKind,
    Severity,
)
from harness.report.matrix.report import (
    Matrix,
    PairEntry,
    ProfileEntry,
    State,
)
from harness.report.matrix.words import (
    AGREEMENTS,
    FLOWS,
    SEVERITIES,
    STATES,
    VIAS,
    conclusion_of_matrix,
    selection_text,
)
from harness.report.templating import environment

MOST_DRAWN = 120  # devices; a larger map is unreadable
_NOTHING = "nothing"  # the anchor for pairs without details
_MOST_LISTED = 3_000  # pairs with details on the page, the most severe ones first


@dataclass(frozen=True, slots=True)
class Cell:
    """A pair on the page; its details are at ``anchor``."""

    pair: PairEntry
    anchor: str

    @property
    def label(self) -> str:
        """The text for screen readers."""
        text = f"{self.pair.needer} needs from {self.pair.offerer}: {STATES[self.pair.state].word}"
        return f"{text}, observed" if self.pair.observed else text


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the map."""

    offerer: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A kind of finding, and the pairs that it blocks or degrades."""

    kind: FindingKind
    blocked: tuple[PairEntry, ...]
    degraded: tuple[PairEntry, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """A device, and the number of others that it works with."""

    profile: ProfileEntry
    serves: int
    served: int
    blocked: int


def matrix_page(matrix: Matrix) -> str:
    """The page."""
    anchors = _anchors(matrix)
    return (
        _environment()
        .get_template("matrix.html.j2")
        .render(
            matrix=matrix,
            conclusion=conclusion_of_matrix(matrix),
            selection=selection_text(matrix),
            lines=_lines(matrix, anchors) if len(matrix.profiles) <= MOST_DRAWN else [],
            marks=list(_marks(matrix)),
            listed=[pair for pair in matrix.pairs if (pair.offerer, pair.needer) in anchors],
            obstacles=list(_obstacles(matrix)),
            standings=[_standing(matrix, profile) for profile in matrix.profiles],
            anchor=lambda pair: anchors.get((pair.offerer, pair.needer)),
            anchor_of=lambda offerer, needer: anchors.get((offerer, needer)),
        )
    )


def _marks(matrix: Matrix) -> Iterator[tuple[str, int, str]]:
    """Further marks of cells: name, count and meaning."""
    unshown = sum(pair.unshown for pair in matrix.pairs)
    undecided = sum(pair.undecided for pair in matrix.pairs)
    if unshown:
        yield "unshown", unshown, "Observed, but the prediction cannot be seen in messages, such as power."
    if undecided:
        yield "undecided", undecided, "Observed, but it could not be decided."


def _anchors(matrix: Matrix) -> dict[tuple[str, str], str]:
    """The anchors of pairs with details on the page: all that have any, or the most severe ones."""
    number = {profile.name: at for at, profile in enumerate(matrix.profiles, start=1)}
    order = list(STATES)
    listed = [pair for pair in matrix.pairs if pair.links or pair.findings or pair.observed]
    listed.sort(key=lambda pair: order.index(pair.state))
    return {
        (pair.offerer, pair.needer): f"pair-{number[pair.offerer]}-{number[pair.needer]}"
        for pair in listed[:_MOST_LISTED]
    }


def _lines(matrix: Matrix, anchors: dict[tuple[str, str], str]) -> list[Line]:
    pairs = {(pair.offerer, pair.needer): pair for pair in matrix.pairs}
    return [
        Line(
            offerer,
            tuple(
                Cell(pairs[offerer, needer], anchors.get((offerer, needer), _NOTHING))
                for needer in matrix.columns
            ),
        )
        for offerer in matrix.rows
    ]


def _obstacles(matrix: Matrix) -> Iterator[Obstacle]:
    """The kinds of findings, the most frequent first."""
    found = [
        Obstacle(
            kind, _with(matrix.pairs, kind, Severity.BLOCKS), _with(matrix.pairs, kind, Severity.DEGRADES)
        )
        for kind in FindingKind
    ]
    found.sort(key=lambda each: (-len(each.blocked), -len(each.degraded)))
    yield from (each for each in found if each.blocked or each.degraded)


def _with(pairs: Sequence[PairEntry], kind: FindingKind, severity: Severity) -> tuple[PairEntry, ...]:
    return tuple(
        pair
        for pair in pairs
        if any(finding.kind == kind and finding.severity is severity for finding in pair.findings)
    )


def _standing(matrix: Matrix, profile: ProfileEntry) -> Standing:
    good = (State.WORKS, State.DEGRADED)
    return Standing(
        profile,
        serves=sum(pair.state in good for pair in matrix.pairs if pair.offerer == profile.name),
        served=sum(pair.state in good for pair in matrix.pairs if pair.needer == profile.name),
        blocked=sum(
            pair.state is State.BLOCKED
            for pair in matrix.pairs
            if profile.name in (pair.offerer, pair.needer)
        ),
    )


@cache
def _environment() -> Environment:
    made = environment(("style.css", "matrix.css"), ("script.js", "matrix.js"))
    made.globals.update(
        GOOD=(Verdict.PASS, Verdict.NOT_APPLICABLE),
        STATES=STATES,
        SEVERITIES=SEVERITIES,
        AGREEMENTS=AGREEMENTS,
        FLOWS=FLOWS,
        VIAS=VIAS,
        State=State,
    )
    return made
