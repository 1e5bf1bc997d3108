"""The behaviour rules of the profile: responses, invariants and refusals."""

from __future__ import annotations

from collections.abc import Sequence

from harness.checks.bench import Bench
from harness.checks.case import Case, Evidence, failed, inconclusive, passed, run_so_far
from harness.checks.catalogue import Check, requirement
from harness.checks.observations import Report
from harness.checks.payloads import json_text
from harness.checks.support.behaviour.commands import (
    ROUNDING,
    Command,
    commands,
)
from harness.checks.support.behaviour.episodes import (
    Episode,
    ReportedChange,
    changes_from,
    common_transport,
    episodes,
    names_of,
)
from harness.checks.support.behaviour.forecast import (
    State,
    all_hold,
    lasting,
)
from harness.checks.support.behaviour.refusals import refusal_failure
from harness.checks.support.behaviour.rule_triggers import stimulate_rule
from harness.checks.support.behaviour.transports import (
    command_transports,
    name_of,
    was_offered,
)
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, Level
from harness.model.rule import Condition, Rule, RuleKind
from harness.model.schema import same_value
from harness.model.verdict import Outcome, Subject, Verdict
from harness.trace.events import Event

DRIFT = 0.02
"""Allowed clock error of a device, as a fraction of the time: rules do not test precision."""


@requirement(
    "PROFILE-61",
    area=Area.BEHAVIOUR,
    standard="profile",
    clause="behaviour.rules",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the device keeps each behaviour rule of its profile",
    stimulus="Bring the device into a state in which the rule does not act, then make its condition true by "
    "commands, controls or sensors; for a refusal, send the command that must be refused",
    expect="The required state or event is reported in time, and lasts; a refused command changes nothing",
    ics="DEV.RULES",
    usual_cause="The rule is implemented for commands from the app, but not for the button or the sensor; "
    "or its "
    "timer restarts with every report.",
)
class BehaviourRule(Check):
    """One subject per rule."""

    def subjects(self, profile: Profile) -> list[Subject]:
        return [Subject(rule.id) for rule in profile.behaviour.rules]

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await stimulate_rule(bench, bench.profile.rule(name_of(subject)))

    def judge(self, case: Case) -> Outcome:
        rule = case.profile.rule(name_of(case.subject))
        if rule.kind is RuleKind.REFUSAL:
            return _judge_refusal(case, rule)
        decided = _decided(case, rule)
        for outcome in decided:
            if outcome.verdict is Verdict.FAIL:
                return outcome
        if decided:
            return decided[0]
        # Other checks may have shown the rule as well, but they did not wait for missing effects: no fail.
        for outcome in _decided(run_so_far(case), rule):
            if outcome.verdict is Verdict.PASS:
                return outcome
        return inconclusive(
            f"the condition was not met with a visible effect: {_text(rule.when or rule.while_)}"
        )


def _decided(case: Case, rule: Rule) -> list[Outcome]:
    judged = _judge_response if rule.kind is RuleKind.RESPONSE else _judge_invariant
    outcomes = [judged(case, rule, episode) for episode in episodes(case, rule)]
    return [outcome for outcome in outcomes if outcome is not None]


def _judge_response(case: Case, rule: Rule, episode: Episode) -> Outcome | None:
    """None if the episode decides nothing: the rule was not triggered, or not watched long enough."""
    start = episode.start_of(rule.when)
    latency = _latency(case.profile, rule)
    deadline = (start or episode.act).time + rule.for_ * (1 + DRIFT) + rule.within + latency
    begun = episode.state_at(start) if start is not None else episode.before
    shown = [episode.shown(condition, deadline, begun, start or episode.act) for condition in rule.then]
    missing = [condition for condition, report in zip(rule.then, shown, strict=True) if report is None]
    if start is None:
        return None
    if missing:
        if episode.end < deadline - ROUNDING or _ended_early(rule, episode, start, latency, shown):
            return None
        waited = rule.for_ + rule.within
        return failed(
            f"{_text(rule.when)}, but the device did not report within {waited:g} s that {missing[0]}",
            episode.act,
            start,
            _last_report(case, missing[0], episode),
        )
    evidence: list[Evidence] = [episode.act, start, *(report for report in shown if report is not None)]
    if rule.holds:
        return _judge_hold(case, rule, episode, evidence)
    if all(not each.is_happening and each.holds(episode.before) and each.holds(begun) for each in rule.then):
        return None  # it was true before
    return passed(f"{_text(rule.when)}: {_text(rule.then)} followed", evidence)


def _ended_early(
    rule: Rule,
    episode: Episode,
    start: Report | Event,
    latency: float,
    shown: Sequence[Report | Event | None],
) -> bool:
    """Whether the cause may have ended before the time of ``for``, so that no reaction was required."""
    acted = any(
        report is not None and (condition.is_happening or not condition.holds(episode.before))
        for condition, report in zip(rule.then, shown, strict=True)
    )
    if acted or not rule.for_:
        return False  # the device reacted in part, or had to react at once
    ended = episode.end_of(rule.when, start.time)
    return ended is not None and ended < start.time + rule.for_ * (1 + DRIFT) + latency


def _judge_hold(case: Case, rule: Rule, episode: Episode, evidence: list[Evidence]) -> Outcome | None:
    """Whether the reaction lasted, whatever was commanded meanwhile."""
    names, events = names_of(rule)
    transport = common_transport(case, names, events)
    reports = [r for r in case.reports(transport=transport) if r.name in names]
    began = next((seen for seen in episode.changes if all_hold(rule.then, seen.state)), None)
    if began is None:
        return None
    until = began.report.time + rule.holds * (1 - DRIFT) - _latency(case.profile, rule)
    after = [r for r in reports if r.event.line > began.report.event.line]
    for seen in changes_from(began.state, after):
        if seen.report.time < until and not all_hold(rule.then, seen.state):
            lasted = seen.report.time - began.report.time
            return failed(
                f"{_text(lasting(rule.then))} lasted {lasted:.3g} s, not {rule.holds:g} s",
                evidence,
                seen.report,
            )
    if case.window[-1].time < until:
        return None
    return passed(f"{_text(lasting(rule.then))} lasted at least {rule.holds:g} s", evidence, after[:3])


def _judge_invariant(case: Case, rule: Rule, episode: Episode) -> Outcome | None:
    allowed = rule.within + _latency(case.profile, rule)
    broken = _broken_since(rule, episode)
    for since, until in broken:
        if until - since.report.time > allowed + ROUNDING:
            return failed(
                f"{_text(rule.while_)}, but {rule.within:g} s later this was still not true: "
                f"{_first_false(rule, since.state)}",
                episode.act,
                since.report,
            )
    start = episode.start_of(rule.while_)
    if start is None:
        # The device may keep the rule before it reports everything: the end of the episode decides.
        return None
    final = episode.changes[-1].state if episode.changes else episode.before
    if not all_hold(rule.then, final) or all_hold(rule.then, episode.before):
        return None
    shown = [episode.shown(each, episode.end, episode.before, episode.act) for each in rule.then]
    return passed(
        f"{_text(rule.while_)}: {_text(rule.then)} followed",
        episode.act,
        start,
        [report for report in shown if report is not None],
    )


def _broken_since(rule: Rule, episode: Episode) -> list[tuple[ReportedChange, float]]:
    """The intervals of an episode in which the reported state broke an invariant: begin, end in seconds."""
    found: list[tuple[ReportedChange, float]] = []
    begun: ReportedChange | None = None
    for seen in episode.changes:
        broken = all_hold(rule.while_, seen.state) and not all_hold(rule.then, seen.state)
        if broken and begun is None:
            begun = seen
        elif not broken and begun is not None:
            found.append((begun, seen.report.time))
            begun = None
    return [*found, (begun, episode.end)] if begun is not None else found


def _judge_refusal(case: Case, rule: Rule) -> Outcome:
    tried: list[Outcome] = []
    for name in dict.fromkeys(condition.property_ or "" for condition in rule.refuse):
        for transport in command_transports(case.profile, name):
            if not was_offered(case, transport):
                continue
            sent = commands(case, name, transport)
            for at, command in enumerate(sent):
                state = _state_at(case, rule, command.sent.line)
                commanded = {**state, name: command.value}
                is_refusable = all_hold(rule.while_, state) and all_hold(rule.refuse, commanded)
                if command.problem is not None or not is_refusable or all_hold(rule.refuse, state):
                    continue
                wrong = refusal_failure(case, name, sent, at)
                if wrong is not None and wrong.verdict is Verdict.FAIL:
                    return wrong
                executed = _momentary_execution(case, command, name, rule)
                if executed is not None:
                    return executed
                answer = [command.answer.event] if command.answer else []
                text = f"{_text(rule.while_)}: {name} = {json_text(command.value)} was refused"
                tried.append(wrong or passed(text, command.sent, answer, command.reports[:1]))
    undecided = [outcome for outcome in tried if outcome.verdict is not Verdict.PASS]
    if undecided or tried:
        return (undecided or tried)[0]
    return inconclusive(f"no command that must be refused was sent while {_text(rule.while_)}")


def _momentary_execution(case: Case, command: Command, name: str, refusing: Rule) -> Outcome | None:
    """A failure if the device repeated an event that only follows from executing the command.

    Another rule may undo the command at once, so that no reported state shows it. The first event may still
    belong to the preparation of the state, and arrive late.
    """
    for rule in case.profile.behaviour.rules:
        commanded = {**_state_at(case, rule, command.sent.line), name: command.value}
        caused = any(condition.property_ == name for condition in rule.when) and not rule.for_
        if not caused or lasting(rule.when) != rule.when or not all_hold(rule.when, commanded):
            continue
        for condition in rule.then:
            seen = [
                report
                for report in case.reports(condition.event)
                if condition.event and (condition.data is None or same_value(report.value, condition.data))
            ]
            before = {report.transport for report in seen if report.event.line < command.sent.line}
            # On another transport, it may be the first event that arrives late.
            after = [
                report
                for report in seen
                if command.sent.line < report.event.line < command.end and report.transport in before
            ]
            if after:
                return failed(
                    f"{_text(refusing.while_)}, but {name} = {json_text(command.value)} was executed for a "
                    f"moment: {condition} was sent again",
                    command.sent,
                    after[0],
                )
    return None


def _state_at(case: Case, rule: Rule, line: int) -> State:
    state: State = {}
    for name in names_of(rule)[0]:
        known = case.last_report(name, line)
        if known is not None:
            state[name] = known.value
    return state


def _latency(profile: Profile, rule: Rule) -> float:
    """Maximum seconds between a change and its report."""
    settles = [profile.settle(name) for name in names_of(rule)[0]]
    return max([profile.behaviour.report_local, profile.behaviour.settle, *settles])


def _last_report(case: Case, condition: Condition, episode: Episode) -> Evidence:
    name = condition.property_
    known = case.last_report(name, case.window[-1].line) if name else None
    return known if known is not None else episode.act


def _first_false(rule: Rule, state: State) -> str:
    return str(next(condition for condition in lasting(rule.then) if not condition.holds(state)))


def _text(conditions: Sequence[Condition]) -> str:
    return " and ".join(map(str, conditions))
