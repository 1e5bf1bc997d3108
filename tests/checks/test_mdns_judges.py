"""The judges of mDNS where it depends on order and time: races, other people's traffic, slow links."""

from __future__ import annotations

from ipaddress import IPv4Network
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checks.support.mdns.names import names_of
from harness.model.verdict import Verdict
from harness.trace.events import Act, Direction, MdnsPacket, Note
from harness.wire import mdns
from harness.wire.mdns.codec import (
    Question,
    Record,
    RecordType,
)
from harness.wire.mdns.link_text import link_text
from tests.checks.mdns_traces import (
    DEVICE,
    GROUP,
    HOST,
    INSTANCE,
    NEIGHBOUR,
    TYPE,
    Trace,
    address,
    everything,
    pointer,
    server,
    text,
)

BROWSE = Question(TYPE, RecordType.PTR)
RESOLVE = Question(HOST, RecordType.A)
OTHER_HOST = "light-51d0c7-2.local."
OTHER_INSTANCE = mdns.join_name("Küche Nr. 2 (2)", "_http", "_tcp", "local")
FOREIGN = mdns.join_name("Printer", "_http", "_tcp", "local")


@pytest.fixture
def trace() -> Trace:
    return Trace()


def renamed() -> list[mdns.Record]:
    return [
        pointer(name=OTHER_INSTANCE),
        address(host=OTHER_HOST),
        server(name=OTHER_INSTANCE, host=OTHER_HOST),
        text(name=OTHER_INSTANCE),
    ]


class TestNames:
    def test_are_the_declared_ones_before_anything_was_seen(self, trace: Trace) -> None:
        assert names_of(trace.case()).unique == (HOST, INSTANCE)

    def test_another_service_of_the_same_responder_does_not_take_their_place(self, trace: Trace) -> None:
        trace.sent_records(1, *everything())
        trace.sent_records(2, pointer(name=FOREIGN), server(name=FOREIGN, host="printer.local."))
        assert names_of(trace.case()).unique == (HOST, INSTANCE)

    def test_change_after_a_dispute(self, trace: Trace) -> None:
        trace.sent_records(1, *everything())
        trace.claimed(2, address(text=NEIGHBOUR), server(port=9))
        trace.sent_records(4, *renamed())
        assert names_of(trace.case()).unique == (OTHER_HOST, OTHER_INSTANCE)

    def test_stay_where_the_device_does_not_give_way(self, trace: Trace) -> None:
        trace.sent_records(1, *everything())
        trace.claimed(2, address(text=NEIGHBOUR), server(port=9))
        assert names_of(trace.case()).unique == (HOST, INSTANCE)

    def test_from_an_earlier_conflict_are_taken_as_they_are(self, trace: Trace) -> None:
        trace.sent_records(1, *renamed())
        assert names_of(trace.case()).unique == (OTHER_HOST, OTHER_INSTANCE)


class TestOncePerSecond:
    def burst(self, trace: Trace, again: float, **how: bool) -> Verdict:
        for time in (10.0, 10.15, 10.3):
            trace.asked(time, RESOLVE)
            trace.asked(time, BROWSE)
            if time == 10:
                trace.sent_records(10.001, address())
                trace.sent_records(10.1, pointer())
        trace.sent_records(again, address(), **how)
        return trace.judged("MDNS-23").verdict

    def test_twice_within_a_second_fails(self, trace: Trace) -> None:
        assert self.burst(trace, 10.5) is Verdict.FAIL

    def test_a_second_later_passes(self, trace: Trace) -> None:
        assert self.burst(trace, 11.001) is Verdict.PASS

    def test_a_unicast_answer_is_no_repetition(self, trace: Trace) -> None:
        assert self.burst(trace, 10.5, unicast=True) is Verdict.PASS

    def test_an_additional_record_is_one(self, trace: Trace) -> None:
        for time in (10.0, 10.15, 10.3):
            trace.asked(time, RESOLVE)
            trace.asked(time, BROWSE)
            if time == 10:
                trace.sent_records(10.001, address())
                trace.sent_records(10.1, pointer(), extra=[server(), address()])
        assert trace.judged("MDNS-23").verdict is Verdict.FAIL

    def test_nobody_asked_again(self, trace: Trace) -> None:
        for time in (10.0, 10.15, 10.3):
            trace.asked(time, RESOLVE)
            trace.asked(time, BROWSE)
        trace.sent_records(10.4, address())
        trace.sent_records(10.4, pointer())
        assert trace.judged("MDNS-23").verdict is Verdict.INCONCLUSIVE


class TestKnownAnswers:
    def queries(self, trace: Trace, *, first: float = 10.0) -> None:
        trace.asked(first, BROWSE, known=[pointer(4500)])
        trace.asked(first + 0.2, BROWSE, known=[pointer(2251)])

    def renewed(self, trace: Trace, *, time: float = 10.4) -> Verdict:
        trace.asked(time, BROWSE, known=[pointer(2000)])
        trace.sent_records(time + 0.1, pointer(), extra=[server(), text()])
        return trace.judged("MDNS-20").verdict

    def test_silence_and_renewal_pass(self, trace: Trace) -> None:
        self.queries(trace)
        assert self.renewed(trace) is Verdict.PASS

    def test_an_answer_to_what_is_known_fails(self, trace: Trace) -> None:
        trace.asked(10, BROWSE, known=[pointer(4500)])
        trace.sent_records(10.1, pointer(), extra=[server(), text()])
        trace.asked(10.2, BROWSE, known=[pointer(2251)])
        assert self.renewed(trace) is Verdict.FAIL

    def test_no_renewal_fails(self, trace: Trace) -> None:
        self.queries(trace)
        trace.asked(10.4, BROWSE, known=[pointer(2000)])
        trace.asked(11.4, BROWSE, known=[pointer(2000)])
        assert trace.judged("MDNS-20").verdict is Verdict.FAIL

    @pytest.mark.parametrize(("started", "expected"), [(7.0, Verdict.PASS), (-60.0, Verdict.FAIL)])
    def test_a_late_announcement_is_no_answer(self, trace: Trace, started: float, expected: Verdict) -> None:
        trace.act(started, Act.START)
        trace.asked(10, BROWSE, known=[pointer(4500)])
        trace.sent_records(10.1, *everything())
        trace.asked(10.2, BROWSE, known=[pointer(2251)])
        assert self.renewed(trace) is expected

    def test_somebody_else_who_asks_leaves_it_open(self, trace: Trace) -> None:
        trace.asked(10, BROWSE, known=[pointer(4500)])
        trace.asked(10.05, BROWSE, by=NEIGHBOUR)
        trace.sent_records(10.1, pointer())
        trace.asked(10.2, BROWSE, known=[pointer(2251)])
        assert self.renewed(trace) is Verdict.INCONCLUSIVE


class TestDelays:
    def judged(self, trace: Trace, shared: float, unique: float = 0.004) -> Verdict:
        trace.asked(10, RESOLVE)
        trace.sent_records(10 + unique, address())
        trace.asked(12, BROWSE)
        trace.sent_records(12 + shared, pointer())
        return trace.judged("MDNS-18").verdict

    @pytest.mark.parametrize(
        ("shared", "unique", "expected"),
        [
            (0.021, 0.004, Verdict.PASS),
            (0.280, 0.004, Verdict.PASS),  # a slow link
            (0.005, 0.004, Verdict.FAIL),
            (0.450, 0.004, Verdict.FAIL),
            (0.060, 0.130, Verdict.FAIL),
        ],
    )
    def test_limits(self, trace: Trace, shared: float, unique: float, expected: Verdict) -> None:
        assert self.judged(trace, shared, unique) is expected

    def test_an_answer_that_somebody_else_waited_for_says_nothing(self, trace: Trace) -> None:
        trace.asked(11.95, BROWSE, by=NEIGHBOUR)
        assert self.judged(trace, 0.003) is Verdict.INCONCLUSIVE

    def test_an_answer_that_had_to_wait_for_its_second_says_nothing(self, trace: Trace) -> None:
        trace.sent_records(11.5, pointer())
        assert self.judged(trace, 0.5) is Verdict.INCONCLUSIVE


class TestAnnouncements:
    def boot(self, trace: Trace, *records: Record) -> None:
        trace.act(1, Act.START)
        for time in (1.1, 1.35, 1.6):
            trace.probed(time, HOST, INSTANCE, records=everything()[1:])
        trace.sent_records(1.85, *(records or everything()))

    def test_twice_passes(self, trace: Trace) -> None:
        self.boot(trace)
        trace.sent_records(2.85, *everything())
        for check in ("MDNS-01", "MDNS-02", "MDNS-06"):
            assert trace.judged(check).verdict is Verdict.PASS, check

    def test_once_fails_when_nobody_disturbed_it(self, trace: Trace) -> None:
        self.boot(trace)
        trace.act(9, Act.LOCAL, "button")
        assert trace.judged("MDNS-06").verdict is Verdict.FAIL

    def test_a_host_may_be_announced_before_its_services(self, trace: Trace) -> None:
        self.boot(trace, address())
        trace.sent_records(2.85, address())
        trace.sent_records(4.1, *everything())
        trace.sent_records(5.1, *everything())
        trace.act(9, Act.LOCAL, "button")
        assert trace.judged("MDNS-06").verdict is Verdict.PASS

    def test_services_that_are_announced_once_fail(self, trace: Trace) -> None:
        self.boot(trace, address())
        trace.sent_records(2.85, address())
        trace.sent_records(4.1, *everything())
        trace.act(9, Act.LOCAL, "button")
        outcome = trace.judged("MDNS-06")
        assert outcome.verdict is Verdict.FAIL
        assert "only once" in outcome.message

    def test_services_that_are_never_announced_fail(self, trace: Trace) -> None:
        self.boot(trace, address())
        trace.sent_records(2.85, address())
        trace.act(9, Act.LOCAL, "button")
        outcome = trace.judged("MDNS-06")
        assert outcome.verdict is Verdict.FAIL
        assert "PTR" in outcome.message

    def test_services_that_were_asked_for_too_early_prove_nothing(self, trace: Trace) -> None:
        self.boot(trace, address())
        trace.sent_records(2.85, address())
        trace.asked(3.5, BROWSE)
        trace.act(9, Act.LOCAL, "button")
        assert trace.judged("MDNS-06").verdict is Verdict.INCONCLUSIVE

    def test_power_on_of_a_device_that_was_on_is_no_start(self, trace: Trace) -> None:
        trace.act(1, Act.START)
        trace.asked(2, BROWSE, RESOLVE)
        trace.sent_records(2.05, *everything())
        trace.act(9, Act.LOCAL, "button")
        for check in ("MDNS-01", "MDNS-06"):
            assert trace.judged(check).verdict is Verdict.INCONCLUSIVE, check

    def test_a_start_after_a_stop_is_one(self, trace: Trace) -> None:
        trace.act(0.5, Act.STOP)
        trace.act(1, Act.START)
        trace.sent_records(1.85, *everything())
        trace.act(9, Act.LOCAL, "button")
        assert trace.judged("MDNS-01").verdict is Verdict.FAIL

    def test_answers_are_no_announcement(self, trace: Trace) -> None:
        self.boot(trace)
        trace.asked(2.7, BROWSE, RESOLVE)
        trace.sent_records(2.8, *everything())
        trace.act(9, Act.LOCAL, "button")
        assert trace.judged("MDNS-06").verdict is Verdict.INCONCLUSIVE

    def test_a_start_that_was_cut_short_says_nothing(self, trace: Trace) -> None:
        self.boot(trace)
        trace.act(2.0, Act.KILL)
        trace.act(9, Act.LOCAL, "button")
        assert trace.judged("MDNS-06").verdict is Verdict.INCONCLUSIVE

    def test_a_name_of_which_no_probe_was_seen_fails(self, trace: Trace) -> None:
        trace.act(1, Act.START)
        for time in (1.1, 1.35, 1.6):
            trace.probed(time, HOST, records=[address()])
        trace.sent_records(1.85, *everything())
        outcome = trace.judged("MDNS-01")
        assert outcome.verdict is Verdict.FAIL
        assert "Küche" in outcome.message

    def test_a_record_that_no_probe_proposed_fails(self, trace: Trace) -> None:
        trace.act(1, Act.START)
        for time in (1.1, 1.35, 1.6):
            trace.probed(time, HOST, INSTANCE, records=[address(), text()])
        trace.sent_records(1.85, *everything())
        outcome = trace.judged("MDNS-02")
        assert outcome.verdict is Verdict.FAIL
        assert "SRV" in outcome.message


class TestGoodbyes:
    def test_one_that_arrives_when_the_next_start_is_under_way_counts(self, trace: Trace) -> None:
        trace.act(0.1, Act.START)
        trace.sent_records(1, *everything())
        trace.act(5, Act.STOP)
        trace.act(5, Act.START)
        trace.sent_records(5.001, *everything(ttl=0)[:3])
        trace.sent_records(6.2, *everything())
        assert trace.judged("MDNS-14").verdict is Verdict.PASS

    def test_one_of_a_later_rename_does_not(self, trace: Trace) -> None:
        trace.act(0.1, Act.START)
        trace.sent_records(1, *everything())
        trace.act(5, Act.STOP)
        trace.act(5, Act.START)
        trace.sent_records(6.2, *everything())
        trace.sent_records(9, pointer(0))
        assert trace.judged("MDNS-14").verdict is Verdict.FAIL

    def test_a_power_cut_asks_for_none(self, trace: Trace) -> None:
        trace.act(0.1, Act.START)
        trace.sent_records(1, *everything())
        trace.act(5, Act.KILL)
        trace.act(6, Act.START)
        assert trace.judged("MDNS-14").verdict is Verdict.INCONCLUSIVE


class TestBrowsing:
    def browse(self, trace: Trace, *records: mdns.Record) -> None:
        trace.asked(10, BROWSE)
        trace.sent_records(10.1, records[0], extra=records[1:])

    def test_a_name_from_a_conflict_nobody_saw_is_pointed_out(self, trace: Trace) -> None:
        self.browse(trace, *renamed())
        assert trace.judged("PROFILE-40").verdict is Verdict.WARN

    def test_a_name_from_a_conflict_of_this_run_passes(self, trace: Trace) -> None:
        trace.sent_records(1, *everything())
        trace.claimed(2, address(text=NEIGHBOUR), server(port=9))
        trace.sent_records(4, *renamed())
        self.browse(trace, *renamed())
        assert trace.judged("PROFILE-40", since=4).verdict is Verdict.PASS

    def test_quite_another_name_fails(self, trace: Trace) -> None:
        self.browse(trace, pointer(name=FOREIGN), server(name=FOREIGN), text(name=FOREIGN))
        assert trace.judged("PROFILE-40").verdict is Verdict.FAIL

    @pytest.mark.parametrize(
        "strings",
        [
            (b"id=light-51d0c7",),
            (b"id=light-51d0c7", b"path=/"),
            (b"id=light-51d0c7", b"path"),
            (b"id=light-51d0c7", b"path=/info", b"debug=1"),
            (b"path=/old", b"id=light-51d0c7", b"path=/info"),  # the first one counts
        ],
    )
    def test_another_text_fails(self, trace: Trace, strings: tuple[bytes, ...]) -> None:
        self.browse(trace, pointer(), server(), text(*strings))
        assert trace.judged("PROFILE-40").verdict is Verdict.FAIL

    @pytest.mark.parametrize(
        "strings",
        [
            (b"path=/info", b"ID=light-51d0c7"),  # keys know no case, and no order
            (b"id=light-51d0c7", b"path=/info", b"path=/other"),
        ],
    )
    def test_the_same_text_otherwise_written_passes(self, trace: Trace, strings: tuple[bytes, ...]) -> None:
        self.browse(trace, pointer(), server(), text(*strings))
        assert trace.judged("PROFILE-40").verdict is Verdict.PASS


class TestAnswers:
    def ask_for_all(
        self, trace: Trace, *, any_is_known: bool, extra: tuple[mdns.Record, ...] = ()
    ) -> Verdict:
        trace.sent_records(1, *everything())
        trace.asked(10, Question(HOST, RecordType.ANY))
        if any_is_known:
            trace.sent_records(10.01, address())
        for time, type, answer in ((11, RecordType.TXT, text()), (12, RecordType.SRV, server())):
            trace.asked(time, Question(INSTANCE, type))
            trace.sent_records(time + 0.01, answer, extra=extra)
        trace.asked(13, BROWSE)
        trace.sent_records(13.1, pointer())
        return trace.judged("MDNS-15", since=2).verdict

    def test_each_by_itself_passes(self, trace: Trace) -> None:
        assert self.ask_for_all(trace, any_is_known=True) is Verdict.PASS

    def test_what_goes_along_with_another_answer_is_no_answer(self, trace: Trace) -> None:
        assert self.ask_for_all(trace, any_is_known=False, extra=(address(),)) is Verdict.FAIL


class TestAddresses:
    @pytest.mark.parametrize(
        ("told", "expected"),
        [
            ([DEVICE], Verdict.PASS),
            ([DEVICE, "10.8.0.3"], Verdict.PASS),  # a second one may be as good
            (["10.8.0.3"], Verdict.FAIL),
            (["0.0.0.0"], Verdict.FAIL),
            ([DEVICE, "127.0.0.1"], Verdict.FAIL),
            ([DEVICE, "169.254.3.4"], Verdict.FAIL),
        ],
    )
    def test_told_against_the_one_it_speaks_from(
        self, trace: Trace, told: list[str], expected: Verdict
    ) -> None:
        trace.asked(10, RESOLVE)
        trace.sent_records(10.01, *(address(text=text) for text in told))
        assert trace.judged("MDNS-17").verdict is expected

    @pytest.mark.parametrize(("text", "expected"), [("192.0.2.55", Verdict.PASS), ("10.8.0.3", Verdict.FAIL)])
    def test_an_address_must_be_on_the_link_if_that_is_known(
        self, trace: Trace, text: str, expected: Verdict
    ) -> None:
        trace.add(0, Note(link_text(IPv4Network("192.0.2.0/24"), 1500)))
        trace.asked(10, RESOLVE)
        trace.sent_records(10.01, address(), address(text=text))
        assert trace.judged("MDNS-17").verdict is expected


class TestSizes:
    @pytest.mark.parametrize(
        ("mtu", "count", "expected"),
        [
            (None, 7, Verdict.PASS),
            (None, 9, Verdict.FAIL),
            (9000, 9, Verdict.PASS),
            (1280, 8, Verdict.FAIL),
            (9000, 60, Verdict.FAIL),
        ],
    )
    def test_a_message_may_be_as_large_as_the_link_carries(
        self, trace: Trace, mtu: int | None, count: int, expected: Verdict
    ) -> None:
        if mtu:
            trace.add(0, Note(link_text(IPv4Network("192.0.2.0/24"), mtu)))
        trace.sent_records(1, *(text(b"x" * 150, name=f"{number}.local.") for number in range(count)))
        assert trace.judged("MDNS-34").verdict is expected


@given(
    st.lists(st.tuples(st.floats(0, 5), st.booleans()), min_size=2, max_size=12).map(
        lambda sent: sorted(sent, key=lambda each: each[0])
    )
)
def test_what_is_multicast_too_soon_is_found_in_any_order(sent: list[tuple[float, bool]]) -> None:
    """Against the definition: two packets with one record in less than a second, some slack allowed."""
    trace = Trace()
    for _ in range(3):
        trace.asked(0, RESOLVE)
        trace.asked(0, BROWSE)
    for time, is_address in sent:
        trace.sent_records(time, address() if is_address else pointer())
    gaps = [
        later - earlier
        for kind in (True, False)
        for times in [[time for time, is_address in sent if is_address is kind]]
        for earlier, later in pairwise(times)
    ]
    failed = trace.judged("MDNS-23").verdict is Verdict.FAIL
    assert failed == any(gap < 0.9 for gap in gaps)


@given(st.binary(max_size=80))
def test_no_text_record_is_too_broken_to_be_judged(rdata: bytes) -> None:
    trace = Trace()
    trace.sent_records(1, pointer(), server())
    good = mdns.encode_response([text(b"")])
    raw = good[:-3] + len(rdata).to_bytes(2, "big") + rdata
    trace.add(2, MdnsPacket(Direction.FROM_DUT, f"{DEVICE}:5353", GROUP, raw))
    verdicts = {trace.judged(check).verdict for check in ("DNSSD-02", "DNSSD-03", "DNSSD-04")}
    assert verdicts <= {Verdict.PASS, Verdict.FAIL}
    filled = _fills(rdata)
    if not filled:
        assert trace.judged("DNSSD-02").verdict is Verdict.FAIL


def _fills(rdata: bytes) -> bool:
    """Whether the bytes are one or more strings, each behind its length."""
    at = 0
    while at < len(rdata):
        at += 1 + rdata[at]
    return bool(rdata) and at == len(rdata)
