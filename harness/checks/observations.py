"""Reports: the values of properties and events in the packets of the device.

This code shares nothing with the simulated device, which would otherwise agree with it by construction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.checks.payloads import Undecoded, decode_coap, decode_mqtt
from harness.model.base import Value
from harness.model.bindings.coap import (
    CoapBinding,
    CoapEvent,
    CoapProperty,
)
from harness.model.bindings.mqtt import MqttBinding
from harness.model.profile import Profile
from harness.model.requirement import BenchFeature
from harness.model.schema import DataSchema
from harness.trace.events import (
    Act,
    CoapDatagram,
    Direction,
    Event,
    Fate,
    MqttPacket,
    Point,
    RunStarted,
    Stimulus,
)
from harness.wire import (
    coap,
    mqtt,
)


class Transport(StrEnum):
    """The protocols that carry values."""

    MQTT = "mqtt"
    COAP = "coap"


@dataclass(frozen=True, slots=True)
class Report:
    """One value that the device reported. ``problem`` says why the payload is unreadable, if it is."""

    event: Event
    name: str
    value: Value
    transport: Transport
    problem: str | None = None
    retained: bool = False  # MQTT: retained, so possibly old
    asked: bool = False  # CoAP: the answer to a GET, not a notification
    repeated: bool = False  # MQTT: sent again with DUP, after a missing acknowledgement

    @property
    def is_stored(self) -> bool:
        """Whether the broker sent its retained copy, and not the device a new report."""
        body = self.event.body
        return self.retained and isinstance(body, MqttPacket) and body.point is Point.CLIENT

    @property
    def time(self) -> float:
        """When it was seen, in seconds since the start of the run."""
        return self.event.time


class Readings:
    """The reports of one trace that may still grow. Each event is decoded only once.

    ``trace`` begins with the first event of the run, and only grows. Of a trace of several
    devices, the reports of one are read: the one with the role ``device``.
    """

    def __init__(self, profile: Profile, trace: Sequence[Event], device: str | None = None) -> None:
        self._trace = trace
        self._reader = ReportReader(profile, device)
        self._reports: list[Report] = []
        self._counts: list[int] = [0]  # how many reports there are up to each line

    def until(self, line: int) -> Sequence[Report]:
        """All reports up to and including a line, in order."""
        self._read_on(line)
        return self._reports[: self._counts[min(line, len(self._counts) - 1)]]

    def at(self, line: int) -> Sequence[Report]:
        """The reports in one line."""
        self._read_on(line)
        return self._reports[self._counts[line - 1] : self._counts[line]]

    def _read_on(self, line: int) -> None:
        for event in self._trace[len(self._counts) - 1 : line]:
            self._reports.extend(self._reader.read(event))
            self._counts.append(len(self._reports))


class ReportReader:
    """Reads reports from a trace, event by event, from its first event on.

    MQTT is read at the tap where the bench has one, otherwise at our own client; at ``point`` where that is
    given. ``device`` is the role of the device in a trace of several.
    """

    def __init__(self, profile: Profile, device: str | None = None, point: Point | None = None) -> None:
        self._profile = profile
        self._device = device
        self._fixed = point
        self._point = point or Point.CLIENT
        self._requests = CoapRequests()
        self._is_reset = False  # after a factory reset, until it is set up again

    def read(self, event: Event) -> Iterator[Report]:
        """The reports in the next event."""
        body, bindings = event.body, self._profile.bindings
        if event.device != self._device:
            return
        if isinstance(body, MqttPacket):
            if (
                bindings.mqtt
                and body.point is self._point
                and not (self._is_reset and _deletes_retained(body))
            ):
                yield from mqtt_reports(bindings.mqtt, event, body)
        elif isinstance(body, CoapDatagram):
            if bindings.coap:
                yield from self._requests.reports(self._profile, event, body)
        elif isinstance(body, RunStarted) and self._fixed is None:
            self._point = Point.TAP if BenchFeature.TAP in body.needs_met else Point.CLIENT
        elif isinstance(body, Stimulus):
            if body.act is Act.FACTORY_RESET:
                self._is_reset = True
            elif body.act in (Act.CONSOLE, Act.START):
                self._is_reset = False


def _deletes_retained(body: MqttPacket) -> bool:
    """Whether an empty message deletes a retained one (MQTT 3.1.1, 3.3.1.3) and so reports no value."""
    if body.raw[0] >> 4 != mqtt.PacketType.PUBLISH:
        return False
    packet = mqtt.decode(body.raw, body.level)
    return isinstance(packet, mqtt.Publish) and not packet.payload


def mqtt_reports(binding: MqttBinding, event: Event, body: MqttPacket) -> Iterator[Report]:
    """The values in one MQTT packet of the device; none when it is no PUBLISH on a bound topic."""
    # A quick look at the type nibble spares decoding everything else.
    if body.direction is not Direction.FROM_DUT or body.fate is Fate.INJECTED or body.raw[:1] < b"\x30":
        return
    if body.raw[0] >> 4 != mqtt.PacketType.PUBLISH:
        return
    packet = mqtt.decode(body.raw, body.level)
    if not isinstance(packet, mqtt.Publish):
        return
    topics = [(name, bound.state, bound.member, bound.words) for name, bound in binding.properties.items()]
    topics += [(name, bound.topic, bound.member, bound.values) for name, bound in binding.events.items()]
    for name, topic, member, values in topics:
        if topic != packet.topic:
            continue
        value = decode_mqtt(packet.payload, member, values)
        # Members of a shared JSON object may be left out where they did not change.
        if isinstance(value, Undecoded) and value.absent:
            continue
        yield _report(event, name, value, Transport.MQTT, retained=packet.retain, repeated=packet.dup)


class CoapRequests:
    """Remembers which request each token stands for, to read the responses."""

    def __init__(self) -> None:
        self._paths: dict[tuple[str, bytes], str] = {}
        self._registering: set[tuple[str, bytes]] = set()
        self._observing: set[tuple[str, bytes]] = set()

    def reports(self, profile: Profile, event: Event, body: CoapDatagram) -> Iterator[Report]:
        """The values in one CoAP datagram; none when it is no response to a GET on a bound path."""
        message = coap.decode(body.raw)
        key = (body.local, message.token)
        if body.direction is Direction.TO_DUT:
            if message.code == coap.Code.GET:
                self._paths[key] = message.uri_path
                self._observing.discard(key)
                self._registering.discard(key)
                if message.observe == 0:
                    self._registering.add(key)
            elif 1 <= message.code < 32:
                # The token now belongs to a request whose response reports no state.
                self._paths.pop(key, None)
            return
        if message.code != coap.Code.CONTENT or key not in self._paths:
            return
        path = self._paths[key]
        asked = key not in self._observing
        if key in self._registering:
            # The answer to the registration itself; from now on, notifications.
            self._registering.discard(key)
            self._observing.add(key)
        block = message.block2
        partial = block is not None and (block.more or block.num > 0)
        for name, bound, member, schema in _resources(profile):
            if bound.path != path or (asked and isinstance(bound, CoapEvent)):
                continue  # only notifications report events; a read returns the last one
            value: Value | Undecoded = Undecoded("is one block of several")
            if not partial:
                content_format = message.content_format
                value = decode_coap(message.payload, content_format, member, bound.format.number, schema)
            yield _report(event, name, value, Transport.COAP, asked=asked)


def _resources(
    profile: Profile,
) -> Iterator[tuple[str, CoapProperty | CoapEvent, str | None, DataSchema | None]]:
    """The resources that carry values: property or event, binding, member and schema."""
    binding = profile.bindings.coap or CoapBinding()
    for name, bound in binding.properties.items():
        yield name, bound, bound.member, profile.properties[name]
    for name, event_bound in binding.events.items():
        yield name, event_bound, None, profile.events[name].data


def _report(
    event: Event,
    name: str,
    value: Value | Undecoded,
    transport: Transport,
    *,
    retained: bool = False,
    asked: bool = False,
    repeated: bool = False,
) -> Report:
    if isinstance(value, Undecoded):
        return Report(event, name, None, transport, value.why, retained, asked, repeated)
    return Report(event, name, value, transport, None, retained, asked, repeated)
