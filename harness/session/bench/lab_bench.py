"""The test bench over the real links; everything is recorded."""

from __future__ import annotations

import random
from collections.abc import Callable
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
from harness.session.bench.arrival import Arrival
from harness.session.bench.board import (
    is_off_network,
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
    is_switched_off,
)
from harness.session.bench.recording import RecordingBench
from harness.trace.events import Act, DeviceLost, Event, Stimulus, TcpProbe
from harness.wire import coap as coap_messages

Driver = TypeVar("Driver")


class LabBench(RecordingBench):
    """Implements :class:`harness.checks.bench.Bench` over the equipment of one device."""

    def __init__(self, profile: Profile, equipment: Equipment, readings: Readings, seed: int) -> None:
        super().__init__(equipment.recorder)
        self.profile = profile
        self.random = random.Random(seed)
        self._begun = 0  # the end of the trace when the check began
        self._begun_deaf = False  # whether the device was deaf when the check began
        self._equipment = equipment
        self._device = equipment.recorder.device
        self.readings = readings
        self._watch: CoapWatch | None = None
        self.arrival = Arrival(self, equipment)

    @property
    def mqtt(self) -> RecordingMqttDriver:
        """Our client on the device's broker."""
        return _there(self._equipment.mqtt_driver, BenchFeature.BROKER)

    @property
    def tap(self) -> RecordingTapDriver:
        """The tap between device and broker."""
        return _there(self._equipment.tap_driver, BenchFeature.TAP)

    @property
    def coap(self) -> RecordingCoapDriver:
        """The device's CoAP server."""
        return _there(self._equipment.coap_driver, BenchFeature.COAP)

    @property
    def mdns(self) -> MdnsLink:
        """Multicast DNS on the device's link."""
        return _there(self._equipment.mdns_link, BenchFeature.MDNS)

    @property
    def local(self) -> OperatorDriver:
        """Buttons and sensors of the device."""
        return _there(self._equipment.local_driver, BenchFeature.LOCAL)

    @property
    def power(self) -> PowerDriver:
        """The device's power."""
        return _there(self._equipment.power_driver, BenchFeature.POWER)

    @property
    def serial(self) -> RecordingSerialDriver:
        """The device's serial line."""
        return _there(self._equipment.serial_driver, BenchFeature.SERIAL)

    def begin(self, seed: str) -> None:
        """Begin a check: its random values depend only on ``seed``, made from the run's seed and its id."""
        self.random = random.Random(seed)
        self.waiting_for = ""
        self._begun = self.mark()
        self._begun_deaf = self.arrival.is_deaf

    def offers(self, need: BenchFeature) -> bool:
        """Whether this bench has that feature."""
        return need in self._equipment.needs_met

    @property
    def host(self) -> str | None:
        """The device's IP address or host name, if known."""
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
        """Send the command for a property; not recorded as a stimulus."""
        bindings = self.profile.bindings
        if transport == Transport.MQTT and bindings.mqtt:
            bound = bindings.mqtt.properties[name]
            payload = encode_mqtt(value, bound.command_member, bound.words)
            self._require_subscription()
            # For a device without a command topic, the usual one is tried.
            topic = bound.command or f"{bound.state}/set"
            await self.mqtt.publish(topic, payload, qos=bound.command_qos)
        elif transport == Transport.COAP and bindings.coap:
            resource = bindings.coap.properties[name]
            payload = encode_coap(value, resource.format, resource.member)
            await self._request(coap_messages.Code.PUT, resource.path, payload, resource.format.number)

    async def perform(self, name: str, value: Value = None, *, transport: str) -> None:
        """Send the command that invokes an action; not recorded as a stimulus."""
        bindings = self.profile.bindings
        if transport == Transport.MQTT and bindings.mqtt:
            self._require_subscription()
            bound = bindings.mqtt.actions[name]
            payload = b"" if value is None else encode_mqtt(value, None, None)
            await self.mqtt.publish(bound.command, payload, qos=bound.command_qos)
        elif transport == Transport.COAP and bindings.coap:
            resource = bindings.coap.actions[name]
            payload = b"" if value is None else encode_coap(value, resource.format, None)
            number = None if value is None else resource.format.number
            await self._request(coap_messages.Code.POST, resource.path, payload, number)

    def _require_subscription(self) -> None:
        """Raise StimulusError for a device that was deaf before this check: it gets no commands."""
        if self._begun_deaf and self.arrival.is_deaf:
            raise StimulusError("the device has not subscribed over MQTT, so it gets no commands")

    async def watch(self) -> None:
        """Observe every observable CoAP property and event for the rest of this check."""
        binding = self.profile.bindings.coap
        if binding is None or self._watch is not None:
            return
        self._watch = CoapWatch(self.coap, binding)
        await self._watch.begin()

    async def renew_watch(self) -> None:
        """Register again: a device that was restarted has forgotten its observers."""
        await self._stop_watching()
        await self.watch()

    async def read(self, name: str, *, transport: str) -> Value:
        """The present value of a property: a GET over CoAP, the last report over MQTT.

        Waits for the first report of a device that has not reported it over MQTT yet.
        """
        since = self.mark()
        if transport == Transport.COAP and self.profile.bindings.coap:
            await self._request(coap_messages.Code.GET, self.profile.bindings.coap.properties[name].path)
            report = self._last_report(name, transport, since)
        else:
            report = self._last_report(name, transport, 0)
            if report is None:
                within = self.profile.settle(name)
                await self.wait_for_report(
                    name, lambda _: True, transport=transport, within=within, since=since
                )
                report = self._last_report(name, transport, 0)
        if report is None:
            raise StimulusError(f"the device reports no value of {name} over {transport}")
        return report.value

    def _last_report(self, name: str, transport: str, since: int) -> Report | None:
        """The last report of a property after a mark; None if there is none."""
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
        if transport == Transport.MQTT or binding is None or self._is_notified(binding, name):
            return await self.wait_for(accepted, within=within, what=what, since=since, imposed_by=imposed_by)
        deadline = self._recorder.now + within
        pause = 0.0
        while True:
            await self._request(coap_messages.Code.GET, binding.properties[name].path)
            event = await self.wait_for(accepted, within=0, what=what, since=since)
            remaining = deadline - self._recorder.now
            if event is not None or remaining <= 0:
                return event
            # Read at once, then less and less often, so that a slow device is not flooded.
            pause = min(max(2 * pause, 0.01), remaining, 1.0)
            await self.wait_for(accepted, within=pause, what=what, imposed_by=imposed_by)

    async def ready(self, *, within: float | None = None) -> bool:
        """Wait until the device is on all its transports."""
        return await self.arrival.wait(within)

    def lose(self, check: str, subject: str | None, transport: str | None, seconds: float) -> None:
        """Record that the device has not come back by itself after a check."""
        self._recorder.record(DeviceLost(check, subject, transport, self.waiting_for, round(seconds, 1)))

    @property
    def is_cut_off(self) -> bool:
        """Whether the harness itself has left the device without power or network."""
        power = self._equipment.power_driver
        if (isinstance(power, LabPower) and power.is_off) or is_switched_off(self.trace, self._device):
            return True
        return self.offers(BenchFeature.SERIAL) and is_off_network(self.trace[self._begun :])

    async def clean_up(self) -> None:
        """After a check: undo what it left behind."""
        if self._equipment.serial_driver is not None:
            await rejoin(self, self._begun)
        await self._stop_watching()
        await self._equipment.clean_up()

    async def _stop_watching(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            await watch.end()

    def _is_notified(self, binding: CoapBinding, name: str) -> bool:
        """Whether the device notifies us of it over CoAP; otherwise it has to be read.

        Raises StimulusError for an event whose observation the device refuses.
        """
        if (event := binding.events.get(name)) is not None:
            if self._watch is not None and not self._watch.observes(event.path):
                raise StimulusError(f"the device refuses the observation of {event.path}")
            return True
        return self._watch is not None and self._watch.observes(binding.properties[name].path)

    async def _request(
        self, code: int, path: str, payload: bytes = b"", content_format: int | None = None
    ) -> coap_messages.Message | None:
        """Send one request on the bench's own endpoint, and return the response."""
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


def _there(driver: Driver | None, need: BenchFeature) -> Driver:
    if driver is None:
        raise StimulusError(f"this bench does not offer {need}")
    return driver
