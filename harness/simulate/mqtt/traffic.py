"""What has crossed the MQTT side of a simulated device, counted for those who load a broker with many."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Traffic:
    """Counts since the device was made."""

    sent: int = 0  # messages published
    received: int = 0  # messages that the broker delivered
    lost: int = 0  # connections that ended without its doing
    returned: int = 0  # times that it was ready again after such an end
    away: bool = False  # it has not returned yet

    def note_lost(self) -> None:
        """The connection has ended without its doing."""
        self.lost += 1
        self.away = True

    def note_ready(self) -> None:
        """It is connected, subscribed, and has reported its state."""
        self.returned += self.away
        self.away = False
