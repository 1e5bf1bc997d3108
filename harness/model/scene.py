"""A scene of a home: devices by their roles, what sets it off, and what must follow what.

Names of states, events and commands are ``role.Cluster.Term``, in the words of the shared vocabulary, so that
any device that offers them can play the role. Conditions and rules are those of profiles
(:mod:`harness.model.rule`), on these names.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field, model_validator

from harness.model.base import ProfilePart, Seconds, Value
from harness.model.rule import Condition, Rule

TermOfRole = str
"""``role.Cluster.Term``, or ``role.Cluster/label.Term`` where a device has several of a kind."""


class Role(ProfilePart):
    """What a device has to offer to play a part."""

    title: str | None = Field(None, description="short text for people")
    offers: tuple[str, ...] = Field(
        (), description="terms of the vocabulary that its profile has to offer, such as OnOff.OnOff"
    )
    commands: tuple[str, ...] = Field(
        (), description="terms that it has to command at others: its profile has a need for them"
    )


class Wire(ProfilePart):
    """A device that gets its power through another one: it is dead as long as that is off."""

    feeds: str = Field(description="the role that gets its power here")
    through: TermOfRole = Field(description="the state that lets it through, such as plug.OnOff.OnOff")


class Pairing(ProfilePart):
    """A controller and what it controls: what its need sends goes there, through the hub where it has to."""

    controller: str = Field(description="the role whose need it is")
    controls: str = Field(description="the role that it commands")
    term: str = Field(description="the term that the need uses, such as OnOff.OnOff")


class SceneAction(ProfilePart):
    """One thing that is done to a device: a sensor sees something, a key is pressed, a value is set.

    How depends on the device: what is a sensor's is shown to the sensor, what has a control is operated by
    hand, and the rest is commanded over the network.
    """

    set: TermOfRole | None = Field(None, description="the state that is brought about")
    to: Value = Field(None, description="what it becomes")
    happen: TermOfRole | None = Field(None, description="the event that is made to happen")
    data: Value = Field(None, description="what is told with it")
    invoke: TermOfRole | None = Field(None, description="the command that is given over the network")
    given: Value = Field(None, description="what comes with the command")
    command: TermOfRole | None = Field(
        None, description="what a controller is made to command, by whoever operates it; `to` is the value"
    )

    @model_validator(mode="after")
    def _one_deed(self) -> SceneAction:
        names = (self.set, self.happen, self.invoke, self.command)
        if sum(name is not None for name in names) != 1:
            raise ValueError("a deed has exactly one of set, happen, invoke and command")
        if self.set is not None and self.to is None:
            raise ValueError("`set` needs `to`: what it becomes")
        return self

    @property
    def term(self) -> TermOfRole:
        """What it is done to."""
        return self.set or self.happen or self.invoke or self.command or ""

    @property
    def value(self) -> Value:
        """The value that goes with it."""
        if self.happen is not None:
            return self.data
        return self.given if self.invoke is not None else self.to

    def __str__(self) -> str:
        verb = next(name for name in ("set", "happen", "invoke", "command") if getattr(self, name))
        return f"{verb} {self.term}" + (f" = {self.value}" if self.value is not None else "")


class Step(ProfilePart):
    """Something is done, or time passes, and then something is to follow.

    Times count from the last deed; of a step without deeds, from the moment at which the step before it was
    done.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="name of the step in reports")
    purpose: str = Field(description="what it is there for: ensure that …")
    deeds: tuple[SceneAction, ...] = Field((), alias="do", description="what is done, in this order")
    at_once: bool = Field(False, description="all of it is done in the same moment")
    then: tuple[Condition, ...] = Field((), description="what follows")
    agree: tuple[TermOfRole, ...] = Field((), description="states that are the same in the end")
    within: Seconds = Field(2.0, description="by when it has to follow")
    not_before: Seconds = Field(0.0, description="it may not follow earlier than that")
    holds: Seconds = Field(0.0, description="how long it stays so at least")
    kept: bool = Field(False, description="it is so already, and is to stay so whatever is done")

    @model_validator(mode="after")
    def _something_follows(self) -> Step:
        if not self.then and len(self.agree) < 2:
            raise ValueError("a step has `then`, or at least two states that `agree`")
        if self.kept and not self.holds:
            raise ValueError("`kept` goes with `holds`: how long it is to stay so")
        if self.holds and any(condition.is_happening for condition in self.then):
            raise ValueError("`holds` goes with states; events happen and are over")
        return self


class Scene(ProfilePart):
    """A scene of a home."""

    scene: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="its short name")
    title: str = Field(description="the scene in a few words")
    description: str | None = Field(None, description="longer text for people")
    roles: dict[str, Role] = Field(min_length=1, description="the devices that play, by their roles")
    wiring: tuple[Wire, ...] = Field((), description="who gets power through whom")
    pairings: tuple[Pairing, ...] = Field((), description="which controller controls what")
    start: tuple[SceneAction, ...] = Field(
        (), description="how things stand at first; brought about beforehand"
    )
    automations: tuple[Rule, ...] = Field(
        (), description="what the hub of the home does, unless the devices do it among themselves"
    )
    steps: tuple[Step, ...] = Field(min_length=1, description="what is played, one after another")
    rules: tuple[Rule, ...] = Field((), description="what must follow what, all the time")

    def step(self, step_id: str) -> Step:
        """The step of that id. Raises KeyError."""
        for step in self.steps:
            if step.id == step_id:
                return step
        raise KeyError(step_id)

    def rule(self, rule_id: str) -> Rule:
        """The rule of that id. Raises KeyError."""
        for rule in self.rules:
            if rule.id == rule_id:
                return rule
        raise KeyError(rule_id)


def played_terms(role: Role) -> tuple[str, ...]:
    """Every term that a role has to do with."""
    return (*role.offers, *role.commands)


def split_term(term: TermOfRole) -> tuple[str, str]:
    """A name in its role and the rest: ``light``, ``OnOff.OnOff``."""
    role, _, path = term.partition(".")
    return role, path


def conditions_of(rule: Rule) -> Iterator[Condition]:
    """All conditions of a rule."""
    yield from (*rule.when, *rule.while_, *rule.then, *rule.refuse)


def terms_of(condition: Condition) -> Iterator[TermOfRole]:
    """The names that a condition speaks of."""
    yield from condition.names
    if condition.is_happening:
        yield condition.event or condition.action or ""


def commanded(scene: Scene) -> Iterator[tuple[TermOfRole, Value]]:
    """What the hub sets and invokes in a scene, and to which values."""
    for rule in scene.automations:
        for condition in rule.then:
            if condition.property_ is not None:
                yield condition.property_, condition.equals
            elif condition.action is not None:
                yield condition.action, condition.data
