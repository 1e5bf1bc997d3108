"""Packets that no broker may send: the device has to close the connection over them, and come back."""

from __future__ import annotations

from harness.checks.bench import Bench
from harness.checks.case import Case, Evidence, Seen, failed, first, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.mqtt.losses import closed_by_device, connected, returned, settled
from harness.checks.mqtt.sessions import sessions
from harness.checks.mqtt.topics import binding_of
from harness.model.requirement import Area, Level, Need
from harness.model.verdict import Outcome, Subject
from harness.trace import mqtt
from harness.trace.events import Connection, ConnectionChange, Direction, Fate, MqttPacket

CLOSES = 5.0  # seconds for the device to close the connection; the standard sets no time

ILL_FORMED = (b"\xc0\x80", b"\xed\xa0\x80", b"\xff")  # an overlong NUL, a lone surrogate, no UTF-8 at all


async def provoke(bench: Bench, raw: bytes, what: str) -> None:
    """Send a malformed packet in a settled session, and wait for its end and for the device to return."""
    await connected(bench)
    await settled(bench)
    since = bench.mark()
    bench.tap.inject(raw, what=what)
    sleep = binding_of(bench.profile).sleep
    # A device that is about to sleep would close by itself: that is no reaction.
    within = min(CLOSES, sleep.awake / 2) if sleep else CLOSES
    await closed_by_device(bench, since=since, within=within)
    await returned(bench)


def reaction(case: Case) -> Outcome:
    """Whether the device itself ended the connection over each malformed packet, and came back."""
    shown: list[Evidence] = []
    injected = case.mqtt(mqtt.Packet, direction=Direction.TO_DUT, fate=Fate.INJECTED)
    for packet in injected:
        end = _end_of_connection(case, packet)
        if end is None:
            return failed("the connection was kept open after a malformed packet", packet)
        if end.what.by is not Direction.FROM_DUT:
            return inconclusive("the connection was ended by the other side", packet, end)
        back = first(sessions(case), lambda session: session.accepted is not None)
        if back is None:
            return failed("the device did not come back after a malformed packet", packet, end)
        shown += [packet, end, back.opened]
    if not injected:
        return inconclusive("no malformed packet was sent")
    return passed("the device closed the connection over each malformed packet, and came back", shown)


def _end_of_connection(
    case: Case, packet: Seen[mqtt.Packet, MqttPacket]
) -> Seen[Connection, Connection] | None:
    return first(
        case.connections(),
        lambda seen: (
            seen.line > packet.line
            and seen.what.connection == packet.body.connection
            and seen.what.change is not ConnectionChange.OPENED
        ),
    )


@requirement(
    "MQTT-DEV-013",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="3.1.1: [MQTT-2.2.2-2], [MQTT-4.8.0-1]; 5.0: 4.13, [MQTT-3.14.1-1]",
    level=Level.MUST,
    purpose="ensure that the IUT closes the connection when it receives invalid reserved flags",
    stimulus="Send a PINGRESP with a reserved flag set",
    expect="The DUT closes the connection (with 5.0 it may say DISCONNECT first), and comes back",
    ics="MQTT.CLIENT",
    needs=(Need.TAP,),
    usual_cause="The packet type is taken out of the first byte and the rest of it is thrown away.",
)
class InvalidFlags(Check):
    """Injects one packet, waits for the end of the connection."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        flag = 1 << bench.random.randrange(4)
        packet = mqtt.encode_packet(mqtt.PacketType.PINGRESP, flag, b"")
        await provoke(bench, packet, f"PINGRESP with the flags {flag:04b}")

    def judge(self, case: Case) -> Outcome:
        return reaction(case)
