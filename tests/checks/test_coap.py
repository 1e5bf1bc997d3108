"""The judges of CoAP checks, on traces that were written by hand: races, losses, wraps, other endpoints."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checks.catalogue import check_named
from harness.checks.coap.resource_discovery import matches
from harness.checks.support.coap.exchanges import exchanges_in
from harness.checks.support.coap.resources import other_value
from harness.model.affordance import Property
from harness.model.bindings.coap import Transmission
from harness.model.profile import Profile
from harness.model.verdict import Outcome, Verdict
from harness.session.run.judging import judgement
from harness.trace.events import Act
from harness.wire import coap
from tests.checks.coap_traces import PROFILE, SETPOINT, Conversation, response, with_coap

# Exchanges


def test_answers_belong_to_the_endpoint_that_asked() -> None:
    talk = Conversation("COAP-CORE-09")
    first = talk.get(token=b"\1", local="a")
    second = talk.get(token=b"\1", local="b")
    talk.answer(second, "b", b"7")
    talk.answer(first, "a", b"3")
    found = exchanges_in(talk.events)
    assert [each.response.value.payload for each in found if each.response] == [b"3", b"7"]


def test_a_repeated_request_is_one_exchange_and_its_late_response_is_its_own() -> None:
    talk = Conversation("COAP-CORE-09")
    asked = talk.get()
    talk.sent(asked)
    talk.came(coap.empty(coap.Type.ACK, asked.mid))
    talk.came(response(asked, type=coap.Type.CON, mid=7))
    (found,) = exchanges_in(talk.events)
    assert len(found.sent) == 2
    assert found.response is not None
    assert found.response.value.mid == 7


def test_a_token_that_comes_back_changed_is_no_match() -> None:
    talk = Conversation("COAP-CORE-09")
    asked = talk.get(token=b"\0\1")
    talk.came(response(asked, token=b""))
    assert talk.judged().verdict is Verdict.FAIL


# Silence


def silence(talk: Conversation, *, answered: bool = True) -> None:
    """Three messages of unknown versions, and an ordinary one."""
    for version in (0, 2, 3):
        message = coap.Message(version, coap.Type.CON, coap.Code.GET, 10 + version, bytes([version]))
        talk.sent(message, what=f"version {version}")
    ordinary = talk.get()
    if answered:
        talk.answer(ordinary)


def test_silence_is_proven_by_an_ordinary_request() -> None:
    talk = Conversation("COAP-CORE-01")
    silence(talk)
    assert talk.judged().verdict is Verdict.PASS


def test_silence_of_a_device_that_is_gone_proves_nothing() -> None:
    talk = Conversation("COAP-CORE-01")
    silence(talk, answered=False)
    assert talk.judged().verdict is Verdict.INCONCLUSIVE


def test_what_comes_to_another_endpoint_does_not_break_the_silence() -> None:
    talk = Conversation("COAP-CORE-01")
    other = talk.get(local="b")
    talk.events.pop()
    silence(talk)
    talk.notify(other, 5, "b")
    assert talk.judged().verdict is Verdict.PASS


def test_a_reset_with_any_message_id_breaks_the_silence() -> None:
    talk = Conversation("COAP-CORE-01")
    silence(talk)
    talk.came(coap.empty(coap.Type.RST, 0))
    assert talk.judged().verdict is Verdict.FAIL


# Where responses come from


@pytest.mark.parametrize(("own_token", "verdict"), [(True, Verdict.FAIL), (False, Verdict.PASS)])
def test_a_response_from_elsewhere_counts_when_it_answers_us(own_token: bool, verdict: Verdict) -> None:
    talk = Conversation("COAP-CORE-16")
    asked = talk.get()
    token = asked.token if own_token else b"another"
    talk.came(response(asked, token=token), source="127.0.0.2:49152")
    talk.answer(asked)
    assert talk.judged().verdict is verdict


# Recommended halves


def non_get(talk: Conversation, type: coap.Type) -> None:
    asked = talk.get(type=coap.Type.NON, what="NON GET")
    talk.came(response(asked, type=type, mid=asked.mid if type is coap.Type.ACK else 900))


@pytest.mark.parametrize(
    ("type", "verdict"),
    [(coap.Type.NON, Verdict.PASS), (coap.Type.CON, Verdict.WARN), (coap.Type.ACK, Verdict.FAIL)],
)
def test_a_non_request_may_not_be_acknowledged_and_should_not_be_confirmed(
    type: coap.Type, verdict: Verdict
) -> None:
    talk = Conversation("COAP-CORE-10")
    non_get(talk, type)
    assert talk.judged().verdict is verdict


def test_a_promised_recommendation_fails_where_it_would_warn() -> None:
    talk = Conversation("COAP-CORE-10")
    non_get(talk, coap.Type.CON)
    promising = PROFILE.model_copy(update={"promises": ("COAP-CORE-*",)})
    check = check_named("COAP-CORE-10")
    judged = judgement(promising, check, talk.subject, talk.judged())
    assert judged.result.outcome.verdict is Verdict.FAIL
    assert "promises" in judged.requirement.clause


# Order of notifications


def notified(values: list[int], *, size: int | None = None, pause: float = 1.0) -> Outcome:
    """The verdict on the Observe values of a registration's response and the notifications after it."""
    talk = Conversation("COAP-OBS-05")
    asked = talk.get(observe=0)
    talk.came(response(asked, observe=values[0]))
    for number, value in enumerate(values[1:]):
        talk.now += pause
        told = response(asked, observe=value, observe_bytes=size, type=coap.Type.CON, mid=500 + number)
        talk.came(told)
        talk.acknowledge(told)
    return talk.judged()


@given(start=st.integers(0, 2**24 - 1), steps=st.lists(st.integers(1, 2**23 - 1), min_size=5, max_size=12))
def test_values_that_rise_pass_also_where_they_wrap_at_24_bits(start: int, steps: list[int]) -> None:
    values = [start]
    for step in steps:
        values.append((values[-1] + step) % 2**24)
    assert notified(values).verdict is Verdict.PASS


@given(
    start=st.integers(0, 2**24 - 1),
    good=st.lists(st.integers(1, 1000), min_size=0, max_size=6),
    bad=st.just(0) | st.integers(2**23, 2**24 - 1),
)
def test_a_value_that_is_not_newer_fails(start: int, good: list[int], bad: int) -> None:
    values = [start]
    for step in [*good, bad, 1, 1, 1, 1, 1]:
        values.append((values[-1] + step) % 2**24)
    assert notified(values).verdict is Verdict.FAIL


def test_a_counter_of_one_byte_fails_where_it_wraps() -> None:
    assert notified([253, 254, 255, 0, 1, 2]).verdict is Verdict.FAIL


def test_a_value_of_four_bytes_fails() -> None:
    assert notified([1, 2, 3, 4, 5, 6], size=4).verdict is Verdict.FAIL


def test_after_128_seconds_any_value_is_newer() -> None:
    assert notified([9, 3, 2, 1, 1, 0], pause=129).verdict is Verdict.PASS


def test_few_notifications_prove_nothing() -> None:
    assert notified([1, 2, 3]).verdict is Verdict.INCONCLUSIVE


def test_a_repeated_datagram_is_no_second_notification() -> None:
    talk = Conversation("COAP-OBS-05")
    asked = talk.get(observe=0)
    talk.came(response(asked, observe=1))
    for value in range(2, 8):
        for _ in range(2):  # its ACK was lost
            talk.came(response(asked, observe=value, type=coap.Type.CON, mid=value))
    assert talk.judged().verdict is Verdict.PASS


# Registrations


def registered_again(*, first: bool = True, second: int | None) -> Verdict:
    """The verdict where a client registers a second time; ``second`` is the Observe option that it gets."""
    talk = Conversation("COAP-OBS-10")
    witness, client = talk.get(observe=0, local="w"), talk.get(observe=0, local="a")
    talk.came(response(witness, observe=1), "w")
    talk.came(response(client, observe=2 if first else None), "a")
    again = talk.get(observe=0, token=client.token, local="a")
    talk.came(response(again, observe=second), "a")
    for number in (4, 5):
        talk.stimulus(Act.WRITE, "fridge_setpoint", "5")
        for asked, local in ((witness, "w"), (client, "a")):
            talk.acknowledge(talk.notify(asked, number, local, payload=b"5"), local)
    return talk.judged().verdict


def test_who_registers_again_takes_no_further_place() -> None:
    assert registered_again(second=3) is Verdict.PASS
    assert registered_again(second=None) is Verdict.FAIL
    assert (
        registered_again(first=False, second=None) is Verdict.INCONCLUSIVE
    )  # there was no place from the start


# Ends of observations


def deregistered(*, straggler: bool) -> Outcome:
    talk = Conversation("COAP-OBS-03")
    witness, leaver = talk.get(observe=0, local="w"), talk.get(observe=0, local="a")
    talk.came(response(witness, observe=1), "w")
    talk.came(response(leaver, observe=1), "a")
    talk.stimulus(Act.WRITE, "fridge_setpoint", "5")
    for asked, local in ((witness, "w"), (leaver, "a")):
        talk.acknowledge(talk.notify(asked, 2, local, payload=b"5"), local)
    ending = talk.get(observe=1, token=leaver.token, local="a")
    talk.answer(ending, "a", b"5")
    talk.stimulus(Act.WRITE, "fridge_setpoint", "4")
    talk.acknowledge(talk.notify(witness, 3, "w"), "w")
    if straggler:
        talk.notify(leaver, 3, "a")
    return talk.judged()


def test_a_deregistered_client_is_left_alone() -> None:
    assert deregistered(straggler=False).verdict is Verdict.PASS


def test_a_notification_after_the_deregistration_fails() -> None:
    outcome = deregistered(straggler=True)
    assert outcome.verdict is Verdict.FAIL
    assert "after the deregistration" in outcome.message


# Answers that are legal although they are not the usual ones


def answered(check: str, *exchanges: tuple[coap.Message, str | None, coap.Message | None]) -> Outcome:
    """The verdict on requests that were answered like this; None stands for silence."""
    talk = Conversation(check)
    for asked, what, came in exchanges:
        talk.sent(asked, what=what)
        if came is not None:
            talk.came(came)
    return talk.judged()


def refusal(
    code: int, answer: coap.Code, *, number: int, what: str | None = None, **fields: object
) -> tuple[coap.Message, str | None, coap.Message]:
    asked = coap.request(code, SETPOINT, mid=number, token=bytes([number]), **fields)  # type: ignore[arg-type]
    payload = b"4" if answer == coap.Code.CONTENT else b""
    return asked, what, response(asked, answer, payload=payload)


@pytest.mark.parametrize(
    ("method", "answer", "verdict"),
    [
        (coap.Code.FETCH, coap.Code.UNSUPPORTED_CONTENT_FORMAT, Verdict.PASS),
        (coap.Code.PATCH, coap.Code.BAD_REQUEST, Verdict.PASS),
        (coap.Code.PUT, coap.Code.FORBIDDEN, Verdict.PASS),
        (coap.Code.PUT, coap.Code.UNSUPPORTED_CONTENT_FORMAT, Verdict.FAIL),
        (coap.Code.FETCH, coap.Code.NOT_FOUND, Verdict.FAIL),
        (0x1F, coap.Code.UNSUPPORTED_CONTENT_FORMAT, Verdict.FAIL),
    ],
)
def test_methods_are_refused_by_any_code_that_is_due(
    method: int, answer: coap.Code, verdict: Verdict
) -> None:
    assert answered("COAP-CORE-30", refusal(method, answer, number=1)).verdict is verdict


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ([coap.Code.BAD_OPTION] * 3, Verdict.PASS),
        ([coap.Code.NOT_ACCEPTABLE] * 3, Verdict.PASS),
        ([coap.Code.CONTENT, coap.Code.BAD_OPTION, coap.Code.NOT_ACCEPTABLE], Verdict.FAIL),
    ],
)
def test_a_server_that_does_not_know_accept_refuses_each(answers: list[coap.Code], verdict: Verdict) -> None:
    tried = [
        refusal(coap.Code.GET, answer, number=number, accept=accept)
        for number, (answer, accept) in enumerate(zip(answers, (50, 60, 65535), strict=True))
    ]
    assert answered("COAP-CORE-36", *tried).verdict is verdict


@pytest.mark.parametrize(
    ("short", "verdict"), [(coap.Code.BAD_OPTION, Verdict.INCONCLUSIVE), (coap.Code.CONTENT, Verdict.FAIL)]
)
def test_leading_zeros_are_judged_where_the_short_form_is_known(short: coap.Code, verdict: Verdict) -> None:
    zeros = coap.Option(coap.OptionNumber.ACCEPT, b"\0\x32")
    outcome = answered(
        "COAP-CORE-25",
        refusal(coap.Code.GET, short, number=1, what="short form of Accept", accept=50),
        refusal(
            coap.Code.GET, coap.Code.BAD_OPTION, number=2, what="GET with Accept in two bytes", extra=[zeros]
        ),
    )
    assert outcome.verdict is verdict


@pytest.mark.parametrize(
    ("host", "answer", "verdict"),
    [
        (b"device.example", coap.Code.NOT_FOUND, Verdict.PASS),
        (b"device.example", coap.Code.BAD_REQUEST, Verdict.PASS),
        (b"device.example", coap.Code.BAD_OPTION, Verdict.FAIL),
        (None, coap.Code.NOT_FOUND, Verdict.FAIL),
    ],
)
def test_only_a_foreign_host_may_be_unknown(host: bytes | None, answer: coap.Code, verdict: Verdict) -> None:
    own = PROFILE.bindings.mdns.host if PROFILE.bindings.mdns else ""
    option = coap.Option(coap.OptionNumber.URI_HOST, host or f"{own}.local".encode())
    outcome = answered(
        "COAP-CORE-27",
        refusal(coap.Code.GET, coap.Code.CONTENT, number=1, what="plain GET"),
        refusal(coap.Code.GET, answer, number=2, what="GET with Uri-Host", extra=[option]),
    )
    assert outcome.verdict is verdict


def test_an_answer_to_a_long_token_belongs_to_its_request() -> None:
    """Two NON requests with reserved token lengths; the server serves the first."""
    talk = Conversation("COAP-CORE-02")
    talk.answer(talk.get())
    first = talk.get(token=b"123456789", type=coap.Type.NON, what="NON, token length 9")
    talk.get(token=b"123456789abcdef", type=coap.Type.NON, what="NON, token length 15")
    talk.came(response(first, type=coap.Type.NON, mid=7))
    talk.answer(talk.get())
    outcome = talk.judged()
    assert outcome.verdict is Verdict.FAIL
    assert "token length 9" in outcome.message


def test_a_server_that_was_silent_before_is_not_blamed_on_a_malformed_message() -> None:
    talk = Conversation("COAP-CORE-06")
    talk.get()
    crafted = coap.Message(1, coap.Type.CON, coap.Code.EMPTY, 77, b"t")
    talk.sent(crafted, what="Empty CON with a token")
    talk.get()
    assert talk.judged().verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("alive", "verdict"), [(True, Verdict.FAIL), (False, Verdict.INCONCLUSIVE)])
def test_malformed_datagrams_are_blamed_only_for_what_they_did(alive: bool, verdict: Verdict) -> None:
    """The server does not answer any more; whether it did before is what counts."""
    talk = Conversation("PROFILE-21")
    asked = talk.get()
    if alive:
        talk.answer(asked)
    talk.sent(coap.Message(0, coap.Type.CON, coap.Code.GET, 77, b"t"), what="a GET of version 0")
    talk.get()
    assert talk.judged().verdict is verdict


def filtered(*answers: tuple[str, str]) -> Outcome:
    """The verdict on a list of two links, and on filters with the lists that they gave."""
    link_format = coap.Option(coap.OptionNumber.CONTENT_FORMAT, b"\x28")
    talk = Conversation("COAP-LINK-02")
    for query, text in (("", '</a>;rt="x";if="i",</b>;rt="y"'), *answers):
        asked = talk.get(f"/.well-known/core{query}")
        answer = response(asked, payload=text.encode())
        talk.came(replace(answer, options=(link_format,)))
    return talk.judged()


def test_a_server_may_know_some_filters_only() -> None:
    full = '</a>;rt="x";if="i",</b>;rt="y"'
    assert filtered(("?rt=x", '</a>;rt="x"'), ("?if=i", full)).verdict is Verdict.PASS
    assert filtered(("?rt=x", '</a>;rt="x"'), ("?rt=x*", full)).verdict is Verdict.FAIL
    assert (
        filtered(
            ("?rt=x", '</b>;rt="y"'),
        ).verdict
        is Verdict.FAIL
    )


# Retransmission

REGULAR = (0.0, 2.4, 7.2, 16.8, 36.0)


def repeated(
    *series: tuple[float, ...],
    until: float = 100.0,
    answers: dict[int, float] | None = None,
    profile: Profile = PROFILE,
) -> Outcome:
    """The verdict on series of transmissions; ``answers`` tells from when on a series was acknowledged."""
    talk = Conversation("COAP-CORE-12", profile=profile)
    messages = [
        coap.Message(1, coap.Type.CON, coap.Code.CONTENT, 10 + number, bytes([number]), (), b"1")
        for number in range(len(series))
    ]
    happenings = [(time, number) for number, times in enumerate(series) for time in times]
    for time, number in sorted(happenings):
        talk.now = time
        talk.came(messages[number], f"client {number}")
        if answers and number in answers and time >= answers[number]:
            talk.acknowledge(messages[number], f"client {number}")
    talk.now = until
    return talk.judged()


def test_doubling_pauses_pass() -> None:
    assert repeated(REGULAR).verdict is Verdict.PASS


@pytest.mark.parametrize(
    "times",
    [
        (0.0,),
        (0.0, 0.5, 1.5, 3.5, 7.5),
        (0.0, 2.5, 5.0, 7.5, 10.0),
        (*REGULAR, 74.4),
    ],
    ids=["never", "too early", "constant", "too often"],
)
def test_other_pauses_fail(times: tuple[float, ...]) -> None:
    assert repeated(times).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("ack_timeout", "times", "verdict"),
    [
        (None, (0.0, 4.5, 13.5, 31.5, 67.5), Verdict.PASS),
        (4.0, (0.0, 4.5, 13.5, 31.5, 67.5), Verdict.PASS),
        (4.0, (0.0, 2.4, 7.2, 16.8, 36.0), Verdict.FAIL),
        (2.0, (0.0, 4.5, 13.5, 31.5, 67.5), Verdict.FAIL),
    ],
)
def test_transmission_parameters_are_those_declared_or_measured(
    ack_timeout: float | None, times: tuple[float, ...], verdict: Verdict
) -> None:
    transmission = Transmission(ack_timeout=ack_timeout) if ack_timeout else None
    assert repeated(times, until=300.0, profile=with_coap(transmission=transmission)).verdict is verdict


def test_more_retransmissions_can_be_declared() -> None:
    profile = with_coap(transmission=Transmission(max_retransmit=5))
    assert repeated((*REGULAR, 74.4), until=300.0, profile=profile).verdict is Verdict.PASS


def test_a_datagram_that_the_network_lost_is_not_held_against_the_device() -> None:
    with_loss = tuple(time for time in REGULAR if time != 2.4)
    assert repeated(with_loss, REGULAR).verdict is Verdict.PASS


def test_a_series_whose_end_was_not_seen_proves_nothing() -> None:
    assert repeated(REGULAR, until=40.0).verdict is Verdict.INCONCLUSIVE


def test_one_repetition_after_an_ack_may_be_due_to_its_loss() -> None:
    assert repeated(REGULAR, REGULAR[:3], answers={1: 2.4}).verdict is Verdict.PASS


def test_repetitions_go_on_after_acks_only_on_a_device_that_ignores_them() -> None:
    outcome = repeated(REGULAR, REGULAR, answers={1: 2.4})
    assert outcome.verdict is Verdict.FAIL
    assert "after ACK" in outcome.message


# What is used of a profile


@given(
    minimum=st.integers(-50, 50),
    steps=st.integers(1, 40),
    step=st.sampled_from([0.1, 0.5, 1, 2, 5]),
    tolerance=st.sampled_from([0, 0.2, 1]),
    at=st.integers(0, 40),
)
def test_another_value_is_legal_and_cannot_be_mistaken(
    minimum: int, steps: int, step: float, tolerance: float, at: int
) -> None:
    low = round(minimum * step, 6)
    schema = Property(
        type="number",
        minimum=low,
        maximum=round((minimum + steps) * step, 6),
        multipleOf=step,
        tolerance=tolerance,
    )
    present = round((minimum + min(at, steps)) * step, 6)
    value = other_value(schema, present)
    if value is not None:
        assert schema.accepts(value)
        assert not schema.agrees(value, present)
        assert abs(value - present) > 2 * tolerance or tolerance == 0
    else:
        assert steps * step <= 4 * tolerance + 2 * step, "there was room"


@pytest.mark.parametrize(
    ("query", "selected"),
    [
        ("rt=light", True),
        ("rt=lamp", True),
        ("rt=li*", True),
        ("rt=ligh", False),
        ("rt=light lamp", False),
        ("href=/a*", True),
        ("href=/a", False),
        ("title=Two words", True),
        ("none=*", False),
    ],
)
def test_filters_select_by_value_or_beginning(query: str, selected: bool) -> None:
    (link,) = coap.parse_link_format('</a/b>;rt="light lamp";title="Two words"')
    assert matches(link, query) is selected
