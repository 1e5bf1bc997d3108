"""The same state over MQTT and over CoAP."""

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
    """The properties that both transports tell."""
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
    purpose="ensure that what is commanded over one transport is told over the other",
    stimulus="Command a property over MQTT and read it over CoAP; command it over CoAP and wait for it over "
    "MQTT; of a read-only one, compare what both tell",
    expect="The same value within the settle time and the declared tolerance",
    ics="MULTI.STATE",
    needs=(BenchFeature.BROKER, BenchFeature.COAP),
    usual_cause="Each protocol's task keeps a copy of the state and refreshes it by its own commands only.",
)
class SameState(Check):
    """Written on either side, seen on both."""

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
            outcome = _seen_on_the_other_side(case, name, sent[0])
            if isinstance(outcome, Outcome):
                return outcome
            evidence += [sent[0].sent, outcome]
        return passed(f"{name} is the same over MQTT and CoAP, whichever side commands it", evidence)


async def _await(bench: Bench, name: str, value: Value, reader: Transport, since: int) -> None:
    schema = bench.profile.properties[name]
    await bench.wait_for_report(
        name,
        lambda told: schema.agrees(told, value),
        transport=reader.value,
        within=bench.profile.settle(name),
        since=since,
    )


async def _read_both(bench: Bench, name: str) -> None:
    """Read over CoAP until it agrees with what MQTT told last; a measurement may just be on its way."""
    last = await bench.read(name, transport=Transport.MQTT.value)
    schema = bench.profile.properties[name]
    await bench.wait_for_report(
        name,
        lambda told: schema.agrees(told, last),
        transport=Transport.COAP.value,
        within=bench.profile.behaviour.report_local,
        since=bench.mark(),
    )


def _seen_on_the_other_side(case: Case, name: str, command: Command) -> Report | Outcome:
    """The report over the other transport, or why it is missing or late."""
    other, settle = OTHER[command.transport], case.profile.settle(name)
    schema = case.profile.properties[name]
    told = [
        r
        for r in case.reports(name, other)
        if command.sent.line < r.event.line < command.end and r.problem is None
    ]
    text = f"{name} = {json_text(command.value)} was commanded over {command.transport}"
    agreeing = next((r for r in told if schema.agrees(r.value, command.value)), None)
    if agreeing is None and not told and other is Transport.COAP:
        return inconclusive(f"{text}, but not read over CoAP", command.sent)
    if agreeing is None:
        instead = described(told[-1]) if told else "nothing"
        return failed(f"{text}, but over {other} {instead} was told", command.sent, told[-1:])
    late = agreeing.time - command.time
    if late > settle and not agreeing.asked:
        return failed(
            f"{text}; it was told over {other} after {late:.3g} s, not {settle:g} s", command.sent, agreeing
        )
    return agreeing


def _compare(case: Case, name: str) -> Outcome:
    """For what is only read: the last words of both sides."""
    schema = case.profile.properties[name]
    read = [r for r in case.reports(name, Transport.COAP) if r.problem is None]
    if not read:
        return inconclusive(f"{name} was not read over CoAP")
    published = case.last_report(name, case.window[-1].line, Transport.MQTT)
    if published is None:
        return inconclusive(f"{name} was never told over MQTT", read[-1])
    agreeing = next((r for r in read if schema.agrees(r.value, published.value)), None)
    if agreeing is None:
        return failed(
            f"{described(published)} was told over MQTT, {json_text(read[-1].value)} over CoAP",
            published,
            read[-1],
        )
    return passed(f"{name} is the same over MQTT and CoAP", published, agreeing)
