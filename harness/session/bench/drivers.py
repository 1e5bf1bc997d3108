"""The drivers of :mod:`harness.checks.bench` over the links; each act is recorded as a stimulus."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from harness.checks.bench import NETWORK, Answer, BenchLimitationError, StimulusError
from harness.checks.payloads import json_text
from harness.links.coap.link import (
    CoapClientEndpoint,
    CoapLink,
)
from harness.links.mqtt.brokers.broker import Broker
from harness.links.mqtt.link import MqttController
from harness.links.mqtt.tap.tap import (
    HalfOpen,
    PacketHold,
    Tap,
)
from harness.links.serial.link import (
    SerialError,
    SerialLink,
)
from harness.model.base import Value
from harness.model.bindings.serial import (
    SerialBinding,
    SerialCommand,
)
from harness.simulate.device import SimulatedDevice
from harness.trace.events import Act, Direction, Event, Refusal, Stimulus
from harness.trace.recorder import Recorder
from harness.wire import mqtt

NEARLY_UP = 0.1  # seconds


class RecordingMqttDriver:
    """Implements :class:`harness.checks.bench.MqttDriver`."""

    def __init__(self, controller: MqttController, broker: Broker, recorder: Recorder) -> None:
        self._controller = controller
        self._broker = broker
        self._recorder = recorder
        self.publish = controller.publish
        self.subscribe = controller.subscribe
        self.late_subscriber = controller.late_subscriber

    async def restart_broker(self, *, wipe: bool) -> None:
        """Restart the broker; with ``wipe``, without its stored messages and sessions."""
        self._recorder.record(Stimulus(Act.RESTART_BROKER, "wiped" if wipe else "kept"))
        await self.away_while(self._broker.restart(wipe=wipe))

    async def away_while(self, work: Awaitable[None]) -> None:
        """Keep our client disconnected while ``work`` is done, such as a restart of the broker."""
        await self._controller.away_while(work)


class RecordingTapDriver:
    """Implements :class:`harness.checks.bench.TapDriver`."""

    def __init__(self, tap: Tap, recorder: Recorder) -> None:
        self._tap = tap
        self._recorder = recorder
        self._holds: list[RecordedHold] = []
        self._disturbed = False

    def drop(self) -> None:
        """Cut the device's connection at once."""
        self._recorder.record(Stimulus(Act.DROP_LINK))
        self._tap.drop()

    def drop_unnoticed(self) -> RecordedHold:
        """Cut only the device's side of its connection; the broker sees it when the hold ends."""
        what = "the end of the connection, from the broker"
        self._recorder.record(Stimulus(Act.WITHHOLD, what))
        self._recorder.record(Stimulus(Act.DROP_LINK))
        hold = RecordedHold(self._tap.drop_unnoticed(), self._recorder, what)
        self._holds.append(hold)
        return hold

    def refuse(self, how: Refusal, code: int = 5) -> None:
        """Refuse the device's next connections until :meth:`accept`."""
        self._disturbed = True
        self._recorder.record(
            Stimulus(Act.REFUSE, how.value, json_text(code) if how is Refusal.CONNACK else None)
        )
        self._tap.refuse(how, code)

    def accept(self) -> None:
        """Accept the device's connections again."""
        self._disturbed = False
        self._recorder.record(Stimulus(Act.ACCEPT))
        self._tap.accept()

    def freeze(self) -> None:
        """Let the link go dead silently."""
        self._recorder.record(Stimulus(Act.WITHHOLD, "everything"))
        self._tap.freeze()

    def thaw(self) -> None:
        """End :meth:`freeze`."""
        self._recorder.record(Stimulus(Act.RELEASE, "everything"))
        self._tap.thaw()

    def hold(self, wanted: Callable[[mqtt.Packet], bool], direction: Direction, what: str) -> RecordedHold:
        """Keep back packets."""
        self._recorder.record(Stimulus(Act.WITHHOLD, what))
        hold = RecordedHold(self._tap.hold(wanted, direction), self._recorder, what)
        self._holds.append(hold)
        return hold

    def inject(self, *raw: bytes, segments: Sequence[int] = (), what: str) -> Event:
        """Send crafted packets to the device on its present connection; returns the stimulus."""
        if not self._tap.connections:
            raise StimulusError("the device has no MQTT connection to send crafted packets on")
        stimulus = self._recorder.record(Stimulus(Act.RAW, what, transport="mqtt"))
        self._tap.inject(b"".join(raw), segments=segments)
        return stimulus

    def next_packet_id(self) -> int:
        """A packet id that the broker is not using."""
        return self._tap.next_packet_id()

    @property
    def connected(self) -> bool:
        """Whether the device has a connection through the tap now."""
        return bool(self._tap.connections)

    def clean_up(self) -> None:
        """After a check: let everything through again."""
        for hold in self._holds:
            hold.release()
        self._holds.clear()
        if self._tap.frozen:
            self.thaw()
        if self._disturbed:
            self.accept()


class RecordedHold:
    """Implements :class:`harness.checks.bench.PacketHold`."""

    def __init__(self, hold: PacketHold | HalfOpen, recorder: Recorder, what: str) -> None:
        self._hold: PacketHold | HalfOpen | None = hold
        self._recorder = recorder
        self._what = what

    def release(self) -> None:
        """Pass on what was kept back, in order, and stop keeping back."""
        if self._hold:
            self._recorder.record(Stimulus(Act.RELEASE, self._what))
            self._hold.release()
            self._hold = None

    def discard(self) -> None:
        """Discard what was kept back, and stop keeping back."""
        if self._hold:
            self._recorder.record(Stimulus(Act.RELEASE, f"{self._what}, discarded"))
            self._hold.discard()
            self._hold = None


class RecordingCoapDriver:
    """Implements :class:`harness.checks.bench.CoapDriver`."""

    def __init__(self, link: CoapLink) -> None:
        self._link = link
        self.next_mid = link.next_mid
        self.next_token = link.next_token

    async def endpoint(self, remote: tuple[str, int] | None = None) -> CoapClientEndpoint:
        """A new endpoint of ours, towards another server than usual if ``remote`` is given."""
        return await self._link.endpoint(remote)


class SimulatedHands:
    """Implements :class:`harness.checks.bench.OperatorDriver` at a simulated device."""

    def __init__(self, device: SimulatedDevice, recorder: Recorder) -> None:
        self._device = device
        self._recorder = recorder

    async def operate(self, control: str) -> None:
        """Operate a control of the profile."""
        self._recorder.record(Stimulus(Act.LOCAL, control))
        self._device.core.operate(control)

    async def sense(self, name: str, value: Value) -> None:
        """Make a sensor see ``value``."""
        self._recorder.record(Stimulus(Act.LOCAL, name, json_text(value)))
        self._device.core.sense(name, value)

    async def attach(self, what: str, plugged_in: bool) -> None:
        """Plug its network in or unplug it. Raises BenchLimitationError for anything else."""
        if what != NETWORK:
            raise BenchLimitationError(f"a simulated device has no {what} that could be unplugged")
        self._recorder.record(Stimulus(Act.NETWORK_ON if plugged_in else Act.NETWORK_OFF, what))
        await self._device.plug_network(plugged_in)


class SimulatedPower:
    """Implements :class:`harness.checks.bench.PowerDriver` at a simulated device."""

    def __init__(self, device: SimulatedDevice, recorder: Recorder) -> None:
        self._device = device
        self._recorder = recorder
        self._starting: asyncio.Task[None] | None = None

    async def stop(self) -> None:
        """Stop the device in an orderly way."""
        self._recorder.record(Stimulus(Act.STOP))
        if self._starting is not None:
            # A device that has just reported that it is online gets a moment to finish its start.
            await asyncio.wait({self._starting}, timeout=NEARLY_UP)
        await self.settle()
        await self._device.stop()

    async def kill(self) -> None:
        """Cut its power."""
        self._recorder.record(Stimulus(Act.KILL))
        await self.settle()
        await self._device.kill()

    async def start(self) -> None:
        """Start it; returns at once."""
        self._recorder.record(Stimulus(Act.START))
        self._starting = asyncio.get_running_loop().create_task(self._device.start())

    async def started(self, *, within: float) -> bool:
        """Wait until the device is up. False if that takes longer; its start goes on."""
        if self._starting is None:
            return True
        done, _ = await asyncio.wait({self._starting}, timeout=within)
        if self._starting in done:
            starting, self._starting = self._starting, None
            starting.result()
        return bool(done)

    async def settle(self) -> None:
        """Cancel a start that is still under way."""
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
            self._starting = None


_ACTS = {
    SerialCommand.WRITE_PROPERTY: Act.LOCAL,
    SerialCommand.PRESS_BUTTON: Act.LOCAL,
    SerialCommand.INJECT_SENSOR: Act.LOCAL,
    SerialCommand.REBOOT: Act.REBOOT,
    SerialCommand.FACTORY_RESET: Act.FACTORY_RESET,
    SerialCommand.NETWORK_OFF: Act.NETWORK_OFF,
    SerialCommand.NETWORK_ON: Act.NETWORK_ON,
    SerialCommand.PROVISION: Act.CONSOLE,
    SerialCommand.SET_CLOCK: Act.CONSOLE,
}
"""The acts recorded for commands that change the device; the other commands only read."""


_BACK: dict[SerialCommand, SerialCommand | None] = {
    SerialCommand.NETWORK_OFF: SerialCommand.NETWORK_ON,
    SerialCommand.FACTORY_RESET: SerialCommand.PROVISION,
    SerialCommand.NETWORK_ON: None,
    SerialCommand.PROVISION: None,
}


class RecordingSerialDriver:
    """Implements :class:`harness.checks.bench.SerialDriver`."""

    def __init__(self, link: SerialLink, binding: SerialBinding, recorder: Recorder) -> None:
        self._link = link
        self._recorder = recorder
        self._left: SerialCommand | None = None  # the command that brings the board back to its network
        self.knows = binding.knows
        self.line = link.line

    @property
    def present(self) -> bool:
        """Whether the port is there now."""
        return self._link.present

    async def command(
        self,
        command: SerialCommand,
        name: str | None = None,
        value: Value = None,
        *,
        within: float | None = None,
    ) -> Answer:
        """Send a command to the board, and return its answer."""
        if not self.knows(command, name):
            about = f"{command} {name}" if name else str(command)
            raise StimulusError(f"the profile declares no {about} on the serial line")
        if not self.present:
            raise StimulusError(f"the serial port {self._link.url} is missing")
        act = _ACTS.get(command)
        if act is not None:
            named = name if act is Act.LOCAL else command.value
            text = None if value is None else json_text(value)
            self._recorder.record(Stimulus(act, named, text, transport="serial"))
            self._left = _BACK.get(command, self._left)
        try:
            reply = await self._link.command(command, name, value, within=within)
        except SerialError as problem:
            raise StimulusError(str(problem)) from problem
        return Answer(reply.event, reply.value, reply.problem)

    async def send(self, raw: bytes, what: str) -> Event:
        """Send bytes as they are; returns the stimulus."""
        stimulus = self._recorder.record(Stimulus(Act.RAW, what, transport="serial"))
        try:
            await self._link.send(raw)
        except SerialError as problem:
            raise StimulusError(str(problem)) from problem
        return stimulus

    async def clean_up(self) -> None:
        """After a check: bring the board back to its network."""
        back, self._left = self._left, None
        if back is not None and self.knows(back) and self.present:
            await self.command(back)
