"""The CoAP message format and layer: pings, versions, format errors (RFC 7252, sections 3 and 4)."""

from __future__ import annotations

from dataclasses import replace

from harness.checks.bench import Bench
from harness.checks.case import Case
from harness.checks.catalogue import Check, requirement
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
RESERVED_TOKEN_LENGTHS = (9, 15)
RESERVED_CODES = (0x21, 0xC0, 0xFF)  # 1.01, 6.00, 7.31


@requirement(
    "COAP-CORE-05",
    area=Area.COAP,
    standard="RFC 7252",
    clause="4.2, 4.3",
    level=Level.MUST,
    purpose="ensure that the IUT answers a CoAP ping",
    stimulus="Send an Empty CON",
    expect="RST with the same Message ID, empty, without a token",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="The message layer hands every CON to the request handler, which knows no code 0.00 and "
    "stays silent.",
)
class Ping(Check):
    """An Empty CON provokes a Reset."""

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
    purpose="ensure that the IUT silently ignores messages with an unknown version",
    stimulus="CON GET with version 0, 2 and 3, then an ordinary request",
    expect="No reply of any kind to the three, the ordinary request is answered",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="The parser masks the version bits away and never looks at them.",
)
class UnknownVersion(Check):
    """A message of another protocol version gets no answer at all."""

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
    purpose="ensure that token lengths 9 to 15 are treated as a message format error",
    stimulus="GET with a token length of 9 and of 15, as CON and as NON",
    expect="CON: RST with the same Message ID; NON: nothing or RST; the request is not carried out",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="The token length nibble is used as it comes, so that a longer token is copied too, or the "
    "message is dropped without the Reset that a confirmable one is due.",
)
class ReservedTokenLength(Check):
    """Nine bytes of token are an error, not a token."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint = await bench.coap.endpoint()
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
    stimulus="CON GET and, where something can be written, CON PUT that end in the byte FF",
    expect="RST; the resource is unchanged",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="The marker is skipped and the payload taken as empty.",
)
class MarkerWithoutPayload(Check):
    """FF promises a payload; without one the message is broken."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint = await bench.coap.endpoint()
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
    purpose="ensure that options that cannot be read are a message format error",
    stimulus="CON GET with a reserved option delta, a reserved option length, an option that is cut short "
    "and one that runs past the end; then an ordinary request",
    expect="RST for each; nothing is carried out; the ordinary request is answered",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="The option parser stops where it fails and the request goes on with what was read so far; "
    "or it reads past the end of the buffer.",
)
class UnreadableOptions(Check):
    """Options are read as a whole or not at all."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint = await bench.coap.endpoint()
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
    usual_cause="The Reset is built out of the message that it rejects and keeps its token, or the message "
    "is dropped without one.",
)
class OvercompleteEmptyMessage(Check):
    """Empty means four bytes."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint = await bench.coap.endpoint()
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
    stimulus="CON with the codes 1.01, 6.00 and 7.31, and a CON 2.05 that was never asked for",
    expect="RST for each; no state changes",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="What is no request falls through the dispatcher and is dropped, so that the sender repeats "
    "it four times.",
)
class ReservedCodes(Check):
    """What a server cannot use it rejects."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint = await bench.coap.endpoint()
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
    purpose="ensure that the IUT never answers an ACK or RST",
    stimulus="An ACK and an RST that belong to nothing, and an ACK that carries a GET; then an ordinary "
    "request",
    expect="Silence to the three, the ordinary request is answered",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="The dispatcher looks at the code before the type, so that an ACK with a request code is "
    "served; or whatever has no known Message ID is rejected.",
)
class AcknowledgementsUnanswered(Check):
    """Two endpoints that answer resets with resets never stop."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint = await bench.coap.endpoint()
        for type in (coap.Type.ACK, coap.Type.RST):
            raw = coap.encode(coap.empty(type, bench.coap.next_mid()))
            endpoint.send(raw, f"an {type.name} that belongs to nothing")
        endpoint.send(crafted_get(bench, coap.Type.ACK), "an ACK with a GET in it")
        await fence(bench, endpoint)

    def judge(self, case: Case) -> Outcome:
        return judge_silence(exchanges(case), case)
