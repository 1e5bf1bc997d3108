"""How late the harness's own loop is: what it notices late must not be held against the device.

In real time the loop may be busy, or the machine. A timer that fires late shows by how much; it stands in the
trace (:class:`~harness.trace.events.LoopLate`), where judging finds it. In virtual time no loop is late.
"""

from __future__ import annotations

import asyncio

from harness.links.clock.loop import VirtualLoop
from harness.model.profile import Profile
from harness.trace.events import LoopLate
from harness.trace.recorder import Recorder

NOTABLE = 0.05  # seconds: less is within the precision of any deadline
EVERY = 0.05  # seconds between two measurements


class LoopWatch:
    """Measures the lateness of the running loop. Use: ``start``, then ``stop``."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._loop = asyncio.get_running_loop()
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Measure from now on."""
        if not isinstance(self._loop, VirtualLoop):
            self._set_timer()

    def stop(self) -> None:
        """Measure no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _set_timer(self) -> None:
        self._due = self._loop.time() + EVERY
        self._timer = self._loop.call_at(self._due, self._measure)

    def _measure(self) -> None:
        late = self._loop.time() - self._due
        if late >= NOTABLE:
            self._recorder.record(LoopLate(round(late, 3)))
        self._set_timer()


def extended(profile: Profile, seconds: float) -> Profile:
    """The same profile with all its deadlines later by so many seconds."""
    behaviour = profile.behaviour
    rules = [rule.model_copy(update={"within": rule.within + seconds}) for rule in behaviour.rules]
    deadlines = ("settle", "report_local", "boot", "reconnect")
    changes = {name: getattr(behaviour, name) + seconds for name in deadlines}
    properties = {
        name: schema
        if schema.settle is None
        else schema.model_copy(update={"settle": schema.settle + seconds})
        for name, schema in profile.properties.items()
    }
    bindings = profile.bindings
    if bindings.mqtt is not None:
        reconnect = bindings.mqtt.reconnect
        pauses = {"first": reconnect.first + seconds, "maximum": reconnect.maximum + seconds}
        mqtt = bindings.mqtt.model_copy(update={"reconnect": reconnect.model_copy(update=pauses)})
        bindings = bindings.model_copy(update={"mqtt": mqtt})
    return profile.model_copy(
        update={
            "behaviour": behaviour.model_copy(update={**changes, "rules": tuple(rules)}),
            "properties": properties,
            "bindings": bindings,
        }
    )
