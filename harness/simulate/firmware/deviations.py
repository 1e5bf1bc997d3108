"""The ways in which a fault can change the core of a simulated device."""

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
"""What :attr:`CoreDeviations.executes` returns for a command that is lost inside the device."""

Reporting = Callable[[Change, Origin, Callable[[Change], None]], None]
Memory = dict[str, Value]


@dataclass(frozen=True, slots=True)
class CoreDeviations:
    """Each default conforms.

    ``ignores`` selects rules that the device does not keep. ``distort`` maps the true value of a property to
    the reported one. ``executes`` maps a legally commanded value to the one that is set, or to
    :data:`LOST`; ``side_effects`` gives the values of other properties that a command sets as well.
    ``refuses`` is called with each refused command. ``report`` forwards a change, given its
    origin: at once, later, never or twice. ``boots`` maps the values before a power loss to those after it;
    ``forgets`` maps the present values and the factory values to those after a factory reset.
    """

    checks_range: bool = True
    clamps: bool | None = None  # values out of range become the nearest legal one; None: as the profile says
    hides_clamping: bool = False  # keeps the limit, but reports what was commanded
    guards_read_only: bool = True
    performs_actions: bool = True
    event_copies: int = 1  # how often each event is sent
    hears_controls: Callable[[], bool] = lambda: True
    ignores: Callable[[Rule], bool] = lambda rule: False
    distort: Callable[[str, Value], Value] = lambda name, value: value
    executes: Callable[[str, Value], Value] = lambda name, value: value
    side_effects: Callable[[str], Memory] = lambda name: {}
    refuses: Callable[[str, Value], None] = lambda name, value: None
    report: Reporting = lambda change, origin, tell: tell(change)
    boots: Callable[[Memory], Memory] = lambda memory: memory
    forgets: Callable[[Memory, Memory], Memory] = lambda memory, new: new
