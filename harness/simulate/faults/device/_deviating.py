"""Building blocks of faults: conditions on profiles, and combinable changes of the core."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.model.affordance import Property
from harness.model.base import Value
from harness.model.profile import Profile
from harness.model.rule import RuleKind
from harness.simulate.firmware.core import (
    Change,
    Core,
    Origin,
)
from harness.simulate.firmware.values import is_measured

Choice = Callable[[Property], bool]


def any_property(choice: Choice) -> Callable[[Profile], bool]:
    """A profile with a property of this kind."""
    return lambda profile: any(map(choice, profile.properties.values()))


def any_rule(kind: RuleKind) -> Callable[[Profile], bool]:
    """A profile with a rule of this kind."""
    return lambda profile: any(rule.kind is kind for rule in profile.behaviour.rules)


def writable(schema: Property) -> bool:
    """A setting."""
    return schema.writable


def number(schema: Property) -> bool:
    """Any number."""
    return schema.type in ("number", "integer")


def writable_number(schema: Property) -> bool:
    """A setting with limits."""
    return schema.writable and number(schema) and None not in (schema.minimum, schema.maximum)


def switch(schema: Property) -> bool:
    """A boolean setting."""
    return schema.writable and schema.type == "boolean"


def measured(schema: Property) -> bool:
    """A measured quantity."""
    return is_measured(schema)


def energy(schema: Property) -> bool:
    """An energy counter."""
    return schema.counter and schema.integral_of is not None


def distort(core: Core, choice: Choice, change: Callable[[Property, Value], Value]) -> None:
    """Make the device report wrong values for some properties."""
    earlier = core.deviations.distort

    def distorted(name: str, value: Value) -> Value:
        value, schema = earlier(name, value), core.profile.properties[name]
        return change(schema, value) if choice(schema) else value

    core.deviate(distort=distorted)


def execute(core: Core, choice: Choice, change: Callable[[str, Property, Value], Value]) -> None:
    """Make the device execute commands wrongly, for some properties."""
    earlier = core.deviations.executes

    def executed(name: str, value: Value) -> Value:
        value, schema = earlier(name, value), core.profile.properties[name]
        return change(name, schema, value) if choice(schema) else value

    core.deviate(executes=executed)


@dataclass(eq=False)
class Mask:
    """Hides changes of some origins: reports and answers keep the old value, for some seconds or forever."""

    core: Core
    origins: tuple[Origin, ...]
    seconds: float | None
    when: Callable[[], bool] = lambda: True
    _shown: dict[str, Value] = field(default_factory=dict)  # hidden properties with the value that is shown
    _last: dict[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._last = {name: self.core.read(name) for name in self.core.profile.properties}
        earlier_report, earlier_distort = self.core.deviations.report, self.core.deviations.distort

        def report(change: Change, origin: Origin, tell: Callable[[Change], None]) -> None:
            if origin in self.origins and change.changed and self.when():
                self._hide(change.name, tell)
            else:
                self._last[change.name] = change.value
                earlier_report(change, origin, tell)

        def distorted(name: str, value: Value) -> Value:
            return self._shown.get(name, earlier_distort(name, value))

        self.core.deviate(report=report, distort=distorted)

    def _hide(self, name: str, tell: Callable[[Change], None]) -> None:
        self._shown[name] = self._last[name]
        if self.seconds is not None:
            asyncio.get_running_loop().call_later(self.seconds, self._show, name, tell)

    def _show(self, name: str, tell: Callable[[Change], None]) -> None:
        if self._shown.pop(name, None) is None:
            return
        self._last[name] = self.core.read(name)
        tell(Change(name, self._last[name]))
