"""The doors of a real device that somebody or something operates: its power, its keys, its sensors.

What a helper does takes its time: the act is recorded before it is asked, and ``Act.DONE`` when it is over,
so that a judge knows both ends of when it happened.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from harness.checks.bench import BenchLimitationError, SerialDriver, StimulusError
from harness.checks.payloads import json_text
from harness.links.actuators import (
    Actuator,
    ActuatorCommand,
    ActuatorError,
    Task,
)
from harness.links.actuators.manual import Operator
from harness.model.base import Value
from harness.model.bindings.serial import SerialCommand
from harness.model.bindings.serial_log import tells_boot
from harness.model.profile import Profile
from harness.trace.events import (
    Act,
    Connection,
    ConnectionChange,
    Direction,
    Event,
    Note,
    Point,
    SerialData,
    Stimulus,
)
from harness.trace.recorder import Recorder


class _Asking:
    """Asks a helper, and records what it did."""

    def __init__(self, helper: Actuator, recorder: Recorder, device: str) -> None:
        self._helper = helper
        self._recorder = recorder
        self._device = device

    async def ask(
        self, act: Act, deed: ActuatorCommand, name: str | None = None, value: Value = None
    ) -> None:
        """Have something done. Raises BeyondBenchError for what cannot be done here, CannotStimulateError."""
        text = json_text(value) if deed is ActuatorCommand.SENSE else None
        task = Task(deed, self._device, name, text)
        if deed not in self._helper.can:
            raise BenchLimitationError(f"nothing here can {task}")
        self._recorder.record(Stimulus(act, name, text))
        try:
            done = await self._helper.perform(task)
        except ActuatorError as problem:
            raise StimulusError(str(problem)) from problem
        self._recorder.record(Stimulus(Act.DONE, name))
        self._recorder.record(Note(done))


class LabOperator:
    """Implements :class:`harness.checks.bench.LocalDoor` at a real device."""

    def __init__(self, helper: Actuator, recorder: Recorder, device: str) -> None:
        self.close = helper.close
        self._asking = _Asking(helper, recorder, device)

    async def operate(self, control: str) -> None:
        """Operate a control of the profile."""
        await self._asking.ask(Act.LOCAL, ActuatorCommand.PRESS, control)

    async def sense(self, name: str, value: Value) -> None:
        """Make a sensor see ``value``."""
        await self._asking.ask(Act.LOCAL, ActuatorCommand.SENSE, name, value)

    async def attach(self, what: str, plugged_in: bool) -> None:
        """Plug something in or unplug it."""
        act = Act.NETWORK_ON if plugged_in else Act.NETWORK_OFF
        await self._asking.ask(act, ActuatorCommand.ATTACH if plugged_in else ActuatorCommand.DETACH, what)


class ConsoleOperator:
    """Implements :class:`harness.checks.bench.LocalDoor` by the commands of the board's own console."""

    def __init__(self, console: Callable[[], SerialDriver]) -> None:
        self._console = console

    async def operate(self, control: str) -> None:
        """Operate a control of the profile."""
        await self._tell(SerialCommand.PRESS_BUTTON, control)

    async def sense(self, name: str, value: Value) -> None:
        """Make a sensor see ``value``."""
        await self._tell(SerialCommand.INJECT_SENSOR, name, value)

    async def attach(self, what: str, plugged_in: bool) -> None:
        """A console unplugs nothing. Raises BeyondBenchError."""
        raise BenchLimitationError(f"nothing here can unplug the {what} of the DUT")

    async def _tell(self, command: SerialCommand, name: str, value: Value = None) -> None:
        console = self._console()
        if not console.knows(command, name):
            raise BenchLimitationError(f"the profile declares no {command} for {name} on the serial line")
        answer = await console.command(command, name, value)
        if answer.problem is not None:
            raise StimulusError(f"{command} {name}: {answer.problem}")


class ConsoleReboot:
    """Reboots the board by its console."""

    def __init__(self, console: Callable[[], SerialDriver], recorder: Recorder, profile: Profile) -> None:
        self._console = console
        self._recorder = recorder
        self._profile = profile

    async def __call__(self) -> None:
        """Returns when the device is down. Raises CannotStimulateError."""
        since = len(self._recorder.events)
        answer = await self._console().command(SerialCommand.REBOOT)
        if answer.problem is not None:
            raise StimulusError(f"the board does not reboot: {answer.problem}")
        limit = self._profile.behaviour.boot
        if not await self._recorder.wait_for(self._shows_end, within=limit, since=since):
            raise StimulusError(f"nothing shows within {limit:g} s that the board went down to reboot")

    def _shows_end(self, event: Event) -> bool:
        """Whether the device's connection ended, or its console says that it starts."""
        body, binding = event.body, self._profile.bindings.serial
        if isinstance(body, Connection):
            return body.point is Point.TAP and body.change is not ConnectionChange.OPENED
        if not isinstance(body, SerialData) or body.line is None or body.direction is not Direction.FROM_DUT:
            return False
        return binding is not None and tells_boot(binding, body.line)


class LabPower:
    """Implements :class:`harness.checks.bench.PowerDoor` at a real device.

    ``helper`` switches the power; without one it cannot be cut. ``reboot`` starts the device anew in order,
    and returns when it is down; without it nothing stops the device in order. ``seems_on`` looks whether
    the device is still there after its power was cut: a switch that switches nothing must let no check pass.
    """

    def __init__(
        self,
        helper: Actuator | None,
        recorder: Recorder,
        device: str,
        seems_on: Callable[[], Awaitable[bool]],
        reboot: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._helper = helper
        self._asking = _Asking(helper, recorder, device) if helper is not None else None
        self._seems_on = seems_on
        self._reboot = reboot
        self._recorder = recorder
        self._off = False
        self.cut_at = 0  # the line of the trace where it went down last; 0: its return was seen

    async def stop(self) -> None:
        """Stop it in order, which is more than a switch can do. Raises CannotStimulateError."""
        if self._reboot is None:
            raise BenchLimitationError(
                "nothing here can stop the DUT in order: its power can only be cut; a console can reboot it"
            )
        self.cut_at = len(self._recorder.events)
        self._recorder.record(Stimulus(Act.STOP))
        await self._reboot()

    async def kill(self) -> None:
        """Take its power away without a word. Raises CannotStimulateError, also when it lives on."""
        if self._asking is None:
            raise BenchLimitationError(
                "a reboot by the console is no loss of power; name who can cut it (--power)"
            )
        self.cut_at = len(self._recorder.events)
        self._off = True  # also when that fails half way: giving power once more does no harm
        await self._asking.ask(Act.KILL, ActuatorCommand.POWER_OFF)
        if await self._seems_on():
            await self.start()
            raise StimulusError(
                "the power was switched off, and the device still answers: look at the wiring of the switch"
            )

    async def start(self) -> None:
        """Give it power; its return is not awaited. After a reboot it starts by itself."""
        if self._asking is None or (self._reboot is not None and not self._off):
            self._recorder.record(Stimulus(Act.START))
            return
        await self._asking.ask(Act.START, ActuatorCommand.POWER_ON)
        self._off = False

    async def switch_on(self) -> None:
        """Before the run: a device in a rack may have no power yet; people look. Raises HelperError."""
        if self._asking is None or isinstance(self._helper, Operator):
            return
        try:
            await self._asking.ask(Act.START, ActuatorCommand.POWER_ON)
        except StimulusError as problem:
            raise ActuatorError(str(problem)) from problem

    async def clean_up(self) -> None:
        """After a check: no device is left without power. Raises CannotStimulateError."""
        if self._off:
            await self.start()

    async def close(self) -> None:
        """Let go of the helper, with the power on."""
        try:
            await self.clean_up()
        finally:
            if self._helper is not None:
                await self._helper.close()
