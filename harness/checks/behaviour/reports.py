"""Reports: every value fits its declared schema, every JSON text is well-formed."""

from __future__ import annotations

import contextlib

from harness.checks.bench import Bench, StimulusError
from harness.checks.case import Case, failed, inconclusive, not_applicable, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.observations import Report, Transport
from harness.checks.support.behaviour.commands import described
from harness.checks.support.behaviour.transports import (
    name_of,
    reporting_transports,
    subjects_for,
    transport_of,
)
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.schema import DataSchema
from harness.model.verdict import Outcome, Subject

SHOWN = 5  # reports that a pass names


@requirement(
    "DEV-09",
    area=Area.BEHAVIOUR,
    standard="W3C WoT TD 1.1 and the profile",
    clause="server-data-schema; profile: properties, events",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that the device reports only values of the declared range, step and enumeration",
    stimulus="All reports of the run are judged; over CoAP, a property that was not read yet is read",
    expect="Valid against the data schema, in the declared spelling",
    ics="DEV.SENSOR | DEV.ACTUATOR | DEV.EVENTS",
    usual_cause="A sensor's error code reported as a value (85.0, -128, 65535), a negative number in an "
    "unsigned "
    "register, or modes spelt differently in commands and reports.",
)
class ValidReports(Check):
    """Passive: compares values with schemas."""

    def subjects(self, profile: Profile) -> list[Subject]:
        readable = [name for name, schema in profile.properties.items() if not schema.write_only]
        return subjects_for([*readable, *profile.events], lambda name: reporting_transports(profile, name))

    async def probe(self, bench: Bench, subject: Subject) -> None:
        name = name_of(subject)
        if transport_of(reporting_transports(bench.profile, name), subject) is Transport.COAP:
            await _read(bench, name)

    def judge(self, case: Case) -> Outcome:
        name = name_of(case.subject)
        transport = transport_of(reporting_transports(case.profile, name), case.subject)
        schema = _schema_of(case.profile, name)
        reports = [r for r in case.reports(name, transport) if not (_is_malformed_json(r) or _is_partial(r))]
        for report in reports:
            if report.problem is not None:
                return failed(f"{name} was reported with a payload that {report.problem}", report)
            problems = schema.violations(report.value) if schema is not None else []
            if problems:
                return failed(f"{described(report)} was reported: {problems[0]}", report)
        if not reports and name in case.profile.events:
            return not_applicable(f"{name} did not happen in this run")
        if not reports:
            return inconclusive(f"the device never reported {name} over {transport} in this run")
        return passed(f"{len(reports)} reports of {name} over {transport} are valid", reports[:SHOWN])


async def _read(bench: Bench, name: str) -> None:
    """Send a GET if the property has a CoAP resource. The judge decides whether the answer is readable."""
    coap = bench.profile.bindings.coap
    if coap is None or name not in coap.properties or not bench.offers(BenchFeature.COAP):
        return
    if await bench.ready():
        with contextlib.suppress(StimulusError):
            await bench.read(name, transport=Transport.COAP)


def _schema_of(profile: Profile, name: str) -> DataSchema | None:
    return profile.properties[name] if name in profile.properties else profile.events[name].data


@requirement(
    "DEV-10",
    area=Area.BEHAVIOUR,
    standard="RFC 8259",
    clause="2, 6, 8.1",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that the JSON payloads of the device are JSON: decimal points, no NaN, no infinities, "
    "UTF-8",
    stimulus="All reports of the run that the profile declares as JSON are judged; if there are none, all "
    "properties are read over CoAP",
    expect="A strict parser accepts the payload; a missing value is null or left out",
    ics="(DEV.SENSOR | DEV.ACTUATOR | DEV.EVENTS) & (MQTT.CLIENT | COAP.SERVER)",
    usual_cause="printf() of NaN, or under a locale with a decimal comma: one bad value makes the whole "
    "object "
    "unreadable.",
)
class WellFormedJson(Check):
    """Passive: syntax only."""

    async def probe(self, bench: Bench, subject: Subject) -> None:
        for name, schema in bench.profile.properties.items():
            if not schema.write_only:
                await _read(bench, name)

    def judge(self, case: Case) -> Outcome:
        for report in case.all_reports:
            if _is_malformed_json(report):
                return failed(f"the payload with {report.name} {report.problem}", report)
        readable = [report for report in case.all_reports if report.problem is None]
        if not readable:
            return inconclusive("the device reported nothing in this run")
        return passed(f"{len(readable)} reports are readable", readable[:SHOWN])


def _is_malformed_json(report: Report) -> bool:
    """Whether the JSON text itself is broken, so that it holds no value."""
    problem = report.problem or ""
    return problem.startswith("is not JSON") or "byte order mark" in problem


def _is_partial(report: Report) -> bool:
    """Whether it is only one block of a larger representation."""
    return report.problem is not None and "one block" in report.problem
