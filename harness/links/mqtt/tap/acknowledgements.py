"""Distinguishes answers to injected packets from answers to real ones."""

from __future__ import annotations

from collections import Counter

from harness.wire.mqtt.codec import (
    Ack,
    Packet,
    PacketType,
    Pingreq,
    Publish,
    Subscribe,
    Unsubscribe,
)

_ANSWERS = {
    PacketType.PUBACK,
    PacketType.PUBREC,
    PacketType.PUBCOMP,
    PacketType.SUBACK,
    PacketType.UNSUBACK,
    PacketType.PINGRESP,
}

_Key = tuple[PacketType, int]


class AnswerTracker:
    """Records what was sent to one side of a connection, to match its answers.

    An answer that the other side waits for is never attributed to an injected packet, even with the same
    packet id; so the second PUBACK after an injected duplicate is absorbed.
    """

    def __init__(self) -> None:
        self._due: Counter[_Key] = Counter()
        self._ours: set[_Key] = set()

    def expect(self, packet: Packet, *, injected: bool) -> None:
        """Note a packet that was sent to this side."""
        key = _answer_to(packet)
        if key is None:
            return
        if injected:
            self._ours.add(key)
        else:
            self._due[key] += 1

    def absorbs(self, packet: Packet) -> bool:
        """Whether this packet answers an injected one and must not be forwarded."""
        if packet.type not in _ANSWERS:
            return False
        key = packet.type, getattr(packet, "packet_id", 0)
        if self._due[key] > 0:
            self._due[key] -= 1
            return False
        return key in self._ours


def _answer_to(packet: Packet) -> _Key | None:
    match packet:
        case Publish(qos=1, packet_id=int(packet_id)):
            return PacketType.PUBACK, packet_id
        case Publish(qos=2, packet_id=int(packet_id)):
            return PacketType.PUBREC, packet_id
        case Ack(type=PacketType.PUBREL, packet_id=packet_id):
            return PacketType.PUBCOMP, packet_id
        case Subscribe(packet_id=packet_id):
            return PacketType.SUBACK, packet_id
        case Unsubscribe(packet_id=packet_id):
            return PacketType.UNSUBACK, packet_id
        case Pingreq():
            return PacketType.PINGRESP, 0
    return None
