import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from timeless import timeless

from harness.model.base import Value
from harness.model.profile import Profile
from harness.simulate.firmware.core import (
    Accepted,
    Change,
    Core,
    DeviceEvent,
    Reason,
    Refused,
)

BASE: dict[str, Any] = {
    "profile": "tested",
    "title": "A device for tests",
    "category": "test",
    "properties": {
        "relay": {"type": "boolean", "default": True},
        "level": {"type": "integer", "minimum": 10, "maximum": 90, "multipleOf": 5},
        "target": {"type": "number", "minimum": 16, "maximum": 30, "multipleOf": 0.5, "default": 20},
        "mode": {"type": "string", "enum": ["auto", "cool", "heat"], "power_up": "default"},
        "power": {
            "type": "number",
            "unit": "W",
            "readOnly": True,
            "minimum": 0,
            "maximum": 4000,
            "default": 1000,
        },
        "energy": {
            "type": "number",
            "unit": "kW.h",
            "readOnly": True,
            "multipleOf": 0.1,
            "counter": True,
            "integral_of": "power",
            "default": 7,
        },
        "door": {"type": "boolean", "readOnly": True, "default": False},
    },
    "actions": {"reset_energy": {}, "beep": {"input": {"type": "integer", "minimum": 1}}},
    "events": {"key": {"data": {"type": "string", "enum": ["press", "hold"]}}},
    "controls": {
        "button": {
            "effects": [{"property": "relay", "toggle": True}, {"event": "key"}],
            "unless": [{"property": "mode", "equals": "heat"}],
        },
        "door": {"effects": [{"property": "door", "toggle": True}]},
        "knob": {"effects": [{"property": "mode", "toggle": True}]},
    },
    "bindings": {},
    "behaviour": {
        "rules": [
            {
                "id": "off-no-power",
                "purpose": "off draws nothing",
                "while": [{"property": "relay", "equals": False}],
                "then": [{"property": "power", "equals": 0}],
            },
        ]
    },
}


def profile(**behaviour: Any) -> Profile:
    return Profile.model_validate({**BASE, "behaviour": {**BASE["behaviour"], **behaviour}})


def with_device(
    test: Callable[[Core, list[Change | DeviceEvent]], Coroutine[Any, Any, None]], of: Profile | None = None
) -> None:
    """Runs ``test`` with a device that has power, and with what it tells."""

    async def main() -> None:
        core = Core(of or profile())
        told: list[Change | DeviceEvent] = []
        core.on_change(told.append)
        core.on_event(told.append)
        core.power_on()
        await test(core, told)
        core.power_off()

    timeless(main())


def test_starts_with_defaults_and_sensible_values_where_there_are_none() -> None:
    async def test(core: Core, told: list[Change | DeviceEvent]) -> None:
        assert {name: core.read(name) for name in core.profile.properties} == {
            "relay": True,
            "level": 10,
            "target": 20,
            "mode": "auto",
            "power": 1000,
            "energy": 7,
            "door": False,
        }
        assert told == []

    with_device(test)


def test_an_accepted_command_is_told_with_its_consequences() -> None:
    async def test(core: Core, told: list[Change | DeviceEvent]) -> None:
        assert core.command("relay", False) == Accepted(False)
        assert told == [Change("relay", False), Change("power", 0)]
        assert core.read("power") == 0

    with_device(test)


def test_a_command_without_effect_is_confirmed() -> None:
    async def test(core: Core, told: list[Change | DeviceEvent]) -> None:
        assert core.command("target", 20.0) == Accepted(20)
        assert told == [Change("target", 20, changed=False)]

    with_device(test)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("target", 15.5, Reason.OUT_OF_RANGE),
        ("target", 30.5, Reason.OUT_OF_RANGE),
        ("target", 20.3, Reason.OUT_OF_RANGE),
        ("target", 1e300, Reason.OUT_OF_RANGE),
        ("target", float("nan"), Reason.WRONG_TYPE),
        ("target", float("inf"), Reason.WRONG_TYPE),
        ("target", "20", Reason.WRONG_TYPE),
        ("target", True, Reason.WRONG_TYPE),
        ("target", None, Reason.WRONG_TYPE),
        ("level", 20.5, Reason.WRONG_TYPE),
        ("mode", "COOL", Reason.OUT_OF_RANGE),
        ("power", 5, Reason.READ_ONLY),
        ("nothing", 5, Reason.UNKNOWN),
    ],
)
def test_refuses_what_the_profile_does_not_allow(name: str, value: Value, reason: Reason) -> None:
    async def test(core: Core, told: list[Change | DeviceEvent]) -> None:
        before = {each: core.read(each) for each in core.profile.properties}
        answer = core.command(name, value)
        assert isinstance(answer, Refused)
        assert answer.reason is reason
        assert name in answer.text
        assert before == {each: core.read(each) for each in core.profile.properties}
        assert told == []

    with_device(test)


@pytest.mark.parametrize(
    ("name", "value", "becomes"),
    [
        ("target", -1e9, 16),
        ("target", 1e300, 30),
        ("target", 20.3, 20.5),
        ("level", 92, 90),
        ("level", 11, 10),
    ],
)
def test_clamps_where_the_profile_says_so(name: str, value: Value, becomes: Value) -> None:
    async def test(core: Core, told: list[Change | DeviceEvent]) -> None:
        assert core.command(name, value) == Accepted(becomes)
        assert isinstance(core.command("mode", "dry"), Refused)
        assert isinstance(core.command("target", "20"), Refused)

    with_device(test, profile(invalid_value="clamp"))


def test_integers_stay_integers_however_they_are_written() -> None:
    async def test(core: Core, told: list[Change | DeviceEvent]) -> None:
        core.command("level", 20.0)
        assert type(core.read("level")) is int

    with_device(test)


def test_a_control_works_with_all_its_effects() -> None:
    async def test(core: Core, told: list[Change | DeviceEvent]) -> None:
        core.operate("button")
        assert told == [DeviceEvent("key", "press"), Change("relay", False), Change("power", 0)]
        core.operate("button")
        assert core.read("relay") is True

    with_device(test)


def test_a_locked_control_does_nothing() -> None:
    async def test(core: Core, told: list[Change | DeviceEvent]) -> None:
        core.command("mode", "heat")
        told.clear()
        core.operate("button")
        assert told == []
        assert core.read("relay") is True

    with_device(test)


def test_toggling_an_enumeration_takes_its_next_member() -> None:
    async def test(core: Core, told: list[Change | DeviceEvent]) -> None:
        seen = []
        for _ in range(4):
            core.operate("knob")
            seen.append(core.read("mode"))
        assert seen == ["cool", "heat", "auto", "cool"]

    with_device(test)


def test_a_sensor_sees_only_what_it_can_express() -> None:
    async def test(core: Core, told: list[Change | DeviceEvent]) -> None:
        core.sense("power", 9999)
        assert core.read("power") == 4000
        with pytest.raises(ValueError, match="target is not a sensor"):
            core.sense("target", 20)
        with pytest.raises(ValueError, match="power cannot measure"):
            core.sense("power", "much")
        with pytest.raises(KeyError):
            core.sense("nothing", 1)

    with_device(test)


def test_energy_is_the_integral_of_power() -> None:
    async def test(core: Core, told: list[Change | DeviceEvent]) -> None:
        await asyncio.sleep(3600)
        assert core.read("energy") == pytest.approx(8.0, abs=0.11)
        core.command("relay", False)
        at_off = core.read("energy")
        await asyncio.sleep(36000)
        assert core.read("energy") == at_off
        core.command("relay", True)
        core.sense("power", 2000)
        await asyncio.sleep(3600)
        assert core.read("energy") == pytest.approx(at_off + 2.0, abs=0.11)
        readings = [change.value for change in told if isinstance(change, Change) and change.name == "energy"]
        assert readings == sorted(readings)
        schema = core.profile.properties["energy"]
        assert [schema.violations(reading) for reading in readings] == [[]] * len(readings)

    with_device(test)


def test_reset_zeroes_the_counter_and_tells_it() -> None:
    async def test(core: Core, told: list[Change | DeviceEvent]) -> None:
        await asyncio.sleep(300)
        assert core.invoke("reset_energy") == Accepted(None)
        assert told[-1] == Change("energy", 0)
        assert core.invoke("reset_energy") == Accepted(None)
        assert told[-1] == Change("energy", 0, changed=False)
        await asyncio.sleep(361)
        assert core.read("energy") == 0.1

    with_device(test)


def test_actions_check_their_input() -> None:
    async def test(core: Core, told: list[Change | DeviceEvent]) -> None:
        def reason(answer: Accepted | Refused) -> Reason:
            assert isinstance(answer, Refused)
            return answer.reason

        assert core.invoke("beep", 3) == Accepted(None)
        assert reason(core.invoke("beep", 0)) is Reason.OUT_OF_RANGE
        assert reason(core.invoke("beep", "x")) is Reason.WRONG_TYPE
        assert reason(core.invoke("explode")) is Reason.UNKNOWN

    with_device(test)


def test_power_up_as_declared_and_nothing_counts_meanwhile() -> None:
    async def test(core: Core, told: list[Change | DeviceEvent]) -> None:
        core.command("relay", False)
        core.command("target", 25)
        core.command("mode", "cool")
        told.clear()
        core.power_off()
        assert isinstance(core.command("target", 18), Refused)
        core.operate("door")  # opens without power, too
        core.operate("button")  # this does not
        core.sense("power", 500)
        await asyncio.sleep(3600)
        core.power_on()
        assert core.read("relay") is False
        assert core.read("target") == 25
        assert core.read("mode") == "auto"
        assert core.read("door") is True
        assert core.read("energy") == 7
        assert told == []
        core.command("relay", True)
        assert core.read("power") == 500

    with_device(test)
