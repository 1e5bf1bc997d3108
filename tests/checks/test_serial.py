"""The judges of the serial line, on traces written by hand: what passes, what fails, what stays undecided."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checks.serial.framing import damaged
from harness.model.affordance import PowerUp
from harness.model.base import Value
from harness.model.bindings.serial import SerialCommand
from harness.model.profile import Profile
from harness.model.verdict import Outcome, Verdict
from harness.trace.events import Act, Connection, ConnectionChange, Point, PortChange, SerialData, SerialPort
from harness.wire.serial.frames import Frame as SerialFrame
from harness.wire.serial.frames import FrameCodec
from tests.checks.mqtt_traces import PLUG
from tests.checks.serial_traces import COOLER, FROM, Desk

PASS, FAIL, INCONCLUSIVE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
NOT_APPLICABLE = Verdict.NOT_APPLICABLE
SECRET = "bench-passphrase-7b19d0"


def lines_of(outcome: Outcome, desk: Desk) -> list[str]:
    """What the board printed in the events that a verdict names."""
    bodies = [desk.events[number - 1].body for number in outcome.events]
    return [body.line or "" for body in bodies if isinstance(body, SerialData)]


# Both sides


def pressed(report_after: float | None, *, told: bool = False, shown: bool = False) -> Verdict:
    desk = Desk("SERIAL-01", "panel_power", "mqtt").tells("power", True).at(1).begin()
    desk.shows("power", True).act(Act.LOCAL, "panel_power")
    desk.at(1.1).shows("power", shown)
    if report_after is not None:
        desk.at(1 + report_after).tells("power", told)
    return desk.at(9).judged().verdict


def test_a_key_is_judged_by_what_the_board_shows() -> None:
    assert pressed(0.5) is PASS
    assert pressed(3) is FAIL  # late
    assert pressed(None) is FAIL
    assert pressed(0.5, told=True) is FAIL
    assert pressed(None, shown=True) is INCONCLUSIVE  # the key did nothing at the board either


def test_a_key_that_brings_about_what_the_network_told_already_shows_nothing() -> None:
    desk = Desk("SERIAL-01", "panel_power", "mqtt").tells("power", False).at(1).begin()
    desk.shows("power", True).act(Act.LOCAL, "panel_power").shows("power", False).tells("power", False)
    assert desk.judged().verdict is INCONCLUSIVE
    desk.at(2).shows("power", False).act(Act.LOCAL, "panel_power").shows("power", True)
    assert desk.at(9).judged().verdict is FAIL
    assert desk.tells("power", True).judged().verdict is FAIL  # late
    desk.at(10).act(Act.LOCAL, "panel_power").shows("power", False)  # puts things back
    assert desk.judged().verdict is FAIL


def commanded(*shown: tuple[float, Value]) -> Verdict:
    desk = Desk("SERIAL-02", "target_temperature", "mqtt").begin()
    desk.shows("target_temperature", 24).at(1).act(Act.WRITE, "target_temperature", 21)
    for time, value in shown:
        desk.at(1 + time).shows("target_temperature", value)
    return desk.judged().verdict


def test_a_command_is_judged_at_the_board() -> None:
    assert commanded((0.2, 24), (0.9, 21)) is PASS
    assert commanded((0.2, 24), (1.0, 24)) is FAIL
    assert commanded((0.2, 24)) is INCONCLUSIVE  # it still had time
    assert commanded((0.2, 24), (1 - 1e-6, 24)) is FAIL  # times in traces are rounded
    assert commanded() is INCONCLUSIVE


def compared(board: Value, network: Value, *, before: bool = True) -> Verdict:
    desk = Desk("SERIAL-04")
    if before:
        desk.tells("target_temperature", network)
    return desk.at(1).begin().shows("target_temperature", board).judged().verdict


def test_both_sides_are_compared() -> None:
    assert compared(21, 21) is PASS
    assert compared(21, 24) is FAIL
    assert compared(21, 21, before=False) is INCONCLUSIVE


def test_a_measurement_may_move_between_two_reports() -> None:
    desk = Desk("SERIAL-04").tells("room_temperature", 20).at(1).begin().shows("room_temperature", 22)
    assert desk.at(2).tells("room_temperature", 23).judged().verdict is PASS


def refused(after: Value) -> Verdict:
    desk = Desk("SERIAL-06", "target_temperature", "mqtt").begin().shows("target_temperature", 24)
    desk.act(Act.WRITE, "target_temperature", 55, legal=False)
    return desk.at(2).shows("target_temperature", after).judged().verdict


def test_what_is_refused_leaves_the_board_alone() -> None:
    assert refused(24) is PASS
    assert refused(30) is FAIL


# Starts


def power_cut(board: Value, network: Value = None, *, cut: bool = True) -> Verdict:
    desk = Desk("SERIAL-07", "target_temperature").begin()
    desk.shows("target_temperature", 24).act(Act.WRITE, "target_temperature", 21)
    if cut:
        desk.act(Act.KILL).act(Act.START)
    desk.at(2).boots().ready()
    if network is not None:
        desk.tells("target_temperature", network)
    return desk.shows("target_temperature", board).judged().verdict


@pytest.mark.parametrize("value", [24, 21])
def test_a_power_cut_leaves_the_old_or_the_new_value(value: Value) -> None:
    assert power_cut(value, value) is PASS


def test_a_third_value_after_a_power_cut_fails_on_either_side() -> None:
    assert power_cut(22.5, 22.5) is FAIL
    assert power_cut(24, 22.5) is FAIL
    assert power_cut(22.5, cut=False) is INCONCLUSIVE


def rebooted(board: Value, *, starts: bool = True) -> Verdict:
    desk = Desk("SERIAL-08").tells("target_temperature", 21).at(1).begin()
    desk.shows("target_temperature", 21).act(Act.REBOOT, "reboot")
    if starts:
        desk.at(2).boots().ready()
    return desk.shows("target_temperature", board).tells("target_temperature", board).judged().verdict


def test_a_reboot_keeps_settings() -> None:
    assert rebooted(21) is PASS
    assert rebooted(24) is FAIL
    assert rebooted(21, starts=False) is INCONCLUSIVE  # it kept everything because nothing happened


def rebooted_in_silence(before: Value, after: Value, **declared: object) -> Verdict:
    schema = COOLER.properties["target_temperature"].model_copy(update=declared)
    properties = {**COOLER.properties, "target_temperature": schema}
    desk = Desk("SERIAL-08", profile=COOLER.model_copy(update={"properties": properties}))
    desk.tells("target_temperature", before).at(1).begin().shows("target_temperature", before)
    desk.act(Act.REBOOT, "reboot").at(2).shows("target_temperature", after)
    return desk.tells("target_temperature", after).judged().verdict


def test_a_setting_that_fell_back_to_its_default_shows_that_the_board_started() -> None:
    assert rebooted_in_silence(21, 24, power_up=PowerUp.DEFAULT) is PASS
    assert rebooted_in_silence(21, 21, power_up=PowerUp.DEFAULT) is FAIL
    assert rebooted_in_silence(24, 24, power_up=PowerUp.DEFAULT) is INCONCLUSIVE  # it was there before
    assert rebooted_in_silence(24, 24.2, power_up=PowerUp.DEFAULT, tolerance=0.5) is INCONCLUSIVE
    assert rebooted_in_silence(21, 21.2, tolerance=0.5) is INCONCLUSIVE  # it has moved a bit, as it may


def started(*times: float, ready: float | None = 2.0, until: float = 40.0) -> Verdict:
    desk = Desk("SERIAL-10").begin().act(Act.REBOOT, "reboot")
    told = [(time, False) for time in times] + ([(ready, True)] if ready is not None else [])
    for time, is_ready in sorted(told):
        desk.at(time)
        desk.ready() if is_ready else desk.boots()
    return desk.at(until).begin("DEV-01").judged().verdict


def test_a_reboot_starts_once_and_says_ready() -> None:
    assert started(0.5) is PASS
    assert started(0.5, 3.0) is FAIL  # a second start after it was ready
    assert started(0.5, ready=None) is FAIL
    assert started(0.5, ready=None, until=4) is INCONCLUSIVE
    assert started(0.5, ready=30) is FAIL  # behaviour.boot is 10 s
    assert started(ready=2) is FAIL  # ready without a start


# The whole run

PANIC = "Guru Meditation Error: Core  0 panic'ed (LoadProhibited). Exception was unhandled."


def test_a_crash_names_the_check_that_was_running_and_keeps_the_last_lines() -> None:
    desk = (
        Desk("SERIAL-11").boots().ready().begin("MQTT-DEV-016").prints("mqtt: payload of 70000 bytes", PANIC)
    )
    outcome = desk.end("MQTT-DEV-016").judged()
    assert outcome.verdict is FAIL
    assert "during MQTT-DEV-016" in outcome.message
    assert 'the last line before it: "mqtt: payload of 70000 bytes"' in outcome.message
    assert lines_of(outcome, desk)[:1] == [PANIC]
    assert "mqtt: payload of 70000 bytes" in lines_of(outcome, desk)


def test_a_run_without_a_crash_passes_and_one_without_lines_does_not() -> None:
    assert Desk("SERIAL-11").boots().ready().judged().verdict is PASS
    assert Desk("SERIAL-11").judged().verdict is INCONCLUSIVE


def noise(desk: Desk, lines: int = 20) -> Desk:
    """What comes at the wrong baud rate."""
    raw = bytes.fromhex("cc4b17bce78b9737b70734fe0a")
    for _ in range(lines):
        desk.add(SerialData(FROM, raw, raw[:-1].decode("utf-8", "replace")))
    return desk


@pytest.mark.parametrize("check", ["SERIAL-11", "SERIAL-12", "SERIAL-13"])
def test_a_line_that_cannot_be_read_shows_nothing(check: str) -> None:
    assert noise(Desk(check)).judged().verdict is INCONCLUSIVE
    # One good answer shows that the line is read as it should be; a board may print binary data, too.
    answered = Desk(check).board(SerialCommand.FIRMWARE_VERSION, None, "3.2.0")
    assert noise(answered).judged().verdict is PASS


def away(at: float, until: float | None, *, rebooted: bool = False) -> Verdict:
    """What is said of a run in which the port was away."""
    desk = Desk("SERIAL-11").act(Act.START).boots().ready().at(at)
    if rebooted:
        desk.act(Act.REBOOT, "reboot")
    desk.add(SerialPort(PortChange.VANISHED, "/dev/ttyACM0"))
    if until is not None:
        desk.at(until).add(SerialPort(PortChange.RETURNED, "/dev/ttyACM0"))
    return desk.at(100).ready().judged().verdict


def test_while_the_port_is_away_nobody_sees_a_crash() -> None:
    assert away(50, 53) is INCONCLUSIVE
    assert away(50, None) is INCONCLUSIVE
    assert away(50, 53, rebooted=True) is PASS  # a board with its own USB takes the port along


def test_a_crash_between_two_checks_is_told_as_such() -> None:
    desk = Desk("SERIAL-11").begin("DEV-01").end("DEV-01").prints("assert failed: x.c:1")
    assert "after DEV-01" in desk.judged().message


def test_each_start_needs_a_reason() -> None:
    desk = Desk("SERIAL-12").act(Act.START).boots().ready().begin("SERIAL-08").at(5)
    desk.act(Act.REBOOT, "reboot").at(6).boots().ready().end("SERIAL-08")
    assert desk.judged().verdict is PASS
    outcome = desk.at(50).begin("DEV-01").boots().judged()
    assert outcome.verdict is FAIL
    assert "by itself during DEV-01" in outcome.message


def test_one_reason_does_not_explain_two_starts() -> None:
    desk = Desk("SERIAL-12").act(Act.START).boots().ready().at(3).boots()
    assert desk.judged().verdict is FAIL


def test_a_crash_and_a_return_to_the_network_are_a_start() -> None:
    def after_crash(line: str, change: ConnectionChange, *, dropped: bool = False, at: float = 5) -> Verdict:
        desk = Desk("SERIAL-12").act(Act.START).boots().ready().begin("DEV-01").at(3).prints(line)
        if dropped:
            desk.act(Act.DROP_LINK)
        return desk.at(at).add(Connection(Point.TAP, 7, change, FROM)).judged().verdict

    crash, opened = "assert failed: x.c:1", ConnectionChange.OPENED
    assert after_crash(crash, opened) is FAIL
    assert after_crash(crash, ConnectionChange.CLOSED) is INCONCLUSIVE  # it may still come
    assert after_crash(crash, ConnectionChange.CLOSED, at=90) is PASS
    assert after_crash(crash, opened, dropped=True) is PASS
    assert after_crash(crash, opened, at=90) is PASS
    assert after_crash("E (81) task_wdt: Task watchdog got triggered.", opened) is PASS  # it may go on


def test_no_start_is_seen_where_a_start_prints_nothing_that_is_known() -> None:
    def silent_start(profile: Profile) -> tuple[Verdict, Verdict]:
        desk = Desk("SERIAL-12", profile=profile).begin("DEV-01").prints("[0.1] relay is now true")
        before = desk.board(SerialCommand.MEMORY, None, 100).judged().verdict
        desk.act(Act.REBOOT, "reboot").add(Connection(Point.TAP, 7, ConnectionChange.OPENED, FROM))
        return before, desk.judged().verdict

    assert silent_start(COOLER) == (PASS, INCONCLUSIVE)
    assert silent_start(PLUG) == (
        NOT_APPLICABLE,
        NOT_APPLICABLE,
    )  # it says nothing of what a start looks like


def test_a_board_may_start_when_its_port_is_opened() -> None:
    assert Desk("SERIAL-12").boots().ready().begin("DEV-01").judged().verdict is PASS


def test_a_loader_and_a_firmware_are_one_start() -> None:
    desk = Desk("SERIAL-12").act(Act.START).prints("ESP-ROM:esp32c3", "rst:0x1 (POWERON),boot:0xc").at(1)
    assert desk.boots().ready().judged().verdict is PASS


FORMS = (SECRET, SECRET.encode().hex(), base64.b64encode(SECRET.encode()).decode(), SECRET.upper())


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_on_the_console_is_found_in_every_form(form: str) -> None:
    assert Desk("SERIAL-13").prints("wifi: start", f"key={form};").judged().verdict is FAIL


def test_a_secret_is_found_across_two_reads() -> None:
    desk = Desk("SERIAL-13").add(SerialData(FROM, f"key {SECRET[:9]}".encode()))
    assert desk.add(SerialData(FROM, f"{SECRET[9:]}\r\n".encode(), f"key {SECRET}")).judged().verdict is FAIL


def test_what_we_typed_ourselves_may_come_back() -> None:
    typed = f"wifi join bench-net {SECRET}"
    desk = Desk("SERIAL-13").types(typed).prints(typed, "OK")
    assert desk.judged().verdict is PASS
    assert desk.prints(f"joined with {SECRET}").judged().verdict is FAIL
    assert Desk("SERIAL-13").types(typed).judged().verdict is INCONCLUSIVE


# The console


def after_oddity(*answers: bool, crash: bool = False, start: bool = False, asked: bool = True) -> Verdict:
    desk = Desk("SERIAL-17").begin()
    if asked:
        desk.board(SerialCommand.FIRMWARE_VERSION, None, "3.2.0")
    desk.act(Act.RAW, "a line of 8192 characters")
    if crash:
        desk.prints(PANIC)
    if start:
        desk.boots()
    for is_good in answers:
        if is_good:
            desk.board(SerialCommand.FIRMWARE_VERSION, None, "3.2.0")
        else:
            desk.silent(SerialCommand.FIRMWARE_VERSION)
    return desk.judged().verdict


def test_a_console_that_stands_something_answers_afterwards() -> None:
    assert after_oddity(True) is PASS
    assert after_oddity(False, True) is PASS  # the first one was spoilt by the rest of the line
    assert after_oddity(False, False, False) is FAIL
    assert after_oddity(False) is INCONCLUSIVE
    assert after_oddity(True, crash=True) is FAIL
    assert after_oddity(True, start=True) is FAIL
    assert after_oddity(True, asked=False) is INCONCLUSIVE


def test_an_answer_that_is_missing_fails() -> None:
    desk = Desk("SERIAL-14").begin().board(SerialCommand.MEMORY, None, 100)
    assert desk.judged().verdict is PASS
    desk = Desk("SERIAL-14").begin().board(SerialCommand.MEMORY, None, 100).silent(SerialCommand.READ_CLOCK)
    assert desk.judged().verdict is FAIL


def unanswered(desk: Desk, *came: bytes) -> Verdict:
    """What is said of a board from which that came, after one question each, and never an answer."""
    desk.begin()
    for raw in came:
        desk.types("memory")
        if raw:
            desk.add(SerialData(FROM, raw))
        desk.silent(SerialCommand.MEMORY)
    return desk.judged().verdict


def test_a_board_that_answers_nothing_fails_where_something_shows_that_it_is_there() -> None:
    assert unanswered(Desk("SERIAL-14"), b"", b"") is INCONCLUSIVE
    assert unanswered(Desk("SERIAL-14").tells("power", True), b"", b"") is FAIL
    assert unanswered(Desk("SERIAL-14").boots(), b"", b"") is FAIL
    assert unanswered(Desk("SERIAL-14"), b"\xf3\x80", b"\xf3\x81") is FAIL
    assert unanswered(Desk("SERIAL-14"), b"\xf3\x80", b"") is INCONCLUSIVE  # a cable that ends in the air


CODEC = FrameCodec(PLUG.bindings.serial.frames)  # type: ignore[union-attr, arg-type]


@given(st.integers(0, 255), st.binary(min_size=1, max_size=40))
def test_a_damaged_frame_is_no_frame_any_more(command: int, payload: bytes) -> None:
    raw = CODEC.encode(SerialFrame(command, payload, 0))
    for broken, _ in damaged(raw):
        assert broken != raw
        assert CODEC.decode(broken) is None


def damaged_frame(after: Value) -> Verdict:
    desk = Desk("SERIAL-29", "target_temperature").begin().shows("target_temperature", 24)
    desk.act(Act.LOCAL, "target_temperature", 21).act(Act.LOCAL, "target_temperature", 24)
    desk.shows("target_temperature", 24).act(Act.RAW, "the frame, with a bit turned")
    return desk.shows("target_temperature", after).judged().verdict


def test_a_damaged_frame_that_is_obeyed_fails() -> None:
    assert damaged_frame(24) is PASS
    assert damaged_frame(21) is FAIL


# Factory reset


def reset(check: str, *, joins: bool = True, watched: float = 60.0) -> Desk:
    """A board with an owner, up to the moment after its reset."""
    desk = Desk(check).tells("target_temperature", 21).at(1).begin()
    desk.shows("target_temperature", 21).board(SerialCommand.CREDENTIALS, None, "bench-net")
    desk.act(Act.FACTORY_RESET, "factory_reset").at(2)
    return desk.connection(ConnectionChange.CLOSED).boots().ready()


def joined(desk: Desk, time: float = 60.0) -> Desk:
    return desk.at(time).act(Act.CONSOLE, "provision")


def test_settings_are_at_their_defaults_after_a_reset() -> None:
    assert joined(reset("SERIAL-18").shows("target_temperature", 24)).judged().verdict is PASS
    assert joined(reset("SERIAL-18").shows("target_temperature", 21)).judged().verdict is FAIL
    # Told only after it was set up again, it may be anybody's doing.
    assert joined(reset("SERIAL-18")).shows("target_temperature", 24).judged().verdict is INCONCLUSIVE


def test_a_reset_that_could_not_show_is_undecided() -> None:
    desk = Desk("SERIAL-18").begin().shows("target_temperature", 24).act(Act.FACTORY_RESET, "factory_reset")
    assert desk.at(2).boots().ready().shows("target_temperature", 24).judged().verdict is INCONCLUSIVE


@pytest.mark.parametrize(("kept", "verdict"), [("none", PASS), ("", PASS), ("bench-net", FAIL)])
def test_credentials_are_gone_after_a_reset(kept: str, verdict: Verdict) -> None:
    desk = reset("SERIAL-19").board(SerialCommand.CREDENTIALS, None, kept)
    assert joined(desk).judged().verdict is verdict


def test_a_board_that_only_says_that_it_resets_is_not_judged() -> None:
    desk = Desk("SERIAL-19").begin().board(SerialCommand.CREDENTIALS, None, "bench-net")
    desk.act(Act.FACTORY_RESET, "factory_reset").board(SerialCommand.CREDENTIALS, None, "none")
    assert desk.judged().verdict is INCONCLUSIVE


def test_a_reset_device_does_not_come_back_to_the_old_broker() -> None:
    def watched(desk: Desk, until: float) -> Verdict:
        return joined(desk.at(until).begin("SERIAL-20"), until).judged().verdict

    assert watched(reset("SERIAL-20"), 60) is PASS
    assert watched(reset("SERIAL-20"), 20) is INCONCLUSIVE  # behaviour.reconnect is 40 s
    assert watched(reset("SERIAL-20").at(9).connection(ConnectionChange.OPENED, 2), 60) is FAIL


def test_a_reset_device_that_is_set_up_again_tells_what_it_is() -> None:
    desk = joined(reset("SERIAL-23").shows("target_temperature", 24)).at(63)
    assert desk.tells("target_temperature", 24).judged().verdict is PASS
    desk = joined(reset("SERIAL-23").shows("target_temperature", 24)).at(63)
    assert desk.tells("target_temperature", 21).judged().verdict is FAIL
    desk = joined(reset("SERIAL-23").shows("target_temperature", 24)).at(200).begin("DEV-01")
    assert desk.judged().verdict is FAIL  # a brick
    desk = joined(reset("SERIAL-23").shows("target_temperature", 24)).at(62).begin("DEV-01")
    assert desk.judged().verdict is INCONCLUSIVE


def test_no_secret_comes_over_the_console_after_a_reset() -> None:
    assert joined(reset("SERIAL-22")).judged().verdict is PASS
    assert joined(reset("SERIAL-22").prints(f"last network: {SECRET}")).judged().verdict is FAIL


# Without a network


def offline_key(after: Value) -> Verdict:
    desk = Desk("SERIAL-24", "panel_power").begin().act(Act.NETWORK_OFF, "network_off").shows("power", True)
    desk.act(Act.LOCAL, "panel_power").shows("power", after)
    return desk.at(5).act(Act.NETWORK_ON, "network_on").judged().verdict


def test_keys_work_without_a_network() -> None:
    assert offline_key(False) is PASS
    assert offline_key(True) is FAIL


def offline_change(told: Value) -> Verdict:
    desk = Desk("SERIAL-25").tells("target_temperature", 24).at(1).begin()
    desk.act(Act.NETWORK_OFF, "network_off").act(Act.LOCAL, "target_temperature", 21)
    desk.shows("target_temperature", 21).at(5).act(Act.NETWORK_ON, "network_on").at(8)
    if told is not None:
        desk.tells("target_temperature", told)
    return desk.at(20).begin("DEV-01").judged().verdict


def test_what_changed_without_a_network_is_told_afterwards() -> None:
    assert offline_change(21) is PASS
    assert offline_change(24) is FAIL
    assert offline_change(None) is FAIL


# What only the board knows


@pytest.mark.parametrize(("version", "verdict"), [("3.2.0", PASS), ("3.1.9", FAIL)])
def test_the_version_is_that_of_the_profile(version: str, verdict: Verdict) -> None:
    desk = Desk("SERIAL-26").begin().board(SerialCommand.FIRMWARE_VERSION, None, version)
    assert desk.judged().verdict is verdict


def memory(*figures: int) -> Verdict:
    desk = Desk("SERIAL-27").begin()
    for figure in figures:
        desk.board(SerialCommand.MEMORY, None, figure)
    return desk.judged().verdict


def test_memory_may_go_up_and_down_but_not_away() -> None:
    assert memory(*[183_000, 150_000] * 6) is PASS
    assert memory(*range(200_000, 148_000, -4_000)) is FAIL
    assert memory(*range(200_000, 199_987, -1)) is FAIL  # slowly, and in every round
    assert memory(200_000, 190_000, 180_000, *[170_000] * 9) is PASS  # the caches fill
    assert memory(183_000, 183_000) is INCONCLUSIVE
    assert memory(*[0] * 12) is INCONCLUSIVE  # gone already, or never counted


def clock(before: int, *after: tuple[float, int], known: bool = True) -> Verdict:
    desk = Desk("SERIAL-28").begin().board(SerialCommand.READ_CLOCK, None, NOW if known else 0)
    desk.board(SerialCommand.READ_CLOCK, None, before).at(1).act(Act.REBOOT, "reboot")
    for time, value in after:
        desk.at(time).board(SerialCommand.READ_CLOCK, None, value)
    return desk.judged().verdict


NOW = 1795827600  # when the run began
DAY = 86_400


def test_a_clock_goes_on_or_is_set_again_or_knows_that_it_knows_nothing() -> None:
    assert clock(NOW + DAY, (6, NOW + DAY + 6), (9, NOW + DAY + 9)) is PASS  # a battery
    assert clock(NOW + DAY, (6, 0), (9, NOW + 9)) is PASS  # the network
    assert clock(NOW + DAY, (6, 0), (9, 0)) is FAIL
    assert clock(NOW + DAY, (6, 1_700_000_000), (9, NOW + 9)) is FAIL  # the time of the build
    assert clock(NOW + DAY, (6, 6), (9, NOW + 9)) is FAIL  # 1970
    assert clock(NOW + DAY, (6, 0), (9, 0), known=False) is INCONCLUSIVE  # no network here tells the time


# Done by hand


def by_hand(report_at: float) -> Verdict:
    """A person is asked at 1 s to press a key, and says at 9 s that it is done."""
    desk = Desk("DEV-08", "panel_power", "mqtt").tells("power", True).at(1).begin()
    desk.act(Act.LOCAL, "panel_power")
    if report_at < 9:
        desk.at(report_at).tells("power", False)
    desk.at(9).act(Act.DONE, "panel_power")
    if report_at >= 9:
        desk.at(report_at).tells("power", False)
    return desk.at(20).judged().verdict


def test_what_a_person_does_happens_before_it_is_said_to_be_done() -> None:
    assert by_hand(5) is PASS  # told before the person had time to say so
    assert by_hand(9.5) is PASS
    assert by_hand(11) is FAIL  # behaviour.report_local is 1 s
