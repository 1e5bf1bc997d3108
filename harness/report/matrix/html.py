"""``matrix.html``: the heat map, with the reasons behind each cell; one page that needs nothing else."""

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

MOST_DRAWN = 120  # devices: a map of more has no cell that a person could find
_NOTHING = "nothing"  # the place for pairs of which there is nothing to tell
_MOST_TOLD = 3_000  # pairs whose reasons are on the page; of more, the gravest ones


@dataclass(frozen=True, slots=True)
class Cell:
    """A pair on the page; its reasons stand at ``anchor``."""

    pair: PairEntry
    anchor: str

    @property
    def label(self) -> str:
        """For those who do not see the map."""
        text = f"{self.pair.needer} needs of {self.pair.offerer}: {STATES[self.pair.state].word}"
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
    """A device, and with how many others it gets on."""

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
            told=[pair for pair in matrix.pairs if (pair.offerer, pair.needer) in anchors],
            obstacles=list(_obstacles(matrix)),
            standings=[_standing(matrix, profile) for profile in matrix.profiles],
            anchor=lambda pair: anchors.get((pair.offerer, pair.needer)),
            anchor_of=lambda offerer, needer: anchors.get((offerer, needer)),
        )
    )


def _marks(matrix: Matrix) -> Iterator[tuple[str, int, str]]:
    """What else a cell can show of an observation: its name, how often, and what it means."""
    unshown = sum(pair.unshown for pair in matrix.pairs)
    undecided = sum(pair.undecided for pair in matrix.pairs)
    if unshown:
        yield "unshown", unshown, "Observed, but what is predicted does not show in messages, as with power."
    if undecided:
        yield "undecided", undecided, "Observed in vain: it could not be decided."


def _anchors(matrix: Matrix) -> dict[tuple[str, str], str]:
    """Of the pairs whose reasons are told on the page: all that have any, or the gravest."""
    number = {profile.name: at for at, profile in enumerate(matrix.profiles, start=1)}
    order = list(STATES)
    told = [pair for pair in matrix.pairs if pair.links or pair.findings or pair.observed]
    told.sort(key=lambda pair: order.index(pair.state))
    return {
        (pair.offerer, pair.needer): f"pair-{number[pair.offerer]}-{number[pair.needer]}"
        for pair in told[:_MOST_TOLD]
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
    """What stands in the way, the most frequent first."""
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
