"""The terminal for results, and the styles of verdicts."""

from __future__ import annotations

import os
from typing import TextIO

from rich.console import Console

from harness.model.verdict import Verdict

STYLES = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.WARN: "yellow",
    Verdict.INCONCLUSIVE: "magenta",
    Verdict.NOT_APPLICABLE: "dim",
    Verdict.ERROR: "bold white on red",
}

NEEDS_ATTENTION = (Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE, Verdict.WARN)
"""The verdicts that are printed at once, worst first."""


def terminal(stream: TextIO | None = None) -> Console:
    """A console on ``stream`` (default: standard output) that respects NO_COLOR."""
    return Console(file=stream, highlight=False, markup=False, emoji=False)


def is_plain(console: Console) -> bool:
    """Whether output is plain lines: no terminal, a dumb terminal, or NO_COLOR."""
    return not console.is_terminal or console.is_dumb_terminal or bool(os.environ.get("NO_COLOR"))
