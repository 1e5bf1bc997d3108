from __future__ import annotations

from itertools import count

from harness.model.bindings.mqtt import (
    Availability,
    MqttBinding,
    MqttProperty,
)
from harness.session.bench.presence import PresenceStep, mqtt_present
from harness.trace.events import (
    Body,
    Connection,
    ConnectionChange,
    Direction,
    Event,
    MqttPacket,
    Point,
)
from harness.wire import mqtt

BINDING = MqttBinding(
    base="home/plug",
    client_id="plug",
    keep_alive=15,
    availability=Availability(topic="home/plug/status"),
    properties={"relay": MqttProperty(state="home/plug/relay", command="home/plug/relay/set")},
)
ONLINE = mqtt.encode_publish("home/plug/status", b"online", retain=True)


def trace(*bodies: Body) -> list[Event]:
    lines = count(1)
    return [Event(next(lines), 0.0, body) for body in bodies]


def changed(connection: int, change: ConnectionChange) -> Connection:
    return Connection(Point.TAP, connection, change, Direction.FROM_DUT)


def opened(connection: int) -> Connection:
    return changed(connection, ConnectionChange.OPENED)


def to_dut(connection: int, raw: bytes) -> MqttPacket:
    return MqttPacket(Point.TAP, Direction.TO_DUT, connection, raw)


def from_dut(connection: int, raw: bytes) -> MqttPacket:
    return MqttPacket(Point.TAP, Direction.FROM_DUT, connection, raw)


def session(connection: int) -> list[Body]:
    return [
        opened(connection),
        to_dut(connection, mqtt.encode_connack(0)),
        to_dut(connection, mqtt.encode_suback(1, [1])),
        from_dut(connection, ONLINE),
    ]


def test_a_device_is_there_once_it_is_accepted_subscribed_and_online() -> None:
    complete = session(1)
    assert mqtt_present(trace(*complete), BINDING, tapped=True)
    for missing in range(len(complete)):
        part = complete[:missing] + complete[missing + 1 :]
        assert not mqtt_present(trace(*part), BINDING, tapped=True)


def test_a_refused_connection_is_not_there() -> None:
    refused = [opened(1), to_dut(1, mqtt.encode_connack(5)), *session(1)[2:]]
    assert not mqtt_present(trace(*refused), BINDING, tapped=True)


def test_a_closed_connection_is_not_there() -> None:
    assert not mqtt_present(trace(*session(1), changed(1, ConnectionChange.RESET)), BINDING, tapped=True)


def test_the_late_end_of_an_older_connection_does_not_count() -> None:
    late = [*session(1), *session(2), changed(1, ConnectionChange.CLOSED)]
    assert mqtt_present(trace(*late), BINDING, tapped=True)


def test_what_an_older_connection_said_does_not_count_for_the_newest() -> None:
    assert not mqtt_present(trace(*session(1), opened(2)), BINDING, tapped=True)


def test_without_a_tap_the_newest_availability_decides() -> None:
    def told(payload: bytes) -> MqttPacket:
        raw = mqtt.encode_publish("home/plug/status", payload, retain=True)
        return MqttPacket(Point.CLIENT, Direction.FROM_DUT, 1, raw)

    assert mqtt_present(trace(told(b"offline"), told(b"online")), BINDING, tapped=False)
    assert not mqtt_present(trace(told(b"online"), told(b"offline")), BINDING, tapped=False)
    assert not mqtt_present(trace(), BINDING, tapped=False)


def test_a_device_that_does_not_say_that_it_is_online_is_there_for_whoever_knows_that() -> None:
    silent = session(1)[:-1]
    assert not mqtt_present(trace(*silent), BINDING, tapped=True)
    assert mqtt_present(trace(*silent), BINDING, tapped=True, without=[PresenceStep.ONLINE])
    assert not mqtt_present(trace(*silent[:-1]), BINDING, tapped=True, without=[PresenceStep.ONLINE])
