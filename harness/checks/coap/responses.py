"""How requests are answered: tokens, types, addresses, encoding, formats (RFC 7252, section 5)."""

from __future__ import annotations

from harness.checks.bench import Bench
from harness.checks.case import Case, failed, first, inconclusive, passed, warned
from harness.checks.catalogue import Check, requirement
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
    whole,
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
    purpose="ensure that a CON GET yields a matching response",
    stimulus="CON GET with tokens of 0, 1 and 8 bytes, zero bytes among them",
    expect="2.05 in an ACK with the same Message ID and the same token, or in a message of its own with the "
    "same token",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="Tokens are kept as text or in four bytes, so that zero bytes end them and long ones are "
    "cut; or a token is expected and an empty one not handled.",
)
class MatchingResponse(Check):
    """The token comes back as it was sent."""

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
                    f"a GET with a token of {size} bytes got no response that matches it, but "
                    f"{each.outcome()}",
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
                return failed(f"GET was answered by {coap.code_name(answer.code)}", *each.evidence)
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
    purpose="ensure that NON requests are answered by NON and never acknowledged",
    stimulus="NON GET of a resource and of a path that does not exist; NON PUT of the present value where "
    "something can be written",
    expect="No ACK (MUST); the responses are NON (SHOULD)",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="The type of every response is fixed to ACK.",
)
class NonConfirmableResponse(Check):
    """Who asks without confirmation is not given one."""

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
                return warned(f"{each.what} was answered by a confirmable message", *each.evidence)
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
    purpose="ensure that responses come from the address and port that the request was sent to",
    stimulus="CON GET; every response of the run counts",
    expect="No response to a request of ours comes from elsewhere",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="The response is sent through another socket than the one that received the request, or the "
    "device has several addresses and the system chooses one.",
)
class ResponseSource(Check):
    """A client drops what comes from where it did not ask."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint = await bench.coap.endpoint()
        await ask(bench, endpoint, coap.Code.GET, plain_path(bench.profile))

    def judge(self, case: Case) -> Outcome:
        run = whole(case)
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
            return inconclusive("no response came at all", [each.sent[0] for each in exchanges(case)])
        total = len(list(from_device(run)))
        return passed(f"{total} messages, all from where they were asked for", *answered[0].evidence)


@requirement(
    "COAP-CORE-26",
    area=Area.COAP,
    standard="RFC 7252",
    clause="3.1, 5.4.4",
    level=Level.MUST,
    purpose="ensure that messages of the IUT are properly encoded",
    stimulus="Requests that are served, one that is refused, an observation where there are any; every "
    "message of the run counts",
    expect="Header, options and payload follow the format (MUST); options with their default value are left "
    "out (SHOULD)",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="Options are appended in the order of the code instead of their numbers, or a counter "
    "outgrows the bytes that its option may have.",
)
class Encoding(Check):
    """All that the device sent is decoded strictly."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint = await bench.coap.endpoint()
        for path in (plain_path(bench.profile), LINKS, "/no/such/thing"):
            await ask(bench, endpoint, coap.Code.GET, path)
        for observed in [each for each in bound_properties(bench.profile) if each.bound.observe][:1]:
            await cancel(bench, await observe(bench, observed.path))

    def judge(self, case: Case) -> Outcome:
        messages = list(from_device(whole(case)))
        for seen in messages:
            if seen.value.problems:
                return failed(f"a message breaks the format: {seen.value.problems[0]}", seen)
        for seen in messages:
            if seen.value.is_response and seen.value.uint(coap.OptionNumber.MAX_AGE) == DEFAULT_MAX_AGE:
                return warned("a response says Max-Age 60, which is the default", seen)
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
    stimulus="Requests that are refused; every 4.xx and 5.xx of the run counts",
    expect="A payload without Content-Format is UTF-8",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="Texts come from a system in another character set, or the payload is a leftover of the "
    "buffer.",
)
class DiagnosticPayload(Check):
    """What tells people about an error has to be readable. With a Content-Format it is a representation."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint, path = await bench.coap.endpoint(), plain_path(bench.profile)
        await ask(bench, endpoint, coap.Code.GET, "/no/such/thing")
        await ask(bench, endpoint, UNKNOWN_METHOD, path)
        await ask(bench, endpoint, coap.Code.GET, path, accept=65535)

    def judge(self, case: Case) -> Outcome:
        errors = [seen for seen in from_device(whole(case)) if seen.value.code >> 5 in (4, 5)]
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
    purpose="ensure that each resource of the profile can be read, and tells the declared Content-Format",
    stimulus="GET every resource that can be read",
    expect="2.05 with the Content-Format of the profile",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="The option is left out because the own client does not look at it, or a handler was copied "
    "from a resource in another format.",
)
class DeclaredFormat(Check):
    """RFC 7252 5.5.1 leaves Content-Format to the application; the profile declares it."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await get_all(bench, [(path, {}) for path in readable_paths(bench.profile)])

    def judge(self, case: Case) -> Outcome:
        declared = formats(case.profile)
        run = [
            each
            for each in exchanges(whole(case))
            if each.asked.code == coap.Code.GET and each.response is not None
        ]
        read = {each.asked.uri_path: each for each in [*run, *exchanges(case)]}
        for path, wanted in declared.items():
            each = read.get(path)
            if each is None:
                return inconclusive(f"{path} was not read")
            if each.response is None or each.response.value.code != coap.Code.CONTENT:
                return failed(f"GET {path} was answered by {each.outcome()}", *each.evidence)
            told = each.response.value.content_format
            if told != wanted.number:
                shown = "no Content-Format" if told is None else f"Content-Format {told}"
                return failed(f"{path} has {shown}, not {wanted.number} ({wanted})", *each.evidence)
        return passed(
            f"{len(declared)} resources are in their declared formats",
            [seen for path in declared for seen in read[path].evidence],
        )
