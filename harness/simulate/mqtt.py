"""The simulated device as an MQTT client."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from harness.model.profile import Profile
from harness.simulate.core import Core

PacketFilter = Callable[[bytes], Sequence[bytes]]


@dataclass(frozen=True, slots=True)
class MqttHabits:
    """What a fault may bend; as it stands, the front conforms."""

    will: bool = True


class MqttFront:
    """Keeps one device on its broker."""

    def __init__(self, profile: Profile, core: Core, *, broker: tuple[str, int], random: Random) -> None:
        self.habits = MqttHabits()
        # Each turns one whole MQTT packet into those that really travel; for faults on the wire.
        self.outgoing: list[PacketFilter] = []
        self.incoming: list[PacketFilter] = []

    def bend(self, **habits: Any) -> None:
        """Changes some of the habits."""
        self.habits = replace(self.habits, **habits)

    async def start(self) -> None:
        """Connects, and returns once the device is ready: subscribed and its state published."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Says that it goes, disconnects in order."""
        raise NotImplementedError

    async def kill(self) -> None:
        """Loses its power: the connection is gone without a word."""
        raise NotImplementedError
