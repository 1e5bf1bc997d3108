from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mqtt_samples import LEVEL_4, LEVEL_5, SAMPLES

from harness.trace.events import (
    Act,
    Body,
    CheckEnded,
    CheckStarted,
    CoapDatagram,
    Connection,
    ConnectionChange,
    Direction,
    Fate,
    Judged,
    MdnsPacket,
    MqttPacket,
    Note,
    Point,
    PortChange,
    RunEnded,
    RunStarted,
    SerialAnswer,
    SerialData,
    SerialPort,
    Stimulus,
    TcpProbe,
    Wait,
)
from harness.trace.readable import MOST_TEXT, bytes_text, describe, summary
from harness.wire import (
    coap,
    mdns,
    mqtt,
)
from harness.wire.coap.codec import (
    Block,
    Code,
    Message,
    Option,
    OptionNumber,
    Type,
)

SERVICE = "_http._tcp.local."


def mqtt_body(raw: bytes, level: int = 4, fate: Fate = Fate.FORWARDED) -> MqttPacket:
    return MqttPacket(Point.TAP, Direction.FROM_DUT, 1, raw, level, fate)


def coap_body(message: Message | bytes) -> CoapDatagram:
    raw = message if isinstance(message, bytes) else coap.encode(message)
    return CoapDatagram(Direction.TO_DUT, "127.0.0.1:40000", "127.0.0.1:5683", raw)


def mdns_body(raw: bytes, unicast: bool = False) -> MdnsPacket:
    return MdnsPacket(Direction.FROM_DUT, "192.0.2.7:5353", "224.0.0.251:5353", raw, unicast)


GET = coap.request(Code.GET, "/sensors/temp", mid=1, token=b"\x4a")
PTR = mdns.record(SERVICE, mdns.Ptr("Plug." + SERVICE), ttl=4500)
SRV = mdns.record("Plug." + SERVICE, mdns.Srv(0, 0, 80, "plug.local."), ttl=120)
A = mdns.record("plug.local.", mdns.Address("192.0.2.7"), ttl=0)

SUMMARIES: list[tuple[Body, str]] = [
    (
        mqtt_body(mqtt.encode_publish("home/plug/relay", b"true", 1, packet_id=3, retain=True)),
        "PUBLISH home/plug/relay QoS 1 retain: true",
    ),
    (
        mqtt_body(mqtt.encode_publish("a", b"", 1, packet_id=3, dup=True), fate=Fate.INJECTED),
        "PUBLISH a QoS 1 DUP: (empty) (injected)",
    ),
    (mqtt_body(mqtt.encode_publish("a", b"\xa1\0")), "PUBLISH a QoS 0: 0xa100"),
    (mqtt_body(LEVEL_4[1]), "CONNECT 'plug' keep-alive 60 s clean will home/plug/status"),
    (mqtt_body(mqtt.encode_connack(0, True)), "CONNACK code 0 session present"),
    (mqtt_body(mqtt.encode_ack(mqtt.PacketType.PUBREC, 9)), "PUBREC 9"),
    (mqtt_body(LEVEL_5[8], 5), "PUBREL 7 code 0x92"),
    (mqtt_body(LEVEL_4[11]), "SUBSCRIBE 1 home/+/set QoS 1, # QoS 2"),
    (mqtt_body(LEVEL_4[13]), "UNSUBSCRIBE 1 home/+/set, a"),
    (mqtt_body(mqtt.encode_suback(1, [0, 0x80])), "SUBACK 1 0x00 0x80"),
    (mqtt_body(mqtt.encode_pingresp(), fate=Fate.DROPPED), "PINGRESP (dropped)"),
    (mqtt_body(b"\xe0\0"), "DISCONNECT"),
    (mqtt_body(b"\xe0\1\x04", 5), "DISCONNECT code 0x04"),
    (
        mqtt_body(b"\x30\x05\0"),
        "PUBLISH that cannot be decoded: 0x300500 "
        "[violation: the body needs 5 bytes where 1 are left in the packet (2.2.3)]",
    ),
    (coap_body(GET), "CON GET /sensors/temp [token 4a]"),
    (
        coap_body(
            Message(
                1,
                Type.ACK,
                Code.CONTENT,
                1,
                b"\x4a",
                (Option(OptionNumber.OBSERVE, b"\x05"), Option(OptionNumber.BLOCK2, b"\x1e")),
                b"21.5",
            )
        ),
        "ACK 2.05 Content [token 4a] observe 5 block2 1+/1024: 21.5",
    ),
    (coap_body(coap.request(Code.PUT, "/a?b=c", mid=1, token=b"")), "CON PUT /a?b=c"),
    (coap_body(coap.empty(Type.CON, 1)), "CON ping"),
    (coap_body(coap.empty(Type.RST, 7)), "RST mid 7"),
    (
        coap_body(b"\x40\1\0\1\xff"),
        "CON GET / [violation: a payload marker without payload (RFC 7252 3)]",
    ),
    (
        mdns_body(mdns.encode_response([PTR, SRV], additionals=[A])),
        f"mDNS response PTR {SERVICE} → Plug.{SERVICE}; SRV Plug.{SERVICE} → plug.local.:80; 1 more",
    ),
    (
        mdns_body(mdns.encode_response([A]), unicast=True),
        "mDNS response A plug.local. → 192.0.2.7 goodbye (unicast)",
    ),
    (
        mdns_body(mdns.encode_query([mdns.Question(SERVICE, 12, True)], known_answers=[PTR])),
        f"mDNS query PTR {SERVICE} QU; known answers 1",
    ),
    (
        mdns_body(mdns.encode_query([mdns.Question("plug.local.", 255)], authorities=[A])),
        "mDNS query ANY plug.local.; proposes A plug.local. → 192.0.2.7 goodbye",
    ),
    (
        Connection(Point.TAP, 2, ConnectionChange.RESET, Direction.FROM_DUT),
        "connection 2 at the tap reset by the device",
    ),
    (Wait(0.75, "RFC 6762 8.1", "probing"), "wait 0.75 s (RFC 6762 8.1): probing"),
    (Wait(2, "profile", ""), "wait 2 s (profile)"),
    (
        Stimulus(Act.WRITE, "relay", '"on"', "mqtt", legal=False),
        'write relay = "on" over mqtt (not allowed by the profile)',
    ),
    (Stimulus(Act.KILL), "kill"),
    (
        TcpProbe("127.0.0.1", 80, True, b"x", b"HTTP/1.1 200 OK\r\n"),
        r"TCP 127.0.0.1:80 accepts: HTTP/1.1 200 OK\r\n",
    ),
    (TcpProbe("127.0.0.1", 80, False), "TCP 127.0.0.1:80 does not accept"),
    (SerialData(Direction.FROM_DUT, b"ok\r\n", "ok"), "serial: ok"),
    (SerialData(Direction.FROM_DUT, b"\xff\0"), "serial: 0xff00"),
    (SerialData(Direction.FROM_DUT, b"\x55\xaa", None, "frame 0x07"), "serial: frame 0x07"),
    (
        SerialPort(PortChange.VANISHED, "/dev/ttyUSB0", "unplugged"),
        "serial port /dev/ttyUSB0 vanished: unplugged",
    ),
    (SerialPort(PortChange.OPENED, "/dev/ttyUSB0"), "serial port /dev/ttyUSB0 opened"),
    (SerialAnswer("read_state", "power", "true"), "serial: read_state power: true"),
    (SerialAnswer("reboot"), "serial: reboot: done"),
    (SerialAnswer("memory", problem="no answer within 2 s"), "serial: memory: no answer within 2 s"),
    (CheckStarted("MQTT-DEV-014", "power", "mqtt"), "check MQTT-DEV-014[power/mqtt] begins"),
    (CheckEnded("MQTT-DEV-014", None, None, "no broker"), "check MQTT-DEV-014 ends: no broker"),
    (Judged("X-1", "power", None, "fail", "wrong", (3,)), "check X-1[power]: fail: wrong"),
    (Note("two\nlines"), r"two\nlines"),
    (RunEnded("complete"), "run ends: complete"),
    (
        RunStarted("{}", "plug.yaml", "simulated", 7, "0.1", "2024-01-01T00:00:00Z", ()),
        "run of plug.yaml on simulated begins (seed 7, version 0.1)",
    ),
]


@pytest.mark.parametrize(
    ("body", "text"), SUMMARIES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_summaries(body: Body, text: str) -> None:
    assert summary(body) == text


def test_described_publish() -> None:
    raw = mqtt.encode_publish("home/plug/relay", b"true", 1, packet_id=3, retain=True)
    assert describe(mqtt_body(raw)) == {
        "packet": "PUBLISH",
        "topic": "home/plug/relay",
        "payload": "true",
        "qos": 1,
        "dup": False,
        "retain": True,
        "packet_id": 3,
    }


def test_described_connect_does_not_show_the_password() -> None:
    described = describe(mqtt_body(LEVEL_4[1]))
    assert described
    assert described["will"]["topic"] == "home/plug/status"
    assert described["username"] == "user"
    assert "secret" not in json.dumps(described)


def test_described_request() -> None:
    message = coap.request(Code.GET, "/a", mid=5, token=b"\1", accept=50, block2=Block(0, False, 2))
    assert describe(coap_body(message)) == {
        "type": "CON",
        "code": "GET",
        "mid": 5,
        "token": "01",
        "options": [
            {"name": "Uri-Path", "value": "a"},
            {"name": "Accept", "value": "50"},
            {"name": "Block2", "value": "2"},
        ],
    }


def test_described_response_of_mdns() -> None:
    other = mdns.Record("x.", 64, 1, False, 10, b"\1", mdns.Unknown())
    assert describe(mdns_body(mdns.encode_response([SRV], additionals=[other]))) == {
        "response": True,
        "id": 0,
        "authoritative": True,
        "answers": [
            {
                "name": "Plug." + SERVICE,
                "type": "SRV",
                "ttl": 120,
                "cache_flush": False,
                "data": {
                    "priority": 0,
                    "weight": 0,
                    "port": 80,
                    "target": "plug.local.",
                    "compressed": False,
                },
            }
        ],
        "additionals": [{"name": "x.", "type": "TYPE64", "ttl": 10, "cache_flush": False, "data": "01"}],
    }


def test_problems_are_described() -> None:
    described = describe(coap_body(b"\x40\1\0\1\xff"))
    assert described and described["problems"] == ["a payload marker without payload (RFC 7252 3)"]
    described = describe(mqtt_body(b"\x30\x05\0"))
    assert described and described["undecodable"] and described["problems"]


def test_what_holds_no_packet_is_not_described() -> None:
    assert [describe(body) for body, _ in SUMMARIES[-12:]] == [None] * 12


@given(st.binary(max_size=80), st.sampled_from(SAMPLES), st.data())
def test_any_packet_can_be_described_and_summarised(
    raw: bytes, sample: tuple[bytes, int], data: st.DataObject
) -> None:
    damaged = bytearray(sample[0])
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    bodies = [
        mqtt_body(raw),
        mqtt_body(raw, 5),
        mqtt_body(bytes(damaged), sample[1]),
        coap_body(raw),
        mdns_body(raw),
    ]
    for body in bodies:
        described = describe(body)
        assert json.loads(json.dumps(described)) == described
        assert summary(body).isprintable()


@given(st.binary(max_size=100), st.integers(1, 50))
def test_bytes_as_text(data: bytes, most: int) -> None:
    text = bytes_text(data, most)
    assert text.isprintable()
    assert len(text) <= most


def test_a_long_payload_is_cut() -> None:
    assert bytes_text("ä".encode() * 2000) == "ä" * (MOST_TEXT - 1) + "…"
    assert bytes_text("21,5 °C — ok".encode()) == "21,5 °C — ok"
