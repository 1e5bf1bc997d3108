"""Values to try on a property."""

from __future__ import annotations

from harness.checks.bench import Bench, StimulusError
from harness.checks.support.behaviour.arrange import StateArranger
from harness.checks.support.behaviour.boundary_values import resting
from harness.model.base import Value
from harness.model.schema import same_value


async def other_value(bench: Bench, arranger: StateArranger, name: str, *not_these: Value) -> Value:
    """A legal value that differs from the present one; the device is brought into a state that allows it.

    Raises StimulusError if there is none.
    """
    problem = f"{name} has no second legal value"
    for value in resting(bench.profile.properties[name]):
        if any(same_value(value, other) for other in (arranger.state.get(name), *not_these)):
            continue
        try:
            await arranger.make_room_for(name, value)
        except StimulusError as reason:
            problem = str(reason)
            continue
        if not same_value(arranger.state.get(name), value):
            return value
    raise StimulusError(problem)
