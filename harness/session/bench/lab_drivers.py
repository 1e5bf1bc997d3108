"""The drivers for power, keys and sensors of a real device, which an actuator or a person operates.

An act takes its time: it is recorded before the actuator is called, and ``Act.DONE`` when it is over, so that
a judge knows both ends of the time in which it happened.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

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
from harness.model.profile import Profile
from harness.session.bench.presence import shows_restart
from harness.trace.events import (
    Act,
    Note,
    Stimulus,
)
from harness.trace.recorder import Recorder


class _Actuation:
    """Has an actuator do something, and records it."""

    def __init__(self, actuator: Actuator, recorder: Recorder, device: str) -> None:
        self._actuator = actuator
        self._recorder = recorder
        self._device = device

    async def perform(
        self, act: Act, command: ActuatorCommand, name: str | None = None, value: Value = None
    ) -> None:
        """Have a command carried out. Raises BenchLimitationError if the actuator lacks it; StimulusError."""
        text = json_text(value) if command is ActuatorCommand.SENSE else None
        task = Task(command, self._device, name, text)
        if command not in self._actuator.can:
            raise BenchLimitationError(f"nothing here can {task}")
        self._recorder.record(Stimulus(act, name, text))
        try:
            done = await self._actuator.perform(task)
        except ActuatorError as problem:
            raise StimulusError(str(problem)) from problem
        self._recorder.record(Stimulus(Act.DONE, name))
        self._recorder.record(Note(done))


class LabOperator:
    """Implements :class:`harness.checks.bench.OperatorDriver` at a real device."""

    def __init__(self, actuator: Actuator, recorder: Recorder, device: str) -> None:
        self.close = actuator.close
        self._actuation = _Actuation(actuator, recorder, device)

    async def operate(self, control: str) -> None:
        """Operate a control of the profile."""
        await self._actuation.perform(Act.LOCAL, ActuatorCommand.PRESS, control)

    async def sense(self, name: str, value: Value) -> None:
        """Make a sensor see ``value``."""
        await self._actuation.perform(Act.LOCAL, ActuatorCommand.SENSE, name, value)

    async def attach(self, what: str, plugged_in: bool) -> None:
        """Plug something in or unplug it."""
        act = Act.NETWORK_ON if plugged_in else Act.NETWORK_OFF
        await self._actuation.perform(
            act, ActuatorCommand.ATTACH if plugged_in else ActuatorCommand.DETACH, what
        )


class ConsoleOperator:
    """Implements :class:`harness.checks.bench.OperatorDriver` by the commands of the board's own console."""

    def __init__(self, console: Callable[[], SerialDriver]) -> None:
        self._console = console

    async def operate(self, control: str) -> None:
        """Operate a control of the profile."""
        await self._command(SerialCommand.PRESS_BUTTON, control)

    async def sense(self, name: str, value: Value) -> None:
        """Make a sensor see ``value``."""
        await self._command(SerialCommand.INJECT_SENSOR, name, value)

    async def attach(self, what: str, plugged_in: bool) -> None:
        """Not possible by a console. Raises BenchLimitationError."""
        raise BenchLimitationError(f"nothing here can unplug the {what} of the device")

    async def _command(self, command: SerialCommand, name: str, value: Value = None) -> None:
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
        """Reboot; returns when the device is down. Raises StimulusError."""
        since = len(self._recorder.events)
        answer = await self._console().command(SerialCommand.REBOOT)
        if answer.problem is not None:
            raise StimulusError(f"the board refuses to reboot: {answer.problem}")
        limit = self._profile.behaviour.boot
        gone = partial(shows_restart, profile=self._profile)
        if not await self._recorder.wait_for(gone, within=limit, since=since):
            raise StimulusError(f"no sign of a reboot within {limit:g} s")


class LabPower:
    """Implements :class:`harness.checks.bench.PowerDriver` at a real device.

    ``actuator`` switches the power; without it, the power cannot be cut. ``reboot`` restarts the device in an
    orderly way, and returns when it is down; without it, there is no orderly stop. ``seems_on`` finds out
    whether the device is still running after its power was cut: a switch that switches nothing must not let a
    check pass.
    """

    def __init__(
        self,
        actuator: Actuator | None,
        recorder: Recorder,
        device: str,
        seems_on: Callable[[], Awaitable[bool]],
        reboot: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._actuator = actuator
        self._actuation = _Actuation(actuator, recorder, device) if actuator is not None else None
        self._seems_on = seems_on
        self._reboot = reboot
        self._recorder = recorder
        self._off = False
        self.cut_at = 0  # the line of the trace where it last went down; 0: it has come back since

    @property
    def is_off(self) -> bool:
        """Whether its power was cut, and not switched on again."""
        return self._off

    async def stop(self) -> None:
        """Stop it in an orderly way, which a power switch cannot do. Raises StimulusError."""
        if self._reboot is None:
            raise BenchLimitationError(
                "nothing here can stop the device in an orderly way: its power can only be cut"
            )
        self.cut_at = len(self._recorder.events)
        self._recorder.record(Stimulus(Act.STOP))
        await self._reboot()

    async def kill(self) -> None:
        """Cut its power. Raises StimulusError, also if the device keeps running."""
        if self._actuation is None:
            raise BenchLimitationError(
                "a reboot by the console is no loss of power; say how the power can be cut (--power)"
            )
        self.cut_at = len(self._recorder.events)
        self._off = True  # also if that fails half way: switching on once more does no harm
        await self._actuation.perform(Act.KILL, ActuatorCommand.POWER_OFF)
        if await self._seems_on():
            await self.start()
            raise StimulusError(
                "the power was switched off, and the device still answers: check the wiring of the switch"
            )

    async def start(self) -> None:
        """Switch it on, without waiting for it. After a reboot it starts by itself."""
        if self._actuation is None or (self._reboot is not None and not self._off):
            self._recorder.record(Stimulus(Act.START))
            return
        await self._actuation.perform(Act.START, ActuatorCommand.POWER_ON)
        self._off = False

    async def switch_on(self) -> bool:
        """Switch on before the run, unless a person does that; whether it was done. Raises ActuatorError."""
        if self._actuation is None or isinstance(self._actuator, Operator):
            return False
        try:
            await self._actuation.perform(Act.START, ActuatorCommand.POWER_ON)
        except StimulusError as problem:
            raise ActuatorError(str(problem)) from problem
        return True

    async def clean_up(self) -> None:
        """After a check: switch the power on again. Raises StimulusError."""
        if self._off:
            await self.start()

    async def close(self) -> None:
        """Release the actuator, with the power on."""
        try:
            await self.clean_up()
        finally:
            if self._actuator is not None:
                await self._actuator.close()
