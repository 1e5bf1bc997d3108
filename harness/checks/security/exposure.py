"""Exposure: open ports, and secrets that are sent in clear."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from harness.checks.bench import Bench
from harness.checks.case import Case, failed, inconclusive, not_applicable, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.support.behaviour.commands import point_of
from harness.checks.support.secrets import forms_of
from harness.model.profile import Profile
from harness.model.requirement import Area, Level
from harness.model.verdict import Outcome, Subject
from harness.trace.events import (
    CoapDatagram,
    Direction,
    Event,
    Fate,
    MdnsPacket,
    MqttPacket,
    Point,
    TcpProbe,
)
from harness.wire import mqtt

WELL_KNOWN = (
    *(7, 9, 13, 19, 20, 21, 22, 23, 25, 53, 69, 79, 80, 81, 88, 110, 111, 135, 139, 143, 161, 179, 389),
    *(443, 445, 502, 513, 514, 548, 554, 587, 631, 873, 990, 993, 1080, 1433, 1521, 1723, 1883, 1900),
    *(2000, 2049, 2222, 2323, 2375, 3000, 3128, 3232, 3306, 3389, 4000, 4443, 4840, 5000, 5001, 5037),
    *(5060, 5222, 5353, 5432, 5555, 5683, 5684, 5900, 6053, 6379, 6666, 6667, 6668, 7000, 7547, 8000),
    *(8001, 8008, 8009, 8080, 8081, 8123, 8266, 8443, 8554, 8686, 8883, 8888, 9000, 9090, 9100, 9123),
    *(9200, 9999, 10000, 10001, 20000, 32400, 34567, 37777, 47808, 49152, 50000, 52323, 55443, 60000),
)
"""TCP ports on which home devices are known to listen: services, consoles, debuggers, update servers."""

AT_ONCE = 16  # connections
PATIENCE = 1.0  # seconds for one connection

CONTROL = "127.254.254.254"
"""An unused loopback address: a port that answers here, too, belongs to another program."""

SHOWN = 8  # events that a pass names


@requirement(
    "SEC-01",
    area=Area.SECURITY,
    standard="ETSI EN 303 645 V2.1.1 / TS 103 701 V1.1.1",
    clause="5.6-1, TC 5.6-1-2, TC 5.5-5-2 b)",
    level=Level.MUST,
    purpose="ensure that the device opens only declared network services",
    stimulus=f"Connect to {len(WELL_KNOWN)} TCP ports on which devices are known to listen, and to those of "
    "the profile, at the address of the device",
    expect="Every port that accepts the connection is declared in a service or in security.open_ports",
    ics="SEC.INTERFACES",
    usual_cause="A developer console, a telnet login or a test server that was not removed from the firmware "
    "image.",
    phase=Phase.PRESSURE,
)
class OpenPorts(Check):
    """A TCP connect scan; UDP does not show reliably what is closed."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        host = bench.host
        if host is None or _is_shared(host):
            return
        hosts = [host, CONTROL] if host.startswith("127.") else [host]
        turn = asyncio.Semaphore(AT_ONCE)

        async def probe(target: str, port: int) -> None:
            async with turn:
                await bench.probe_tcp(target, port, within=PATIENCE)

        ports = sorted({*WELL_KNOWN, *declared_ports(bench.profile)})
        await asyncio.gather(*(probe(target, port) for target in hosts for port in ports))

    def judge(self, case: Case) -> Outcome:
        probes = [(event, event.body) for event in case.window if isinstance(event.body, TcpProbe)]
        if not probes:
            return not_applicable("the device has no known address of its own")
        everywhere = {probe.port for _, probe in probes if probe.host == CONTROL and probe.connected}
        own = [(event, probe) for event, probe in probes if probe.host != CONTROL]
        opened = [(event, probe) for event, probe in own if probe.connected and probe.port not in everywhere]
        declared = declared_ports(case.profile)
        undeclared = [(event, probe) for event, probe in opened if probe.port not in declared]
        if undeclared:
            ports = ", ".join(str(probe.port) for _, probe in undeclared)
            return failed(f"open, but not declared: TCP {ports}", [event for event, _ in undeclared])
        evidence = [event for event, _ in opened] or [event for event, _ in own[:SHOWN]]
        found = f"{len(opened)} of them open and declared" if opened else "none of them open"
        return passed(f"{len(own)} TCP ports were tried, {found}", evidence)


def declared_ports(profile: Profile) -> frozenset[int]:
    """The TCP ports that the profile declares."""
    found = set()
    for text in profile.security.open_ports:
        protocol, _, port = text.partition("/")
        if protocol == "tcp" and port.isdigit():
            found.add(int(port))
    if profile.bindings.mdns is not None:
        found |= {
            service.port for service in profile.bindings.mdns.services if service.type.endswith("._tcp")
        }
    return frozenset(found)


def _is_shared(host: str) -> bool:
    """Whether other programs of this machine answer at that address, too."""
    return host in ("127.0.0.1", "localhost", "::1", "0.0.0.0")


@requirement(
    "SEC-07",
    area=Area.SECURITY,
    standard="ETSI EN 303 645 V2.1.1 / TS 103 701 V1.1.1",
    clause="5.5-6, 5.5-7, TC 5.5-6-2, TC 5.5-7-2; profile: security.secrets",
    level=Level.MUST,
    purpose="ensure that the device never sends its secrets in clear",
    stimulus="All packets of the run that the device sent are searched",
    expect="No packet holds a declared secret as text or in base64, hexadecimal or percent encoding",
    ics="SEC.CSP",
    usual_cause="The whole configuration is published for the app, or shown on the info page, including the "
    "network password.",
)
class SecretsInClear(Check):
    """Passive: searches all packets of the device."""

    def judge(self, case: Case) -> Outcome:
        forms = {form: secret for secret in case.profile.security.secrets for form in forms_of(secret)}
        own = _own_topics(case)
        sent = [(event, raw) for event in case.window for raw in _from_device(case, event, own)]
        for event, raw in sent:
            lowered = raw.lower()
            for form in forms:
                if form in raw or form.lower() in lowered:
                    return failed("the device sent a declared secret in clear", event)
        if not sent:
            return inconclusive("the device sent nothing that could be searched")
        return passed(
            f"none of {len(sent)} packets of the device holds a declared secret",
            [event for event, _ in sent[:SHOWN]],
        )


def _own_topics(case: Case) -> frozenset[str]:
    """The topics that the harness published to: messages on them may be its own."""
    sent = case.mqtt(mqtt.Publish, direction=Direction.TO_DUT, point=Point.CLIENT)
    return frozenset(seen.value.topic for seen in sent)


def _is_echo(body: MqttPacket, own: frozenset[str]) -> bool:
    """Whether a packet at our own client comes from the broker or from ourselves."""
    if body.point is Point.TAP:
        return False
    packet = mqtt.decode(body.raw, body.level)
    return not isinstance(packet, mqtt.Publish) or packet.topic in own


def _from_device(case: Case, event: Event, own: frozenset[str]) -> Iterator[bytes]:
    """The bytes that the device itself sent in clear, in an event."""
    body = event.body
    if isinstance(body, MqttPacket):
        sent = body.direction is Direction.FROM_DUT and body.fate is not Fate.INJECTED
        # The tap sees packets after TLS decryption; those were not sent in clear.
        if sent and body.point is point_of(case) and "MQTT.TLS" not in case.profile.ics:
            yield from () if _is_echo(body, own) else (body.raw,)
    elif isinstance(body, CoapDatagram | MdnsPacket):
        if body.direction is Direction.FROM_DUT:
            yield body.raw
    elif isinstance(body, TcpProbe) and body.answer:
        yield body.answer
