"""Behaviour rules: required reactions of a device, with deadlines.

Three forms, distinguished by their keys:

``when … then … within``   once every ``when`` condition is true (for ``for`` seconds), every ``then``
                           condition comes true within ``within`` seconds, and stays true for ``holds``
``while … then … within``  as long as ``while`` is true, ``then`` is true too, ``within`` seconds at most
                           after ``while`` became true
``while … refuse``         as long as ``while`` is true, commands that would make ``refuse`` true are refused
"""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property

from pydantic import ConfigDict, Field, JsonValue, model_validator

from harness.model.base import ProfilePart, Seconds, Value
from harness.model.schema import is_number, same_value


def _one_of(*choices: str) -> list[JsonValue]:
    """JSON Schema of which exactly one holds, each with the keys in a text such as ``when then``."""
    return [{"required": list[JsonValue](choice.split())} for choice in choices]


class Condition(ProfilePart):
    """A test on one property, or the occurrence of one event or action.

    ``above`` and ``below`` take a number, or the name of another property to compare with.
    """

    model_config = ConfigDict(json_schema_extra={"oneOf": _one_of("property", "event", "action")})

    property_: str | None = Field(None, alias="property", description="name of the property to test")
    event: str | None = Field(None, description="name of the event that happens")
    action: str | None = Field(None, description="name of the action that is invoked")
    equals: Value = Field(None, description="the value that it is")
    above: float | str | None = Field(
        None, description="a number that it is above, or the property that gives it"
    )
    below: float | str | None = Field(
        None, description="a number that it is below, or the property that gives it"
    )
    one_of: tuple[Value, ...] | None = Field(None, description="the values that it may be")
    data: Value = Field(None, description="the event's data or action's input")

    @model_validator(mode="after")
    def _one_subject(self) -> Condition:
        if sum(name is not None for name in (self.property_, self.event, self.action)) != 1:
            raise ValueError("a condition names exactly one property, event or action")
        tests = (self.equals, self.above, self.below, self.one_of)
        if self.property_ is not None and all(test is None for test in tests):
            raise ValueError("a condition on a property needs equals, above, below or one_of")
        if self.property_ is None and any(test is not None for test in tests):
            raise ValueError(
                "equals, above, below and one_of belong to properties; events and actions have data"
            )
        return self

    @property
    def is_happening(self) -> bool:
        """True for events and actions, False for properties."""
        return self.property_ is None

    # Computed once: planners evaluate the same conditions on many states.
    @cached_property
    def names(self) -> frozenset[str]:
        """The properties that the condition depends on."""
        compared = {ref for ref in (self.above, self.below) if isinstance(ref, str)}
        return frozenset(compared | ({self.property_} if self.property_ else set()))

    def holds(self, state: dict[str, Value]) -> bool | None:
        """Whether a property condition is true in ``state``; None if that is unknown.

        It is unknown if ``state`` lacks a value, or holds something else than a number where numbers are
        compared.
        """
        if not self.names <= state.keys():
            return None
        value = state[self.property_ or ""]
        if self.equals is not None and not same_value(value, self.equals):
            return False
        if self.one_of is not None and not any(same_value(value, member) for member in self.one_of):
            return False
        if self.above is None and self.below is None:
            return True
        # A device may report anything, such as a text in place of a number.
        limits = [_bound(bound, state) for bound in (self.above, self.below) if bound is not None]
        if not all(is_number(each) for each in (value, *limits)):
            return None
        if self.above is not None and not value > _bound(self.above, state):
            return False
        return not (self.below is not None and not value < _bound(self.below, state))

    def __str__(self) -> str:
        name = self.property_ or self.event or self.action
        if self.is_happening:
            kind = "event" if self.event else "action"
            return f"{kind} {name}" + (f" with {self.data}" if self.data is not None else "")
        parts = []
        if self.equals is not None:
            parts.append(f"is {str(self.equals).lower() if isinstance(self.equals, bool) else self.equals}")
        if self.one_of is not None:
            parts.append("is one of " + ", ".join(map(str, self.one_of)))
        if self.above is not None:
            parts.append(f"is above {_bound_text(self.above)}")
        if self.below is not None:
            parts.append(f"is below {_bound_text(self.below)}")
        return f"{name} " + " and ".join(parts)


def _bound(bound: float | str, state: dict[str, Value]) -> Value:
    return state[bound] if isinstance(bound, str) else bound


def _bound_text(bound: float | str) -> str:
    return bound if isinstance(bound, str) else f"{bound:g}"


class RuleKind(StrEnum):
    """The three forms of a rule."""

    RESPONSE = "response"
    INVARIANT = "invariant"
    REFUSAL = "refusal"


class Rule(ProfilePart):
    """One behaviour rule of a profile; see the module's text for its forms."""

    model_config = ConfigDict(json_schema_extra={"oneOf": _one_of("when then", "while then", "while refuse")})

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="name of the rule in reports")
    purpose: str = Field(description="what it is there for: ensure that …")
    when: tuple[Condition, ...] = Field((), description="conditions that have to become true")
    while_: tuple[Condition, ...] = Field((), alias="while", description="conditions that have to be true")
    for_: Seconds = Field(0.0, alias="for", description="how long `when` has to be true before it counts")
    then: tuple[Condition, ...] = Field((), description="conditions that follow")
    refuse: tuple[Condition, ...] = Field((), description="what commands may not bring about")
    within: Seconds = 1.0
    holds: Seconds = Field(0.0, description="how long `then` stays true at least")

    @property
    def kind(self) -> RuleKind:
        """Which of the three forms it has."""
        if self.refuse:
            return RuleKind.REFUSAL
        return RuleKind.INVARIANT if self.while_ else RuleKind.RESPONSE

    @model_validator(mode="after")
    def _one_form(self) -> Rule:
        if bool(self.when) == bool(self.while_):
            raise ValueError("a rule has either `when` or `while`")
        if bool(self.then) == bool(self.refuse):
            raise ValueError("a rule has either `then` or `refuse`")
        if self.refuse and not self.while_:
            raise ValueError("`refuse` goes with `while`")
        if self.while_ and any(
            condition.is_happening for condition in (*self.while_, *self.then, *self.refuse)
        ):
            raise ValueError("`while` rules speak of properties, not of events or actions")
        if self.while_ and (self.for_ or self.holds):
            raise ValueError("`for` and `holds` go with `when`")
        return self
