"""The judges of behaviour and security, on traces written by hand: order, timing, what is left undecided."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field

import pytest

from harness.checks.case import Case
from harness.checks.catalogue import check_named
from harness.checks.security.exposure import CONTROL
from harness.model.base import Value
from harness.model.verdict import Outcome, Subject, Verdict
from harness.trace.events import Act, CheckEnded, ConnectionChange, Stimulus, TcpProbe
from harness.wire.mqtt.codec import encode_publish
from tests.checks.mqtt_traces import BASE, FROM, PLUG, TO, Run

PASS, FAIL, INCONCLUSIVE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
LED, LED_SET = f"{BASE}/led/brightness", f"{BASE}/led/brightness/set"
RELAY, RELAY_SET = f"{BASE}/relay/state", f"{BASE}/relay/set"
TELEMETRY = f"{BASE}/telemetry"


@dataclass
class Scene:
    """A plug that reports its state, and then the window of a check, told step by step."""

    check: str
    subject: str | None = None
    run: Run = field(init=False)
    packet_id: int = 100

    def __post_init__(self) -> None:
        self.run = Run(self.check)
        self.run.session(1)
        self.relay("ON").led(38).telemetry(power=42)
        self.run.now = 1.0
        self.run.begin()

    def at(self, time: float) -> Scene:
        """It is ``time`` seconds after the start of the window."""
        self.run.now = 1.0 + time
        return self

    def act(self, act: Act, name: str, value: Value = None) -> Scene:
        self.run.add(Stimulus(act, name, json.dumps(value), "mqtt"))
        return self

    def command(self, topic: str, payload: str) -> Scene:
        self.packet_id += 1
        self.run.tap(TO, encode_publish(topic, payload.encode(), 1, packet_id=self.packet_id))
        return self

    def set_led(self, value: Value) -> Scene:
        return self.act(Act.WRITE, "led_brightness", value).command(LED_SET, json.dumps(value))

    def switch(self, word: str) -> Scene:
        return self.act(Act.WRITE, "relay", word == "ON").command(RELAY_SET, word)

    def tell(self, topic: str, payload: str, *, retain: bool = True) -> Scene:
        self.packet_id += 1
        packet = encode_publish(topic, payload.encode(), 1, packet_id=self.packet_id, retain=retain)
        self.run.tap(FROM, packet)
        return self

    def led(self, value: Value) -> Scene:
        return self.tell(LED, json.dumps(value))

    def relay(self, word: str) -> Scene:
        return self.tell(RELAY, word)

    def telemetry(self, **values: Value) -> Scene:
        told = {"power": 42, "voltage": 230, "energy": 1.5, "temperature": 30} | values
        return self.tell(TELEMETRY, json.dumps(told))

    def judged(self) -> Outcome:
        self.run.add(CheckEnded(self.check, self.subject, None))
        case = Case(PLUG, Subject(self.subject), self.run.events, self.run.events[self.run.begun :])
        return check_named(self.check).judge(case)


# Legal commands (settle time 0.5 s)


def obeying() -> Scene:
    return Scene("DEV-01", "led_brightness")


def test_a_value_that_is_told_in_time_and_stays_passes() -> None:
    assert obeying().set_led(70).at(0.2).led(70).at(0.7).judged().verdict is PASS


def test_a_value_that_is_told_late_fails() -> None:
    outcome = obeying().set_led(70).at(0.8).led(70).at(1.5).judged()
    assert outcome.verdict is FAIL and "0.8" in outcome.message


def test_the_old_value_after_the_new_one_fails() -> None:
    outcome = obeying().set_led(70).at(0.1).led(70).at(0.3).led(38).at(0.7).judged()
    assert outcome.verdict is FAIL and "38" in outcome.message


def test_the_old_value_before_the_new_one_is_no_failure() -> None:
    assert obeying().set_led(70).at(0.1).led(38).at(0.2).led(70).at(0.7).judged().verdict is PASS


def test_steps_on_the_way_to_the_next_value_are_not_a_relapse() -> None:
    scene = obeying().set_led(70).led(70).set_led(20).at(0.1).led(50).at(0.2).led(20).at(0.9)
    assert scene.judged().verdict is PASS


def test_a_device_that_does_not_arrive_fails() -> None:
    scene = obeying().set_led(20).at(0.1).led(20).at(0.2).led(28).at(0.9)
    assert scene.judged().verdict is FAIL


def test_what_else_is_done_to_the_device_is_not_the_doing_of_the_command() -> None:
    scene = obeying().set_led(70).at(0.1).led(70).act(Act.LOCAL, "button").at(0.2).led(20).at(0.7)
    assert scene.judged().verdict is PASS


def test_the_simplest_of_the_failing_values_is_named() -> None:
    scene = obeying().set_led(93).at(0.6).set_led(90).at(1.2).set_led(71).at(1.3).led(71).at(2)
    outcome = scene.judged()
    assert outcome.verdict is FAIL and "90" in outcome.message


def test_a_command_that_never_reached_the_device_decides_nothing() -> None:
    assert obeying().act(Act.WRITE, "led_brightness", 70).at(1).judged().verdict is INCONCLUSIVE


# Commands to be refused


def refusing() -> Scene:
    return Scene("DEV-03", "led_brightness")


def test_a_refused_value_and_a_fence_pass() -> None:
    scene = refusing().command(LED_SET, "101").set_led(50).at(0.1).led(50)
    assert scene.judged().verdict is PASS


def test_telling_the_present_value_again_is_a_good_refusal() -> None:
    scene = refusing().command(LED_SET, "101").at(0.1).led(38).set_led(50).at(0.2).led(50)
    assert scene.judged().verdict is PASS


@pytest.mark.parametrize("stored", [101, 100])
def test_an_illegal_value_that_is_stored_or_limited_fails(stored: int) -> None:
    scene = refusing().command(LED_SET, "101").at(0.1).led(stored).set_led(50).at(0.2).led(50)
    assert scene.judged().verdict is FAIL


def test_an_illegal_value_that_is_told_after_the_fence_was_sent_fails() -> None:
    scene = refusing().command(LED_SET, "101").set_led(50).at(0.1).led(100).led(50)
    assert scene.judged().verdict is FAIL


def test_a_device_that_is_deaf_after_an_illegal_value_fails() -> None:
    assert refusing().command(LED_SET, "101").set_led(50).at(1).judged().verdict is FAIL


def test_without_fence_and_without_time_nothing_is_decided() -> None:
    assert refusing().command(LED_SET, "101").at(0.1).judged().verdict is INCONCLUSIVE


def test_without_fence_the_settle_time_decides() -> None:
    assert refusing().command(LED_SET, "101").at(0.6).judged().verdict is PASS


def test_words_in_another_spelling_are_illegal() -> None:
    scene = Scene("DEV-04", "relay").command(RELAY_SET, "off").at(0.1).relay("OFF").at(0.7)
    assert scene.judged().verdict is FAIL


# Rules


def off_means_no_power() -> Scene:
    return Scene("PROFILE-61", "off-means-no-power").switch("OFF")


def test_an_invariant_that_follows_passes() -> None:
    scene = off_means_no_power().at(0.1).relay("OFF").at(0.9).telemetry(power=0).at(2)
    assert scene.judged().verdict is PASS


def test_an_invariant_may_be_told_before_its_cause() -> None:
    scene = off_means_no_power().at(0.1).telemetry(power=0).relay("OFF").at(2)
    assert scene.judged().verdict is PASS


def test_an_invariant_that_does_not_follow_fails() -> None:
    scene = off_means_no_power().at(0.1).relay("OFF").at(0.9).telemetry(power=1.5).at(3)
    assert scene.judged().verdict is FAIL


def test_an_invariant_that_was_not_given_its_time_decides_nothing() -> None:
    assert off_means_no_power().at(0.1).relay("OFF").at(0.9).judged().verdict is INCONCLUSIVE


def test_the_next_act_ends_the_time_of_an_invariant() -> None:
    scene = off_means_no_power().at(0.1).relay("OFF").at(0.5).switch("ON").at(0.6).relay("ON").at(4)
    assert scene.judged().verdict is INCONCLUSIVE


def overload() -> Scene:
    scene = Scene("PROFILE-61", "overload-trips").tell(f"{BASE}/config/overload_limit", "1000")
    return scene.act(Act.LOCAL, "power", 2000).at(0.1).telemetry(power=2000)


def tripped(scene: Scene) -> Scene:
    return scene.relay("OFF").tell(f"{BASE}/event/protection", '"overload"', retain=False).telemetry(power=0)


def test_a_response_in_time_passes() -> None:
    assert tripped(overload().at(2.4)).at(4).judged().verdict is PASS


def test_a_response_that_is_late_fails() -> None:
    assert tripped(overload().at(5)).at(6).judged().verdict is FAIL


def test_a_response_without_its_event_fails() -> None:
    outcome = overload().at(2.4).relay("OFF").telemetry(power=0).at(6).judged()
    assert outcome.verdict is FAIL and "protection" in outcome.message


def test_a_cause_that_ended_before_its_time_asks_for_nothing() -> None:
    assert overload().at(1).telemetry(power=40).at(6).judged().verdict is INCONCLUSIVE


def test_a_cause_that_the_device_never_saw_asks_for_nothing() -> None:
    scene = Scene("PROFILE-61", "overload-trips").act(Act.LOCAL, "power", 4000).at(6)
    assert scene.judged().verdict is INCONCLUSIVE


def hot() -> Scene:
    scene = Scene("PROFILE-61", "hot-stays-off").act(Act.LOCAL, "temperature", 90)
    return scene.relay("OFF").telemetry(power=0, temperature=90).at(0.1).switch("ON")


def test_a_refusal_that_is_kept_passes() -> None:
    assert hot().at(0.7).judged().verdict is PASS


def test_a_refusal_that_is_not_kept_fails() -> None:
    assert hot().at(0.2).relay("ON").at(0.7).judged().verdict is FAIL


# Counters, events, exposure


def counted(*readings: float, reset_after: int | None = None) -> Outcome:
    scene = Scene("DEV-13", "energy")
    for index, reading in enumerate(readings):
        scene.telemetry(energy=reading)
        if index == reset_after:
            scene.act(Act.INVOKE, "reset_energy")
    scene.act(Act.KILL, "power").act(Act.START, "power").telemetry(energy=readings[-1])
    return scene.judged()


def test_a_counter_that_grows_passes() -> None:
    assert counted(1.5, 1.6, 1.6, 2.0).verdict is PASS


def test_a_counter_that_falls_fails() -> None:
    assert counted(1.5, 1.7, 1.6).verdict is FAIL


def test_a_counter_that_was_reset_may_fall() -> None:
    assert counted(1.5, 1.7, 0.0, 0.2, reset_after=1).verdict is PASS


@pytest.mark.parametrize(("messages", "verdict"), [(3, PASS), (2, FAIL), (4, FAIL)])
def test_events_are_counted(messages: int, verdict: Verdict) -> None:
    scene = Scene("DEV-26", "button")
    for index in range(3):
        scene.at(index).act(Act.LOCAL, "button")
        if index < messages:
            scene.tell(f"{BASE}/event/button", '"press"', retain=False)
    if messages > 3:
        scene.tell(f"{BASE}/event/button", '"press"', retain=False)
    assert scene.at(4).judged().verdict is verdict


def test_an_event_that_is_retained_fails() -> None:
    scene = Scene("DEV-26", "button")
    for index in range(3):
        scene.at(index).act(Act.LOCAL, "button").tell(f"{BASE}/event/button", '"press"')
    assert scene.at(4).judged().verdict is FAIL


SECRET = PLUG.security.secrets[0]


@pytest.mark.parametrize(
    "text", [SECRET, SECRET.upper(), base64.b64encode(SECRET.encode()).decode(), SECRET.encode().hex()]
)
def test_a_secret_is_found_in_many_forms(text: str) -> None:
    assert Scene("SEC-07").tell(f"{BASE}/debug", f'{{"psk":"{text}"}}').judged().verdict is FAIL


def test_what_the_harness_sends_is_not_the_leak_of_the_device() -> None:
    assert Scene("SEC-07").command(LED_SET, SECRET).led(38).judged().verdict is PASS


def scanned(*opened: tuple[str, int]) -> Outcome:
    scene = Scene("SEC-01")
    for host in ("127.16.0.1", CONTROL):
        for port in (22, 23, 80):
            scene.run.add(TcpProbe(host, port, (host, port) in opened))
    return scene.judged()


def test_declared_ports_may_be_open() -> None:
    assert scanned(("127.16.0.1", 80)).verdict is PASS


def test_an_undeclared_port_fails() -> None:
    outcome = scanned(("127.16.0.1", 80), ("127.16.0.1", 23))
    assert outcome.verdict is FAIL and "23" in outcome.message


def test_a_program_of_this_machine_is_not_the_device() -> None:
    assert scanned(("127.16.0.1", 22), (CONTROL, 22)).verdict is PASS


def test_without_an_address_of_its_own_the_device_cannot_be_scanned() -> None:
    assert Scene("SEC-01").judged().verdict is Verdict.NOT_APPLICABLE


# Controls without the broker


def returning_after_an_outage() -> Scene:
    scene = Scene("DEV-15", "button")
    scene.run.change(1, ConnectionChange.RESET, TO)
    scene.at(1).run.change(2, ConnectionChange.OPENED, FROM)
    scene.at(2).act(Act.LOCAL, "button").at(3).act(Act.ACCEPT, "")
    scene.at(4).run.session(3)
    return scene


def owed(scene: Scene, word: str) -> Scene:
    """The device sends once more what was not acknowledged before the outage."""
    scene.run.tap(
        FROM, encode_publish(RELAY, word.encode(), 1, packet_id=100, retain=True, dup=True), number=3
    )
    return scene


def test_what_a_control_did_without_the_broker_is_told_after_the_return() -> None:
    assert returning_after_an_outage().relay("OFF").judged().verdict is PASS
    assert returning_after_an_outage().relay("ON").judged().verdict is FAIL


def test_what_was_owed_from_before_an_outage_is_not_the_state_after_it() -> None:
    assert owed(returning_after_an_outage(), "ON").relay("OFF").judged().verdict is PASS
    assert owed(returning_after_an_outage(), "ON").relay("ON").judged().verdict is FAIL
    assert owed(returning_after_an_outage(), "OFF").judged().verdict is FAIL
