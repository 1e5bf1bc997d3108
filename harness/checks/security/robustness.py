"""Robustness: the device survives any input, and its state does not change."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from harness.checks.bench import Bench
from harness.checks.case import Case, failed, first, inconclusive, not_applicable, passed, seen_by
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.observations import Report, Transport
from harness.checks.payloads import Undecoded, decode_mqtt
from harness.checks.support import fuzzing
from harness.checks.support.behaviour.arrange import (
    StateArranger,
    precondition,
)
from harness.checks.support.behaviour.boundary_values import limits
from harness.checks.support.behaviour.commands import (
    Command,
    command_and_wait,
    command_topic,
    commands,
    described,
    had_time,
    is_reported,
    settled_at,
)
from harness.checks.support.behaviour.malformed_payloads import encoded
from harness.checks.support.behaviour.outages import settings
from harness.checks.support.behaviour.refusals import clamped
from harness.checks.support.behaviour.transports import (
    command_transports,
    name_of,
    reporting_transports,
    was_offered,
)
from harness.checks.support.behaviour.trial_values import other_value
from harness.checks.support.mdns.names import names_of
from harness.checks.support.mdns.queries import ask
from harness.checks.support.mqtt.sessions import is_loss
from harness.model.base import Value
from harness.model.profile import Profile
from harness.model.requirement import Area, BenchFeature, Level
from harness.model.schema import is_number
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act, CoapDatagram, Direction
from harness.wire import coap
from harness.wire.mdns.codec import (
    Question,
    RecordType,
)

BATCHES = 3
BATCH = 15  # payloads, datagrams or packets
PACKETS = 8  # in one batch on an MQTT connection
RANDOM_DATAGRAM = "a random datagram"
PING_WAIT = 5.0  # seconds for the answer to a ping on the same link

PAYLOADS, STREAM, DATAGRAMS, QUERIES = "payloads", "packets", "datagrams", "queries"

NEEDS = {
    PAYLOADS: BenchFeature.BROKER,
    STREAM: BenchFeature.TAP,
    DATAGRAMS: BenchFeature.COAP,
    QUERIES: BenchFeature.MDNS,
}


@requirement(
    "SEC-10",
    area=Area.SECURITY,
    standard="ETSI EN 303 645 V2.1.1 / TS 103 701 V1.1.1",
    clause="5.13-1, TC 5.13-1-2",
    level=Level.MUST,
    purpose="ensure that the device survives any input from the network unchanged",
    stimulus="Send batches of random input from a seed: MQTT command payloads, MQTT packets, CoAP datagrams, "
    "mDNS queries; after each batch send a legal request",
    expect="The device answers as before; its settings have not changed; over MQTT it may close the "
    "connection after a broken packet, but reconnects",
    ics="SEC.INPUT",
    usual_cause="A length field that is not checked, a parser that recurses, a pointer that is followed "
    "forever.",
    phase=Phase.MALFORMED,
)
class Robust(Check):
    """The input depends on the seed of the run alone, so a crash can be reproduced."""

    def subjects(self, profile: Profile) -> list[Subject]:
        found = []
        if _commanded(profile):
            found += [Subject(PAYLOADS, "mqtt"), Subject(STREAM, "mqtt")]
        if profile.bindings.coap is not None:
            found.append(Subject(DATAGRAMS, "coap"))
        if profile.bindings.mdns is not None:
            found.append(Subject(QUERIES, "mdns"))
        return found

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        kind = name_of(subject)
        if not bench.offers(NEEDS[kind]):
            return
        if kind == QUERIES:
            await _fuzz_mdns(bench)
        elif kind == DATAGRAMS:
            await _fuzz_coap(bench)
        else:
            async with precondition(bench, Transport.MQTT) as arranger:
                await (_fuzz_payloads if kind == PAYLOADS else _fuzz_stream)(bench, arranger)

    def judge(self, case: Case) -> Outcome:
        kind = name_of(case.subject)
        if not case.offers(NEEDS[kind]):
            return not_applicable(f"this bench cannot send {kind} to the device")
        judged = {PAYLOADS: _judge_mqtt, STREAM: _judge_mqtt, DATAGRAMS: _judge_coap, QUERIES: _judge_mdns}
        return judged[kind](case)


def _commanded(profile: Profile) -> list[str]:
    """The properties that MQTT commands and reports."""
    return [
        name
        for name in settings(profile)
        if Transport.MQTT in command_transports(profile, name)
        and Transport.MQTT in reporting_transports(profile, name)
    ]


# MQTT


async def _fuzz_payloads(bench: Bench, arranger: StateArranger) -> None:
    """Random payloads on each command topic, followed by a legal command."""
    binding = bench.profile.bindings.mqtt
    assert binding is not None
    for name in _commanded(bench.profile):
        bound = binding.properties[name]
        legal = [
            encoded(bench.profile, name, value, Transport.MQTT)
            for value in limits(bench.profile.properties[name])
        ]
        bench.stimulus(Act.RAW, f"random payloads for {command_topic(bound)}", transport="mqtt")
        for payload in fuzzing.payloads(legal, BATCH, bench.random):
            if not _is_legal(bench.profile, command_topic(bound), payload):
                await bench.mqtt.publish(command_topic(bound), payload, qos=bound.command_qos)
        if not await _executes(bench, arranger, name):
            return


async def _fuzz_stream(bench: Bench, arranger: StateArranger) -> None:
    """Crafted packets on the connection: ones that clients ignore, then one that may close it."""
    binding = bench.profile.bindings.mqtt
    assert binding is not None
    name = _commanded(bench.profile)[0]
    for _ in range(BATCHES):
        since = bench.mark()
        for packet in fuzzing.odd_packets(binding.base, bench.tap.next_packet_id, PACKETS, bench.random):
            bench.tap.inject(packet, what="a random packet that clients ignore")
        if not await _survives(bench, arranger, name, since):
            return
    since = bench.mark()
    bench.tap.inject(fuzzing.broken_packet(binding.base, bench.random), what="a random broken packet")
    await _survives(bench, arranger, name, since)


async def _survives(bench: Bench, arranger: StateArranger, name: str, since: int) -> bool:
    """Whether the device executes a legal command, on a new connection if it closes the present one.

    A client may take an unexpected packet for a protocol violation, and close (MQTT 3.1.1, 4.8).
    """
    value = await other_value(bench, arranger, name)
    await bench.write(name, value, transport=Transport.MQTT.value)
    await _reported_or_closed(bench, name, value, since)
    if any(is_loss(event) for event in bench.trace[since:]):
        return await bench.ready() and await _executes(bench, arranger, name)
    reported = await bench.read(name, transport=Transport.MQTT.value)
    if not bench.profile.properties[name].agrees(reported, value):
        return False
    arranger.state[name] = value
    return True


async def _reported_or_closed(bench: Bench, name: str, value: Value, since: int) -> None:
    """Wait until the device has executed a command, or closed the connection."""
    reporting = asyncio.ensure_future(is_reported(bench, name, value, Transport.MQTT, since))
    closing = asyncio.ensure_future(
        bench.wait_for(is_loss, within=bench.profile.settle(name), since=since, what="the connection to end")
    )
    _, pending = await asyncio.wait((reporting, closing), return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)


async def _executes(bench: Bench, arranger: StateArranger, name: str) -> bool:
    """Whether the device still executes a legal command."""
    value = await other_value(bench, arranger, name)
    executed = await command_and_wait(bench, name, value, Transport.MQTT)
    if executed:
        arranger.state[name] = value
    return executed


def _is_legal(profile: Profile, topic: str, payload: bytes) -> bool:
    """Whether a payload is a legal command for any property of a topic."""
    binding = profile.bindings.mqtt
    assert binding is not None
    for name, bound in binding.properties.items():
        if bound.command == topic:
            value = decode_mqtt(payload, bound.command_member, bound.words)
            if not isinstance(value, Undecoded) and profile.properties[name].accepts(value):
                return True
    return False


def _judge_mqtt(case: Case) -> Outcome:
    sent = case.stimuli(Act.RAW)
    if not sent:
        return inconclusive("nothing was sent to the device")
    changed = _changed_setting(case, Transport.MQTT)
    if changed is not None:
        return changed
    losses = [event for event in case.window if is_loss(event) and event.line > sent[0].line]
    if losses and name_of(case.subject) == PAYLOADS:
        return failed("the device lost its connection over random payloads", sent[0], losses[0])
    executed: list[Report] = []
    for name in _commanded(case.profile):
        for command in _legal_commands(case, name)[-1:]:
            schema = case.profile.properties[name]
            confirming = [
                r for r in command.reports if r.problem is None and schema.agrees(r.value, command.value)
            ]
            if not confirming:
                return failed(
                    f"after random input the device did not execute the legal command {command.text}",
                    sent[-1],
                    command.sent,
                )
            executed += confirming[:1]
    if losses and not any(report.event.line > losses[-1].line for report in executed):
        if had_time(case, losses[-1].time, case.profile.behaviour.reconnect):
            return failed("the device did not reconnect after random packets", sent[-1], losses[-1])
        return inconclusive("nothing shows that the device reconnected", sent[-1], losses[-1])
    if not executed:
        return inconclusive("no legal command followed that could show that the device still works", sent)
    return passed(f"the device survived {len(sent)} batches, and its settings did not change", sent, executed)


def _legal_commands(case: Case, name: str) -> list[Command]:
    schema = case.profile.properties[name]
    return [
        command
        for command in commands(case, name, Transport.MQTT)
        if command.problem is None and schema.accepts(command.value)
    ]


# CoAP


async def _fuzz_coap(bench: Bench) -> None:
    """Random datagrams; after each batch, a ping and a read of all settings."""
    binding = bench.profile.bindings.coap
    assert binding is not None
    names = [name for name in settings(bench.profile) if name in binding.properties]
    paths = [bound.path for bound in binding.properties.values()] + ["/.well-known/core", "/"]
    await _read_all(bench, names)
    for _ in range(BATCHES):
        endpoint = await bench.coap.endpoint()
        for datagram in fuzzing.coap_datagrams(paths, BATCH, bench.random):
            endpoint.send(datagram, RANDOM_DATAGRAM)
        ping = coap.empty(coap.Type.CON, bench.coap.next_mid())
        endpoint.send(coap.encode(ping), "ping")
        answer = await endpoint.receive(lambda message, mid=ping.mid: message.mid == mid, within=PING_WAIT)  # type: ignore[misc]
        endpoint.close()
        if answer is None and not await bench.ready():
            return
        await _read_all(bench, names)


async def _read_all(bench: Bench, names: Sequence[str]) -> None:
    for name in names:
        await bench.read(name, transport=Transport.COAP.value)


def _judge_coap(case: Case) -> Outcome:
    sent = case.stimuli(Act.RAW)
    datagrams = [event for event in case.window if isinstance(event.body, CoapDatagram)]
    if not sent or not datagrams:
        return inconclusive("nothing was sent to the device")
    changed = _changed_setting(case, Transport.COAP)
    if changed is not None:
        return changed
    last_junk = [act for act in sent if act.value.name == RANDOM_DATAGRAM][-1]
    pings = [
        seen
        for seen in case.coap(Direction.TO_DUT)
        if seen.line > last_junk.line + 1 and seen.value.is_empty and seen.value.type is coap.Type.CON
    ]
    answers = [
        seen
        for seen in case.coap()
        for ping in pings
        if seen.body.local == ping.body.local and seen.value.mid == ping.value.mid and seen.line > ping.line
    ]
    if not pings:
        return inconclusive("no legal request followed", last_junk)
    if not answers:
        return failed("the device does not answer after random datagrams", last_junk, pings)
    return passed(
        f"the server survived {len(sent)} datagrams, and its settings did not change", last_junk, answers[-1]
    )


# mDNS


async def _fuzz_mdns(bench: Bench) -> None:
    """Random packets to the group; after each batch, a query for a service of the device."""
    names = names_of(seen_by(bench))
    asked = [
        names.host,
        *(service.name for service in names.services),
        *(service.type for service in names.services),
    ]
    for _ in range(BATCHES):
        for packet in fuzzing.mdns_packets(asked, BATCH, bench.random):
            bench.mdns.send(packet, "a random packet")
        if not await ask(bench, _legal_question(case=seen_by(bench))):
            return


def _legal_question(case: Case) -> Question:
    names = names_of(case)
    if names.services:
        return Question(names.services[0].name, RecordType.SRV)
    return Question(names.host, RecordType.A)


def _judge_mdns(case: Case) -> Outcome:
    junk = [act for act in case.stimuli(Act.RAW) if act.value.name == "a random packet"]
    if not junk:
        return inconclusive("nothing was sent on the link")
    asked = [seen for seen in case.mdns(Direction.TO_DUT) if seen.line > junk[-1].line + 1]
    if not asked:
        return inconclusive("no legal request followed", junk[-1])
    answers = [
        seen
        for seen in case.mdns()
        if seen.line > asked[0].line and seen.value.response and seen.value.records
    ]
    if not answers:
        return failed("the device does not answer after random packets", junk[-1], asked)
    return passed(f"the responder survived {len(junk)} packets", junk[-1], asked[0], answers[0])


def _changed_setting(case: Case, transport: Transport) -> Outcome | None:
    """A failure for a setting reported with a value that nobody commanded; None if there is none."""
    for name in settings(case.profile):
        if transport not in reporting_transports(case.profile, name) or not was_offered(case, transport):
            continue
        schema = case.profile.properties[name]
        junk = first(case.stimuli(Act.RAW))
        known = case.last_report(name, junk.line if junk else case.window[0].line)
        expected = [known.value] if known is not None else []
        sent = [c for way in command_transports(case.profile, name) for c in commands(case, name, way)]
        allowed = [(c.sent.line, _allowed_values(case, name, c)) for c in sent]
        for report in case.reports(name, transport):
            if junk is not None and report.event.line < junk.line:
                continue
            if not expected:
                expected = [report.value]  # the first report of this run
            allowed_by_now = [
                value for line, values in allowed if line < report.event.line for value in values
            ]
            so_far = [*expected, *allowed_by_now]
            if schema.self_changing and report.problem is None:
                continue
            settling = any(
                c.sent.line < report.event.line and report.time <= settled_at(case, name, c) for c in sent
            )
            if settling and _between(report, so_far):
                continue
            if report.problem is not None or not any(schema.agrees(report.value, value) for value in so_far):
                cause = [act for act in case.stimuli(Act.RAW) if act.line < report.event.line][-1:]
                return failed(f"after random input the device reported {described(report)}", cause, report)
    return None


def _between(report: Report, values: Sequence[Value]) -> bool:
    """Whether a reported number lies between some of the values, as it does while a lamp fades."""
    numbers = [value for value in values if is_number(value)]
    return bool(numbers) and is_number(report.value) and min(numbers) <= report.value <= max(numbers)


def _allowed_values(case: Case, name: str, command: Command) -> list[Value]:
    """The values that a command may set: its own, or the limits that the device applies."""
    if command.problem is None and case.profile.properties[name].accepts(command.value):
        return [command.value]
    return clamped(case, name, command)
