"""The progress of a run: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from harness.model.verdict import Verdict
from harness.report.console import NEEDS_ATTENTION, STYLES, is_plain
from harness.report.text import one_line, plural
from harness.report.words import VERDICTS
from harness.session.result import Judgement

_BAR_WIDTH = 24
_NARROW_BAR_WIDTH = 12
_SLOWEST_SHOWN = 3
_LINES = 16  # devices with a line each; for more, only totals and the slowest are shown
# Drawing takes about a millisecond, so a run of thousands of checks is not redrawn after each.
_DRAWINGS = 400


class ProgressDisplay:
    """Shows the progress of a run. Works only when called: no thread, no timer.

    On a terminal: one line for each device with the checks done, the current one and the verdicts so far,
    redrawn in place, with problems printed above it at once. Elsewhere: a plain line for each applicable
    result (``quiet``: except passes), and one for each device that is done. With very many devices one
    line shows totals and the slowest devices.
    """

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        self._reasons: set[tuple[str, str]] = set()  # reasons of inconclusive results, as printed so far
        self._plain = is_plain(console)
        self._live: Live | None = None
        self._totals: Mapping[str, int] = {}
        self._total = 0
        self._counts: dict[str, Counter[Verdict]] = {}
        self._current: dict[str, str] = {}
        self._at_work: dict[str, None] = {}  # unfinished lanes, in the order of their start
        self._calls = 0

    def started(self, totals: Mapping[str, int]) -> None:
        """Start the display; ``totals`` is the expected number of results of each lane."""
        self._totals = totals
        self._total = sum(totals.values())
        self._counts = {lane: Counter() for lane in totals}
        if not self._plain:
            self._live = Live(
                self._drawn(),
                console=self._console,
                auto_refresh=False,  # would be a thread
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()

    def check_started(self, lane: str, check: str) -> None:
        """A lane starts a check; ``check`` is its id, with its subject if it has one."""
        self._current[lane] = check
        self._at_work.setdefault(lane)
        self._draw()

    def result(self, lane: str, judgement: Judgement) -> None:
        """A lane has a verdict."""
        verdict = judgement.result.outcome.verdict
        self._counts[lane][verdict] += 1
        if self._current.get(lane) == judgement.result.id:
            del self._current[lane]
        if self._is_done(lane):
            self._at_work.pop(lane, None)
        if self._plain:
            if verdict in NEEDS_ATTENTION or (verdict is Verdict.PASS and not self._quiet):
                self._console.file.write(self._plain_line(lane, judgement) + "\n")
            if len(self._totals) > 1 and self._is_done(lane):
                self._console.file.write(done_line(lane, self._counts[lane]) + "\n")
            self._console.file.flush()
        elif verdict in NEEDS_ATTENTION:
            self._print_problem(lane, judgement)
        self._draw()

    def finished(self) -> None:
        """Remove the live line: the run is over, or was stopped."""
        if self._live:
            self._live.stop()
            self._live = None

    def _print_problem(self, lane: str, judgement: Judgement) -> None:
        outcome = judgement.result.outcome
        words = VERDICTS[outcome.verdict]
        line = Text(f"{words.sign} {words.word}  ", style=STYLES[outcome.verdict])
        line.append(f"{lane}::{judgement.result.id}", style="bold not dim")
        line.append(f"  {one_line(outcome.message)}", style="not bold")
        self._console.print(line)

    def _plain_line(self, lane: str, judgement: Judgement) -> str:
        """A plain line; a reason that makes many checks inconclusive is printed only once."""
        outcome = judgement.result.outcome
        if outcome.verdict is Verdict.INCONCLUSIVE:
            if (lane, outcome.message) in self._reasons:
                return f"{outcome.verdict}  {lane}::{judgement.result.id}  same reason as above"
            self._reasons.add((lane, outcome.message))
        return result_line(lane, judgement)

    def _is_done(self, lane: str) -> bool:
        return self._counts[lane].total() >= self._totals[lane]

    def _draw(self) -> None:
        self._calls += 1
        if self._live and self._calls % max(1, 2 * self._total // _DRAWINGS) == 0:
            self._live.update(self._drawn(), refresh=True)

    def _drawn(self) -> Group:
        if len(self._totals) == 1 or len(self._totals) > _LINES:
            counts = sum(self._counts.values(), Counter[Verdict]())
            return Group(_line(counts, self._total, self._where(), _BAR_WIDTH))
        width = max(map(len, self._totals), default=0)
        return Group(
            *(
                Text(f"{lane:<{width}} ").append_text(
                    _line(self._counts[lane], total, self._current.get(lane, ""), _NARROW_BAR_WIDTH)
                )
                for lane, total in self._totals.items()
            )
        )

    def _where(self) -> str:
        if len(self._totals) <= 1:
            return next(iter(self._current.values()), "")
        done = sum(self._is_done(lane) for lane in self._totals)
        where = f"{done} of {plural(len(self._totals), 'device')} done"
        # The slowest lanes are those that started first and are not done.
        longest = itertools.islice(self._at_work, _SLOWEST_SHOWN)
        slowest = ", ".join(
            f"{lane} ({self._counts[lane].total()}: {self._current.get(lane, 'between checks')})"
            for lane in longest
        )
        return f"{where}, slowest: {slowest}" if slowest else where


def _line(counts: Counter[Verdict], total: int, where: str, width: int) -> Text:
    """A bar, the number of checks done, the verdicts so far, and the current check."""
    done = counts.total()
    filled = width * done // total if total else 0
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append("━" * min(filled, width), style="green")
    line.append("━" * max(0, width - filled), style="dim")
    line.append(f" {done}/{total}")
    for verdict, words in VERDICTS.items():
        if counts[verdict]:
            line.append(f"  {words.sign} {counts[verdict]}", style=STYLES[verdict])
    line.append(f"  {where}", style="dim")
    return line


def done_line(lane: str, counts: Counter[Verdict]) -> str:
    """The line for a device that is done: ``done  smart-plug: 98 pass, 1 fail``."""
    counted = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
    return f"done  {lane}: {counted}"


def result_line(lane: str, judgement: Judgement) -> str:
    """A result as a plain line: ``pass  smart-plug::MQTT-DEV-044[relay]  message``."""
    result = judgement.result
    return f"{result.outcome.verdict}  {lane}::{result.id}  {one_line(result.outcome.message)}"
