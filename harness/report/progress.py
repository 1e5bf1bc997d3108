"""The state of a run while it goes on: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.live import Live
from rich.text import Text

from harness.model.verdict import Verdict
from harness.report.console import STYLES, TOLD, is_plain
from harness.report.text import one_line, plural
from harness.report.words import VERDICTS
from harness.session.result import Judgement

_BAR_WIDTH = 24
_SLOWEST_SHOWN = 3
# Drawing costs about a millisecond; a run of thousands of checks is drawn once for many of them.
_DRAWINGS = 400


class Progress:
    """Shows how far a run is. Nothing happens between calls: no thread, no timer.

    On a terminal: one line with the checks done, the current one and the verdicts so far, redrawn in
    place, and above it what did not pass, as it comes. Elsewhere: a plain line for each result. With many
    lanes the line shows totals, and the lanes that are furthest behind.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._plain = is_plain(console)
        self._live: Live | None = None
        self._total = 0
        self._counts: Counter[Verdict] = Counter()
        self._done: Counter[str] = Counter()
        self._current: dict[str, str] = {}
        self._calls = 0

    def started(self, total: int) -> None:
        """The run begins; ``total`` results are to come, over all lanes."""
        self._total = total
        if not self._plain:
            self._live = Live(
                self._line(),
                console=self._console,
                auto_refresh=False,  # would be a thread
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()

    def check_started(self, lane: str, check: str) -> None:
        """A lane begins with a check; ``check`` is its id, with its subject where it has one."""
        self._current[lane] = check
        self._done.setdefault(lane, 0)
        self._draw()

    def result(self, lane: str, judgement: Judgement) -> None:
        """A lane has a verdict."""
        verdict = judgement.result.outcome.verdict
        self._counts[verdict] += 1
        self._done[lane] += 1
        if self._current.get(lane) == judgement.result.id:
            del self._current[lane]
        if self._plain:
            self._console.file.write(result_line(lane, judgement) + "\n")
            self._console.file.flush()
        elif verdict in TOLD:
            self._tell(lane, judgement)
        self._draw()

    def finished(self) -> None:
        """The run is over, or was stopped; the live line goes away."""
        if self._live:
            self._live.stop()
            self._live = None

    def _tell(self, lane: str, judgement: Judgement) -> None:
        outcome = judgement.result.outcome
        words = VERDICTS[outcome.verdict]
        line = Text(f"{words.sign} {words.word}  ", style=STYLES[outcome.verdict])
        line.append(f"{lane}::{judgement.result.id}", style="bold not dim")
        line.append(f"  {one_line(outcome.message)}", style="not bold")
        self._console.print(line)

    def _draw(self) -> None:
        self._calls += 1
        if self._live and self._calls % max(1, 2 * self._total // _DRAWINGS) == 0:
            self._live.update(self._line(), refresh=True)

    def _line(self) -> Text:
        done = sum(self._counts.values())
        filled = _BAR_WIDTH * done // self._total if self._total else 0
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append("━" * min(filled, _BAR_WIDTH), style="green")
        line.append("━" * max(0, _BAR_WIDTH - filled), style="dim")
        line.append(f" {done}/{self._total}")
        for verdict, words in VERDICTS.items():
            if self._counts[verdict]:
                line.append(f"  {words.sign} {self._counts[verdict]}", style=STYLES[verdict])
        line.append(f"  {self._where()}", style="dim")
        return line

    def _where(self) -> str:
        if len(self._done) <= 1:
            return next(iter(self._current.values()), "")
        behind = sorted(self._current, key=lambda lane: self._done[lane])[:_SLOWEST_SHOWN]
        slowest = ", ".join(f"{lane} ({self._done[lane]}: {self._current[lane]})" for lane in behind)
        return f"{plural(len(self._done), 'device')}, slowest: {slowest}" if slowest else ""


def result_line(lane: str, judgement: Judgement) -> str:
    """A result as a plain line: ``pass  smart-plug::MQTT-DEV-044[relay]  message``."""
    result = judgement.result
    return f"{result.outcome.verdict}  {lane}::{result.id}  {one_line(result.outcome.message)}"
