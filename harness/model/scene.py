"""A scene of a home: roles of devices, actions, and the reactions that must follow.

States, events and commands are named ``role.Cluster.Term``, with terms of the shared vocabulary, so that any
device that offers them can play the role. Conditions and rules are those of profiles
(:mod:`harness.model.rule`), on these names.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field, model_validator

from harness.model.base import ProfilePart, Seconds, Value
from harness.model.rule import Condition, Rule

TermOfRole = str
"""``role.Cluster.Term``, or ``role.Cluster/label.Term`` where a device has several parts of one kind."""


class Role(ProfilePart):
    """What a device must offer to play a role."""

    title: str | None = Field(None, description="short text for people")
    offers: tuple[str, ...] = Field(
        (), description="terms of the vocabulary that its profile must offer, such as OnOff.OnOff"
    )
    commands: tuple[str, ...] = Field(
        (), description="terms that it must command on others: its profile has a need for them"
    )


class Wire(ProfilePart):
    """A device that is powered through another one, and has no power while that is off."""

    feeds: str = Field(description="the role that is powered")
    through: TermOfRole = Field(description="the state that switches its power, such as plug.OnOff.OnOff")


class Pairing(ProfilePart):
    """A controller and what it controls. The hub forwards its commands where needed."""

    controller: str = Field(description="the role that has the need")
    controls: str = Field(description="the role that it commands")
    term: str = Field(description="the term that the need uses, such as OnOff.OnOff")


class SceneAction(ProfilePart):
    """One action on a device: a sensor is stimulated, a key is pressed, a value is set.

    The method depends on the device: sensors are stimulated, controls are operated by hand, and
    everything else is commanded over the network.
    """

    set: TermOfRole | None = Field(None, description="the state to set")
    to: Value = Field(None, description="the value that the state is set to")
    happen: TermOfRole | None = Field(None, description="the event to trigger")
    data: Value = Field(None, description="data of the event")
    invoke: TermOfRole | None = Field(None, description="the command to send over the network")
    given: Value = Field(None, description="input of the command")
    command: TermOfRole | None = Field(
        None, description="a command that a person triggers on a controller; `to` is the value"
    )

    @model_validator(mode="after")
    def _one_deed(self) -> SceneAction:
        names = (self.set, self.happen, self.invoke, self.command)
        if sum(name is not None for name in names) != 1:
            raise ValueError("an action has exactly one of set, happen, invoke and command")
        if self.set is not None and self.to is None:
            raise ValueError("`set` needs `to`, the new value")
        return self

    @property
    def term(self) -> TermOfRole:
        """The term that the action is about."""
        return self.set or self.happen or self.invoke or self.command or ""

    @property
    def value(self) -> Value:
        """The value of the action."""
        if self.happen is not None:
            return self.data
        return self.given if self.invoke is not None else self.to

    def __str__(self) -> str:
        verb = next(name for name in ("set", "happen", "invoke", "command") if getattr(self, name))
        return f"{verb} {self.term}" + (f" = {self.value}" if self.value is not None else "")


class Step(ProfilePart):
    """Actions, or a passage of time, and the outcome that must follow.

    Times count from the last action; in a step without actions, from the end of the step before it.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="name of the step in reports")
    purpose: str = Field(description="purpose of the step: ensure that …")
    actions: tuple[SceneAction, ...] = Field((), alias="do", description="actions, in this order")
    at_once: bool = Field(False, description="whether all actions happen at the same moment")
    then: tuple[Condition, ...] = Field((), description="the outcome")
    agree: tuple[TermOfRole, ...] = Field((), description="states that must be equal in the end")
    within: Seconds = Field(2.0, description="deadline of the outcome")
    not_before: Seconds = Field(0.0, description="earliest time of the outcome")
    holds: Seconds = Field(0.0, description="how long the outcome must last")
    kept: bool = Field(False, description="the outcome is already true and must stay true")

    @model_validator(mode="after")
    def _something_follows(self) -> Step:
        if not self.then and len(self.agree) < 2:
            raise ValueError("a step has `then`, or at least two states that `agree`")
        if self.kept and not self.holds:
            raise ValueError("`kept` needs `holds`: how long the outcome must last")
        if self.holds and any(condition.is_happening for condition in self.then):
            raise ValueError("`holds` is for states; events have no duration")
        return self


class Scene(ProfilePart):
    """A scene of a home."""

    scene: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="its short name")
    title: str = Field(description="the scene in a few words")
    description: str | None = Field(None, description="longer text for people")
    roles: dict[str, Role] = Field(min_length=1, description="the devices in the scene, by their roles")
    wiring: tuple[Wire, ...] = Field((), description="which device is powered through which")
    pairings: tuple[Pairing, ...] = Field((), description="which controller controls what")
    start: tuple[SceneAction, ...] = Field(
        (), description="the state at the start; set before the first step"
    )
    automations: tuple[Rule, ...] = Field(
        (), description="what the hub does, unless the devices do it themselves"
    )
    steps: tuple[Step, ...] = Field(min_length=1, description="the steps, one after another")
    rules: tuple[Rule, ...] = Field((), description="rules that apply during the whole scene")

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
    """Every term that the scene uses of a role."""
    return (*role.offers, *role.commands)


def split_term(term: TermOfRole) -> tuple[str, str]:
    """The role in a name, and the rest: ``light``, ``OnOff.OnOff``."""
    role, _, path = term.partition(".")
    return role, path


def conditions_of(rule: Rule) -> Iterator[Condition]:
    """All conditions of a rule."""
    yield from (*rule.when, *rule.while_, *rule.then, *rule.refuse)


def terms_of(condition: Condition) -> Iterator[TermOfRole]:
    """The names that a condition uses."""
    yield from condition.names
    if condition.is_happening:
        yield condition.event or condition.action or ""


def commanded(scene: Scene) -> Iterator[tuple[TermOfRole, Value]]:
    """What the hub sets and invokes in a scene, with the values."""
    for rule in scene.automations:
        for condition in rule.then:
            if condition.property_ is not None:
                yield condition.property_, condition.equals
            elif condition.action is not None:
                yield condition.action, condition.data
