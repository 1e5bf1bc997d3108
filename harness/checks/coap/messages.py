"""The CoAP message format and layer: pings, versions, format errors (RFC 7252, sections 3 and 4)."""

from __future__ import annotations

from dataclasses import replace

from harness.checks.bench import Bench
from harness.checks.case import Case
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.support.coap.client import (
    fence,
    provoke,
    provoke_each,
)
from harness.checks.support.coap.crafted import (
    UNREADABLE_OPTIONS,
    crafted_get,
    crafted_wrong,
    judge_format_errors,
    judge_resets,
    judge_silence,
    judge_unchanged,
    with_version,
)
from harness.checks.support.coap.exchanges import exchanges
from harness.checks.support.coap.resources import free_settings
from harness.model.requirement import Area, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.wire import coap

UNKNOWN_VERSIONS = (0, 2, 3)
RESERVED_TOKEN_LENGTHS = (9, 15)  # also in RFC 8974, which gives 13 and 14 a meaning
RESERVED_CODES = (0x21, 0xC0, 0xFF)  # 1.01, 6.00, 7.31


@requirement(
    "COAP-CORE-05",
    area=Area.COAP,
    standard="RFC 7252",
    clause="4.2, 4.3",
    level=Level.MUST,
    purpose="ensure that the device answers a CoAP ping",
    stimulus="Send an Empty CON",
    expect="RST with the same Message ID, empty, without a token",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="The message layer passes every CON to the request handler, which does not know code 0.00 "
    "and sends nothing.",
    phase=Phase.WATCH,
)
class Ping(Check):
    """An Empty CON is answered by a Reset."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint = await bench.coap.endpoint()
        await provoke(bench, endpoint, coap.encode(coap.empty(coap.Type.CON, bench.coap.next_mid())), "ping")

    def judge(self, case: Case) -> Outcome:
        return judge_resets([found for found in exchanges(case) if found.what == "ping"])


@requirement(
    "COAP-CORE-01",
    area=Area.COAP,
    standard="RFC 7252",
    clause="3",
    level=Level.MUST,
    purpose="ensure that the device silently ignores messages with an unknown version",
    stimulus="CON GET with version 0, 2 and 3, then an ordinary request",
    expect="No reply to the three messages; the ordinary request is answered",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="The parser masks out the version bits and never checks them.",
    phase=Phase.MALFORMED,
)
class UnknownVersion(Check):
    """A message of an unknown protocol version gets no answer."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint = await bench.coap.endpoint()
        for version in UNKNOWN_VERSIONS:
            endpoint.send(with_version(crafted_get(bench), version), f"version {version}")
        await fence(bench, endpoint)

    def judge(self, case: Case) -> Outcome:
        return judge_silence(exchanges(case), case)


@requirement(
    "COAP-CORE-02",
    area=Area.COAP,
    standard="RFC 7252",
    clause="3, 4.2",
    level=Level.MUST,
    purpose="ensure that the device treats reserved token lengths as a message format error",
    stimulus="GET with a token length of 9 and of 15, as CON and as NON",
    expect="CON: RST with the same Message ID; NON: nothing or RST; the request is not carried out",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="The token length is not checked, so that a longer token is copied as well, or the "
    "message is dropped without the Reset that a confirmable message requires.",
    phase=Phase.MALFORMED,
)
class ReservedTokenLength(Check):
    """A token of nine bytes or more is a message format error."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint = await bench.coap.endpoint()
        if not await fence(bench, endpoint):
            return
        tokens = [bench.random.randbytes(length) for length in RESERVED_TOKEN_LENGTHS]
        for token in tokens:
            endpoint.send(crafted_get(bench, coap.Type.NON, token), f"NON, token length {len(token)}")
        confirmable = [
            (f"CON, token length {len(token)}", crafted_get(bench, token=token)) for token in tokens
        ]
        await provoke_each(bench, endpoint, confirmable)
        await fence(bench, endpoint)

    def judge(self, case: Case) -> Outcome:
        return judge_format_errors(case)


@requirement(
    "COAP-CORE-03",
    area=Area.COAP,
    standard="RFC 7252",
    clause="3, 4.2",
    level=Level.MUST,
    purpose="ensure that a payload marker without payload is a message format error",
    stimulus="CON GET and, if a property is writable, CON PUT, both ending in the byte FF",
    expect="RST; the resource is unchanged",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="The marker is skipped and the payload is treated as empty.",
    phase=Phase.MALFORMED,
)
class MarkerWithoutPayload(Check):
    """The byte FF announces a payload; a message that ends with it is malformed."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint = await bench.coap.endpoint()
        if not await fence(bench, endpoint):
            return
        crafted = [("CON GET, marker without payload", crafted_get(bench) + b"\xff")]
        written = free_settings(bench.profile)[:1]
        for setting in written:
            await bench.read(setting.name, transport="coap")
            put = coap.request(
                coap.Code.PUT,
                setting.path,
                mid=bench.coap.next_mid(),
                token=bench.coap.next_token(),
                content_format=setting.format,
            )
            crafted.append(("CON PUT, marker without payload", coap.encode(put) + b"\xff"))
        await provoke_each(bench, endpoint, crafted)
        if await fence(bench, endpoint):
            for setting in written:
                await bench.read(setting.name, transport="coap")
            await fence(bench, endpoint)

    def judge(self, case: Case) -> Outcome:
        return judge_unchanged(case, crafted_wrong(case)) or judge_format_errors(case)


@requirement(
    "COAP-CORE-04",
    area=Area.COAP,
    standard="RFC 7252",
    clause="3.1, 4.2",
    level=Level.MUST,
    purpose="ensure that unreadable options are a message format error",
    stimulus="CON GET with a reserved option delta, a reserved option length, a truncated option "
    "and an option that runs past the end; then an ordinary request",
    expect="RST for each; no request is carried out; the ordinary request is answered",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="The option parser stops at the error and the request is processed with the options read so "
    "far, or it reads past the end of the buffer.",
    phase=Phase.MALFORMED,
)
class UnreadableOptions(Check):
    """A request whose options cannot all be read is rejected."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint = await bench.coap.endpoint()
        if not await fence(bench, endpoint):
            return
        crafted = [
            (f"CON GET, {what}", crafted_get(bench) + tail) for what, tail in UNREADABLE_OPTIONS.items()
        ]
        await provoke_each(bench, endpoint, crafted)
        await fence(bench, endpoint)

    def judge(self, case: Case) -> Outcome:
        return judge_format_errors(case)


@requirement(
    "COAP-CORE-06",
    area=Area.COAP,
    standard="RFC 7252",
    clause="4.1, 4.2",
    level=Level.MUST,
    purpose="ensure that an Empty message with a token or further bytes is a message format error",
    stimulus="CON with code 0.00 and a token; with code 0.00 and trailing bytes",
    expect="RST with the same Message ID and nothing else, for each",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="The Reset is built from the rejected message and keeps its token, or the message "
    "is dropped without a Reset.",
    phase=Phase.MALFORMED,
)
class OvercompleteEmptyMessage(Check):
    """An Empty message has exactly four bytes."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint = await bench.coap.endpoint()
        if not await fence(bench, endpoint):
            return
        empty = coap.empty(coap.Type.CON, bench.coap.next_mid())
        other = coap.encode(coap.empty(coap.Type.CON, bench.coap.next_mid()))
        with_token = coap.encode(replace(empty, token=bench.coap.next_token()))
        crafted = [
            ("Empty CON with a token", with_token),
            ("Empty CON with trailing bytes", other + b"\xc1\x32"),
        ]
        await provoke_each(bench, endpoint, crafted)
        await fence(bench, endpoint)

    def judge(self, case: Case) -> Outcome:
        return judge_format_errors(case)


@requirement(
    "COAP-CORE-07",
    area=Area.COAP,
    standard="RFC 7252",
    clause="4.2, 4.3",
    level=Level.MUST,
    purpose="ensure that reserved code classes and unexpected responses are rejected",
    stimulus="CON with the codes 1.01, 6.00 and 7.31, and an unexpected CON 2.05",
    expect="RST for each; no state changes",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="Messages that are not requests fall through the dispatcher and are dropped, so that the "
    "sender repeats them four times.",
    phase=Phase.MALFORMED,
)
class ReservedCodes(Check):
    """A server rejects confirmable messages that it cannot process."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint = await bench.coap.endpoint()
        if not await fence(bench, endpoint):
            return
        codes = (*RESERVED_CODES, coap.Code.CONTENT)
        crafted = [
            (
                f"CON with code {coap.code_text(code)}",
                coap.encode(
                    coap.Message(
                        1, coap.Type.CON, code, bench.coap.next_mid(), bench.coap.next_token(), (), b"1"
                    )
                ),
            )
            for code in codes
        ]
        await provoke_each(bench, endpoint, crafted)
        await fence(bench, endpoint)

    def judge(self, case: Case) -> Outcome:
        return judge_format_errors(case)


@requirement(
    "COAP-CORE-08",
    area=Area.COAP,
    standard="RFC 7252",
    clause="4.2",
    level=Level.MUST,
    purpose="ensure that the device never answers an ACK or RST",
    stimulus="An unexpected ACK and RST, and an ACK that carries a GET; then an ordinary request",
    expect="No reply to the three messages; the ordinary request is answered",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="The dispatcher checks the code before the type, so that an ACK with a request code is "
    "served; or every message with an unknown Message ID is rejected.",
    phase=Phase.MALFORMED,
)
class AcknowledgementsUnanswered(Check):
    """Answering resets with resets would never end."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint = await bench.coap.endpoint()
        for type in (coap.Type.ACK, coap.Type.RST):
            raw = coap.encode(coap.empty(type, bench.coap.next_mid()))
            endpoint.send(raw, f"an unexpected {type.name}")
        endpoint.send(crafted_get(bench, coap.Type.ACK), "an ACK that carries a GET")
        await fence(bench, endpoint)

    def judge(self, case: Case) -> Outcome:
        return judge_silence(exchanges(case), case)
