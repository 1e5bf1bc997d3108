"""The device under test for your own pytest tests: plain calls, no ``await``."""

from __future__ import annotations

from collections.abc import Sequence

from harness.model.base import Value
from harness.model.bindings.serial import SerialCommand
from harness.model.profile import Profile
from harness.session.run.runner import Runner
from harness.trace.events import Act, Event


class Dut:
    """Drives the device from a test; everything is recorded in the trace of the run."""

    def __init__(self, runner: Runner, lane: str) -> None:
        self._runner = runner
        self._lane = runner.lane(lane)
        self.profile: Profile = self._lane.profile
        bindings = self.profile.bindings
        self._transport = "mqtt" if bindings.mqtt else "coap"
        self._mark = 0

    @property
    def trace(self) -> Sequence[Event]:
        """Everything recorded so far."""
        return self._lane.events

    def write(self, name: str, value: Value, *, transport: str | None = None) -> None:
        """Send a command to a property; after that :meth:`reports` considers later reports only."""
        bench = self._lane.bench
        self._mark = bench.mark()
        legal = self.profile.properties[name].accepts(value)
        self._runner.wait(bench.write(name, value, transport=transport or self._transport, legal=legal))

    def invoke(self, name: str, value: Value = None, *, transport: str | None = None) -> None:
        """Invoke an action; after that :meth:`reports` considers later reports only."""
        bench = self._lane.bench
        self._mark = bench.mark()
        self._runner.wait(bench.invoke(name, value, transport=transport or self._transport))

    def read(self, name: str, *, transport: str | None = None) -> Value:
        """The present value of a property: read over CoAP, the last report over MQTT."""
        return self._runner.wait(self._lane.bench.read(name, transport=transport or self._transport))

    def reports(
        self, name: str, value: Value, *, within: float | None = None, transport: str | None = None
    ) -> bool:
        """Whether the device reports ``value`` after the last action of the test, within ``within`` seconds.

        ``within`` defaults to the profile's settle time.
        """
        known = self.profile.properties.get(name)
        event = self._runner.wait(
            self._lane.bench.wait_for_report(
                name,
                lambda reported: known.agrees(reported, value) if known else reported == value,
                transport=transport or self._transport,
                within=self.profile.settle(name) if within is None else within,
                since=self._mark,
            )
        )
        return event is not None

    def operate(self, control: str) -> None:
        """Operate a control at the device: press its button, open its door."""
        self._mark = self._lane.bench.mark()
        self._runner.wait(self._lane.bench.local.operate(control))

    def sense(self, name: str, value: Value) -> None:
        """Stimulate a sensor so that it measures ``value``."""
        self._mark = self._lane.bench.mark()
        self._runner.wait(self._lane.bench.local.sense(name, value))

    def console(self, command: str, name: str | None = None, value: Value = None) -> Value:
        """Send a command over the serial line, and return the value of its answer.

        ``command`` is one of the profile's, such as ``read_state``; ``name`` is the property or control.
        Raises AssertionError if the answer is missing or an error.
        """
        self._mark = self._lane.bench.mark()
        answer = self._runner.wait(self._lane.bench.serial.command(SerialCommand(command), name, value))
        if answer.problem is not None:
            raise AssertionError(f"{command}: {answer.problem}")
        return answer.value

    def note(self, text: str) -> None:
        """Add a note to the trace."""
        self._lane.bench.note(text)

    def ready(self) -> bool:
        """Wait until the device is present on all its transports."""
        return self._runner.wait(self._lane.bench.ready())

    def acts(self, act: Act) -> list[Event]:
        """The recorded stimuli of one kind, so far."""
        return [event for event in self.trace if getattr(event.body, "act", None) is act]
