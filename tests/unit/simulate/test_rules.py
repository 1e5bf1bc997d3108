import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rule_monitor import Monitor
from timeless import timeless

from harness.model.affordance import Property
from harness.model.loading.profiles import load_profile
from harness.model.profile import Profile
from harness.simulate.firmware.core import (
    Accepted,
    Change,
    Core,
    DeviceEvent,
    Reason,
    Refused,
)
from harness.simulate.firmware.rules import RuleConflict

PROFILES = Path(__file__).parents[3] / "profiles"
SHIPPED = ("smart-plug", "air-conditioner", "refrigerator", "remote-control")

PERCENT = {"type": "integer", "minimum": 0, "maximum": 100}


def device(*rules: dict[str, Any]) -> Core:
    return Core(
        Profile.model_validate(
            {
                "profile": "tested",
                "title": "A device for tests",
                "category": "test",
                "properties": {
                    "motor": {"type": "boolean"},
                    "lamp": {"type": "boolean"},
                    "mode": {"type": "string", "enum": ["calm", "fast", "eco"]},
                    "speed": {
                        "type": "integer",
                        "minimum": 0,
                        "maximum": 100,
                        "multipleOf": 5,
                        "default": 50,
                    },
                    "limit": {"type": "integer", "minimum": 0, "maximum": 100, "default": 80},
                    "heat": {"type": "number", "readOnly": True, "minimum": 0, "maximum": 200, "default": 20},
                    "warning": {"type": "boolean", "readOnly": True},
                },
                "actions": {"clean": {"input": {"type": "integer"}}},
                "events": {"alarm": {"data": {"type": "string", "enum": ["hot", "cold"]}}, "done": {}},
                "controls": {"key": {"effects": [{"property": "motor", "toggle": True}]}},
                "bindings": {},
                "behaviour": {"rules": [{"purpose": "to be tested", **rule} for rule in rules]},
            }
        )
    )


def live(core: Core, test: Callable[[list[Any]], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        told: list[Any] = []
        core.on_change(told.append)
        core.on_event(told.append)
        core.power_on()
        await test(told)
        core.power_off()

    timeless(main())


WARN_WHEN_HOT = {
    "id": "warn",
    "when": [{"property": "heat", "above": 90}],
    "for": 10,
    "then": [{"property": "warning", "equals": True}, {"event": "alarm", "data": "hot"}],
}


def test_a_response_follows_when_its_condition_lasted() -> None:
    core = device(WARN_WHEN_HOT)

    async def test(told: list[Any]) -> None:
        core.sense("heat", 95)
        await asyncio.sleep(9.9)
        assert core.read("warning") is False
        await asyncio.sleep(0.2)
        assert told == [Change("heat", 95), Change("warning", True), DeviceEvent("alarm", "hot")]

    live(core, test)


def test_a_response_is_off_when_its_condition_ends_early() -> None:
    core = device(WARN_WHEN_HOT)

    async def test(told: list[Any]) -> None:
        core.sense("heat", 95)
        await asyncio.sleep(6)
        core.sense("heat", 90)
        core.sense("heat", 95)
        await asyncio.sleep(6)
        assert core.read("warning") is False
        await asyncio.sleep(6)
        assert core.read("warning") is True

    live(core, test)


def test_a_response_follows_once_each_time() -> None:
    core = device(
        {"id": "tell", "when": [{"property": "heat", "above": "limit"}], "then": [{"event": "alarm"}]},
    )

    async def test(told: list[Any]) -> None:
        def alarms() -> int:
            return told.count(DeviceEvent("alarm", "hot"))

        core.sense("heat", 90)
        core.sense("heat", 95)
        assert alarms() == 1
        core.command("limit", 96)
        core.command("limit", 50)
        assert alarms() == 2

    live(core, test)


def test_events_and_actions_set_responses_off() -> None:
    core = device(
        {
            "id": "clean",
            "when": [{"action": "clean", "data": 2}, {"property": "motor", "equals": False}],
            "then": [{"event": "done"}],
        },
        {"id": "after", "when": [{"event": "done"}], "then": [{"property": "lamp", "equals": True}]},
    )

    async def test(told: list[Any]) -> None:
        core.invoke("clean", 1)
        assert core.read("lamp") is False
        core.command("motor", True)
        core.invoke("clean", 2)
        assert core.read("lamp") is False
        core.command("motor", False)
        core.invoke("clean", 2)
        assert core.read("lamp") is True
        assert told[-2:] == [Change("lamp", True), DeviceEvent("done")]

    live(core, test)


@pytest.mark.parametrize(
    ("then", "expected"),
    [
        ({"property": "speed", "equals": 35}, 35),
        ({"property": "speed", "one_of": [30, 40]}, 30),
        ({"property": "speed", "above": 61}, 65),
        ({"property": "speed", "above": 65}, 70),
        ({"property": "speed", "below": 30}, 25),
        ({"property": "speed", "below": "limit"}, 50),
        ({"property": "speed", "above": "limit"}, 85),
        ({"property": "speed", "above": 60, "below": 70}, 65),
    ],
)
def test_a_response_takes_the_nearest_legal_value(then: dict[str, Any], expected: int) -> None:
    core = device({"id": "set", "when": [{"property": "motor", "equals": True}], "then": [then]})

    async def test(told: list[Any]) -> None:
        core.command("motor", True)
        assert core.read("speed") == expected

    live(core, test)


REST = {
    "id": "rest",
    "when": [{"property": "motor", "equals": False}],
    "then": [{"property": "motor", "equals": False}],
    "holds": 180,
}


def test_a_hold_defers_what_is_wanted() -> None:
    core = device(REST)

    async def test(told: list[Any]) -> None:
        await asyncio.sleep(200)
        core.command("motor", True)
        core.command("motor", False)
        core.operate("key")
        assert core.read("motor") is False
        await asyncio.sleep(179)
        assert core.read("motor") is False
        told.clear()
        await asyncio.sleep(2)
        assert core.read("motor") is True
        assert told == [Change("motor", True)]

    live(core, test)


def test_what_is_no_longer_wanted_does_not_come_after_a_hold() -> None:
    core = device(REST)

    async def test(told: list[Any]) -> None:
        core.command("motor", True)
        core.command("motor", False)
        await asyncio.sleep(400)
        assert core.read("motor") is False

    live(core, test)


def test_an_invariant_waits_for_a_hold() -> None:
    core = device(
        REST,
        {
            "id": "cool",
            "while": [{"property": "heat", "above": 90}],
            "then": [{"property": "motor", "equals": True}],
            "within": 190,
        },
    )

    async def test(told: list[Any]) -> None:
        core.sense("heat", 100)
        await asyncio.sleep(179)
        assert core.read("motor") is False
        await asyncio.sleep(2)
        assert core.read("motor") is True

    live(core, test)


CALM_IS_SLOW = {
    "id": "calm-is-slow",
    "while": [{"property": "mode", "equals": "calm"}],
    "then": [{"property": "speed", "below": 30}],
}


def test_an_invariant_is_kept_at_once_and_commands_against_it_are_refused() -> None:
    core = device(CALM_IS_SLOW)

    async def test(told: list[Any]) -> None:
        assert core.read("speed") == 25
        core.command("mode", "fast")
        core.command("speed", 80)
        told.clear()
        assert core.command("mode", "calm") == Accepted("calm")
        assert told == [Change("mode", "calm"), Change("speed", 25)]
        answer = core.command("speed", 60)
        assert isinstance(answer, Refused)
        assert answer.reason is Reason.RULE
        assert core.command("speed", 10) == Accepted(10)
        core.command("mode", "fast")
        assert core.read("speed") == 10

    live(core, test)


def test_a_measured_quantity_is_true_again_after_an_invariant() -> None:
    core = device(
        {
            "id": "off",
            "while": [{"property": "motor", "equals": False}],
            "then": [{"property": "heat", "equals": 0}],
        }
    )

    async def test(told: list[Any]) -> None:
        core.sense("heat", 60)
        assert core.read("heat") == 0
        core.command("motor", True)
        assert core.read("heat") == 60

    live(core, test)


def test_a_status_stays_as_an_invariant_left_it() -> None:
    core = device(
        WARN_WHEN_HOT,
        {
            "id": "fine",
            "while": [{"property": "heat", "below": 80}],
            "then": [{"property": "warning", "equals": False}],
        },
    )

    async def test(told: list[Any]) -> None:
        core.sense("heat", 95)
        await asyncio.sleep(11)
        core.sense("heat", 85)
        assert core.read("warning") is True
        core.sense("heat", 75)
        assert core.read("warning") is False
        core.sense("heat", 85)
        await asyncio.sleep(100)
        assert core.read("warning") is False

    live(core, test)


def test_a_refusal_forbids_only_commands_that_lead_there() -> None:
    core = device(
        {
            "id": "eco",
            "while": [{"property": "mode", "equals": "eco"}],
            "refuse": [{"property": "speed", "above": 60}],
        }
    )

    async def test(told: list[Any]) -> None:
        core.command("speed", 90)
        assert core.command("mode", "eco") == Accepted("eco")
        assert core.read("speed") == 90
        assert isinstance(core.command("speed", 85), Refused)
        assert core.command("lamp", True) == Accepted(True)
        assert core.command("speed", 60) == Accepted(60)
        core.command("mode", "fast")
        assert core.command("speed", 85) == Accepted(85)

    live(core, test)


def test_rules_that_set_each_other_off_for_ever_are_named() -> None:
    core = device(
        {
            "id": "ping",
            "when": [{"property": "lamp", "equals": True}],
            "then": [{"property": "lamp", "equals": False}],
        },
        {
            "id": "pong",
            "when": [{"property": "lamp", "equals": False}],
            "then": [{"property": "lamp", "equals": True}],
        },
    )

    async def main() -> None:
        with pytest.raises(RuleConflict, match=r"ping, pong .* without end"):
            core.power_on()

    timeless(main())


def test_invariants_that_contradict_each_other_are_named() -> None:
    core = device(
        CALM_IS_SLOW,
        {
            "id": "lamp-is-fast",
            "while": [{"property": "lamp", "equals": True}],
            "then": [{"property": "speed", "above": 70}],
        },
    )

    async def main() -> None:
        core.power_on()
        with pytest.raises(RuleConflict, match="calm-is-slow, lamp-is-fast contradict"):
            core.command("lamp", True)

    timeless(main())


def test_a_rule_counts_from_power_on() -> None:
    core = device(
        {
            "id": "idle",
            "when": [{"property": "motor", "equals": False}],
            "for": 60,
            "then": [{"property": "lamp", "equals": True}],
        }
    )

    async def main() -> None:
        core.power_on()
        await asyncio.sleep(50)
        core.power_off()
        await asyncio.sleep(500)
        core.power_on()
        await asyncio.sleep(50)
        assert core.read("lamp") is False
        await asyncio.sleep(11)
        assert core.read("lamp") is True

    timeless(main())


# Any life at all


def values(schema: Property) -> st.SearchStrategy[Any]:
    if schema.enum:
        return st.sampled_from(schema.enum)
    if schema.type == "boolean":
        return st.booleans()
    low, high = schema.minimum or 0, schema.maximum or 10_000
    grid = schema.multiple_of or (1 if schema.type == "integer" else None)
    if grid is None:
        return st.floats(low, high)
    steps = st.integers(int(low / grid), int(high / grid))
    return steps.map(lambda step: round(step * grid, 6))


def steps(profile: Profile) -> st.SearchStrategy[tuple[Any, ...]]:
    properties = profile.properties
    kinds: list[st.SearchStrategy[tuple[Any, ...]]] = [
        st.tuples(st.just("wait"), st.sampled_from(waits(profile))),
    ]
    for name, schema in properties.items():
        act = "sense" if schema.read_only else "command"
        kinds.append(st.tuples(st.just(act), st.just(name), values(schema)))
    kinds += [st.tuples(st.just("operate"), st.just(name)) for name in profile.controls]
    kinds += [st.tuples(st.just("invoke"), st.just(name)) for name in profile.actions]
    return st.one_of(kinds)


def waits(profile: Profile) -> list[float]:
    found = {0.0, 0.5}
    for rule in profile.behaviour.rules:
        found |= {rule.for_, rule.for_ / 2, rule.within, rule.holds, rule.holds / 3}
    return sorted(found)


@pytest.mark.parametrize("name", SHIPPED)
def test_no_life_breaks_a_rule_of_a_shipped_profile(name: str) -> None:
    profile = load_profile(PROFILES / f"{name}.yaml")

    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(steps(profile), max_size=25))
    def check(life: list[tuple[Any, ...]]) -> None:
        assert timeless(broken_rules(profile, life)) == []

    check()


async def broken_rules(profile: Profile, life: list[tuple[Any, ...]], ignore: str | None = None) -> list[str]:
    core = Core(profile)
    core.deviate(ignores=lambda rule: rule.id == ignore)
    monitor = Monitor(core)
    core.power_on()
    monitor.look()
    for act, *what in life:
        if act == "wait":
            await asyncio.sleep(what[0])
        elif act == "command":
            monitor.command(*what)
        elif act == "invoke":
            monitor.invoke(*what)
        else:
            getattr(core, act)(*what)
        monitor.look()
    await asyncio.sleep(200)
    broken = monitor.judge()
    core.power_off()
    return broken


COOLING = [("sense", "room_temperature", 20), ("wait", 1), ("sense", "room_temperature", 30)]


@pytest.mark.parametrize(
    ("name", "rule", "life"),
    [
        ("smart-plug", "off-means-no-power", [("command", "relay", False)]),
        ("smart-plug", "overload-trips", [("sense", "power", 4000)]),
        ("smart-plug", "hot-stays-off", [("sense", "temperature", 90), ("command", "relay", True)]),
        ("air-conditioner", "restart-delay", COOLING),
        ("air-conditioner", "cooling-rests", [("sense", "room_temperature", 20)]),
        ("air-conditioner", "cooling-runs", [("command", "power", False), ("command", "power", True)]),
        ("refrigerator", "door-alarm", [("operate", "door")]),
    ],
)
def test_the_monitor_sees_a_rule_that_is_not_kept(name: str, rule: str, life: list[tuple[Any, ...]]) -> None:
    profile = load_profile(PROFILES / f"{name}.yaml")
    assert timeless(broken_rules(profile, life)) == []
    broken = timeless(broken_rules(profile, life, ignore=rule))
    assert [text for text in broken if text.startswith(rule)]
