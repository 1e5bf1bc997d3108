"""Plans the cheapest sequence of commands, controls and sensor stimuli that leads to a state."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count

from harness.checks.payloads import json_text
from harness.checks.support.behaviour.boundary_values import (
    is_one_of,
    limits,
)
from harness.checks.support.behaviour.forecast import (
    SOON,
    Forecast,
    State,
    all_hold,
    related,
)
from harness.model.affordance import Property
from harness.model.base import Value
from harness.model.profile import Effect, Profile
from harness.model.rule import Rule
from harness.model.schema import DataType, same_value

MOST_STATES = 500  # examined for one plan
WAITING = 3.0  # cost of waiting for a rule, however long: time is cheaper than a wrong state


class MoveKind(StrEnum):
    """The kinds of moves."""

    WRITE = "write"
    INVOKE = "invoke"
    OPERATE = "operate"
    SENSE = "sense"
    WAIT = "wait"  # until a delayed rule has acted


@dataclass(frozen=True)
class Move:
    """One step of a plan. ``name`` is a property, action, control, or the id of a rule."""

    kind: MoveKind
    name: str
    value: Value = None

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f" = {json_text(self.value)}" if self.value is not None else "")


@dataclass(order=True)
class _Node:
    cost: float
    order: int
    state: State = field(compare=False)
    moves: tuple[Move, ...] = field(compare=False)


class Planner:
    """Plans for one profile. ``hands``: whether controls and sensors can be operated."""

    def __init__(self, profile: Profile, *, hands: bool) -> None:
        self._profile = profile
        self._hands = hands
        self._forecast = Forecast(profile)
        self._ends = {name: limits(schema) for name, schema in profile.properties.items()}
        self._conditions = [
            condition
            for rule in profile.behaviour.rules
            for condition in (*rule.when, *rule.while_, *rule.then, *rule.refuse)
        ]

    def plan(self, state: State, goal: Callable[[State], bool], names: frozenset[str]) -> list[Move] | None:
        """The cheapest moves from ``state`` to one that ``goal`` accepts; None if there are none.

        ``names`` are the properties of the goal.
        """
        for node in self._reachable(state, related(self._profile, names)):
            if goal(node.state) and not self._will_change_soon(node.state):
                return list(node.moves)
        return None

    def plan_trigger(
        self,
        state: State,
        worth: Callable[[State, Move, State], float | None],
        rule: Rule,
        names: frozenset[str],
    ) -> list[Move] | None:
        """The cheapest moves of which the last one triggers a rule.

        ``worth`` gets a state, a move, and the resulting state without the rule. It returns an extra cost, or
        None if the move does not trigger the rule.
        """
        best: tuple[float, list[Move]] | None = None
        concerned = related(self._profile, names)
        for node in self._reachable(state, concerned):
            if best is not None and node.cost >= best[0]:
                break
            if self._will_change_soon(node.state):
                continue
            for move, cost in self._triggers(node.state, concerned, rule):
                if move.kind is MoveKind.WAIT:
                    continue
                added = worth(node.state, move, self.after(move, node.state, without=rule))
                if added is not None and (best is None or node.cost + cost + added < best[0]):
                    best = node.cost + cost + added, [*node.moves, move]
        return best[1] if best else None

    def next_move(
        self,
        state: State,
        worth: Callable[[State, Move, State], float | None],
        rule: Rule,
        names: frozenset[str],
    ) -> Move | None:
        """The cheapest move that ``worth`` accepts, as in :meth:`plan_trigger`, from the given state."""
        found: list[tuple[float, int, Move]] = []
        for move, cost in self._triggers(state, related(self._profile, names), rule):
            added = worth(state, move, self.after(move, state, without=rule))
            if added is not None and move.kind is not MoveKind.WAIT:
                found.append((cost + added, len(found), move))
        return min(found)[2] if found else None

    def after(self, move: Move, state: State, without: Rule | None = None) -> State:
        """The state that a move leads to, ignoring the rule ``without``."""
        changed = dict(state)
        match move.kind:
            case MoveKind.WRITE | MoveKind.SENSE:
                changed[move.name] = move.value
            case MoveKind.OPERATE:
                for effect in self._profile.controls[move.name].effects:
                    if effect.property_ is not None:
                        schema = self._profile.properties[effect.property_]
                        changed[effect.property_] = effect_value(schema, effect, state)
            case MoveKind.INVOKE:
                for rule in self._profile.behaviour.rules:
                    applies = started_by_action(rule, move.name) and all_hold(rule.when, state)
                    if rule is not without and applies:
                        self._forecast.enforce(rule, changed)
            case MoveKind.WAIT:
                self._forecast.enforce(self._profile.rule(move.name), changed)
        return self._forecast.settled(changed, without)

    def _reachable(self, state: State, names: frozenset[str]) -> Iterator[_Node]:
        """Reachable states by increasing cost, the given one first."""
        order = count()
        queue = [_Node(0.0, next(order), dict(state), ())]
        seen: set[str] = set()
        while queue and len(seen) < MOST_STATES:
            node = heapq.heappop(queue)
            key = json_text({name: node.state.get(name) for name in sorted(names)})
            if key in seen:
                continue
            seen.add(key)
            yield node
            for move, cost in self._moves(node.state, names):
                state = self.after(move, node.state)
                heapq.heappush(queue, _Node(node.cost + cost, next(order), state, (*node.moves, move)))

    def _moves(self, state: State, names: frozenset[str]) -> Iterator[tuple[Move, float]]:
        """The possible moves in a state with their costs; natural moves are cheap."""
        waiting = self._forecast.pending(state)
        for rule in waiting:
            yield Move(MoveKind.WAIT, rule.id), WAITING
        if self._will_change_soon(state):
            return
        for name in sorted(names):
            schema = self._profile.properties[name]
            if schema.writable:
                for value in self._interesting(name, state):
                    if not self._forecast.obstacles(state, name, value):
                        yield Move(MoveKind.WRITE, name, value), 1.0
            elif self._hands:
                # A status that is not measured is preferably changed by other means.
                cost = 2.0 if schema.type in (DataType.INTEGER, DataType.NUMBER) else 12.0
                for value in self._interesting(name, state):
                    yield Move(MoveKind.SENSE, name, value), cost
        if self._hands:
            yield from self._control_moves(state, names)
        for name in self._profile.actions:
            if any(started_by_action(rule, name) for rule in self._profile.behaviour.rules):
                yield Move(MoveKind.INVOKE, name, legal_input(self._profile, name)), 3.0

    def _triggers(self, state: State, names: frozenset[str], rule: Rule) -> Iterator[tuple[Move, float]]:
        """The possible moves in a state, including controls that only send an event of the rule."""
        yield from self._moves(state, names)
        events = {condition.event for condition in rule.when if condition.event is not None}
        if not self._hands or not events or self._will_change_soon(state):
            return
        for name, control in self._profile.controls.items():
            locked = control.unless and all_hold(control.unless, state)
            moves_nothing = all(effect.property_ is None for effect in control.effects)
            if moves_nothing and not locked and any(effect.event in events for effect in control.effects):
                yield Move(MoveKind.OPERATE, name), 3.0

    def _control_moves(self, state: State, names: frozenset[str]) -> Iterator[tuple[Move, float]]:
        for name, control in self._profile.controls.items():
            if control.unless and all_hold(control.unless, state):
                continue
            touched = {effect.property_ for effect in control.effects if effect.property_}
            if touched & names and touched <= state.keys():
                yield Move(MoveKind.OPERATE, name), 3.0

    def _interesting(self, name: str, state: State) -> list[Value]:
        """Values of a property that matter to rules, without the present one."""
        schema, ends = self._profile.properties[name], self._ends[name]
        found = list(ends)
        if not schema.enum and schema.type is not DataType.BOOLEAN:
            found = [ends[len(ends) // 2], ends[0], ends[-1]] if ends else []
            for condition in self._conditions:
                if condition.property_ == name:
                    found += self._forecast.values_near(condition, state)
        distinct: list[Value] = []
        for value in found:
            if not is_one_of(value, distinct) and not same_value(value, state.get(name)):
                distinct.append(value)
        return distinct

    def _will_change_soon(self, state: State) -> bool:
        """Whether a delayed rule will soon change the state."""
        return any(rule.for_ <= SOON for rule in self._forecast.pending(state))


def legal_input(profile: Profile, action: str) -> Value:
    """A legal input for an action; None if it takes none."""
    schema = profile.actions[action].input
    found = limits(schema) if schema is not None else []
    return found[len(found) // 2] if found else None


def started_by_action(rule: Rule, action: str) -> bool:
    """Whether an action triggers a rule."""
    return any(condition.action == action for condition in rule.when)


def effect_value(schema: Property, effect: Effect, state: State) -> Value:
    """The value that a control sets: a fixed one, or the next one when it toggles."""
    if not effect.toggle:
        return effect.value
    present = state.get(effect.property_ or "")
    if isinstance(present, bool):
        return not present
    members = list(schema.enum or ())
    return members[(members.index(present) + 1) % len(members)] if present in members else present
