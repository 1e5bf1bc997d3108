"""Isolation: actions on one device, or on the broker, do not disturb the other devices."""

from __future__ import annotations

from collections.abc import Iterable

from harness.checks.bench import StimulusError
from harness.checks.case import Case, Evidence, failed, inconclusive, passed
from harness.checks.observations import Report, Transport
from harness.checks.payloads import json_text
from harness.checks.support.behaviour.action_effects import results_of
from harness.checks.support.behaviour.arrange import (
    StateArranger,
    precondition,
)
from harness.checks.support.behaviour.boundary_values import resting
from harness.checks.support.behaviour.forecast import (
    obstacles,
    related,
)
from harness.checks.support.behaviour.planner import (
    Move,
    MoveKind,
)
from harness.checks.support.behaviour.transports import name_of
from harness.checks.support.compat.bench import GroupBench
from harness.checks.support.compat.catalogue import (
    GroupCase,
    GroupCheck,
    group_requirement,
)
from harness.checks.support.compat.device_group import DeviceGroup
from harness.checks.support.compat.liveness import (
    first_report_after,
    prompt_report,
)
from harness.checks.support.compat.traffic import connects
from harness.model.requirement import Basis, BenchFeature, Level
from harness.model.schema import same_value
from harness.model.verdict import Outcome, Subject, Verdict
from harness.trace.events import Act, ConnectionChange, Event, Stimulus


def acts_on(case: GroupCase, role: str | None, *acts: Act) -> list[Event]:
    """The actions of the harness in the window on one device, or (None) on shared equipment."""
    return [
        event
        for event in case.window
        if event.device == role and isinstance(event.body, Stimulus) and event.body.act in acts
    ]


def _expected_changes(case: GroupCase, role: str, other: str, since: int, until: int) -> set[str]:
    """The properties of ``other`` that may change because of reports of ``role`` in between."""
    profile, expected = case.group.profiles[other], set()
    for event in acts_on(case, other, Act.AUTOMATE):
        name = event.body.name if isinstance(event.body, Stimulus) else None
        if name is not None and since < event.line < until:
            expected |= {name, *(result.property_ or "" for result in results_of(profile, name))}
    for interaction in case.group.interactions:
        if (interaction.source, interaction.target) == (role, other) and not interaction.is_passed_on:
            reported = any(
                report.name in interaction.source_names and since < report.event.line < until
                for report in case.of(role).all_reports
            )
            expected |= interaction.target_names if reported else set()
    return expected


@group_requirement(
    "COMPAT-15",
    standard="the profiles",
    clause="profile: bindings",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that a device keeps its state when another one is commanded",
    stimulus="Command one device to another state and back; after each command let every other device "
    "report its state",
    expect="The writable properties of the others are unchanged, except where they are meant to follow",
    usual_cause="Command topics with a wildcard in place of the unit, or unrequested groups and scenes in "
    "the firmware.",
)
class Undisturbed(GroupCheck):
    """Commands one device, and watches all others until they report again."""

    def subjects(self, group: DeviceGroup) -> Iterable[Subject]:
        if len(group.roles) < 2:
            return
        for role, profile in group.profiles.items():
            if any(schema.writable for schema in profile.properties.values()):
                yield Subject(role)

    def missing(self, group: DeviceGroup, subject: Subject) -> str | None:
        return None if group.writable(name_of(subject)) else "this bench cannot command that device"

    async def stimulate(self, group_bench: GroupBench, subject: Subject) -> None:
        role = name_of(subject)
        bench = group_bench.bench(role)
        async with precondition(bench) as arranger:
            await self._prompt_others(group_bench, role)
            sources = {
                name
                for interaction in group_bench.group.interactions
                if interaction.source == role
                for name in interaction.source_names
            }
            names = sorted(group_bench.group.writable(role), key=lambda name: name in sources)
            for name in names:
                present = arranger.state.get(name)
                for value in resting(bench.profile.properties[name]):
                    if same_value(value, present) or obstacles(bench.profile, arranger.state, name, value):
                        continue
                    await arranger.perform(Move(MoveKind.WRITE, name, value))
                    await self._prompt_others(group_bench, role)
                    await self._command_back(group_bench, role, arranger, Move(MoveKind.WRITE, name, present))
                    return
        raise StimulusError(f"{role} has no property that can be changed in its present state")

    async def _command_back(
        self, group_bench: GroupBench, role: str, arranger: StateArranger, move: Move
    ) -> None:
        """Restore the value: a neighbour that also reacts may have had the first value already."""
        profile = group_bench.bench(role).profile
        if not profile.properties[move.name].accepts(move.value):
            return
        if obstacles(profile, arranger.state, move.name, move.value):
            return
        try:
            await arranger.perform(move)
        except StimulusError as reason:  # the device may have followed a report of the others meanwhile
            group_bench.note(f"{role} is not commanded back: {reason}")
        await self._prompt_others(group_bench, role)

    async def _prompt_others(self, group_bench: GroupBench, role: str) -> None:
        for other in group_bench.group.others(role):
            await prompt_report(group_bench.bench(other))

    def judge(self, case: GroupCase) -> Outcome:
        role = name_of(case.subject)
        commands = acts_on(case, role, Act.WRITE)
        if not commands:
            return inconclusive(f"{role} was not commanded")
        command = commands[0]
        report = first_report_after(case.of(role), command.line)
        if report is None:
            return inconclusive(f"{role} reported nothing after it was commanded", command)
        evidence: list[Evidence] = [command, report]
        for other in case.group.others(role):
            moved = _moved(case, role, other, command.line)
            if moved is not None:
                before, after = moved
                text = f"{after.name} of {other} became {json_text(after.value)} when {role} was commanded"
                return failed(f"{text}; it was {json_text(before.value)}", before, command, after)
            alive = first_report_after(case.of(other), report.event.line)
            if alive is None:
                return inconclusive(f"{other} reported nothing after {role} was commanded", command)
            evidence.append(alive)
        return passed(f"the others kept their state while {role} was commanded", evidence)


def _moved(case: GroupCase, role: str, other: str, line: int) -> tuple[Report, Report] | None:
    """An unrequested change of a setting of ``other`` after a line: before and after."""
    own, profile = case.of(other), case.group.profiles[other]
    asked = [
        (event.line, event.body.name, event.body.value)
        for event in acts_on(case, other, Act.WRITE, Act.AUTOMATE)
        if isinstance(event.body, Stimulus)
    ]
    by_hand = [event.line for event in acts_on(case, other, Act.LOCAL) if event.line > line]
    for report in own.all_reports:
        schema = profile.properties.get(report.name)
        if schema is None or not schema.writable or report.event.line <= line or report.problem is not None:
            continue
        if by_hand and report.event.line > by_hand[0]:
            return None  # any later value is possible
        before = own.last_report(report.name, line)
        if before is None or schema.agrees(report.value, before.value):
            continue
        if related(profile, [report.name]) & _expected_changes(case, role, other, line, report.event.line):
            continue
        change = (report.name, json_text(report.value))
        # Only earlier commands count: later ones repeat the present state as a sign of life.
        if not any(at < report.event.line and change == (name, value) for at, name, value in asked):
            return before, report
    return None


def _closed(case: Case, since: int) -> Event | None:
    """The end of a connection after a line of the trace; None for devices that sleep."""
    mqtt = case.profile.bindings.mqtt
    if mqtt is None or mqtt.sleep is not None:
        return None
    for seen in case.connections():
        if seen.line > since and seen.body.change is not ConnectionChange.OPENED:
            return seen.event
    return None


@group_requirement(
    "COMPAT-16",
    standard="the profiles",
    clause="profile: behaviour.boot",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that a device keeps working when another one loses power and restarts",
    stimulus="Cut the power of one device, restore it, and wait until it is ready; then let each device "
    "report something",
    expect="The others keep their connections and continue to report; the restarted device comes back",
    usual_cause="The device takes the last will or the connection of another one for its own; identifiers "
    "are not unique.",
)
class SurvivesRestart(GroupCheck):
    """Power-cycles one device, and observes all."""

    def subjects(self, group: DeviceGroup) -> Iterable[Subject]:
        return tuple(Subject(role) for role in group.roles) if len(group.roles) > 1 else ()

    def missing(self, group: DeviceGroup, subject: Subject) -> str | None:
        if group.offers(BenchFeature.POWER, name_of(subject)):
            return None
        return f"this bench cannot switch the power of {subject.name}"

    async def stimulate(self, group_bench: GroupBench, subject: Subject) -> None:
        role = name_of(subject)
        bench = group_bench.bench(role)
        for each in group_bench.group.roles:  # a baseline: which devices report on demand
            await prompt_report(group_bench.bench(each))
        await bench.power.kill()
        await bench.power.start()
        await group_bench.ready(role)
        for each in (role, *group_bench.group.others(role)):  # the others after it is back
            await prompt_report(group_bench.bench(each))

    def judge(self, case: GroupCase) -> Outcome:
        role = name_of(case.subject)
        cuts, starts = acts_on(case, role, Act.KILL), acts_on(case, role, Act.START)
        if not cuts or not starts:
            return inconclusive(f"{role} was not restarted")
        cut, start = cuts[0], starts[-1]
        back = first_report_after(case.of(role), start.line)
        evidence: list[Evidence] = [cut, start]
        for other in case.group.others(role):
            lost = _closed(case.of(other), cut.line)
            if lost is not None:
                return failed(f"{other} lost its connection when {role} was restarted", cut, lost)
            alive = first_report_after(case.of(other), back.event.line if back else start.line)
            if alive is None and _reported_before(case, other, cut.line):
                return failed(f"{other} no longer reports since {role} was restarted", cut, start)
            if alive is None:
                return inconclusive(f"{other} could not be made to report, before or after", cut)
            evidence.append(alive)
        if back is not None:
            return passed(f"{role} is back, and the others kept working", *evidence, back)
        return _without_report(case, role, cut.line, start)


def _reported_before(case: GroupCase, role: str, line: int) -> bool:
    """Whether a device reported something in the window before a line."""
    begin = case.window[0].line
    return any(
        begin < report.event.line < line and not report.is_stored for report in case.of(role).all_reports
    )


def _without_report(case: GroupCase, role: str, cut: int, start: Event) -> Outcome:
    """The outcome for a device without a report since ``start``, which was cut off at line ``cut``."""
    mqtt = case.group.profiles[role].bindings.mqtt
    again = [seen for seen in connects(case.of(role)) if seen.line > start.line][:1]
    watched = mqtt is not None and mqtt.sleep is None and case.group.offers(BenchFeature.TAP, role)
    if _reported_before(case, role, cut) or (watched and not again):
        return failed(f"{role} did not come back", cut, start, again)
    if again:
        return passed(f"{role} is connected again", start, again)
    return inconclusive(f"{role} could not be made to report, before or after", start)


@group_requirement(
    "COMPAT-17",
    standard="the profiles",
    clause="profile: bindings.mqtt.reconnect, behaviour.reconnect",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that all devices reconnect after a broker outage",
    stimulus="Restart the broker without its stored data; wait until the devices are back; then let each "
    "report something",
    expect="Each device reconnects in time, and reports something",
    usual_cause="The device gives up after some attempts, or reconnects without subscribing.",
)
class Reconnects(GroupCheck):
    """Restarts the shared broker."""

    def subjects(self, group: DeviceGroup) -> Iterable[Subject]:
        speaking = [role for role, profile in group.profiles.items() if profile.bindings.mqtt is not None]
        return (Subject(),) if len(group.roles) > 1 and speaking else ()

    def missing(self, group: DeviceGroup, subject: Subject) -> str | None:
        if group.on_mqtt() and group.offers(BenchFeature.RESTART, *group.on_mqtt()):
            return None
        return "this bench cannot restart the devices' broker"

    async def stimulate(self, group_bench: GroupBench, subject: Subject) -> None:
        for role in group_bench.group.on_mqtt():  # a baseline: which devices report on demand
            await prompt_report(group_bench.bench(role))
        await group_bench.restart_broker(wipe=True)
        await group_bench.ready(*group_bench.group.on_mqtt())
        for role in group_bench.group.on_mqtt():
            await prompt_report(group_bench.bench(role))

    def judge(self, case: GroupCase) -> Outcome:
        restarts = acts_on(case, None, Act.RESTART_BROKER)
        if not restarts:
            return inconclusive("the broker was not restarted")
        evidence: list[Evidence] = [restarts[0]]
        missing: list[str] = []
        unheard: list[str] = []
        for role in case.group.on_mqtt():
            # A device that was commanded must report that: it may be connected without its subscriptions.
            asked = [event for event in acts_on(case, role, Act.WRITE) if event.line > restarts[0].line]
            names = {event.body.name for event in asked if isinstance(event.body, Stimulus)}
            since = asked[0].line if asked else restarts[0].line
            alive = first_report_after(case.of(role), since, Transport.MQTT, names)
            if alive is not None:
                evidence.append(alive)
                continue
            outcome = _without_report(case, role, restarts[0].line, restarts[0])
            match outcome.verdict:
                case Verdict.FAIL:
                    missing.append(role)
                case Verdict.INCONCLUSIVE:
                    unheard.append(role)
                case _ if asked:
                    missing.append(role)  # connected, but does not receive commands
            evidence += outcome.events
        if missing:
            verb = "does" if len(missing) == 1 else "do"
            text = f"{' and '.join(missing)} {verb} not come back after the broker restart"
            return failed(text, *evidence)
        if unheard:
            return inconclusive(f"{' and '.join(unheard)} could not be made to report", *evidence)
        return passed("all devices are back on the broker", *evidence)
