"""Whether the device is present, as far as the trace shows."""

from __future__ import annotations

from collections.abc import Sequence

from harness.model.bindings.mqtt import MqttBinding
from harness.trace.events import (
    Act,
    Connection,
    ConnectionChange,
    Direction,
    Event,
    Fate,
    MqttPacket,
    Point,
    Stimulus,
)
from harness.trace.trace import backwards, bodies
from harness.wire import (
    coap,
    mqtt,
)

_STARTS = (Act.START, Act.REBOOT, Act.FACTORY_RESET)


def mqtt_present(
    trace: Sequence[Event],
    binding: MqttBinding,
    tapped: bool,
    *,
    silent: bool = False,
    since: int = 0,
    device: str | None = None,
) -> bool:
    """Whether the device is connected, has subscribed, and has reported that it is online.

    Decided at the tap; without a tap, from what our own client receives. With ``silent``, the report may be
    missing if the tap shows the rest. Events up to line ``since`` do not count: the power was cut there,
    which a connection may seem to survive. ``device`` is its role in a trace of several.
    """
    if tapped:
        return _present_at_tap(trace, binding, silent, since, device)
    return _present_at_client(trace, binding, since, device)


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


def coap_answers(message: coap.Message, mid: int, token: bytes) -> bool:
    """Whether a message answers the ping with that message id, or the request with that token.

    Any answer shows that the device is present; checks decide whether it is the right one.
    """
    if message.type in (coap.Type.ACK, coap.Type.RST) and message.mid == mid:
        return True
    return message.is_response and message.token == token


def _present_at_tap(
    trace: Sequence[Event], binding: MqttBinding, silent: bool, since: int, device: str | None
) -> bool:
    opened = _newest_connection(trace, since, device)
    if opened is None:
        return False
    commanded = bool(binding.actions) or any(bound.command for bound in binding.properties.values())
    missing = {"accepted"}
    missing |= {"subscribed"} if commanded else set()
    missing |= {"online"} if binding.availability is not None and not silent else set()
    for event, body in bodies(trace[opened.line :], MqttPacket):
        if event.device == device and body.point is Point.TAP and body.connection == _number(opened):
            missing.discard(_step(body, binding))
            if not missing:
                return True
    return False


def _newest_connection(trace: Sequence[Event], since: int, device: str | None) -> Event | None:
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


def _step(body: MqttPacket, binding: MqttBinding) -> str:
    """The step towards being present that a packet at the tap stands for, or an empty text."""
    if body.fate is Fate.DROPPED:
        return ""
    if body.direction is Direction.FROM_DUT:
        return "online" if _reports_online(body, binding) else ""
    if body.raw[0] >> 4 == mqtt.PacketType.SUBACK:
        return "subscribed"
    if body.raw[0] >> 4 == mqtt.PacketType.CONNACK:
        packet = mqtt.decode(body.raw, body.level)
        return "accepted" if isinstance(packet, mqtt.Connack) and packet.code == 0 else ""
    return ""


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
