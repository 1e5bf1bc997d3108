"""The input of a judge: the profile, the trace, and the part of the trace that belongs to the check."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Generic, TypeVar

from harness.checks.bench import Bench
from harness.checks.observations import Readings, Report
from harness.model.profile import Profile
from harness.model.requirement import BenchFeature
from harness.model.verdict import Outcome, Subject, Verdict
from harness.trace.events import (
    Act,
    CoapDatagram,
    Connection,
    Direction,
    Event,
    Fate,
    MdnsPacket,
    MqttPacket,
    Point,
    RunStarted,
    Stimulus,
)
from harness.trace.trace import bodies
from harness.wire import (
    coap,
    mdns,
    mqtt,
)

T = TypeVar("T")
B = TypeVar("B")
P = TypeVar("P", bound=mqtt.Packet)


@dataclass(frozen=True, slots=True)
class Decoded(Generic[T, B]):
    """A decoded ``value``, with the event that carried it, and the body of that event."""

    event: Event
    body: B
    value: T

    @property
    def time(self) -> float:
        """When it was seen, in seconds since the start of the run."""
        return self.event.time

    @property
    def line(self) -> int:
        """Its line in the trace."""
        return self.event.line


Evidence = Decoded[Any, Any] | Report | Event | int


@dataclass(frozen=True)
class Case:
    """One check on one subject, ready to be judged.

    ``window`` holds the events from the start to the end of the check's stimulus; for a passive check it is
    the whole trace.
    """

    profile: Profile
    subject: Subject
    trace: Sequence[Event]
    window: Sequence[Event]
    readings: Readings | None = None  # of this trace, if they were made already

    @cached_property
    def run(self) -> RunStarted:
        """The first event of the trace."""
        body = self.trace[0].body
        assert isinstance(body, RunStarted), "a trace begins with RunStarted"
        return body

    def offers(self, need: BenchFeature) -> bool:
        """Whether the bench of this run offered ``need``."""
        return need in self.run.needs_met

    @property
    def complete(self) -> bool:
        """Whether the window has events at all."""
        return bool(self.window)

    def mqtt(
        self,
        kind: type[P],
        *,
        direction: Direction | None = Direction.FROM_DUT,
        point: Point = Point.TAP,
        fate: Fate | None = None,
    ) -> list[Decoded[P, MqttPacket]]:
        """MQTT packets of one kind (``mqtt.Packet``: of any), by default those that the device sent."""
        found = []
        for event, body in bodies(self.window, MqttPacket):
            if (
                body.point is point
                and (direction is None or body.direction is direction)
                and (fate is None or body.fate is fate)
            ):
                packet = mqtt.decode(body.raw, body.level)
                if isinstance(packet, kind):
                    found.append(Decoded(event, body, packet))
        return found

    def connections(self, point: Point = Point.TAP) -> list[Decoded[Connection, Connection]]:
        """Openings and closings of connections in the window."""
        return [
            Decoded(event, body, body)
            for event, body in bodies(self.window, Connection)
            if body.point is point
        ]

    def coap(
        self, direction: Direction | None = Direction.FROM_DUT
    ) -> list[Decoded[coap.Message, CoapDatagram]]:
        """CoAP messages of the window, decoded; with ``direction`` None, both ways."""
        return [
            Decoded(event, body, _coap(body.raw))
            for event, body in bodies(self.window, CoapDatagram)
            if direction is None or body.direction is direction
        ]

    def mdns(
        self, direction: Direction | None = Direction.FROM_DUT
    ) -> list[Decoded[mdns.Message, MdnsPacket]]:
        """mDNS messages of the window, decoded; with ``direction`` None, all on the link."""
        return [
            Decoded(event, body, _mdns(body.raw))
            for event, body in bodies(self.window, MdnsPacket)
            if direction is None or body.direction is direction
        ]

    def stimuli(self, *acts: Act) -> list[Decoded[Stimulus, Stimulus]]:
        """What the harness did in the window."""
        return [
            Decoded(event, body, body)
            for event, body in bodies(self.window, Stimulus)
            if not acts or body.act in acts
        ]

    def completed_at(self, act: Decoded[Stimulus, Stimulus]) -> float:
        """When an act was completed: at once, or when the actuator or person was done."""
        for event, body in bodies(self.window, Stimulus):
            if event.line > act.line:
                return event.time if body.act is Act.DONE and body.name == act.value.name else act.time
        return act.time

    @cached_property
    def history(self) -> Sequence[Report]:
        """Every value that the device reported up to the end of the window, in order."""
        end = self.window[-1].line if self.window else 0
        return (self.readings or Readings(self.profile, self.trace)).until(end)

    @cached_property
    def all_reports(self) -> Sequence[Report]:
        """Every value that the device reported in the window, over every transport, in order."""
        begin = self.window[0].line if self.window else 0
        return [report for report in self.history if report.event.line >= begin]

    def last_report(self, name: str, line: int, transport: str | None = None) -> Report | None:
        """The last report of a property before a line of the trace; None if there is none."""
        for report in reversed(self.history):
            fits = report.name == name and transport in (None, report.transport)
            if fits and report.event.line < line and report.problem is None:
                return report
        return None

    def reports(self, name: str | None = None, transport: str | None = None) -> list[Report]:
        """The reported values of one property or event, over one transport or all."""
        return [
            report
            for report in self.all_reports
            if (name is None or report.name == name) and (transport is None or report.transport == transport)
        ]


# About the number of messages in one trace. The checks of a device are judged one after another; a larger
# cache would only cost memory for each device that is checked side by side.
@lru_cache(maxsize=8192)
def _coap(raw: bytes) -> coap.Message:
    return coap.decode(raw)


@lru_cache(maxsize=2048)
def _mdns(raw: bytes) -> mdns.Message:
    return mdns.decode(raw)


def passed(message: str, *evidence: Evidence | Iterable[Evidence]) -> Outcome:
    """The requirement is met, and ``evidence`` shows it."""
    return Outcome(Verdict.PASS, message, _lines(evidence))


def failed(message: str, *evidence: Evidence | Iterable[Evidence]) -> Outcome:
    """The requirement is violated, and ``evidence`` shows it. (Of a SHOULD this becomes ``warn``.)"""
    return Outcome(Verdict.FAIL, message, _lines(evidence))


def warned(message: str, *evidence: Evidence | Iterable[Evidence]) -> Outcome:
    """A recommended part of a MUST is violated, and ``evidence`` shows it."""
    return Outcome(Verdict.WARN, message, _lines(evidence))


def inconclusive(message: str, *evidence: Evidence | Iterable[Evidence]) -> Outcome:
    """Stimulus or precondition is missing; ``message`` says which."""
    return Outcome(Verdict.INCONCLUSIVE, message, _lines(evidence))


def not_applicable(message: str) -> Outcome:
    """The requirement does not apply to this device or this bench."""
    return Outcome(Verdict.NOT_APPLICABLE, message)


def first(items: Iterable[T], wanted: Callable[[T], bool] = lambda _: True) -> T | None:
    """The first item that ``wanted`` accepts, or None."""
    return next((item for item in items if wanted(item)), None)


def _lines(evidence: Iterable[Evidence | Iterable[Evidence]]) -> tuple[int, ...]:
    lines: list[int] = []
    for item in evidence:
        if isinstance(item, int):
            lines.append(item)
        elif isinstance(item, Event | Decoded):
            lines.append(item.line)
        elif isinstance(item, Report):
            lines.append(item.event.line)
        else:
            lines.extend(_lines(item))
    return tuple(dict.fromkeys(lines))


def run_so_far(case: Case) -> Case:
    """The same case, with everything from the start of the run to the end of the check in its window."""
    trace = case.trace[: case.window[-1].line] if case.window else ()
    return Case(case.profile, case.subject, trace, trace)


def seen_by(bench: Bench, since: int = 0) -> Case:
    """A case of what the bench has recorded so far, from line ``since`` + 1 on."""
    return Case(bench.profile, Subject(), bench.trace, bench.trace[since:])
