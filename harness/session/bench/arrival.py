"""Waits for a device to be present on all its transports, and knows what it does without."""

from __future__ import annotations

from functools import partial
from typing import Protocol

from harness.checks.bench import Bench
from harness.model.bindings.mqtt import MqttBinding
from harness.model.requirement import BenchFeature
from harness.session.bench.board import board_answers, port_returns
from harness.session.bench.equipment import Equipment
from harness.session.bench.lab_drivers import LabPower
from harness.session.bench.presence import (
    PresenceStep,
    coap_answers,
    is_mdns_of_device,
    last_start,
    missing_at_tap,
    mqtt_present,
    newest_connection,
    shows_restart,
)
from harness.trace.events import Act, Event, MqttPacket, Stimulus
from harness.trace.trace import backwards
from harness.wire import coap as coap_messages

LEAST_TRIES = 3  # pings or requests, also for a device that was late on another transport
PING_LIMIT = 2.0  # seconds for the answer to a CoAP ping, before the device is asked again


class RecordedBench(Bench, Protocol):
    """A bench that says what it waits for."""

    waiting_for: str


class Arrival:
    """The presence of one device, as its bench sees it."""

    def __init__(self, bench: RecordedBench, equipment: Equipment) -> None:
        self._bench = bench
        self._profile = bench.profile
        self._equipment = equipment
        self._device = equipment.recorder.device
        self._without: set[PresenceStep] = set()  # steps that this device does not take
        self._rebooted = 0  # line of the last reboot that was waited for
        self._deaf: int | None = None  # line of the opening of a connection on which it has not subscribed

    async def wait(self, within: float | None = None) -> bool:
        """Wait until the device is on all its transports; ``within`` defaults to its own recovery time."""
        await self._goes_down()
        there = await self._turns_up(within)
        power = self._equipment.power_driver
        if isinstance(power, LabPower) and power.cut_at:
            if not there:
                self._bench.note(
                    "the device did not come back after its power was cut; perhaps the power was not cut"
                )
            power.cut_at = 0
        return there

    async def _goes_down(self) -> None:
        """After the command to reboot: what a device still answers before it goes down is no return."""
        acts = backwards(self._bench.trace, Stimulus)
        own = (event.line for event, act in acts if act.act is Act.REBOOT and event.device == self._device)
        line = next(own, 0)
        if line <= self._rebooted:
            return
        self._rebooted = line
        await self._bench.wait_for(
            partial(shows_restart, profile=self._profile),
            within=self._profile.behaviour.boot,
            since=line,
            what="the device to go down for its reboot",
            imposed_by="profile: behaviour.boot",
        )

    async def settle(self) -> None:
        """Wait until the device has had its boot time since it was started, or connected, last.

        What is not quite up yet may fail at anything; that would show nothing about what is sent to it.
        """
        begin = last_start(self._bench.trace, self._device)
        remaining = begin + self._profile.behaviour.boot - self._bench.now
        if remaining > 0:
            await self._bench.watch_silence(
                remaining, imposed_by="profile: behaviour.boot", what="the device to be fully up"
            )

    async def _turns_up(self, within: float | None) -> bool:
        behaviour = self._profile.behaviour
        limit = max(behaviour.boot, behaviour.reconnect) if within is None else within
        deadline = self._bench.now + limit
        binding = self._profile.bindings.mqtt
        if self._bench.offers(BenchFeature.SERIAL):
            await port_returns(self._bench, limit)
        watched = binding and binding.sleep is None and self._equipment.target.watches_mqtt
        if watched and not await self._on_mqtt(limit, fully=within is None):
            return False
        if self._bench.offers(BenchFeature.COAP):
            return await self._coap_alive(deadline, LEAST_TRIES if within is None else 1)
        if not watched and self._cut_at and not self._bench.offers(BenchFeature.SERIAL):
            return await self._announced(deadline)
        if not watched and self._bench.offers(BenchFeature.SERIAL):
            self._bench.waiting_for = "the board to answer on its serial line"
            return await board_answers(self._bench, deadline, lambda: bool(self._equipment.serial_complaint))
        return True

    async def _on_mqtt(self, limit: float, *, fully: bool) -> bool:
        """Wait until the device is connected, subscribed, and has reported that it is online.

        A device that is connected, and has not done the rest within the full time (``fully``), counts as
        present all the same, and later calls do not wait for that again. Whether it has subscribed is decided
        for each connection (:attr:`is_deaf`).
        """
        binding = self._profile.bindings.mqtt
        assert binding is not None

        def present(event: Event | None = None) -> bool:
            if event is not None and not isinstance(event.body, MqttPacket):
                return False
            without = {*self._without, PresenceStep.SUBSCRIBED} if self.is_deaf else self._without
            return mqtt_present(
                self._bench.trace,
                binding,
                self._bench.offers(BenchFeature.TAP),
                without=without,
                since=self._cut_at,
                device=self._device,
            )

        if present():
            return True
        event = await self._bench.wait_for(
            present,
            within=limit,
            what="the device to be connected and subscribed over MQTT",
            imposed_by="profile: bindings.mqtt.reconnect, behaviour.boot",
        )
        if event is None and fully and self._bench.offers(BenchFeature.TAP):
            self._accept_as_it_is(binding)
        return event is not None or present()

    def _accept_as_it_is(self, binding: MqttBinding) -> None:
        """Take a connected device for present, whatever else it has not done in its time."""
        missing = missing_at_tap(self._bench.trace, binding, since=self._cut_at, device=self._device)
        if missing is None or PresenceStep.ACCEPTED in missing:
            return
        if PresenceStep.ONLINE in missing:
            self._without.add(PresenceStep.ONLINE)
            self._bench.note("the device is connected, but does not report that it is online")
        if PresenceStep.SUBSCRIBED in missing:
            opened = newest_connection(self._bench.trace, self._cut_at, self._device)
            self._deaf = opened.line if opened is not None else None
            self._bench.note("the device is connected over MQTT, but has not subscribed")

    @property
    def is_deaf(self) -> bool:
        """Whether the device had all its time to subscribe on its present MQTT connection, and has not."""
        if self._deaf is None:
            return False
        opened = newest_connection(self._bench.trace, self._cut_at, self._device)
        if opened is None or opened.line != self._deaf:
            self._deaf = None
        elif (binding := self._profile.bindings.mqtt) is not None:
            missing = missing_at_tap(self._bench.trace, binding, since=self._cut_at, device=self._device)
            self._deaf = self._deaf if missing and PresenceStep.SUBSCRIBED in missing else None
        return self._deaf is not None

    @property
    def _cut_at(self) -> int:
        """The line of the trace where the power of a real device was cut, until it has come back."""
        power = self._equipment.power_driver
        return power.cut_at if isinstance(power, LabPower) else 0

    async def _coap_alive(self, deadline: float, least: int) -> bool:
        """Ping; also request the list of resources, for devices that do not answer pings (RFC 7252, 4.3)."""
        self._bench.waiting_for = "the device to answer a CoAP ping or request"
        endpoint = await self._bench.coap.endpoint()
        asks, tries = False, 0
        try:
            while tries < least or self._bench.now < deadline:
                tries += 1
                mid, token = self._bench.coap.next_mid(), self._bench.coap.next_token()
                message = coap_messages.empty(coap_messages.Type.CON, mid)
                if asks:
                    message = coap_messages.request(
                        coap_messages.Code.GET, "/.well-known/core", mid=mid, token=token
                    )
                endpoint.send(coap_messages.encode(message))
                answers = partial(coap_answers, mid=mid, token=token)
                if await endpoint.receive(answers, within=PING_LIMIT):
                    return True
                asks = not asks
            return False
        finally:
            endpoint.close()

    async def _announced(self, deadline: float) -> bool:
        """Wait until a device that is seen by mDNS alone announces itself after its power was cut."""
        starts = (event.line for event, act in backwards(self._bench.trace, Stimulus) if act.act is Act.START)
        event = await self._bench.wait_for(
            is_mdns_of_device,
            within=max(deadline - self._bench.now, 0.0),
            since=max(self._cut_at, next(starts, 0)),
            what="the device to announce itself by mDNS",
            imposed_by="profile: behaviour.boot",
        )
        return event is not None
