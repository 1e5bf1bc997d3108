"""Whether the device is there: read from the trace, so that nothing is asked twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.model.binding import MqttBinding
from harness.trace import coap, mqtt
from harness.trace.events import Connection, ConnectionChange, Direction, Event, Fate, MqttPacket, Point


def mqtt_present(
    trace: Sequence[Event],
    binding: MqttBinding,
    tapped: bool,
    *,
    silent: bool = False,
    since: int = 0,
    device: str | None = None,
) -> bool:
    """Whether the DUT is connected, has its subscriptions, and has said that it is online.

    Seen at the tap; without one, from what our own client gets of the DUT. One that is ``silent`` need not
    say so, if the tap shows the rest. What stands up to line ``since`` does not count: the power was cut
    there, and a connection may outlive that as far as anybody can see. ``device`` is its role in a trace of
    several.
    """
    newest_first = (event for event in reversed(trace) if event.device == device)
    return (
        _present_at_tap(newest_first, binding, silent, since)
        if tapped
        else _present_at_client(newest_first, binding, since)
    )


def coap_answers(message: coap.Message, mid: int, token: bytes) -> bool:
    """Whether a message answers the ping with that message id, or the request with that token.

    Any answer shows that the device is there; whether it is the right one is for the checks to say.
    """
    if message.type in (coap.Type.ACK, coap.Type.RST) and message.mid == mid:
        return True
    return message.is_response and message.token == token


def _present_at_tap(newest_first: Iterable[Event], binding: MqttBinding, silent: bool, since: int) -> bool:
    commanded = bool(binding.actions) or any(bound.command for bound in binding.properties.values())
    ended: set[int] = set()
    accepted: set[int] = set()
    subscribed: set[int] = set()
    told: set[int] = set()
    for event in newest_first:
        body = event.body
        if event.line <= since:
            return False
        if isinstance(body, Connection) and body.point is Point.TAP:
            newest = body.connection
            if body.change is not ConnectionChange.OPENED:
                ended.add(newest)  # perhaps of an older one, that took its time
                continue
            return (
                newest not in ended
                and newest in accepted
                and (newest in subscribed or not commanded)
                and (newest in told or silent or binding.availability is None)
            )
        if not isinstance(body, MqttPacket) or body.point is not Point.TAP or body.fate is Fate.DROPPED:
            continue
        if body.direction is Direction.FROM_DUT:
            if _says_online(body, binding):
                told.add(body.connection)
        elif body.raw[0] >> 4 == mqtt.PacketType.SUBACK:
            subscribed.add(body.connection)
        elif body.raw[0] >> 4 == mqtt.PacketType.CONNACK:
            packet = mqtt.decode(body.raw, body.level)
            if isinstance(packet, mqtt.Connack) and packet.code == 0:
                accepted.add(body.connection)
    return False


def _present_at_client(newest_first: Iterable[Event], binding: MqttBinding, since: int) -> bool:
    """The newest availability message decides; without availability, any message of the DUT."""
    for event in newest_first:
        body = event.body
        if event.line <= since:
            return False
        if not isinstance(body, MqttPacket) or body.point is not Point.CLIENT:
            continue
        if body.direction is not Direction.FROM_DUT or body.raw[0] >> 4 != mqtt.PacketType.PUBLISH:
            continue
        if binding.availability is None:
            packet = mqtt.decode(body.raw, body.level)
            commands = {bound.command for bound in binding.properties.values()}
            if isinstance(packet, mqtt.Publish) and packet.topic not in commands:
                return True
        elif _says_online(body, binding):
            return True
        elif _availability(body, binding) is not None:
            return False
    return False


def _says_online(body: MqttPacket, binding: MqttBinding) -> bool:
    availability = binding.availability
    return availability is not None and _availability(body, binding) == availability.online.encode()


def _availability(body: MqttPacket, binding: MqttBinding) -> bytes | None:
    if binding.availability is None or body.raw[0] >> 4 != mqtt.PacketType.PUBLISH:
        return None
    packet = mqtt.decode(body.raw, body.level)
    if isinstance(packet, mqtt.Publish) and packet.topic == binding.availability.topic:
        return packet.payload
    return None
