"""Message counts of a simulated device, for load tests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Traffic:
    """Counts since the device was made."""

    sent: int = 0  # messages published
    received: int = 0  # messages that the broker delivered
    lost: int = 0  # connections that the device did not end itself
    returned: int = 0  # times that it was ready again afterwards
    away: bool = False  # it has not reconnected yet

    def note_lost(self) -> None:
        """The connection ended, not by the device."""
        self.lost += 1
        self.away = True

    def note_ready(self) -> None:
        """It is connected, subscribed, and has reported its state."""
        self.returned += self.away
        self.away = False
