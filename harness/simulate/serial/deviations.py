"""What the console of a simulated board does right unless a fault changes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

Bytes = Callable[[bytes], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class ConsoleDeviations:
    """Each default conforms.

    ``incoming`` maps received bytes to those that the firmware gets. ``wire`` maps bytes to the pieces that
    are sent. ``ending`` ends its lines. ``message`` maps an answer, frame or message to the one that is
    sent.
    """

    mute: bool = False
    incoming: Callable[[bytes], bytes] = lambda data: data
    logs: bool = True
    ending: bytes = b"\r\n"
    wire: Bytes = lambda data: (data,)
    message: Callable[[bytes], bytes] = lambda raw: raw
