"""The interface of a protocol that a simulated board speaks on its serial line."""

from __future__ import annotations

from typing import Protocol

from harness.simulate.firmware.core import Change


class Language(Protocol):
    """One kind of serial protocol, as the board speaks it."""

    def received(self, data: bytes) -> None:
        """Something came over the line."""

    def changed(self, change: Change) -> None:
        """A property changed."""

    def restarted(self) -> None:
        """Whatever was half received is forgotten."""

    @property
    def prints_text(self) -> bool:
        """Whether lines of text may stand on the line."""
