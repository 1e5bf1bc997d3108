"""What binds two devices: at one something happens, at the other something is to follow."""

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
"""Name of the source where it is the availability topic that tells."""


@dataclass(frozen=True, slots=True)
class InteractionEffect:
    """What is to follow at a device: a property becomes ``value``, an event happens, an action is invoked.

    ``value`` None: the value does not matter, or there is none.
    """

    kind: AffordanceKind
    name: str
    value: Value = None


@dataclass(frozen=True)
class Interaction:
    """What one need of a device comes to with another device, by their roles.

    At ``source`` something happens, ``target`` follows; the ``needer`` is one of the two. ``problem`` says
    why nothing can follow, if so.
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
        """How it is called in ids and reports."""
        return f"{self.needer}.{self.need_name}/{self.offerer}"

    @cached_property
    def need(self) -> Need:
        """The need, as the profile has it."""
        return self.profiles[0].needs[self.need_name]

    @cached_property
    def commands(self) -> bool:
        """Whether the needer commands the offerer; otherwise it is told by it."""
        return self.links[0].flow is Flow.COMMAND if self.links else self.need.access == "command"

    @property
    def source(self) -> str:
        """The role at which something happens."""
        return self.needer if self.commands else self.offerer

    @property
    def target(self) -> str:
        """The role that follows."""
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
        """The affordances at which something happens; :data:`AVAILABILITY` for being there or not."""
        return frozenset(link.source.name for link in self.links)

    @cached_property
    def target_names(self) -> frozenset[str]:
        """The affordances that may follow."""
        names = {link.target.name for link in self.links} - {""}
        return frozenset(
            names | {each.name for reaction in self.need.reactions for each in _effects(reaction)}
        )

    @cached_property
    def is_passed_on(self) -> bool:
        """Whether somebody between the two has to pass it on: they have no address in common."""
        return not self.links or any(
            link.flow is not Flow.COMMAND
            or link.source.address is None
            or (link.source.transport, link.source.address) != (link.target.transport, link.target.address)
            for link in self.links
        )

    def effects_of(self, name: str, value: Value) -> tuple[InteractionEffect, ...]:
        """What is to follow when the source tells that ``name`` is or has ``value``; empty for nothing."""
        for link in self.links:
            wanted = None if link.when is None else as_list(link.when)
            if link.source.name != name or not (
                wanted is None or any(same_value(value, one) for one in wanted)
            ):
                continue
            if self.commands:
                return (self._commanded(link, value),)
            return tuple(self._told(link, value))
        return ()

    def _commanded(self, link: PairLink, value: Value) -> InteractionEffect:
        given = link.conversion.apply(value)
        if link.target.affordance is AffordanceKind.ACTION:
            action = self.target_profile.actions[link.target.name]
            given = None if action.input is None else given
        else:
            given = stepped(self.target_profile.properties[link.target.name], given)
        return InteractionEffect(link.target.affordance, link.target.name, given)

    def _told(self, link: PairLink, value: Value) -> Iterator[InteractionEffect]:
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
    """What the needs of one device come to with another one, by what is predicted of them.

    A need that the other device has nothing for is left out. One that is predicted to be blocked is there all
    the same, as far as something can be sent at all: whether it is, observation tells.
    """
    here, there = Device(needing), Device(offering)
    for needed in here.needs:
        found = assess(here, needed, there)
        if found is None:
            continue
        blocking = [clash.what for clash in found.conflicts if clash.severity is Severity.BLOCKS]
        problem = None
        if not found.links:
            problem = blocking[0] if blocking else "nothing binds the two"
        within = max((link.within for link in found.links), default=needed.need.within or 2.0)
        bond = Interaction(needer, offerer, needed.name, (needing, offering), found.links, within, problem)
        if problem is None and not bond.commands and not bond.target_names:
            continue  # it only knows, and nothing shows
        yield bond


def order_for(profile: Profile, effect: InteractionEffect) -> InteractionEffect | None:
    """What to send to a device so that ``effect`` comes about; None where nothing over its network does."""
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
    """What the device tells when ``effect`` has come about; of an action, what its rules say follows."""
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
    """Whether a reaction is to a value, in the vocabulary's words."""
    if reaction.equals is not None and not same_value(reaction.equals, value):
        return False
    if reaction.one_of is not None and not any(same_value(value, one) for one in reaction.one_of):
        return False
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    if reaction.above is not None and not (numeric and value > reaction.above):
        return False
    return reaction.below is None or (numeric and value < reaction.below)
