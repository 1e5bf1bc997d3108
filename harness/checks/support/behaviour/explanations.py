"""What may explain a change of a setting: rules, and side effects that the profile declares."""

from __future__ import annotations

from harness.checks.case import Case
from harness.checks.observations import Report
from harness.checks.support.behaviour.forecast import State, lasting, related
from harness.checks.support.behaviour.outages import settings
from harness.model.profile import Profile
from harness.model.rule import Rule

KEPT = 10.0
"""Seconds for which settings are watched: devices that fall back do so with their next poll."""


def is_left_alone(profile: Profile, name: str) -> bool:
    """Whether a property may change only by commands, controls and rules."""
    return not profile.properties[name].self_changing


def independent_settings(profile: Profile, name: str) -> list[str]:
    """The other settings that a command to ``name`` must not change: no rule and no ``also_changes`` does."""
    return [
        other
        for other in settings(profile)
        if other != name and is_left_alone(profile, other) and name not in related(profile, [other])
    ]


def rule_explains(case: Case, name: str, since: int, report: Report) -> bool:
    """Whether a rule may have changed a property between line ``since`` and a report of it.

    A rule counts if its conditions held in any state reported meanwhile, as far as that is known.
    """
    rules = [
        rule
        for rule in case.profile.behaviour.rules
        if any(condition.property_ == name for condition in rule.then)
    ]
    if not rules:
        return False
    state: State = {}
    for other in case.profile.properties:
        known = case.last_report(other, since)
        if known is not None:
            state[other] = known.value
    states = [dict(state)]
    for each in case.all_reports:
        if since < each.event.line <= report.event.line and each.problem is None:
            state[each.name] = each.value
            states.append(dict(state))
    return any(_may_apply(rule, each) for rule in rules for each in states)


def _may_apply(rule: Rule, state: State) -> bool:
    """Whether no condition of a rule is known to be false."""
    return all(condition.holds(state) is not False for condition in lasting(rule.when or rule.while_))
