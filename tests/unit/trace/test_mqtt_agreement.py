"""Our reading and writing of MQTT against two other implementations: paho-mqtt and amqtt."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Iterator

import paho.mqtt.client as paho
import pytest
from amqtt.adapters import BufferReader
from amqtt.mqtt import packet_class
from amqtt.mqtt.connect import ConnectPacket, ConnectPayload, ConnectVariableHeader
from amqtt.mqtt.packet import MQTTFixedHeader, MQTTPacket
from amqtt.mqtt.publish import PublishPacket
from amqtt.mqtt.subscribe import SubscribePacket
from amqtt.mqtt.unsubscribe import UnsubscribePacket
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from harness.wire import mqtt

topics = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0+#"), min_size=1, max_size=30)
packet_ids = st.integers(1, 0xFFFF)


class PahoPeer:
    """A paho client without a thread, and the server's end of its connection."""

    def __init__(self, protocol: int) -> None:
        self.level = 5 if protocol == paho.MQTTv5 else 4
        clean = None if self.level == 5 else True
        self.client = paho.Client(CallbackAPIVersion.VERSION2, "plug", clean_session=clean, protocol=protocol)
        self._framer = mqtt.Framer()
        self._packets: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._server: socket.socket | None = None

    def connect(self, **options: object) -> mqtt.Packet:
        host, port = self._listener.getsockname()
        self.client.connect(host, port, keepalive=30, **options)  # type: ignore[arg-type]
        self._server, _ = self._listener.accept()
        self._server.settimeout(5)
        return self.receive()

    def receive(self) -> mqtt.Packet:
        """The next packet that paho sends."""
        assert self._server
        while not self._packets:
            data = self._server.recv(65536)
            assert data, "paho closed the connection"
            self._packets += self._framer.feed(data)
        return mqtt.decode(self._packets.pop(0), self.level)

    def send(self, raw: bytes) -> None:
        """Send bytes to paho and have it handle them."""
        assert self._server
        self._server.sendall(raw)
        assert select.select([self.client.socket()], [], [], 5)[0]
        assert self.client.loop_read() == paho.MQTT_ERR_SUCCESS

    def close(self) -> None:
        self._listener.close()
        if self._server:
            self._server.close()
        if self.client.socket():
            self.client.socket().close()


@pytest.fixture(params=[paho.MQTTv311, paho.MQTTv5], ids=["3.1.1", "5.0"])
def peer(request: pytest.FixtureRequest) -> Iterator[PahoPeer]:
    peer = PahoPeer(request.param)
    yield peer
    peer.close()


def test_paho_connects(peer: PahoPeer) -> None:
    peer.client.will_set("home/plug/status", b"offline", 1, retain=True)
    peer.client.username_pw_set("user", "secret")
    packet = peer.connect()
    assert isinstance(packet, mqtt.Connect)
    assert packet.problems == ()
    assert (packet.level, packet.client_id, packet.keep_alive) == (peer.level, "plug", 30)
    assert packet.clean_session
    assert packet.will == mqtt.Will("home/plug/status", b"offline", 1, True)
    assert (packet.username, packet.password) == ("user", b"secret")


@pytest.mark.parametrize("size", [0, 100, 127, 128, 16383, 16384])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_paho_publishes(peer: PahoPeer, size: int, qos: int) -> None:
    peer.connect()
    peer.send(mqtt.encode_connack(0, level=peer.level))
    info = peer.client.publish("home/plug/ä", bytes(size), qos, retain=True)
    packet = peer.receive()
    assert isinstance(packet, mqtt.Publish)
    assert packet.problems == ()
    assert (packet.topic, packet.payload, packet.qos, packet.retain) == (
        "home/plug/ä",
        bytes(size),
        qos,
        True,
    )
    assert packet.packet_id == (info.mid if qos else None)
    if qos == 1:
        peer.send(mqtt.encode_ack(mqtt.PacketType.PUBACK, info.mid))
    if qos == 2:
        peer.send(mqtt.encode_ack(mqtt.PacketType.PUBREC, info.mid))
        release = peer.receive()
        assert (release.type, release.problems) == (mqtt.PacketType.PUBREL, ())
        peer.send(mqtt.encode_ack(mqtt.PacketType.PUBCOMP, info.mid))
    assert info.is_published()


def test_paho_reads_our_packets(peer: PahoPeer) -> None:
    connected: list[tuple[bool, bool]] = []
    granted: list[list[int]] = []
    messages: list[paho.MQTTMessage] = []
    peer.client.on_connect = lambda client, data, flags, code, properties: connected.append(
        (flags.session_present, code.is_failure)
    )
    peer.client.on_subscribe = lambda client, data, mid, codes, properties: granted.append(
        [code.value for code in codes]
    )
    peer.client.on_message = lambda client, data, message: messages.append(message)
    peer.connect()
    peer.send(mqtt.encode_connack(0, True, level=peer.level))
    _, mid = peer.client.subscribe([("home/+/set", 1), ("#", 2)])
    subscribe = peer.receive()
    assert isinstance(subscribe, mqtt.Subscribe)
    assert (subscribe.packet_id, subscribe.problems) == (mid, ())
    assert [(wanted.filter, wanted.qos) for wanted in subscribe.filters] == [("home/+/set", 1), ("#", 2)]
    peer.send(mqtt.encode_suback(subscribe.packet_id, [1, 0x80], level=peer.level))
    peer.send(
        mqtt.encode_publish("home/a/set", b"on", 1, packet_id=9, dup=True, retain=True, level=peer.level)
    )
    ack = peer.receive()
    assert isinstance(ack, mqtt.Ack)
    assert (ack.type, ack.packet_id, ack.problems) == (mqtt.PacketType.PUBACK, 9, ())
    assert connected == [(True, False)]
    assert granted == [[1, 0x80]]
    message = messages[0]
    assert (message.topic, message.payload, message.qos, message.dup, message.retain) == (
        "home/a/set",
        b"on",
        1,
        True,
        True,
    )


def test_paho_unsubscribes_pings_and_leaves(peer: PahoPeer) -> None:
    peer.connect()
    peer.send(mqtt.encode_connack(0, level=peer.level))
    unsubscribed: list[int] = []
    peer.client.on_unsubscribe = lambda client, data, mid, codes, properties: unsubscribed.append(mid)
    _, mid = peer.client.unsubscribe(["a/b", "c"])
    packet = peer.receive()
    assert isinstance(packet, mqtt.Unsubscribe)
    assert (packet.filters, packet.problems) == (("a/b", "c"), ())
    peer.send(mqtt.encode_unsuback(packet.packet_id, [0, 0x11], level=peer.level))
    assert unsubscribed == [mid]
    peer.client._send_pingreq()
    assert isinstance(peer.receive(), mqtt.Pingreq)
    peer.send(mqtt.encode_pingresp())
    peer.client.disconnect()
    leaving = peer.receive()
    assert isinstance(leaving, mqtt.Disconnect)
    assert (leaving.code, leaving.problems) == (0, ())


def test_properties_as_paho_writes_them() -> None:
    peer = PahoPeer(paho.MQTTv5)
    try:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        properties.ReceiveMaximum = 10
        properties.UserProperty = [("a", "1"), ("a", "2")]
        will = Properties(PacketTypes.WILLMESSAGE)
        will.WillDelayInterval = 5
        will.PayloadFormatIndicator = 1
        peer.client.will_set("s", b"gone", 0, retain=False, properties=will)
        packet = peer.connect(properties=properties)
        assert isinstance(packet, mqtt.Connect)
        assert packet.problems == ()
        assert packet.property(mqtt.PropertyId.SESSION_EXPIRY_INTERVAL) == 3600
        assert packet.property(mqtt.PropertyId.RECEIVE_MAXIMUM) == 10
        assert [p.value for p in packet.properties if p.id is mqtt.PropertyId.USER_PROPERTY] == [
            ("a", "1"),
            ("a", "2"),
        ]
        assert packet.will
        assert {found.id.name: found.value for found in packet.will.properties} == {
            "WILL_DELAY_INTERVAL": 5,
            "PAYLOAD_FORMAT_INDICATOR": 1,
        }
        peer.send(mqtt.encode_connack(0, level=5))
        publish = Properties(PacketTypes.PUBLISH)
        publish.MessageExpiryInterval = 60
        publish.ContentType = "application/json"
        publish.ResponseTopic = "answers/here"
        publish.CorrelationData = b"\0\1"
        peer.client.publish("t", b"{}", 1, properties=publish)
        message = peer.receive()
        assert isinstance(message, mqtt.Publish)
        assert message.problems == ()
        assert {found.id.name: found.value for found in message.properties} == {
            "MESSAGE_EXPIRY_INTERVAL": 60,
            "CONTENT_TYPE": "application/json",
            "RESPONSE_TOPIC": "answers/here",
            "CORRELATION_DATA": b"\0\1",
        }
        options = SubscribeOptions(qos=1, noLocal=True, retainAsPublished=True, retainHandling=2)
        peer.client.subscribe("a/#", options=options)
        subscribe = peer.receive()
        assert isinstance(subscribe, mqtt.Subscribe)
        assert subscribe.problems == ()
        assert subscribe.filters == (mqtt.TopicFilter("a/#", 1, True, True, 2),)
    finally:
        peer.close()


# amqtt


def read_by_amqtt(raw: bytes) -> MQTTPacket:
    async def read() -> MQTTPacket:
        reader = BufferReader(raw)
        header = await MQTTFixedHeader.from_stream(reader)
        return await packet_class(header).from_stream(reader, fixed_header=header)

    return asyncio.run(read())


@given(topics, st.binary(max_size=200), st.integers(0, 2), packet_ids, st.booleans())
def test_amqtt_and_we_publish_alike(
    topic: str, payload: bytes, qos: int, packet_id: int, retain: bool
) -> None:
    id = packet_id if qos else None
    ours = mqtt.encode_publish(topic, payload, qos, packet_id=id, retain=retain)
    assert bytes(PublishPacket.build(topic, payload, id, False, qos, retain).to_bytes()) == ours
    theirs = read_by_amqtt(ours)
    assert isinstance(theirs, PublishPacket)
    assert (theirs.topic_name, theirs.data or b"", theirs.qos) == (topic, payload, qos)


@given(st.lists(st.tuples(topics, st.integers(0, 2)), min_size=1, max_size=5), packet_ids)
def test_we_read_what_amqtt_subscribes(wanted: list[tuple[str, int]], packet_id: int) -> None:
    packet = mqtt.decode(bytes(SubscribePacket.build(wanted, packet_id).to_bytes()))
    assert isinstance(packet, mqtt.Subscribe)
    assert (packet.packet_id, packet.problems) == (packet_id, ())
    assert [(found.filter, found.qos) for found in packet.filters] == wanted
    names = [topic for topic, _ in wanted]
    undone = mqtt.decode(bytes(UnsubscribePacket.build(names, packet_id).to_bytes()))
    assert isinstance(undone, mqtt.Unsubscribe)
    assert (undone.filters, undone.problems) == (tuple(names), ())


@given(
    client_id=topics,
    keep_alive=st.integers(0, 0xFFFF),
    clean=st.booleans(),
    will=st.none() | st.tuples(topics, st.binary(max_size=40), st.integers(0, 2), st.booleans()),
    user=st.none() | topics,
    password=st.none() | st.text("abc", max_size=5),
)
def test_we_read_what_amqtt_connects_with(
    client_id: str,
    keep_alive: int,
    clean: bool,
    will: tuple[str, bytes, int, bool] | None,
    user: str | None,
    password: str | None,
) -> None:
    header = ConnectVariableHeader(keep_alive=keep_alive)
    payload = ConnectPayload(client_id)
    header.clean_session_flag = clean
    if will:
        header.will_flag = True
        payload.will_topic, payload.will_message, header.will_qos, header.will_retain_flag = will
    if user is not None:
        header.username_flag = True
        payload.username = user
        header.password_flag = password is not None
        payload.password = password
    packet = mqtt.decode(bytes(ConnectPacket(variable_header=header, payload=payload).to_bytes()))
    assert isinstance(packet, mqtt.Connect)
    assert packet.problems == ()
    assert (packet.client_id, packet.keep_alive, packet.clean_session) == (client_id, keep_alive, clean)
    assert packet.will == (mqtt.Will(*will) if will else None)
    assert packet.username == user
    expected = password.encode() if user is not None and password is not None else None
    assert packet.password == expected
