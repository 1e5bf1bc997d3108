"""Whether the device is present, as far as the trace shows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import StrEnum

from harness.model.bindings.mqtt import MqttBinding
from harness.model.bindings.serial_log import tells_boot
from harness.model.profile import Profile
from harness.trace.events import (
    Act,
    Connection,
    ConnectionChange,
    Direction,
    Event,
    Fate,
    MdnsPacket,
    MqttPacket,
    Point,
    SerialData,
    Stimulus,
)
from harness.trace.trace import backwards, bodies
from harness.wire import (
    coap,
    mqtt,
)


class PresenceStep(StrEnum):
    """A step of a device on its way to being present over MQTT."""

    ACCEPTED = "accepted"
    SUBSCRIBED = "subscribed"
    ONLINE = "online"


_STARTS = (Act.START, Act.REBOOT, Act.FACTORY_RESET)


def mqtt_present(
    trace: Sequence[Event],
    binding: MqttBinding,
    tapped: bool,
    *,
    without: Collection[PresenceStep] = (),
    since: int = 0,
    device: str | None = None,
) -> bool:
    """Whether the device is connected, has subscribed, and has reported that it is online.

    Decided at the tap, where the steps ``without`` may be missing; without a tap, from what our own client
    receives. Events up to line ``since`` do not count: the power was cut there,
    which a connection may seem to survive. ``device`` is its role in a trace of several.
    """
    if tapped:
        missing = missing_at_tap(trace, binding, since=since, device=device)
        return missing is not None and missing <= set(without)
    return _present_at_client(trace, binding, since, device)


def shows_restart(event: Event, profile: Profile) -> bool:
    """Whether an event shows that the device goes down or boots: by its connection, or its log."""
    body, binding = event.body, profile.bindings.serial
    if isinstance(body, Connection):
        return body.point is Point.TAP and body.change is not ConnectionChange.OPENED
    if not isinstance(body, SerialData) or body.line is None or body.direction is not Direction.FROM_DUT:
        return False
    return binding is not None and tells_boot(binding, body.line)


def is_mdns_of_device(event: Event) -> bool:
    """Whether an event is an mDNS packet of the device."""
    return isinstance(event.body, MdnsPacket) and event.body.direction is Direction.FROM_DUT


def last_start(trace: Sequence[Event], device: str | None = None) -> float:
    """When the device was started or connected last, in seconds since the start of the run; 0 if never."""
    times = [0.0]
    for event, body in backwards(trace, Connection):
        is_opening = body.point is Point.TAP and body.change is ConnectionChange.OPENED
        if is_opening and event.device == device:
            times.append(event.time)
            break
    for event, stimulus in backwards(trace, Stimulus):
        if stimulus.act in _STARTS and event.device == device:
            times.append(event.time)
            break
    return max(times)


def is_switched_off(trace: Sequence[Event], device: str | None = None) -> bool:
    """Whether the harness has stopped the device, or cut its power, and not started it again."""
    for event, stimulus in backwards(trace, Stimulus):
        if event.device == device and stimulus.act in (Act.KILL, Act.STOP, *_STARTS):
            return stimulus.act in (Act.KILL, Act.STOP)
    return False


def coap_answers(message: coap.Message, mid: int, token: bytes) -> bool:
    """Whether a message answers the ping with that message id, or the request with that token.

    Any answer shows that the device is present; checks decide whether it is the right one.
    """
    if message.type in (coap.Type.ACK, coap.Type.RST) and message.mid == mid:
        return True
    return message.is_response and message.token == token


def missing_at_tap(
    trace: Sequence[Event], binding: MqttBinding, *, since: int = 0, device: str | None = None
) -> set[PresenceStep] | None:
    """The steps that the device's newest connection lacks; None if it has no connection."""
    opened = newest_connection(trace, since, device)
    if opened is None:
        return None
    commanded = bool(binding.actions) or any(bound.command for bound in binding.properties.values())
    missing = {PresenceStep.ACCEPTED}
    missing |= {PresenceStep.SUBSCRIBED} if commanded else set()
    missing |= {PresenceStep.ONLINE} if binding.availability is not None else set()
    for event, body in bodies(trace[opened.line :], MqttPacket):
        if event.device == device and body.point is Point.TAP and body.connection == _number(opened):
            missing -= _steps(body, binding)
            if not missing:
                break
    return missing


def newest_connection(trace: Sequence[Event], since: int, device: str | None) -> Event | None:
    """The opening of the device's newest connection at the tap; None if that has ended."""
    ended: set[int] = set()
    for event, body in backwards(trace, Connection):
        if event.line <= since:
            return None
        if event.device != device or body.point is not Point.TAP:
            continue
        if body.change is ConnectionChange.OPENED:
            return None if body.connection in ended else event
        ended.add(body.connection)  # perhaps of an older one, whose end came late
    return None


def _number(opened: Event) -> int:
    assert isinstance(opened.body, Connection)
    return opened.body.connection


def _steps(body: MqttPacket, binding: MqttBinding) -> set[PresenceStep]:
    """The steps towards being present that a packet at the tap stands for."""
    if body.fate is Fate.DROPPED:
        return set()
    if body.direction is Direction.FROM_DUT:
        return {PresenceStep.ONLINE} if _reports_online(body, binding) else set()
    if body.raw[0] >> 4 == mqtt.PacketType.SUBACK:
        return {PresenceStep.SUBSCRIBED}
    if body.raw[0] >> 4 == mqtt.PacketType.CONNACK:
        packet = mqtt.decode(body.raw, body.level)
        if isinstance(packet, mqtt.Connack) and packet.code == 0:
            # A session that the broker has kept holds the subscriptions (MQTT 3.1.1, 3.1.2.4).
            return (
                {PresenceStep.ACCEPTED, PresenceStep.SUBSCRIBED}
                if packet.session_present
                else {PresenceStep.ACCEPTED}
            )
    return set()


def _present_at_client(trace: Sequence[Event], binding: MqttBinding, since: int, device: str | None) -> bool:
    """The newest availability message decides; without availability, any message of the device."""
    commands = {bound.command for bound in binding.properties.values()}
    for event, body in backwards(trace, MqttPacket):
        if event.line <= since:
            return False
        if event.device != device or body.point is not Point.CLIENT:
            continue
        if body.direction is not Direction.FROM_DUT or body.raw[0] >> 4 != mqtt.PacketType.PUBLISH:
            continue
        if binding.availability is None:
            packet = mqtt.decode(body.raw, body.level)
            if isinstance(packet, mqtt.Publish) and packet.topic not in commands:
                return True
        elif _reports_online(body, binding):
            return True
        elif _availability(body, binding) is not None:
            return False
    return False


def _reports_online(body: MqttPacket, binding: MqttBinding) -> bool:
    availability = binding.availability
    return availability is not None and _availability(body, binding) == availability.online.encode()


def _availability(body: MqttPacket, binding: MqttBinding) -> bytes | None:
    if binding.availability is None or body.raw[0] >> 4 != mqtt.PacketType.PUBLISH:
        return None
    packet = mqtt.decode(body.raw, body.level)
    if isinstance(packet, mqtt.Publish) and packet.topic == binding.availability.topic:
        return packet.payload
    return None
