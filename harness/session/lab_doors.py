"""The doors of a real device that somebody or something operates: its power, its keys, its sensors.

What a helper does takes its time: the act is recorded before it is asked, and ``Act.DONE`` when it is over,
so that a judge knows both ends of when it happened.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from harness.checks.bench import BeyondBenchError, CannotStimulateError
from harness.checks.payloads import json_text
from harness.links.helpers import Deed, Helper, HelperError, Task
from harness.links.helpers.operator import Operator
from harness.model.base import Value
from harness.trace.events import Act, Note, Stimulus
from harness.trace.recorder import Recorder


class _Asking:
    """Asks a helper, and records what it did."""

    def __init__(self, helper: Helper, recorder: Recorder, device: str) -> None:
        self._helper = helper
        self._recorder = recorder
        self._device = device

    async def ask(self, act: Act, deed: Deed, name: str | None = None, value: Value = None) -> None:
        """Have something done. Raises BeyondBenchError for what cannot be done here, CannotStimulateError."""
        text = json_text(value) if deed is Deed.SENSE else None
        task = Task(deed, self._device, name, text)
        if deed not in self._helper.can:
            raise BeyondBenchError(f"nothing here can {task}")
        self._recorder.record(Stimulus(act, name, text))
        try:
            done = await self._helper.perform(task)
        except HelperError as problem:
            raise CannotStimulateError(str(problem)) from problem
        self._recorder.record(Stimulus(Act.DONE, name))
        self._recorder.record(Note(done))


class LabHands:
    """Implements :class:`harness.checks.bench.LocalDoor` at a real device."""

    def __init__(self, helper: Helper, recorder: Recorder, device: str) -> None:
        self.close = helper.close
        self._asking = _Asking(helper, recorder, device)

    async def operate(self, control: str) -> None:
        """Operate a control of the profile."""
        await self._asking.ask(Act.LOCAL, Deed.PRESS, control)

    async def sense(self, name: str, value: Value) -> None:
        """Make a sensor see ``value``."""
        await self._asking.ask(Act.LOCAL, Deed.SENSE, name, value)


class LabPower:
    """Implements :class:`harness.checks.bench.PowerDoor` at a real device.

    ``seems_on`` looks whether the device is still there after its power was cut: a switch that switches
    nothing must not let a check pass.
    """

    def __init__(
        self,
        helper: Helper,
        recorder: Recorder,
        device: str,
        seems_on: Callable[[], Awaitable[bool]],
    ) -> None:
        self._asking = _Asking(helper, recorder, device)
        self._seems_on = seems_on
        self._helper = helper
        self._recorder = recorder
        self._off = False
        self.cut_at = 0  # the line of the trace where the power was cut last; 0: its return was seen

    async def stop(self) -> None:
        """Stopping in order is more than a switch can do. Raises BeyondBenchError."""
        raise BeyondBenchError("nothing here can stop the DUT in order: its power can only be cut")

    async def kill(self) -> None:
        """Take its power away without a word. Raises CannotStimulateError, also when it lives on."""
        self.cut_at = len(self._recorder.events)
        self._off = True  # also when that fails half way: giving power once more does no harm
        await self._asking.ask(Act.KILL, Deed.POWER_OFF)
        if await self._seems_on():
            await self.start()
            raise CannotStimulateError(
                "the power was switched off, and the device still answers: look at the wiring of the switch"
            )

    async def start(self) -> None:
        """Give it power; its return is not awaited."""
        await self._asking.ask(Act.START, Deed.POWER_ON)
        self._off = False

    async def switch_on(self) -> None:
        """Before the run: a device in a rack may have no power yet; people look. Raises HelperError."""
        if isinstance(self._helper, Operator):
            return
        try:
            await self.start()
        except CannotStimulateError as problem:
            raise HelperError(str(problem)) from problem

    async def tidy(self) -> None:
        """After a check: no device is left without power. Raises CannotStimulateError."""
        if self._off:
            await self.start()

    async def close(self) -> None:
        """Let go of the helper, with the power on."""
        try:
            await self.tidy()
        finally:
            await self._helper.close()
