"""The state of a run while it goes on: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from harness.model.verdict import Verdict
from harness.report.console import STYLES, TOLD, is_plain
from harness.report.text import one_line, plural
from harness.report.words import VERDICTS
from harness.session.result import Judgement

_BAR_WIDTH = 24
_NARROW_BAR_WIDTH = 12
_SLOWEST_SHOWN = 3
_LINES = 16  # devices with a line each; of more, the totals are shown, and who is behind
# Drawing costs about a millisecond; a run of thousands of checks is drawn once for many of them.
_DRAWINGS = 400


class ProgressDisplay:
    """Shows how far a run is. Nothing happens between calls: no thread, no timer.

    On a terminal: one line for each device with the checks done, the current one and the verdicts so far,
    redrawn in place, and above it what did not pass, as it comes. Elsewhere: a plain line for each result
    that applies (``quiet``: that is no pass), and one for each of several devices that is done. With very
    many devices one line shows totals, and those at work for longest.
    """

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        self._reasons: set[tuple[str, str]] = set()  # why lanes were undecided, as told so far
        self._plain = is_plain(console)
        self._live: Live | None = None
        self._totals: Mapping[str, int] = {}
        self._total = 0
        self._counts: dict[str, Counter[Verdict]] = {}
        self._current: dict[str, str] = {}
        self._at_work: dict[str, None] = {}  # lanes that are not done, in the order in which they began
        self._calls = 0

    def started(self, totals: Mapping[str, int]) -> None:
        """The run begins; ``totals`` says how many results are to come from each lane."""
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
        """A lane begins with a check; ``check`` is its id, with its subject where it has one."""
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
            if verdict in TOLD or (verdict is Verdict.PASS and not self._quiet):
                self._console.file.write(self._plain_line(lane, judgement) + "\n")
            if len(self._totals) > 1 and self._is_done(lane):
                self._console.file.write(done_line(lane, self._counts[lane]) + "\n")
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

    def _plain_line(self, lane: str, judgement: Judgement) -> str:
        """What keeps a device from being checked at all is said once, not for each of hundreds of checks."""
        outcome = judgement.result.outcome
        if outcome.verdict is Verdict.INCONCLUSIVE:
            if (lane, outcome.message) in self._reasons:
                return f"{outcome.verdict}  {lane}::{judgement.result.id}  for a reason given above"
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
        # Many wait for their turn: the slow ones are those that began before the others at work.
        longest = itertools.islice(self._at_work, _SLOWEST_SHOWN)
        slowest = ", ".join(
            f"{lane} ({self._counts[lane].total()}: {self._current.get(lane, 'between checks')})"
            for lane in longest
        )
        return f"{where}, slowest: {slowest}" if slowest else where


def _line(counts: Counter[Verdict], total: int, where: str, width: int) -> Text:
    """Checks done of all, the verdicts so far, and what is going on."""
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
    """A device that is done as a plain line: ``done  smart-plug: 98 pass, 1 fail``."""
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
    return f"done  {lane}: {told}"


def result_line(lane: str, judgement: Judgement) -> str:
    """A result as a plain line: ``pass  smart-plug::MQTT-DEV-044[relay]  message``."""
    result = judgement.result
    return f"{result.outcome.verdict}  {lane}::{result.id}  {one_line(result.outcome.message)}"
