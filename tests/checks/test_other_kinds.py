"""Faults on kinds of devices that make a check's work harder: what shows on a plug shows on them, too."""

from __future__ import annotations

import pytest

from harness.model.verdict import Verdict
from harness.session.run.judging import result_of_trace
from harness.trace.events import CheckEnded, CoapDatagram, Event
from harness.wire import coap
from tests.checks.driving import FURTHER, SHIPPED, check_simulated

SEEN = [
    # Its session is kept: what crashed it once is waiting for it each time that it comes back.
    ("door-lock", "large-message-crashes", "MQTT-DEV-017"),
    # Nothing was relayed before the run, so that the first states are still on their way.
    ("door-lock", "changes-not-retained", "PROFILE-02"),
    # It locks itself and tells that with the event that its key tells.
    ("door-lock", "event-doubled", "DEV-26"),
    # Its action is given a text, and makes an event happen.
    ("phone-app", "action-ignored", "PROFILE-62"),
    # It has one setting, of two values.
    ("phone-app", "executes-duplicates", "PROFILE-04"),
    # What its action does depends on its state.
    ("light-zeta", "action-ignored", "PROFILE-62"),
    # It may limit values, and so random ones too.
    ("light-zeta", "malformed-crashes", "SEC-10"),
    # A control of it does nothing but tell an event, which sets off a rule.
    ("motion-sensor", "responses-missing", "PROFILE-61"),
    # The words of its payloads are its own values in other letters.
    ("washing-machine", "range-unchecked", "DEV-03"),
    # The setting that a message may change has two values: the other one is commanded next.
    ("curtain", "cuts-off-payload", "PROFILE-08"),
    ("phone-app", "cuts-off-payload", "PROFILE-08"),
    ("curtain", "empty-payload-is-zero", "PROFILE-08"),
    ("phone-app", "empty-payload-is-zero", "PROFILE-08"),
    # The setting by which commands are tried cannot be 0; another one is false, 0 or the first of a list.
    ("charger", "empty-payload-is-zero", "PROFILE-08"),
    ("light", "empty-payload-is-zero", "PROFILE-08"),
    ("wall-thermostat", "empty-payload-is-zero", "PROFILE-08"),
    ("washing-machine", "empty-payload-is-zero", "PROFILE-08"),
    # It tells only what it is asked for, and nothing else in the run asks.
    ("refrigerator", "spelling-changes", "DEV-09"),
    ("smart-plug-nord", "spelling-changes", "DEV-09"),
    ("door-chime", "spelling-changes", "DEV-09"),
    ("garden-light", "spelling-changes", "DEV-09"),
    # Its least value is 0.
    ("curtain", "reports-outside-range", "DEV-09"),
    # A byte holds all of its values.
    ("ha-lamp", "rounding-drift", "DEV-24"),
    ("ha-lamp", "rounding-drift", "DEV-01"),
    # It is on no network: what its line shows is all that there is.
    ("repl-lamp", "console-wrong-baud", "SERIAL-14"),
    ("repl-lamp", "log-in-answers", "SERIAL-14"),
    ("u-boot", "console-wrong-baud", "SERIAL-14"),
    ("u-boot", "log-in-answers", "SERIAL-14"),
    ("modbus-heater", "console-wrong-baud", "SERIAL-14"),
    ("modbus-heater", "console-wrong-checksum", "SERIAL-14"),
    # It prints nothing when it starts.
    ("smart-plug", "crashes-when-asked", "SERIAL-11 SERIAL-12 SERIAL-26"),
    # It is on the network over CoAP alone.
    ("refrigerator", "boots-slowly", "SERIAL-09"),
    # Two datagrams of the survival check are too long: what the first one did, the second must not undo.
    ("smart-plug-nord", "coap-buffer-overrun", "PROFILE-21"),
    ("libcoap-server", "coap-buffer-overrun", "PROFILE-21"),
    # Its files are all that it does not notify of.
    ("libcoap-server", "coap-files-claim-observation", "COAP-LINK-04"),
    # It may notify every three seconds only.
    ("garden-light", "coap-observe-in-one-byte", "COAP-OBS-05"),
    # They have room for two observers.
    ("light-zeta", "coap-registrations-pile-up", "COAP-OBS-10"),
    ("garden-light", "coap-registrations-pile-up", "COAP-OBS-10"),
    # Its keys have been used before, and the network knows nothing of it.
    ("refrigerator", "local-change-unreported", "DEV-08 SERIAL-01 SERIAL-05"),
    # It sleeps, and is operated in vain when it has given up.
    ("contact-sensor", "gives-up-reconnecting", "MQTT-DEV-022"),
    ("motion-sensor", "gives-up-reconnecting", "MQTT-DEV-022"),
    ("remote-control", "gives-up-reconnecting", "MQTT-DEV-022"),
    ("contact-sensor", "gives-up-reconnecting", "MQTT-DEV-023"),
    # It sleeps, and is woken: the pause that this ends is not its own.
    ("contact-sensor", "short-sessions-forgotten", "MQTT-DEV-023"),
    ("motion-sensor", "short-sessions-forgotten", "MQTT-DEV-023"),
    ("remote-control", "short-sessions-forgotten", "MQTT-DEV-023"),
    # Its session is kept: between two crashes it obeys what was commanded while it was away.
    ("pill-dispenser", "large-message-crashes", "MQTT-DEV-017"),
]
PATHS = {path.stem: path for path in (*SHIPPED, *FURTHER)}


@pytest.mark.parametrize(("device", "fault", "checks"), SEEN, ids=str)
def test_a_fault_shows_on_it(device: str, fault: str, checks: str) -> None:
    result = check_simulated(PATHS[device], faults=[fault], select=checks.split())
    for check in checks.split():
        verdicts = {each.result.outcome.verdict for each in result.judgements if each.result.check == check}
        assert verdicts & {Verdict.FAIL, Verdict.WARN}, check


def test_what_a_register_of_sixteen_bits_does_not_hold_wraps_in_one_of_thirty_two() -> None:
    """Only a meter that sends back tells something negative: another check lets it."""
    result = check_simulated(PATHS["energy-meter"], faults=["negative-wraps"], select=["DEV-09", "DEV-11"])
    failed = {item.result.id for item in result.judgements if item.result.outcome.verdict is Verdict.FAIL}
    assert failed == {"DEV-09[power]", "DEV-11[power]"}


def test_a_device_that_tells_no_state_twice_passes_the_check_that_commands_one_twice() -> None:
    result = check_simulated(PATHS["curtain"], faults=["states-told-once"], select=["PROFILE-08"])
    assert [item.result.outcome.verdict for item in result.judgements] == [Verdict.PASS]


def test_what_the_run_has_read_is_not_asked_for_again() -> None:
    """And what was asked for is in the trace, so that another judges the same."""
    path = PATHS["refrigerator"]
    read = check_simulated(path, select=["DEV-01[fridge_setpoint]", "DEV-09[fridge_setpoint]"])
    for result in (read, check_simulated(path, select=["DEV-09", "DEV-10"])):
        again = result_of_trace(result.events, path)
        assert [item.result for item in again.judgements] == [item.result for item in result.judgements]
    ended = next(event.line for event in read.events if isinstance(event.body, CheckEnded))
    asked = [event.line for event in read.events if _is_request(event)]
    assert asked and max(asked) < ended


def _is_request(event: Event) -> bool:
    """A ping, by which the lane sees whether the device has survived a check, asks for nothing."""
    body = event.body
    return isinstance(body, CoapDatagram) and coap.decode(body.raw).is_request


def test_a_sleeping_device_that_gave_up_in_one_check_is_there_for_the_next() -> None:
    """Only a loss of power brings it back: each check says what it saw, not what the one before had done."""
    selected = ["MQTT-DEV-022", "MQTT-DEV-023"]
    result = check_simulated(PATHS["motion-sensor"], faults=["gives-up-reconnecting"], select=selected)
    verdicts = {item.result.check: item.result.outcome.verdict for item in result.judgements}
    assert verdicts == {"MQTT-DEV-022": Verdict.WARN, "MQTT-DEV-023": Verdict.WARN}


def test_what_the_broker_keeps_for_a_device_that_it_kills_does_not_hide_what_else_there_is() -> None:
    """Its session is kept: the payload that crashed it once comes again as soon as it is back."""
    result = check_simulated(PATHS["door-lock"], faults=["malformed-crashes"], select=["DEV-04", "SEC-10"])
    failed = {item.result.id for item in result.judgements if item.result.outcome.verdict is Verdict.FAIL}
    assert failed == {"DEV-04[locked]", "DEV-04[volume]", "SEC-10[payloads/mqtt]"}


def test_a_loss_after_which_only_switching_it_off_and_on_helped_counts() -> None:
    path = next(each for each in SHIPPED if each.stem == "air-conditioner-us")
    select = ["MQTT-DEV-018", "DEV-18", "PROFILE-06"]
    run = check_simulated(path, faults=["never-reconnects"], select=select)
    (outcome,) = (each.result.outcome for each in run.judgements if each.result.check == "PROFILE-06")
    assert outcome.verdict is Verdict.FAIL
    assert "had not come" in outcome.message
