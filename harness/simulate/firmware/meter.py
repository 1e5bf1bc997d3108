"""An energy counter, which integrates power over the time of the loop and never decreases."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal

from harness.model.affordance import Property
from harness.model.base import Value
from harness.model.profile import Profile
from harness.simulate.firmware.values import step_of

# Joules in one unit of the counter, by UCUM code.
_JOULES = {"J": 1.0, "kJ": 1e3, "W.h": 3.6e3, "kW.h": 3.6e6}
# Shortest time between two updates of the register, however small its unit.
_SHORTEST_UPDATE = 1.0


class EnergyMeter:
    """Counts the energy of one power property in steps of the counter's schema."""

    def __init__(self, name: str, schema: Property, source: str) -> None:
        self.name = name
        self.source = source
        self._step = step_of(schema) or Decimal("0.001")
        self._joules = _JOULES[schema.unit or ""]
        self._register = Decimal(0)
        self._fraction = 0.0  # of a step, not yet in the register
        self._since: float | None = None
        self._watts = 0.0

    @property
    def reading(self) -> Value:
        """The value of the register, in the unit of the counter."""
        return float(self._register)

    def set(self, value: Value) -> None:
        """Set the register to ``value``."""
        steps = (Decimal(repr(value)) / self._step).to_integral_value(ROUND_FLOOR)
        self._register, self._fraction = steps * self._step, 0.0

    def advance(self, now: float) -> None:
        """Count the energy since the last call, at the power set then."""
        if self._since is not None:
            self._fraction += self._watts * (now - self._since) / (self._joules * float(self._step))
            # Slightly more, so that a timer set for a full step finds it complete.
            whole = int(self._fraction + 1e-9)
            self._register += whole * self._step
            self._fraction = max(0.0, self._fraction - whole)
        self._since = now

    def load(self, watts: float) -> None:
        """Set the power to ``watts`` from now on; energy fed back is not counted."""
        self._watts = max(0.0, float(watts))

    def pause(self) -> None:
        """Stop counting while the device has no power."""
        self._since = None

    def next_update(self) -> float | None:
        """Seconds until the register changes; None while there is no load."""
        if self._watts == 0:
            return None
        left = (1.0 - self._fraction) * self._joules * float(self._step) / self._watts
        return max(_SHORTEST_UPDATE, left)


def meter_of(profile: Profile) -> EnergyMeter | None:
    """The energy meter of a profile: its first counter with ``integral_of``; None if it has none."""
    for name, schema in profile.properties.items():
        if schema.integral_of is not None and schema.unit in _JOULES:
            return EnergyMeter(name, schema, schema.integral_of)
    return None
