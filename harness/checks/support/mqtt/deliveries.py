"""Messages delivered to the device, and its acknowledgements."""

from __future__ import annotations

from harness.checks.case import Case, Decoded, first
from harness.trace.events import Direction, Fate, MqttPacket
from harness.wire import mqtt


def deliveries(case: Case) -> list[Decoded[mqtt.Publish, MqttPacket]]:
    """Messages that reached the device in the window, from the broker or injected."""
    return [
        seen
        for seen in case.mqtt(mqtt.Publish, direction=Direction.TO_DUT)
        if seen.body.fate is not Fate.DROPPED
    ]


def answers(case: Case, kind: mqtt.PacketType) -> list[Decoded[mqtt.Ack, MqttPacket]]:
    """Acknowledgements of one kind that the device sent in the window."""
    return [seen for seen in case.mqtt(mqtt.Ack) if seen.value.type is kind]


def answer_to(
    case: Case, message: Decoded[mqtt.Publish, MqttPacket], kind: mqtt.PacketType
) -> Decoded[mqtt.Ack, MqttPacket] | None:
    """The first acknowledgement of that kind after a message, on its connection, with its identifier."""
    return first(
        answers(case, kind),
        lambda seen: (
            seen.line > message.line
            and seen.body.connection == message.body.connection
            and seen.value.packet_id == message.value.packet_id
        ),
    )
