"""The profile's own rules: what must follow what, what must hold while, and what is refused while."""

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
    episodes,
    names_of,
    teller_of,
    told_of,
)
from harness.checks.support.behaviour.forecast import (
    State,
    all_hold,
    lasting,
)
from harness.checks.support.behaviour.refusals import became_of
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
"""How far a device's clock may be off, as part of the time: rules are not about precision."""


@requirement(
    "PROFILE-61",
    area=Area.BEHAVIOUR,
    standard="profile",
    clause="behaviour.rules",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the device keeps each rule of behaviour that its profile declares",
    stimulus="Bring about a state in which the rule has nothing to do, then make its condition true: by "
    "commands, controls, sensors; for a refusal, command what is to be refused",
    expect="What must follow is reported in time, and lasts; what is to be refused changes nothing",
    ics="DEV.RULES",
    usual_cause="The rule is kept for commands from the app, but not for the button or the sensor; or its "
    "time starts anew with every report.",
)
class BehaviourRule(Check):
    """Each rule of the profile, whatever its form."""

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
        # What another check brought about shows it as well; only nobody waited then for what is missing.
        for outcome in _decided(run_so_far(case), rule):
            if outcome.verdict is Verdict.PASS:
                return outcome
        return inconclusive(
            f"it did not come about that {_text(rule.when or rule.while_)}, to any visible effect"
        )


def _decided(case: Case, rule: Rule) -> list[Outcome]:
    judged = _judge_response if rule.kind is RuleKind.RESPONSE else _judge_invariant
    outcomes = [judged(case, rule, episode) for episode in episodes(case, rule)]
    return [outcome for outcome in outcomes if outcome is not None]


def _judge_response(case: Case, rule: Rule, episode: Episode) -> Outcome | None:
    """None where the episode decides nothing: the rule was not set off, or not long enough watched."""
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
            f"{_text(rule.when)}, but within {waited:g} s it was not reported that {missing[0]}",
            episode.act,
            start,
            _last_word(case, missing[0], episode),
        )
    evidence: list[Evidence] = [episode.act, start, *(report for report in shown if report is not None)]
    if rule.holds:
        return _judge_hold(case, rule, episode, evidence)
    if all(not each.is_happening and each.holds(episode.before) and each.holds(begun) for each in rule.then):
        return None  # it was so before
    return passed(f"{_text(rule.when)}: {_text(rule.then)} followed", evidence)


def _ended_early(
    rule: Rule,
    episode: Episode,
    start: Report | Event,
    latency: float,
    shown: Sequence[Report | Event | None],
) -> bool:
    """Whether the cause may have ended before the time of ``for`` was over, so that nothing had to follow."""
    acted = any(
        report is not None and (condition.is_happening or not condition.holds(episode.before))
        for condition, report in zip(rule.then, shown, strict=True)
    )
    if acted or not rule.for_:
        return False  # part of what must follow has followed, or it had to follow at once
    ended = episode.end_of(rule.when, start.time)
    return ended is not None and ended < start.time + rule.for_ * (1 + DRIFT) + latency


def _judge_hold(case: Case, rule: Rule, episode: Episode, evidence: list[Evidence]) -> Outcome | None:
    """Whether what followed lasted, whatever else was commanded meanwhile."""
    names, events = names_of(rule)
    transport = teller_of(case, names, events)
    reports = [r for r in case.reports(transport=transport) if r.name in names]
    began = next((told for told in episode.told if all_hold(rule.then, told.state)), None)
    if began is None:
        return None
    until = began.report.time + rule.holds * (1 - DRIFT) - _latency(case.profile, rule)
    after = [r for r in reports if r.event.line > began.report.event.line]
    for told in told_of(began.state, after):
        if told.report.time < until and not all_hold(rule.then, told.state):
            lasted = told.report.time - began.report.time
            return failed(
                f"{_text(lasting(rule.then))} lasted {lasted:.3g} s, not {rule.holds:g} s",
                evidence,
                told.report,
            )
    if case.window[-1].time < until:
        return None
    return passed(f"{_text(lasting(rule.then))} lasted for {rule.holds:g} s at least", evidence, after[:3])


def _judge_invariant(case: Case, rule: Rule, episode: Episode) -> Outcome | None:
    allowed = rule.within + _latency(case.profile, rule)
    broken = _broken_since(rule, episode)
    for since, until in broken:
        if until - since.report.time > allowed + ROUNDING:
            return failed(
                f"{_text(rule.while_)}, but {rule.within:g} s later it was still not so that "
                f"{_first_false(rule, since.state)}",
                episode.act,
                since.report,
            )
    start = episode.start_of(rule.while_)
    if start is None:
        # The device may have kept the rule before it told all: the end of the episode decides.
        return None
    final = episode.told[-1].state if episode.told else episode.before
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
    """The times in an episode in which the told state broke an invariant, each with its end."""
    found: list[tuple[ReportedChange, float]] = []
    begun: ReportedChange | None = None
    for told in episode.told:
        broken = all_hold(rule.while_, told.state) and not all_hold(rule.then, told.state)
        if broken and begun is None:
            begun = told
        elif not broken and begun is not None:
            found.append((begun, told.report.time))
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
                wanted = {**state, name: command.value}
                tempts = all_hold(rule.while_, state) and all_hold(rule.refuse, wanted)
                if command.problem is not None or not tempts or all_hold(rule.refuse, state):
                    continue
                wrong = became_of(case, name, sent, at)
                if wrong is not None and wrong.verdict is Verdict.FAIL:
                    return wrong
                betrayed = _sign_of_obedience(case, command, name, rule)
                if betrayed is not None:
                    return betrayed
                answer = [command.answer.event] if command.answer else []
                text = f"{_text(rule.while_)}: {name} = {json_text(command.value)} was refused"
                tried.append(wrong or passed(text, command.sent, answer, command.reports[:1]))
    undecided = [outcome for outcome in tried if outcome.verdict is not Verdict.PASS]
    if undecided or tried:
        return (undecided or tried)[0]
    return inconclusive(f"no command for what is to be refused was given while {_text(rule.while_)}")


def _sign_of_obedience(case: Case, command: Command, name: str, refusing: Rule) -> Outcome | None:
    """A failure where the device told again what only follows once a command was obeyed.

    Another rule may undo the command at once, so that no state betrays it. The first happening may belong to
    how the state came about, and be told late.
    """
    for rule in case.profile.behaviour.rules:
        wanted = {**_state_at(case, rule, command.sent.line), name: command.value}
        caused = any(condition.property_ == name for condition in rule.when) and not rule.for_
        if not caused or lasting(rule.when) != rule.when or not all_hold(rule.when, wanted):
            continue
        for condition in rule.then:
            told = [
                report
                for report in case.reports(condition.event)
                if condition.event and (condition.data is None or same_value(report.value, condition.data))
            ]
            before = [report for report in told if report.event.line < command.sent.line]
            after = [report for report in told if command.sent.line < report.event.line < command.end]
            if before and after:
                return failed(
                    f"{_text(refusing.while_)}, but {name} = {json_text(command.value)} was obeyed for a "
                    f"moment: {condition} was told again",
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
    """How much later than it happens something may be told."""
    settles = [profile.settle(name) for name in names_of(rule)[0]]
    return max([profile.behaviour.report_local, profile.behaviour.settle, *settles])


def _last_word(case: Case, condition: Condition, episode: Episode) -> Evidence:
    name = condition.property_
    known = case.last_report(name, case.window[-1].line) if name else None
    return known if known is not None else episode.act


def _first_false(rule: Rule, state: State) -> str:
    return str(next(condition for condition in lasting(rule.then) if not condition.holds(state)))


def _text(conditions: Sequence[Condition]) -> str:
    return " and ".join(map(str, conditions))
