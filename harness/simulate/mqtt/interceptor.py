"""The wire between a simulated device and its broker, where faults change packets."""

from __future__ import annotations

from collections.abc import Sequence

from harness.links.mqtt.brokers.address import BrokerAddress
from harness.links.mqtt.tap.tap import Tap
from harness.simulate.mqtt.deviations import PacketFilter
from harness.trace.events import Direction


def filtered_tap(
    broker: tuple[str, int], outgoing: Sequence[PacketFilter], incoming: Sequence[PacketFilter]
) -> Tap:
    """A tap that records nothing and filters packets in each direction. Not started yet."""
    tap = Tap(BrokerAddress(*broker))
    for direction, filters in ((Direction.FROM_DUT, outgoing), (Direction.TO_DUT, incoming)):
        if filters:
            tap.rewrite(_chained(filters), direction)
    return tap


def _chained(filters: Sequence[PacketFilter]) -> PacketFilter:
    def rewrite(packet: bytes) -> list[bytes]:
        passed = [packet]
        for each in filters:
            passed = [result for one in passed for result in each(one)]
        return passed

    return rewrite


def announcing_keep_alive(seconds: int) -> PacketFilter:
    """A filter that makes every CONNECT announce this keep-alive."""

    def rewrite(packet: bytes) -> list[bytes]:
        if packet[0] >> 4 != 1:
            return [packet]
        start = 1
        while packet[start] & 0x80:
            start += 1
        # After the remaining length: protocol name (two bytes of length, the name), level, flags.
        name = int.from_bytes(packet[start + 1 : start + 3], "big")
        at = start + 1 + 2 + name + 2
        return [packet[:at] + seconds.to_bytes(2, "big") + packet[at + 2 :]]

    return rewrite
