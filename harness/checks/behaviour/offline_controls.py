"""Controls that are operated while the broker is away do what they declare, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from harness.checks.bench import Bench
from harness.checks.case import Case, Evidence, failed, first, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.observations import Report, Transport
from harness.checks.payloads import json_text
from harness.checks.support.behaviour.arrange import precondition
from harness.checks.support.behaviour.commands import ROUNDING, SETTLE, described
from harness.checks.support.behaviour.explanations import KEPT, is_left_alone
from harness.checks.support.behaviour.forecast import related
from harness.checks.support.behaviour.local_operation import moved_by, unlock
from harness.checks.support.behaviour.outages import await_settings, lose_connection, settings
from harness.checks.support.behaviour.transports import name_of, reporting_transports
from harness.checks.support.mqtt.sessions import is_opened
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act, Event, Refusal, Stimulus


@requirement(
    "PROFILE-69",
    area=Area.BEHAVIOUR,
    standard="profile",
    clause="controls.*.effects; behaviour.rules",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the device changes only declared settings when a control is operated offline",
    stimulus="Cut the MQTT connection twice and refuse new ones for a while: first without operating "
    "anything, then operate the control meanwhile",
    expect="After each reconnection the settings that the control does not change are reported as before",
    ics="MQTT.CLIENT & DEV.LOCAL_UI",
    needs=(BenchFeature.TAP, BenchFeature.LOCAL),
    usual_cause="A key that only sends a message falls back to switching the output when there is no broker.",
    phase=Phase.OUTAGE,
)
class ControlsOffline(Check):
    """One subject per control; the first outage is the baseline."""

    def subjects(self, profile: Profile) -> list[Subject]:
        mqtt = profile.bindings.mqtt
        if mqtt is None or mqtt.sleep is not None:
            return []
        return [Subject(name) for name in profile.controls if _unaffected(profile, name)]

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        name = name_of(subject)
        async with precondition(bench) as arranger:
            await unlock(arranger, bench.profile, name)
            await _outage(bench, None)
            # Messages that are on their way when the connection is cut would be lost unseen.
            settle = bench.profile.behaviour.settle
            await bench.watch_silence(settle, imposed_by=SETTLE, what="the device to finish its reports")
            await _wait_since_last_command(bench)
            await _outage(bench, name)

    def judge(self, case: Case) -> Outcome:
        name = name_of(case.subject)
        drops, accepts = case.stimuli(Act.DROP_LINK)[:2], case.stimuli(Act.ACCEPT)[:2]
        operated = first(case.stimuli(Act.LOCAL), lambda act: act.value.name == name)
        if operated is None or len(drops) < 2 or len(accepts) < 2 or operated.line < drops[1].line:
            return inconclusive(f"{name} was not operated in the second of two outages")
        evidence: list[Evidence] = [operated]
        for other in _unaffected(case.profile, name):
            pairs = [
                _around(case, other, drop.line, accept.line)
                for drop, accept in zip(drops, accepts, strict=True)
            ]
            changed = [pair is not None and not _agree(case, other, *pair) for pair in pairs]
            if changed[0]:
                return inconclusive(f"{other} changes in an outage in which nothing is operated", drops[0])
            if pairs[0] is None or pairs[1] is None:
                continue
            before, after = pairs[1]
            if changed[1]:
                quiet = operated.time - _last_command(case.trace[: operated.line])
                if quiet < KEPT - ROUNDING:
                    return inconclusive(
                        f"{other} changed {quiet:.3g} s after the last command", before, after
                    )
                return failed(
                    f"{name} was operated without a broker: {other} was {json_text(before.value)}, and is "
                    f"reported as {described(after)}, which is not declared",
                    before,
                    operated,
                    after,
                )
            evidence += [before, after]
        if len(evidence) == 1:
            return inconclusive("no setting was reported both before and after the outages", operated)
        return passed(f"{name} changed no undeclared setting while the broker was away", evidence)


def _last_command(trace: Sequence[Event]) -> float:
    """When the harness last commanded anything, in seconds since the start of the run."""
    times = (e.time for e in reversed(trace) if isinstance(e.body, Stimulus) and e.body.act is Act.WRITE)
    return next(times, -KEPT)


async def _wait_since_last_command(bench: Bench) -> None:
    """Wait until a setting that falls back after a command has had the time to do so."""
    remaining = _last_command(bench.trace) + KEPT - bench.now
    if remaining > 0:
        what = "settings to fall back, if they do"
        await bench.watch_silence(remaining, imposed_by="PROFILE-69: the time for a poll", what=what)


async def _outage(bench: Bench, control: str | None) -> None:
    """Take the broker away for a while; operate a control meanwhile."""
    bench.tap.refuse(Refusal.RESET)
    try:
        await lose_connection(bench)
        await bench.wait_for(
            is_opened,
            within=bench.profile.behaviour.settle,
            imposed_by="profile: behaviour.settle",
            what="the device to notice that the broker is away",
        )
        if control is not None:
            await bench.local.operate(control)
        since = bench.mark()
    finally:
        bench.tap.accept()
    await await_settings(bench, since)


def _unaffected(profile: Profile, control: str) -> list[str]:
    """The settings that operating a control must not change, directly or through rules."""
    declared = profile.controls[control]
    touched = {effect.property_ for effect in moved_by(declared)}
    events = {effect.event for effect in declared.effects if effect.event}
    for rule in profile.behaviour.rules:
        if any(condition.event in events for condition in rule.when if condition.event):
            touched |= {condition.property_ for condition in rule.then}
    return [
        name
        for name in settings(profile)
        if Transport.MQTT in reporting_transports(profile, name)
        and is_left_alone(profile, name)
        and not touched & related(profile, [name])
    ]


def _around(case: Case, name: str, drop: int, accept: int) -> tuple[Report, Report] | None:
    """The last report before an outage, and the first new one after it; None if one is missing."""
    before = case.last_report(name, drop, Transport.MQTT)
    after = next(
        (
            report
            for report in case.reports(name, Transport.MQTT)
            if report.event.line > accept and report.problem is None and not report.repeated
        ),
        None,
    )
    return (before, after) if before is not None and after is not None else None


def _agree(case: Case, name: str, before: Report, after: Report) -> bool:
    return case.profile.properties[name].agrees(after.value, before.value)
