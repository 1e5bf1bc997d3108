import asyncio
import itertools
import json

import pytest
from mqtt_bench import Bench, on_bench, profile_with

from harness.links.mqtt.brokers.address import User
from harness.simulate.firmware.core import DeviceEvent
from harness.simulate.mqtt.deviations import HABITS, MqttDeviations
from harness.trace.events import Direction, MqttPacket, Refusal
from harness.wire.mqtt.codec import (
    Connect,
    Disconnect,
    PacketType,
    Publish,
    Suback,
    Subscribe,
    decode,
    encode_publish,
)

ALL_STATES = [
    ("dev/relay", "OFF"),
    ("dev/target", "20"),
    ("dev/settings", '{"swing":"no","lock":false}'),
    ("dev/meter", '{"power":0,"voltage":230}'),
]


# Coming up


def test_connects_as_the_profile_says() -> None:
    async def test(bench: Bench) -> None:
        connect = bench.packets()[0]
        assert isinstance(connect, Connect)
        assert (connect.client_id, connect.keep_alive, connect.clean_session) == ("dev-1", 20, True)
        assert connect.will is not None
        will = connect.will
        assert (will.topic, will.payload, will.qos, will.retain) == ("dev/status", b"offline", 1, True)
        assert (connect.username, connect.password) == (None, None)

    on_bench(test)


def test_subscribes_first_then_tells_that_it_is_there_and_how_things_stand() -> None:
    async def test(bench: Bench) -> None:
        sent = bench.packets()
        subscribe = sent[1]
        assert isinstance(subscribe, Subscribe)
        assert {(each.filter, each.qos) for each in subscribe.filters} == {
            ("dev/relay/set", 1),
            ("dev/target/set", 2),
            ("dev/set", 1),
            ("dev/flip", 1),
            ("dev/beep", 1),
        }
        assert bench.published() == [("dev/status", "online"), *ALL_STATES]
        assert {packet.topic: (packet.qos, packet.retain) for packet in bench.publishes()} == {
            "dev/status": (1, True),
            "dev/relay": (1, True),
            "dev/target": (0, True),
            "dev/settings": (0, True),
            "dev/meter": (0, False),
        }

    on_bench(test)


def test_reports_nothing_before_the_broker_has_subscribed_it() -> None:
    async def test(bench: Bench) -> None:
        hold = bench.tap.hold(lambda packet: packet.type is PacketType.SUBACK, Direction.TO_DUT)
        starting = asyncio.create_task(bench.front.start())
        await bench.packet(PacketType.SUBSCRIBE, 0)
        await asyncio.sleep(1)
        assert bench.publishes() == []
        hold.release()
        await starting
        assert bench.published()[0] == ("dev/status", "online")

    on_bench(test, start=False)


def test_presents_itself_where_the_profile_says_so() -> None:
    async def test(bench: Bench) -> None:
        connect = bench.packets()[0]
        assert isinstance(connect, Connect)
        assert (connect.username, connect.password) == ("dev", b"secret")

    on_bench(test, profile_with({"login": True}), users=(User("dev", "secret"),))


def test_a_device_without_commands_does_not_subscribe() -> None:
    properties = {"power": {"state": "dev/power"}}

    async def test(bench: Bench) -> None:
        assert [packet.type for packet in bench.packets()] == [PacketType.CONNECT, PacketType.PUBLISH]

    on_bench(test, profile_with({"properties": properties, "actions": {}, "availability": None}))


def test_a_refused_subscription_is_no_readiness() -> None:
    def refuse(raw: bytes) -> list[bytes]:
        suback = decode(raw)
        return [raw[:4] + b"\x80" * (len(raw) - 4)] if isinstance(suback, Suback) else [raw]

    async def test(bench: Bench) -> None:
        bench.tap.rewrite(refuse, Direction.TO_DUT)
        starting = asyncio.create_task(bench.front.start())
        await asyncio.sleep(10)
        assert not starting.done()
        assert bench.publishes() == []
        assert 2 <= len(list(bench.openings())) <= 5
        assert bench.front.problem is not None
        assert "refused the subscription" in bench.front.problem
        bench.tap.rewrite(None, Direction.TO_DUT)
        await starting
        assert bench.published()[0] == ("dev/status", "online")

    on_bench(test, start=False)


# Obeying and reporting


@pytest.mark.parametrize(
    ("topic", "payload", "reports"),
    [
        ("dev/relay/set", b"ON", [("dev/relay", "ON"), ("dev/meter", '{"power":40,"voltage":230}')]),
        ("dev/relay/set", b"OFF", [("dev/relay", "OFF")]),
        ("dev/target/set", b"21.5", [("dev/target", "21.5")]),
        ("dev/set", b'{"swing":"yes"}', [("dev/settings", '{"swing":"yes","lock":false}')]),
        (
            "dev/set",
            b'{"lock":true,"swing":"yes","new":1}',
            [
                ("dev/settings", '{"swing":"yes","lock":false}'),
                ("dev/settings", '{"swing":"yes","lock":true}'),
            ],
        ),
        ("dev/flip", b"", [("dev/done", "null")]),
        ("dev/flip", b"{}", [("dev/done", "null")]),
    ],
)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_obeys_and_reports(topic: str, payload: bytes, reports: list[tuple[str, str]], qos: int) -> None:
    async def test(bench: Bench) -> None:
        mark = await bench.send(topic, payload, qos)
        assert bench.published(mark)[-1] == reports[-1]
        assert set(bench.published(mark)) <= set(reports)

    on_bench(test)


@pytest.mark.parametrize("payload", [b"15.5", b"30.5", b"20.3", b"1e300", b"-1e9"])
def test_a_refused_command_is_answered_with_the_state_as_it_is(payload: bytes) -> None:
    async def test(bench: Bench) -> None:
        mark = await bench.send("dev/target/set", payload)
        assert bench.published(mark) == [("dev/target", "20")]

    on_bench(test)


def test_a_command_against_a_rule_is_answered_with_the_state_as_it_is() -> None:
    async def test(bench: Bench) -> None:
        await bench.send("dev/set", b'{"lock":true}')
        mark = await bench.send("dev/relay/set", b"ON")
        assert bench.published(mark) == [("dev/relay", "OFF")]

    on_bench(test)


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("dev/relay/set", b"on"),
        ("dev/relay/set", b"true"),
        ("dev/relay/set", b""),
        ("dev/relay/set", b"\xff\xfe"),
        ("dev/target/set", b""),
        ("dev/target/set", b"[" * 60),
        ("dev/target/set", b'"22"'),
        ("dev/target/set", b"NaN"),
        ("dev/target/set", b"1e400"),
        ("dev/target/set", b"\xef\xbb\xbf22"),
        ("dev/target/set", "22".encode("utf-16")),
        ("dev/target/set", b"22" + b" " * 100),
        ("dev/set", b'{"swing":"yes"'),
        ("dev/set", b'{"lock":true,"lock":false}'),
        ("dev/set", b'{"lock":"true"}'),
        ("dev/set", b'["lock"]'),
        ("dev/set", b"{}"),
        ("dev/beep", b""),
        ("dev/flip", b"{"),
    ],
)
def test_what_it_cannot_read_changes_nothing(topic: str, payload: bytes) -> None:
    async def test(bench: Bench) -> None:
        before = {name: bench.core.read(name) for name in bench.core.profile.properties}
        mark = await bench.send(topic, payload)
        assert bench.publishes(mark) == []
        assert before == {name: bench.core.read(name) for name in before}
        mark = await bench.send("dev/target/set", b"25")
        assert bench.published(mark) == [("dev/target", "25")]
        assert len(list(bench.openings())) == 1

    on_bench(test)


def test_a_large_message_is_passed_over() -> None:
    async def test(bench: Bench) -> None:
        mark = await bench.send("dev/relay/set", b"ON" + b" " * 1_000_000)
        assert bench.publishes(mark) == []
        mark = await bench.send("dev/relay/set", b"ON")
        assert ("dev/relay", "ON") in bench.published(mark)
        assert len(list(bench.openings())) == 1

    on_bench(test)


def test_every_command_of_a_burst_is_obeyed_in_order() -> None:
    async def test(bench: Bench) -> None:
        mark = bench.mark
        for index in range(20):
            bench.controller.publish("dev/relay/set", b"OFF" if index % 2 else b"ON", 1)
            bench.controller.publish("dev/target/set", str(16 + index / 2).encode(), 1)
        await asyncio.sleep(1)
        assert bench.core.read("relay") is False
        assert bench.core.read("target") == 25.5
        told = bench.published(mark)
        assert [payload for topic, payload in told if topic == "dev/relay"] == ["ON", "OFF"] * 10

    on_bench(test)


def test_tells_what_happens_at_the_device() -> None:
    async def test(bench: Bench) -> None:
        mark = bench.mark
        bench.core.operate("button")
        await asyncio.sleep(0.1)
        assert bench.published(mark) == [
            ("dev/key", '{"key":"up"}'),
            ("dev/relay", "ON"),
            ("dev/meter", '{"power":40,"voltage":230}'),
        ]
        key = bench.publishes(mark)[0]
        assert (key.qos, key.retain) == (1, False)
        mark = bench.mark
        bench.core.sense("voltage", 228)
        await asyncio.sleep(0.1)
        assert bench.published(mark) == [("dev/meter", '{"power":40,"voltage":228}')]

    on_bench(test)


@pytest.mark.parametrize(("policy", "relay"), [("ignore", False), ("apply", True)])
def test_a_command_that_the_broker_kept_is_treated_as_declared(policy: str, relay: bool) -> None:
    async def test(bench: Bench) -> None:
        await bench.controller.publish("dev/relay/set", b"ON", 1, True)
        await bench.front.start()
        await asyncio.sleep(0.5)
        assert bench.core.read("relay") is relay
        await bench.controller.publish("dev/relay/set", b"", 1, True)

    on_bench(test, profile_with(retained_command=policy), start=False)


def test_a_redelivered_command_is_obeyed_once() -> None:
    async def test(bench: Bench) -> None:
        done: list[DeviceEvent] = []
        bench.core.on_event(done.append)
        mid = bench.tap.next_packet_id()
        for dup in (False, True, True):
            bench.tap.inject(encode_publish("dev/flip", b"", 1, packet_id=mid, dup=dup))
        await asyncio.sleep(0.2)
        assert len(done) == 1
        acks = [packet for packet in bench.packets() if packet.type is PacketType.PUBACK]
        assert len(acks) == 3
        bench.tap.inject(encode_publish("dev/flip", b"", 1, packet_id=mid))  # the id is free again
        bench.tap.inject(encode_publish("dev/flip", b"{}", 1, packet_id=mid + 1, dup=True))
        await asyncio.sleep(0.2)
        assert len(done) == 3

    on_bench(test)


# Staying, losing, and coming back


def test_never_stays_silent_longer_than_the_keep_alive() -> None:
    async def test(bench: Bench) -> None:
        await asyncio.sleep(200)
        times = [
            event.time
            for event in bench.recorder.events
            if getattr(event.body, "direction", None) is Direction.FROM_DUT
        ]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert max(gaps) <= 20
        assert len(list(bench.openings())) == 1

    on_bench(test)


def test_notices_that_nobody_answers_any_more() -> None:
    async def test(bench: Bench) -> None:
        bench.tap.hold(lambda packet: packet.type is PacketType.PINGRESP, Direction.TO_DUT)
        started = bench.recorder.now
        await bench.packet(PacketType.CONNECT, bench.mark, within=60)
        assert bench.recorder.now - started <= 2 * 20 + 1

    on_bench(test)


def test_comes_back_subscribes_and_reports_after_the_broker_forgot_everything() -> None:
    async def test(bench: Bench) -> None:
        await bench.send("dev/relay/set", b"ON")
        mark = bench.mark
        await bench.broker.restart(wipe=True)
        await bench.packet(PacketType.SUBSCRIBE, mark)
        await bench.ready()
        await asyncio.sleep(0.2)
        again = bench.published(mark)
        assert again[:2] == [("dev/status", "online"), ("dev/relay", "ON")]
        assert {topic for topic, _ in again} == {"dev/status", *(topic for topic, _ in ALL_STATES)}
        endpoint = bench.broker.endpoint
        await bench.controller.connect(endpoint.host, endpoint.port, timeout=5)
        await bench.controller.subscribe(("#", 0))
        await asyncio.sleep(0.2)
        kept = {message.topic: message.payload for message in bench.heard if message.retain}
        assert (kept["dev/status"], kept["dev/relay"]) == (b"online", b"ON")

    on_bench(test)


@pytest.mark.parametrize("how", [Refusal.RESET, Refusal.CONNACK, Refusal.KICK])
def test_tries_again_with_growing_pauses_that_differ(how: Refusal) -> None:
    async def test(bench: Bench) -> None:
        await asyncio.sleep(5)
        bench.tap.refuse(how)
        mark = bench.mark
        bench.tap.drop()
        lost = bench.recorder.now
        await asyncio.sleep(120)
        times = [lost, *bench.openings(mark)]
        pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
        longest = [min(1 * 2.0**index, 16) for index in range(len(pauses))]
        for pause, most in zip(pauses, longest, strict=True):
            assert most / 2 - 0.01 <= pause <= most + 0.01
        shares = [pause / most for pause, most in zip(pauses, longest, strict=True)]
        assert max(shares) - min(shares) > 0.05
        bench.tap.accept()
        await bench.ready(within=17)

    on_bench(test)


def test_a_session_that_lasted_makes_the_next_pause_short_again() -> None:
    async def test(bench: Bench) -> None:
        bench.tap.refuse(Refusal.RESET)
        bench.tap.drop()
        await asyncio.sleep(30)
        bench.tap.accept()
        await bench.ready()
        await asyncio.sleep(5)
        mark = bench.mark
        bench.tap.drop()
        lost = bench.recorder.now
        await bench.packet(PacketType.CONNECT, mark)
        assert bench.recorder.now - lost <= 1.01

    on_bench(test)


def test_gives_up_an_attempt_that_nobody_answers() -> None:
    async def test(bench: Bench) -> None:
        bench.tap.refuse(Refusal.SILENT)
        mark = bench.mark
        bench.tap.drop()
        await asyncio.sleep(30)
        assert 3 <= len(list(bench.openings(mark))) <= 6
        assert bench.publishes(mark) == []
        bench.tap.accept()
        await bench.ready()

    on_bench(test)


def test_what_happened_offline_is_seen_in_the_state_but_not_told_as_news() -> None:
    async def test(bench: Bench) -> None:
        bench.tap.refuse(Refusal.RESET)
        mark = bench.mark
        bench.tap.drop()
        await asyncio.sleep(0.1)
        bench.core.operate("button")
        assert bench.core.read("relay") is True
        bench.tap.accept()
        await bench.ready()
        await asyncio.sleep(0.2)
        told = bench.published(mark)
        assert ("dev/relay", "ON") in told
        assert "dev/key" not in dict(told)

    on_bench(test)


def test_stops_in_order() -> None:
    async def test(bench: Bench) -> None:
        await bench.controller.subscribe(("dev/status", 1))
        mark = bench.mark
        await bench.front.stop()
        sent = bench.packets(since=mark)
        assert isinstance(sent[0], Publish)
        assert (sent[0].topic, sent[0].payload, sent[0].retain) == ("dev/status", b"offline", True)
        assert isinstance(sent[-1], Disconnect)
        await asyncio.sleep(1)
        live = [message.payload for message in bench.heard if not message.retain]
        assert live == [b"offline"]  # once: the will was forgotten
        assert bench.tap.connections == ()

    on_bench(test)


def test_stops_also_while_it_is_still_trying() -> None:
    async def test(bench: Bench) -> None:
        bench.tap.refuse(Refusal.SILENT)
        bench.tap.drop()
        await asyncio.sleep(2)
        await bench.front.stop()
        assert bench.front.ready is False

    on_bench(test)


def test_a_power_cut_sends_nothing_and_the_will_tells() -> None:
    async def test(bench: Bench) -> None:
        await bench.controller.subscribe(("dev/status", 1))
        mark = bench.mark
        await bench.front.kill()
        await asyncio.sleep(1)
        assert bench.packets(since=mark) == []
        assert bench.heard[-1].payload == b"offline"
        await bench.front.start()
        await asyncio.sleep(0.2)
        assert bench.heard[-1].payload == b"online"

    on_bench(test)


# Sleeping


SLEEPY = {
    "availability": None,
    "sleep": {"awake": 2, "wakes_every": 600},
    "properties": {"power": {"state": "dev/power", "qos": 1}},
    "actions": {},
}


def test_a_sleeper_is_there_only_while_it_has_something_to_say() -> None:
    async def test(bench: Bench) -> None:
        assert bench.published() == [("dev/power", "0")]
        await asyncio.sleep(3)
        assert isinstance(bench.packets()[-1], Disconnect)
        assert bench.tap.connections == ()
        mark = bench.mark
        bench.core.operate("button")
        await asyncio.sleep(1)
        bench.core.operate("button")
        await asyncio.sleep(1.5)
        assert bench.tap.connections != ()
        assert [told for told in bench.published(mark) if told[0] == "dev/key"] == [
            ("dev/key", '{"key":"up"}')
        ] * 2
        await asyncio.sleep(1)
        assert bench.tap.connections == ()
        mark = bench.mark
        await asyncio.sleep(590)
        assert bench.published(mark) == []
        await asyncio.sleep(15)
        assert bench.published(mark) == [("dev/power", "40" if bench.core.read("relay") else "0")]

    on_bench(test, profile_with(SLEEPY))


def test_a_sleeper_keeps_trying_until_its_key_was_told() -> None:
    async def test(bench: Bench) -> None:
        await asyncio.sleep(3)
        bench.tap.refuse(Refusal.RESET)
        mark = bench.mark
        bench.core.operate("button")
        await asyncio.sleep(5)
        bench.tap.accept()
        await asyncio.sleep(20)
        assert ("dev/key", '{"key":"up"}') in bench.published(mark)

    on_bench(test, profile_with(SLEEPY))


# Bent habits


def test_a_client_may_announce_a_keep_alive_that_it_does_not_keep() -> None:
    async def test(bench: Bench) -> None:
        connect = bench.packets()[0]
        assert isinstance(connect, Connect)
        assert connect.keep_alive == 20
        mark = bench.mark
        await asyncio.sleep(25)
        assert PacketType.PINGREQ not in [packet.type for packet in bench.packets(since=mark)]

    on_bench(test, before=lambda bench: bench.front.deviate(ping_slowness=10.0))


def test_a_filter_bends_packets_on_the_wire() -> None:
    def without_retain(raw: bytes) -> list[bytes]:
        return [bytes([raw[0] & 0xFE]) + raw[1:]] if raw[0] >> 4 == PacketType.PUBLISH else [raw]

    async def test(bench: Bench) -> None:
        assert json.loads(bench.publishes()[3].payload) == {"swing": "no", "lock": False}
        assert {packet.retain for packet in bench.publishes()} == {False}

    on_bench(test, before=lambda bench: bench.front.outgoing.append(without_retain))


@pytest.mark.parametrize("reconnects", [0, 2])
def test_a_client_may_give_up(reconnects: int) -> None:
    async def test(bench: Bench) -> None:
        bench.tap.refuse(Refusal.RESET)
        mark = bench.mark
        bench.tap.drop()
        await asyncio.sleep(300)
        assert len(list(bench.openings(mark))) == reconnects

    on_bench(test, before=lambda bench: bench.front.deviate(reconnects=reconnects))


def test_a_client_may_not_notice_that_nobody_answers() -> None:
    async def test(bench: Bench) -> None:
        bench.tap.hold(lambda packet: packet.type is PacketType.PINGRESP, Direction.TO_DUT)
        mark = bench.mark
        await asyncio.sleep(150)
        kinds = {packet.type for packet in bench.packets(since=mark)}
        assert kinds == {PacketType.PINGREQ}

    on_bench(test, before=lambda bench: bench.front.deviate(notices_half_open=False))


def test_a_crash_takes_its_time() -> None:
    async def test(bench: Bench) -> None:
        mark = await bench.send("dev/relay/set", b"maybe")
        assert not bench.front.ready
        connect = await bench.packet(PacketType.CONNECT, mark)
        assert connect.time - bench.recorder.events[mark].time >= 5
        await bench.ready()

    on_bench(test, before=lambda bench: bench.front.deviate(crash=5.0))


def test_a_session_that_the_broker_kept_goes_on() -> None:
    async def test(bench: Bench) -> None:
        hold = bench.tap.hold(lambda packet: packet.type is PacketType.PUBACK, Direction.TO_DUT)
        mark = await bench.send("dev/relay/set", b"ON")
        first = bench.publishes(mark)[0]
        bench.tap.drop()
        hold.discard()
        mark = bench.mark
        await bench.packet(PacketType.PUBLISH, mark)
        await bench.ready()
        again = bench.publishes(mark)[0]
        assert (again.topic, again.payload, again.packet_id) == (first.topic, first.payload, first.packet_id)
        assert again.dup
        mark = await bench.send("dev/relay/set", b"OFF")
        assert ("dev/relay", "OFF") in bench.published(mark)

    on_bench(test, profile_with({"clean_session": False}))


@pytest.mark.parametrize("trusts", [True, False])
def test_a_device_that_trusts_its_session_does_not_subscribe_again_and_still_hears(trusts: bool) -> None:
    async def test(bench: Bench) -> None:
        mark = bench.mark
        bench.tap.drop()
        await bench.packet(PacketType.CONNECT, mark)
        await bench.ready()
        sent = [packet.type for packet in bench.packets(since=mark)]
        assert (PacketType.SUBSCRIBE in sent) is not trusts
        mark = await bench.send("dev/relay/set", b"ON")
        assert ("dev/relay", "ON") in bench.published(mark)

    habit = HABITS["kept-session"] if trusts else {}
    on_bench(test, profile_with({"clean_session": False}), before=lambda bench: bench.front.deviate(**habit))


def test_every_habit_is_one_that_the_device_has() -> None:
    for habit in HABITS.values():
        MqttDeviations(**habit)


# The heartbeat


def test_states_are_reported_again_at_least_as_often_as_the_heartbeat_says() -> None:
    async def test(bench: Bench) -> None:
        await asyncio.sleep(600)
        for topic, _ in ALL_STATES:
            told = [
                event.time
                for event in bench.recorder.events
                if isinstance(event.body, MqttPacket)
                and event.body.direction is Direction.FROM_DUT
                and isinstance(packet := decode(event.body.raw, event.body.level), Publish)
                and packet.topic == topic
            ]
            pauses = [later - earlier for earlier, later in itertools.pairwise(told)]
            assert max(pauses) <= 60.1
            assert 10 <= len(told) <= 13

    on_bench(test, profile_with(heartbeat=60))


def test_without_a_heartbeat_nothing_is_reported_twice() -> None:
    async def test(bench: Bench) -> None:
        since = bench.mark
        await asyncio.sleep(3600)
        assert bench.published(since) == []

    on_bench(test)


def test_the_heartbeat_begins_anew_with_each_connection() -> None:
    async def test(bench: Bench) -> None:
        await asyncio.sleep(50)
        bench.tap.drop()
        await asyncio.sleep(5)
        assert bench.front.ready
        since = bench.mark
        await asyncio.sleep(61)
        assert bench.published(since) == ALL_STATES

    on_bench(test, profile_with(heartbeat=60))


def test_a_device_that_is_off_has_no_heartbeat() -> None:
    async def test(bench: Bench) -> None:
        await bench.front.stop()
        since = bench.mark
        await asyncio.sleep(600)
        assert bench.published(since) == []

    on_bench(test, profile_with(heartbeat=60))
