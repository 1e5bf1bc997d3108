"""The judges of leaving, returning and retained messages, on traces that were written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.checks.support.mqtt.topics import readings
from harness.model.verdict import Verdict
from harness.trace.events import Act, ConnectionChange, Direction, Fate, Stimulus
from harness.wire.mqtt.codec import PacketType, encode_packet, encode_publish
from tests.checks.driving import ROOT, check_simulated
from tests.checks.mqtt_traces import AVAILABILITY, BASE, DISCONNECT, FROM, PLUG, TO, Run

CLOSED, RESET = ConnectionChange.CLOSED, ConnectionChange.RESET
OFFLINE = encode_publish(AVAILABILITY, b"offline", 1, packet_id=9, retain=True)

# Leaving


def stopping(check: str, *, will: bool = True) -> Run:
    """A connected device, up to its orderly stop."""
    run = Run(check)
    run.session(1, will=will)
    run.begin()
    run.act(Act.WITHHOLD, "DISCONNECT")
    run.act(Act.STOP)
    return run


def test_a_device_that_leaves_closing_to_others_is_found() -> None:
    run = stopping("MQTT-DEV-051")
    run.tap(FROM, DISCONNECT, fate=Fate.DROPPED)
    run.now = 5.0
    run.act(Act.START)
    assert run.judged().verdict is Verdict.FAIL


@pytest.mark.parametrize(("by", "verdict"), [(FROM, Verdict.PASS), (TO, Verdict.INCONCLUSIVE)])
def test_only_the_device_itself_can_show_that_it_closes(by: Direction, verdict: Verdict) -> None:
    run = stopping("MQTT-DEV-051")
    run.tap(FROM, DISCONNECT, fate=Fate.DROPPED)
    run.change(1, CLOSED, by)
    assert run.judged().verdict is verdict


def test_a_stop_that_met_no_connection_shows_nothing() -> None:
    for check in ("MQTT-DEV-051", "DEV-19"):
        run = Run(check)
        run.session(1)
        run.change(1, RESET, FROM)
        run.begin()
        run.act(Act.WITHHOLD, "DISCONNECT")
        run.act(Act.STOP)
        assert run.judged().verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("will", "verdict"), [(True, Verdict.PASS), (False, Verdict.FAIL)])
def test_who_leaves_without_a_word_needs_a_will(will: bool, verdict: Verdict) -> None:
    run = stopping("DEV-19", will=will)
    run.change(1, CLOSED, FROM)
    assert run.judged().verdict is verdict


def test_offline_after_disconnect_is_too_late() -> None:
    run = stopping("DEV-19")
    run.tap(FROM, DISCONNECT, fate=Fate.DROPPED)
    run.tap(FROM, OFFLINE)
    run.change(1, CLOSED, FROM)
    assert run.judged().verdict is Verdict.FAIL


# Returning


def returned(names: tuple[str, str] = (BASE, BASE), *, will_after_birth: bool = False) -> Run:
    """The device lost its connection unnoticed, and is back."""
    run = Run("DEV-18")
    run.session(1, names[0])
    run.begin()
    run.act(Act.DROP_LINK)
    run.change(1, RESET, TO)
    will = encode_publish(AVAILABILITY, b"offline")
    if not will_after_birth:
        run.client(FROM, will)
    run.session(2, names[1])
    if will_after_birth:
        run.client(FROM, will)
    return run


def test_the_will_of_another_client_identifier_is_the_devices_fault() -> None:
    run = returned((f"{BASE}-1", f"{BASE}-2"), will_after_birth=True)
    run.late_subscriber(2, {AVAILABILITY: b"offline"})
    assert run.judged().verdict is Verdict.FAIL


def test_a_late_will_of_the_same_client_identifier_is_the_brokers_fault() -> None:
    run = returned(will_after_birth=True)
    run.late_subscriber(2, {AVAILABILITY: b"offline"})
    assert run.judged().verdict is Verdict.INCONCLUSIVE


def test_the_will_of_before_the_return_is_taken_back() -> None:
    run = returned()
    run.late_subscriber(2, {AVAILABILITY: b"online"})
    assert run.judged().verdict is Verdict.PASS


def test_a_newcomer_that_was_not_told_everything_shows_nothing() -> None:
    run = returned()
    run.late_subscriber(2, {}, complete=False)
    assert run.judged().verdict is Verdict.INCONCLUSIVE


# Commands that were kept

COMMAND, STATE = f"{BASE}/relay/set", f"{BASE}/relay/state"


def stored(*, retain: bool = True, watched: float = 1.0, obeyed: bool = False) -> Run:
    """A command was stored for the relay while the device was away; it is back and was delivered it."""
    run = Run("DEV-20")
    run.session(1)
    run.begin()
    run.act(Act.DROP_LINK)
    run.change(1, RESET, TO)
    run.client(TO, encode_publish(COMMAND, b"OFF", retain=True))
    run.session(2)
    run.tap(FROM, encode_publish(STATE, b"ON", retain=True), 2)
    run.tap(TO, encode_publish(COMMAND, b"OFF", retain=retain), 2)
    run.now = watched
    if obeyed:
        run.tap(FROM, encode_publish(STATE, b"OFF", retain=True), 2)
    return run


def test_a_stored_command_that_is_obeyed_is_a_ghost() -> None:
    assert stored(obeyed=True).judged().verdict is Verdict.FAIL
    assert stored().judged().verdict is Verdict.PASS


def test_a_command_that_comes_as_a_new_one_may_be_obeyed() -> None:
    assert stored(retain=False, obeyed=True).judged().verdict is Verdict.INCONCLUSIVE


def test_a_device_that_had_no_time_to_obey_shows_nothing() -> None:
    watched = PLUG.settle("relay") / 2
    assert stored(watched=watched).judged().verdict is Verdict.INCONCLUSIVE
    assert stored(watched=watched, obeyed=True).judged().verdict is Verdict.FAIL


def test_where_the_profile_says_so_stored_commands_are_carried_out(tmp_path: Path) -> None:
    path = tmp_path / "obliging.yaml"
    path.write_text(
        f"extends: {ROOT}/profiles/smart-plug.yaml\n"
        "profile: obliging-plug\ntitle: A plug that looks for waiting commands\n"
        "behaviour: { retained_command: apply }\n"
    )
    (judgement,) = check_simulated(path, select=["DEV-20"]).judgements
    assert judgement.result.outcome.verdict is Verdict.PASS
    assert "carried out" in judgement.result.outcome.message


# What is retained


def kept(told: list[bytes], heard: list[bytes], found: bytes) -> Run:
    """The device told these states of its relay, the broker passed some on, a newcomer gets one."""
    run = Run("PROFILE-02")
    run.session(1)
    run.begin()
    for payload in told:
        run.tap(FROM, encode_publish(STATE, payload, retain=True))
    for payload in heard:
        run.client(FROM, encode_publish(STATE, payload))
    others = {
        f"{BASE}/telemetry": b"{}",
        f"{BASE}/config/overload_limit": b"3680",
        f"{BASE}/led/brightness": b"50",
        f"{BASE}/led/mode": b"switch",
    }
    run.late_subscriber(2, {AVAILABILITY: b"online", STATE: found, **others})
    return run


@pytest.mark.parametrize(
    ("told", "heard", "found", "verdict"),
    [
        ([b"ON", b"OFF"], [b"ON", b"OFF"], b"OFF", Verdict.PASS),
        ([b"ON", b"OFF"], [b"ON", b"OFF"], b"ON", Verdict.FAIL),
        # The second one was under way when the newcomer subscribed: it may have had either.
        ([b"ON", b"OFF"], [b"ON"], b"ON", Verdict.PASS),
        ([b"ON", b"OFF"], [b"ON"], b"OFF", Verdict.PASS),
    ],
)
def test_newcomers_get_the_latest(
    told: list[bytes], heard: list[bytes], found: bytes, verdict: Verdict
) -> None:
    assert kept(told, heard, found).judged().verdict is verdict


def test_what_somebody_else_has_left_on_an_events_topic_is_not_the_devices_fault() -> None:
    run = kept([b"ON"], [b"ON"], b"ON")
    run.late_subscriber(3, {f"{BASE}/event/button": b'"press"'})
    assert run.judged().verdict is Verdict.INCONCLUSIVE


# Baselines


def test_a_device_that_never_reacted_is_not_blamed_on_a_large_message() -> None:
    for worked, verdict in ((False, Verdict.INCONCLUSIVE), (True, Verdict.FAIL)):
        run = Run("MQTT-DEV-017")
        run.session(1)
        run.begin()
        if worked:
            command(run, 20, effect=True)
        large = encode_publish(f"{BASE}/led/brightness/set", b"x" * 4096)
        run.client(TO, large)
        run.tap(TO, large)
        command(run, 40, effect=False)
        run.now += 30.0
        assert run.judged().verdict is verdict


def command(run: Run, value: int, *, effect: bool) -> None:
    """A command for the brightness of the LED, through the broker."""
    bound = PLUG.bindings.mqtt.properties["led_brightness"]  # type: ignore[union-attr]
    raw = encode_publish(str(bound.command), str(value).encode())
    run.add(Stimulus(Act.WRITE, "led_brightness", str(value), "mqtt", True))
    run.tap(TO, raw)
    if effect:
        run.tap(FROM, encode_publish(bound.state, str(value).encode()))


def test_a_subscription_after_a_boot_of_the_harness_is_none_of_the_device() -> None:
    """Whoever subscribes at start-up alone would pass otherwise."""
    run = Run("MQTT-DEV-030")
    run.session(1)
    run.begin()
    run.act(Act.DROP_LINK)
    run.change(1, RESET, TO)
    run.act(Act.KILL)
    run.act(Act.START)
    run.session(2)
    assert run.judged().verdict is Verdict.INCONCLUSIVE


def test_every_difference_of_a_connect_is_named() -> None:
    run = Run("PROFILE-01")
    run.session(1, "somebody", will=False, keep_alive=99)
    outcome = run.judged()
    assert outcome.verdict is Verdict.FAIL
    for field in ("client identifier", "keep-alive", "last will"):
        assert field in outcome.message


def test_topics_of_a_convention_may_be_declared() -> None:
    binding = PLUG.bindings.mqtt
    assert binding is not None
    shared = binding.model_copy(update={"shared_topics": ("hub/+/hello",)})
    bindings = PLUG.bindings.model_copy(update={"mqtt": shared})
    for profile, verdict in (
        (PLUG, Verdict.FAIL),
        (PLUG.model_copy(update={"bindings": bindings}), Verdict.PASS),
    ):
        run = Run("PROFILE-07", profile)
        run.session(1)
        run.tap(FROM, encode_publish("hub/7/hello", b"1"))
        assert run.judged().verdict is verdict


def test_a_packet_that_the_harness_dropped_is_not_missing_at_the_broker() -> None:
    run = Run("PROFILE-02")
    run.session(1)
    run.begin()
    run.tap(FROM, encode_publish(AVAILABILITY, b"offline", 1, packet_id=3, retain=True), fate=Fate.DROPPED)
    kept = {reading.topic: b"0" for reading in readings(PLUG) if reading.retain}
    run.late_subscriber(2, kept | {AVAILABILITY: b"online"})
    assert run.judged().verdict is Verdict.PASS


# Keep-alive

PING = encode_packet(PacketType.PINGREQ, 0, b"")


def frozen_link(check: str, *packets: tuple[float, bytes], thawed: float = 60.0, keep_alive: int = 15) -> Run:
    """The link of a device is frozen at 1 s; these packets of it come at these times."""
    run = Run(check)
    run.session(1, keep_alive=keep_alive)
    run.now = 1.0
    run.begin()
    run.act(Act.WITHHOLD, "everything")
    for time, raw in packets:
        run.now = time
        run.tap(FROM, raw, fate=Fate.DROPPED)
    run.now = thawed
    run.act(Act.RELEASE, "everything")
    return run


def every(seconds: int, until: int) -> list[tuple[float, bytes]]:
    report = encode_publish(f"{BASE}/relay/state", b"ON", 1, packet_id=7)
    return [(float(time), report) for time in range(seconds, until, seconds)]


def test_reports_more_often_than_the_keep_alive_are_as_good_as_pings() -> None:
    """Such a device keeps the clause all the time, and never has a reason to ping."""
    assert frozen_link("MQTT-DEV-018", *every(5, 21), thawed=21.0).judged().verdict is Verdict.PASS
    assert frozen_link("MQTT-DEV-019", *every(5, 21), thawed=21.0).judged().verdict is Verdict.NOT_APPLICABLE


def test_reports_that_stop_do_not_keep_a_connection_alive() -> None:
    assert frozen_link("MQTT-DEV-018", *every(5, 21), thawed=40.0).judged().verdict is Verdict.FAIL


def test_reports_for_less_than_a_keep_alive_show_nothing() -> None:
    assert frozen_link("MQTT-DEV-018", *every(5, 11), thawed=12.0).judged().verdict is Verdict.INCONCLUSIVE
    assert frozen_link("MQTT-DEV-019", *every(5, 11), thawed=12.0).judged().verdict is Verdict.INCONCLUSIVE


def test_a_device_may_ping_far_more_often_than_it_must() -> None:
    run = frozen_link("MQTT-DEV-018", (4.0, PING), thawed=12.0)
    assert run.judged().verdict is Verdict.PASS


@pytest.mark.parametrize(("announced", "verdict"), [(15, Verdict.FAIL), (600, Verdict.INCONCLUSIVE)])
def test_a_loss_shows_by_the_keep_alive_that_was_announced(announced: int, verdict: Verdict) -> None:
    """The broker goes by CONNECT; that it differs from the profile is for PROFILE-01 to say."""
    assert frozen_link("DEV-17", keep_alive=announced).judged().verdict is verdict


def test_a_device_that_reports_all_the_time_is_found_conforming(tmp_path: Path) -> None:
    path = tmp_path / "clamp.yaml"
    path.write_text(CLAMP, encoding="utf-8")
    result = check_simulated(path, select=["MQTT-DEV-018", "MQTT-DEV-019", "DEV-17"])
    found = {each.result.id: each.result.outcome.verdict for each in result.judgements}
    assert found == {
        "MQTT-DEV-018": Verdict.PASS,
        "MQTT-DEV-019": Verdict.PASS,  # it pings when it receives nothing for a keep-alive
        "DEV-17": Verdict.PASS,
    }


CLAMP = """
profile: clamp
title: Meter that reports more often than its keep-alive
category: sensor
unit: "7"
properties:
  power: { type: number, unit: W, readOnly: true, minimum: 0, maximum: 9000, tolerance: 1, default: 120 }
bindings:
  mqtt:
    base: clamp-{unit}
    client_id: clamp-{unit}
    keep_alive: 40
    availability: { topic: "clamp-{unit}/availability" }
    properties:
      power: { state: "clamp-{unit}/power", qos: 1 }
behaviour: { heartbeat: 5 }
"""


# Staying connected


def leaving(*times: float, act: Act | None = None, until: float = 60.0) -> Run:
    """A device that leaves its broker at these times, and is back a second later."""
    run = Run("PROFILE-09")
    run.session(1)
    for number, time in enumerate(times, 1):
        if act is not None:
            run.now = time - 1.0
            run.act(act, "something")
        run.now = time
        run.tap(FROM, OFFLINE, number)
        run.tap(FROM, DISCONNECT, number)
        run.change(number, CLOSED, FROM)
        run.now = time + 1.0
        run.session(number + 1)
    run.now = until
    return run


def test_a_device_that_leaves_again_and_again_unasked_is_found() -> None:
    outcome = leaving(6.0, 13.0, 20.0).judged()
    assert outcome.verdict is Verdict.FAIL
    assert "3 times" in outcome.message


def test_a_device_that_leaves_when_it_is_disturbed_is_not() -> None:
    assert leaving(6.0, 13.0, 20.0, act=Act.RAW).judged().verdict is Verdict.PASS


def test_once_may_be_the_network() -> None:
    assert leaving(6.0).judged().verdict is Verdict.INCONCLUSIVE


def test_a_short_time_shows_nothing_about_staying() -> None:
    assert leaving(until=14.0).judged().verdict is Verdict.INCONCLUSIVE
    assert leaving(until=16.0).judged().verdict is Verdict.PASS


@pytest.mark.parametrize(("faults", "verdict"), [((), "pass"), (("leaves-each-cycle",), "fail")])
def test_staying_is_observed_on_a_simulated_device(faults: tuple[str, ...], verdict: str) -> None:
    result = check_simulated(ROOT / "profiles" / "smart-plug.yaml", faults=faults, select=["PROFILE-09"])
    (judgement,) = result.judgements
    assert judgement.result.outcome.verdict == verdict
