"""The words in which the matrix speaks to people who never saw the tool."""

from __future__ import annotations

from dataclasses import dataclass

from harness.model.verdict import Verdict
from harness.prediction.comparison import Agreement
from harness.prediction.findings import (
    Flow,
    Severity,
    Via,
)
from harness.report.matrix.report import (
    Matrix,
    State,
)
from harness.report.text import plural
from harness.report.words import Conclusion


@dataclass(frozen=True, slots=True)
class StateWords:
    """How a state is shown: a sign that tells it apart without colour, and what it means."""

    sign: str
    word: str
    meaning: str


STATES = {
    State.DIFFERS: StateWords(
        "≠",
        "differs",
        "What was seen on the wire is not what the profiles promise: a profile or a rule is wrong.",
    ),
    State.BLOCKED: StateWords("✗", "blocked", "Something that one needs of the other does not come about."),
    State.DEGRADED: StateWords(
        "!", "degraded", "It comes about, but not always, later, or with less than both could do."
    ),
    State.WORKS: StateWords("✓", "works", "Everything that one needs of the other comes about."),
    State.UNRELATED: StateWords("·", "unrelated", "The one needs nothing that the other offers."),
}
"""By state, those first that ask for attention first."""

SEVERITIES = {
    Severity.BLOCKS: StateWords("✗", "blocks", "What is needed does not come about."),
    Severity.DEGRADES: StateWords("!", "degrades", "It comes about, but not always, later, or with less."),
    Severity.NOTE: StateWords("·", "note", "Worth knowing; nothing is lost."),
}

AGREEMENTS = {
    Agreement.AGREES: "as predicted",
    Agreement.UNSHOWN: "nothing speaks against the prediction, but it does not show on this bench",
    Agreement.DIFFERS: "not as predicted",
    Agreement.UNDECIDED: "nothing decided",
}

FLOWS = {Flow.COMMAND: "commands", Flow.STATE: "is told the state", Flow.EVENT: "is told the event"}

VIAS = {
    Via.DIRECT: "directly",
    Via.TRANSLATED: "with values converted",
    Via.BRIDGE: "over a bridge",
}


def conclusion_of_matrix(matrix: Matrix) -> Conclusion:
    """What the matrix comes to, in a headline and a sentence."""
    differ = len(matrix.of(State.DIFFERS))
    undecided = sum(pair.undecided for pair in matrix.pairs)
    unshown = sum(pair.unshown for pair in matrix.pairs)
    if matrix.selection is None:
        return Conclusion(
            Verdict.NOT_APPLICABLE,
            "Predicted, not observed",
            "This follows from the profiles; nothing was run.",
        )
    observed = plural(matrix.selection.observed, "pair")
    rest = f" {plural(undecided, 'pair')} could not be decided." if undecided else ""
    if matrix.selection.interrupted:
        rest += " It was interrupted before all were observed."
    if differ:
        return Conclusion(
            Verdict.FAIL,
            "Prediction and observation differ",
            f"{differ} of {observed} that ran did not behave as the profiles promise.{rest}",
        )
    if undecided or matrix.selection.interrupted:
        return Conclusion(Verdict.INCONCLUSIVE, "Not every observed pair could be decided", rest.strip())
    text = f"Nothing that was seen of {observed} speaks against the prediction."
    if unshown:
        text += f" Of {plural(unshown, 'pair')} what is predicted does not show on this bench."
    return Conclusion(Verdict.PASS, "Observed as predicted", text)


def selection_text(matrix: Matrix) -> str:
    """How much was observed, for people; empty where nothing was."""
    chosen = matrix.selection
    if chosen is None:
        return ""
    left_out = f", {chosen.left_out} left out" if chosen.left_out else ", none left out"
    return (
        f"{chosen.observed} of {plural(len(matrix.pairs), 'ordered pair')} observed{left_out} "
        f"({plural(chosen.runs, 'run')}, {chosen.at_once} side by side)"
    )
