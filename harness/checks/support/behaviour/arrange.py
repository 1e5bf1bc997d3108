"""Brings the device into the state that a stimulus needs, and back afterwards."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager

from harness.checks.bench import Bench, BenchLimitationError, StimulusError
from harness.checks.observations import Transport
from harness.checks.support.behaviour.forecast import (
    State,
    obstacles,
    related,
    same_state,
    settled,
)
from harness.checks.support.behaviour.planner import (
    Move,
    MoveKind,
    Planner,
)
from harness.checks.support.behaviour.transports import (
    open_readers,
    open_writers,
)
from harness.model.base import Value
from harness.model.bindings.serial import SerialCommand
from harness.model.requirement import BenchFeature
from harness.model.rule import Rule
from harness.model.schema import same_value


class StateArranger:
    """Moves one device from state to state. ``state`` holds its last reported values."""

    def __init__(self, bench: Bench, transport: Transport | None = None) -> None:
        self.state: State = {}
        self._bench = bench
        self._profile = bench.profile
        self._planner = Planner(bench.profile, hands=bench.offers(BenchFeature.LOCAL))
        self._transport = transport  # preferred for commands
        self._sensed: dict[str, Value] = {}  # sensor values before stimulation
        self._found: State = {}  # the initial state

    async def look(self, names: Iterable[str] | None = None) -> State:
        """Read the state of the device; use its last report where it cannot be read."""
        wanted = self._profile.properties.keys() if names is None else set(names)
        for name in [name for name in self._profile.properties if name in wanted]:
            for transport in open_readers(self._bench, name):
                try:
                    self.state[name] = await self._bench.read(name, transport=transport.value)
                    break
                except StimulusError:
                    continue  # try the next transport
            else:
                await self._read_from_board(name)
        if not self._found:
            self._found = dict(self.state)
        return self.state

    async def _read_from_board(self, name: str) -> None:
        """Read a property on the serial line, where no watched network reports it."""
        binding = self._profile.bindings.serial
        if not self._bench.offers(BenchFeature.SERIAL) or binding is None or not binding.can_read(name):
            self.state.pop(name, None)  # its value is unknown now
            return
        answer = await self._bench.serial.command(SerialCommand.READ_STATE, name)
        if answer.problem is None:
            self.state[name] = answer.value
        else:
            self.state.pop(name, None)

    async def bring_about(
        self, goal: Callable[[State], bool], names: Iterable[str], what: str, tries: int = 3
    ) -> None:
        """Bring the device into a state that ``goal`` accepts. Raises StimulusError.

        ``names`` are the properties of the goal; ``what`` describes the goal in messages.
        """
        concerned = frozenset(names)
        for _ in range(tries):
            moves = self._planner.plan(self.state, goal, concerned)
            if moves is None:
                raise self.cannot(what, lambda able: able.plan(self.state, goal, concerned))
            if not moves:
                return
            for move in moves:
                await self.perform(move, related(self._profile, concerned))
            await self.look()
        if not goal(self.state):
            raise StimulusError(f"this bench cannot reach the state needed: {what}")

    def cannot(self, what: str, possible: Callable[[Planner], object]) -> StimulusError:
        """The error for a state that cannot be reached; ``possible`` asks a planner with manual control."""
        reason = f"this bench cannot reach the state needed: {what}"
        if not self._bench.offers(BenchFeature.LOCAL) and possible(Planner(self._profile, hands=True)):
            return BenchLimitationError(f"{reason}: nothing here can operate the controls of the device")
        return StimulusError(reason)

    async def make_room_for(self, name: str, value: Value) -> None:
        """Reach a state in which a command of ``value`` is legal and lasts.

        Raises StimulusError, naming the rule that prevents it.
        """
        obstructing = obstacles(self._profile, self.state, name, value)
        if not obstructing:
            return
        concerned: set[str] = set()
        for rule in obstructing:
            for condition in (*rule.when, *rule.while_):
                concerned |= condition.names
        await self.bring_about(
            lambda state: not obstacles(self._profile, state, name, value),
            concerned - {name},
            f"{name} = {value} must be allowed, but the rule {obstructing[0].id} prevents it",
        )

    async def prepare_trigger(
        self,
        worth: Callable[[State, Move, State], float | None],
        rule: Rule,
        names: Iterable[str],
    ) -> Move | None:
        """Make all moves but the last, which triggers the rule and is returned; None if there is no plan."""
        concerned = frozenset(names)
        moves = self._planner.plan_trigger(self.state, worth, rule, concerned)
        if not moves:
            return None
        for move in moves[:-1]:
            await self.perform(move, related(self._profile, concerned), without=rule)
        await self.look()
        return moves[-1]

    def next_move(
        self,
        worth: Callable[[State, Move, State], float | None],
        rule: Rule,
        names: Iterable[str],
    ) -> Move | None:
        """The cheapest single move that ``worth`` accepts in the present state."""
        return self._planner.next_move(self.state, worth, rule, frozenset(names))

    async def perform(
        self, move: Move, concerned: Collection[str] = (), *, without: Rule | None = None
    ) -> None:
        """Make a move, and wait until the device reports its effects on the properties in ``concerned``.

        The value that the move itself sets is always awaited; effects of the rule ``without`` are not.
        Raises StimulusError.
        """
        since = self._bench.mark()
        expected = self._planner.after(move, self.state, without)
        await self.act(move)
        for name, value in expected.items():
            matters = name == move.name or name in concerned
            if matters and not same_value(value, self.state.get(name)):
                await self._await(name, value, move, since)
        self.state = expected

    async def act(self, move: Move) -> None:
        """Make a move without waiting."""
        bench = self._bench
        match move.kind:
            case MoveKind.WRITE if not open_writers(bench, move.name) and self._is_set_at_board(move.name):
                await bench.serial.command(SerialCommand.WRITE_PROPERTY, move.name, move.value)
            case MoveKind.WRITE:
                transport = self._commander(move.name)
                await bench.write(move.name, move.value, transport=transport.value)
            case MoveKind.INVOKE:
                await bench.invoke(move.name, move.value, transport=self._commander(move.name).value)
            case MoveKind.OPERATE:
                await bench.local.operate(move.name)
            case MoveKind.SENSE:
                self.remember(move.name)
                await bench.local.sense(move.name, move.value)
            case MoveKind.WAIT:
                pass  # perform() waits for the effect of the rule

    def _is_set_at_board(self, name: str) -> bool:
        binding = self._profile.bindings.serial
        return self._bench.offers(BenchFeature.SERIAL) and binding is not None and binding.can_write(name)

    def remember(self, name: str) -> None:
        """Remember the value of a sensor before it is stimulated."""
        self._sensed.setdefault(name, self.state.get(name))

    async def restore(self) -> None:
        """Restore the initial state, as far as the device allows; wait once if it is gone."""
        if not await self._bench.ready():
            self._bench.note("the state was not restored: the device did not come back")
            return
        await self.look()
        for name, value in reversed(list(self._sensed.items())):
            if value is not None:
                with contextlib.suppress(StimulusError):
                    await self.perform(Move(MoveKind.SENSE, name, value))
        await self.look()
        changed = [name for name in self._found if not same_value(self.state.get(name), self._found[name])]
        while changed:
            # Values that no rule affects come first: a limit of one mode must not alter what is restored.
            name = next((name for name in changed if self._is_harmless(name)), changed[0])
            changed.remove(name)
            with contextlib.suppress(StimulusError):
                await self._put_back(name, self._found[name])

    def _is_harmless(self, name: str) -> bool:
        """Whether no rule acts when a property is restored now."""
        outlook = {**self.state, name: self._found[name]}
        return same_state(settled(self._profile, outlook), outlook)

    async def _put_back(self, name: str, value: Value) -> None:
        if self._profile.properties[name].writable:
            if open_writers(self._bench, name):
                await self.make_room_for(name, value)
                if not same_value(self.state.get(name), value):
                    await self.perform(Move(MoveKind.WRITE, name, value))
            return
        for control, declared in self._profile.controls.items():
            if not self._bench.offers(BenchFeature.LOCAL) or all(
                each.property_ != name for each in declared.effects
            ):
                continue
            move = Move(MoveKind.OPERATE, control)
            if same_value(self._planner.after(move, self.state).get(name), value):
                await self.perform(move, [name])
                return

    async def _await(self, name: str, value: Value, move: Move, since: int) -> None:
        schema = self._profile.properties[name]
        limit, imposed_by = self._limit(name, value, move)
        readers = open_readers(self._bench, name)
        # Prefer the transport of the commands.
        for transport in sorted(readers, key=lambda reader: reader is not self._transport):
            seen = await self._bench.wait_for_report(
                name,
                lambda reported: schema.agrees(reported, value),
                transport=transport.value,
                within=limit,
                since=since,
                imposed_by=imposed_by,
            )
            if seen is None:
                raise StimulusError(
                    f"after {move} the device did not report {name} = {value} within {limit:g} s"
                )
            return

    def _limit(self, name: str, value: Value, move: Move) -> tuple[float, str | None]:
        """The deadline in seconds for reporting an effect of a move, and the rule that imposes it, if any."""
        behaviour = self._profile.behaviour
        promised = max(self._profile.settle(name), behaviour.report_local)
        if name == move.name:
            return promised, None
        rules = [
            rule
            for rule in behaviour.rules
            if any(condition.property_ == name for condition in rule.then)
            and (move.kind is not MoveKind.WAIT or rule.id == move.name)
        ]
        if not rules:
            return promised, None
        slowest = max(rules, key=lambda rule: rule.for_ * (move.kind is MoveKind.WAIT) + rule.within)
        waiting = slowest.for_ if move.kind is MoveKind.WAIT else 0.0
        return promised + waiting + slowest.within, imposed_by_rule(slowest)

    def _commander(self, name: str) -> Transport:
        transports = open_writers(self._bench, name)
        if not transports:
            raise StimulusError(f"this bench has no transport to command {name}")
        return self._transport if self._transport in transports else transports[0]


def imposed_by_rule(rule: Rule) -> str:
    """The name of a rule in recorded waits."""
    return f"profile: behaviour.rules, {rule.id}"


@asynccontextmanager
async def precondition(bench: Bench, transport: Transport | None = None) -> AsyncIterator[StateArranger]:
    """An arranger that has read the state, and restores it at the end."""
    arranger = StateArranger(bench, transport)
    await arranger.look()
    try:
        yield arranger
    except asyncio.CancelledError:
        raise  # the run is over: no time to tidy up
    except BaseException:
        await arranger.restore()
        raise
    await arranger.restore()
