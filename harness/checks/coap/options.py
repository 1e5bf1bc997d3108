"""Options: unknown, repeated, with leading zeros, for proxies (RFC 7252, 5.4 and 5.10)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.checks.bench import Bench
from harness.checks.case import Case, failed, first, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.support.coap.client import (
    ask,
    cancel,
    fence,
    observe,
    present_and_other,
    put,
)
from harness.checks.support.coap.crafted import judge_unchanged
from harness.checks.support.coap.exchanges import (
    Exchange,
    exchanges,
)
from harness.checks.support.coap.resources import (
    LINKS,
    bound_properties,
    formats,
    free_settings,
    plain_path,
    readable_paths,
)
from harness.model.profile import Profile
from harness.model.requirement import Area, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.wire import coap

ELECTIVE = coap.Option(65000, b"\x01")  # numbers from 65000 on are experimental (RFC 7252, 12.2)
CRITICAL = coap.Option(65001, b"\x01")
PLAIN = "plain GET"
SHORT_ACCEPT = "short form of Accept"
REFUSALS_OF_TARGET = (coap.Code.BAD_REQUEST, coap.Code.NOT_FOUND)
LINK_FORMAT = 40


async def _with_critical_option(bench: Bench, type: coap.Type) -> None:
    """GET and PUT with an unknown critical option, between two readings; then an ordinary request."""
    endpoint = await bench.coap.endpoint()

    async def send(code: coap.Code, path: str, **fields: Any) -> None:
        what = f"{type.name} {code.name} with the critical option 65001"
        if type is coap.Type.CON:
            await ask(bench, endpoint, code, path, what=what, extra=[CRITICAL], **fields)
            return
        for _ in range(2):  # no answer is required, and one copy may be lost
            mid, token = bench.coap.next_mid(), bench.coap.next_token()
            message = coap.request(code, path, mid=mid, token=token, type=type, extra=[CRITICAL], **fields)
            endpoint.send(coap.encode(message), what)

    await send(coap.Code.GET, plain_path(bench.profile))
    for setting in free_settings(bench.profile)[:1]:
        _, other = await present_and_other(bench, setting)
        body, number = setting.payload(other), setting.format
        await send(coap.Code.PUT, setting.path, payload=body, content_format=number)
        if not await fence(bench, endpoint):
            return
        await bench.read(setting.name, transport="coap")
    await fence(bench, endpoint)


def _with_option(case: Case) -> list[Exchange]:
    return [each for each in exchanges(case) if CRITICAL in each.asked.options]


def _passed(found: Sequence[Exchange], how: str) -> Outcome:
    if not found:
        return inconclusive("no request was sent")
    names = "; ".join(dict.fromkeys(each.what for each in found))
    return passed(f"{how}: {names}", [seen for each in found for seen in each.evidence])


def _format_of_one(bench: Bench) -> tuple[str, int]:
    """A resource and its Content-Format."""
    declared, path = formats(bench.profile), plain_path(bench.profile)
    return path, declared[path].number if path in declared else LINK_FORMAT


def _deep_path(bench: Bench) -> str:
    """The resource with the most path segments."""
    paths = readable_paths(bench.profile, slow=False)
    return max(paths, key=lambda path: path.count("/"), default=LINKS)


@requirement(
    "COAP-CORE-20",
    area=Area.COAP,
    standard="RFC 7252",
    clause="5.4.1",
    level=Level.MUST,
    purpose="ensure that unknown elective options are ignored",
    stimulus="GET with option 65000, an even number",
    expect="2.05, as without the option",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="Every option that the parser does not know is treated as an error.",
    phase=Phase.BOUNDARY,
)
class UnknownElectiveOption(Check):
    """Options with an even number may be skipped."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint, path = await bench.coap.endpoint(), plain_path(bench.profile)
        await ask(
            bench, endpoint, coap.Code.GET, path, what="GET with the elective option 65000", extra=[ELECTIVE]
        )

    def judge(self, case: Case) -> Outcome:
        each = exchanges(case)[0]
        if not each.answered(coap.Code.CONTENT):
            return failed(f"{each.what} was answered with {each.outcome()}, not with 2.05", *each.evidence)
        return passed(f"{each.what} was served", *each.evidence)


@requirement(
    "COAP-CORE-21",
    area=Area.COAP,
    standard="RFC 7252",
    clause="5.4.1",
    level=Level.MUST,
    purpose="ensure that an unknown critical option in a CON request gives 4.02 and no effect",
    stimulus="CON GET and, if a property is writable, CON PUT of another value, with option 65001; read "
    "the value back",
    expect="4.02 Bad Option; the state is unchanged",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="The parser skips unknown options without checking the lowest bit of the number.",
    phase=Phase.REFUSAL,
)
class UnknownCriticalOption(Check):
    """Options with an odd number must be understood."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await _with_critical_option(bench, coap.Type.CON)

    def judge(self, case: Case) -> Outcome:
        crafted = _with_option(case)
        for each in crafted:
            if not each.answered(coap.Code.BAD_OPTION):
                return failed(
                    f"{each.what} was answered with {each.outcome()}, not with 4.02", *each.evidence
                )
        return judge_unchanged(case, crafted) or _passed(crafted, "refused with 4.02")


@requirement(
    "COAP-CORE-22",
    area=Area.COAP,
    standard="RFC 7252",
    clause="4.3, 5.4.1",
    level=Level.MUST,
    purpose="ensure that an unknown critical option in a NON request is rejected without effect",
    stimulus="NON GET and, if a property is writable, NON PUT of another value, with option 65001; read "
    "the value back",
    expect="Silence, RST or (as some stacks do) 4.02; the state is unchanged",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="The parser skips unknown options without checking the lowest bit of the number.",
    phase=Phase.REFUSAL,
)
class UnknownCriticalOptionUnconfirmed(Check):
    """A request with an unknown critical option is not carried out, even if no answer is expected."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await _with_critical_option(bench, coap.Type.NON)

    def judge(self, case: Case) -> Outcome:
        crafted = _with_option(case)
        for each in crafted:
            if each.response is not None and not each.answered(coap.Code.BAD_OPTION):
                return failed(f"{each.what} was answered with {each.outcome()}", *each.evidence)
        ordinary = exchanges(case)[-1]
        if ordinary.response is None:
            return inconclusive("the ordinary request afterwards was not answered", *ordinary.evidence)
        return judge_unchanged(case, crafted) or _passed([*crafted, ordinary], "rejected without effect")


@requirement(
    "COAP-CORE-23",
    area=Area.COAP,
    standard="RFC 7252",
    clause="5.4.1, 5.4.5",
    level=Level.MUST,
    purpose="ensure that surplus occurrences of a non-repeatable option are handled as unrecognised",
    stimulus="GET with the right Accept twice; if a property is writable, PUT of the current value with "
    "the right Content-Format followed by a wrong one",
    expect="4.02 for the second Accept, which is critical; the second Content-Format, which is elective, is "
    "ignored",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="The parser writes each occurrence into the same field, so that the last one wins.",
    phase=Phase.REFUSAL,
)
class RepeatedOption(Check):
    """A surplus option is treated like an unknown one."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint, (path, number) = await bench.coap.endpoint(), _format_of_one(bench)
        accept = coap.Option(coap.OptionNumber.ACCEPT, coap.encode_uint(number))
        what = "GET with Accept twice"
        await ask(bench, endpoint, coap.Code.GET, path, what=what, extra=[accept, accept])
        for setting in free_settings(bench.profile)[:1]:
            value = await bench.read(setting.name, transport="coap")
            wrong = coap.Option(coap.OptionNumber.CONTENT_FORMAT, coap.encode_uint(65535))
            what = "PUT with Content-Format twice"
            await put(bench, endpoint, setting, value, what=what, extra=[wrong])

    def judge(self, case: Case) -> Outcome:
        crafted = [each for each in exchanges(case) if "twice" in each.what]
        for each in crafted:
            if each.asked.code == coap.Code.GET and not each.answered(coap.Code.BAD_OPTION):
                return failed(
                    f"{each.what} was answered with {each.outcome()}, not with 4.02", *each.evidence
                )
            if each.asked.code == coap.Code.PUT and not each.answered(coap.Code.CHANGED):
                return failed(
                    f"{each.what} was answered with {each.outcome()}, not with 2.04", *each.evidence
                )
        return _passed(crafted, "handled as elective or critical")


@requirement(
    "COAP-CORE-25",
    area=Area.COAP,
    standard="RFC 7252",
    clause="3.2",
    level=Level.MUST,
    purpose="ensure that the device accepts numbers in options with leading zero bytes",
    stimulus="GET with the right Accept in two bytes; if a property is observable, GET with Observe as "
    "three zero bytes",
    expect="The same as for the short form: 2.05 in that format; an observation",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="The bytes of the option are compared instead of the number, or longer forms count as an "
    "error.",
    phase=Phase.BOUNDARY,
)
class LeadingZeros(Check):
    """Leading zeros do not change a number."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint, (path, number) = await bench.coap.endpoint(), _format_of_one(bench)
        await ask(bench, endpoint, coap.Code.GET, path, what=SHORT_ACCEPT, accept=number)
        accept = coap.Option(coap.OptionNumber.ACCEPT, number.to_bytes(2, "big"))
        await ask(bench, endpoint, coap.Code.GET, path, what="GET with Accept in two bytes", extra=[accept])
        for observed in [each for each in bound_properties(bench.profile) if each.bound.observe][:1]:
            await cancel(bench, await observe(bench, observed.path))
            zeros, token = coap.Option(coap.OptionNumber.OBSERVE, b"\0\0\0"), bench.coap.next_token()
            what = "GET with Observe 000000"
            await ask(bench, endpoint, coap.Code.GET, observed.path, token=token, what=what, extra=[zeros])
            await ask(bench, endpoint, coap.Code.GET, observed.path, token=token, observe=1)

    def judge(self, case: Case) -> Outcome:
        short = first(exchanges(case), lambda each: each.what == SHORT_ACCEPT)
        long_form = [each for each in exchanges(case) if each.what.startswith("GET with")]
        if short is not None and short.answered(coap.Code.BAD_OPTION):
            # The server does not know Accept at all, which is critical: 4.02 says nothing about zeros.
            long_form = [each for each in long_form if each.asked.option(coap.OptionNumber.ACCEPT) is None]
            if not long_form:
                return inconclusive("the server knows neither Accept nor Observe", *short.evidence)
        for each in long_form:
            if not each.answered(coap.Code.CONTENT):
                return failed(
                    f"{each.what} was answered with {each.outcome()}, not with 2.05", *each.evidence
                )
        for each in [each for each in exchanges(case) if each.asked.observe == 0]:
            if each.response is None or each.response.value.observe is None:
                if each not in long_form:
                    return inconclusive("the short form did not register either", *each.evidence)
                return failed(f"{each.what} was not accepted as a registration", *each.evidence)
        return _passed(long_form, "accepted")


@requirement(
    "COAP-CORE-27",
    area=Area.COAP,
    standard="RFC 7252",
    clause="5.4.5, 5.10.1",
    level=Level.MUST,
    purpose="ensure that the device honours all parts of a URI in a request",
    stimulus="GET a resource plainly, with Uri-Host and Uri-Port, with two Uri-Query options, and with the "
    "last Uri-Path option repeated",
    expect="The resource for the first three, or 4.00 or 4.04 for a host, port or query that is not the "
    "device's, but no 4.02; 4.04 for the longer path",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="The maker's app only uses the address, so that a host name in the request is an "
    "unknown critical option; or only the first Uri-Path options are compared.",
    phase=Phase.BOUNDARY,
)
class UriOptions(Check):
    """Host, port, path segments and query arguments all identify the resource."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint, path = await bench.coap.endpoint(), _deep_path(bench)
        host = coap.Option(coap.OptionNumber.URI_HOST, _own_host(bench.profile) or b"device.example")
        port = coap.Option(
            coap.OptionNumber.URI_PORT,
            coap.encode_uint(bench.profile.bindings.coap.port if bench.profile.bindings.coap else 5683),
        )
        await ask(bench, endpoint, coap.Code.GET, path, what=PLAIN)
        await ask(bench, endpoint, coap.Code.GET, path, what="GET with Uri-Host", extra=[host])
        await ask(bench, endpoint, coap.Code.GET, path, what="GET with Uri-Port", extra=[port])
        await ask(bench, endpoint, coap.Code.GET, f"{path}?first=1&second=2", what="GET with two Uri-Query")
        longer = f"{path}/{path.rsplit('/', 1)[-1]}"
        if longer not in readable_paths(bench.profile):
            await ask(bench, endpoint, coap.Code.GET, longer, what="GET of a longer path")

    def judge(self, case: Case) -> Outcome:
        found = {each.what: each for each in exchanges(case)}
        plain = found.pop(PLAIN)
        if not plain.answered(coap.Code.CONTENT):
            return failed(f"{plain.asked.uri_path} was answered with {plain.outcome()}", *plain.evidence)
        for what, each in found.items():
            if what == "GET of a longer path":
                if each.answered(coap.Code.CONTENT):
                    return failed(
                        f"{each.asked.uri_path} was served as if it were {plain.asked.uri_path}",
                        *each.evidence,
                    )
            elif not each.answered(coap.Code.CONTENT, *_refusals(case, each.asked)):
                return failed(f"{what} was answered with {each.outcome()}, not with 2.05", *each.evidence)
        return _passed([plain, *found.values()], "honoured")


def _own_host(profile: Profile) -> bytes | None:
    binding = profile.bindings.mdns
    return f"{binding.host}.local".encode() if binding else None


def _refusals(case: Case, asked: coap.Message) -> tuple[coap.Code, ...]:
    """Legal refusals of a request; none if it names the device's own host."""
    host = asked.option(coap.OptionNumber.URI_HOST)
    return () if host is not None and host == _own_host(case.profile) else REFUSALS_OF_TARGET


@requirement(
    "COAP-CORE-28",
    area=Area.COAP,
    standard="RFC 7252",
    clause="5.7.2, 5.10.2",
    level=Level.MUST,
    purpose="ensure that a device that is not a proxy answers Proxy-Uri with 5.05",
    stimulus="GET with Proxy-Uri coap://other.example/",
    expect="5.05 Proxying Not Supported",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="The parser does not know Proxy-Uri, so that it is refused with 4.02, or the request is "
    "served as if it were addressed to the device.",
    phase=Phase.REFUSAL,
)
class ProxyUri(Check):
    """A request for another server is not served."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint = await bench.coap.endpoint()
        proxied = coap.Option(coap.OptionNumber.PROXY_URI, b"coap://other.example/")
        await ask(bench, endpoint, coap.Code.GET, "/", what="GET with Proxy-Uri", extra=[proxied])

    def judge(self, case: Case) -> Outcome:
        each = exchanges(case)[0]
        if not each.answered(coap.Code.PROXYING_NOT_SUPPORTED):
            return failed(f"{each.what} was answered with {each.outcome()}, not with 5.05", *each.evidence)
        return passed("Proxy-Uri was refused with 5.05", *each.evidence)
