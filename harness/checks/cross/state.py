"""MQTT and CoAP report the same state."""

from __future__ import annotations

from harness.checks.bench import Bench
from harness.checks.case import Case, Evidence, failed, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.observations import Report, Transport
from harness.checks.payloads import json_text
from harness.checks.support.behaviour.arrange import precondition
from harness.checks.support.behaviour.commands import (
    Command,
    commands,
    described,
)
from harness.checks.support.behaviour.transports import (
    command_transports,
    name_of,
)
from harness.checks.support.behaviour.trial_values import other_value
from harness.model.base import Value
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.verdict import Outcome, Subject

OTHER = {Transport.MQTT: Transport.COAP, Transport.COAP: Transport.MQTT}


def shared(profile: Profile) -> list[str]:
    """The properties that both transports report."""
    mqtt, coap = profile.bindings.mqtt, profile.bindings.coap
    if mqtt is None or coap is None:
        return []
    return [
        name
        for name, schema in profile.properties.items()
        if name in mqtt.properties and name in coap.properties and not schema.write_only
    ]


@requirement(
    "PROFILE-64",
    area=Area.CROSS,
    standard="profile",
    clause="bindings.mqtt.properties, bindings.coap.properties; behaviour.settle",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the device reports a command over one transport on the other, too",
    stimulus="Command a property over MQTT and read it over CoAP; command it over CoAP and wait for it over "
    "MQTT; for a read-only property, compare both reports",
    expect="The same value within the settle time and the declared tolerance",
    ics="MULTI.STATE",
    needs=(BenchFeature.BROKER, BenchFeature.COAP),
    usual_cause="Each protocol keeps its own copy of the state and updates it only by its own commands.",
)
class SameState(Check):
    """Commands on either transport are reported on both."""

    def subjects(self, profile: Profile) -> list[Subject]:
        return [Subject(name) for name in shared(profile)]

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        name = name_of(subject)
        async with precondition(bench) as arranger:
            for transport in command_transports(bench.profile, name):
                value = await other_value(bench, arranger, name)
                since = bench.mark()
                await bench.write(name, value, transport=transport.value)
                for reader in Transport:
                    await _await(bench, name, value, reader, since)
                await arranger.look()
            if bench.profile.properties[name].read_only:
                await _read_both(bench, name)

    def judge(self, case: Case) -> Outcome:
        name = name_of(case.subject)
        if case.profile.properties[name].read_only:
            return _compare(case, name)
        evidence: list[Evidence] = []
        for transport in command_transports(case.profile, name):
            sent = [command for command in commands(case, name, transport) if command.problem is None]
            if not sent:
                return inconclusive(f"no command for {name} over {transport} reached the device")
            outcome = _other_transport_report(case, name, sent[0])
            if isinstance(outcome, Outcome):
                return outcome
            evidence += [sent[0].sent, outcome]
        return passed(f"{name} is the same over MQTT and CoAP, whichever transport commands it", evidence)


async def _await(bench: Bench, name: str, value: Value, reader: Transport, since: int) -> None:
    schema = bench.profile.properties[name]
    await bench.wait_for_report(
        name,
        lambda seen: schema.agrees(seen, value),
        transport=reader.value,
        within=bench.profile.settle(name),
        since=since,
    )


async def _read_both(bench: Bench, name: str) -> None:
    """Read over CoAP until the value agrees with the last MQTT report; a measurement may be in transit."""
    last = await bench.read(name, transport=Transport.MQTT.value)
    schema = bench.profile.properties[name]
    await bench.wait_for_report(
        name,
        lambda seen: schema.agrees(seen, last),
        transport=Transport.COAP.value,
        within=bench.profile.behaviour.report_local,
        since=bench.mark(),
    )


def _other_transport_report(case: Case, name: str, command: Command) -> Report | Outcome:
    """The report over the other transport, or an outcome if it is missing or late."""
    other, settle = OTHER[command.transport], case.profile.settle(name)
    schema = case.profile.properties[name]
    reported = [
        r
        for r in case.reports(name, other)
        if command.sent.line < r.event.line < command.end and r.problem is None
    ]
    text = f"{name} = {json_text(command.value)} was commanded over {command.transport}"
    agreeing = next((r for r in reported if schema.agrees(r.value, command.value)), None)
    if agreeing is None and not reported and other is Transport.COAP:
        return inconclusive(f"{text}, but not read over CoAP", command.sent)
    if agreeing is None:
        instead = described(reported[-1]) if reported else "nothing"
        return failed(f"{text}, but over {other} {instead} was reported", command.sent, reported[-1:])
    late = agreeing.time - command.time
    if late > settle and not agreeing.asked:
        return failed(
            f"{text}; it was reported over {other} after {late:.3g} s, allowed are {settle:g} s",
            command.sent,
            agreeing,
        )
    return agreeing


def _compare(case: Case, name: str) -> Outcome:
    """For read-only properties: compare the last reports of both transports."""
    schema = case.profile.properties[name]
    read = [r for r in case.reports(name, Transport.COAP) if r.problem is None]
    if not read:
        return inconclusive(f"{name} was not read over CoAP")
    published = case.last_report(name, case.window[-1].line, Transport.MQTT)
    if published is None:
        return inconclusive(f"{name} was never reported over MQTT", read[-1])
    agreeing = next((r for r in read if schema.agrees(r.value, published.value)), None)
    if agreeing is None:
        return failed(
            f"{described(published)} was reported over MQTT, {json_text(read[-1].value)} over CoAP",
            published,
            read[-1],
        )
    return passed(f"{name} is the same over MQTT and CoAP", published, agreeing)
