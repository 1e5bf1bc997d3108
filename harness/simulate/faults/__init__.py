"""The registry of faults: named, deliberate ways for a simulated device to break its profile.

A fault is one decorated function in a module of this package; writing it there is all that is needed::

    @fault(
        name="will-missing",
        breaks=("MQTT-DEV-005",),
        seen_as="F-MQTT-07",
        title="connects without a last will",
        applies=has_availability,
    )
    def will_missing(device: SimulatedDevice) -> None:
        if device.mqtt is not None:
            device.mqtt.deviate(will=False)

The function runs once, on the built device, before it is started for the first time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.registry import FAULTS, Registry, UnknownNameError

if TYPE_CHECKING:
    from harness.model.profile import Profile
    from harness.simulate.device import SimulatedDevice

ApplyFault = Callable[["SimulatedDevice"], None]
Applies = Callable[["Profile"], bool]


class UnknownFaultError(UnknownNameError):
    """No fault has that name; the text suggests similar ones."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to break a profile.

    ``breaks`` are requirement ids; at least one that applies fails under the fault. ``seen_as`` is its id
    among faults known from the field, or None; ``title`` is a one-line description. A fault with empty
    ``breaks`` is *stress*: what fails depends on when it strikes. It tests the neighbours.
    """

    name: str
    title: str
    breaks: tuple[str, ...]
    seen_as: str | None
    applies: Applies
    apply: ApplyFault

    @property
    def is_stress(self) -> bool:
        """Whether no check is certain to fail under it."""
        return not self.breaks


_registry: Registry[Fault] = Registry(
    "fault", packages=[__name__], group=FAULTS, listed_by="harness simulate --list-faults"
)
_habits: Registry[Fault] = Registry(
    "habit", packages=[__name__], group=FAULTS, listed_by="harness simulate --list-faults"
)


def fault(
    *,
    name: str,
    title: str,
    breaks: Sequence[str],
    seen_as: str | None = None,
    applies: Applies = lambda profile: True,
) -> Callable[[ApplyFault], ApplyFault]:
    """Registers the decorated function as a fault. Raises ExtensionError when the name is taken."""

    def register(apply: ApplyFault) -> ApplyFault:
        found = Fault(name, title, tuple(breaks), seen_as, applies, apply)
        _registry.add(name, found, f"{apply.__module__}.{apply.__qualname__}")
        return apply

    return register


def habit(
    *, name: str, title: str, applies: Applies = lambda profile: True
) -> Callable[[ApplyFault], ApplyFault]:
    """Registers the decorated function as a habit: a way to behave that conforms, and is not the usual one.

    No check may fail on a device with a habit. It is switched on like a fault, by its name.
    """

    def register(apply: ApplyFault) -> ApplyFault:
        found = Fault(name, title, (), None, applies, apply)
        _habits.add(name, found, f"{apply.__module__}.{apply.__qualname__}")
        return apply

    return register


def all_habits() -> tuple[Fault, ...]:
    """All habits, sorted by name."""
    registered = _habits.all()
    return tuple(registered[name] for name in sorted(registered))


def all_faults() -> tuple[Fault, ...]:
    """All faults, sorted by name."""
    registered = _registry.all()
    return tuple(registered[name] for name in sorted(registered))


def fault_named(name: str) -> Fault:
    """The fault or habit with that name. Raises :class:`UnknownFaultError`."""
    habits = _habits.all()
    if name in habits:
        return habits[name]
    try:
        return _registry.named(name)
    except UnknownNameError as unknown:
        raise UnknownFaultError(str(unknown)) from None


def faults_for(profile: Profile) -> tuple[Fault, ...]:
    """The faults that a device of this profile can have."""
    return tuple(known for known in all_faults() if known.applies(profile))
