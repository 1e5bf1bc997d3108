"""The state of a home over time in terms of the vocabulary, from the reports of the devices."""

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
    """A report in terms of the vocabulary: ``role.Cluster.Term``, and its value."""

    line: int
    time: float
    name: str
    value: Value
    is_event: bool


def availability_in(profile: Profile, event: Event) -> bool | None:
    """The availability in a message as the broker forwards it; None for all other events.

    Read at the harness's client, since the broker publishes the last will of a dead device.
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
    """Translates the reports of one device into terms of the vocabulary."""

    def __init__(self, role: str, profile: Profile) -> None:
        self.translator = ProfileTranslator(profile)
        self._role = role
        self._events = profile.events

    def translate(self, report: Report) -> Iterator[StateReport]:
        """A report, as states and events of the vocabulary."""
        if report.problem is not None:
            return
        is_event = report.name in self._events
        if is_event and report.is_stored:
            return
        for term in self.translator.terms_reported_by(report.name, report.value):
            name = f"{self._role}.{term.path}"
            yield StateReport(report.event.line, report.time, name, term.value, is_event)

    def availability(self, event: Event, there: bool) -> StateReport:
        """The state report for the device being available, or not."""
        return StateReport(event.line, event.time, f"{self._role}.{REACHABLE}", there, False)


def state_reports(case: GroupCase) -> list[StateReport]:
    """All reports of the run up to the end of the window, in order."""
    end = case.window[-1].line if case.window else 0
    found: list[StateReport] = []
    for role, profile in case.group.profiles.items():
        interpreter = Interpreter(role, profile)
        for report in case.readings[role].until(end):
            found += interpreter.translate(report)
        if profile.bindings.mqtt is None or profile.bindings.mqtt.availability is None:
            continue
        for event in case.trace[:end]:
            if event.device == role and (there := availability_in(profile, event)) is not None:
                found.append(interpreter.availability(event, there))
    return sorted(found, key=lambda report: report.line)


class ConditionEvaluator:
    """Evaluates conditions on ``role.Cluster.Term``, within the resolution of each device."""

    def __init__(self, profiles: Mapping[str, Profile]) -> None:
        self._translators = {role: ProfileTranslator(profile) for role, profile in profiles.items()}

    def holds(self, condition: Condition, state: Mapping[str, Value]) -> bool:
        """Whether a condition on a state is true; an unknown state counts as false."""
        name = condition.property_ or ""
        away = _distance(state.get(name), condition.equals)
        if away is not None:
            return away <= self._tolerance(name)
        return bool(condition.holds(dict(state)))

    def all_hold(self, conditions: Sequence[Condition], state: Mapping[str, Value]) -> bool:
        """Whether all conditions on states are true."""
        return all(self.holds(condition, state) for condition in conditions if not condition.is_happening)

    def same(self, first: str, second: str, state: Mapping[str, Value]) -> bool:
        """Whether two states are equal, within the tolerance of both."""
        if first not in state or second not in state:
            return False
        away = _distance(state[first], state[second])
        if away is not None:
            return away <= self._tolerance(first) + self._tolerance(second)
        return same_value(state[first], state[second])

    def _tolerance(self, name: str) -> float:
        role, path = split_term(name)
        return self._translators[role].tolerance(path) if role in self._translators else 0.0


def happened(condition: Condition, report: StateReport) -> bool:
    """Whether a report is the event of a condition."""
    if not report.is_event or report.name != condition.event:
        return False
    return condition.data is None or same_value(condition.data, report.value)


def _distance(one: Value, other: Value) -> float | None:
    """The distance of two numbers; None if they are not both numbers."""
    numbers = [
        value for value in (one, other) if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    return abs(float(numbers[0]) - float(numbers[1])) if len(numbers) == 2 else None
