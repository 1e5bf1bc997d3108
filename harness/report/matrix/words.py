"""Texts of the matrix, for readers who do not know the tool."""

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
    """How a state is shown: a sign that works without colour, a word, and the meaning."""

    sign: str
    word: str
    meaning: str


STATES = {
    State.DIFFERS: StateWords(
        "≠",
        "differs",
        "The observation contradicts the prediction: a profile is wrong, or a rule of the prediction.",
    ),
    State.BLOCKED: StateWords("✗", "blocked", "A need of one device is not met by the other."),
    State.DEGRADED: StateWords("!", "degraded", "All needs are met, but some late, partly, or not always."),
    State.WORKS: StateWords("✓", "works", "All needs of one device are met by the other."),
    State.UNRELATED: StateWords("·", "unrelated", "One device needs nothing that the other one offers."),
}
"""By state, the most urgent first."""

SEVERITIES = {
    Severity.BLOCKS: StateWords("✗", "blocks", "The need is not met."),
    Severity.DEGRADES: StateWords("!", "degrades", "The need is met late, partly, or not always."),
    Severity.NOTE: StateWords("·", "note", "Worth knowing, without effect."),
}

AGREEMENTS = {
    Agreement.AGREES: "as predicted",
    Agreement.UNSHOWN: "the prediction cannot be observed on this bench",
    Agreement.DIFFERS: "not as predicted",
    Agreement.UNDECIDED: "undecided",
}

FLOWS = {Flow.COMMAND: "commands", Flow.STATE: "receives the state", Flow.EVENT: "receives the event"}

VIAS = {
    Via.DIRECT: "directly",
    Via.TRANSLATED: "with values converted",
    Via.BRIDGE: "over a bridge",
}


def conclusion_of_matrix(matrix: Matrix) -> Conclusion:
    """The overall result of a matrix: a headline and a sentence."""
    differ = len(matrix.of(State.DIFFERS))
    undecided = sum(pair.undecided for pair in matrix.pairs)
    unshown = sum(pair.unshown for pair in matrix.pairs)
    if matrix.selection is None:
        return Conclusion(
            Verdict.NOT_APPLICABLE,
            "Predicted, not observed",
            "Derived from the profiles; no device was run.",
        )
    observed = plural(matrix.selection.observed, "pair")
    rest = f" {plural(undecided, 'pair')} could not be decided." if undecided else ""
    if matrix.selection.interrupted:
        rest += " The run was interrupted before all pairs were observed."
    if differ:
        return Conclusion(
            Verdict.FAIL,
            "Prediction and observation differ",
            f"{differ} of {observed} observed did not behave as predicted.{rest}",
        )
    if undecided or matrix.selection.interrupted:
        return Conclusion(Verdict.INCONCLUSIVE, "Not every observed pair could be decided", rest.strip())
    text = f"The observation of {observed} agrees with the prediction."
    if unshown:
        text += f" {plural(unshown, 'prediction')} cannot be observed on this bench."
    return Conclusion(Verdict.PASS, "Observed as predicted", text)


def selection_text(matrix: Matrix) -> str:
    """How many pairs were observed, as text; empty if none."""
    chosen = matrix.selection
    if chosen is None:
        return ""
    left_out = f", {chosen.left_out} left out" if chosen.left_out else ", none left out"
    return (
        f"{chosen.observed} of {plural(len(matrix.pairs), 'ordered pair')} observed{left_out} "
        f"({plural(chosen.runs, 'run')}, {chosen.at_once} side by side)"
    )
