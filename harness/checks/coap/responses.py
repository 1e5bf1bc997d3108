"""How requests are answered: tokens, types, addresses, encoding, formats (RFC 7252, section 5)."""

from __future__ import annotations

from harness.checks.bench import Bench
from harness.checks.case import Case, failed, first, inconclusive, passed, warned
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.support.coap.client import (
    ask,
    cancel,
    get_all,
    observe,
    put,
)
from harness.checks.support.coap.exchanges import (
    exchanges,
    from_device,
    whole_run,
)
from harness.checks.support.coap.resources import (
    LINKS,
    bound_properties,
    formats,
    free_settings,
    plain_path,
    readable_paths,
)
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Direction
from harness.wire import coap

DEFAULT_MAX_AGE = 60  # seconds (RFC 7252, 5.10.5)
UNKNOWN_METHOD = 0x1F  # 0.31


@requirement(
    "COAP-CORE-09",
    area=Area.COAP,
    standard="RFC 7252",
    clause="5.2.1, 5.3.1, 5.3.2, 5.8.1",
    level=Level.MUST,
    purpose="ensure that a CON GET gets a matching response",
    stimulus="CON GET with tokens of 0, 1 and 8 bytes, some of them zero bytes",
    expect="2.05 in an ACK with the same Message ID and token, or in a separate message with the same token",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="Tokens are stored as text or in four bytes, so that they are truncated; or an empty token "
    "is not handled.",
    phase=Phase.WATCH,
)
class MatchingResponse(Check):
    """The token is returned unchanged."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        path = plain_path(bench.profile)
        for token in (b"", b"\0", b"\0" + bench.random.randbytes(5) + b"\0\1"):
            endpoint = await bench.coap.endpoint()
            await ask(bench, endpoint, coap.Code.GET, path, token=token)

    def judge(self, case: Case) -> Outcome:
        found = exchanges(case)
        for each in found:
            asked, size = each.asked, len(each.asked.token)
            if each.response is None:
                return failed(
                    f"a GET with a token of {size} bytes got no matching response, but {each.outcome()}",
                    each.sent,
                    list(from_device(case, each.local)),
                )
            answer = each.response.value
            if answer.token != asked.token:
                names = [token.hex() or "(empty)" for token in (asked.token, answer.token)]
                return failed(f"the token {names[0]} came back as {names[1]}", *each.evidence)
            if answer.type is coap.Type.ACK and answer.mid != asked.mid:
                return failed("the ACK with the response has another Message ID", *each.evidence)
            if answer.code != coap.Code.CONTENT:
                return failed(f"GET was answered with {coap.code_name(answer.code)}", *each.evidence)
        if not found:
            return inconclusive("no request was sent")
        return passed(
            "tokens of 0, 1 and 8 bytes came back", [seen for each in found for seen in each.evidence]
        )


@requirement(
    "COAP-CORE-10",
    area=Area.COAP,
    standard="RFC 7252",
    clause="4.3, 5.2.3",
    level=Level.MUST,
    purpose="ensure that the device answers NON requests with NON and never acknowledges them",
    stimulus="NON GET of a resource and of a path that does not exist; NON PUT of the current value if "
    "a property is writable",
    expect="No ACK (MUST); the responses are NON (SHOULD)",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="The type of every response is fixed to ACK.",
    phase=Phase.REFUSAL,
)
class NonConfirmableResponse(Check):
    """A non-confirmable request is not acknowledged."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        non, endpoint = coap.Type.NON, await bench.coap.endpoint()
        await ask(bench, endpoint, coap.Code.GET, plain_path(bench.profile), type=non, what="NON GET")
        await ask(bench, endpoint, coap.Code.GET, "/no/such/thing", type=non, what="NON GET of nothing")
        for setting in free_settings(bench.profile)[:1]:
            value = await bench.read(setting.name, transport="coap")
            await put(bench, endpoint, setting, value, type=non, what="NON PUT")

    def judge(self, case: Case) -> Outcome:
        asked = [each for each in exchanges(case) if each.asked.type is coap.Type.NON]
        answered = [each for each in asked if each.replies]
        for each in answered:
            acknowledged = first(each.replies, lambda reply: reply.value.type is coap.Type.ACK)
            if acknowledged:
                return failed(f"{each.what} was acknowledged", each.sent[0], acknowledged)
        if not any(each.what == "NON GET" and each.response for each in asked):
            return failed("none of three NON GETs got a response", [each.sent[0] for each in asked])
        for each in answered:
            if each.response and each.response.value.type is coap.Type.CON:
                return warned(f"{each.what} was answered with a confirmable message", *each.evidence)
        return passed(
            f"answered without ACK, in NON: {', '.join(dict.fromkeys(each.what for each in answered))}",
            [seen for each in answered for seen in each.evidence],
        )


@requirement(
    "COAP-CORE-16",
    area=Area.COAP,
    standard="RFC 7252",
    clause="5.3.2",
    level=Level.MUST,
    purpose="ensure that the device responds from the address and port that the request was sent to",
    stimulus="CON GET; all responses of the run count",
    expect="No response to our requests comes from another address or port",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="The response is sent through another socket than the one that received the request, or the "
    "device has several addresses and the system picks one.",
    phase=Phase.WATCH,
)
class ResponseSource(Check):
    """A client drops responses from other addresses."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint = await bench.coap.endpoint()
        await ask(bench, endpoint, coap.Code.GET, plain_path(bench.profile))

    def judge(self, case: Case) -> Outcome:
        run = whole_run(case)
        asked = {(each.local, each.asked.token): each for each in exchanges(run) if each.asked.is_request}
        for stray in run.coap(Direction.OTHER):
            each = asked.get((stray.body.local, stray.value.token))
            if each is not None and stray.value.is_response:
                return failed(
                    f"{each.what} to {each.sent[0].body.remote} was answered from {stray.body.remote}",
                    each.sent[0],
                    stray,
                )
        answered = [each for each in exchanges(case) if each.response]
        if not answered:
            return inconclusive("no response was received", [each.sent[0] for each in exchanges(case)])
        total = len(list(from_device(run)))
        return passed(f"{total} messages, all from the requested address", *answered[0].evidence)


@requirement(
    "COAP-CORE-26",
    area=Area.COAP,
    standard="RFC 7252",
    clause="3.1, 5.4.4",
    level=Level.MUST,
    purpose="ensure that the device encodes its messages properly",
    stimulus="Requests that are served, one that is refused, an observation if possible; all messages of "
    "the run count",
    expect="Header, options and payload follow the format (MUST); options with their default value are "
    "omitted (SHOULD)",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="Options are written in the order of the code instead of their numbers, or a counter "
    "gets longer than its option may be.",
    phase=Phase.REFUSAL,
)
class Encoding(Check):
    """Every message of the device is decoded strictly."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint = await bench.coap.endpoint()
        for path in (plain_path(bench.profile), LINKS, "/no/such/thing"):
            await ask(bench, endpoint, coap.Code.GET, path)
        for observed in [each for each in bound_properties(bench.profile) if each.bound.observe][:1]:
            await cancel(bench, await observe(bench, observed.path))

    def judge(self, case: Case) -> Outcome:
        messages = list(from_device(whole_run(case)))
        for seen in messages:
            if seen.value.problems:
                return failed(f"a message breaks the format: {seen.value.problems[0]}", seen)
        for seen in messages:
            if seen.value.is_response and seen.value.uint(coap.OptionNumber.MAX_AGE) == DEFAULT_MAX_AGE:
                return warned("a response has Max-Age 60, which is the default", seen)
        if not any(seen.value.is_response for seen in from_device(case)):
            return inconclusive("the device sent no response")
        return passed(f"{len(messages)} messages follow the format", messages[:5])


@requirement(
    "COAP-CORE-41",
    area=Area.COAP,
    standard="RFC 7252",
    clause="5.5.2",
    level=Level.MUST,
    purpose="ensure that diagnostic payloads are UTF-8",
    stimulus="Requests that are refused; all 4.xx and 5.xx of the run count",
    expect="A payload without Content-Format is UTF-8",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="Texts come from a system in another character set, or the payload is left over in the "
    "buffer.",
    phase=Phase.REFUSAL,
)
class DiagnosticPayload(Check):
    """Diagnostic texts must be readable. A payload with Content-Format is a representation instead."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint, path = await bench.coap.endpoint(), plain_path(bench.profile)
        await ask(bench, endpoint, coap.Code.GET, "/no/such/thing")
        await ask(bench, endpoint, UNKNOWN_METHOD, path)
        await ask(bench, endpoint, coap.Code.GET, path, accept=65535)

    def judge(self, case: Case) -> Outcome:
        errors = [seen for seen in from_device(whole_run(case)) if seen.value.code >> 5 in (4, 5)]
        diagnostics = [seen for seen in errors if seen.value.payload and seen.value.content_format is None]
        for seen in diagnostics:
            try:
                seen.value.payload.decode("utf-8")
            except UnicodeDecodeError:
                return failed(f"the diagnostic payload {seen.value.payload[:40]!r} is not UTF-8", seen)
        if not errors:
            return inconclusive("the device refused nothing")
        return passed(
            f"{len(diagnostics)} diagnostic payloads in {len(errors)} error responses, all UTF-8",
            (diagnostics or errors)[:5],
        )


@requirement(
    "PROFILE-22",
    area=Area.COAP,
    standard="profile",
    clause="bindings.coap: path, format",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that each resource of the profile can be read and has the declared Content-Format",
    stimulus="GET every readable resource",
    expect="2.05 with the Content-Format of the profile",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="The option is omitted because the maker's app ignores it, or a handler was copied "
    "from a resource in another format.",
    phase=Phase.WATCH,
)
class DeclaredFormat(Check):
    """RFC 7252 5.5.1 leaves Content-Format to the application; the profile declares it."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await get_all(bench, [(path, {}) for path in readable_paths(bench.profile)])

    def judge(self, case: Case) -> Outcome:
        declared = formats(case.profile)
        run = [
            each
            for each in exchanges(whole_run(case))
            if each.asked.code == coap.Code.GET and each.response is not None
        ]
        read = {each.asked.uri_path: each for each in [*run, *exchanges(case)]}
        for path, wanted in declared.items():
            each = read.get(path)
            if each is None:
                return inconclusive(f"{path} was not read")
            if each.response is None or each.response.value.code != coap.Code.CONTENT:
                return failed(f"GET {path} was answered with {each.outcome()}", *each.evidence)
            actual = each.response.value.content_format
            if actual != wanted.number:
                shown = "no Content-Format" if actual is None else f"Content-Format {actual}"
                return failed(f"{path} has {shown}, not {wanted.number} ({wanted})", *each.evidence)
        return passed(
            f"{len(declared)} resources have their declared formats",
            [seen for path in declared for seen in read[path].evidence],
        )
