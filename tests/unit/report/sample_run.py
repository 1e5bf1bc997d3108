"""A small run with a verdict of every kind, over real packet bytes."""

from __future__ import annotations

from collections.abc import Sequence

from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, Level, Requirement
from harness.model.verdict import Outcome, Result, Subject, Verdict
from harness.session.result import Judgement, RunResult
from harness.trace.events import (
    Act,
    Body,
    CheckEnded,
    CheckStarted,
    CoapDatagram,
    Connection,
    ConnectionChange,
    Direction,
    Event,
    Fate,
    MdnsPacket,
    MqttPacket,
    Note,
    Point,
    RunEnded,
    RunStarted,
    Stimulus,
    Wait,
)

WHOLE_DEVICE = Subject()

CONNECT = bytes.fromhex("101500044d5154540402000f0009706c75672d30303031")
CONNACK = bytes.fromhex("20020000")
COAP_GET = bytes.fromhex("410100014aB5") + b"state"
COAP_CONTENT = bytes.fromhex("614500014aC0ff") + b"21.5"
MDNS_QUERY = bytes.fromhex("000000000001000000000000") + b"\x05_http\x04_tcp\x05local\x00" + b"\0\x0c\0\x01"


def publish(topic: bytes, payload: bytes) -> bytes:
    """A QoS 0 PUBLISH of less than 128 bytes."""
    body = len(topic).to_bytes(2, "big") + topic + payload
    return bytes([0x30, len(body)]) + body


def trace(*timed: tuple[float, Body]) -> list[Event]:
    return [Event(line, time, body) for line, (time, body) in enumerate(timed, start=1)]


def tapped(raw: bytes, direction: Direction, fate: Fate = Fate.FORWARDED) -> MqttPacket:
    return MqttPacket(Point.TAP, direction, 1, raw, 4, fate)


def requirement(
    name: str, area: Area, level: Level = Level.MUST, basis: Basis = Basis.NORMATIVE
) -> Requirement:
    return Requirement(
        id=name,
        area=area,
        standard="MQTT 3.1.1" if area is Area.MQTT else "RFC 7252",
        clause=f"clause of {name}",
        level=level,
        basis=basis,
        purpose=f"ensure that the IUT keeps {name}",
        stimulus=f"stimulus of {name}",
        expect=f"expectation of {name}",
        ics="",
        usual_cause=f"usual cause of {name}",
    )


def judgement(
    about: Requirement,
    verdict: Verdict,
    message: str,
    events: Sequence[int] = (),
    subject: Subject = WHOLE_DEVICE,
) -> Judgement:
    return Judgement(about, Result(about.id, subject, Outcome(verdict, message, tuple(events))))


STARTED = RunStarted(
    profile="{}",
    profile_path="profiles/smart-plug.yaml",
    dut="simulated",
    seed=7,
    tool_version="0.1.0",
    wall_time="2025-03-04T05:06:07Z",
    needs_met=("tap",),
    faults=("will-missing",),
    host="127.0.0.1",
)

EVENTS = trace(
    (0.0, STARTED),
    (0.1, Connection(Point.TAP, 1, ConnectionChange.OPENED, Direction.FROM_DUT)),
    (0.2, tapped(CONNECT, Direction.FROM_DUT)),
    (0.3, tapped(CONNACK, Direction.TO_DUT)),
    (0.4, CheckStarted("DEV-03", "relay", "mqtt")),
    (0.5, Stimulus(Act.WRITE, "relay", "true", "mqtt", True)),
    (0.6, tapped(publish(b"plug/relay/set", b"ON"), Direction.TO_DUT)),
    (0.7, tapped(publish(b"plug/relay", b"OFF"), Direction.FROM_DUT)),
    (2.7, Wait(2.0, "profile: behaviour.settle", "no report after a refused command")),
    (2.9, CheckEnded("DEV-03", "relay", "mqtt")),
    (3.0, CoapDatagram(Direction.TO_DUT, "127.0.0.1:40000", "127.0.0.1:5683", COAP_GET)),
    (3.1, CoapDatagram(Direction.FROM_DUT, "127.0.0.1:40000", "127.0.0.1:5683", COAP_CONTENT)),
    (3.5, MdnsPacket(Direction.TO_DUT, "127.0.0.1:5353", "224.0.0.251:5353", MDNS_QUERY)),
    (4.0, Wait(0.75, "RFC 6762 8.1", "three probes")),
    (4.1, Note("a note")),
    (5.0, RunEnded("complete")),
)

PROFILE = Profile.model_validate(
    {
        "profile": "smart-plug",
        "title": "Smart plug with energy meter",
        "version": "1.2.0",
        "category": "plug",
        "bindings": {},
    }
)

JUDGEMENTS = (
    judgement(requirement("MQTT-DEV-001", Area.MQTT), Verdict.PASS, "CONNECT came first", [3]),
    judgement(
        requirement("DEV-03", Area.BEHAVIOUR, basis=Basis.PROFILE),
        Verdict.FAIL,
        "reported OFF after ON was commanded",
        [7, 8],
        Subject("relay", "mqtt"),
    ),
    judgement(
        requirement("COAP-CORE-020", Area.COAP, Level.SHOULD),
        Verdict.WARN,
        "answered without an ETag",
        [11, 12],
    ),
    judgement(requirement("MDNS-01", Area.MDNS), Verdict.INCONCLUSIVE, "the device never answered", [13]),
    judgement(
        requirement("MDNS-02", Area.MDNS, Level.SHOULD), Verdict.INCONCLUSIVE, "no second responder was there"
    ),
    judgement(requirement("SEC-01", Area.SECURITY), Verdict.NOT_APPLICABLE, "needs a power switch"),
    judgement(requirement("SEC-02", Area.SECURITY), Verdict.ERROR, "the judge went wrong: KeyError"),
)

RUN = RunResult(
    profile=PROFILE,
    profile_path="profiles/smart-plug.yaml",
    dut="simulated",
    seed=7,
    tool_version="0.1.0",
    started="2025-03-04T05:06:07Z",
    judgements=JUDGEMENTS,
    events=EVENTS,
)
