"""Reaction trials: a report of one device, and the reaction of another one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from harness.checks.observations import Report
from harness.checks.support.compat.catalogue import GroupCase
from harness.checks.support.compat.home_state import availability_in
from harness.checks.support.compat.interactions import (
    AVAILABILITY,
    Interaction,
    InteractionEffect,
    shown_by,
)
from harness.model.base import Value
from harness.model.schema import same_value
from harness.prediction.findings import AffordanceKind
from harness.trace.events import Act, Event, Stimulus

ROUNDING = 2e-6  # times in traces are rounded
_DONE = (Act.WRITE, Act.INVOKE, Act.LOCAL, Act.KILL, Act.STOP, Act.START)
_CAUSING = (Act.LOCAL, Act.WRITE, Act.KILL, Act.START)


class ReactionOutcome(StrEnum):
    """The outcome of a trial."""

    FOLLOWED = "followed"
    OTHERWISE = "followed otherwise"  # the target reached another state than expected
    LATE = "followed too late"
    MISSED = "not followed"
    VOID = "void"  # disturbed by another action, or not observed for long enough


@dataclass(frozen=True, slots=True)
class TriggerReport:
    """A report of the source that should trigger a reaction."""

    line: int
    time: float
    name: str
    value: Value


@dataclass(frozen=True, slots=True)
class ReactionTrial:
    """A trigger, and the observed reaction: the ``shown`` reports of the target."""

    trigger: TriggerReport
    cause: Event | None  # the action of the harness at the source
    effects: tuple[InteractionEffect, ...]
    outcome: ReactionOutcome
    shown: tuple[Report, ...] = ()
    took: float | None = None


def trials_of(case: GroupCase, interaction: Interaction) -> list[ReactionTrial]:
    """All trials of an interaction in the window, in order."""
    triggers = list(_triggers(case, interaction))
    found = []
    for at, trigger in enumerate(triggers):
        effects = interaction.effects_of(trigger.name, trigger.value)
        if not effects:
            continue
        since = triggers[at - 1].line if at else 0
        following = triggers[at + 1].line if at + 1 < len(triggers) else None
        found.append(_trial(case, interaction, trigger, effects, since, following))
    return found


def causes_in(case: GroupCase, role: str) -> list[Event]:
    """The actions of the harness in the window that make a device report something."""
    return [event for event in case.window if event.device == role and _is_act(event, _CAUSING)]


def _triggers(case: GroupCase, interaction: Interaction) -> Iterator[TriggerReport]:
    """The reports of the source in the window: events, and changes of properties."""
    own = case.of(interaction.source)
    known: dict[str, Value] = {}
    begin = case.window[0].line if case.window else 0
    end = case.window[-1].line if case.window else 0
    if AVAILABILITY in interaction.source_names:
        yield from _availability_triggers(case, interaction)
    for report in own.history:
        if (
            report.problem is not None
            or report.name not in interaction.source_names
            or report.event.line > end
        ):
            continue
        is_event = report.name in interaction.source_profile.events
        changed = is_event or report.name not in known or not same_value(known[report.name], report.value)
        known[report.name] = report.value
        if report.event.line >= begin and changed and not (is_event and report.is_stored):
            yield TriggerReport(report.event.line, report.time, report.name, report.value)


def _availability_triggers(case: GroupCase, interaction: Interaction) -> Iterator[TriggerReport]:
    known: bool | None = None
    for event in case.window:
        there = (
            availability_in(interaction.source_profile, event) if event.device == interaction.source else None
        )
        if there is not None and there is not known:
            known = there
            yield TriggerReport(event.line, event.time, AVAILABILITY, there)


def _trial(
    case: GroupCase,
    interaction: Interaction,
    trigger: TriggerReport,
    effects: tuple[InteractionEffect, ...],
    since: int,
    following: int | None,
) -> ReactionTrial:
    acts = [event for event in causes_in(case, interaction.source) if since < event.line < trigger.line]
    # A delayed report by a rule of the device does not count from the action that started the delay.
    acts = [event for event in acts if _is_cause(interaction, event, trigger)]
    cause = acts[-1] if acts else None
    start = cause.time if cause is not None else trigger.time
    begin = cause.line if cause is not None else trigger.line
    deadline = start + interaction.within + ROUNDING
    stop = _interference(case, interaction, trigger.line, following)
    shown, outcomes, took = [], [], 0.0
    for effect in effects:
        expected = _to_be_shown(case, interaction, effect, begin)
        if not expected:
            continue  # this effect is not observable
        outcome, report = _outcome(case, interaction, expected, begin, deadline, stop)
        outcomes.append(outcome)
        if report is not None:
            shown.append(report)
            took = max(took, report.time - start)
    if not outcomes:
        return ReactionTrial(trigger, cause, effects, ReactionOutcome.VOID)
    order = (
        ReactionOutcome.VOID,
        ReactionOutcome.MISSED,
        ReactionOutcome.OTHERWISE,
        ReactionOutcome.LATE,
        ReactionOutcome.FOLLOWED,
    )
    return ReactionTrial(trigger, cause, effects, min(outcomes, key=order.index), tuple(shown), took)


def _outcome(
    case: GroupCase,
    interaction: Interaction,
    expected: tuple[InteractionEffect, ...],
    begin: int,
    deadline: float,
    stop: int,
) -> tuple[ReactionOutcome, Report | None]:
    """The outcome of one effect, shown by any of ``expected``, and the report that shows it."""
    otherwise: Report | None = None
    for report in case.of(interaction.target).all_reports:
        if report.event.line <= begin or report.problem is not None or report.is_stored:
            continue
        if report.event.line >= stop:
            break
        if not any(_shows(interaction, each, report) for each in expected):
            if _is_other(case, interaction, expected, report, begin):
                otherwise = report
            continue
        return (ReactionOutcome.FOLLOWED if report.time <= deadline else ReactionOutcome.LATE), report
    watched = case.window[-1].time >= deadline - 2 * ROUNDING
    if not watched or _line_at(case, deadline) >= stop:
        return ReactionOutcome.VOID, None
    return (ReactionOutcome.OTHERWISE, otherwise) if otherwise is not None else (ReactionOutcome.MISSED, None)


def _is_other(
    case: GroupCase,
    interaction: Interaction,
    expected: tuple[InteractionEffect, ...],
    report: Report,
    begin: int,
) -> bool:
    """Whether the target reports a state that is neither the expected nor the previous one."""
    if not any(each.name == report.name and each.kind is AffordanceKind.PROPERTY for each in expected):
        return False
    before = case.of(interaction.target).last_report(report.name, begin)
    schema = interaction.target_profile.properties[report.name]
    return before is None or not schema.agrees(report.value, before.value)


def _shows(interaction: Interaction, effect: InteractionEffect, report: Report) -> bool:
    if report.name != effect.name:
        return False
    if effect.value is None:
        return True
    if effect.kind is AffordanceKind.PROPERTY:
        return interaction.target_profile.properties[effect.name].agrees(report.value, effect.value)
    return same_value(report.value, effect.value)


def _to_be_shown(
    case: GroupCase, interaction: Interaction, effect: InteractionEffect, line: int
) -> tuple[InteractionEffect, ...]:
    """The reports that would show an effect, without states that the target had before."""
    return tuple(
        shown
        for shown in shown_by(interaction.target_profile, effect)
        if not _is_so_already(case, interaction, shown, line)
    )


def _is_so_already(case: GroupCase, interaction: Interaction, effect: InteractionEffect, line: int) -> bool:
    """Whether the target had that state before, so that no reaction is visible."""
    if effect.kind is not AffordanceKind.PROPERTY:
        return False
    before = case.of(interaction.target).last_report(effect.name, line)
    if before is None or effect.value is None:
        return before is not None
    return interaction.target_profile.properties[effect.name].agrees(before.value, effect.value)


def _interference(case: GroupCase, interaction: Interaction, line: int, following: int | None) -> int:
    """The line from which the target may change for other reasons."""
    end = case.window[-1].line + 1 if case.window else line
    stop = following if following is not None else end
    for event in case.window:
        if event.line > line and event.device == interaction.target and _is_act(event, _DONE):
            return min(stop, event.line)
    return stop


def _line_at(case: GroupCase, time: float) -> int:
    """The line of the last event of the window up to ``time``."""
    return max((event.line for event in case.window if event.time <= time), default=0)


def _is_cause(interaction: Interaction, event: Event, trigger: TriggerReport) -> bool:
    """Whether an action directly caused the report: a control, a sensor, or a command."""
    assert isinstance(event.body, Stimulus)
    name, controls = event.body.name, interaction.source_profile.controls
    if name == trigger.name:
        return trigger.name != AVAILABILITY
    effects = controls[name].effects if event.body.act is Act.LOCAL and name in controls else ()
    return any(trigger.name in (effect.event, effect.property_) for effect in effects)


def _is_act(event: Event, acts: tuple[Act, ...]) -> bool:
    return isinstance(event.body, Stimulus) and event.body.act in acts
