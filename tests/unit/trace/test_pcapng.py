"""Captures are read by tshark, the judge of what a packet tool makes of them."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.trace.events import (
    Act,
    Body,
    CoapDatagram,
    Connection,
    ConnectionChange,
    Direction,
    Event,
    Fate,
    Judged,
    MdnsPacket,
    MqttPacket,
    Note,
    Point,
    RunStarted,
    SerialData,
    Stimulus,
    TcpProbe,
    TogetherStarted,
)
from harness.trace.pcapng import ExportError, export
from harness.wire import (
    coap,
    mdns,
)
from harness.wire.mqtt.codec import (
    PacketType,
    encode_ack,
    encode_connack,
    encode_pingresp,
    encode_publish,
)

FROM, TO = Direction.FROM_DUT, Direction.TO_DUT
CONNECT = bytes.fromhex("101500044d5154540402000f0009706c75672d30303031")
CONNECT_5 = bytes.fromhex("101600044d5154540502000f000009706c75672d30303031")
STARTED = RunStarted("{}", "p.yaml", "simulated", 1, "0.1", "2025-03-04T05:06:07Z", (), (), "127.3.2.1")


def numbered(*bodies: Body) -> list[Event]:
    return [Event(line, line / 10, body) for line, body in enumerate(bodies, start=1)]


def mqtt(
    raw: bytes, direction: Direction, connection: int = 1, level: int = 4, fate: Fate = Fate.FORWARDED
) -> MqttPacket:
    return MqttPacket(Point.TAP, direction, connection, raw, level, fate)


def opened(connection: int = 1, point: Point = Point.TAP) -> Connection:
    return Connection(point, connection, ConnectionChange.OPENED, FROM if point is Point.TAP else TO)


def ended(change: ConnectionChange, by: Direction, connection: int = 1) -> Connection:
    return Connection(Point.TAP, connection, change, by)


def read(path: Path, *fields: str, only: str | None = None) -> list[list[str]]:
    """One row of fields for each frame that tshark shows."""
    tshark = shutil.which("tshark")
    if tshark is None:
        pytest.skip("no tshark on the PATH")
    command = [tshark, "-n", "-r", str(path), "-T", "fields", "-E", "separator=|", "-E", "aggregator=,"]
    for protocol in ("ip", "tcp", "udp"):
        command += ["-o", f"{protocol}.check_checksum:TRUE"]
    for field in fields:
        command += ["-e", field]
    if only:
        command += ["-Y", only]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return [line.split("|") for line in shown.stdout.splitlines()]


def values(path: Path, field: str) -> list[str]:
    """All values of a field, from all frames."""
    return [value for (row,) in read(path, field, only=field) for value in row.split(",")]


def assert_clean(path: Path) -> None:
    """No frame is malformed, none has a wrong checksum, none surprises tshark's TCP analysis."""
    bad = "_ws.malformed || ip.checksum.status==0 || tcp.checksum.status==0 || udp.checksum.status==0"
    assert read(path, "frame.number", "_ws.expert.message", only=f"{bad} || tcp.analysis.flags") == []


@pytest.fixture
def conversation() -> list[Event]:
    """All three protocols, with everything that a connection can go through."""
    discovery = coap.request(coap.Code.GET, "/.well-known/core", mid=1, token=b"\x4a")
    ping = coap.empty(coap.Type.CON, 2)
    query = mdns.encode_query([mdns.Question("_http._tcp.local.", mdns.RecordType.PTR, False)])
    answer = mdns.encode_response(
        [mdns.record("_http._tcp.local.", mdns.Ptr("A._http._tcp.local."), ttl=4500)]
    )
    ours, theirs, group = "127.0.0.1:40000", "127.3.2.1:36001", "224.0.0.251:5353"
    return numbered(
        STARTED,
        opened(1, Point.CLIENT),
        MqttPacket(Point.CLIENT, TO, 1, CONNECT),
        MqttPacket(Point.CLIENT, FROM, 1, encode_connack(0)),
        opened(),
        mqtt(CONNECT, FROM),
        mqtt(encode_connack(0), TO),
        mqtt(encode_publish("plug/relay/set", b"ON", 1, packet_id=9), TO),
        mqtt(encode_ack(PacketType.PUBACK, 9), FROM),
        mqtt(encode_publish("plug/relay", b"ON"), FROM),
        ended(ConnectionChange.CLOSED, FROM),
        opened(2),
        mqtt(CONNECT_5, FROM, 2, 5),
        mqtt(encode_connack(0, level=5), TO, 2, 5),
        mqtt(encode_publish("plug/relay", b"OFF", level=5), FROM, 2, 5),
        ended(ConnectionChange.RESET, TO, 2),
        CoapDatagram(TO, ours, theirs, coap.encode(discovery)),
        CoapDatagram(FROM, ours, theirs, bytes.fromhex("614500014ac128ff") + b"</a>"),
        CoapDatagram(TO, ours, theirs, coap.encode(ping)),
        CoapDatagram(FROM, ours, theirs, coap.encode(coap.empty(coap.Type.RST, 2))),
        MdnsPacket(TO, "127.0.0.1:5353", group, query),
        MdnsPacket(FROM, "127.3.2.1:5353", group, answer),
        MdnsPacket(FROM, "127.3.2.1:5353", "127.0.0.1:50123", answer, True),
    )


@pytest.mark.peer
def test_tshark_decodes_each_message_exactly_once(conversation: Sequence[Event], tmp_path: Path) -> None:
    path = tmp_path / "trace.pcapng"
    count = export(conversation, path)
    assert count == len(read(path, "frame.number"))
    # CONNECT 1, CONNACK 2, PUBLISH 3, PUBACK 4, in the order of the trace.
    assert values(path, "mqtt.msgtype") == ["1", "2", "1", "2", "3", "4", "3", "1", "2", "3"]
    assert values(path, "mqtt.topic") == ["plug/relay/set", "plug/relay", "plug/relay"]
    assert values(path, "coap.type") == ["0", "2", "0", "3"]
    assert values(path, "dns.flags.response") == ["False", "True", "True"] or values(
        path, "dns.flags.response"
    ) == ["0", "1", "1"]
    assert len(read(path, "frame.number", only="mdns")) == 3
    assert_clean(path)


@pytest.mark.peer
def test_addresses_ports_and_times_are_those_of_the_run(
    conversation: Sequence[Event], tmp_path: Path
) -> None:
    path = tmp_path / "trace.pcapng"
    export(conversation, path)
    connect = read(path, "ip.src", "tcp.dstport", "frame.time_epoch", only="mqtt.msgtype==1 && tcp.stream==1")
    assert connect == [["127.3.2.1", "1883", "1741064767.600000000"]]
    discovery = read(path, "ip.src", "udp.srcport", "ip.dst", "udp.dstport", only="coap.type==0")[0]
    assert discovery == ["127.0.0.1", "40000", "127.3.2.1", "5683"]
    assert read(path, "ip.dst", "udp.dstport", only="mdns")[0] == ["224.0.0.251", "5353"]


@pytest.mark.peer
def test_connections_open_and_end_as_they_did(conversation: Sequence[Event], tmp_path: Path) -> None:
    path = tmp_path / "trace.pcapng"
    export(conversation, path)

    def ends(filter: str) -> list[list[str]]:
        return read(path, "tcp.stream", "ip.src", only=filter)

    assert len(ends("tcp.flags.syn==1")) == 6
    assert [row[0] for row in ends("tcp.flags.fin==1")] == ["1", "1"]
    assert ends("tcp.flags.fin==1")[0][1] == "127.3.2.1"
    assert ends("tcp.flags.reset==1") == [["2", "192.0.2.2"]]


@pytest.mark.peer
def test_packets_of_any_size_come_out_whole(tmp_path: Path) -> None:
    path = tmp_path / "trace.pcapng"
    sizes = [1, 1400, 1401, 70_000, 300_000]
    publishes = [mqtt(encode_publish("t", b"x" * size), FROM) for size in sizes]
    export(numbered(opened(), mqtt(CONNECT, FROM), *publishes, mqtt(encode_pingresp(), TO)), path)
    assert values(path, "mqtt.msgtype") == ["1", "3", "3", "3", "3", "3", "13"]
    lengths = [int(value) for value in values(path, "mqtt.len")]
    assert lengths[1:-1] == [3 + size for size in sizes]
    in_flight = values(path, "tcp.analysis.bytes_in_flight")
    assert max(map(int, in_flight)) < 65_535, "more than the window is under way"
    assert_clean(path)


@pytest.mark.peer
def test_packets_recorded_after_the_end_of_their_connection_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "trace.pcapng"
    late = mqtt(encode_publish("late", b"1"), FROM)
    events = numbered(
        mqtt(CONNECT, FROM), ended(ConnectionChange.CLOSED, FROM), late, mqtt(encode_pingresp(), TO)
    )
    export(events, path)
    assert values(path, "mqtt.msgtype") == ["1", "3", "13"]
    assert len(read(path, "frame.number", only="tcp.flags.fin==1")) == 2
    assert_clean(path)


@pytest.mark.peer
def test_what_the_harness_did_and_found_is_in_the_comments(tmp_path: Path) -> None:
    path = tmp_path / "trace.pcapng"
    events = numbered(
        opened(),
        mqtt(CONNECT, FROM),
        Stimulus(Act.WRITE, "relay", "true", "mqtt"),
        Note("watch this"),
        mqtt(encode_publish("plug/led/set", b"\xff"), TO, fate=Fate.INJECTED),
        mqtt(encode_publish("plug/led", b"1"), FROM, fate=Fate.DROPPED),
        SerialData(FROM, b"ready\r\n", "ready"),
        CoapDatagram(TO, "127.0.0.1:40000", "127.3.2.1:36001", coap.encode(coap.empty(coap.Type.CON, 1))),
        Judged("DEV-03", "led", "mqtt", "fail", "took a wrong value", (5,)),
        Judged("MQTT-DEV-001", None, None, "pass", "CONNECT came first", (2,)),
    )
    export(events, path)
    comments = dict(read(path, "frame.number", "frame.comment", only="frame.comment"))
    injected, dropped, datagram = comments.values()
    for part in ("relay", "watch this", "injected by the harness", "DEV-03", "took a wrong value"):
        assert part in injected
    assert "dropped at the tap" in dropped
    assert "ready" in datagram
    assert "36001" in datagram
    assert "CONNECT came first" not in "".join(comments.values())


@pytest.mark.peer
def test_probes_of_ports_are_conversations(tmp_path: Path) -> None:
    path = tmp_path / "trace.pcapng"
    export(
        numbered(
            STARTED,
            TcpProbe(
                "127.3.2.1",
                80,
                True,
                b"GET / HTTP/1.1\r\n\r\n",
                b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            ),
            TcpProbe("127.3.2.1", 23, False),
        ),
        path,
    )
    assert len(read(path, "frame.number", only="http")) == 2
    assert read(path, "tcp.srcport", only="tcp.flags.reset==1") == [["23"]]
    assert_clean(path)


@pytest.mark.peer
def test_ipv6_is_carried_over_ipv6(tmp_path: Path) -> None:
    path = tmp_path / "trace.pcapng"
    raw = coap.encode(coap.empty(coap.Type.CON, 7))
    started = RunStarted("{}", "p", "coap://[::1]", 1, "0", "", (), (), "::1")
    events = numbered(
        started,
        CoapDatagram(TO, "[::1]:40000", "[::1]:5683", raw),
        MdnsPacket(FROM, "[fe80::1%eth0]:5353", "[ff02::fb]:5353", mdns.encode_query([])),
        mqtt(CONNECT, FROM),
    )
    export(events, path)
    assert read(path, "ipv6.src", only="coap") == [["::1"]]
    assert read(path, "ipv6.src", "ipv6.dst", only="mdns") == [["fe80::1", "ff02::fb"]]
    assert read(path, "ipv6.src", only="mqtt") == [["::1"]]
    assert_clean(path)


@pytest.mark.peer
def test_a_device_of_undeclared_address_has_that_of_its_datagrams(tmp_path: Path) -> None:
    path = tmp_path / "trace.pcapng"
    spoken = MdnsPacket(FROM, "127.3.2.1:5353", "224.0.0.251:5353", mdns.encode_query([]))
    export(numbered(mqtt(CONNECT, FROM), spoken), path)
    assert read(path, "ip.src", only="mqtt") == [["127.3.2.1"]]


def test_hosts_that_are_no_addresses_do_not_stop_the_export(tmp_path: Path) -> None:
    path = tmp_path / "trace.pcapng"
    raw = coap.encode(coap.empty(coap.Type.CON, 7))
    events = numbered(CoapDatagram(TO, "somewhere", "plug.local:99999", raw), MdnsPacket(FROM, "", "", b""))
    assert export(events, path) == 2


def test_an_empty_trace_is_a_valid_capture(tmp_path: Path) -> None:
    path = tmp_path / "trace.pcapng"
    assert export([], path) == 0
    head = path.read_bytes()
    (length,) = struct.unpack_from("<I", head, 4)
    assert head[:4] == bytes.fromhex("0a0d0d0a")
    assert struct.unpack_from("<I", head, length - 4) == (length,)


def test_a_file_that_cannot_be_written_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"missing.*cannot be written"):
        export([], tmp_path / "missing" / "trace.pcapng")


def test_devices_that_share_a_run_are_hosts_of_their_own(tmp_path: Path) -> None:
    bodies: list[tuple[Body, str | None]] = [
        (TogetherStarted("pair", ("plug", "remote"), "{}", "", 1, "0.1", STARTED.wall_time), None),
        (STARTED, "plug"),
        (RunStarted("{}", "r.yaml", "simulated", 1, "0.1", STARTED.wall_time, (), (), "127.3.2.2"), "remote"),
        (opened(), "plug"),
        (mqtt(CONNECT, FROM), "plug"),
        (opened(), "remote"),
        (mqtt(CONNECT, FROM), "remote"),
    ]
    events = [Event(line, line / 10, body, device) for line, (body, device) in enumerate(bodies, start=1)]
    path = tmp_path / "both.pcapng"
    export(events, path)
    assert read(path, "ip.src", "tcp.stream", only="mqtt.msgtype == 1") == [
        ["127.3.2.1", "0"],
        ["127.3.2.2", "1"],
    ]
