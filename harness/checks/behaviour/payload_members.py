"""Command objects with unknown or missing members."""

from __future__ import annotations

import json

from harness.checks.behaviour.read_only import mqtt_binding
from harness.checks.bench import Bench
from harness.checks.case import Case, failed, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.observations import Report, Transport
from harness.checks.payloads import Undecoded, decode_json, decode_mqtt, encode_mqtt
from harness.checks.support.behaviour.arrange import precondition
from harness.checks.support.behaviour.boundary_values import resting
from harness.checks.support.behaviour.commands import (
    SETTLE,
    command_and_wait,
    described,
    is_reported,
    published,
    send_payload,
)
from harness.checks.support.behaviour.transports import name_of
from harness.checks.support.behaviour.trial_values import other_value
from harness.model.base import Value
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.schema import same_value
from harness.model.verdict import Outcome, Subject

UNKNOWN_MEMBER = "x_unheard_of"


@requirement(
    "DEV-28",
    area=Area.BEHAVIOUR,
    standard="W3C WoT TD 1.1 and good practice (profile)",
    clause="server-data-schema-extras; profile: bindings.mqtt.properties.*.command_member",
    level=Level.SHOULD,
    basis=Basis.PRACTICE,
    purpose="ensure that the device ignores unknown members of a command object and leaves missing ones "
    "unchanged",
    stimulus="Set the other members of the topic to values that are not their defaults; then send an object "
    "with one known and one unknown member",
    expect="The known member is executed; the missing members do not change",
    ics="DEV.ACTUATOR",
    needs=(BenchFeature.BROKER,),
    usual_cause="A strict parser refuses the whole object, so a newer controller cannot command an older "
    "device; or the object replaces the whole state, and missing members fall back to their defaults.",
    phase=Phase.BOUNDARY,
)
class CommandObjects(Check):
    """Forward compatibility, and partial updates."""

    def subjects(self, profile: Profile) -> list[Subject]:
        mqtt = profile.bindings.mqtt
        members = mqtt.properties.items() if mqtt else ()
        return [Subject(name) for name, bound in members if bound.command and bound.command_member]

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        name = name_of(subject)
        bound = mqtt_binding(bench.profile, name)
        async with precondition(bench, Transport.MQTT) as arranger:
            for other in _neighbours(bench.profile, name):
                unusual = _not_default(bench.profile, other)
                await arranger.make_room_for(other, unusual)
                await command_and_wait(bench, other, unusual, Transport.MQTT)
                await arranger.look()
            value = await other_value(bench, arranger, name)
            command = json.loads(encode_mqtt(value, bound.command_member, bound.words))
            payload = json.dumps({**command, UNKNOWN_MEMBER: 1}).encode()
            since = bench.mark()
            await send_payload(bench, name, payload, "with an unknown member", Transport.MQTT)
            await is_reported(bench, name, value, Transport.MQTT, since)
            if _neighbours(bench.profile, name):
                settle = bench.profile.settle(name)
                await bench.watch_silence(
                    settle, imposed_by=SETTLE, what="the missing members to stay unchanged"
                )

    def judge(self, case: Case) -> Outcome:
        name = name_of(case.subject)
        bound = mqtt_binding(case.profile, name)
        schema = case.profile.properties[name]
        settle = case.profile.settle(name)
        sent = published(case, bound.command or "")
        for at, seen in enumerate(sent):
            value = decode_mqtt(seen.value.payload, bound.command_member, bound.words)
            if isinstance(value, Undecoded) or not _has_unknown_member(seen.value.payload):
                continue
            # Changes after the next command do not count.
            end = sent[at + 1].line if at + 1 < len(sent) else case.window[-1].line
            after = [r for r in case.reports(transport=Transport.MQTT) if seen.line < r.event.line < end]
            in_time = [r for r in after if r.time <= seen.time + settle]
            confirming = [r for r in in_time if r.name == name and schema.agrees(r.value, value)]
            if not confirming:
                others = [r for r in in_time if r.name == name][-1:]
                return failed(f"a command for {name} with an unknown member was not executed", seen, others)
            for other in _neighbours(case.profile, name):
                moved = _moved(case, other, seen.line, in_time)
                if moved is not None:
                    return failed(
                        f"{other} was missing in the command, but changed to {described(moved)}", seen, moved
                    )
            return passed(f"a command with an unknown member set {name} and nothing else", seen, confirming)
        return inconclusive(f"no command for {name} with an unknown member reached the device")


def _neighbours(profile: Profile, name: str) -> list[str]:
    """The other properties that are commanded on the same topic, and that the command must not change."""
    topic = mqtt_binding(profile, name).command
    mqtt = profile.bindings.mqtt
    assert mqtt is not None
    may_change = {name, *profile.properties[name].also_changes}
    return [
        other
        for other, bound in mqtt.properties.items()
        if other not in may_change and bound.command == topic
    ]


def _not_default(profile: Profile, name: str) -> Value:
    schema = profile.properties[name]
    values = [value for value in resting(schema) if not same_value(value, schema.default)]
    return values[0] if values else schema.default


def _has_unknown_member(payload: bytes) -> bool:
    decoded = decode_json(payload)
    return isinstance(decoded, dict) and UNKNOWN_MEMBER in decoded


def _moved(case: Case, name: str, line: int, after: list[Report]) -> Report | None:
    """The report that shows that a property which was not commanded changed; None if there is none."""
    before = case.last_report(name, line, Transport.MQTT)
    if before is None:
        return None
    schema = case.profile.properties[name]
    return next((r for r in after if r.name == name and not schema.agrees(r.value, before.value)), None)
