"""Content formats: what the client accepts and sends (RFC 7252, 5.5 and 5.10)."""

from __future__ import annotations

from harness.checks.bench import Bench
from harness.checks.case import Case, failed, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.support.coap.client import (
    ask,
    present_and_other,
    put,
)
from harness.checks.support.coap.crafted import judge_unchanged
from harness.checks.support.coap.exchanges import exchanges
from harness.checks.support.coap.resources import (
    formats,
    free_settings,
    plain_path,
)
from harness.model.bindings.coap import ContentFormat
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.wire import coap

JSON, CBOR, UNKNOWN_FORMAT = 50, 60, 65535
BROKEN = {
    ContentFormat.JSON: b'{"value": ',
    ContentFormat.CBOR: b"\x5f\x41",  # an unterminated byte string
    ContentFormat.TEXT: b"\xff\xfe\xfd",  # not UTF-8
}
REFUSALS_OF_PAYLOAD = (coap.Code.BAD_REQUEST, coap.Code.UNPROCESSABLE_ENTITY)


@requirement(
    "COAP-CORE-36",
    area=Area.COAP,
    standard="RFC 7252",
    clause="5.10.4",
    level=Level.MUST,
    purpose="ensure that the device refuses an Accept that it cannot serve",
    stimulus="GET with Accept 50 (JSON), 60 (CBOR), 65535 and the declared format",
    expect="A representation in the accepted format, or 4.06; or 4.02 each time, from a server that does not "
    "know the critical option Accept (5.4.1)",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="Accept is ignored, since each resource has only one format.",
    phase=Phase.REFUSAL,
)
class UnservableAccept(Check):
    """A client does not get a format that it cannot read."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint, path = await bench.coap.endpoint(), plain_path(bench.profile)
        declared = formats(bench.profile).get(path)
        own = [declared.number] if declared else []
        for number in dict.fromkeys((JSON, CBOR, UNKNOWN_FORMAT, *own)):
            what = f"GET with Accept {number}"
            await ask(bench, endpoint, coap.Code.GET, path, what=what, accept=number)

    def judge(self, case: Case) -> Outcome:
        found = exchanges(case)
        if found and all(each.answered(coap.Code.BAD_OPTION) for each in found):
            message = "the server does not know the option Accept, and says so with 4.02"
            return passed(message, [seen for each in found for seen in each.evidence])
        unlabelled = None
        for each in found:
            accepted = each.asked.uint(coap.OptionNumber.ACCEPT)
            if each.answered(coap.Code.NOT_ACCEPTABLE):
                continue
            if not each.answered(coap.Code.CONTENT):
                return failed(
                    f"{each.what} was answered with {each.outcome()}, not with 4.06", *each.evidence
                )
            assert each.response
            actual = each.response.value.content_format
            if accepted == UNKNOWN_FORMAT:
                return failed(f"{each.what}, which no resource has, was answered with 2.05", *each.evidence)
            if actual is not None and actual != accepted:
                return failed(f"{each.what} was answered in Content-Format {actual}", *each.evidence)
            unlabelled = unlabelled or (each if actual is None else None)
        if unlabelled:
            return inconclusive(
                f"{unlabelled.what} was answered without a Content-Format", *unlabelled.evidence
            )
        shown = "; ".join(f"{each.what}: {each.outcome()}" for each in found)
        return passed(shown, [seen for each in found for seen in each.evidence])


@requirement(
    "COAP-CORE-37",
    area=Area.COAP,
    standard="RFC 7252",
    clause="5.9.2.10, 5.10.3",
    level=Level.SHOULD,
    basis=Basis.DERIVED,
    purpose="ensure that the device refuses an unknown Content-Format (4.15) and a malformed payload (4.00)",
    stimulus="PUT another value with Content-Format 65535; PUT a payload that breaks the declared format; "
    "read the value back",
    expect="4.15; 4.00 (or 4.22); the state is unchanged",
    ics="COAP.PUT",
    needs=(BenchFeature.COAP,),
    usual_cause="The payload is always parsed in the one format that the maker's app sends, by a lenient "
    "parser.",
    phase=Phase.REFUSAL,
)
class UnsupportedPayload(Check):
    """An unreadable payload is refused, not guessed."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        setting = free_settings(bench.profile)[0]
        present, other = await present_and_other(bench, setting)
        endpoint = await bench.coap.endpoint()
        for what, payload, number in (
            ("PUT with Content-Format 65535", setting.payload(other), UNKNOWN_FORMAT),
            (f"PUT of broken {setting.bound.format}", BROKEN[setting.bound.format], setting.format),
        ):
            await ask(
                bench,
                endpoint,
                coap.Code.PUT,
                setting.path,
                what=what,
                payload=payload,
                content_format=number,
            )
            await ask(bench, endpoint, coap.Code.GET, setting.path)
        # A server that accepted one of them may report it in a format that cannot be read.
        await put(bench, endpoint, setting, present)

    def judge(self, case: Case) -> Outcome:
        puts = [each for each in exchanges(case) if each.asked.code == coap.Code.PUT][:-1]
        for each in puts:
            unknown = each.asked.content_format == UNKNOWN_FORMAT
            wanted = (coap.Code.UNSUPPORTED_CONTENT_FORMAT,) if unknown else REFUSALS_OF_PAYLOAD
            if not each.answered(*wanted):
                named = coap.code_name(wanted[0])
                return failed(
                    f"{each.what} was answered with {each.outcome()}, not with {named}", *each.evidence
                )
        if not puts:
            return inconclusive("nothing was written")
        shown = "; ".join(f"{each.what}: {each.outcome()}" for each in puts)
        return judge_unchanged(case, puts) or passed(shown, [seen for each in puts for seen in each.evidence])
