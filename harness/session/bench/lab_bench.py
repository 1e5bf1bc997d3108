"""The test bench: what a stimulus has at hand, over the real links, all of it recorded."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from harness.checks.bench import OperatorDriver, PowerDriver, StimulusError
from harness.checks.observations import Readings, Report, Transport
from harness.checks.payloads import encode_coap, encode_mqtt, json_text
from harness.links.mdns.link import MdnsLink
from harness.links.net import tcp
from harness.model.base import Value
from harness.model.bindings.coap import CoapBinding
from harness.model.profile import Profile
from harness.model.requirement import BenchFeature
from harness.session.bench.board import (
    board_answers,
    port_returns,
    rejoin,
)
from harness.session.bench.coap_watch import CoapWatch
from harness.session.bench.drivers import (
    RecordingCoapDriver,
    RecordingMqttDriver,
    RecordingSerialDriver,
    RecordingTapDriver,
)
from harness.session.bench.equipment import Equipment
from harness.session.bench.lab_drivers import LabPower
from harness.session.bench.presence import (
    coap_answers,
    mqtt_present,
)
from harness.session.bench.recording import RecordingBench
from harness.trace.events import Act, Event, MqttPacket, Stimulus, TcpProbe
from harness.wire import coap as coap_messages

Door = TypeVar("Door")

PING_LIMIT = 2.0  # seconds for the answer to a CoAP ping, before the device is asked again


class LabBench(RecordingBench):
    """Implements :class:`harness.checks.bench.Bench` over the equipment of one DUT."""

    def __init__(self, profile: Profile, equipment: Equipment, readings: Readings, seed: int) -> None:
        super().__init__(equipment.recorder)
        self.profile = profile
        self.random = random.Random(seed)
        self._begun = 0  # the end of the trace when the check began
        self._equipment = equipment
        self._device = equipment.recorder.device
        self.readings = readings
        self._watch: CoapWatch | None = None
        self._silent = False  # the device was seen not to say that it is online

    @property
    def mqtt(self) -> RecordingMqttDriver:
        """Our client on the DUT's broker."""
        return _there(self._equipment.mqtt_door, BenchFeature.BROKER)

    @property
    def tap(self) -> RecordingTapDriver:
        """Between DUT and broker."""
        return _there(self._equipment.tap_door, BenchFeature.TAP)

    @property
    def coap(self) -> RecordingCoapDriver:
        """The DUT's CoAP server."""
        return _there(self._equipment.coap_door, BenchFeature.COAP)

    @property
    def mdns(self) -> MdnsLink:
        """Multicast DNS on the DUT's link."""
        return _there(self._equipment.mdns_link, BenchFeature.MDNS)

    @property
    def local(self) -> OperatorDriver:
        """Hands at the device."""
        return _there(self._equipment.local_door, BenchFeature.LOCAL)

    @property
    def power(self) -> PowerDriver:
        """The DUT's power."""
        return _there(self._equipment.power_door, BenchFeature.POWER)

    @property
    def serial(self) -> RecordingSerialDriver:
        """The DUT's serial line."""
        return _there(self._equipment.serial_door, BenchFeature.SERIAL)

    def begin(self, seed: str) -> None:
        """A check begins: its random values depend on the run's seed and on itself alone."""
        self.random = random.Random(seed)
        self.waiting_for = ""
        self._begun = self.mark()

    def offers(self, need: BenchFeature) -> bool:
        """Whether the door of that need is there."""
        return need in self._equipment.needs_met

    @property
    def host(self) -> str | None:
        """The DUT's IP address or host name, where it is known."""
        return self._equipment.host

    async def probe_tcp(self, host: str, port: int, send: bytes = b"", *, within: float) -> TcpProbe:
        """Connect to a TCP port, send, and take the first bytes that come back."""
        return await tcp.probe(self._recorder, host, port, send, within)

    def stimulus(
        self,
        act: Act,
        name: str | None = None,
        value: Value = None,
        *,
        transport: str | None = None,
        legal: bool | None = None,
    ) -> Event:
        """Record a deliberate act."""
        return self._recorder.record(Stimulus(act, name, json_text(value), transport, legal))

    async def watch_silence(self, seconds: float, *, imposed_by: str, what: str) -> None:
        """Watch for ``seconds``, as a clause imposes."""
        await self.wait_for(lambda _: False, within=seconds, imposed_by=imposed_by, what=what)

    async def write(self, name: str, value: Value, *, transport: str, legal: bool = True) -> Event:
        """Command a property through its binding."""
        stimulus = self.stimulus(Act.WRITE, name, value, transport=transport, legal=legal)
        await self.command(name, value, transport=transport)
        return stimulus

    async def invoke(self, name: str, value: Value = None, *, transport: str) -> Event:
        """Invoke an action through its binding."""
        stimulus = self.stimulus(Act.INVOKE, name, value, transport=transport, legal=True)
        await self.perform(name, value, transport=transport)
        return stimulus

    async def command(self, name: str, value: Value, *, transport: str) -> None:
        """Send the command for a property; it is nobody's stimulus."""
        bindings = self.profile.bindings
        if transport == Transport.MQTT and bindings.mqtt:
            bound = bindings.mqtt.properties[name]
            payload = encode_mqtt(value, bound.command_member, bound.values)
            # A device without a command topic is tried at the place where most have theirs.
            topic = bound.command or f"{bound.state}/set"
            await self.mqtt.publish(topic, payload, qos=bound.command_qos)
        elif transport == Transport.COAP and bindings.coap:
            resource = bindings.coap.properties[name]
            payload = encode_coap(value, resource.format, resource.member)
            await self._request(coap_messages.Code.PUT, resource.path, payload, resource.format.number)

    async def perform(self, name: str, value: Value = None, *, transport: str) -> None:
        """Send what invokes an action; it is nobody's stimulus."""
        bindings = self.profile.bindings
        if transport == Transport.MQTT and bindings.mqtt:
            bound = bindings.mqtt.actions[name]
            payload = b"" if value is None else encode_mqtt(value, None, None)
            await self.mqtt.publish(bound.command, payload, qos=bound.command_qos)
        elif transport == Transport.COAP and bindings.coap:
            resource = bindings.coap.actions[name]
            payload = b"" if value is None else encode_coap(value, resource.format, None)
            number = None if value is None else resource.format.number
            await self._request(coap_messages.Code.POST, resource.path, payload, number)

    async def watch(self) -> None:
        """Observe every CoAP property and event that can be observed, for the rest of this check."""
        binding = self.profile.bindings.coap
        if binding is None or self._watch is not None:
            return
        self._watch = CoapWatch(self.coap, binding)
        await self._watch.begin()

    async def watch_anew(self) -> None:
        """Observe once more: a device that was restarted has forgotten its observers."""
        await self._stop_watching()
        await self.watch()

    async def read(self, name: str, *, transport: str) -> Value:
        """The present value of a property: a GET over CoAP, the last report over MQTT.

        A device that has told nothing yet over MQTT may be about to: it is waited for as after a change.
        """
        since = self.mark()
        if transport == Transport.COAP and self.profile.bindings.coap:
            await self._request(coap_messages.Code.GET, self.profile.bindings.coap.properties[name].path)
            told = self._last_told(name, transport, since)
        else:
            told = self._last_told(name, transport, 0)
            if told is None:
                within = self.profile.settle(name)
                await self.wait_for_report(
                    name, lambda _: True, transport=transport, within=within, since=since
                )
                told = self._last_told(name, transport, 0)
        if told is None:
            raise StimulusError(f"the device tells no value of {name} over {transport}")
        return told.value

    def _last_told(self, name: str, transport: str, since: int) -> Report | None:
        """What the device last told of a property after a mark; None where it told nothing."""
        for report in reversed(self.readings.until(self.mark())):
            if report.event.line <= since:
                break
            if report.name == name and report.transport == transport and report.problem is None:
                return report
        return None

    async def wait_for_report(
        self,
        name: str,
        wanted: Callable[[Value], bool],
        *,
        transport: str,
        within: float,
        since: int,
        imposed_by: str | None = None,
    ) -> Event | None:
        """Wait until the device reports a value of ``name`` that ``wanted`` accepts."""

        def accepted(event: Event) -> bool:
            return any(
                report.name == name
                and report.transport == transport
                and report.problem is None
                and wanted(report.value)
                for report in self.readings.at(event.line)
            )

        what = f"{name} to be reported over {transport}"
        binding = self.profile.bindings.coap
        if transport == Transport.MQTT or binding is None or self._comes_unasked(binding, name):
            return await self.wait_for(accepted, within=within, what=what, since=since, imposed_by=imposed_by)
        deadline = self._recorder.now + within
        pause = 0.0
        while True:
            await self._request(coap_messages.Code.GET, binding.properties[name].path)
            event = await self.wait_for(accepted, within=0, what=what, since=since)
            remaining = deadline - self._recorder.now
            if event is not None or remaining <= 0:
                return event
            # Read at once, then less and less often: a slow device is not flooded by the waiting.
            pause = min(max(2 * pause, 0.01), remaining, 1.0)
            await self.wait_for(accepted, within=pause, what=what, imposed_by=imposed_by)

    async def ready(self, *, within: float | None = None) -> bool:
        """Wait until the DUT is on all its transports."""
        there = await self._turns_up(within)
        power = self._equipment.power_door
        if isinstance(power, LabPower) and power.cut_at:
            if not there:
                self.note(
                    "the device did not come back as one does whose power was cut; perhaps it never was"
                )
            power.cut_at = 0
        return there

    async def _turns_up(self, within: float | None) -> bool:
        behaviour = self.profile.behaviour
        limit = max(behaviour.boot, behaviour.reconnect) if within is None else within
        deadline = self._recorder.now + limit
        binding = self.profile.bindings.mqtt
        if self.offers(BenchFeature.SERIAL):
            await port_returns(self, limit)
        watched = binding and binding.sleep is None and self._equipment.target.watches_mqtt
        if watched and not await self._on_mqtt(limit, fully=within is None):
            return False
        if self.offers(BenchFeature.COAP):
            return await self._coap_alive(deadline)
        if not watched and self.offers(BenchFeature.SERIAL):
            self.waiting_for = "the board to answer on its serial line"
            return await board_answers(self, deadline, lambda: bool(self._equipment.serial_complaint))
        return True

    async def _on_mqtt(self, limit: float, *, fully: bool) -> bool:
        """Wait until the DUT is connected, subscribed, and has said that it is online.

        One that did not say so when it had had all its time (``fully``) is there all the same, and is not
        waited for in vain before each further check.
        """
        binding, tapped = self.profile.bindings.mqtt, self.offers(BenchFeature.TAP)
        assert binding is not None
        power = self._equipment.power_door
        since = power.cut_at if isinstance(power, LabPower) else 0

        def seen(*, silent: bool) -> bool:
            return mqtt_present(self.trace, binding, tapped, silent=silent, since=since, device=self._device)

        def present(event: Event | None = None) -> bool:
            if event is not None and not isinstance(event.body, MqttPacket):
                return False
            return seen(silent=self._silent)

        if present():
            return True
        event = await self.wait_for(
            present,
            within=limit,
            what="the device to be connected and subscribed over MQTT",
            imposed_by="profile: bindings.mqtt.reconnect, behaviour.boot",
        )
        if event is None and fully and seen(silent=True):
            self._silent = True
            self.note("the device is connected and subscribed, but does not say that it is online")
        return event is not None or self._silent

    async def clean_up(self) -> None:
        """After a check: undo what it left behind."""
        if self._equipment.serial_door is not None:
            await rejoin(self, self._begun)
        await self._stop_watching()
        await self._equipment.clean_up()

    async def _stop_watching(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            await watch.end()

    async def _coap_alive(self, deadline: float) -> bool:
        """Ping; a device that does not know pings (RFC 7252, 4.3) is asked for its list of resources."""
        self.waiting_for = "the device to answer a CoAP ping or request"
        endpoint = await self.coap.endpoint()
        asks = False
        try:
            while self._recorder.now < deadline:
                mid, token = self.coap.next_mid(), self.coap.next_token()
                message = coap_messages.empty(coap_messages.Type.CON, mid)
                if asks:
                    message = coap_messages.request(
                        coap_messages.Code.GET, "/.well-known/core", mid=mid, token=token
                    )
                endpoint.send(coap_messages.encode(message))
                limit = min(PING_LIMIT, deadline - self._recorder.now)
                if await endpoint.receive(partial(coap_answers, mid=mid, token=token), within=limit):
                    return True
                asks = not asks
            return False
        finally:
            endpoint.close()

    def _comes_unasked(self, binding: CoapBinding, name: str) -> bool:
        """Whether the device tells it over CoAP by itself; what it does not has to be asked for.

        Raises CannotStimulateError for an event of which it refuses to tell us.
        """
        if (event := binding.events.get(name)) is not None:
            if self._watch is not None and not self._watch.is_told(event.path):
                raise StimulusError(f"the device does not take us for an observer of {event.path}")
            return True
        return self._watch is not None and self._watch.is_told(binding.properties[name].path)

    async def _request(
        self, code: int, path: str, payload: bytes = b"", content_format: int | None = None
    ) -> coap_messages.Message | None:
        """One request of the bench itself, on an endpoint that it keeps for that."""
        message = coap_messages.request(
            code,
            path,
            mid=self.coap.next_mid(),
            token=self.coap.next_token(),
            payload=payload,
            content_format=content_format,
        )
        endpoint = await self._equipment.own_endpoint()
        return await endpoint.request(message)


def _there(door: Door | None, need: BenchFeature) -> Door:
    if door is None:
        raise StimulusError(f"this bench does not offer {need}")
    return door
