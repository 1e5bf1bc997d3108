"""The interactions of two devices: something happens at one, and the other one has to react."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from harness.checks.support.behaviour.action_effects import results_of
from harness.checks.support.behaviour.planner import started_by_action
from harness.checks.support.behaviour.transports import command_transports
from harness.model.base import Value
from harness.model.capability import Need, Reaction
from harness.model.profile import Profile
from harness.model.rule import Condition
from harness.model.schema import same_value
from harness.model.semantics.mapping import (
    Offered,
    UntranslatableError,
    as_list,
)
from harness.model.semantics.translator import stepped
from harness.prediction.device import Device
from harness.prediction.findings import (
    AffordanceKind,
    Flow,
    PairLink,
    Severity,
)
from harness.prediction.matching import assess

AVAILABILITY = ""
"""Source name for an interaction that is triggered by the availability topic."""


@dataclass(frozen=True, slots=True)
class InteractionEffect:
    """An expected effect: a property becomes ``value``, an event happens, an action is invoked.

    ``value`` None: any value, or no value.
    """

    kind: AffordanceKind
    name: str
    value: Value = None


@dataclass(frozen=True)
class Interaction:
    """One need of a device, met by another one; both are named by their roles.

    Something happens at ``source``, and ``target`` reacts; the ``needer`` is one of the two. ``problem`` is
    the reason if no reaction is possible.
    """

    needer: str
    offerer: str
    need_name: str
    profiles: tuple[Profile, Profile]  # of needer and offerer
    links: tuple[PairLink, ...]
    within: float
    problem: str | None = None

    @cached_property
    def name(self) -> str:
        """Its name in ids and reports."""
        return f"{self.needer}.{self.need_name}/{self.offerer}"

    @cached_property
    def need(self) -> Need:
        """The need from the profile."""
        return self.profiles[0].needs[self.need_name]

    @cached_property
    def commands(self) -> bool:
        """Whether the needer commands the offerer; otherwise it receives its reports."""
        return self.links[0].flow is Flow.COMMAND if self.links else self.need.access == "command"

    @property
    def source(self) -> str:
        """The role at which something happens."""
        return self.needer if self.commands else self.offerer

    @property
    def target(self) -> str:
        """The role that reacts."""
        return self.offerer if self.commands else self.needer

    @property
    def source_profile(self) -> Profile:
        """The profile of the source."""
        return self.profiles[0] if self.commands else self.profiles[1]

    @property
    def target_profile(self) -> Profile:
        """The profile of the target."""
        return self.profiles[1] if self.commands else self.profiles[0]

    @cached_property
    def source_names(self) -> frozenset[str]:
        """The affordances at which something happens; :data:`AVAILABILITY` for the availability."""
        return frozenset(link.source.name for link in self.links)

    @cached_property
    def target_names(self) -> frozenset[str]:
        """The affordances that may change in reaction."""
        names = {link.target.name for link in self.links} - {""}
        return frozenset(
            names | {each.name for reaction in self.need.reactions for each in _effects(reaction)}
        )

    @cached_property
    def is_passed_on(self) -> bool:
        """Whether a hub has to forward the messages, since the devices share no address."""
        return not self.links or any(
            link.flow is not Flow.COMMAND
            or link.source.address is None
            or (link.source.transport, link.source.address) != (link.target.transport, link.target.address)
            for link in self.links
        )

    def effects_of(self, name: str, value: Value) -> tuple[InteractionEffect, ...]:
        """The expected effects of a report that ``name`` has ``value``; empty if none."""
        for link in self.links:
            wanted = None if link.when is None else as_list(link.when)
            if link.source.name != name or not (
                wanted is None or any(same_value(value, one) for one in wanted)
            ):
                continue
            if self.commands:
                return (self._commanded(link, value),)
            return tuple(self._reported(link, value))
        return ()

    def _commanded(self, link: PairLink, value: Value) -> InteractionEffect:
        given = link.conversion.apply(value)
        if link.target.affordance is AffordanceKind.ACTION:
            action = self.target_profile.actions[link.target.name]
            given = None if action.input is None else given
        else:
            given = stepped(self.target_profile.properties[link.target.name], given)
        return InteractionEffect(link.target.affordance, link.target.name, given)

    def _reported(self, link: PairLink, value: Value) -> Iterator[InteractionEffect]:
        if self.need.into is not None:
            schema = self.target_profile.properties[self.need.into]
            yield InteractionEffect(
                AffordanceKind.PROPERTY, self.need.into, stepped(schema, link.conversion.apply(value))
            )
        try:
            meant = (
                value
                if link.source.name == AVAILABILITY
                else self._offered(link).translation.to_common(value)
            )
        except UntranslatableError:
            return
        for reaction in self.need.reactions:
            if _is_for(reaction, meant):
                yield from _effects(reaction)

    def _offered(self, link: PairLink) -> Offered:
        offers = [each for group in Device(self.profiles[1]).offers.values() for each in group]
        return next(each for each in offers if each.key == link.capability)


def interactions_between(
    needer: str, needing: Profile, offerer: str, offering: Profile
) -> Iterator[Interaction]:
    """The interactions for all needs of one device that another one may meet.

    Needs for which the other device offers nothing are left out. Needs that are predicted to be blocked are
    included if anything can be sent at all, so that they can be observed.
    """
    here, there = Device(needing), Device(offering)
    for needed in here.needs:
        found = assess(here, needed, there)
        if found is None:
            continue
        blocking = [conflict.what for conflict in found.conflicts if conflict.severity is Severity.BLOCKS]
        problem = None
        if not found.links:
            problem = blocking[0] if blocking else "the devices have no binding in common"
        within = max((link.within for link in found.links), default=needed.need.within or 2.0)
        interaction = Interaction(
            needer, offerer, needed.name, (needing, offering), found.links, within, problem
        )
        if problem is None and not interaction.commands and not interaction.target_names:
            continue  # the needer stores the state, with no visible effect
        yield interaction


def command_for(profile: Profile, effect: InteractionEffect) -> InteractionEffect | None:
    """The command that causes ``effect``; None if no command over the network does."""
    match effect.kind:
        case AffordanceKind.PROPERTY:
            schema = profile.properties[effect.name]
            can = schema.writable and bool(command_transports(profile, effect.name))
            return effect if can and effect.value is not None else None
        case AffordanceKind.ACTION:
            return effect if command_transports(profile, effect.name) else None
    for action, declared in profile.actions.items():
        if command_transports(profile, action) and effect.name in _events_of(profile, action):
            takes_text = declared.input is not None and declared.input.type == "string"
            return InteractionEffect(AffordanceKind.ACTION, action, effect.name if takes_text else None)
    return None


def shown_by(profile: Profile, effect: InteractionEffect) -> tuple[InteractionEffect, ...]:
    """The reports that show ``effect``; for an action, the consequences of the profile's rules."""
    if effect.kind is not AffordanceKind.ACTION:
        return (effect,)
    states = [
        InteractionEffect(AffordanceKind.PROPERTY, condition.property_ or "", condition.equals)
        for condition in results_of(profile, effect.name)
    ]
    events = [InteractionEffect(AffordanceKind.EVENT, name) for name in _events_of(profile, effect.name)]
    return (*states, *events)


def _events_of(profile: Profile, action: str) -> list[str]:
    return [
        condition.event
        for rule in profile.behaviour.rules
        if started_by_action(rule, action)
        for condition in rule.then
        if condition.event is not None
    ]


def _effects(reaction: Reaction) -> Iterator[InteractionEffect]:
    for condition in reaction.then:
        yield _effect(condition)


def _effect(condition: Condition) -> InteractionEffect:
    if condition.property_ is not None:
        return InteractionEffect(AffordanceKind.PROPERTY, condition.property_, condition.equals)
    if condition.event is not None:
        return InteractionEffect(AffordanceKind.EVENT, condition.event, condition.data)
    return InteractionEffect(AffordanceKind.ACTION, condition.action or "", condition.data)


def _is_for(reaction: Reaction, value: Value) -> bool:
    """Whether a reaction applies to a value of the vocabulary."""
    if reaction.equals is not None and not same_value(reaction.equals, value):
        return False
    if reaction.one_of is not None and not any(same_value(value, one) for one in reaction.one_of):
        return False
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    if reaction.above is not None and not (numeric and value > reaction.above):
        return False
    return reaction.below is None or (numeric and value < reaction.below)
