"""What the core of a simulated device does well unless a fault bends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.model.base import Value
from harness.model.rule import Rule
from harness.simulate.firmware.outcomes import (
    Change,
    Origin,
)

LOST = object()
"""What :attr:`CoreDeviations.executes` returns for a command that gets lost inside the device."""

Reporting = Callable[[Change, Origin, Callable[[Change], None]], None]
Memory = dict[str, Value]


@dataclass(frozen=True, slots=True)
class CoreDeviations:
    """Each default conforms.

    ``ignores`` tells which rules the device does not keep. ``distort`` turns the true value of a property
    into the one it reports. ``executes`` turns a legal command for a property into what is done, or
    :data:`LOST`; ``refuses`` is told what is refused. ``report`` passes a change on, given its origin: at
    once, later, never or twice. ``boots`` turns what the device remembers from before a loss of power into
    what it starts with; ``forgets`` what it holds, and what it held when it was new, into what is left after
    a factory reset.
    """

    checks_range: bool = True
    clamps: bool | None = None  # values out of range become the nearest legal one; None: as the profile says
    hides_clamping: bool = False  # keeps the limit, but reports what was commanded
    guards_read_only: bool = True
    performs_actions: bool = True
    event_copies: int = 1  # so often each event is told
    hears_controls: Callable[[], bool] = lambda: True
    ignores: Callable[[Rule], bool] = lambda rule: False
    distort: Callable[[str, Value], Value] = lambda name, value: value
    executes: Callable[[str, Value], Value] = lambda name, value: value
    refuses: Callable[[str, Value], None] = lambda name, value: None
    report: Reporting = lambda change, origin, tell: tell(change)
    boots: Callable[[Memory], Memory] = lambda memory: memory
    forgets: Callable[[Memory, Memory], Memory] = lambda memory, new: new
