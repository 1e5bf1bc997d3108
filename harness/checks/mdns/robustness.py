"""How the device handles unusual and malformed packets (RFC 6762, 18)."""

from __future__ import annotations

from dataclasses import replace

from harness.checks.bench import Bench
from harness.checks.case import (
    Case,
    failed,
    first,
    inconclusive,
    passed,
    run_so_far,
    seen_by,
)
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.support.mdns.names import (
    Names,
    names_of,
)
from harness.checks.support.mdns.queries import (
    answer_to,
    ask,
    settled_names,
    wait_for_spacing,
)
from harness.checks.support.mdns.records_seen import (
    foreign_queries,
    may_be_announcement,
    queries,
    readable,
    sent_records,
)
from harness.model.requirement import Area, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act
from harness.wire.mdns.codec import (
    Message,
    Question,
    RecordType,
    encode,
    encode_query,
    type_name,
)
from harness.wire.mdns.names import encode_name

_UPDATE, _NXDOMAIN = 5, 3  # an opcode and a response code of unicast DNS
_DELAYED = 0.12 + 0.08  # seconds: the longest random delay of an answer, and its transmission


@requirement(
    "MDNS-27",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="18.3, 18.11",
    level=Level.MUST,
    purpose="ensure that the device ignores messages with an opcode or a response code other than zero",
    stimulus="The same query with opcode 5, with response code 3, and correctly",
    expect="The first two are ignored; the third is answered",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS,),
    usual_cause="Only the QR bit of the flags is checked.",
    phase=Phase.MALFORMED,
)
class OtherOpcodes(Check):
    """Wrong headers first, then the same question correctly."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        question = _question(await settled_names(bench))
        if not any(found.unicast for found in sent_records(seen_by(bench))):
            # Without unicast answers, silence may be due to a recent multicast.
            await wait_for_spacing(bench, [question])
        asked = (Question(question.name, question.type, unicast_response=True),)
        for message, what in (
            (Message(asked, opcode=_UPDATE), f"a query with opcode {_UPDATE}"),
            (Message(asked, rcode=_NXDOMAIN), f"a query with response code {_NXDOMAIN}"),
        ):
            bench.mdns.send(encode(message), what)
        await bench.watch_silence(_DELAYED, imposed_by="RFC 6762 6", what="an answer, which would be wrong")
        await ask(bench, question)

    def judge(self, case: Case) -> Outcome:
        question = _question(names_of(run_so_far(case)))
        asked = queries(case, question.name, question.type)
        strange = [seen for seen in asked if seen.value.opcode or seen.value.rcode]
        usual = first(asked, lambda seen: not (seen.value.opcode or seen.value.rcode))
        if len(strange) < 2 or usual is None:
            return inconclusive("the queries were not sent")
        run = run_so_far(case)
        answers = [
            found
            for found in sent_records(
                case, question.name, question.type, after=strange[0].line, before=usual.line
            )
            if not may_be_announcement(run, found.packet)
        ]
        if foreign_queries(case, question.name):
            return inconclusive("another host sent the same query, so answers may have been for it")
        if answers:
            return failed("a query with a wrong header was answered", strange, answers[0].packet)
        answers = sent_records(case, question.name, question.type, after=usual.line)
        if not answers:
            return inconclusive("the correct query was not answered either", asked)
        return passed(
            "queries with wrong headers were ignored, the correct one was answered", asked, answers[0].packet
        )


def _question(names: Names) -> Question:
    """A question for a record that is rarely multicast without a query."""
    if names.services:
        return Question(names.services[0].name, RecordType.TXT)
    return Question(names.host, RecordType.A)


@requirement(
    "MDNS-32",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="18.14",
    level=Level.MUST,
    purpose="ensure that the device reads compressed names in queries and survives malformed packets",
    stimulus="A query with compressed names; then packets with pointer loops, forward pointers, reserved "
    "labels, endless names and truncated records, each followed by a correct query",
    expect="The compressed query is answered; after each malformed packet the device still answers",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS,),
    usual_cause="The parser follows pointers without counting them and hangs, or trusts lengths and "
    "reads beyond the packet.",
    phase=Phase.MALFORMED,
)
class BrokenPackets(Check):
    """Each malformed packet is followed by a query that shows that the device is alive."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        names = await settled_names(bench)
        question = _question(names)
        await ask(bench, question)
        for unicast in (True, False):
            if not unicast:
                await wait_for_spacing(bench, [question])
            begin = bench.mark()
            bench.mdns.send(_compressed_query(question, unicast=unicast), _COMPRESSED)
            if await answer_to(bench, [question], since=begin):
                break
        for what, raw in _broken(question.name).items():
            bench.mdns.send(raw, what)
            if not await ask(bench, Question(names.host, RecordType.A)):
                return

    def judge(self, case: Case) -> Outcome:
        names = names_of(run_so_far(case))
        question = _question(names)
        acts = [seen for seen in case.stimuli(Act.RAW) if seen.value.name]
        usual = sent_records(case, question.name, question.type)
        compressed = [seen for seen in acts if seen.value.name == _COMPRESSED]
        broken = [seen for seen in acts if seen.value.name in _broken(question.name)]
        if not usual or not compressed:
            return inconclusive("the device answers no queries")
        end = broken[0].line if broken else None
        answers = sent_records(case, question.name, question.type, after=compressed[0].line, before=end)
        if not answers:
            return failed(
                f"{readable(question.name)} {type_name(question.type)} was not answered when queried with "
                "compressed names",
                usual[0].packet,
                compressed,
            )
        evidence = [answers[0].packet]
        ends = [*(seen.line for seen in broken[1:]), None]
        for act, following in zip(broken, ends, strict=True):
            alive = sent_records(case, names.host, RecordType.A, after=act.line, before=following)
            if not alive:
                return failed(
                    f"the device stopped answering after a packet with {act.value.name}",
                    usual[0].packet,
                    act,
                    queries(case, names.host, RecordType.A)[-1:],
                )
            evidence.append(alive[0].packet)
        if len(broken) < len(_broken(question.name)):
            return inconclusive("not all malformed packets were sent")
        return passed(f"{len(broken)} malformed packets did no harm", compressed[0], broken, evidence)


_COMPRESSED = "a query with compressed names"
_ASK_A = RecordType.A.to_bytes(2, "big") + b"\0\1"
_HEADER_END = 12


def _compressed_query(question: Question, *, unicast: bool) -> bytes:
    """The question with another host's known answer, whose names point back to the question.

    Common queriers write known answers this way.
    """
    raw = encode_query([replace(question, unicast_response=unicast)])
    pointer = (0xC000 | _HEADER_END).to_bytes(2, "big")
    # A record of the same name and type with other data: it suppresses no answer.
    rdata = b"\x0charness=true"
    known = pointer + question.type.to_bytes(2, "big") + b"\0\1" + (4500).to_bytes(4, "big")
    if question.type == RecordType.A:
        rdata = bytes([192, 0, 2, 1])
    body = raw[_HEADER_END:] + known + len(rdata).to_bytes(2, "big") + rdata
    return _header(questions=1, answers=1) + body


def _header(*, questions: int = 0, answers: int = 0) -> bytes:
    return b"".join(number.to_bytes(2, "big") for number in (0, 0, questions, answers, 0, 0))


def _broken(name: str) -> dict[str, bytes]:
    """Malformed queries by what is wrong with them; they begin like questions about the device.

    The names are part of traces and must not change.
    """
    label = encode_name(name)[: 1 + encode_name(name)[0]]
    at = _HEADER_END + len(label)
    one = _header(questions=1)
    return {
        "a pointer to itself": one + label + (0xC000 | at).to_bytes(2, "big") + _ASK_A,
        "a pointer to its own name": one + label + (0xC000 | _HEADER_END).to_bytes(2, "big") + _ASK_A,
        "a pointer forward": one + label + (0xC000 | at + 40).to_bytes(2, "big") + _ASK_A,
        "a pointer out of the packet": one + label + b"\xff\xff" + _ASK_A,
        "a label of 64 bytes": one + label + b"\x40" + 64 * b"x" + b"\0" + _ASK_A,
        "a name of thousands of bytes": one + label + 60 * (b"\x3f" + 63 * b"x") + b"\0" + _ASK_A,
        "a name that is cut off": one + label[:-2],
        "more records than there are": _header(questions=9, answers=9) + label + b"\0" + _ASK_A,
        "a record longer than the packet": (
            _header(answers=1) + label + b"\0" + _ASK_A + b"\0\0\0\x78\xff\xff" + b"\x7f"
        ),
        "half a header": one[:7],
    }
