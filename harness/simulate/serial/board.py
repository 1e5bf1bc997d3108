"""What a simulated board does on commands over its serial line, in any protocol."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from harness.model.base import Value
from harness.model.bindings.serial import SerialCommand
from harness.model.profile import Profile
from harness.simulate.firmware.core import (
    Core,
    Refused,
)

FREE_MEMORY = 183_296  # bytes after the start
LAST_TIME = 2**32 - 1  # seconds since 1970, as the clock counts them
BUSY_MEMORY = 640  # bytes in use for an answer, so that the figure varies


@dataclass(frozen=True, slots=True)
class CommandRefused:
    """The board refuses a command; ``text`` says why."""

    text: str


@dataclass(frozen=True, slots=True)
class BoardDeviations:
    """Each default conforms.

    ``truth`` maps name and value of a property to what the console reports, ``memory`` maps the free memory
    to the reported figure, ``obeys`` says whether a command is really carried out.
    """

    truth: Callable[[str, Value], Value] = lambda name, value: value
    memory: Callable[[int], int] = lambda free: free
    firmware: str | None = None  # instead of the profile's
    forgets_credentials: bool = True
    clears_broker: bool = True  # a factory reset clears the retained messages of the device
    clock_at_start: float | None = None  # time before the network provides it; None: unknown
    sets_clock: bool = True  # from the network, at each connection
    obeys: Callable[[SerialCommand], bool] = lambda command: True


class Machine(Protocol):
    """The device around the board."""

    async def clear_broker(self) -> None:
        """Clear its retained messages."""

    async def reboot(self) -> None:
        """Shut down in order and start again."""

    async def network_off(self) -> None:
        """Leave the network without DISCONNECT."""

    async def network_on(self) -> None:
        """Join the network again."""


class SimulatedBoard:
    """Carries out commands at the core and the device. ``later`` runs what takes longer than the answer."""

    def __init__(self, profile: Profile, core: Core, machine: Machine) -> None:
        self.deviations = BoardDeviations()
        self.provisioned = True  # has the credentials of its network
        self.networked = True  # should be on its network
        self._profile = profile
        self._core = core
        self._machine = machine
        self._asked = 0
        self._clock_offset: float | None = None  # None: time unknown
        self._network_clock: float | None = None  # offset to the loop's clock
        self._doing: asyncio.Task[None] | None = None

    def deviate(self, **deviations: Any) -> None:
        """Deviate from the standard or the profile in the given ways."""
        self.deviations = replace(self.deviations, **deviations)

    def powered_up(self) -> None:
        """Reset the clock: it has no battery and gets the time from the network."""
        start = self.deviations.clock_at_start
        self._clock_offset = None if start is None else start - asyncio.get_running_loop().time()

    def joined(self) -> None:
        """Set the clock from the network."""
        if self.deviations.sets_clock:
            self._clock_offset = self._network_offset()

    def _network_offset(self) -> float:
        """The network's time: the wall clock is read once, and continues with the loop's clock."""
        if self._network_clock is None:
            self._network_clock = time.time() - asyncio.get_running_loop().time()
        return self._network_clock

    def do(
        self, command: SerialCommand, name: str | None = None, value: Value = None
    ) -> Value | CommandRefused:
        """Carry out a command, and return its answer; long tasks continue afterwards."""
        if not self.deviations.obeys(command):
            return None  # confirmed, but not carried out
        match command:
            case SerialCommand.READ_STATE:
                return self._truth(name or "")
            case SerialCommand.WRITE_PROPERTY:
                return self._written(name or "", value)
            case SerialCommand.PRESS_BUTTON:
                return self._pressed(name or "")
            case SerialCommand.INJECT_SENSOR:
                return self._sensed(name or "", value)
            case SerialCommand.REBOOT:
                self._later(self._machine.reboot)
            case SerialCommand.FACTORY_RESET:
                self._later(self._reset, before=self._clear_broker)
            case SerialCommand.FIRMWARE_VERSION:
                return self.deviations.firmware or self._profile.firmware or "0.0.0"
            case SerialCommand.MEMORY:
                return self._memory()
            case SerialCommand.NETWORK_OFF:
                self.networked = False
                self._later(self._machine.network_off)
            case SerialCommand.NETWORK_ON | SerialCommand.PROVISION:
                self.networked = True
                self.provisioned = self.provisioned or command is SerialCommand.PROVISION
                self._later(self._machine.network_on)
            case SerialCommand.CREDENTIALS:
                return self._credentials()
            case SerialCommand.READ_CLOCK:
                return self._time()
            case SerialCommand.SET_CLOCK:
                return self._clock_set(value)
        return None

    def _clock_set(self, value: Value) -> CommandRefused | None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not 0 <= value <= LAST_TIME:
            return CommandRefused("not a time")
        self._clock_offset = value - asyncio.get_running_loop().time()
        return None

    async def settle(self) -> None:
        """Cancel the running task: the device is switched from outside."""
        doing, self._doing = self._doing, None
        if doing is not None and doing is not asyncio.current_task():
            doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)

    def later(self, act: Callable[[], Awaitable[None]]) -> None:
        """Run a task that cancels the running one, such as a crash."""
        self._later(act)

    def _truth(self, name: str) -> Value:
        return self.deviations.truth(name, self._core.truth(name))

    def _written(self, name: str, value: Value) -> Value | CommandRefused:
        answer = self._core.set_locally(name, value)
        return CommandRefused(answer.text) if isinstance(answer, Refused) else self._truth(name)

    def _pressed(self, control: str) -> Value | CommandRefused:
        if control not in self._profile.controls:
            return CommandRefused(f"there is no control {control}")
        self._core.operate(control)
        return None

    def _sensed(self, name: str, value: Value) -> Value | CommandRefused:
        try:
            self._core.sense(name, value)
        except ValueError as problem:
            return CommandRefused(str(problem))
        return self._truth(name)

    def _memory(self) -> int:
        self._asked += 1
        return self.deviations.memory(FREE_MEMORY - BUSY_MEMORY * (self._asked % 3))

    @property
    def _can_be_joined(self) -> bool:
        """Whether a command provisions it; a board on a network cable needs none."""
        binding = self._profile.bindings.serial
        return binding is None or binding.knows(SerialCommand.PROVISION)

    def _credentials(self) -> str:
        if not self.provisioned and self.deviations.forgets_credentials:
            return "none"
        return "bench-net"

    def _time(self) -> int:
        if self._clock_offset is None:
            return 0
        return int(asyncio.get_running_loop().time() + self._clock_offset)

    async def _reset(self) -> None:
        self._core.factory_reset()
        if self.deviations.forgets_credentials and self._can_be_joined:
            self.provisioned = False
        await self._machine.reboot()

    async def _clear_broker(self) -> None:
        if self.deviations.clears_broker:
            await self._machine.clear_broker()

    def _later(
        self, act: Callable[[], Awaitable[None]], before: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Run ``before``, then cancel the running task, then run ``act``."""
        doing, self._doing = self._doing, None

        async def one_after_the_other() -> None:
            if before is not None:
                await before()
            if doing is not None and not doing.done():
                doing.cancel()
                await asyncio.gather(doing, return_exceptions=True)
            await act()

        self._doing = asyncio.get_running_loop().create_task(one_after_the_other())
