from __future__ import annotations

import dns.flags
import dns.message
import dns.name
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st
from zeroconf import DNSAddress, DNSIncoming, DNSOutgoing, DNSPointer, DNSQuestion, DNSService, DNSText
from zeroconf.const import _CLASS_IN, _CLASS_UNIQUE, _FLAGS_AA, _FLAGS_QR_QUERY, _FLAGS_QR_RESPONSE

from harness.wire import mdns
from harness.wire.mdns.codec import (
    Address,
    Nsec,
    Ptr,
    Question,
    Record,
    RecordType,
    Srv,
    Txt,
)

labels = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=15)
names = st.lists(labels, max_size=4).map(lambda parts: mdns.join_name(*parts))
numbers = st.integers(0, 0xFFFF)
data = st.one_of(
    st.builds(Ptr, names),
    st.builds(Srv, numbers, numbers, numbers, names),
    st.builds(Txt, st.lists(st.binary(max_size=40), min_size=1, max_size=4).map(tuple)),
    st.ip_addresses().map(lambda address: Address(str(address))),
    st.builds(
        Nsec, names, st.lists(numbers, unique=True, max_size=6).map(lambda found: tuple(sorted(found)))
    ),
)
records = st.builds(
    lambda name, data, ttl, flush: mdns.record(name, data, ttl=ttl, cache_flush=flush),
    names,
    data,
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
questions = st.builds(Question, names, st.integers(0, 255), st.booleans())

INSTANCE = mdns.join_name("My Plug (1).x", "_http", "_tcp", "local")
SERVICE = "_http._tcp.local."


def clauses(raw: bytes) -> list[str]:
    return [problem.clause for problem in mdns.decode(raw).problems]


# Round trips


@given(st.lists(records, max_size=4), st.lists(records, max_size=3), numbers)
def test_responses_come_back(answers: list[Record], additionals: list[Record], id: int) -> None:
    message = mdns.decode(mdns.encode_response(answers, additionals=additionals, id=id))
    assert message.problems == ()
    assert (list(message.answers), list(message.additionals)) == (answers, additionals)
    assert (message.id, message.response, message.authoritative) == (id, True, True)
    assert message.records == (*answers, *additionals)


@given(
    st.lists(questions, max_size=3),
    st.lists(records, max_size=3),
    st.lists(records, max_size=3),
    st.booleans(),
)
def test_queries_come_back(
    asked: list[Question], known: list[Record], proposed: list[Record], truncated: bool
) -> None:
    raw = mdns.encode_query(asked, known_answers=known, authorities=proposed, truncated=truncated)
    message = mdns.decode(raw)
    assert message.problems == ()
    assert (list(message.questions), list(message.answers), list(message.authorities)) == (
        asked,
        known,
        proposed,
    )
    assert (message.response, message.authoritative, message.truncated) == (False, False, truncated)


@given(st.binary(max_size=100))
def test_any_datagram_decodes(raw: bytes) -> None:
    message = mdns.decode(raw)
    assert message.problems or mdns.decode(mdns.encode(message)) == message


@given(st.lists(records, min_size=1, max_size=4), st.data())
def test_damaged_datagrams_decode(answers: list[Record], data: st.DataObject) -> None:
    raw = bytearray(mdns.encode_response(answers))
    for _ in range(data.draw(st.integers(1, 4))):
        value = data.draw(st.sampled_from([0, 0xC0, 12]) | st.integers(0, 255))
        raw[data.draw(st.integers(0, len(raw) - 1))] = value
    message = mdns.decode(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    assert message.problems or mdns.decode(mdns.encode(message)) == message


@given(st.lists(records, min_size=1, max_size=3))
def test_a_datagram_cut_short_is_never_without_problems(answers: list[Record]) -> None:
    raw = mdns.encode_response(answers)
    for size in range(len(raw)):
        message = mdns.decode(raw[:size])
        assert message.problems
        assert list(message.answers) == answers[: len(message.answers)]


# Against zeroconf and dnspython


def test_we_read_what_zeroconf_writes() -> None:
    out = DNSOutgoing(_FLAGS_QR_RESPONSE | _FLAGS_AA)
    unique = _CLASS_IN | _CLASS_UNIQUE
    out.add_answer_at_time(DNSPointer(SERVICE, RecordType.PTR, _CLASS_IN, 4500, "Plug." + SERVICE), 0)
    out.add_answer_at_time(
        DNSService("Plug." + SERVICE, RecordType.SRV, unique, 120, 1, 2, 80, "plug.local."), 0
    )
    out.add_answer_at_time(DNSText("Plug." + SERVICE, RecordType.TXT, unique, 4500, b"\x03a=1\x01b"), 0)
    out.add_additional_answer(DNSAddress("plug.local.", RecordType.A, unique, 120, b"\xc0\0\2\1"))
    (raw,) = out.packets()
    message = mdns.decode(raw)
    assert message.problems == ()
    assert [(record.name, record.cache_flush, record.ttl, record.data) for record in message.records] == [
        (SERVICE, False, 4500, Ptr("Plug." + SERVICE)),
        ("Plug." + SERVICE, True, 120, Srv(1, 2, 80, "plug.local.")),
        ("Plug." + SERVICE, True, 4500, Txt((b"a=1", b"b"))),
        ("plug.local.", True, 120, Address("192.0.2.1")),
    ]
    assert [record.rrclass for record in message.records] == [mdns.CLASS_IN] * 4
    srv = message.answers[1]
    assert isinstance(srv.data, Srv) and srv.data.compressed  # it shares "local." with the names before
    assert srv.rdata == b"\0\1\0\2\0\x50\x04plug\x05local\0"


def test_we_read_what_zeroconf_asks() -> None:
    out = DNSOutgoing(_FLAGS_QR_QUERY)
    question = DNSQuestion(SERVICE, RecordType.PTR, _CLASS_IN)
    question.unicast = True
    out.add_question(question)
    out.add_answer_at_time(DNSPointer(SERVICE, RecordType.PTR, _CLASS_IN, 4500, "Plug." + SERVICE), 0)
    (raw,) = out.packets()
    message = mdns.decode(raw)
    assert message.problems == ()
    assert message.questions == (Question(SERVICE, RecordType.PTR, unicast_response=True),)
    assert [record.data for record in message.answers] == [Ptr("Plug." + SERVICE)]


def test_zeroconf_reads_what_we_write() -> None:
    host = mdns.record("plug.local.", Nsec("plug.local.", (1, 28)), ttl=120, cache_flush=True)
    answers = [
        mdns.record(SERVICE, Ptr(INSTANCE), ttl=4500),
        mdns.record(INSTANCE, Srv(0, 0, 8080, "plug.local."), ttl=120, cache_flush=True),
        mdns.record(INSTANCE, Txt((b"a=1", b"")), ttl=4500, cache_flush=True),
        mdns.record("plug.local.", Address("2001:db8::1"), ttl=120, cache_flush=True),
    ]
    theirs = DNSIncoming(mdns.encode_response(answers, additionals=[host]))
    assert theirs.valid
    pointer, service, text, address, nsec = theirs.answers()
    assert pointer.alias == "My Plug (1).x._http._tcp.local."
    assert (service.port, service.server, service.unique, service.ttl) == (8080, "plug.local.", True, 120)
    assert text.text == b"\x03a=1\0"
    assert address.address == bytes.fromhex("20010db8" + "00" * 11 + "01")
    assert nsec.rdtypes == [1, 28]


@given(st.lists(data, min_size=1, max_size=4), st.lists(names, min_size=4, max_size=4))
def test_dnspython_reads_what_we_write(data: list[mdns.Data], owners: list[str]) -> None:
    answers = [mdns.record(name, item, ttl=120) for name, item in zip(owners, data, strict=False)]
    theirs = dns.message.from_wire(mdns.encode_response(answers), one_rr_per_rrset=True)
    assert theirs.flags == dns.flags.QR | dns.flags.AA
    for ours, rrset in zip(answers, theirs.answer, strict=True):
        assert rrset.name.to_text() == ours.name
        assert (rrset.rdtype, rrset.ttl) == (ours.type, 120)
        assert rrset[0].to_wire() == ours.rdata


def test_we_read_what_dnspython_compresses() -> None:
    theirs = dns.message.make_response(dns.message.make_query(SERVICE, "PTR", flags=0))
    theirs.question = []
    theirs.flags |= dns.flags.AA
    theirs.answer = [
        dns.rrset.from_text(SERVICE, 10, "IN", "PTR", "A." + SERVICE),
        dns.rrset.from_text(SERVICE, 10, "IN", "PTR", "B." + SERVICE),
        dns.rrset.from_text("A." + SERVICE, 10, "IN", "NSEC", f"A.{SERVICE} SRV TXT"),
    ]
    message = mdns.decode(theirs.to_wire())
    assert message.problems == ()
    assert [record.data for record in message.answers] == [
        Ptr("A." + SERVICE),
        Ptr("B." + SERVICE),
        Nsec("A." + SERVICE, (RecordType.TXT, RecordType.SRV)),
    ]


@given(st.lists(st.binary(min_size=1, max_size=15), max_size=5))
def test_names_as_text_agree_with_dnspython(parts: list[bytes]) -> None:
    name = mdns.join_name(*parts)
    assert name == dns.name.Name([*parts, b""]).to_text()
    assert mdns.split_name(name) == tuple(parts)


# Names


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("Plug.local.", "pLUG.LOCAL.", True),
        ("My Plug.local.", "my\\032plug.local.", True),
        ("küche.local.", "k\\195\\188che.local.", True),
        ("KÜCHE.local.", "küche.local.", False),
        ("a.b.local.", "a\\.b.local.", False),
        ("local", "local.", True),
        ("a..b", "a..b", True),
        ("a..b", "a.b", False),
        (".", "", True),
    ],
)
def test_same_name(a: str, b: str, same: bool) -> None:
    assert mdns.same_name(a, b) is same


@pytest.mark.parametrize(
    "name", ["a..b", ".a", "a\\", "a\\1x", "a\\300", "x" * 64 + ".local.", "a." * 128 + "b."]
)
def test_names_that_do_not_fit_are_refused(name: str) -> None:
    with pytest.raises(mdns.DomainNameError):
        mdns.encode_query([Question(name, RecordType.PTR)])


def test_the_longest_name_of_multicast_dns() -> None:
    name = mdns.join_name(*["x" * 63] * 3, "x" * 62)  # 4 labels: 255 bytes, and the zero byte
    message = mdns.decode(mdns.encode_query([Question(name, RecordType.A)]))
    assert message.problems == ()
    assert message.questions[0].name == name


def test_records_that_are_the_same() -> None:
    first = mdns.record(SERVICE, Ptr(INSTANCE), ttl=4500)
    assert first.same_data(mdns.record(SERVICE.upper(), Ptr(INSTANCE.upper()), ttl=0, cache_flush=True))
    assert not first.same_data(mdns.record(SERVICE, Ptr("other." + SERVICE), ttl=4500))
    assert not first.same_data(mdns.record("_coap._udp.local.", Ptr(INSTANCE), ttl=4500))
    srv = mdns.record(INSTANCE, Srv(0, 0, 80, "plug.local."), ttl=120)
    assert srv.same_data(mdns.record(INSTANCE, Srv(0, 0, 80, "PLUG.local."), ttl=120))
    assert not srv.same_data(mdns.record(INSTANCE, Srv(0, 0, 81, "plug.local."), ttl=120))
    text = mdns.record(INSTANCE, Txt((b"a=1",)), ttl=120)
    assert not text.same_data(mdns.record(INSTANCE, Txt((b"A=1",)), ttl=120))
    assert not text.same_data(srv)


def test_txt_pairs() -> None:
    strings = (b"a=1", b"flag", b"empty=", b"=x", b"", b"A=2=3", b"\xff=\xff")
    assert mdns.txt_pairs(strings) == (
        ("a", b"1"),
        ("flag", None),
        ("empty", b""),
        ("A", b"2=3"),
        ("\\xff", b"\xff"),
    )


def test_a_record_is_made_in_the_form_in_which_it_would_be_read() -> None:
    address = mdns.record("Küche.local", Address("::FFFF:0:1"), ttl=1)
    assert (address.name, address.data) == ("K\\195\\188che.local.", Address("::ffff:0.0.0.1"))
    assert mdns.record("a.", Ptr("My Plug.local"), ttl=1).data == Ptr("My\\032Plug.local.")
    assert mdns.record("a.", Nsec("a.", (28, 1)), ttl=1).data == Nsec("a.", (1, 28))


def test_data_that_do_not_fit_are_refused() -> None:
    for data in (
        Address("plug"),
        Srv(0, 0, 65536, "a."),
        Txt((bytes(256),)),
        Txt(()),
        Ptr("a..b"),
        mdns.Unknown(),
    ):
        with pytest.raises(ValueError):
            mdns.record("a.", data, ttl=1)


# Violations

HEADER = b"\0\0\x84\0\0\0\0\1\0\0\0\0"


def answer(rdata: bytes, type: int, name: bytes = b"\x01a\0", size: int | None = None) -> bytes:
    """A response with one record; its data begin at byte 25."""
    fixed = type.to_bytes(2, "big") + b"\0\1" + b"\0\0\0\x78"
    return HEADER + name + fixed + (len(rdata) if size is None else size).to_bytes(2, "big") + rdata


def flags(value: int, questions: int = 0) -> bytes:
    question = b"\x01a\0\0\1\0\1"
    return b"\0\0" + value.to_bytes(2, "big") + bytes([0, questions]) + bytes(6) + question * questions


BAD = {
    "nothing": (b"", ["RFC 1035 4.1.1"]),
    "short-header": (bytes(11), ["RFC 1035 4.1.1"]),
    "bytes-behind": (bytes(13), ["RFC 1035 4.1"]),
    "question-missing": (flags(0, 1)[:12], ["RFC 1035 4.1.4"]),
    "question-cut": (flags(0, 1)[:-1], ["RFC 1035 4.1"]),
    "opcode": (flags(0x0800), ["RFC 6762 18.3"]),
    "response-without-aa": (flags(0x8000), ["RFC 6762 18.4"]),
    "query-with-aa": (flags(0x0400), ["RFC 6762 18.4"]),
    "response-with-tc": (flags(0x8600), ["RFC 6762 18.5"]),
    "ra": (flags(0x8480), ["RFC 6762 18.7"]),
    "z": (flags(0x8440), ["RFC 6762 18.8"]),
    "ad": (flags(0x8420), ["RFC 6762 18.9"]),
    "cd": (flags(0x8410), ["RFC 6762 18.10"]),
    "rcode": (flags(0x8403), ["RFC 6762 18.11"]),
    "too-large": (answer(bytes(9000), 99), ["RFC 6762 17"]),
    "data-cut": (answer(b"ab", 99, size=3), ["RFC 1035 4.1.3"]),
    "pointer-forward": (answer(b"", 99, name=b"\xc0\x0e"), ["RFC 1035 4.1.4"]),
    "pointer-to-itself": (answer(b"", 99, name=b"\xc0\x0c"), ["RFC 1035 4.1.4"]),
    "pointer-into-header": (answer(b"", 99, name=b"\xc0\x00"), ["RFC 1035 4.1.4"]),
    "pointer-loop": (answer(b"\x01b\xc0\x19", RecordType.PTR), ["RFC 1035 4.1.4"]),
    "label-type": (answer(b"", 99, name=b"\x40a\0"), ["RFC 1035 4.1.4"]),
    "name-too-long": (answer(b"", 99, name=(b"\x3f" + b"x" * 63) * 4 + b"\0"), ["RFC 6762 C"]),
    "name-not-utf-8": (answer(b"", 99, name=b"\x01\xff\0"), ["RFC 6762 16"]),
    "ptr-cut": (answer(b"\x05ab", RecordType.PTR), ["RFC 1035 3.1"]),
    "ptr-without-end": (answer(b"\x01a", RecordType.PTR), ["RFC 1035 4.1.4"]),
    "ptr-longer": (answer(b"\x01a\0\0", RecordType.PTR), ["RFC 1035 4.1.3"]),
    "a-size": (answer(b"123", RecordType.A), ["RFC 1035 3.4.1"]),
    "aaaa-size": (answer(b"1234", RecordType.AAAA), ["RFC 3596 2.2"]),
    "srv-short": (answer(bytes(6), RecordType.SRV), ["RFC 2782"]),
    "txt-empty": (answer(b"", RecordType.TXT), ["RFC 6763 6.1"]),
    "txt-cut": (answer(b"\x04a=1", RecordType.TXT), ["RFC 1035 3.3.14"]),
    "nsec-window-empty": (answer(b"\0\0\0", RecordType.NSEC), ["RFC 4034 4.1.2"]),
    "nsec-window-cut": (answer(b"\0\0\2\x40", RecordType.NSEC), ["RFC 4034 4.1.2"]),
    "nsec-window-order": (answer(b"\0\1\1\x40\0\1\x40", RecordType.NSEC), ["RFC 4034 4.1.2"]),
    "nsec-trailing-zero": (answer(b"\0\0\2\x40\0", RecordType.NSEC), ["RFC 4034 4.1.2"]),
}


@pytest.mark.parametrize("name", BAD)
def test_violations(name: str) -> None:
    raw, expected = BAD[name]
    assert clauses(raw) == expected


def test_a_legacy_answer_may_be_truncated() -> None:
    assert clauses(flags(0x8600, 1)) == []


def test_a_record_with_broken_data_does_not_hide_the_next() -> None:
    good = mdns.record("b.", Address("192.0.2.1"), ttl=120)
    raw = answer(b"123", RecordType.A) + mdns.encode_response([good])[12:]
    message = mdns.decode(raw[:6] + b"\0\2" + raw[8:])
    broken, kept = message.answers
    assert (broken.data, broken.rdata) == (mdns.Unknown(), b"123")
    assert kept == good
    assert "a. A:" in message.problems[0].text


def test_opt_keeps_its_class() -> None:
    raw = HEADER + b"\0" + b"\0\x29\x85\xa0\0\0\0\0\0\0"
    (record,) = mdns.decode(raw).answers
    assert (record.rrclass, record.cache_flush) == (0x85A0, False)
