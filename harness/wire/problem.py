"""What is wrong with bytes that came over a wire."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One violation of an encoding rule: the clause that it breaks, and what was found instead.

    ``clause`` is a statement or section number of the standard that the decoder reads by
    ("MQTT-1.5.3-1", "2.2.3", "RFC 7252 3"); ``text`` is for people.
    """

    clause: str
    text: str

    def __str__(self) -> str:
        return f"{self.text} ({self.clause})"
