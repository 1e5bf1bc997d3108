"""Commands as fences: once one takes effect, everything sent before it has been processed."""

from __future__ import annotations

from math import inf

from harness.checks.bench import Bench
from harness.checks.case import Case, Evidence, first
from harness.checks.observations import Report
from harness.checks.support.behaviour.boundary_values import (
    NUMERIC,
    limits,
)
from harness.checks.support.mqtt.commands import (
    MqttSetting,
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

NO_BASELINE = "the device did not react to an ordinary command before the unusual ones"

_ZEROS: dict[DataType, Value] = {
    DataType.BOOLEAN: False,
    DataType.INTEGER: 0,
    DataType.NUMBER: 0,
    DataType.STRING: "",
}


async def takes_effect_eventually(bench: Bench, setting: MqttSetting) -> bool:
    """Send a command; once more if the device had to reconnect first. Returns whether it took effect."""
    for _ in range(2):
        if await takes_effect(bench, setting):
            return True
        await wait_reconnected(bench)
    return False


async def takes_effect(bench: Bench, setting: MqttSetting) -> bool:
    """Command a value other than the present one. Returns whether it took effect in time."""
    value = fence_of(bench.profile, setting, await present_value(bench, setting))
    return await command(bench, setting, value) is not None


def fence_of(profile: Profile, setting: MqttSetting, present: Value) -> Value:
    """The value to command when the device reports ``present``."""
    others = [value for value in setting.values if not same_value(value, present)]
    # Avoid the value that an empty payload may be read as, if there is a choice.
    telling = [value for value in others if not _is_nothing(profile, setting, value)]
    return (telling or others)[0]


def hidden_of(profile: Profile, setting: MqttSetting, present: Value) -> Value:
    """A value to hide in a message before a fence: if possible neither the present value nor the fence."""
    known = (present, fence_of(profile, setting, present))
    free = [value for value in setting.values if not any(same_value(value, each) for each in known)]
    return free[0] if free else known[1]


async def show_baseline(bench: Bench, setting: MqttSetting) -> bool:
    """Send an ordinary command before anything unusual. Returns whether it took effect.

    Without that, a later command without effect says nothing about what came before it.
    """
    return await takes_effect_eventually(bench, setting)


def baseline(case: Case, name: str, line: int) -> tuple[Evidence, Evidence] | None:
    """The last command for a setting before a trace line, with its effect; None if it had none by then."""
    write = first(reversed(case.stimuli(Act.WRITE)), lambda act: act.line < line and act.value.name == name)
    effect = effect_of(case, write) if write else None
    return (write, effect) if write and effect and effect.event.line < line else None


def command_with_effect(
    case: Case,
    begin: int,
    end: int,
    *,
    name: str | None = None,
    but: Report | None = None,
    within: float = inf,
) -> tuple[Evidence, Evidence] | None:
    """A command and its effect between two trace lines, at most ``within`` seconds apart.

    ``name``: for this setting only. A command for the value of ``but``, an earlier report, does not count.
    """
    for write in case.stimuli(Act.WRITE):
        if name not in (None, write.value.name):
            continue
        effect = effect_of(case, write)
        known = but is not None and same_value(but.value, written(write))
        if effect is None or known or not begin < write.line < effect.event.line < end:
            continue
        if effect.time <= write.event.time + within:
            return write, effect
    return None


async def leave_nothing(bench: Bench, setting: MqttSetting) -> None:
    """Command another value if an empty payload may be read as the present one."""
    if _is_nothing(bench.profile, setting, await present_value(bench, setting)):
        await takes_effect_eventually(bench, setting)


def nothing_of(profile: Profile, setting: MqttSetting) -> Value:
    """The legal value of zeroed memory: 0, false, empty text, first of a list. None if there is none.

    If values out of range become the nearest legal one, so does zero.
    """
    schema = setting.schema
    zero = schema.enum[0] if schema.enum else _ZEROS.get(schema.type)
    if schema.accepts(zero):
        return zero
    clamps = profile.behaviour.invalid_value is InvalidValuePolicy.CLAMP
    return min(limits(schema), key=abs) if clamps and schema.type in NUMERIC else None


def _is_nothing(profile: Profile, setting: MqttSetting, value: Value) -> bool:
    nothing = nothing_of(profile, setting)
    return nothing is not None and same_value(value, nothing)
