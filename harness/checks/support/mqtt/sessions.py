"""The device's MQTT connections as recorded at the tap, for judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from harness.checks.case import Case, Decoded
from harness.trace.events import Connection, ConnectionChange, Direction, Event, Fate, MqttPacket, Point
from harness.wire import mqtt
from harness.wire.problem import Problem

P = TypeVar("P", bound=mqtt.Packet)


@dataclass(frozen=True, slots=True)
class Session:
    """One connection of the device, from its opening to its end; ``packets`` of both directions, in order."""

    number: int
    opened: Event
    packets: Sequence[Decoded[mqtt.Packet, MqttPacket]]
    ended: Decoded[Connection, Connection] | None

    def sent(self, kind: type[P]) -> list[Decoded[P, MqttPacket]]:
        """The packets of one kind that the device sent."""
        return [
            Decoded(seen.event, seen.body, seen.value)
            for seen in self.packets
            if seen.body.direction is Direction.FROM_DUT and isinstance(seen.value, kind)
        ]

    def received(self, kind: type[P]) -> list[Decoded[P, MqttPacket]]:
        """The packets of one kind that reached the device, from the broker or injected."""
        return [
            Decoded(seen.event, seen.body, seen.value)
            for seen in self.packets
            if seen.body.direction is Direction.TO_DUT
            and seen.body.fate is not Fate.DROPPED
            and isinstance(seen.value, kind)
        ]

    @property
    def connect(self) -> Decoded[mqtt.Connect, MqttPacket] | None:
        """The device's CONNECT."""
        return next(iter(self.sent(mqtt.Connect)), None)

    @property
    def accepted(self) -> Decoded[mqtt.Connack, MqttPacket] | None:
        """The CONNACK that accepted it."""
        return next((seen for seen in self.received(mqtt.Connack) if seen.value.code == 0), None)

    @property
    def keep_alive(self) -> int:
        """Seconds of keep-alive in force, from CONNACK (5.0: 3.2.2.3.14) or CONNECT; 0 without."""
        given = self.accepted.value.property(mqtt.PropertyId.SERVER_KEEP_ALIVE) if self.accepted else None
        if isinstance(given, int):
            return given
        return self.connect.value.keep_alive if self.connect else 0


def sessions(case: Case) -> list[Session]:
    """The connections that were opened in the window, in order."""
    packets: dict[int, list[Decoded[mqtt.Packet, MqttPacket]]] = {}
    for seen in case.mqtt(mqtt.Packet, direction=None):
        packets.setdefault(seen.body.connection, []).append(seen)
    changes = case.connections()
    ends = {
        seen.value.connection: seen for seen in changes if seen.value.change is not ConnectionChange.OPENED
    }
    return [
        Session(
            seen.value.connection,
            seen.event,
            packets.get(seen.value.connection, []),
            ends.get(seen.value.connection),
        )
        for seen in changes
        if seen.value.change is ConnectionChange.OPENED
    ]


def so_far(case: Case) -> Case:
    """The case with its window extended back to the start of the run.

    For checks that share a costly stimulus: the first carries it out, all judge it.
    """
    return replace(case, window=case.trace[: case.window[-1].line])


def connects(case: Case) -> list[Decoded[mqtt.Connect, MqttPacket]]:
    """Every decodable CONNECT of the device."""
    return case.mqtt(mqtt.Connect)


def breaches(
    packets: Sequence[Decoded[P, MqttPacket]], *clauses: str
) -> list[tuple[Decoded[P, MqttPacket], Problem]]:
    """Packets that break one of these clauses, such as ``MQTT-2.2.2-1``, each with its problem."""
    return [
        (seen, problem) for seen in packets for problem in seen.value.problems if problem.clause in clauses
    ]


def is_opened(event: Event) -> bool:
    """Whether the device opened a connection, as seen at the tap."""
    body = event.body
    return isinstance(body, Connection) and body.point is Point.TAP and body.change is ConnectionChange.OPENED


def is_loss(event: Event) -> bool:
    """Whether a connection of the device ended, as seen at the tap."""
    body = event.body
    if not isinstance(body, Connection) or body.point is not Point.TAP:
        return False
    return body.change is not ConnectionChange.OPENED


def tapped(event: Event, direction: Direction, kind: mqtt.PacketType) -> mqtt.Packet | None:
    """The packet in an event, if it is one of this kind at the tap, for stimuli that wait for it."""
    body = event.body
    if isinstance(body, MqttPacket) and body.point is Point.TAP and body.direction is direction:
        # The nibble first: stimuli look through whole traces.
        return mqtt.decode(body.raw, body.level) if body.raw[:1] and body.raw[0] >> 4 == kind else None
    return None
