"""Triggers a rule of the profile and waits for its effect."""

from __future__ import annotations

from harness.checks.bench import Bench, StimulusError
from harness.checks.observations import Transport
from harness.checks.support.behaviour.arrange import (
    StateArranger,
    imposed_by_rule,
    precondition,
)
from harness.checks.support.behaviour.boundary_values import (
    limits,
    resting,
)
from harness.checks.support.behaviour.commands import SETTLE, command_and_wait
from harness.checks.support.behaviour.episodes import names_of
from harness.checks.support.behaviour.forecast import (
    State,
    all_hold,
    lasting,
    obstacles,
    values_near,
)
from harness.checks.support.behaviour.planner import (
    Move,
    MoveKind,
)
from harness.checks.support.behaviour.transports import (
    open_readers,
    open_writers,
)
from harness.model.base import Value
from harness.model.profile import Profile
from harness.model.requirement import BenchFeature
from harness.model.rule import Condition, Rule, RuleKind
from harness.model.schema import same_value

SLACK = 1.05  # wait slightly longer than allowed, so that a missing effect is certain

INVISIBLE = 9.0
"""Extra cost of triggering a rule in a state in which its effect is already true."""


async def stimulate_rule(bench: Bench, rule: Rule) -> None:
    """Trigger a rule, and wait for its effect.

    Raises StimulusError if the bench cannot do that.
    """
    if bench.offers(BenchFeature.COAP):
        await bench.watch()
    async with precondition(bench) as arranger:
        if rule.kind is RuleKind.REFUSAL:
            await _send_refused(bench, arranger, rule)
        else:
            await _trigger(bench, arranger, rule)


async def _trigger(bench: Bench, arranger: StateArranger, rule: Rule) -> None:
    names, _ = names_of(rule)

    def worth(state: State, move: Move, after: State) -> float | None:
        if not _triggers(bench.profile, rule, state, move, after):
            return None
        visible = not lasting(rule.then) or not all_hold(rule.then, after)
        return 0.0 if visible else INVISIBLE

    trigger = await arranger.prepare_trigger(worth, rule, names)
    if trigger is None:
        wanted = " and ".join(map(str, rule.when or rule.while_))
        raise arranger.cannot(
            wanted, lambda able: able.plan_trigger(arranger.state, worth, rule, frozenset(names))
        )
    since, state = bench.mark(), dict(arranger.state)
    await arranger.act(trigger)
    for condition in rule.then:
        await _await(bench, rule, condition, state, since)
    if rule.holds:
        await arranger.look()
        await _try_to_end_hold(bench, arranger, rule)


def _triggers(profile: Profile, rule: Rule, state: State, move: Move, after: State) -> bool:
    """Whether a move triggers a rule."""
    conditions = rule.when or rule.while_
    for condition in conditions:
        if condition.action is not None:
            if move.kind is not MoveKind.INVOKE or move.name != condition.action:
                return False
        elif condition.event is not None:
            effects = profile.controls[move.name].effects if move.kind is MoveKind.OPERATE else ()
            if all(effect.event != condition.event for effect in effects):
                return False
    if any(condition.is_happening for condition in conditions):
        return all_hold(conditions, state)
    return all_hold(conditions, after) and not all_hold(conditions, state)


async def _await(bench: Bench, rule: Rule, condition: Condition, state: State, since: int) -> None:
    """Wait until a condition of ``then`` is reported, up to the deadline of the rule plus reporting time."""
    profile = bench.profile
    name = condition.property_ or condition.event
    if name is None:
        return  # an action inside the device shows in other conditions
    latency = max([profile.behaviour.report_local, profile.behaviour.settle, profile.settle(name)])

    def shows(value: Value) -> bool:
        if condition.is_happening:
            return condition.data is None or same_value(value, condition.data)
        return bool(condition.holds({**state, name: value}))

    for transport in open_readers(bench, name)[:1]:
        await bench.wait_for_report(
            name,
            shows,
            transport=transport.value,
            within=(rule.for_ + rule.within + latency) * SLACK,
            since=since,
            imposed_by=imposed_by_rule(rule),
        )


async def _try_to_end_hold(bench: Bench, arranger: StateArranger, rule: Rule) -> None:
    """Try to end the state that must last, and watch whether it lasts."""

    def worth(state: State, move: Move, after: State) -> float | None:
        return None if all_hold(rule.then, after) else 0.0

    ending = arranger.next_move(worth, rule, names_of(rule)[0])
    if ending is not None:
        await arranger.act(ending)
    await bench.watch_silence(
        rule.holds,
        imposed_by=imposed_by_rule(rule),
        what=" and ".join(map(str, lasting(rule.then))) + " to last",
    )


async def _send_refused(bench: Bench, arranger: StateArranger, rule: Rule) -> None:
    """Send the command that must be refused over each transport."""
    profile = bench.profile
    names, _ = names_of(rule)
    wanted = " and ".join(map(str, rule.while_))
    await arranger.bring_about(
        lambda state: refusable_command(profile, rule, state) is not None,
        names,
        f"{wanted}, with a command left to refuse",
    )
    found = refusable_command(profile, rule, arranger.state)
    if found is None:
        raise StimulusError(f"while {wanted}, there is no command to refuse")
    name, value = found
    # CoAP first: its answer is enough, while over MQTT a legal command follows and changes the state.
    for transport in sorted(open_writers(bench, name)):
        if transport is Transport.COAP:
            await bench.read(name, transport=transport.value)
        await bench.write(name, value, transport=transport.value, legal=False)
        if transport is Transport.COAP:
            await bench.read(name, transport=transport.value)
        elif not await _fenced(bench, arranger, name, transport):
            settle = profile.settle(name)
            await bench.watch_silence(settle, imposed_by=SETTLE, what=f"{name} to stay unchanged")


async def _fenced(bench: Bench, arranger: StateArranger, name: str, transport: Transport) -> bool:
    """Whether a legal command after the refused one shows that both were processed."""
    before = arranger.state.get(name)
    for value in resting(bench.profile.properties[name]):
        if not same_value(value, before) and not obstacles(bench.profile, arranger.state, name, value):
            return await command_and_wait(bench, name, value, transport)
    return False


def refusable_command(profile: Profile, rule: Rule, state: State) -> tuple[str, Value] | None:
    """A property and a value that only rules refuse in a state, this rule among them."""
    if not all_hold(rule.while_, state) or all_hold(rule.refuse, state):
        return None
    for condition in rule.refuse:
        name = condition.property_ or ""
        schema = profile.properties[name]
        if not schema.writable:
            continue
        for value in [*values_near(profile, condition, state), *limits(schema)]:
            refused = all_hold(rule.refuse, {**state, name: value})
            if refused and schema.accepts(value) and rule in obstacles(profile, state, name, value):
                return name, value
    return None
