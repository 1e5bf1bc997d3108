"""Methods and paths: unknown methods, unknown paths, and side effects (RFC 7252, 5.1 and 5.8)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from itertools import pairwise

from harness.checks.bench import Bench
from harness.checks.case import Case, failed, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.support.coap.client import (
    Get,
    ask,
    get_all,
    present_and_other,
    put,
)
from harness.checks.support.coap.exchanges import exchanges
from harness.checks.support.coap.resources import (
    LINKS,
    bound_properties,
    default_of,
    named,
    plain_path,
    readable_paths,
    steady_settings,
)
from harness.model.ics import ics_of
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act
from harness.wire import coap

UNKNOWN_METHOD = 0x1F  # 0.31
FURTHER_METHODS = {  # RFC 8132, with the ICS items that claim them
    coap.Code.FETCH: {"COAP.FETCH", "COAP.FETCH_PATCH"},
    coap.Code.PATCH: {"COAP.PATCH", "COAP.FETCH_PATCH"},
    coap.Code.IPATCH: {"COAP.PATCH", "COAP.FETCH_PATCH"},
}
NO_PATCH_FORMAT = (coap.Code.BAD_REQUEST, coap.Code.UNSUPPORTED_CONTENT_FORMAT)
"""Answers to a FETCH or PATCH without Content-Format, by a server that knows it (RFC 8132, 2.2 and 3.4)."""


@requirement(
    "COAP-CORE-30",
    area=Area.COAP,
    standard="RFC 7252",
    clause="5.8",
    level=Level.MUST,
    purpose="ensure that unknown or unsupported methods give 4.05",
    stimulus="Codes 0.31 and, unless declared, 0.05 to 0.07; PUT on a read-only property",
    expect="4.05 each; also 4.00 or 4.15 to FETCH and PATCH, and 4.03 to PUT",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="The dispatcher knows GET and treats everything else as PUT, or every error becomes 4.04 or "
    "5.00.",
    phase=Phase.REFUSAL,
)
class UnknownMethod(Check):
    """An unsupported method is refused with its own code."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint, path = await bench.coap.endpoint(), plain_path(bench.profile)
        items = ics_of(bench.profile)
        further = [code for code, claims in FURTHER_METHODS.items() if not claims & items]
        for code in (UNKNOWN_METHOD, *further):
            await ask(bench, endpoint, code, path, what=f"method {coap.code_text(code)} on {path}")
        for sensor in [each for each in bound_properties(bench.profile) if each.schema.read_only][:1]:
            value = default_of(sensor.schema)
            bench.stimulus(Act.WRITE, sensor.name, value, transport="coap", legal=False)
            await ask(
                bench,
                endpoint,
                coap.Code.PUT,
                sensor.path,
                what=f"PUT on {sensor.path}, which is read-only",
                payload=sensor.payload(value),
                content_format=sensor.format,
            )

    def judge(self, case: Case) -> Outcome:
        found = exchanges(case)
        for each in found:
            if not each.answered(coap.Code.METHOD_NOT_ALLOWED, *_also_legal(each.asked.code)):
                return failed(
                    f"{each.what} was answered with {each.outcome()}, not with 4.05", *each.evidence
                )
        if not found:
            return inconclusive("no request was sent")
        return passed(
            f"refused: {'; '.join(f'{each.what} ({each.outcome()})' for each in found)}",
            [seen for each in found for seen in each.evidence],
        )


def _also_legal(method: int) -> tuple[coap.Code, ...]:
    """Codes besides 4.05 that refuse a method, in the order of precedence of a server."""
    if method == coap.Code.PUT:
        return (coap.Code.FORBIDDEN,)  # the client may not write (RFC 7252, 5.9.2.4)
    return NO_PATCH_FORMAT if method in FURTHER_METHODS else ()


@requirement(
    "COAP-CORE-31",
    area=Area.COAP,
    standard="RFC 7252",
    clause="5.9.2.5",
    level=Level.SHOULD,
    basis=Basis.DERIVED,
    purpose="ensure that unknown resources give 4.04",
    stimulus="GET a random path, a path with a segment '..', a very long path",
    expect="4.04 for the random path; some 4.xx for the others",
    ics="COAP.SERVER",
    needs=(BenchFeature.COAP,),
    usual_cause="One handler serves all paths, only prefixes are compared, or all errors become 5.00.",
    phase=Phase.REFUSAL,
)
class UnknownPath(Check):
    """A path that does not exist is reported as not found."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint = await bench.coap.endpoint()
        name = f"no-{bench.random.getrandbits(40):010x}"
        await ask(bench, endpoint, coap.Code.GET, f"/{name}", what="a random path")
        dots = plain_path(bench.profile) + "/%2E%2E/" + name
        await ask(bench, endpoint, coap.Code.GET, dots, what="a path with '..'")
        await ask(bench, endpoint, coap.Code.GET, "/" + "/".join([name * 15] * 3), what="a very long path")

    def judge(self, case: Case) -> Outcome:
        found = exchanges(case)
        for each in found:
            if each.what == "a random path" and not each.answered(coap.Code.NOT_FOUND):
                return failed(
                    f"{each.what} was answered with {each.outcome()}, not with 4.04", *each.evidence
                )
            if each.response is None or each.response.value.code >> 5 != 4:
                return failed(
                    f"{each.what} was answered with {each.outcome()}, not with 4.xx", *each.evidence
                )
        if not found:
            return inconclusive("no request was sent")
        return passed(
            f"refused: {'; '.join(f'{each.what} ({each.outcome()})' for each in found)}",
            [seen for each in found for seen in each.evidence],
        )


@requirement(
    "COAP-CORE-32",
    area=Area.COAP,
    standard="RFC 7252",
    clause="5.1",
    level=Level.MUST,
    purpose="ensure that GET has no effect beyond retrieval",
    stimulus="GET every resource that answers at once, with and without a query; read all settings before "
    "and after",
    expect="All settings keep their values",
    ics="COAP.PUT",
    needs=(BenchFeature.COAP,),
    usual_cause="One handler serves all methods of a switch, so that reading it toggles it; or a query "
    "such as ?on=1 is treated as a command.",
)
class SafeGet(Check):
    """Reading a resource changes nothing."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return [Subject()] if steady_settings(profile) else []

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        readable = [*readable_paths(bench.profile, slow=False), LINKS]
        states: list[Get] = [
            (path, {}) for path in dict.fromkeys(each.path for each in steady_settings(bench.profile))
        ]
        queried: list[Get] = [(f"{path}?on=1&value=1", {}) for path in readable]
        await get_all(bench, states)
        await get_all(bench, [*((path, {}) for path in readable), *queried])
        await get_all(bench, states)

    def judge(self, case: Case) -> Outcome:
        gets = [each for each in exchanges(case) if each.answered(coap.Code.CONTENT)]
        first_and_last = []
        for setting in steady_settings(case.profile):
            readings = [each for each in gets if each.asked.uri_path == setting.path]
            if len(readings) < 2:
                return inconclusive(f"{setting.path} could not be read before and after")
            for before, after in pairwise(readings):
                assert before.response and after.response
                old, new = setting.decode(before.response.value), setting.decode(after.response.value)
                if not setting.schema.agrees(new, old):
                    return failed(
                        f"{setting.name} changed from {old!r} to {new!r} although it was only read",
                        *before.evidence,
                        *after.evidence,
                    )
            first_and_last += [readings[0].sent[0], readings[-1].response]
        return passed(
            f"{len(gets)} GETs did not change any setting", [seen for seen in first_and_last if seen]
        )


@requirement(
    "COAP-CORE-33",
    area=Area.COAP,
    standard="RFC 7252",
    clause="5.1, 5.8.3",
    level=Level.MUST,
    purpose="ensure that PUT is idempotent and is answered with 2.04 or 2.01",
    stimulus="PUT another value twice, as two requests; read it after each; then PUT the previous value",
    expect="2.04 (2.01 if it created the resource) each time; the same state after both",
    ics="COAP.PUT",
    needs=(BenchFeature.COAP,),
    usual_cause="The handler was written for a push button and toggles at every write.",
)
class IdempotentPut(Check):
    """Writing a value twice has the same result as writing it once."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return [Subject(setting.name) for setting in steady_settings(profile)]

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        setting = named(bench.profile, subject.name)
        present, other = await present_and_other(bench, setting)
        endpoint = await bench.coap.endpoint()
        for value in (other, other, present):
            since = bench.mark()
            await put(bench, endpoint, setting, value)
            await bench.wait_for_report(
                setting.name,
                partial(setting.schema.agrees, expected=value),
                transport="coap",
                within=bench.profile.settle(setting.name),
                since=since,
            )

    def judge(self, case: Case) -> Outcome:
        setting = named(case.profile, case.subject.name)
        puts = [each for each in exchanges(case) if each.asked.code == coap.Code.PUT]
        if len(puts) < 3:
            return inconclusive("the value was not written twice")
        once, twice, back = puts
        for each in (once, twice):
            if each.answered(coap.Code.CONFLICT, coap.Code.FORBIDDEN) and each is once:
                return inconclusive(f"the device refused the value: {each.outcome()}", *each.evidence)
            if not each.answered(coap.Code.CHANGED, coap.Code.CREATED):
                return failed(f"PUT was answered with {each.outcome()}, not with 2.04", *each.evidence)
        wanted = case.stimuli(Act.WRITE)[0].value.value
        reported = [report for report in case.reports(setting.name, "coap") if report.problem is None]
        first_state = [each for each in reported if once.sent[0].line < each.event.line < twice.sent[0].line]
        second_state = [each for each in reported if twice.sent[0].line < each.event.line < back.sent[0].line]
        if not first_state or not second_state:
            return inconclusive("the state was not reported after each PUT", once.sent[0], twice.sent[0])
        for state in (first_state[-1], second_state[-1]):
            if not setting.schema.agrees(state.value, json.loads(wanted or "null")):
                which = "first" if state is first_state[-1] else "second"
                return failed(
                    f"{wanted} was written; after the {which} PUT, {setting.name} is {state.value!r}",
                    once.sent[0],
                    twice.sent[0],
                    state,
                )
        return passed(
            f"writing {wanted} twice left {wanted}",
            *once.evidence,
            first_state[-1],
            *twice.evidence,
            second_state[-1],
        )
