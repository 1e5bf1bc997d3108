"""The networks that a device is on, for checks that start from another protocol, such as the serial line."""

from __future__ import annotations

from functools import partial

from harness.checks.bench import Bench
from harness.checks.case import Case, Decoded, first
from harness.checks.support.mdns.queries import resolve
from harness.checks.support.mqtt.sessions import is_opened
from harness.model.requirement import BenchFeature
from harness.trace.events import Direction, Event, MdnsPacket, MqttPacket, Point
from harness.wire import coap, mdns, mqtt

__all__ = [
    "answered_pings",
    "is_opened",
    "is_probe",
    "kept_states",
    "ping_coap",
    "resolve",
    "shown_on_mqtt",
]


def is_probe(event: Event) -> bool:
    """Whether the device probes for its own names, which it does when it starts (RFC 6762, 8.1)."""
    body = event.body
    if not isinstance(body, MdnsPacket) or body.direction is not Direction.FROM_DUT:
        return False
    message = mdns.decode(body.raw)
    return not message.response and bool(message.authorities)


async def ping_coap(
    bench: Bench,
    place: tuple[str, int] | None = None,
    *,
    within: float,
    what: str,
    until: float | None = None,
) -> None:
    """Ping the device, or another host and port, and wait ``within`` seconds for the answer.

    ``what`` says for the trace what is sent. ``until``: ping again up to this time of the bench.
    """
    endpoint = await (bench.coap.endpoint() if place is None else bench.coap.endpoint(place))
    while until is None or bench.now < until:
        mid = bench.coap.next_mid()
        endpoint.send(coap.encode(coap.empty(coap.Type.CON, mid)), what)
        if await endpoint.receive(partial(_answers, mid=mid), within=within) or until is None:
            break
    endpoint.close()


def _answers(message: coap.Message, mid: int) -> bool:
    return message.mid == mid


def answered_pings(case: Case, host: str, port: int) -> tuple[list[Event], bool]:
    """The CoAP datagrams from and to an address, and whether one of them answers a ping of the harness."""
    datagrams = [seen for seen in case.coap(None) if seen.body.remote == f"{host}:{port}"]
    pings = {seen.value.mid for seen in datagrams if seen.body.direction is Direction.TO_DUT}
    answered = any(
        seen.body.direction is Direction.FROM_DUT
        and seen.value.type is coap.Type.RST
        and seen.value.mid in pings
        for seen in datagrams
    )
    return [seen.event for seen in datagrams], answered


def shown_on_mqtt(case: Case, line: int) -> Event | None:
    """What shows the device on its broker again after a line: the answer to its subscription, or its CONNECT.

    None where the tap did not see it connect.
    """
    if not case.offers(BenchFeature.TAP):
        return None
    connect = first(case.mqtt(mqtt.Connect, point=Point.TAP), lambda seen: seen.line > line)
    if connect is None:
        return None
    subacks = case.mqtt(mqtt.Suback, direction=Direction.TO_DUT)
    subscribed = first(subacks, lambda seen: seen.line > connect.line)
    return connect.event if subscribed is None else subscribed.event


def kept_states(case: Case, connection: int) -> list[Decoded[mqtt.Publish, MqttPacket]]:
    """The retained messages that the broker delivered on a connection of the harness."""
    return [
        seen
        for seen in case.mqtt(mqtt.Publish, direction=Direction.FROM_DUT, point=Point.CLIENT)
        if seen.body.connection == connection and seen.value.retain
    ]
