"""The judges of MQTT packets, acknowledgements, keep-alive and back-off, on traces written by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checks.mqtt.reconnect_backoff import series_of
from harness.checks.support.mqtt.commands import (
    setting_of,
    settings,
)
from harness.checks.support.mqtt.fences import (
    fence_of,
    hidden_of,
)
from harness.model.loading.profiles import load_profile
from harness.model.schema import same_value
from harness.model.verdict import Outcome, Verdict
from harness.trace.events import Act, ConnectionChange, Fate, Stimulus
from harness.wire.mqtt.codec import (
    PacketType,
    encode_ack,
    encode_connack,
    encode_packet,
    encode_publish,
)
from tests.checks.driving import FURTHER, ROOT, SHIPPED
from tests.checks.mqtt_traces import BASE, FROM, PLUG, TO, Run, connect

LED, LED_SET = f"{BASE}/led/brightness", f"{BASE}/led/brightness/set"
PINGREQ = encode_packet(PacketType.PINGREQ, 0, b"")
PINGRESP = encode_packet(PacketType.PINGRESP, 0, b"")
DISPENSER = load_profile(ROOT / "fixtures" / "profiles" / "pill-dispenser.yaml")


def told(value: int, packet_id: int, *, dup: bool = False) -> bytes:
    return encode_publish(LED, str(value).encode(), 1, packet_id=packet_id, dup=dup, retain=True)


def puback(packet_id: int) -> bytes:
    return encode_ack(PacketType.PUBACK, packet_id)


# Packet identifiers and DUP


def withheld(*packets: bytes) -> Outcome:
    """The device publishes these while the first acknowledgement is withheld."""
    run = Run("MQTT-DEV-040")
    run.session(1, birth=False)
    run.begin()
    for index, packet in enumerate(packets):
        run.tap(FROM, packet)
        if index == 0:
            run.tap(TO, puback(1), fate=Fate.DROPPED)
    return run.judged()


def test_an_identifier_whose_acknowledgement_did_not_arrive_is_in_use() -> None:
    assert withheld(told(1, 1), told(2, 1)).verdict is Verdict.FAIL
    assert withheld(told(1, 1), told(2, 2)).verdict is Verdict.PASS


def test_a_repetition_may_have_its_identifier_again() -> None:
    assert withheld(told(1, 1), told(1, 1, dup=True), told(2, 2)).verdict is Verdict.PASS


def test_without_a_second_message_nothing_is_shown_about_identifiers() -> None:
    assert withheld(told(1, 1)).verdict is Verdict.INCONCLUSIVE


def test_an_identifier_is_free_once_it_is_acknowledged_and_on_a_new_connection() -> None:
    run = Run("MQTT-DEV-040")
    run.session(1, birth=False)
    run.begin()
    run.tap(FROM, told(1, 1))
    run.tap(TO, puback(1))
    run.tap(FROM, told(2, 1))
    run.tap(FROM, told(3, 2))
    run.change(1, ConnectionChange.RESET, TO)
    run.session(2, birth=False)
    run.tap(FROM, told(3, 1), 2)
    assert run.judged().verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("between", "verdict"),
    [(None, Verdict.PASS), (connect(), Verdict.PASS), (told(2, 7), Verdict.FAIL)],
    ids=["nothing", "a new session", "another message of that identifier"],
)
def test_dup_needs_an_earlier_transmission(between: bytes | None, verdict: Verdict) -> None:
    """A message that the last session left unacknowledged may come again in a new one."""
    run = Run("MQTT-DEV-042")
    run.begin()
    run.tap(FROM, told(1, 7))
    if between is not None:
        run.tap(FROM, between)
    run.tap(FROM, told(1, 7, dup=True))
    assert run.judged().verdict is verdict


@pytest.mark.parametrize(("fate", "verdict"), [(Fate.FORWARDED, Verdict.FAIL), (Fate.DROPPED, Verdict.PASS)])
def test_dup_in_a_new_session_needs_an_open_message(fate: Fate, verdict: Verdict) -> None:
    run = Run("MQTT-DEV-042")
    run.begin()
    run.tap(FROM, told(1, 7))
    run.tap(TO, puback(7), fate=fate)
    run.tap(FROM, connect())
    run.tap(FROM, told(1, 7, dup=True))
    assert run.judged().verdict is verdict


# What is left open at a loss


def resumed(*again: bytes, present: bool = True) -> Outcome:
    """An event of the dispenser is not acknowledged; these follow on the connection that resumes."""
    run = Run("MQTT-DEV-036", DISPENSER)
    run.session(1, birth=False)
    run.begin()
    run.tap(FROM, encode_publish(TAKEN, b"null", 1, packet_id=3))
    run.tap(TO, puback(3), fate=Fate.DROPPED)
    run.change(1, ConnectionChange.RESET, TO)
    run.change(2, ConnectionChange.OPENED, FROM)
    run.tap(FROM, connect(), 2)
    run.tap(TO, encode_connack(0, present), 2)
    for packet in again:
        run.tap(FROM, packet, 2)
    return run.judged()


TAKEN = "dispenser-9d41ab/event/taken"
REPEATED = encode_publish(TAKEN, b"null", 1, packet_id=3, dup=True)


def test_an_open_event_comes_again_with_its_identifier_and_dup() -> None:
    assert resumed(REPEATED).verdict is Verdict.PASS
    assert resumed().verdict is Verdict.FAIL
    assert resumed(encode_publish(TAKEN, b"null", 1, packet_id=3)).verdict is Verdict.FAIL
    assert resumed(encode_publish(TAKEN, b"null", 1, packet_id=4, dup=True)).verdict is Verdict.FAIL


def test_an_event_that_comes_again_may_not_come_as_a_new_one_besides() -> None:
    assert resumed(REPEATED, encode_publish(TAKEN, b"null", 1, packet_id=4)).verdict is Verdict.FAIL


def test_a_session_that_the_broker_lost_obliges_to_nothing() -> None:
    assert resumed(present=False).verdict is Verdict.INCONCLUSIVE


# Acknowledgements, and commands that come twice


def acknowledged(*answers: bytes) -> Outcome:
    """A message of QoS 1 and one of QoS 0, and the device's answers to them."""
    run = Run("MQTT-DEV-044")
    run.session(1, birth=False)
    run.tap(TO, encode_publish(LED_SET, b"1", 1, packet_id=8))
    run.begin()
    run.tap(TO, encode_publish(LED_SET, b"20", 1, packet_id=9))
    run.tap(TO, encode_publish(LED_SET, b"30"))
    for answer in answers:
        run.tap(FROM, answer)
    return run.judged()


def test_qos_1_is_acknowledged_and_qos_0_is_not() -> None:
    assert acknowledged(puback(9)).verdict is Verdict.PASS
    assert acknowledged().verdict is Verdict.FAIL
    assert acknowledged(puback(9), puback(30)).verdict is Verdict.FAIL


def test_a_late_acknowledgement_of_an_earlier_message_is_none_of_qos_0() -> None:
    assert acknowledged(puback(8), puback(9)).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("reports", "verdict"),
    [
        ([20, 40], Verdict.PASS),
        ([20, 20, 40], Verdict.FAIL),
        ([20, 40, 20], Verdict.PASS),  # commanded again by somebody after the fence
        ([40], Verdict.INCONCLUSIVE),  # whether it was obeyed at all cannot be told
        ([20, 20], Verdict.INCONCLUSIVE),  # the fence was not obeyed: more may follow
    ],
)
def test_a_duplicate_is_counted_up_to_the_command_that_follows(reports: list[int], verdict: Verdict) -> None:
    run = Run("PROFILE-04")
    run.session(1, birth=False)
    run.begin()
    identifier = 0xF000
    for _ in range(2):
        for dup in (False, True):
            packet = encode_publish(LED_SET, b"20", 1, packet_id=identifier, dup=dup)
            run.tap(TO, packet, fate=Fate.INJECTED)
        run.tap(FROM, told(reports[0], 1))
        run.add(Stimulus(Act.WRITE, "led_brightness", "40", "mqtt", True))
        for value in reports[1:]:
            run.tap(FROM, told(value, 1))
        identifier += 1
    assert run.judged().verdict is verdict


# Keep-alive


def silence(*times: float, until: float = 40.0, pings: bool = True) -> Run:
    """The plug (keep-alive 15 s) sends something at these times; from the first on the link is dead."""
    run = Run("MQTT-DEV-018")
    run.session(1, birth=False)
    run.begin()
    run.act(Act.WITHHOLD, "everything")
    for time in times:
        run.now = time
        run.tap(FROM, PINGREQ if pings else told(1, 1), fate=Fate.DROPPED)
    run.now = until
    return run


@pytest.mark.parametrize(
    ("time", "verdict"), [(13.5, "pass"), (15.4, "pass"), (15.6, "fail"), (22.0, "fail")]
)
def test_the_gap_before_a_ping_is_measured(time: float, verdict: str) -> None:
    assert silence(time).judged().verdict == verdict


def test_no_ping_at_all_is_found_by_the_end_of_the_connection() -> None:
    assert silence().judged().verdict is Verdict.FAIL


def test_a_connection_that_was_cut_in_time_shows_nothing() -> None:
    run = silence(until=3.0)
    run.change(1, ConnectionChange.RESET, TO)
    run.now = 60.0
    assert run.judged().verdict is Verdict.INCONCLUSIVE


def test_after_an_unanswered_ping_silence_is_allowed() -> None:
    run = silence(13.5, until=28.5)
    run.change(1, ConnectionChange.CLOSED, FROM)
    run.now = 80.0
    assert run.judged().verdict is Verdict.PASS


def test_after_an_answered_ping_it_is_not() -> None:
    run = Run("MQTT-DEV-018")
    run.session(1, birth=False)
    run.begin()
    run.now = 13.5
    run.tap(FROM, PINGREQ)
    run.tap(TO, PINGRESP)
    run.now = 33.0
    assert run.judged().verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("closed", "thawed", "verdict"),
    [(28.5, 29.0, "pass"), (None, 60.0, "fail"), (None, 20.0, "inconclusive"), (44.5, 45.0, "fail")],
)
def test_a_dead_link_has_to_be_closed_within_two_keep_alives(
    closed: float | None, thawed: float, verdict: str
) -> None:
    run = silence(13.5)
    run.check = "MQTT-DEV-019"
    if closed is not None:
        run.now = closed
        run.change(1, ConnectionChange.CLOSED, FROM)
    run.now = thawed
    run.act(Act.RELEASE, "everything")
    run.session(2)
    assert run.judged().verdict == verdict


# Back-off


def turned_away(*pauses: float, back: bool = True) -> Run:
    """The connection is cut, and each attempt but the last one is reset."""
    run = Run("MQTT-DEV-023")
    run.session(1)
    run.begin()
    run.add(Stimulus(Act.REFUSE, "reset"))
    run.act(Act.DROP_LINK)
    run.change(1, ConnectionChange.RESET, TO)
    for number, pause in enumerate(pauses[:-1], start=2):
        run.now += pause
        run.change(number, ConnectionChange.OPENED, FROM)
        run.change(number, ConnectionChange.RESET, TO)
    run.act(Act.ACCEPT)
    if back:
        run.now += pauses[-1]
        run.session(len(pauses) + 1)
    return run


@pytest.mark.parametrize(
    ("pauses", "verdict"),
    [
        ((1.0, 2.0, 4.0), "pass"),
        ((0.5, 1.0, 2.0), "pass"),
        ((1.0, 1.0, 1.0), "fail"),
        ((0.5, 0.9, 0.6), "fail"),  # at random around the same mean
        ((0.9, 0.2, 3.0), "pass"),  # full jitter: each between nothing and a growing limit
        ((5.0, 5.0, 5.0), "fail"),  # long, but not growing
        ((15.0, 14.0, 16.0), "pass"),  # as long as the profile allows
        ((0.1, 1.0, 1.0), "fail"),  # at once, and from then on always the same
        ((0.1, 1.0, 2.0), "pass"),
    ],
)
def test_growth_is_told_from_chance(pauses: tuple[float, ...], verdict: str) -> None:
    assert turned_away(*pauses).judged().verdict == verdict


def test_a_storm_is_one_whatever_its_pauses_are_to_each_other() -> None:
    assert turned_away(0.01, 0.05, 0.02, 0.3).judged().verdict is Verdict.FAIL


def test_who_gives_up_is_found() -> None:
    assert turned_away(1.0, 2.0, 4.0, back=False).judged().verdict is Verdict.FAIL


@pytest.mark.parametrize(("before", "after", "verdict"), [(0.0, 30.0, "fail"), (30.0, 0.5, "pass")])
def test_a_pause_counts_until_somebody_operates_the_device(before: float, after: float, verdict: str) -> None:
    """One that sleeps comes when it is woken, and says nothing of its pauses by that."""
    run = turned_away(1.0, 1.0, 0.0, back=False)
    run.now += before
    run.act(Act.LOCAL, "door")
    run.now += after
    run.session(4)
    assert run.judged().verdict == verdict


def test_a_series_ends_when_the_device_was_let_in() -> None:
    run = turned_away(1.0, 2.0, 4.0)
    run.now += 100.0
    run.change(4, ConnectionChange.RESET, TO)
    run.now += 50.0
    run.session(5)
    (series,) = series_of(run.events)
    assert list(series.pauses) == pytest.approx([1.0, 2.0, 4.0])


# Settings


@pytest.mark.parametrize("path", [*SHIPPED, *FURTHER], ids=lambda path: path.stem)
def test_what_is_commanded_is_legal_and_seen_to_change(path: object) -> None:
    profile = load_profile(path)  # type: ignore[arg-type]
    if profile.bindings.mqtt is None:
        pytest.skip("no MQTT side")
    setting = setting_of(profile)
    if setting is None:
        pytest.skip("takes no commands over MQTT")

    @given(st.sampled_from(setting.values), st.integers(min_value=1, max_value=25))
    def check(present: object, count: int) -> None:
        chosen = setting.others(present, count)
        assert len(chosen) == count
        for before, after in zip([present, *chosen], chosen, strict=False):
            assert not same_value(before, after)
            assert setting.schema.accepts(after)
            assert same_value(setting.value_of(setting.payload(after)), after)

    check()


@pytest.mark.parametrize("path", [*SHIPPED, *FURTHER], ids=lambda path: path.stem)
def test_what_a_message_hides_is_not_what_is_commanded_after_it(path: object) -> None:
    profile = load_profile(path)  # type: ignore[arg-type]
    for setting in settings(profile):
        for present in setting.values:
            fence, hidden = fence_of(profile, setting, present), hidden_of(profile, setting, present)
            assert not same_value(fence, present)
            assert not same_value(hidden, present)
            assert not same_value(hidden, fence) or len(setting.values) == 2


def test_the_plug_is_commanded_where_no_rule_interferes() -> None:
    setting = setting_of(PLUG)
    assert setting is not None
    assert setting.name == "led_brightness"
