"""Circles: what the hub does makes a device tell something, about which the hub does something again."""

from __future__ import annotations

from dataclasses import dataclass

MOST_ROUNDS = 16
"""So often in a row the hub may do something for one reason, without anything from outside."""
_PAUSE = 0.5  # seconds after which what a device tells is no answer to what the hub did


@dataclass(slots=True)
class _Row:
    last: float
    rounds: int = 0
    is_told: bool = False


class LoopGuard:
    """Counts what the hub does in a row, and says when it goes round in circles.

    A device that tells much by itself is passed on again after a pause; a circle ends with the first act
    that is left out, because nobody answers to it any more.
    """

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}

    def disturbed(self) -> None:
        """Something was done to a device from outside: what follows begins anew."""
        for row in self._rows.values():
            row.rounds, row.is_told = 0, False

    def closes(self, why: str, now: float) -> bool:
        """Whether one more act for this reason would be an answer to the hub's own acts."""
        row = self._rows.get(why)
        if row is None or now - row.last > _PAUSE:
            self._rows[why] = _Row(now, 1)
            return False
        if row.rounds >= MOST_ROUNDS:
            return True
        row.last, row.rounds = now, row.rounds + 1
        return False

    def is_new(self, why: str) -> bool:
        """Whether nobody was told of this circle yet."""
        row = self._rows[why]
        told, row.is_told = row.is_told, True
        return not told
