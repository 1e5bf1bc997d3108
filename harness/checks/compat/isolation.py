"""Disturbances: what is done to one device, or to the broker, leaves the other devices as they were."""

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
    """What the harness did in the window to one device, or to what all share."""
    return [
        event
        for event in case.window
        if event.device == role and isinstance(event.body, Stimulus) and event.body.act in acts
    ]


def _led(case: GroupCase, role: str, other: str, since: int, until: int) -> set[str]:
    """The properties of ``other`` that were meant to change because of what ``role`` told in between."""
    profile, led = case.home.profiles[other], set()
    for event in acts_on(case, other, Act.AUTOMATE):
        name = event.body.name if isinstance(event.body, Stimulus) else None
        if name is not None and since < event.line < until:
            led |= {name, *(result.property_ or "" for result in results_of(profile, name))}
    for bond in case.home.bonds:
        if (bond.source, bond.target) == (role, other) and not bond.is_passed_on:
            told = any(
                report.name in bond.source_names and since < report.event.line < until
                for report in case.of(role).all_reports
            )
            led |= bond.target_names if told else set()
    return led


@group_requirement(
    "COMPAT-15",
    standard="the profiles",
    clause="profile: bindings",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that a device stays as it is when another one is commanded",
    stimulus="Command one device to be something else, and again what it was; after each let every other one "
    "tell its state",
    expect="What the others can be set to is what it was before, except where it is meant to follow",
    usual_cause="Topics of commands with a wildcard in place of the unit; groups and scenes in the firmware "
    "that nobody asked for.",
)
class Undisturbed(GroupCheck):
    """One device is commanded, all others are watched; what they tell afterwards is the fence."""

    def subjects(self, home: DeviceGroup) -> Iterable[Subject]:
        if len(home.roles) < 2:
            return
        for role, profile in home.profiles.items():
            if any(schema.writable for schema in profile.properties.values()):
                yield Subject(role)

    def missing(self, home: DeviceGroup, subject: Subject) -> str | None:
        return None if home.writable(name_of(subject)) else "nothing here can command that device"

    async def stimulate(self, stage: GroupBench, subject: Subject) -> None:
        role = name_of(subject)
        bench = stage.bench(role)
        async with precondition(bench) as arranger:
            await self._let_tell(stage, role)
            sources = {name for bond in stage.home.bonds if bond.source == role for name in bond.source_names}
            names = sorted(stage.home.writable(role), key=lambda name: name in sources)
            for name in names:
                present = arranger.state.get(name)
                for value in resting(bench.profile.properties[name]):
                    if same_value(value, present) or obstacles(bench.profile, arranger.state, name, value):
                        continue
                    await arranger.perform(Move(MoveKind.WRITE, name, value))
                    await self._let_tell(stage, role)
                    await self._command_back(stage, role, arranger, Move(MoveKind.WRITE, name, present))
                    return
        raise StimulusError(f"{role} has nothing that could be changed in its present state")

    async def _command_back(self, stage: GroupBench, role: str, arranger: StateArranger, move: Move) -> None:
        """Another device that obeys as well may have been what was commanded at first."""
        profile = stage.bench(role).profile
        if not profile.properties[move.name].accepts(move.value):
            return
        if obstacles(profile, arranger.state, move.name, move.value):
            return
        try:
            await arranger.perform(move)
        except StimulusError as reason:  # what the others told may have been followed in between
            stage.note(f"{role} is not commanded back: {reason}")
        await self._let_tell(stage, role)

    async def _let_tell(self, stage: GroupBench, role: str) -> None:
        for other in stage.home.others(role):
            await prompt_report(stage.bench(other))

    def judge(self, case: GroupCase) -> Outcome:
        role = name_of(case.subject)
        commands = acts_on(case, role, Act.WRITE)
        if not commands:
            return inconclusive(f"{role} was not commanded")
        command = commands[0]
        told = first_report_after(case.of(role), command.line)
        if told is None:
            return inconclusive(f"{role} told nothing after it was commanded", command)
        evidence: list[Evidence] = [command, told]
        for other in case.home.others(role):
            moved = _moved(case, role, other, command.line)
            if moved is not None:
                before, after = moved
                text = f"{after.name} of {other} became {json_text(after.value)} when {role} was commanded"
                return failed(f"{text}; it was {json_text(before.value)}", before, command, after)
            alive = first_report_after(case.of(other), told.event.line)
            if alive is None:
                return inconclusive(f"{other} told nothing after {role} was commanded", command)
            evidence.append(alive)
        return passed(f"the others stayed as they were while {role} was commanded", evidence)


def _moved(case: GroupCase, role: str, other: str, line: int) -> tuple[Report, Report] | None:
    """A setting of ``other`` that changed after a line, though nobody asked for it: before and after."""
    own, profile = case.of(other), case.home.profiles[other]
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
            return None  # from here on it may be anything
        before = own.last_report(report.name, line)
        if before is None or schema.agrees(report.value, before.value):
            continue
        if related(profile, [report.name]) & _led(case, role, other, line, report.event.line):
            continue
        told = (report.name, json_text(report.value))
        # Only what was asked for before: to show that it is alive it is told to be what it is by then.
        if not any(at < report.event.line and told == (name, value) for at, name, value in asked):
            return before, report
    return None


def _closed(case: Case, since: int) -> Event | None:
    """The end of a connection of a device that is not asleep, after a line of the trace."""
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
    purpose="ensure that a device goes on when another one loses its power and comes back",
    stimulus="Take the power of one device away, give it back, wait until it is there; then let each tell "
    "something",
    expect="The others keep their connections and go on telling; the one that was restarted is back",
    usual_cause="The last will or the new connection of another device is taken for one's own; identifiers "
    "that are not unique.",
)
class SurvivesRestart(GroupCheck):
    """Kills and starts one device, and looks at all."""

    def subjects(self, home: DeviceGroup) -> Iterable[Subject]:
        return tuple(Subject(role) for role in home.roles) if len(home.roles) > 1 else ()

    def missing(self, home: DeviceGroup, subject: Subject) -> str | None:
        if home.offers(BenchFeature.POWER, name_of(subject)):
            return None
        return f"nothing here can stop and start {subject.name}"

    async def stimulate(self, stage: GroupBench, subject: Subject) -> None:
        role = name_of(subject)
        bench = stage.bench(role)
        for each in stage.home.roles:  # who can be made to tell something at all
            await prompt_report(stage.bench(each))
        await bench.power.kill()
        await bench.power.start()
        await stage.ready(role)
        for each in (role, *stage.home.others(role)):  # the others after it is back
            await prompt_report(stage.bench(each))

    def judge(self, case: GroupCase) -> Outcome:
        role = name_of(case.subject)
        cuts, starts = acts_on(case, role, Act.KILL), acts_on(case, role, Act.START)
        if not cuts or not starts:
            return inconclusive(f"{role} was not restarted")
        cut, start = cuts[0], starts[-1]
        back = first_report_after(case.of(role), start.line)
        evidence: list[Evidence] = [cut, start]
        for other in case.home.others(role):
            lost = _closed(case.of(other), cut.line)
            if lost is not None:
                return failed(f"{other} lost its connection when {role} was restarted", cut, lost)
            alive = first_report_after(case.of(other), back.event.line if back else start.line)
            if alive is None and _told_before(case, other, cut.line):
                return failed(f"{other} tells nothing any more since {role} was restarted", cut, start)
            if alive is None:
                return inconclusive(f"{other} could not be made to tell anything, before and after", cut)
            evidence.append(alive)
        if back is not None:
            return passed(f"{role} is back, and the others went on", *evidence, back)
        return _unheard(case, role, cut.line, start)


def _told_before(case: GroupCase, role: str, line: int) -> bool:
    """Whether a device told something in the window before a line."""
    begin = case.window[0].line
    return any(
        begin < report.event.line < line and not report.is_stored for report in case.of(role).all_reports
    )


def _unheard(case: GroupCase, role: str, cut: int, start: Event) -> Outcome:
    """What is to be said of a device that told nothing since ``start``, and was cut off at line ``cut``."""
    mqtt = case.home.profiles[role].bindings.mqtt
    again = [seen for seen in connects(case.of(role)) if seen.line > start.line][:1]
    watched = mqtt is not None and mqtt.sleep is None and case.home.offers(BenchFeature.TAP, role)
    if _told_before(case, role, cut) or (watched and not again):
        return failed(f"{role} did not come back", cut, start, again)
    if again:
        return passed(f"{role} is connected again", start, again)
    return inconclusive(f"{role} could not be made to tell anything, before and after", start)


@group_requirement(
    "COMPAT-17",
    standard="the profiles",
    clause="profile: bindings.mqtt.reconnect, behaviour.reconnect",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that all devices come back when the broker was away",
    stimulus="Restart the broker, without what it had stored; wait until the devices are back; then let each "
    "tell something",
    expect="Each device connects again within its time, and tells something",
    usual_cause="The device gives up after some attempts, or comes back without its subscriptions.",
)
class ComeBack(GroupCheck):
    """Restarts the broker that all share."""

    def subjects(self, home: DeviceGroup) -> Iterable[Subject]:
        speaking = [role for role, profile in home.profiles.items() if profile.bindings.mqtt is not None]
        return (Subject(),) if len(home.roles) > 1 and speaking else ()

    def missing(self, home: DeviceGroup, subject: Subject) -> str | None:
        if home.on_mqtt() and home.offers(BenchFeature.RESTART, *home.on_mqtt()):
            return None
        return "the devices' broker is not ours to restart"

    async def stimulate(self, stage: GroupBench, subject: Subject) -> None:
        for role in stage.home.on_mqtt():  # who can be made to tell something at all
            await prompt_report(stage.bench(role))
        await stage.restart_broker(wipe=True)
        await stage.ready(*stage.home.on_mqtt())
        for role in stage.home.on_mqtt():
            await prompt_report(stage.bench(role))

    def judge(self, case: GroupCase) -> Outcome:
        restarts = acts_on(case, None, Act.RESTART_BROKER)
        if not restarts:
            return inconclusive("the broker was not restarted")
        evidence: list[Evidence] = [restarts[0]]
        missing: list[str] = []
        unheard: list[str] = []
        for role in case.home.on_mqtt():
            # Where it was asked for something: it may be connected, and deaf for want of its subscriptions.
            asked = [event for event in acts_on(case, role, Act.WRITE) if event.line > restarts[0].line]
            names = {event.body.name for event in asked if isinstance(event.body, Stimulus)}
            since = asked[0].line if asked else restarts[0].line
            alive = first_report_after(case.of(role), since, Transport.MQTT, names)
            if alive is not None:
                evidence.append(alive)
                continue
            outcome = _unheard(case, role, restarts[0].line, restarts[0])
            match outcome.verdict:
                case Verdict.FAIL:
                    missing.append(role)
                case Verdict.INCONCLUSIVE:
                    unheard.append(role)
                case _ if asked:
                    missing.append(role)  # connected, but deaf
            evidence += outcome.events
        if missing:
            verb = "does" if len(missing) == 1 else "do"
            text = f"{' and '.join(missing)} {verb} not come back after the broker was restarted"
            return failed(text, *evidence)
        if unheard:
            return inconclusive(f"{' and '.join(unheard)} could not be made to tell anything", *evidence)
        return passed("all devices are back on the broker", *evidence)
