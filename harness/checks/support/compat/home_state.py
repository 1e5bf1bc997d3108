"""How things stand in a home, in the words of the vocabulary, as the devices told it over time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.checks.observations import Report
from harness.checks.support.compat.catalogue import GroupCase
from harness.model.base import Value
from harness.model.profile import Profile
from harness.model.rule import Condition
from harness.model.scene import split_term
from harness.model.schema import same_value
from harness.model.semantics.translator import ProfileTranslator
from harness.trace.events import Direction, Event, MqttPacket, Point
from harness.wire import mqtt

REACHABLE = "BasicInformation.Reachable"


@dataclass(frozen=True, slots=True)
class StateReport:
    """Something that was told: a term of a role, ``role.Cluster.Term``, and its value in the vocabulary."""

    line: int
    time: float
    name: str
    value: Value
    is_event: bool


def availability_in(profile: Profile, event: Event) -> bool | None:
    """What a message on the availability topic says, as the broker passes it on; None for everything else.

    Read at our client, because the last word of a device that died is its broker's.
    """
    body, binding = event.body, profile.bindings.mqtt
    if binding is None or binding.availability is None or not isinstance(body, MqttPacket):
        return None
    if body.point is not Point.CLIENT or body.direction is not Direction.FROM_DUT or body.raw[0] >> 4 != 3:
        return None
    packet = mqtt.decode(body.raw, body.level)
    if not isinstance(packet, mqtt.Publish) or packet.topic != binding.availability.topic:
        return None
    texts = {binding.availability.online.encode(): True, binding.availability.offline.encode(): False}
    return texts.get(packet.payload)


class Interpreter:
    """Puts what one device tells into the words of the vocabulary."""

    def __init__(self, role: str, profile: Profile) -> None:
        self.words = ProfileTranslator(profile)
        self._role = role
        self._events = profile.events

    def news(self, report: Report) -> Iterator[StateReport]:
        """What a report means."""
        if report.problem is not None:
            return
        is_event = report.name in self._events
        if is_event and report.is_stored:
            return
        for told in self.words.terms_told_by(report.name, report.value):
            name = f"{self._role}.{told.path}"
            yield StateReport(report.event.line, report.time, name, told.value, is_event)

    def availability(self, event: Event, there: bool) -> StateReport:
        """What it means that the device is there, or not."""
        return StateReport(event.line, event.time, f"{self._role}.{REACHABLE}", there, False)


def news_of(case: GroupCase) -> list[StateReport]:
    """Everything that was told in the run up to the end of the window, in order."""
    end = case.window[-1].line if case.window else 0
    found: list[StateReport] = []
    for role, profile in case.home.profiles.items():
        interpreter = Interpreter(role, profile)
        for report in case.readings[role].until(end):
            found += interpreter.news(report)
        if profile.bindings.mqtt is None or profile.bindings.mqtt.availability is None:
            continue
        for event in case.trace[:end]:
            if event.device == role and (there := availability_in(profile, event)) is not None:
                found.append(interpreter.availability(event, there))
    return sorted(found, key=lambda news: news.line)


class ConditionEvaluator:
    """Whether conditions on ``role.Cluster.Term`` are true, as far as the steps of each device let it be."""

    def __init__(self, profiles: Mapping[str, Profile]) -> None:
        self._words = {role: ProfileTranslator(profile) for role, profile in profiles.items()}

    def holds(self, condition: Condition, state: Mapping[str, Value]) -> bool:
        """Whether a condition on a state is true; unknown counts as false."""
        name = condition.property_ or ""
        away = _distance(state.get(name), condition.equals)
        if away is not None:
            return away <= self._tolerance(name)
        return bool(condition.holds(dict(state)))

    def all_hold(self, conditions: Sequence[Condition], state: Mapping[str, Value]) -> bool:
        """Whether all conditions on states are true."""
        return all(self.holds(condition, state) for condition in conditions if not condition.is_happening)

    def same(self, first: str, second: str, state: Mapping[str, Value]) -> bool:
        """Whether two states are the same."""
        if first not in state or second not in state:
            return False
        away = _distance(state[first], state[second])
        if away is not None:
            return away <= self._tolerance(first) + self._tolerance(second)
        return same_value(state[first], state[second])

    def _tolerance(self, name: str) -> float:
        role, path = split_term(name)
        return self._words[role].tolerance(path) if role in self._words else 0.0


def happened(condition: Condition, news: StateReport) -> bool:
    """Whether something that was told is the event of a condition."""
    if not news.is_event or news.name != condition.event:
        return False
    return condition.data is None or same_value(condition.data, news.value)


def _distance(one: Value, other: Value) -> float | None:
    """How far two numbers are apart; None where they are not both numbers."""
    numbers = [
        value for value in (one, other) if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    return abs(float(numbers[0]) - float(numbers[1])) if len(numbers) == 2 else None
