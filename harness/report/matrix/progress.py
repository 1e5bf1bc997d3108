"""The progress of observing a matrix."""

from __future__ import annotations

from rich.console import Console
from rich.live import Live
from rich.text import Text

from harness.report.console import is_plain
from harness.report.text import one_line, seconds_text

_BAR_WIDTH = 24
_SHOWN = 4  # running pairs


class MatrixProgress:
    """A live line on a terminal, elsewhere a plain line for each pair. No thread, no timer."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._done = 0
        self._under_way: list[str] = []
        self._live: Live | None = None
        if not is_plain(console):
            self._live = Live(
                self._drawn(),
                console=console,
                auto_refresh=False,  # would be a thread
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()

    def started(self, name: str) -> None:
        """The run of a pair starts."""
        self._under_way.append(name)
        self._draw()

    def ended(self, name: str, seconds: float, result: str, *, is_problem: bool) -> None:
        """The run of a pair is done; ``result`` compares it with the prediction."""
        self._done += 1
        if name in self._under_way:
            self._under_way.remove(name)
        line = f"{self._done}/{self._total}  {name}: {one_line(result)} ({seconds_text(seconds)})"
        if self._live is None:
            self._console.file.write(line + "\n")
            self._console.file.flush()
        elif is_problem:
            self._console.print(Text(line, style="yellow"))
        self._draw()

    def finished(self) -> None:
        """Remove the live line: all pairs are done, or the run was stopped."""
        if self._live:
            self._live.stop()
            self._live = None

    def _draw(self) -> None:
        if self._live:
            self._live.update(self._drawn(), refresh=True)

    def _drawn(self) -> Text:
        filled = _BAR_WIDTH * self._done // self._total if self._total else 0
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append("━" * filled, style="green")
        line.append("━" * (_BAR_WIDTH - filled), style="dim")
        line.append(f" {self._done}/{self._total} ")
        return line.append("  ".join(self._under_way[:_SHOWN]), style="dim")
