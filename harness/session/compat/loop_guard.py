"""Detects loops: a command of the hub causes a report, which causes the next command of the hub."""

from __future__ import annotations

from dataclasses import dataclass

MOST_ROUNDS = 16
"""Most commands in a row for one reason, without any cause from outside."""
_PAUSE = 0.5  # seconds after which a report is no longer taken for a reaction to the hub


@dataclass(slots=True)
class _Row:
    last: float
    rounds: int = 0
    is_noted: bool = False


class LoopGuard:
    """Counts the commands of the hub in a row, and recognizes a loop.

    Reports of a chatty device are passed on again after a pause. A loop ends with the first command that is
    left out, because nothing reacts to it any more.
    """

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}

    def disturbed(self) -> None:
        """A device was operated from outside: start counting again."""
        for row in self._rows.values():
            row.rounds, row.is_noted = 0, False

    def closes(self, why: str, now: float) -> bool:
        """Whether one more command for this reason would continue a loop."""
        row = self._rows.get(why)
        if row is None or now - row.last > _PAUSE:
            self._rows[why] = _Row(now, 1)
            return False
        if row.rounds >= MOST_ROUNDS:
            return True
        row.last, row.rounds = now, row.rounds + 1
        return False

    def is_new(self, why: str) -> bool:
        """Whether this loop has not been noted yet."""
        row = self._rows[why]
        noted, row.is_noted = row.is_noted, True
        return not noted
