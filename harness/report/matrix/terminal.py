"""The matrix on a terminal: a small map, the differences, and the blocked pairs with reasons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from harness.prediction.findings import Severity
from harness.report.console import is_plain
from harness.report.matrix.report import (
    Matrix,
    PairEntry,
    State,
)
from harness.report.matrix.words import (
    STATES,
    conclusion_of_matrix,
    selection_text,
)
from harness.report.text import one_line, plural, seconds_text

STYLES = {
    State.DIFFERS: "bold black on yellow",
    State.BLOCKED: "bold red",
    State.DEGRADED: "yellow",
    State.WORKS: "cyan",
    State.UNRELATED: "dim",
}

_MOST_DRAWN = 40  # devices with a row in the small map
_MOST_LISTED = 12  # pairs of one state with a line each


def print_matrix(console: Console, matrix: Matrix, *, page: Path | None = None) -> None:
    """Print the matrix; as plain lines if the output is no terminal."""
    lines = [*_map(matrix), *_details(matrix), *_closing(matrix)]
    if page:
        lines.append(Text(f"report: {page}"))
    if is_plain(console):
        console.file.writelines(f"{line.plain}\n" for line in lines)
        return
    for line in lines:
        console.print(line, soft_wrap=True)


def _map(matrix: Matrix) -> Iterator[Text]:
    """One sign for each pair; columns are numbered to save space."""
    if len(matrix.profiles) > _MOST_DRAWN:
        return
    pairs = {(pair.offerer, pair.needer): pair for pair in matrix.pairs}
    width = max(map(len, matrix.rows), default=0)
    numbers = {name: at for at, name in enumerate(matrix.columns, start=1)}
    yield Text(f"{'offers ↓ needs →':<{width + 3}} " + "".join(f"{at:>3}" for at in numbers.values()))
    for name in matrix.rows:
        line = Text(f"{name:<{width}} {numbers[name]:>2} ")
        for other in matrix.columns:
            state = pairs[name, other].state
            line.append("  ").append(STATES[state].sign, style=STYLES[state])
        yield line
    yield Text("")


def _details(matrix: Matrix) -> Iterator[Text]:
    for pair in matrix.of(State.DIFFERS):
        yield _line(pair, _why(pair))
        yield Text(f"  trace: {pair.observed.trace if pair.observed else ''}")
    undecided = [pair for pair in matrix.pairs if pair.undecided]
    yield from _first([_line(pair, _why(pair)) for pair in undecided], "undecided pair")
    for state, severity in ((State.BLOCKED, Severity.BLOCKS), (State.DEGRADED, Severity.DEGRADES)):
        lines = [_line(pair, _reason(pair, severity)) for pair in matrix.of(state)]
        yield from _first(lines, f"{STATES[state].word} pair")


def _first(lines: Sequence[Text], what: str) -> Iterator[Text]:
    yield from lines[:_MOST_LISTED]
    if len(lines) > _MOST_LISTED:
        yield Text(f"  and {plural(len(lines) - _MOST_LISTED, f'more {what}')}", style="dim")
    if lines:
        yield Text("")


def _why(pair: PairEntry) -> str:
    return pair.observed.why if pair.observed else ""


def _line(pair: PairEntry, why: str) -> Text:
    words = STATES[pair.state]
    line = Text(f"{words.sign} {words.word}", style=STYLES[pair.state])
    line.append(f"  {pair.offerer} → {pair.needer}", style="bold not dim")
    return line.append(f"  {one_line(why)}", style="not bold")


def _reason(pair: PairEntry, severity: Severity) -> str:
    found = [finding for finding in pair.findings if finding.severity is severity]
    if not found:
        return ""
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    need = f"{found[0].need}: " if found[0].need else ""
    return f"{need}{found[0].what}{more}"


def _closing(matrix: Matrix) -> Iterator[Text]:
    conclusion = conclusion_of_matrix(matrix)
    yield Text(f"{conclusion.headline}. {conclusion.text}", style="bold")
    counts = ", ".join(f"{count} {STATES[state].word}" for state, count in matrix.counted().items() if count)
    yield Text(f"  {plural(len(matrix.pairs), 'ordered pair')}: {counts}")
    chosen = matrix.selection
    if chosen:
        yield Text(f"  {selection_text(matrix)}")
        yield Text(
            f"  {seconds_text(chosen.seconds)}, {seconds_text(chosen.starting_seconds)} to start "
            f"{plural(chosen.processes, 'process', 'processes')}; the slowest run took "
            f"{seconds_text(chosen.slowest_seconds)}: {chosen.ratio:.2f} × that for each round of "
            f"{chosen.at_once} runs"
        )
