from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mqtt_samples import LEVEL_4, LEVEL_5, SAMPLES, WILL, connect, subscribe, unsubscribe

from harness.wire import mqtt
from harness.wire.mqtt.codec import (
    PacketType,
    encode_packet,
)
from harness.wire.mqtt.fields import (
    string,
    variable_integer,
)

topics = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0+#"), min_size=1, max_size=40)
packet_ids = st.integers(1, 0xFFFF)
levels = st.sampled_from([4, 5])


def clauses(raw: bytes, level: int = 4) -> list[str]:
    return [problem.clause for problem in mqtt.decode(raw, level).problems]


# Round trips


@given(topics, st.binary(max_size=300), st.integers(0, 2), st.booleans(), st.booleans(), packet_ids, levels)
def test_publish_comes_back(
    topic: str, payload: bytes, qos: int, dup: bool, retain: bool, packet_id: int, level: int
) -> None:
    dup = dup and qos > 0
    id = packet_id if qos else None
    raw = mqtt.encode_publish(topic, payload, qos, packet_id=id, dup=dup, retain=retain, level=level)
    packet = mqtt.decode(raw, level)
    assert isinstance(packet, mqtt.Publish)
    assert packet.problems == ()
    assert (packet.topic, packet.payload, packet.qos, packet.packet_id) == (topic, payload, qos, id)
    assert (packet.dup, packet.retain, packet.raw) == (dup, retain, raw)


@given(packet_ids, st.lists(st.sampled_from([0, 1, 2, 0x80]), min_size=1), levels)
def test_acknowledgements_come_back(packet_id: int, codes: list[int], level: int) -> None:
    suback = mqtt.decode(mqtt.encode_suback(packet_id, codes, level=level), level)
    assert isinstance(suback, mqtt.Suback)
    assert (suback.packet_id, suback.codes, suback.problems) == (packet_id, tuple(codes), ())
    for type in (PacketType.PUBACK, PacketType.PUBREC, PacketType.PUBREL, PacketType.PUBCOMP):
        ack = mqtt.decode(mqtt.encode_ack(type, packet_id), level)
        assert isinstance(ack, mqtt.Ack)
        assert (ack.type, ack.packet_id, ack.code, ack.problems) == (type, packet_id, 0, ())


@given(st.integers(0, 268_435_455))
def test_variable_integer_is_minimal(value: int) -> None:
    encoded = variable_integer(value)
    assert sum((byte & 0x7F) << (7 * place) for place, byte in enumerate(encoded)) == value
    assert encoded[-1] != 0 or value == 0
    assert all(byte & 0x80 for byte in encoded[:-1]) and not encoded[-1] & 0x80


def test_variable_integer_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="268435456"):
        variable_integer(268_435_456)


@pytest.mark.parametrize(("qos", "packet_id"), [(0, 1), (1, None), (4, 1)])
def test_encode_publish_refuses_a_wrong_pair_of_qos_and_packet_id(qos: int, packet_id: int | None) -> None:
    with pytest.raises(ValueError, match="QoS"):
        mqtt.encode_publish("a", b"", qos, packet_id=packet_id)


# Valid packets


@pytest.mark.parametrize(("raw", "level"), SAMPLES)
def test_valid_packets_have_no_problems(raw: bytes, level: int) -> None:
    packet = mqtt.decode(raw, level)
    assert packet.problems == ()
    assert not isinstance(packet, mqtt.Undecodable)
    assert packet.raw == raw


def test_connect_with_everything() -> None:
    packet = mqtt.decode(LEVEL_4[1])
    assert isinstance(packet, mqtt.Connect)
    assert (packet.protocol_name, packet.level, packet.connect_flags) == ("MQTT", 4, 0xEE)
    assert (packet.clean_session, packet.keep_alive, packet.client_id) == (True, 60, "plug")
    assert packet.will == mqtt.Will("home/plug/status", b"offline", 1, True)
    assert (packet.username, packet.password) == ("user", b"secret")


def test_connect_is_read_by_its_own_level() -> None:
    packet = mqtt.decode(LEVEL_5[1], 4)
    assert isinstance(packet, mqtt.Connect)
    assert packet.level == 5
    assert packet.property(mqtt.PropertyId.RECEIVE_MAXIMUM) == 20
    assert packet.property(mqtt.PropertyId.USER_PROPERTY) is None


def test_subscription_options_of_level_5() -> None:
    packet = mqtt.decode(subscribe(("a", 0x2D), properties=b"\0"), 5)
    assert isinstance(packet, mqtt.Subscribe)
    assert packet.filters == (mqtt.TopicFilter("a", 1, True, True, 2),)


def test_codes_and_properties_that_level_5_may_leave_out() -> None:
    assert [mqtt.decode(raw, 5).code for raw in LEVEL_5[-4:]] == [0, 4, 0x8B, 0x18]  # type: ignore[attr-defined]


# Every byte string


def assert_sound(raw: bytes, level: int) -> None:
    packet = mqtt.decode(raw, level)
    assert packet.raw == raw
    assert isinstance(packet, mqtt.Packet)
    if isinstance(packet, mqtt.Undecodable):
        assert packet.problems


@given(st.binary(max_size=60), levels)
def test_any_bytes_decode_to_something(raw: bytes, level: int) -> None:
    assert_sound(raw, level)


@given(st.integers(0, 255), st.binary(max_size=40), levels)
def test_any_body_decodes_to_something(first: int, body: bytes, level: int) -> None:
    assert_sound(encode_packet(PacketType(first >> 4), first & 15, body), level)


@given(st.sampled_from(SAMPLES), st.data())
def test_damaged_packets_decode_to_something(sample: tuple[bytes, int], data: st.DataObject) -> None:
    raw, level = bytearray(sample[0]), sample[1]
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    assert_sound(bytes(raw[: data.draw(st.integers(0, len(raw)))]), level)


@pytest.mark.parametrize(("raw", "level"), SAMPLES)
def test_a_packet_cut_short_is_never_without_problems(raw: bytes, level: int) -> None:
    for size in range(len(raw)):
        assert isinstance(mqtt.decode(raw[:size], level), mqtt.Undecodable)


@pytest.mark.parametrize(("raw", "level"), SAMPLES)
def test_bytes_behind_the_packet_are_a_problem(raw: bytes, level: int) -> None:
    assert clauses(raw + b"\0", level) == ["2.1.4" if level == 5 else "2.2.3"]


# Each violation by its clause

BAD = {
    "connect-name": (connect(name="MQIsdp", level=4), ["MQTT-3.1.2-1"]),
    "connect-level": (connect(level=6), ["MQTT-3.1.2-2"]),
    "connect-reserved-flag": (connect(flags=0x03), ["MQTT-3.1.2-3"]),
    "connect-will-qos-without-will": (connect(flags=0x0A), ["MQTT-3.1.2-13"]),
    "connect-will-retain-without-will": (connect(flags=0x22), ["MQTT-3.1.2-15"]),
    "connect-will-qos-3": (connect(flags=0x1E, payload=string("p") + WILL), ["MQTT-3.1.2-14"]),
    "connect-password-without-user": (
        connect(flags=0x42, payload=string("p") + string("x")),
        ["MQTT-3.1.2-22"],
    ),
    "connect-empty-id": (connect(flags=0, payload=string("")), ["MQTT-3.1.3-7"]),
    "connect-will-topic-wildcard": (
        connect(flags=0x06, payload=string("p") + string("a/#") + string("")),
        ["MQTT-4.7.1-1"],
    ),
    "connect-missing-will": (connect(flags=0x06), ["2.2.3"]),
    "connect-field-too-many": (connect(payload=string("p") + string("x")), ["2.2.3"]),
    "connack-flags": (encode_packet(PacketType.CONNACK, 0, b"\x02\0"), ["3.2.2.1"]),
    "connack-session-with-error": (encode_packet(PacketType.CONNACK, 0, b"\x01\x05"), ["MQTT-3.2.2-4"]),
    "connack-code": (encode_packet(PacketType.CONNACK, 0, b"\0\x06"), ["3.2.2.3"]),
    "fixed-flags": (encode_packet(PacketType.PUBACK, 1, b"\0\1"), ["MQTT-2.2.2-1"]),
    "pubrel-flags": (encode_packet(PacketType.PUBREL, 0, b"\0\1"), ["MQTT-2.2.2-1"]),
    "qos-3": (mqtt.encode_publish("a", b"", 3, packet_id=1), ["MQTT-3.3.1-4"]),
    "dup-at-qos-0": (mqtt.encode_publish("a", b"", dup=True), ["MQTT-3.3.1-2"]),
    "publish-packet-id-0": (mqtt.encode_publish("a", b"", 1, packet_id=0), ["MQTT-2.3.1-1"]),
    "publish-topic-empty": (mqtt.encode_publish("", b""), ["MQTT-4.7.3-1"]),
    "publish-topic-wildcard": (mqtt.encode_publish("a/+", b""), ["MQTT-4.7.1-1", "MQTT-3.3.2-2"]),
    "publish-topic-null": (mqtt.encode_publish("a\0", b""), ["MQTT-1.5.3-2", "MQTT-4.7.3-2"]),
    "publish-topic-overlong-null": (mqtt.encode_publish(b"a\xc0\x80", b""), ["MQTT-1.5.3-1"]),
    "publish-topic-surrogate": (mqtt.encode_publish(b"a\xed\xa0\x80", b""), ["MQTT-1.5.3-1"]),
    "publish-topic-cut": (encode_packet(PacketType.PUBLISH, 0, b"\0\x05ab"), ["2.2.3"]),
    "subscribe-nothing": (subscribe(), ["MQTT-3.8.3-3"]),
    "subscribe-qos-3": (subscribe(("a", 3)), ["MQTT-3.8.3-4"]),
    "subscribe-reserved": (subscribe(("a", 4)), ["MQTT-3.8.3-4"]),
    "subscribe-filter": (subscribe(("a#", 0)), ["MQTT-4.7.1-2"]),
    "subscribe-packet-id-0": (subscribe(("a", 0), packet_id=0), ["MQTT-2.3.1-1"]),
    "suback-code": (mqtt.encode_suback(1, [3]), ["MQTT-3.9.3-2"]),
    "suback-empty": (mqtt.encode_suback(1, []), ["3.9.3"]),
    "unsubscribe-nothing": (unsubscribe(), ["MQTT-3.10.3-2"]),
    "unsubscribe-filter": (unsubscribe("+a"), ["MQTT-4.7.1-3"]),
    "pingreq-with-body": (encode_packet(PacketType.PINGREQ, 0, b"\0"), ["2.2.3"]),
    "disconnect-with-body": (encode_packet(PacketType.DISCONNECT, 0, b"\0"), ["2.2.3"]),
    "type-0": (b"\0\0", ["2.2.1"]),
    "type-15": (b"\xf0\0", ["2.2.1"]),
    "length-not-minimal": (b"\xc0\x80\x00", ["2.2.3"]),
    "length-too-long": (b"\xc0\x80\x80\x80\x80\x00", ["2.2.3"]),
    "nothing": (b"", ["2.2.3"]),
}

_USER = b"\x26" + string("k") + string("v")


def publish_5(properties: bytes, payload: bytes = b"", topic: str = "a") -> bytes:
    size = variable_integer(len(properties))
    return encode_packet(PacketType.PUBLISH, 0, string(topic) + size + properties + payload)


def connack_5(code: int, properties: bytes = b"") -> bytes:
    return encode_packet(PacketType.CONNACK, 0, bytes([0, code, len(properties)]) + properties)


BAD_5 = {
    "utf-8": (mqtt.encode_publish(b"\xff", b"", level=5), ["MQTT-1.5.4-1"]),
    "wildcard": (mqtt.encode_publish("#", b"", level=5), ["MQTT-4.7.0-1", "MQTT-3.3.2-2"]),
    "length-not-minimal": (b"\xc0\x80\x00", ["MQTT-1.5.5-1"]),
    "property-length-not-minimal": (
        encode_packet(PacketType.PUBLISH, 0, b"\0\1a\x80\0"),
        ["MQTT-1.5.5-1"],
    ),
    "no-properties": (encode_packet(PacketType.PUBLISH, 0, b"\0\1a"), ["2.1.4"]),
    "property-unknown": (publish_5(b"\x7f\0"), ["2.2.2.2"]),
    "property-elsewhere": (publish_5(b"\x24\1"), ["2.2.2.2"]),
    "property-cut": (publish_5(b"\x02\0\0"), ["2.1.4"]),
    "property-twice": (publish_5(b"\x23\0\1\x23\0\1"), ["2.2.2.2"]),
    "subscription-identifier-0": (publish_5(b"\x0b\0"), ["2.2.2.2"]),
    "topic-alias-0": (publish_5(b"\x23\0\0"), ["2.2.2.2"]),
    "flag-2": (publish_5(b"\x01\x02"), ["2.2.2.2"]),
    "response-topic": (publish_5(b"\x08\0\1#"), ["MQTT-3.3.2-14"]),
    "payload-format": (publish_5(b"\x01\x01", b"\xff"), ["3.3.2.3.2"]),
    "empty-topic-without-alias": (publish_5(b"", topic=""), ["MQTT-4.7.3-1"]),
    "reserved-flags": (encode_packet(PacketType.DISCONNECT, 1, b""), ["MQTT-2.1.3-1"]),
    "connack-code": (connack_5(0x05), ["MQTT-3.2.2-8"]),
    "connack-flags": (encode_packet(PacketType.CONNACK, 0, b"\x80\0\0"), ["MQTT-3.2.2-1"]),
    "connack-session-with-error": (encode_packet(PacketType.CONNACK, 0, b"\1\x87\0"), ["MQTT-3.2.2-6"]),
    "authentication-data-alone": (connack_5(0, b"\x16\0\1x"), ["3.1.2.11.10"]),
    "puback-code": (encode_packet(PacketType.PUBACK, 0, b"\0\1\x92"), ["MQTT-3.4.2-1"]),
    "pubrec-code": (encode_packet(PacketType.PUBREC, 0, b"\0\1\x92"), ["MQTT-3.5.2-1"]),
    "pubrel-code": (encode_packet(PacketType.PUBREL, 2, b"\0\1\x10"), ["MQTT-3.6.2-1"]),
    "pubcomp-code": (encode_packet(PacketType.PUBCOMP, 0, b"\0\1\x10"), ["MQTT-3.7.2-1"]),
    "suback-code": (mqtt.encode_suback(1, [3], level=5), ["MQTT-3.9.3-2"]),
    "unsuback-code": (mqtt.encode_unsuback(1, [1], level=5), ["MQTT-3.11.3-2"]),
    "disconnect-code": (encode_packet(PacketType.DISCONNECT, 0, b"\1"), ["MQTT-3.14.2-1"]),
    "auth-code": (encode_packet(PacketType.AUTH, 0, b"\1"), ["MQTT-3.15.2-1"]),
    "subscribe-reserved": (subscribe(("a", 0x40), properties=b"\0"), ["MQTT-3.8.3-5"]),
    "subscribe-retain-handling": (subscribe(("a", 0x30), properties=b"\0"), ["3.8.3.1"]),
    "subscribe-no-local-shared": (subscribe(("$share/g/a", 4), properties=b"\0"), ["MQTT-3.8.3-4"]),
    "subscribe-nothing": (subscribe(properties=b"\0"), ["MQTT-3.8.3-2"]),
    "subscribe-packet-id-0": (subscribe(("a", 0), packet_id=0, properties=b"\0"), ["MQTT-2.2.1-3"]),
    "connect-will-qos": (connect(level=5, flags=0x0A), ["MQTT-3.1.2-11"]),
    "connect-will-retain": (connect(level=5, flags=0x22), ["MQTT-3.1.2-13"]),
    "connect-will-property-in-connect": (
        connect(level=5, properties=b"\x05\x18\0\0\0\1"),
        ["2.2.2.2"],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_violations_of_311(name: str) -> None:
    raw, expected = BAD[name]
    assert clauses(raw, 4) == expected


@pytest.mark.parametrize("name", BAD_5)
def test_violations_of_5(name: str) -> None:
    raw, expected = BAD_5[name]
    assert clauses(raw, 5) == expected


def test_properties_that_may_repeat() -> None:
    assert clauses(publish_5(_USER + _USER + b"\x0b\1\x0b\2"), 5) == []


def test_several_violations_are_all_listed() -> None:
    raw = encode_packet(PacketType.CONNECT, 1, connect(name="mqtt", flags=0x01, payload=b"\0\1\xff")[2:])
    assert clauses(raw) == ["MQTT-2.2.2-1", "MQTT-3.1.2-1", "MQTT-3.1.2-3", "MQTT-1.5.3-1"]
    text = "; ".join(str(problem) for problem in mqtt.decode(raw).problems)
    assert "'mqtt'" in text
    assert "client identifier" in text


def test_ill_formed_text_is_kept_as_far_as_it_goes() -> None:
    packet = mqtt.decode(mqtt.encode_publish(b"a/\xff/b", b"1"))
    assert isinstance(packet, mqtt.Publish)
    assert packet.topic == "a/\ufffd/b"
