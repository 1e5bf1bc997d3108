"""Commands as fences: when one has its effect, whatever was sent before it is behind the device."""

from __future__ import annotations

from math import inf

from harness.checks.bench import Bench
from harness.checks.case import Case, Evidence
from harness.checks.observations import Report
from harness.checks.support.behaviour.boundary_values import (
    NUMERIC,
    limits,
)
from harness.checks.support.mqtt.commands import (
    Setting,
    command,
    effect_of,
    present_value,
    written,
)
from harness.checks.support.mqtt.disconnects import wait_reconnected
from harness.model.base import Value
from harness.model.profile import InvalidValuePolicy, Profile
from harness.model.schema import DataType, same_value
from harness.trace.events import Act

_ZEROS: dict[DataType, Value] = {
    DataType.BOOLEAN: False,
    DataType.INTEGER: 0,
    DataType.NUMBER: 0,
    DataType.STRING: "",
}


async def obeys_at_last(bench: Bench, setting: Setting) -> bool:
    """Command the device; once more when it had to come back first. Returns whether it obeyed."""
    for _ in range(2):
        if await obeys(bench, setting):
            return True
        await wait_reconnected(bench)
    return False


async def obeys(bench: Bench, setting: Setting) -> bool:
    """Command something else than there is. Returns whether the device obeyed while that was awaited."""
    value = fence_of(bench.profile, setting, await present_value(bench, setting))
    return await command(bench, setting, value) is not None


def fence_of(profile: Profile, setting: Setting, present: Value) -> Value:
    """The value that is commanded where the device has ``present``."""
    others = [value for value in setting.values if not same_value(value, present)]
    # Not what a device makes of nothing, if there is a choice: the one would pass for the other.
    telling = [value for value in others if not _is_nothing(profile, setting, value)]
    return (telling or others)[0]


def hidden_of(profile: Profile, setting: Setting, present: Value) -> Value:
    """A value to hide in a message before a fence: neither the present one nor the fence, where it can be."""
    known = (present, fence_of(profile, setting, present))
    free = [value for value in setting.values if not any(same_value(value, each) for each in known)]
    return free[0] if free else known[1]


def obeys_between(
    case: Case, begin: int, end: int, *, but: Report | None = None, within: float = inf
) -> tuple[Evidence, Evidence] | None:
    """A command and its effect between two lines, no later than ``within`` seconds.

    Not one for what had been reported before, in ``but``.
    """
    for write in case.stimuli(Act.WRITE):
        effect = effect_of(case, write)
        known = but is not None and same_value(but.value, written(write))
        if effect is None or known or not begin < write.line < effect.event.line < end:
            continue
        if effect.time <= write.event.time + within:
            return write, effect
    return None


async def leave_nothing(bench: Bench, setting: Setting) -> None:
    """Command another value where the present one is what a device may take nothing for."""
    if _is_nothing(bench.profile, setting, await present_value(bench, setting)):
        await obeys_at_last(bench, setting)


def nothing_of(profile: Profile, setting: Setting) -> Value:
    """The legal value that memory full of zeros means: 0, false, no text, the first of a list; None without.

    Where values out of range become the nearest legal one, zero does, too.
    """
    schema = setting.schema
    zero = schema.enum[0] if schema.enum else _ZEROS.get(schema.type)
    if schema.accepts(zero):
        return zero
    clamps = profile.behaviour.invalid_value is InvalidValuePolicy.CLAMP
    return min(limits(schema), key=abs) if clamps and schema.type in NUMERIC else None


def _is_nothing(profile: Profile, setting: Setting, value: Value) -> bool:
    nothing = nothing_of(profile, setting)
    return nothing is not None and same_value(value, nothing)
