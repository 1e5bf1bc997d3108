"""Values to try, the search for the simplest that fails, and plans to bring a state about."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checks.support.behaviour.boundary_values import (
    beside,
    grid,
    limits,
    of_other_types,
    outside,
    resting,
    simplicity,
)
from harness.checks.support.behaviour.episodes import names_of
from harness.checks.support.behaviour.forecast import (
    State,
    obstacles,
    settled,
)
from harness.checks.support.behaviour.hypothesis_values import (
    drawn,
    illegal_values,
    legal_values,
    search,
)
from harness.checks.support.behaviour.planner import (
    Move,
    MoveKind,
    Planner,
)
from harness.checks.support.behaviour.rule_triggers import (
    _triggers,
    refusable_command,
)
from harness.model.base import Value
from harness.model.loading.profiles import load_profile
from harness.model.profile import Profile
from harness.model.rule import RuleKind
from harness.model.schema import DataSchema
from tests.checks.driving import SHIPPED

PROFILES = {path.stem: load_profile(path) for path in SHIPPED}
SETTINGS = [
    (profile.profile, name)
    for profile in PROFILES.values()
    for name, schema in profile.properties.items()
    if schema.writable
]
RULES = [(profile.profile, rule.id) for profile in PROFILES.values() for rule in profile.behaviour.rules]


@st.composite
def numbers(draw: st.DrawFn) -> DataSchema:
    """Schemas of numbers with limits, and often a step; there is always room for several values."""
    step = draw(st.sampled_from([None, "0.1", "0.5", "1", "7", "25"]))
    low = draw(st.integers(-1000, 1000))
    width = draw(st.integers(200, 5000))
    return DataSchema(
        type="number", minimum=low, maximum=low + width, multipleOf=float(step) if step else None
    )


@given(numbers())
def test_limits_are_legal_and_reach_both_ends(schema: DataSchema) -> None:
    values = limits(schema)
    assert all(map(schema.accepts, values))
    step = Decimal(repr(schema.multiple_of)) if schema.multiple_of else Decimal(0)
    assert Decimal(repr(values[0])) - Decimal(repr(schema.minimum)) <= step
    assert Decimal(repr(schema.maximum)) - Decimal(repr(values[-1])) <= step


@given(numbers())
def test_values_outside_are_of_the_right_type_and_not_legal(schema: DataSchema) -> None:
    values = outside(schema)
    assert values and not any(map(schema.accepts, values))
    assert all(DataSchema(type=schema.type).accepts(value) for value in values)


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
@pytest.mark.parametrize(("profile", "name"), SETTINGS)
def test_equal_seeds_draw_equal_values(profile: str, name: str, seed: int) -> None:
    schema = PROFILES[profile].properties[name]
    legal = drawn(legal_values(schema), seed)
    assert legal and legal == drawn(legal_values(schema), seed)
    assert all(map(schema.accepts, legal))
    if outside(schema):
        illegal = drawn(illegal_values(schema, outside(schema)), seed)
        assert illegal and not any(map(schema.accepts, illegal))


@given(numbers(), st.data())
def test_neighbours_of_a_bound_lie_on_both_sides_of_it(schema: DataSchema, data: st.DataObject) -> None:
    inner = grid(schema, 9)[1:-1]
    bound = data.draw(st.sampled_from(inner))
    values = beside(schema, bound)
    assert all(map(schema.accepts, values))
    assert min(values) < bound < max(values)


@pytest.mark.parametrize(("profile", "name"), SETTINGS)
def test_settings_have_values_to_try(profile: str, name: str) -> None:
    schema = PROFILES[profile].properties[name]
    assert len(resting(schema)) > 1 and all(map(schema.accepts, resting(schema)))
    assert not any(map(schema.accepts, of_other_types(schema)))


def test_simple_values_come_first() -> None:
    assert sorted([2.75, -3, 100, 3, True], key=simplicity) == [True, 3, -3, 100, 2.75]


def tried(schema: DataSchema, fails: Value, seed: int = 1) -> list[Value]:
    """What a search puts to a device that does wrong with the values for which ``fails`` is true."""
    measured: list[Value] = []

    async def measure(value: Value) -> bool:
        measured.append(value)
        return bool(fails(value))

    asyncio.run(search(limits(schema), lambda: legal_values(schema), measure, seed))
    return measured


BRIGHTNESS = PROFILES["smart-plug"].properties["led_brightness"]


def test_a_search_without_failures_tries_all_limits_and_some_more() -> None:
    measured = tried(BRIGHTNESS, lambda value: False)
    assert measured[: len(limits(BRIGHTNESS))] == limits(BRIGHTNESS)
    assert len(measured) > len(limits(BRIGHTNESS))


@pytest.mark.parametrize("seed", range(5))
def test_a_search_shrinks_what_fails(seed: int) -> None:
    failing = [value for value in tried(BRIGHTNESS, lambda value: value > 37, seed) if value > 37]
    assert failing[0] > 45  # a limit was the first to fail
    assert min(failing) <= 40


def test_a_search_measures_no_value_twice_and_comes_to_an_end() -> None:
    measured = tried(BRIGHTNESS, lambda value: True)
    assert len(measured) == len(set(measured)) <= 1 + 20


# Plans


def defaults(profile: Profile) -> State:
    return {name: schema.default for name, schema in profile.properties.items()}


@pytest.mark.parametrize(("profile_name", "rule_id"), RULES)
def test_each_rule_of_the_shipped_profiles_can_be_set_off(profile_name: str, rule_id: str) -> None:
    profile = PROFILES[profile_name]
    rule = profile.rule(rule_id)
    planner, state = Planner(profile, hands=True), settled(profile, defaults(profile))
    names, _ = names_of(rule)
    if rule.kind is RuleKind.REFUSAL:
        assert (
            planner.plan(state, lambda there: refusable_command(profile, rule, there) is not None, names)
            is not None
        )
        return

    def worth(before: State, move: Move, after: State) -> float | None:
        return 0.0 if _triggers(profile, rule, before, move, after) else None

    assert planner.plan_trigger(state, worth, rule, names)


def test_a_plan_writes_what_makes_room_for_a_value() -> None:
    profile = PROFILES["air-conditioner"]
    state = defaults(profile)
    assert [rule.id for rule in obstacles(profile, state, "target_temperature", 16)] == [
        "cool-limit",
        "cool-limit-on-entry",
    ]
    moves = Planner(profile, hands=False).plan(
        state, lambda there: not obstacles(profile, there, "target_temperature", 16), frozenset({"mode"})
    )
    assert moves is not None
    assert [(move.kind, move.name) for move in moves] == [(MoveKind.WRITE, "mode")]


def test_without_hands_no_plan_touches_a_sensor() -> None:
    profile = PROFILES["smart-plug"]
    hot = Planner(profile, hands=False).plan(
        defaults(profile), lambda there: there["temperature"] > 85, frozenset({"temperature"})
    )
    assert hot is None


def test_a_plan_waits_for_what_takes_time() -> None:
    profile = PROFILES["refrigerator"]
    moves = Planner(profile, hands=True).plan(
        defaults(profile), lambda there: there["door_alarm"] is True, frozenset({"door_alarm"})
    )
    assert moves is not None
    assert [str(move) for move in moves] == ["operate door", "wait door-alarm"]
